/* SPDX-License-Identifier: Apache-2.0 */
/* semcal tilt: the tilted law of single questions, drawn from token by token. */
#include "cli/cli.h"
#include "cli/notes.h"
#include "cli/terminal.h"
#include "experiment/judge.h"
#include "experiment/sources.h"
#include "experiment/store.h"
#include "experiment/tilt_question.h"
#include "formats/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_cli_tilt(int argc, char **argv, semcal_error *error);

static const sc_cli_usage usage = {
    "tilt",
    "CONFIG",
    "draws from a law tilted by its own confidence, token by token, and compares it with the closed form",
    1,
    1,
    "For each question of a cell the responses are enumerated and collapsed, and the class of the mode (mass c) is\n"
    "tilted by TAU: (p * w)(z) ~ p(z) e^(TAU [z in the class]). Responses are then drawn from p reweighted at every\n"
    "token by what the prefix has decided. Columns: the mass of the class after it, beside sigmoid(logit c + TAU);\n"
    "its share of the draws; apart, the largest difference of a response's log-probability from the closed form\n"
    "(nats); the change of the question's log loss. With --forks R the same sampler runs on estimates of g from R\n"
    "continuations at every prefix: its mass of the class, and its divergence from the tilted law (nats).\n"
    "A question whose responses are too many for --budget is told and left out; the exit code is then 1,\n"
    "or 5 when no question could be tilted."};

/* What the options say. */
typedef struct request {
    const char *cell, *question, *samples, *device;
    long n_questions, n_draws, n_forks, budget;
    double tau, epsilon;
    bool json;
    sc_cli_list set;
} request;

/* An open experiment. */
typedef struct place {
    sc_config *config;
    sc_plan plan;
    const sc_cell *cell;
    sc_sources sources;
    sc_source *source;
    sc_dataset dataset;
    sc_questions questions;
    const sc_collapse_kind *kind;
} place;

typedef struct totals {
    size_t n_tilted, n_left;
    double c, mass, share, loss_change, worst_apart, worst_mass; /* sums, and maxima */
} totals;

static semcal_status check(const request *r, semcal_error *error)
{
    if (!(fabs(r->tau) <= 100)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--tau must be a number from -100 to 100 (nats)");
    }
    if (!(r->epsilon > 0 && r->epsilon < 1)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--epsilon must lie between 0 and 1, got %g", r->epsilon);
    }
    if (r->n_draws < 0 || r->n_draws > 10000000) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--draws must be 0 to 10000000, got %ld", r->n_draws);
    }
    if (r->n_forks != 0 && (r->n_forks < 2 || r->n_forks > 1000000)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--forks must be 0 (none) or 2 to 1000000, got %ld", r->n_forks);
    }
    if (r->budget < 1 || r->n_questions < 1) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--%s must be at least 1, got %ld",
                            r->budget < 1 ? "budget" : "questions", r->budget < 1 ? r->budget : r->n_questions);
    }
    return r->samples != NULL && r->n_draws == 0
               ? sc_error_set(error, SEMCAL_E_CONFIG, "--samples needs --draws of at least 1")
               : SEMCAL_OK;
}

static semcal_status find_cell(place *p, const request *r, const char *path, semcal_error *error)
{
    for (size_t i = 0; i < p->plan.n_cells && p->cell == NULL && r->cell == NULL; i++) {
        p->cell = p->plan.cells[i].text ? NULL : &p->plan.cells[i];
    }
    if (r->cell != NULL) {
        p->cell = sc_plan_find(&p->plan, r->cell);
    }
    if (p->cell == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%s: there is no cell %s; 'semcal plan %s' lists them", path,
                            r->cell != NULL ? r->cell : "with questions", path);
    }
    if (p->cell->text) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "cell %s is plain text: nothing is asked in it", p->cell->name);
    }
    if (strcmp(p->cell->dataset->collapse.at[0].kind, SC_JUDGE_KIND) == 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "tilt asks no judge: choose another collapse, e.g. --set datasets.%s.collapse=alias",
                            p->cell->dataset->name);
    }
    return SEMCAL_OK;
}

