/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/collapse_cell.h"

#include "base/memory.h"
#include "experiment/store_products.h"
#include "sampling/ending.h"
#include "statistics/estimators.h"
#include "statistics/exact.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The question-level columns a collapse produces; one row here is one variable of the file. */
enum column {
    CONFIDENCE_FREQUENCY,
    CORRECT,
    CORRECT_KNOWN,
    CONFIDENCE_SPLIT,
    CORRECT_SPLIT,
    MASS_FOUND,
    MASS_LOWER,
    MASS_UPPER,
    CONFIDENCE_MASS,
    CORRECT_MASS,
    SEMANTIC_ENTROPY,
    SEMANTIC_ENTROPY_COUNTS,
    TRUNCATED,
    UNPARSED,
    LOG_LOSS_CLASS,
    DISTINCT_RESPONSES,
    TOKENS_DRAWN,
    CONFIDENCE_EXACT,
    CORRECT_EXACT,
    EXACT_LOWER,
    EXACT_UPPER,
    EXACT_UNEXPLORED,
    MODE_CERTAIN,
    CONFIDENCE_HYBRID,
    CORRECT_HYBRID,
    STANDARD_ERROR_HYBRID,
    N_COLUMNS
};

static const struct {
    const char *name, *long_name, *units;
} columns[N_COLUMNS] = {
    {"confidence_frequency", "share of the draws in the most drawn class", "1"},
    {"correct", "1 when the most drawn class holds a reference answer", "1"},
    {"correct_known", "probability, under the known law of answers, that the answer is in the most drawn class", "1"},
    {"confidence_split", "share of one half of the draws in the mode of the other half, mean over splits", "1"},
    {"correct_split", "share of the splits whose own mode holds a reference answer", "1"},
    {"mass_found", "probability of the distinct responses found", "1"},
    {"mass_lower", "certain lower bound on the probability of the heaviest class", "1"},
    {"mass_upper", "certain upper bound on the probability of the heaviest class", "1"},
    {"confidence_mass", "probability of the heaviest class, normalised over the responses found", "1"},
    {"correct_mass", "1 when the heaviest class by mass holds a reference answer", "1"},
    {"semantic_entropy", "entropy of the classes' probabilities, normalised over the responses found", "nat"},
    {"semantic_entropy_counts", "entropy of the classes' frequencies", "nat"},
    {"truncated", "share of draws cut at max_tokens", "1"},
    {"unparsed", "share of draws in which no answer was found, those cut included", "1"},
    {"log_loss_class", "minus log of the frequency of the classes that hold a reference answer", "nat"},
    {"n_distinct", "distinct responses among the draws", "1"},
    {"tokens_drawn", "tokens of all draws together", "1"},
    {"confidence_exact",
     "probability of the heaviest class by enumeration, middle of its bounds; NaN while the mode is "
     "not certain",
     "1"},
    {"correct_exact", "1 when the certain mode holds a reference answer; NaN while it is not certain", "1"},
    {"exact_lower", "certain lower bound on the probability of the heaviest class, from all responses known", "1"},
    {"exact_upper", "certain upper bound on the probability of the heaviest class, from all responses known", "1"},
    {"exact_unexplored", "probability outside all responses known, enumerated or drawn", "1"},
    {"mode_certain", "1 when no other class, known or not, can be heavier than the heaviest one", "1"},
    {"confidence_hybrid", "probability of the heaviest class: enumerated head plus sampled tail, unbiased per class",
     "1"},
    {"correct_hybrid", "1 when that class holds a reference answer", "1"},
    {"standard_error_hybrid", "standard error of confidence_hybrid", "1"},
};

