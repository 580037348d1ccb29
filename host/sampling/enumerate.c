/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/enumerate.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A prefix. Parents stay in the list, so that paths can be read back. */
typedef struct prefix {
    int64_t parent; /* -1: the prompt */
    int32_t token;
    uint32_t depth;
    double logprob;
    sc_node node; /* -1: exists as a path only */
    sc_ending_tail tail;
} prefix;

typedef struct search {
    sc_source *source;
    const sc_enumerate_options *options;
    const int32_t *prompt;
    size_t n_prompt, n_live, live_nodes;
    prefix *prefixes;
    size_t n_prefixes, prefixes_capacity;
    int64_t *heap; /* open prefixes, the heaviest on top */
    size_t n_heap, heap_capacity;
    sc_enumeration *out;
    sc_sum found;
} search;

/* ---- the heap: heavier first, then older, so that the order never depends on chance ---- */

static bool heavier(const search *s, int64_t a, int64_t b)
{
    double x = s->prefixes[a].logprob, y = s->prefixes[b].logprob;
    return x > y || (!(x < y) && a < b);
}

static semcal_status heap_push(search *s, int64_t item, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&s->heap, &s->heap_capacity, s->n_heap + 1, sizeof *s->heap, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t at = s->n_heap++;
    for (; at > 0 && heavier(s, item, s->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        s->heap[at] = s->heap[(at - 1) / 2];
    }
    s->heap[at] = item;
    return SEMCAL_OK;
}

static int64_t heap_pop(search *s)
{
    int64_t top = s->heap[0], last = s->heap[--s->n_heap];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= s->n_heap) {
            break;
        }
        child += child + 1 < s->n_heap && heavier(s, s->heap[child + 1], s->heap[child]);
        if (!heavier(s, s->heap[child], last)) {
            break;
        }
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return top;
}

/* ---- responses ---- */

static void path_tokens(const search *s, int32_t *tokens, int64_t at)
{
    for (size_t i = s->prefixes[at].depth; i > 0; i--, at = s->prefixes[at].parent) {
        tokens[i - 1] = s->prefixes[at].token;
    }
}