static semcal_status open_place(place *p, const request *r, const char *path, semcal_error *error)
{
    semcal_status status = sc_config_load(&p->config, path, r->set.items, r->set.n, error);
    if (status == SEMCAL_OK && (status = sc_plan_make(&p->plan, p->config, error)) != SEMCAL_OK) {
        sc_error_where(error, "%s", path);
    }
    if (status == SEMCAL_OK && (status = find_cell(p, r, path, error)) == SEMCAL_OK &&
        (status = sc_collapse_find(&p->kind, p->cell->dataset->collapse.at[0].kind, error)) == SEMCAL_OK &&
        (status = sc_dataset_open_config(&p->dataset, p->cell->dataset, NULL, error)) == SEMCAL_OK &&
        (status = sc_sources_init(&p->sources, r->device, false, NULL, error)) == SEMCAL_OK &&
        (status = sc_sources_get(&p->source, &p->sources, p->cell->model, error)) == SEMCAL_OK) {
        status = sc_questions_make(&p->questions, p->cell, &p->dataset, p->source, error);
    }
    return status;
}

static void close_place(place *p)
{
    sc_questions_free(&p->questions);
    sc_dataset_free(&p->dataset);
    sc_cli_notes(p->sources.device);
    sc_sources_free(&p->sources);
    sc_plan_free(&p->plan);
    sc_config_free(p->config);
}

static const char *label_name(const char *label)
{
    return strcmp(label, SC_COLLAPSE_UNPARSED) == 0 ? SC_COLLAPSE_UNPARSED_NAME : label;
}

static void print_row(const sc_question *q, const sc_tilt_question *t)
{
    char share[16] = "-", mass[16] = "-", divergence[16] = "-";
    if (!isnan(t->share)) {
        (void)snprintf(share, sizeof share, "%.6f", t->share);
    }
    if (!isnan(t->fork_mass)) {
        (void)snprintf(mass, sizeof mass, "%.6f", t->fork_mass);
        (void)snprintf(divergence, sizeof divergence, "%.2e", t->divergence);
    }
    printf("%9zu %8.1e %.6f %9.6f %9.6f %9s %8.1e %9.6f %9s %10s  ", t->responses.n_responses, t->responses.unexplored,
           t->c, t->mass, t->predicted, share, t->apart, t->loss_change, mass, divergence);
    sc_terminal_print(stdout, q->row->id);
    (void)fputs(": ", stdout);
    sc_terminal_print(stdout, label_name(t->label[t->mode]));
    (void)fputs(t->correct ? " (right)\n" : " (wrong)\n", stdout);
}

static json_t *question_json(const sc_question *q, const sc_tilt_question *t, bool tilted)
{
    json_t *row = json_pack("{s:s, s:b, s:I, s:f, s:I}", "question", q->row->id, "tilted", tilted, "responses",
                            (json_int_t)t->responses.n_responses, "unexplored", t->responses.unexplored,
                            "forward_tokens", (json_int_t)t->responses.n_laws);
    if (row != NULL && tilted) {
        const struct {
            const char *key;
            double value;
        } numbers[] = {
            {"c", t->c},
            {"mass", t->mass},
            {"mass_closed_form", t->predicted},
            {"apart", t->apart},
            {"loss_change", t->loss_change},
            {"share_of_draws", t->share},
            {"mass_with_forks", t->fork_mass},
            {"divergence_with_forks", t->divergence},
        };
        (void)json_object_set_new(row, "mode", json_string(label_name(t->label[t->mode])));
        (void)json_object_set_new(row, "correct", json_boolean(t->correct));
        (void)json_object_set_new(row, "classes", json_integer((json_int_t)t->n_labels));
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            (void)json_object_set_new(row, numbers[i].key, sc_json_real_or_null(numbers[i].value));
        }
    }
    return row;
}

/* One line of JSON per draw. */
static semcal_status write_samples(FILE *file, const char *path, const sc_question *q, const sc_tilt_question *t,
                                   long n_draws, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_text line = {0};
    for (long j = 0; j < n_draws && status == SEMCAL_OK; j++) {
        const size_t i = t->drawn[j];
        const sc_enumerated *response = &t->responses.responses[i];
        char *text = sc_store_text(response->text, response->text_length, error);
        json_t *row = text == NULL
                          ? NULL
                          : json_pack("{s:s, s:I, s:s, s:s, s:f, s:f}", "question", q->row->id, "draw", (json_int_t)j,
                                      "text", text, "class", label_name(t->label[t->tilt.response_class[i]]), "logprob",
                                      t->logprob[i], "logprob_untilted", response->logprob);
        sc_text_clear(&line);
        status = row == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory")
                             : sc_json_append(&line, row, false, error);
        if (status == SEMCAL_OK && (fprintf(file, "%s\n", line.data) < 0 || ferror(file))) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", path, strerror(errno));
        }
        json_decref(row);
        free(text);
    }
    sc_text_free(&line);
    return status;
}