typedef struct work {
    const sc_collapse_cell_options *options;
    sc_products_spool spool;    /* of all questions */
    sc_store_products products; /* of the question at hand */
    sc_store_column column[N_COLUMNS];
    double value[N_COLUMNS]; /* of the columns */
    size_t first_class[2];
    int32_t mode;
    size_t kept_room, mass_kept_room, lower_room, upper_room, correct_kept_room;
    sc_collapse_cell_summary summary;
    uint64_t n_draws_seen, n_truncated, n_unparsed;
    /* of the question at hand */
    char **labels;
    size_t n_labels, labels_capacity;
    int64_t *strings;
    uint32_t *count;
    double *mass;
    bool *correct;
    size_t count_room, mass_room, correct_room;
    /* all responses known of the question at hand, each once (estimators exact and hybrid) */
    struct place {
        int32_t class, string; /* -1: not met */
    } * places;                /* by leaf */
    int32_t *string_class, *tail_class;
    double *string_logp;
    bool *in_head;
    size_t n_strings, n_tail;
    size_t place_room, string_class_room, tail_class_room, string_logp_room, in_head_room;
    size_t response_room, answer_room, n_answers;
} work;

/* Index of `label` among the question's classes; takes the label over. */
static semcal_status class_of(work *w, int32_t *class, char *label, semcal_error *error)
{
    for (size_t k = 0; k < w->n_labels; k++) {
        if (strcmp(w->labels[k], label) == 0) {
            free(label);
            *class = (int32_t)k;
            return SEMCAL_OK;
        }
    }
    semcal_status status = sc_memory_grow(&w->labels, &w->labels_capacity, w->n_labels + 1, sizeof *w->labels, error);
    if (status != SEMCAL_OK) {
        free(label);
        return status;
    }
    *class = (int32_t)w->n_labels;
    w->labels[w->n_labels++] = label;
    return SEMCAL_OK;
}

static semcal_status classify(work *w, int32_t *class, const char *text, int finish,
                              const sc_collapse_question *question, semcal_error *error)
{
    sc_collapse_class found = {0};
    semcal_status status = SEMCAL_OK;
    if (finish == SC_FINISH_LENGTH) {
        found.label = sc_memory_strdup(SC_COLLAPSE_UNPARSED, error);
        status = found.label == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    } else {
        status = sc_collapse_classify(&found, question, text, error);
    }
    return status == SEMCAL_OK ? class_of(w, class, found.label, error) : status;
}

/* What the judge said about a response, malloc'ed. */
static semcal_status copy_reply(char **copy, const work *w, const sc_store_record *record, const char *text, int finish,
                                semcal_error *error)
{
    const sc_collapse_judge *judge = w->options->judge;
    sc_collapse_reply reply = {NULL, false};
    semcal_status status =
        finish == SC_FINISH_LENGTH ? SEMCAL_OK : judge->reply(&reply, record->question, text, judge->payload, error);
    *copy = status == SEMCAL_OK ? sc_memory_strdup(reply.text != NULL ? reply.text : "", error) : NULL;
    return status == SEMCAL_OK && *copy == NULL ? SEMCAL_E_MEMORY : status;
}

/* The judge's replies to the question's draws and enumerated responses, for whoever wants to check them. */
static semcal_status keep_replies(work *w, const sc_store_record *record, semcal_error *error)
{
    sc_store_products *p = &w->products;
    const sc_tree *tree = &record->tree;
    semcal_status status = SEMCAL_OK;
    if (!w->options->kind->needs_judge) {
        return SEMCAL_OK;
    }
    for (size_t j = 0; j < tree->n_draws && status == SEMCAL_OK; j++) {
        status = copy_reply(&p->draw_short_answer[j], w, record, tree->text[j], tree->finish[j], error);
    }
    if (status == SEMCAL_OK && record->n_found > 0) {
        status = sc_memory_grow(&p->response_short_answer, &w->answer_room, record->n_found,
                                sizeof *p->response_short_answer, error);
    }
    for (; w->n_answers < record->n_found && status == SEMCAL_OK; w->n_answers += status == SEMCAL_OK) {
        status = copy_reply(&p->response_short_answer[w->n_answers], w, record, record->found_text[w->n_answers],
                            record->found_finish[w->n_answers], error);
    }
    return status;
}

