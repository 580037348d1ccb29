/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/tilt_question.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/random.h"
#include "sampling/fork.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tokens followed at each prefix, as for the estimator exact. */
enum { FOLLOWED = 64 };

typedef struct maker {
    const sc_tilt_question_options *options;
    sc_source *source;
    const sc_question *question;
    sc_collapse_question *collapse;
    sc_ending ending;
    sc_tilt_question *out;
} maker;

/* The class of a response: its place among the labels, which grow when it is a new one and `grow` says so; -1 else. */
static semcal_status class_of(int32_t *class, maker *m, const char *text, uint8_t finish, bool grow,
                              semcal_error *error)
{
    sc_collapse_class found = {0};
    semcal_status status = SEMCAL_OK;
    if (finish == SC_FINISH_LENGTH) { /* cut: unparsed, as in stored runs */
        found.label = sc_memory_strdup(SC_COLLAPSE_UNPARSED, error);
        status = found.label == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    } else {
        status = sc_collapse_classify(&found, m->collapse, text, error);
    }
    *class = -1;
    for (size_t k = 0; status == SEMCAL_OK && k < m->out->n_labels && *class < 0; k++) {
        *class = strcmp(m->out->label[k], found.label) == 0 ? (int32_t)k : -1;
    }
    if (status == SEMCAL_OK && *class < 0 && grow) {
        *class = (int32_t)m->out->n_labels;
        m->out->label[m->out->n_labels++] = found.label;
        found.label = NULL;
    }
    free(found.label);
    return status;
}

static semcal_status enumerate(maker *m, semcal_error *error)
{
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.ending = m->ending;
    options.temperature = m->options->cell->temperature;
    options.epsilon = m->options->epsilon;
    options.max_laws = m->options->max_forward_tokens;
    options.n_top = FOLLOWED;
    return sc_enumerate(&m->out->responses, m->source, &options, m->question->tokens, m->question->n_tokens, 0, error);
}

static semcal_status make_tilt(maker *m, semcal_error *error)
{
    const sc_enumeration *e = &m->out->responses;
    int32_t *classes = sc_memory_alloc(e->n_responses, sizeof *classes, error);
    m->out->label = sc_memory_alloc(e->n_responses, sizeof *m->out->label, error);
    semcal_status status = classes == NULL || m->out->label == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < e->n_responses && status == SEMCAL_OK; i++) {
        status = class_of(&classes[i], m, e->responses[i].text, e->responses[i].finish, true, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_tilt_make(&m->out->tilt, e, classes, m->out->n_labels, m->options->epsilon, error);
    }
    free(classes);
    return status;
}

static double mass_of(const sc_tilt *tilt, const double *logprob, size_t class)
{
    sc_sum sum = {0, 0};
    for (size_t i = 0; i < tilt->n_responses; i++) {
        if ((size_t)tilt->response_class[i] == class) {
            sc_sum_add(&sum, exp(logprob[i]));
        }
    }
    return sc_sum_value(&sum);
}