static semcal_status add_response(search *s, int64_t parent, int32_t token, double logprob, int finish, size_t n_given,
                                  semcal_error *error)
{
    sc_enumeration *out = s->out;
    semcal_status status =
        sc_memory_grow(&out->responses, &out->capacity, out->n_responses + 1, sizeof *out->responses, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t n = (size_t)s->prefixes[parent].depth + 1;
    int32_t *all = sc_memory_alloc(n_given + n, sizeof *all, error);
    sc_enumerated fresh = {.logprob = logprob, .n_tokens = n, .finish = (uint8_t)finish};
    fresh.tokens = sc_memory_alloc(n, sizeof *fresh.tokens, error);
    if (fresh.tokens == NULL || all == NULL) {
        free(all);
        free(fresh.tokens);
        return SEMCAL_E_MEMORY;
    }
    path_tokens(s, fresh.tokens, parent);
    fresh.tokens[n - 1] = token;
    memcpy(all, s->prompt + s->n_prompt - n_given, n_given * sizeof *all);
    memcpy(all + n_given, fresh.tokens, n * sizeof *all);
    status = sc_ending_text(&fresh.text, &fresh.text_length, &s->options->ending, s->source, all, n_given + n, finish,
                            error);
    free(all);
    if (status != SEMCAL_OK) {
        free(fresh.tokens);
        return status;
    }
    out->responses[out->n_responses++] = fresh;
    sc_sum_add(&s->found, exp(logprob));
    return SEMCAL_OK;
}

static int compare_responses(const void *a, const void *b)
{
    const sc_enumerated *x = a, *y = b;
    if (x->logprob > y->logprob || x->logprob < y->logprob) {
        return x->logprob > y->logprob ? -1 : 1;
    }
    size_t n = x->n_tokens < y->n_tokens ? x->n_tokens : y->n_tokens;
    for (size_t i = 0; i < n; i++) {
        if (x->tokens[i] != y->tokens[i]) {
            return x->tokens[i] < y->tokens[i] ? -1 : 1;
        }
    }
    return (x->n_tokens > y->n_tokens) - (x->n_tokens < y->n_tokens);
}

/* ---- expansion ---- */

/* Gives handles to those of `taken` that are paths only. */
static semcal_status open_paths(search *s, const int64_t *taken, size_t n_taken, semcal_error *error)
{
    for (size_t i = 0; i < n_taken; i++) {
        prefix *p = &s->prefixes[taken[i]];
        if (p->node >= 0) {
            continue;
        }
        int32_t *tokens = sc_memory_alloc(s->n_prompt + p->depth, sizeof *tokens, error);
        if (tokens == NULL) {
            return SEMCAL_E_MEMORY;
        }
        memcpy(tokens, s->prompt, s->n_prompt * sizeof *tokens);
        path_tokens(s, tokens + s->n_prompt, taken[i]);
        const size_t first[2] = {0, s->n_prompt + p->depth};
        semcal_status status = s->source->functions->open(s->source, &p->node, 1, first, tokens, error);
        free(tokens);
        if (status != SEMCAL_OK) {
            p->node = -1;
            return status;
        }
        s->n_live++;
    }
    return SEMCAL_OK;
}

/* Puts token `token` behind prefix `at`: a response, or a new open prefix (with a handle while there is room). */
static semcal_status follow(search *s, int64_t at, int32_t token, double logprob, size_t n_given, semcal_error *error)
{
    prefix child = s->prefixes[at];
    child.parent = at;
    child.token = token;
    child.depth++;
    child.logprob += logprob;
    child.node = -1;
    int finish =
        sc_ending_extend(&child.tail, &s->options->ending, s->source, (uint32_t)n_given + s->prefixes[at].depth, token);
    if (finish >= 0) {
        return add_response(s, at, token, child.logprob, finish, n_given, error);
    }
    semcal_status status =
        sc_memory_grow(&s->prefixes, &s->prefixes_capacity, s->n_prefixes + 1, sizeof *s->prefixes, error);
    if (status == SEMCAL_OK && (s->live_nodes == 0 || s->n_live < s->live_nodes)) {
        status = s->source->functions->extend(s->source, &child.node, 1, &s->prefixes[at].node, &token, error);
        s->n_live += status == SEMCAL_OK;
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    s->prefixes[s->n_prefixes] = child;
    return heap_push(s, (int64_t)s->n_prefixes++, error);
}

typedef struct call {
    int64_t *taken;
    sc_node *nodes;
    size_t *first_draw;
    double *normalizer, *entropy, *top_logprob;
    int32_t *top_token;
} call;

static semcal_status expand(search *s, call *c, size_t n, size_t n_given, semcal_error *error)
{
    const size_t n_top = s->options->n_top;
    semcal_status status = open_paths(s, c->taken, n, error);
    for (size_t i = 0; i < n; i++) {
        c->nodes[i] = s->prefixes[c->taken[i]].node;
    }
    if (status == SEMCAL_OK) {
        sc_law_request request = {.n_nodes = n,
                                  .node = c->nodes,
                                  .first_draw = c->first_draw,
                                  .temperature = s->options->temperature,
                                  .n_top = n_top};
        sc_law_result result = {.log_normalizer = c->normalizer,
                                .entropy = c->entropy,
                                .top_token = c->top_token,
                                .top_logprob = c->top_logprob};
        status = s->source->functions->laws(s->source, &request, &result, error);
        s->out->n_laws += n;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n_top && status == SEMCAL_OK; k++) {
            int32_t token = c->top_token[i * n_top + k];
            double logprob = c->top_logprob[i * n_top + k];
            if (token < 0 || logprob == -INFINITY) {
                break;
            }
            status = follow(s, c->taken[i], token, logprob, n_given, error);
        }
        if (c->nodes[i] >= 0) {
            s->source->functions->release(s->source, 1, &c->nodes[i]);
            s->prefixes[c->taken[i]].node = -1;
            s->n_live--;
        }
    }
    return status;
}

static semcal_status run(search *s, call *c, size_t n_given, semcal_error *error)
{
    const sc_enumerate_options *o = s->options;
    semcal_status status = SEMCAL_OK;
    while (status == SEMCAL_OK && s->n_heap > 0 && 1 - sc_sum_value(&s->found) > o->epsilon) {
        size_t n = 0;
        /* A law that is not expanded because there is no room to open it stays in the heap. */
        while (n < o->batch_nodes && s->n_heap > 0 && (o->max_laws == 0 || s->out->n_laws + n < o->max_laws)) {
            bool opened = s->prefixes[s->heap[0]].node >= 0;
            if (!opened && s->live_nodes > 0 && s->n_live + n >= s->live_nodes && n > 0) {
                break;
            }
            c->taken[n++] = heap_pop(s);
        }
        if (n == 0) {
            break;
        }
        status = expand(s, c, n, n_given, error);
    }
    return status;
}

static semcal_status check(const sc_enumerate_options *o, semcal_error *error)
{
    if (!(o->temperature > 0) || !isfinite(o->temperature) || !(o->epsilon >= 0 && o->epsilon < 1) || o->n_top < 1 ||
        o->batch_nodes < 1) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "enumeration: temperature must be > 0, epsilon in [0, 1), n_top and batch_nodes >= 1");
    }
    return sc_ending_check(&o->ending, error);
}