/* Classes of all draws, in the order in which they were drawn first. */
static semcal_status classify_draws(work *w, int32_t *draw_class, const sc_store_record *record,
                                    const sc_collapse_question *question, semcal_error *error)
{
    const sc_tree *tree = &record->tree;
    for (size_t j = 0; j < tree->n_draws; j++) {
        w->strings[j] = tree->leaf[j];
        draw_class[j] = -1;
        for (size_t i = 0; i < j && draw_class[j] < 0; i++) {
            if (tree->leaf[i] == tree->leaf[j]) {
                draw_class[j] = draw_class[i];
            }
        }
        if (draw_class[j] >= 0) {
            continue;
        }
        semcal_status status = classify(w, &draw_class[j], tree->text[j], tree->finish[j], question, error);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    return SEMCAL_OK;
}

/* ---- responses that were enumerated ---- */

static semcal_status room_for_found(work *w, const sc_store_record *record, semcal_error *error)
{
    size_t n = record->tree.n_draws + record->n_found, n_leaves = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t leaf = i < record->n_found ? record->found_leaf[i] : record->tree.leaf[i - record->n_found];
        n_leaves = (size_t)leaf >= n_leaves ? (size_t)leaf + 1 : n_leaves;
    }
    semcal_status status = sc_memory_grow(&w->places, &w->place_room, n_leaves, sizeof *w->places, error);
    status |= sc_memory_grow(&w->string_class, &w->string_class_room, n, sizeof *w->string_class, error);
    status |= sc_memory_grow(&w->tail_class, &w->tail_class_room, n, sizeof *w->tail_class, error);
    status |= sc_memory_grow(&w->string_logp, &w->string_logp_room, n, sizeof *w->string_logp, error);
    status |= sc_memory_grow(&w->in_head, &w->in_head_room, n, sizeof *w->in_head, error);
    status |= sc_memory_grow(&w->products.response_class, &w->response_room, record->n_found,
                             sizeof *w->products.response_class, error);
    for (size_t i = 0; i < n_leaves && status == SEMCAL_OK; i++) {
        w->places[i] = (struct place){-1, -1};
    }
    w->n_strings = w->n_tail = 0;
    return status == SEMCAL_OK ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static void know_string(work *w, int32_t leaf, int32_t class, double logp, bool in_head)
{
    struct place *place = &w->places[leaf];
    if (place->string < 0) {
        place->class = class;
        place->string = (int32_t)w->n_strings++;
        w->in_head[place->string] = false;
    }
    w->string_class[place->string] = class;
    w->string_logp[place->string] = logp;
    w->in_head[place->string] |= in_head;
}

/* Classes of the enumerated responses and of the draws behind them; a response that was drawn as well keeps its class.
 */
static semcal_status classify_found(work *w, const int32_t *draw_class, const sc_store_record *record,
                                    const sc_collapse_question *question, semcal_error *error)
{
    const sc_tree *tree = &record->tree;
    semcal_status status = room_for_found(w, record, error);
    for (size_t j = 0; j < tree->n_draws && status == SEMCAL_OK; j++) {
        know_string(w, tree->leaf[j], draw_class[j], tree->draw_logprob[j], false);
    }
    for (size_t i = 0; i < record->n_found && status == SEMCAL_OK; i++) {
        int32_t leaf = record->found_leaf[i], class = w->places[leaf].class;
        if (class < 0) {
            status = classify(w, &class, record->found_text[i], record->found_finish[i], question, error);
        }
        if (status == SEMCAL_OK) {
            know_string(w, leaf, class, record->found_logprob[i], !record->found_tail[i]);
            w->products.response_class[i] = class;
            if (record->found_tail[i]) {
                w->tail_class[w->n_tail++] = class;
            }
        }
    }
    return status;
}

/* Exact and hybrid estimates; w->mass becomes the mass of all responses known. Without an enumeration all NaN. */
static semcal_status estimate_exact(work *w, sc_exact_estimates *exact, const sc_store_record *record,
                                    semcal_error *error)
{
    *exact = (sc_exact_estimates){NAN, -1, false, NAN, NAN, NAN, NAN, NAN, -1, NAN, NAN, NAN};
    if (isnan(record->unexplored_mass)) {
        return SEMCAL_OK;
    }
    const sc_exact_found found = {.n_strings = w->n_strings,
                                  .n_tail = w->n_tail,
                                  .n_classes = w->n_labels,
                                  .string_class = w->string_class,
                                  .string_logp = w->string_logp,
                                  .string_in_head = w->in_head,
                                  .tail_class = w->tail_class,
                                  .class_correct = w->correct};
    semcal_status status = sc_exact_compute(exact, w->mass, &found, error);
    w->summary.n_enumerated++;
    w->summary.n_unresolved += !exact->mode_certain;
    return status;
}

/* Probability that the true answer falls into class `label`, from the known law; NaN when there is none. */
static semcal_status known_probability(work *w, double *probability, const sc_store_record *record,
                                       const sc_collapse_question *question, const char *label, semcal_error *error)
{
    *probability = NAN;
    if (record->n_law == 0) {
        return SEMCAL_OK;
    }
    double sum = 0, with_class = 0;
    for (size_t i = 0; i < record->n_law; i++) {
        sc_collapse_class class = {0};
        semcal_status status = sc_collapse_classify_answer(&class, question, record->law_label[i], error);
        if (status != SEMCAL_OK) {
            return status;
        }
        with_class += class.parsed ? record->law_probability[i] : 0;
        sum += class.parsed && strcmp(class.label, label) == 0 ? record->law_probability[i] : 0;
        free(class.label);
    }
    w->summary.n_without_law += with_class < .999;
    *probability = sum > 1 ? 1 : sum;
    return SEMCAL_OK;
}

static semcal_status set_classes(work *w, double mass_found, semcal_error *error)
{
    sc_store_products *p = &w->products;
    const size_t n = w->n_labels;
    semcal_status status = sc_memory_grow(&p->class_count, &w->kept_room, n, sizeof *p->class_count, error);
    status |= sc_memory_grow(&p->class_mass, &w->mass_kept_room, n, sizeof *p->class_mass, error);
    status |= sc_memory_grow(&p->class_mass_lower, &w->lower_room, n, sizeof *p->class_mass_lower, error);
    status |= sc_memory_grow(&p->class_mass_upper, &w->upper_room, n, sizeof *p->class_mass_upper, error);
    status |= sc_memory_grow(&p->class_correct, &w->correct_kept_room, n, sizeof *p->class_correct, error);
    if (status != SEMCAL_OK) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t k = 0; k < n; k++) {
        double upper = w->mass[k] + 1 - mass_found;
        p->class_count[k] = (int32_t)w->count[k];
        p->class_mass[k] = w->mass[k] / mass_found;
        p->class_mass_lower[k] = w->mass[k];
        p->class_mass_upper[k] = upper > 1 ? 1 : upper;
        p->class_correct[k] = w->correct[k];
    }
    p->class_label = w->labels;
    w->first_class[1] = n;
    return SEMCAL_OK;
}