static void count(totals *sum, const sc_tilt_question *t)
{
    sum->n_tilted++;
    sum->c += t->c;
    sum->mass += t->mass;
    sum->share += t->share;
    sum->loss_change += t->loss_change;
    sum->worst_apart = fmax(sum->worst_apart, t->apart);
    sum->worst_mass = fmax(sum->worst_mass, fabs(t->mass - t->predicted));
}

static semcal_status do_question(totals *sum, json_t *rows, FILE *samples, const request *r, const place *p,
                                 const sc_question *q, semcal_error *error)
{
    const sc_collapse_context context = sc_dataset_context(&p->dataset, (size_t)(q->row - p->dataset.rows));
    const sc_tilt_question_options options = {.cell = p->cell,
                                              .kind = p->kind,
                                              .seed = (uint64_t)p->config->seed,
                                              .tau = r->tau,
                                              .epsilon = r->epsilon,
                                              .max_forward_tokens = (uint64_t)r->budget,
                                              .n_draws = (uint32_t)r->n_draws,
                                              .n_forks = (uint32_t)r->n_forks};
    sc_tilt_question t;
    semcal_error own = SEMCAL_ERROR_INIT;
    semcal_status status = sc_tilt_question_make(&t, &options, p->source, q, &context, &own);
    const bool left = status == SEMCAL_E_NUMERIC && !t.responses.finished;
    if (left) {
        fprintf(stderr, "semcal tilt: ");
        sc_terminal_print(stderr, own.message);
        (void)fputc('\n', stderr);
        sum->n_left++;
        status = SEMCAL_OK;
    } else if (status != SEMCAL_OK) {
        *error = own;
    } else {
        count(sum, &t);
        if (rows == NULL) {
            print_row(q, &t);
        }
    }
    if (status == SEMCAL_OK && rows != NULL && json_array_append_new(rows, question_json(q, &t, !left)) != 0) {
        status = sc_error_set(error, SEMCAL_E_MEMORY, "out of memory");
    }
    if (status == SEMCAL_OK && !left && samples != NULL) {
        status = write_samples(samples, r->samples, q, &t, r->n_draws, error);
    }
    sc_tilt_question_free(&t);
    return status;
}

static semcal_status print_json(const request *r, const place *p, const totals *sum, json_t *rows, semcal_error *error)
{
    const double n = (double)sum->n_tilted;
    json_t *root =
        json_pack("{s:s, s:s, s:f, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:f, s:f, s:O}", "cell", p->cell->name,
                  "collapse", p->kind->name, "tau", r->tau, "draws", (json_int_t)r->n_draws, "n_tilted",
                  (json_int_t)sum->n_tilted, "n_left_out", (json_int_t)sum->n_left, "c",
                  sc_json_real_or_null(sum->c / n), "mass", sc_json_real_or_null(sum->mass / n), "share_of_draws",
                  sc_json_real_or_null(sum->share / n), "loss_change", sc_json_real_or_null(sum->loss_change / n),
                  "worst_apart", sum->worst_apart, "worst_mass_error", sum->worst_mass, "questions", rows);
    sc_text text = {0};
    semcal_status status =
        root == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory") : sc_json_append(&text, root, true, error);
    if (status == SEMCAL_OK) {
        printf("%s\n", text.data);
    }
    json_decref(root);
    sc_text_free(&text);
    return status;
}

static void print_end(const totals *sum)
{
    if (sum->n_tilted > 0) {
        const double n = (double)sum->n_tilted;
        printf("%zu questions: mean c %.6f, after the tilt %.6f; mean change of the log loss %+.6f nats (below 0: the "
               "tilt helps)\nlargest difference: %.1e nats from the closed form, %.1e from sigmoid(logit c + tau)\n",
               sum->n_tilted, sum->c / n, sum->mass / n, sum->loss_change / n, sum->worst_apart, sum->worst_mass);
    }
}