/* Tilts the mode and compares the ways to write the law. */
static semcal_status compare(maker *m, semcal_error *error)
{
    sc_tilt_question *out = m->out;
    const sc_tilt *tilt = &out->tilt;
    double *closed = sc_memory_alloc(tilt->n_responses, sizeof *closed, error), worst;
    double *steps = sc_memory_alloc(tilt->n_responses, sizeof *steps, error);
    out->tau = sc_memory_alloc(tilt->n_classes, sizeof *out->tau, error);
    out->logprob = sc_memory_alloc(tilt->n_responses, sizeof *out->logprob, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (closed == NULL || steps == NULL || out->tau == NULL || out->logprob == NULL) {
        goto done;
    }
    for (size_t k = 1; k < tilt->n_classes; k++) {
        out->mode = tilt->g[k] > tilt->g[out->mode] ? k : out->mode;
    }
    out->c = tilt->g[out->mode];
    out->tau[out->mode] = m->options->tau;
    out->predicted = sc_sigmoid(sc_logit(out->c) + m->options->tau);
    sc_tilt_reweighted(steps, tilt, out->tau);
    sc_tilt_closed_form(closed, tilt, out->tau);
    sc_tilt_law(out->logprob, &worst, tilt, out->tau);
    for (size_t i = 0; i < tilt->n_responses; i++) {
        out->apart = fmax(out->apart, fabs(steps[i] - closed[i]));
    }
    out->mass = mass_of(tilt, out->logprob, out->mode);
    out->correct = sc_collapse_is_correct(m->collapse, out->label[out->mode]);
    out->loss_change = log1p(out->c * expm1(m->options->tau)) - (out->correct ? m->options->tau : 0);
    status = SEMCAL_OK;
done:
    free(closed);
    free(steps);
    return status;
}

static semcal_status draw(maker *m, semcal_error *error)
{
    sc_tilt_question *out = m->out;
    const uint64_t key = sc_random_key(m->options->seed, "tilt", m->options->cell->rng_name);
    size_t inside = 0;
    out->drawn = sc_memory_alloc(m->options->n_draws, sizeof *out->drawn, error);
    semcal_status status = out->drawn == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (uint32_t j = 0; j < m->options->n_draws && status == SEMCAL_OK; j++) {
        status = sc_tilt_draw(&out->drawn[j], &out->tilt, out->tau, key, m->question->item, j, error);
        inside += status == SEMCAL_OK && (size_t)out->tilt.response_class[out->drawn[j]] == out->mode;
    }
    out->share = (double)inside / m->options->n_draws;
    return status;
}

/* Every prefix of the tree at which a response goes on, as points to fork from; tokens [n, n_prompt + deepest]. */
static size_t list_points(sc_fork_point *points, size_t *node, int32_t *tokens, size_t stride, const maker *m)
{
    const sc_tilt *tilt = &m->out->tilt;
    const sc_question *q = m->question;
    size_t n = 0;
    for (size_t i = 0; i < tilt->n_nodes; i++) {
        if (tilt->nodes[i].response < 0) {
            int32_t *own = tokens + n * stride;
            memcpy(own, q->tokens, q->n_tokens * sizeof *own);
            sc_tilt_path(tilt, own + q->n_tokens, i);
            node[n] = i;
            points[n++] = (sc_fork_point){q->item, own, q->n_tokens + tilt->nodes[i].depth, tilt->nodes[i].depth};
        }
    }
    return n;
}

/* g of a prefix from its forks; responses of classes that enumeration did not find count for none. */
static semcal_status estimate(double *g, maker *m, const sc_fork_law *law, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    memset(g, 0, m->out->n_labels * sizeof *g);
    for (size_t i = 0; i < law->n_responses && status == SEMCAL_OK; i++) {
        int32_t class;
        status = class_of(&class, m, law->responses[i].text, law->responses[i].finish, false, error);
        if (status == SEMCAL_OK && class >= 0) {
            g[class] += law->responses[i].weight;
        }
    }
    return status;
}

/* The law that is drawn from when g comes from forks, against the tilted one. */
static semcal_status with_forks(maker *m, semcal_error *error)
{
    sc_tilt *tilt = &m->out->tilt;
    const size_t stride = m->question->n_tokens + m->ending.max_tokens, k = tilt->n_classes;
    int32_t *tokens = sc_memory_alloc(tilt->n_nodes * stride, sizeof *tokens, error);
    sc_fork_point *points = sc_memory_alloc(tilt->n_nodes, sizeof *points, error);
    sc_fork_law *laws = sc_memory_alloc(tilt->n_nodes, sizeof *laws, error);
    size_t *node = sc_memory_alloc(tilt->n_nodes, sizeof *node, error), n = 0;
    double *exact = sc_memory_alloc(tilt->n_nodes * k, sizeof *exact, error), worst;
    double *logprob = sc_memory_alloc(tilt->n_responses, sizeof *logprob, error);
    semcal_status status = SEMCAL_E_MEMORY;
    if (tokens == NULL || points == NULL || laws == NULL || node == NULL || exact == NULL || logprob == NULL) {
        goto done;
    }
    memcpy(exact, tilt->g, tilt->n_nodes * k * sizeof *exact);
    n = list_points(points, node, tokens, stride, m);
    sc_fork_options options = SC_FORK_OPTIONS_INIT;
    options.key = sc_random_key(m->options->seed, "fork", m->options->cell->rng_name);
    options.n_forks = m->options->n_forks;
    options.ending = m->ending;
    options.temperature = m->options->cell->temperature;
    options.max_laws = 0;
    status = sc_fork_many(laws, m->source, &options, points, n, error);
    if (status != SEMCAL_OK) {
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        if (status == SEMCAL_OK) {
            status = estimate(tilt->g + node[i] * k, m, &laws[i], error);
        }
        sc_fork_law_free(&laws[i]);
    }
    if (status == SEMCAL_OK) {
        sc_tilt_law(logprob, &worst, tilt, m->out->tau);
        m->out->fork_mass = mass_of(tilt, logprob, m->out->mode);
        m->out->divergence = 0;
        for (size_t i = 0; i < tilt->n_responses; i++) {
            m->out->divergence += exp(m->out->logprob[i]) * (m->out->logprob[i] - logprob[i]);
        }
    }
    memcpy(tilt->g, exact, tilt->n_nodes * k * sizeof *exact);
done:
    free(tokens);
    free(points);
    free(laws);
    free(node);
    free(exact);
    free(logprob);
    return status;
}

semcal_status sc_tilt_question_make(sc_tilt_question *out, const sc_tilt_question_options *options, sc_source *source,
                                    const sc_question *question, const sc_collapse_context *context,
                                    semcal_error *error)
{
    *out = (sc_tilt_question){.share = NAN, .fork_mass = NAN, .divergence = NAN};
    maker m = {.options = options, .source = source, .question = question, .out = out};
    m.ending = (sc_ending){.max_tokens = (uint32_t)options->cell->max_tokens,
                           .stops = (const char *const *)options->cell->style->stop.at,
                           .n_stops = options->cell->style->stop.n};
    semcal_status status = sc_collapse_question_make(&m.collapse, options->kind, context, error);
    if (status == SEMCAL_OK) {
        status = enumerate(&m, error);
    }
    if (status == SEMCAL_OK && !out->responses.finished) {
        status = sc_error_set(error, SEMCAL_E_NUMERIC,
                              "%g of the mass is unexplored after %llu forward tokens, at most %g is allowed: the "
                              "tilted law is not known; raise the budget or epsilon",
                              out->responses.unexplored, (unsigned long long)out->responses.n_laws, options->epsilon);
    }
    if (status == SEMCAL_OK) {
        status = make_tilt(&m, error);
    }
    if (status == SEMCAL_OK) {
        status = compare(&m, error);
    }
    if (status == SEMCAL_OK && options->n_draws > 0) {
        status = draw(&m, error);
    }
    if (status == SEMCAL_OK && options->n_forks > 0) {
        status = with_forks(&m, error);
    }
    sc_collapse_question_free(m.collapse);
    if (status != SEMCAL_OK) {
        sc_error_where(error, "question '%s'", question->row->id);
    }
    return status;
}

void sc_tilt_question_free(sc_tilt_question *question)
{
    for (size_t k = 0; question->label != NULL && k < question->n_labels; k++) {
        free(question->label[k]);
    }
    free(question->label);
    free(question->tau);
    free(question->logprob);
    free(question->drawn);
    sc_tilt_free(&question->tilt);
    sc_enumeration_free(&question->responses);
}
