/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/greedy.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH = 256 };

/* A prompt and its continuation so far: `path` is both. */
typedef struct under_way {
    int32_t *path;
    size_t n_prompt, n_path, capacity;
    const char *name;
    void *tag;
    sc_ending_tail tail;
    sc_node node; /* -1: not with the source */
} under_way;

typedef struct greedy {
    sc_source *source;
    const sc_greedy_options *options;
    const sc_greedy_callbacks *callbacks;
    void *payload;
    under_way *at; /* [most] */
    size_t n, most;
    size_t n_batch; /* the first so many are evaluated together */
    bool no_more;
    /* of one call, [most] */
    sc_node *nodes;
    size_t *first_draw;
    double *log_normalizer, *entropy, *top_logprob;
    int32_t *top_token;
} greedy;

static semcal_status allocate(greedy *g, semcal_error *error)
{
    g->at = sc_memory_alloc(g->most, sizeof *g->at, error);
    g->nodes = sc_memory_alloc(g->most, sizeof *g->nodes, error);
    g->first_draw = sc_memory_alloc(g->most + 1, sizeof *g->first_draw, error);
    g->log_normalizer = sc_memory_alloc(g->most, sizeof *g->log_normalizer, error);
    g->entropy = sc_memory_alloc(g->most, sizeof *g->entropy, error);
    g->top_logprob = sc_memory_alloc(g->most, sizeof *g->top_logprob, error);
    g->top_token = sc_memory_alloc(g->most, sizeof *g->top_token, error);
    const bool complete = g->at != NULL && g->nodes != NULL && g->first_draw != NULL && g->log_normalizer != NULL &&
                          g->entropy != NULL && g->top_logprob != NULL && g->top_token != NULL;
    return complete ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static void let_go(greedy *g, under_way *w)
{
    if (w->node >= 0) {
        g->source->functions->release(g->source, 1, &w->node);
        w->node = -1;
    }
}

static void drop(greedy *g)
{
    for (size_t i = 0; i < g->n; i++) {
        let_go(g, &g->at[i]);
        free(g->at[i].path);
    }
    free(g->at);
    free(g->nodes);
    free(g->first_draw);
    free(g->log_normalizer);
    free(g->entropy);
    free(g->top_logprob);
    free(g->top_token);
}

static void name_prompt(const under_way *w, semcal_error *error)
{
    if (w->name != NULL) {
        sc_error_where(error, "question '%s': after %zu tokens of a reply", w->name, w->n_path - w->n_prompt);
    }
}

static semcal_status admit(greedy *g, semcal_error *error)
{
    while (!g->no_more && g->n < g->n_batch) {
        sc_greedy_prompt prompt = {0};
        bool more = true;
        semcal_status status = g->callbacks->next(&prompt, &more, g->payload, error);
        if (status != SEMCAL_OK || !more) {
            g->no_more = !more;
            return status;
        }
        g->at[g->n++] = (under_way){.path = prompt.tokens,
                                    .n_prompt = prompt.n_tokens,
                                    .n_path = prompt.n_tokens,
                                    .capacity = prompt.n_tokens,
                                    .name = prompt.name,
                                    .tag = prompt.tag,
                                    .node = -1};
    }
    return SEMCAL_OK;
}

/* Gives handles to those of the batch that are paths only. */
static semcal_status open_paths(greedy *g, size_t n_batch, semcal_error *error)
{
    for (size_t i = 0; i < n_batch; i++) {
        under_way *w = &g->at[i];
        const size_t first[2] = {0, w->n_path};
        if (w->node >= 0) {
            continue;
        }
        semcal_status status = g->source->functions->open(g->source, &w->node, 1, first, w->path, error);
        if (status != SEMCAL_OK) {
            w->node = -1;
            name_prompt(w, error);
            return status;
        }
    }
    return SEMCAL_OK;
}

static semcal_status hand_over(greedy *g, const under_way *w, int finish, semcal_error *error)
{
    char *text = NULL;
    sc_greedy_reply reply = {
        .tokens = w->path + w->n_prompt, .n_tokens = w->n_path - w->n_prompt, .finish = (sc_finish)finish};
    const sc_phase before = sc_phases_enter(g->source->phases, SC_PHASE_TEXT);
    semcal_status status = sc_ending_text(&text, &reply.text_length, &g->options->ending, g->source, reply.tokens,
                                          reply.n_tokens, finish, error);
    (void)sc_phases_enter(g->source->phases, before);
    if (status == SEMCAL_OK) {
        reply.text = text;
        status = g->callbacks->finished(w->tag, &reply, g->payload, error);
    }
    free(text);
    return status;
}

/* The token the law of `w` puts first: the reply ends with it or goes on. */
static semcal_status take(greedy *g, under_way *w, int32_t token, bool *done, semcal_error *error)
{
    const uint32_t before = (uint32_t)(w->n_path - w->n_prompt);
    semcal_status status = sc_memory_grow(&w->path, &w->capacity, w->n_path + 1, sizeof *w->path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    w->path[w->n_path++] = token;
    const int finish = sc_ending_extend(&w->tail, &g->options->ending, g->source, before, token);
    *done = finish >= 0;
    if (*done) {
        let_go(g, w);
        return hand_over(g, w, finish, error);
    }
    sc_node child;
    status = g->source->functions->extend(g->source, &child, 1, &w->node, &token, error);
    if (status == SEMCAL_OK) {
        let_go(g, w);
        w->node = child;
    } else {
        name_prompt(w, error);
    }
    return status;
}

static semcal_status take_all(greedy *g, size_t n_batch, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    size_t kept = 0;
    for (size_t i = 0; i < g->n; i++) {
        under_way *w = &g->at[i];
        bool done = false;
        if (i < n_batch && status == SEMCAL_OK) {
            status = take(g, w, g->top_token[i], &done, error);
        }
        if (done) {
            free(w->path);
        } else {
            g->at[kept++] = *w;
        }
    }
    g->n = kept;
    return status;
}

/* After a call for which the memory did not suffice: half as many at once, the others stay paths until it is their
 * turn. False when a single one was too much. */
static bool shrink(greedy *g, size_t n_batch)
{
    if (n_batch <= 1) {
        return false;
    }
    g->n_batch = n_batch / 2;
    for (size_t i = g->n_batch; i < g->n; i++) {
        let_go(g, &g->at[i]);
    }
    return true;
}

static semcal_status step(greedy *g, semcal_error *error)
{
    const size_t n_batch = g->n < g->n_batch ? g->n : g->n_batch;
    semcal_status status = open_paths(g, n_batch, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < n_batch; i++) {
        g->nodes[i] = g->at[i].node;
    }
    const sc_law_request request = {
        .n_nodes = n_batch, .node = g->nodes, .first_draw = g->first_draw, .temperature = 1, .n_top = 1};
    sc_law_result result = {.log_normalizer = g->log_normalizer,
                            .entropy = g->entropy,
                            .top_token = g->top_token,
                            .top_logprob = g->top_logprob};
    semcal_error why = SEMCAL_ERROR_INIT;
    g->source->failed = SC_SOURCE_NONE;
    status = g->source->functions->laws(g->source, &request, &result, &why);
    if (status != SEMCAL_OK && g->source->facts.out_of_memory && shrink(g, n_batch)) {
        return SEMCAL_OK; /* the next step tries with fewer */
    }
    if (status != SEMCAL_OK) {
        if (g->source->failed < n_batch) {
            name_prompt(&g->at[g->source->failed], &why);
        }
        return sc_error_set(error, status, "%s", why.message);
    }
    return take_all(g, n_batch, error);
}

semcal_status sc_greedy(sc_source *source, const sc_greedy_options *options, const sc_greedy_callbacks *callbacks,
                        void *payload, semcal_error *error)
{
    greedy g = {.source = source, .options = options, .callbacks = callbacks, .payload = payload};
    semcal_status status = sc_ending_check(&options->ending, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t live = 0, batch = 0;
    /* a reply and the next prefix of it are alive together for a moment */
    const sc_limits_plan plan = {options->max_prompt, options->ending.max_tokens, 2};
    source->functions->limits(source, &plan, &live, &batch);
    g.most = batch > 0 ? batch : DEFAULT_BATCH;
    g.most = options->batch_prompts > 0 && options->batch_prompts < g.most ? options->batch_prompts : g.most;
    g.most = live > 0 && live / 2 < g.most ? (live > 1 ? live / 2 : 1) : g.most;
    g.n_batch = g.most;
    status = allocate(&g, error);
    while (status == SEMCAL_OK) {
        status = admit(&g, error);
        if (status != SEMCAL_OK || g.n == 0) {
            break;
        }
        status = step(&g, error);
        if (status == SEMCAL_OK && callbacks->stopped != NULL && callbacks->stopped(payload)) {
            status = SEMCAL_INTERRUPTED;
        }
    }
    drop(&g);
    return status;
}