static void set_columns(work *w, const sc_estimates *e, const sc_exact_estimates *x, const sc_store_record *record,
                        double known)
{
    const sc_tree *tree = &record->tree;
    double n_truncated = 0, n_unparsed = 0, n_correct = 0, n_tokens = 0;
    for (size_t j = 0; j < tree->n_draws; j++) {
        n_truncated += tree->finish[j] == SC_FINISH_LENGTH;
        n_tokens += tree->n_tokens[j];
    }
    for (size_t k = 0; k < w->n_labels; k++) {
        n_unparsed += strcmp(w->labels[k], SC_COLLAPSE_UNPARSED) == 0 ? w->count[k] : 0;
        n_correct += w->correct[k] ? w->count[k] : 0;
    }
    double n = (double)tree->n_draws;
    const double values[N_COLUMNS] = {[CONFIDENCE_FREQUENCY] = e->confidence_frequency,
                                      [CORRECT] = e->correct,
                                      [CORRECT_KNOWN] = known,
                                      [CONFIDENCE_SPLIT] = e->confidence_split,
                                      [CORRECT_SPLIT] = e->correct_split,
                                      [MASS_FOUND] = e->mass_found,
                                      [MASS_LOWER] = e->mass_lower,
                                      [MASS_UPPER] = e->mass_upper,
                                      [CONFIDENCE_MASS] = e->confidence_mass,
                                      [CORRECT_MASS] = e->correct_mass,
                                      [SEMANTIC_ENTROPY] = e->semantic_entropy,
                                      [SEMANTIC_ENTROPY_COUNTS] = e->semantic_entropy_counts,
                                      [TRUNCATED] = n_truncated / n,
                                      [UNPARSED] = n_unparsed / n,
                                      [LOG_LOSS_CLASS] = n_correct > 0 ? log(n / n_correct) : INFINITY,
                                      [DISTINCT_RESPONSES] = (double)e->n_distinct,
                                      [TOKENS_DRAWN] = n_tokens,
                                      [CONFIDENCE_EXACT] = x->confidence,
                                      [CORRECT_EXACT] = x->correct,
                                      [EXACT_LOWER] = x->lower,
                                      [EXACT_UPPER] = x->upper,
                                      [EXACT_UNEXPLORED] = x->unexplored,
                                      [MODE_CERTAIN] = isnan(x->lower) ? NAN : x->mode_certain,
                                      [CONFIDENCE_HYBRID] = x->confidence_hybrid,
                                      [CORRECT_HYBRID] = x->correct_hybrid,
                                      [STANDARD_ERROR_HYBRID] = x->standard_error};
    memcpy(w->value, values, sizeof values);
    w->n_draws_seen += tree->n_draws;
    w->n_truncated += (uint64_t)n_truncated;
    w->n_unparsed += (uint64_t)n_unparsed;
}