static semcal_status do_questions(const request *r, const place *p, FILE *samples, semcal_error *error)
{
    totals sum = {0};
    json_t *rows = r->json ? json_array() : NULL;
    semcal_status status = r->json && rows == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory") : SEMCAL_OK;
    size_t n = 0;
    if (!r->json) {
        printf("cell %s, collapse %s, tau %g\n%9s %8s %8s %9s %9s %9s %8s %9s %9s %10s  question: mode\n",
               p->cell->name, p->kind->name, r->tau, "responses", "unexpl.", "c", "mass", "predicted", "drawn", "apart",
               "loss", "forks", "divergence");
    }
    for (size_t i = 0; i < p->questions.n && status == SEMCAL_OK && n < (size_t)r->n_questions; i++) {
        if (r->question == NULL || strcmp(p->questions.at[i].row->id, r->question) == 0) {
            n++;
            status = do_question(&sum, rows, samples, r, p, &p->questions.at[i], error);
        }
    }
    if (status == SEMCAL_OK && n == 0) {
        status = sc_error_set(error, SEMCAL_E_CONFIG, "cell %s has no question '%s'", p->cell->name, r->question);
    }
    if (status == SEMCAL_OK && r->json) {
        status = print_json(r, p, &sum, rows, error);
    } else if (status == SEMCAL_OK) {
        print_end(&sum);
    }
    json_decref(rows);
    if (status == SEMCAL_OK && sum.n_left > 0) {
        status =
            sum.n_tilted > 0 ? SEMCAL_PARTIAL : sc_error_set(error, SEMCAL_E_NUMERIC, "no question could be tilted");
    }
    return status;
}

semcal_status sc_cli_tilt(int argc, char **argv, semcal_error *error)
{
    request r = {.n_questions = 10, .n_draws = 1000, .budget = 20000, .tau = 1, .epsilon = 0.01};
    bool help;
    const sc_cli_option options[] = {
        {"tau", 't', SC_CLI_REAL, &r.tau, "NATS", "tilt of the mode class (default: 1)"},
        {"cell", 0, SC_CLI_TEXT, &r.cell, "NAME", "cell of the configuration (default: the first)"},
        {"question", 0, SC_CLI_TEXT, &r.question, "ID", "this question only"},
        {"questions", 'n', SC_CLI_INT, &r.n_questions, "N", "the first N questions (default: 10)"},
        {"draws", 0, SC_CLI_INT, &r.n_draws, "M", "responses drawn from the tilted law (default: 1000)"},
        {"forks", 0, SC_CLI_INT, &r.n_forks, "R", "also with g from R continuations (default: 0, not)"},
        {"epsilon", 0, SC_CLI_REAL, &r.epsilon, "MASS", "enumerate until this is unexplored (default: 0.01)"},
        {"budget", 0, SC_CLI_INT, &r.budget, "N", "forward tokens per question at most (default: 20000)"},
        {"samples", 0, SC_CLI_TEXT, &r.samples, "JSONL", "write the draws, one line each"},
        {"set", 0, SC_CLI_LIST, &r.set, "KEY=VALUE", "override a key of the configuration; may be repeated"},
        {"device", 'd', SC_CLI_TEXT, &r.device, "P:D|NAME", "OpenCL device; default: the best one"},
        {"json", 0, SC_CLI_FLAG, &r.json, NULL, "print JSON"},
    };
    const char *operands[64];
    int n_operands;
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options,
                                        argc, argv, error);
    if (status != SEMCAL_OK || help || (status = check(&r, error)) != SEMCAL_OK) {
        return status;
    }
    place p = {0};
    FILE *samples = NULL;
    status = open_place(&p, &r, operands[0], error);
    if (status == SEMCAL_OK && r.samples != NULL && (samples = fopen(r.samples, "w")) == NULL) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", r.samples, strerror(errno));
    }
    if (status == SEMCAL_OK) {
        status = do_questions(&r, &p, samples, error);
    }
    if (samples != NULL && fclose(samples) != 0 && (status == SEMCAL_OK || status == SEMCAL_PARTIAL)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot write: %s", r.samples, strerror(errno));
    }
    close_place(&p);
    return status;
}