semcal_status sc_enumerate(sc_enumeration *out, sc_source *source, const sc_enumerate_options *options,
                           const int32_t *prompt, size_t n_prompt, size_t n_given, semcal_error *error)
{
    *out = (sc_enumeration){0};
    semcal_status status = check(options, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    search s = {.source = source, .options = options, .prompt = prompt, .n_prompt = n_prompt, .out = out};
    size_t live = 0, batch = 0, n = options->batch_nodes, n_top = options->n_top;
    source->functions->limits(source, n_prompt + options->ending.max_tokens, &live, &batch);
    s.live_nodes = options->live_nodes > 0 && (live == 0 || options->live_nodes < live) ? options->live_nodes : live;
    call c = {sc_memory_alloc(n, sizeof(int64_t), error),        sc_memory_alloc(n, sizeof(sc_node), error),
              sc_memory_alloc(n + 1, sizeof(size_t), error),     sc_memory_alloc(n, sizeof(double), error),
              sc_memory_alloc(n, sizeof(double), error),         sc_memory_alloc(n * n_top, sizeof(double), error),
              sc_memory_alloc(n * n_top, sizeof(int32_t), error)};
    if (!c.taken || !c.nodes || !c.first_draw || !c.normalizer || !c.entropy || !c.top_logprob || !c.top_token) {
        status = SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&s.prefixes, &s.prefixes_capacity, 1, sizeof *s.prefixes, error);
    }
    if (status == SEMCAL_OK) {
        prefix root = {.parent = -1, .token = -1, .node = -1};
        for (size_t i = 0; i < n_given; i++) {
            (void)sc_ending_extend(&root.tail, &options->ending, source, 0, prompt[n_prompt - n_given + i]);
        }
        s.prefixes[s.n_prefixes++] = root;
        status = heap_push(&s, 0, error);
    }
    if (status == SEMCAL_OK) {
        status = run(&s, &c, n_given, error);
    }
    for (size_t i = 0; i < s.n_prefixes; i++) {
        if (s.prefixes[i].node >= 0) {
            source->functions->release(source, 1, &s.prefixes[i].node);
        }
    }
    out->mass_found = sc_sum_value(&s.found);
    out->unexplored = out->mass_found < 1 ? 1 - out->mass_found : 0;
    out->finished = out->unexplored <= options->epsilon;
    if (status != SEMCAL_OK) {
        sc_enumeration_free(out);
    } else if (out->n_responses > 1) {
        qsort(out->responses, out->n_responses, sizeof *out->responses, compare_responses);
    }
    free(s.prefixes);
    free(s.heap);
    free(c.taken);
    free(c.nodes);
    free(c.first_draw);
    free(c.normalizer);
    free(c.entropy);
    free(c.top_logprob);
    free(c.top_token);
    return status;
}

void sc_enumeration_free(sc_enumeration *enumeration)
{
    for (size_t i = 0; i < enumeration->n_responses; i++) {
        free(enumeration->responses[i].tokens);
        free(enumeration->responses[i].text);
    }
    free(enumeration->responses);
    *enumeration = (sc_enumeration){0};
}