static semcal_status make_question(work *w, sc_collapse_question **question, const sc_store_record *record,
                                   semcal_error *error)
{
    sc_collapse_context context = {.question = record->question,
                                   .answers = (const char *const *)record->answers,
                                   .n_answers = record->n_answers,
                                   .judge = w->options->judge};
    if (w->options->choices != NULL) {
        semcal_status status = w->options->choices(&context.choices, &context.n_choices, record->index, record->id,
                                                   w->options->payload, error);
        if (status != SEMCAL_OK) {
            return status;
        }
    }
    semcal_status status = sc_collapse_question_make(question, w->options->kind, &context, error);
    if (status == SEMCAL_OK) {
        w->summary.n_without_reference += sc_collapse_n_unparsed_references(*question) == record->n_answers;
    }
    return status;
}

/* Of all responses in w->mass: 1 - unexplored would lose what is far below 1. */
static double mass_known(const work *w, const sc_exact_estimates *exact, const sc_estimates *estimates)
{
    double sum = 0;
    for (size_t k = 0; k < w->n_labels; k++) {
        sum += w->mass[k];
    }
    return isnan(exact->unexplored) ? estimates->mass_found : sum;
}

/* Hands the question's products on and makes ready for the next. */
static semcal_status hand_on(work *w, const sc_store_record *record, semcal_status status, semcal_error *error)
{
    sc_store_products *p = &w->products;
    sc_store_products one = *p;
    one.n_responses = record->n_found;
    if (isnan(record->unexplored_mass)) {
        one.response_class = NULL;
    }
    if (status == SEMCAL_OK) {
        status = sc_products_spool_put(&w->spool, &one, error);
    }
    for (size_t k = 0; k < w->n_labels; k++) {
        free(w->labels[k]);
    }
    for (size_t j = 0; p->draw_short_answer != NULL && j < p->n_draws; j++) {
        free(p->draw_short_answer[j]);
        p->draw_short_answer[j] = NULL;
    }
    for (size_t i = 0; i < w->n_answers; i++) {
        free(p->response_short_answer[i]);
    }
    w->n_labels = w->n_answers = 0;
    return status;
}

static semcal_status collapse_question(work *w, const sc_store_record *record, semcal_error *error)
{
    sc_store_products *p = &w->products;
    size_t n_draws = record->tree.n_draws;
    int32_t *draw_class = p->draw_class;
    sc_collapse_question *question = NULL;
    semcal_status status = make_question(w, &question, record, error);
    if (status == SEMCAL_OK) {
        status = classify_draws(w, draw_class, record, question, error);
    }
    if (status == SEMCAL_OK && !isnan(record->unexplored_mass)) {
        status = classify_found(w, draw_class, record, question, error);
    }
    if (status == SEMCAL_OK) {
        status = keep_replies(w, record, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&w->count, &w->count_room, w->n_labels, sizeof *w->count, error);
        status |= sc_memory_grow(&w->mass, &w->mass_room, w->n_labels, sizeof *w->mass, error);
        status |= sc_memory_grow(&w->correct, &w->correct_room, w->n_labels, sizeof *w->correct, error);
        status = status == SEMCAL_OK ? SEMCAL_OK : SEMCAL_E_MEMORY;
    }
    for (size_t k = 0; k < w->n_labels && status == SEMCAL_OK; k++) {
        w->correct[k] = sc_collapse_is_correct(question, w->labels[k]);
    }
    sc_estimates estimates;
    if (status == SEMCAL_OK) {
        const sc_draws draws = {.n_draws = n_draws,
                                .n_classes = w->n_labels,
                                .draw_class = draw_class,
                                .draw_logp = record->tree.draw_logprob,
                                .draw_string = w->strings,
                                .class_correct = w->correct};
        status = sc_estimators_compute_splits(&estimates, w->count, w->mass, &draws, w->options->n_splits, error);
    }
    sc_exact_estimates exact;
    if (status == SEMCAL_OK) {
        status = estimate_exact(w, &exact, record, error);
    }
    double known = NAN;
    if (status == SEMCAL_OK) {
        w->mode = estimates.mode;
        status = known_probability(w, &known, record, question, w->labels[estimates.mode], error);
    }
    if (status == SEMCAL_OK) {
        set_columns(w, &estimates, &exact, record, known);
        status = set_classes(w, mass_known(w, &exact, &estimates), error);
    }
    status = hand_on(w, record, status, error);
    sc_collapse_question_free(question);
    return status == SEMCAL_OK ? SEMCAL_OK : (sc_error_where(error, "question '%s'", record->id), status);
}

static semcal_status allocate(work *w, const char *path, size_t n_questions, size_t n_draws, semcal_error *error)
{
    sc_store_products *p = &w->products;
    for (size_t i = 0; i < N_COLUMNS; i++) {
        w->column[i] = (sc_store_column){.name = (char *)(uintptr_t)columns[i].name,
                                         .long_name = (char *)(uintptr_t)columns[i].long_name,
                                         .units = (char *)(uintptr_t)columns[i].units,
                                         .kind = SC_STORE_REAL,
                                         .reals = &w->value[i]};
    }
    *p = (sc_store_products){.n_questions = 1,
                             .n_draws = n_draws,
                             .first_class = w->first_class,
                             .mode_class = &w->mode,
                             .columns = w->column,
                             .n_columns = N_COLUMNS};
    p->draw_class = sc_memory_alloc(n_draws, sizeof *p->draw_class, error);
    w->strings = sc_memory_alloc(n_draws, sizeof *w->strings, error);
    bool complete = p->draw_class && w->strings;
    if (w->options->kind->needs_judge) {
        p->draw_short_answer = sc_memory_alloc(n_draws, sizeof *p->draw_short_answer, error);
        complete = complete && p->draw_short_answer;
    }
    return complete ? sc_products_spool_open(&w->spool, path, n_questions, n_draws, w->column, N_COLUMNS, error)
                    : SEMCAL_E_MEMORY;
}

static void release(work *w)
{
    sc_store_products *p = &w->products;
    free(p->draw_short_answer);
    free(p->response_short_answer);
    free(p->draw_class);
    free(p->class_count);
    free(p->class_mass);
    free(p->class_mass_lower);
    free(p->class_mass_upper);
    free(p->class_correct);
    free(p->response_class);
    free(w->places);
    free(w->string_class);
    free(w->tail_class);
    free(w->string_logp);
    free(w->in_head);
    free(w->labels);
    free(w->strings);
    free(w->count);
    free(w->mass);
    free(w->correct);
    sc_products_spool_free(&w->spool);
}

/* The file, with what is to be said about the collapse. */
static semcal_status write_products(work *w, const char *path, semcal_error *error)
{
    const sc_collapse_cell_options *options = w->options;
    char splits[16];
    (void)snprintf(splits, sizeof splits, "%u", options->n_splits > 0 ? options->n_splits : SC_ESTIMATORS_SPLITS);
    const size_t n = 2 + options->n_attributes;
    sc_store_attribute *attributes = sc_memory_alloc(n, sizeof *attributes, error);
    if (attributes == NULL) {
        return SEMCAL_E_MEMORY;
    }
    attributes[0] = (sc_store_attribute){.name = "collapse_kind", .text = options->kind->name, .identity = true};
    attributes[1] = (sc_store_attribute){.name = SC_STORE_SPLITS, .text = splits, .identity = true};
    for (size_t i = 2; i < n; i++) {
        attributes[i] = options->attributes[i - 2];
    }
    sc_store_products *p = &w->spool.all;
    p->collapse = (char *)(uintptr_t)(options->name != NULL ? options->name : options->kind->name);
    p->attributes = attributes;
    p->n_attributes = n;
    const sc_products_source source = sc_products_spool_source(&w->spool);
    const semcal_status status = sc_products_write(path, &source, error);
    free(attributes);
    return status;
}

semcal_status sc_collapse_cell(const char *path, const sc_collapse_cell_options *options,
                               sc_collapse_cell_summary *summary, semcal_error *error)
{
    work w = {.options = options};
    sc_store_cell *cell = NULL;
    semcal_status status = sc_store_cell_open(&cell, path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_store_facts facts = *sc_store_cell_facts(cell);
    status = allocate(&w, path, (size_t)facts.n_questions, facts.n_draws, error);
    for (uint64_t q = 0; q < facts.n_questions && status == SEMCAL_OK; q++) {
        sc_store_record record = SC_STORE_RECORD_INIT;
        status = sc_store_cell_read(&record, cell, q, 0, error);
        if (status == SEMCAL_OK) {
            status = collapse_question(&w, &record, error);
        }
        sc_store_record_free(&record);
    }
    sc_store_cell_close(&cell);
    if (status == SEMCAL_OK) {
        status = write_products(&w, path, error);
    }
    if (status == SEMCAL_OK && summary != NULL) {
        *summary = w.summary;
        summary->n_questions = facts.n_questions;
        summary->truncated = (double)w.n_truncated / (double)w.n_draws_seen;
        summary->unparsed = (double)w.n_unparsed / (double)w.n_draws_seen;
        summary->classes_per_question = (double)w.spool.all.first_class[facts.n_questions] / (double)facts.n_questions;
    }
    release(&w);
    if (status != SEMCAL_OK) {
        sc_error_where(error, "%s", path);
    }
    return status;
}
