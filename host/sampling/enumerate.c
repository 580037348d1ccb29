/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/enumerate.h"

#include "base/memory.h"
#include "base/numeric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is known of a prefix while it is open. */
typedef struct state {
    sc_node node; /* -1: exists as a path only */
    sc_ending_tail tail;
} state;

typedef struct search {
    sc_source *source;
    const sc_enumerate_options *options;
    const int32_t *prompt;
    size_t n_prompt, n_given;
    size_t number;             /* of the prompt among those to be searched */
    size_t n_live, live_nodes; /* handles there are, at most; 0: no limit */
    size_t at, n_taken;        /* its part of the call under way */
    state *states;             /* of out->prefixes */
    size_t states_capacity;
    int64_t *heap; /* open prefixes, the heaviest on top */
    size_t n_heap, heap_capacity;
    sc_enumeration *out;
    size_t entropy_capacity, normalizer_capacity, top_token_capacity, top_logprob_capacity, logits_capacity;
    sc_sum found;
} search;

/* ---- the heap: heavier first, then older, so that the order never depends on chance ---- */

static bool heavier(const search *s, int64_t a, int64_t b)
{
    double x = s->out->prefixes[a].logprob, y = s->out->prefixes[b].logprob;
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

void sc_enumeration_path(const sc_enumeration *e, int32_t *tokens, int64_t at)
{
    for (size_t i = e->prefixes[at].depth; i > 0; i--, at = e->prefixes[at].parent) {
        tokens[i - 1] = e->prefixes[at].token;
    }
}

static semcal_status add_response(search *s, const sc_enumerated_prefix *end, int finish, semcal_error *error)
{
    sc_enumeration *out = s->out;
    semcal_status status =
        sc_memory_grow(&out->responses, &out->capacity, out->n_responses + 1, sizeof *out->responses, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    size_t n = end->depth, n_given = s->n_given;
    int32_t *all = sc_memory_alloc(n_given + n, sizeof *all, error);
    sc_enumerated fresh = {.logprob = end->logprob,
                           .logprob_raw = end->logprob_raw,
                           .parent = end->parent,
                           .n_tokens = n,
                           .finish = (uint8_t)finish};
    fresh.tokens = sc_memory_alloc(n, sizeof *fresh.tokens, error);
    if (fresh.tokens == NULL || all == NULL) {
        free(all);
        free(fresh.tokens);
        return SEMCAL_E_MEMORY;
    }
    sc_enumeration_path(out, fresh.tokens, end->parent);
    fresh.tokens[n - 1] = end->token;
    memcpy(all, s->prompt + s->n_prompt - n_given, n_given * sizeof *all);
    memcpy(all + n_given, fresh.tokens, n * sizeof *all);
    const sc_phase before = sc_phases_enter(s->source->phases, SC_PHASE_TEXT);
    status = sc_ending_text(&fresh.text, &fresh.text_length, &s->options->ending, s->source, all, n_given + n, finish,
                            error);
    (void)sc_phases_enter(s->source->phases, before);
    free(all);
    if (status != SEMCAL_OK) {
        free(fresh.tokens);
        return status;
    }
    out->responses[out->n_responses++] = fresh;
    sc_sum_add(&s->found, exp(end->logprob));
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
        sc_node *node = &s->states[taken[i]].node;
        size_t depth = s->out->prefixes[taken[i]].depth;
        if (*node >= 0) {
            continue;
        }
        int32_t *tokens = sc_memory_alloc(s->n_prompt + depth, sizeof *tokens, error);
        if (tokens == NULL) {
            return SEMCAL_E_MEMORY;
        }
        memcpy(tokens, s->prompt, s->n_prompt * sizeof *tokens);
        sc_enumeration_path(s->out, tokens + s->n_prompt, taken[i]);
        const size_t first[2] = {0, s->n_prompt + depth};
        semcal_status status = s->source->functions->open(s->source, node, 1, first, tokens, error);
        free(tokens);
        if (status != SEMCAL_OK) {
            *node = -1;
            return status;
        }
        s->n_live++;
    }
    return SEMCAL_OK;
}

/* Puts token `token` behind prefix `at`: a response, or a new open prefix (with a handle while there is room). */
static semcal_status follow(search *s, int64_t at, int32_t token, double logprob, double logprob_raw,
                            semcal_error *error)
{
    sc_enumeration *out = s->out;
    sc_enumerated_prefix child = out->prefixes[at];
    state beginning = {-1, s->states[at].tail};
    child.parent = at;
    child.token = token;
    child.depth++;
    child.logprob += logprob;
    child.logprob_raw += logprob_raw;
    child.law = -1;
    child.rest = 0;
    int finish = sc_ending_extend(&beginning.tail, &s->options->ending, s->source,
                                  (uint32_t)s->n_given + child.depth - 1, token);
    if (finish >= 0) {
        return add_response(s, &child, finish, error);
    }
    semcal_status status =
        sc_memory_grow(&out->prefixes, &out->prefixes_capacity, out->n_prefixes + 1, sizeof *out->prefixes, error);
    status |= sc_memory_grow(&s->states, &s->states_capacity, out->n_prefixes + 1, sizeof *s->states, error);
    if (status == SEMCAL_OK && (s->live_nodes == 0 || s->n_live < s->live_nodes)) {
        status = s->source->functions->extend(s->source, &beginning.node, 1, &s->states[at].node, &token, error);
        s->n_live += status == SEMCAL_OK;
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    out->prefixes[out->n_prefixes] = child;
    s->states[out->n_prefixes] = beginning;
    return heap_push(s, (int64_t)out->n_prefixes++, error);
}

typedef struct call {
    int64_t *taken;
    sc_node *nodes;
    size_t *first_draw;
    double *normalizer, *entropy, *top_logprob;
    int32_t *top_token;
    /* away from temperature 1: one draw per law ties the tempered scale to the raw one */
    uint64_t *uniform;
    int32_t *token;
    double *logprob, *logprob_raw;
    /* laws kept as a whole; NULL without a spill */
    int64_t *logits;
    size_t n_logits;
    sc_spill *spill;
} call;

/* Keeps law i of the call as row `row`. */
static semcal_status keep_law(search *s, const call *c, size_t i, size_t row, semcal_error *error)
{
    sc_enumeration *out = s->out;
    size_t keep = s->options->keep_top, n_top = s->options->n_top;
    semcal_status status = sc_memory_grow(&out->entropy, &s->entropy_capacity, row + 1, sizeof(double), error);
    status |= sc_memory_grow(&out->log_normalizer, &s->normalizer_capacity, row + 1, sizeof(double), error);
    status |= sc_memory_grow(&out->top_token, &s->top_token_capacity, (row + 1) * keep, sizeof(int32_t), error);
    status |= sc_memory_grow(&out->top_logprob, &s->top_logprob_capacity, (row + 1) * keep, sizeof(double), error);
    if (c->logits != NULL) {
        status |= sc_memory_grow(&out->logits, &s->logits_capacity, row + 1, sizeof(int64_t), error);
    }
    if (status != SEMCAL_OK) {
        return SEMCAL_E_MEMORY;
    }
    if (c->logits != NULL) {
        out->spill = c->spill;
        out->logits[row] = c->logits[i];
        out->n_logits = row + 1;
        c->logits[i] = -1;
    }
    out->entropy[row] = c->entropy[i];
    out->log_normalizer[row] = c->normalizer[i];
    if (keep > 0) {
        memcpy(out->top_token + row * keep, c->top_token + i * n_top, keep * sizeof(int32_t));
        memcpy(out->top_logprob + row * keep, c->top_logprob + i * n_top, keep * sizeof(double));
    }
    return SEMCAL_OK;
}

static semcal_status evaluate(sc_source *source, const sc_enumerate_options *options, call *c, size_t n,
                              semcal_error *error)
{
    bool tempered = options->temperature != 1.0;
    for (size_t i = 0; i <= n; i++) {
        c->first_draw[i] = tempered ? i : 0;
    }
    sc_law_request request = {.n_nodes = n,
                              .node = c->nodes,
                              .first_draw = c->first_draw,
                              .uniform = c->uniform,
                              .temperature = options->temperature,
                              .n_top = options->n_top,
                              .spill = options->spill};
    sc_law_result result = {.log_normalizer = c->normalizer,
                            .entropy = c->entropy,
                            .top_token = c->top_token,
                            .top_logprob = c->top_logprob,
                            .token = c->token,
                            .logprob = c->logprob,
                            .logprob_raw = c->logprob_raw,
                            .logits = c->logits};
    return source->functions->laws(source, &request, &result, error);
}

/* Follows the top tokens of law i of the call. */
static semcal_status follow_law(search *s, const call *c, size_t i, semcal_error *error)
{
    const size_t n_top = s->options->n_top;
    const double temperature = s->options->temperature;
    sc_enumeration *out = s->out;
    size_t row = (size_t)out->n_laws++;
    semcal_status status = keep_law(s, c, i, row, error);
    sc_sum followed = {0, 0};
    for (size_t k = 0; k < n_top && status == SEMCAL_OK; k++) {
        int32_t token = c->top_token[i * n_top + k];
        double logprob = c->top_logprob[i * n_top + k], raw = logprob;
        if (token < 0 || logprob == -INFINITY) {
            break;
        }
        if (temperature != 1.0) {
            raw = c->logprob_raw[i] + temperature * (logprob - c->logprob[i]);
        }
        sc_sum_add(&followed, exp(logprob));
        status = follow(s, c->taken[i], token, logprob, raw, error);
    }
    double rest = 1 - sc_sum_value(&followed);
    out->prefixes[c->taken[i]].law = (int64_t)row;
    out->prefixes[c->taken[i]].rest = rest > 0 ? rest : 0;
    return status;
}

/* What the search expands next, into taken [batch_nodes]; none: it is through. */
static size_t select_prefixes(search *s, int64_t *taken)
{
    const sc_enumerate_options *o = s->options;
    size_t n = 0;
    if (1 - sc_sum_value(&s->found) <= o->epsilon) {
        return 0;
    }
    /* A law that is not expanded because there is no room to open it stays in the heap. */
    while (n < o->batch_nodes && s->n_heap > 0 && (o->max_laws == 0 || s->out->n_laws + n < o->max_laws)) {
        bool opened = s->states[s->heap[0]].node >= 0;
        if (!opened && s->live_nodes > 0 && s->n_live + n >= s->live_nodes && n > 0) {
            break;
        }
        taken[n++] = heap_pop(s);
    }
    return n;
}

/* Its part of a call whose laws are there. */
static semcal_status expand(search *s, const call *c, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = s->at; i < s->at + s->n_taken && status == SEMCAL_OK; i++) {
        status = follow_law(s, c, i, error);
        state *expanded = &s->states[c->taken[i]];
        s->source->functions->release(s->source, 1, &expanded->node);
        expanded->node = -1;
        s->n_live--;
    }
    return status;
}

static semcal_status check(const sc_enumerate_options *o, semcal_error *error)
{
    if (!(o->temperature > 0) || !isfinite(o->temperature) || !(o->epsilon >= 0 && o->epsilon < 1) || o->n_top < 1 ||
        o->keep_top > o->n_top || o->batch_nodes < 1) {
        return sc_error_set(error, SEMCAL_E_CONFIG,
                            "enumeration: temperature must be > 0, epsilon in [0, 1), n_top and batch_nodes >= 1, "
                            "keep_top <= n_top");
    }
    return sc_ending_check(&o->ending, error);
}

static semcal_status call_alloc(call *c, size_t n, size_t n_top, sc_spill *spill, semcal_error *error)
{
    *c = (call){.spill = spill};
    c->taken = sc_memory_alloc(n, sizeof *c->taken, error);
    c->nodes = sc_memory_alloc(n, sizeof *c->nodes, error);
    c->first_draw = sc_memory_alloc(n + 1, sizeof *c->first_draw, error);
    c->normalizer = sc_memory_alloc(n, sizeof(double), error);
    c->entropy = sc_memory_alloc(n, sizeof(double), error);
    c->top_logprob = sc_memory_alloc(n * n_top, sizeof(double), error);
    c->top_token = sc_memory_alloc(n * n_top, sizeof(int32_t), error);
    c->uniform = sc_memory_alloc(n, sizeof *c->uniform, error);
    c->token = sc_memory_alloc(n, sizeof *c->token, error);
    c->logprob = sc_memory_alloc(n, sizeof(double), error);
    c->logprob_raw = sc_memory_alloc(n, sizeof(double), error);
    if (spill != NULL) {
        c->logits = sc_memory_alloc(n, sizeof *c->logits, error);
        c->n_logits = c->logits != NULL ? n : 0;
        for (size_t i = 0; i < c->n_logits; i++) {
            c->logits[i] = -1;
        }
    }
    bool complete = c->taken && c->nodes && c->first_draw && c->normalizer && c->entropy && c->top_logprob &&
                    c->top_token && c->uniform && c->token && c->logprob && c->logprob_raw &&
                    (spill == NULL || c->logits);
    for (size_t i = 0; i < n && complete; i++) {
        c->uniform[i] = UINT64_C(1) << 63;
    }
    return complete ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static void call_free(call *c)
{
    free(c->taken);
    free(c->nodes);
    free(c->first_draw);
    free(c->normalizer);
    free(c->entropy);
    free(c->top_logprob);
    free(c->top_token);
    free(c->uniform);
    free(c->token);
    free(c->logprob);
    free(c->logprob_raw);
    for (size_t i = 0; i < c->n_logits; i++) {
        sc_spill_drop(c->spill, c->logits[i]);
    }
    free(c->logits);
}

/* The prompt itself is the first open prefix. */
static semcal_status begin(search *s, semcal_error *error)
{
    sc_enumeration *out = s->out;
    size_t batch = 0;
    const sc_limits_plan alone = {s->n_prompt, s->options->ending.max_tokens, 0};
    s->source->functions->limits(s->source, &alone, &s->live_nodes, &batch);
    if (s->options->live_nodes > 0 && (s->live_nodes == 0 || s->options->live_nodes < s->live_nodes)) {
        s->live_nodes = s->options->live_nodes;
    }
    semcal_status status = sc_memory_grow(&out->prefixes, &out->prefixes_capacity, 1, sizeof *out->prefixes, error);
    status |= sc_memory_grow(&s->states, &s->states_capacity, 1, sizeof *s->states, error);
    if (status != SEMCAL_OK) {
        return SEMCAL_E_MEMORY;
    }
    state root = {.node = -1};
    for (size_t i = 0; i < s->n_given; i++) {
        (void)sc_ending_extend(&root.tail, &s->options->ending, s->source, 0, s->prompt[s->n_prompt - s->n_given + i]);
    }
    out->prefixes[0] = (sc_enumerated_prefix){.parent = -1, .token = -1, .law = -1};
    s->states[0] = root;
    out->n_prefixes = 1;
    return heap_push(s, 0, error);
}

/* Gives handles back and completes the result. */
static void end(search *s)
{
    sc_enumeration *out = s->out;
    for (size_t i = 0; i < out->n_prefixes; i++) {
        if (s->states[i].node >= 0) {
            s->source->functions->release(s->source, 1, &s->states[i].node);
        }
    }
    out->mass_found = sc_sum_value(&s->found);
    out->unexplored = out->mass_found < 1 ? 1 - out->mass_found : 0;
    out->finished = out->unexplored <= s->options->epsilon;
    if (out->n_responses > 1) {
        qsort(out->responses, out->n_responses, sizeof *out->responses, compare_responses);
    }
    free(s->states);
    free(s->heap);
}

/* ---- side by side ---- */

/* Searches whose laws share calls. */
typedef struct group {
    sc_source *source;
    const sc_enumerate_options *options;
    const sc_enumerate_prompt *prompts;
    size_t n_prompts, next;
    const sc_enumerate_callbacks *callbacks;
    void *payload;
    search searches[SC_ENUMERATE_TOGETHER];
    sc_enumeration results[SC_ENUMERATE_TOGETHER];
    bool busy[SC_ENUMERATE_TOGETHER];
} group;

/* How many searches the source has room for. Only laws need memory, so the budget of laws bounds what a search needs;
 * without one there is a single search at a time. */
static size_t fit(const group *g)
{
    const sc_enumerate_options *o = g->options;
    size_t longest = 0, live = 0, batch = 0,
           n = g->n_prompts < SC_ENUMERATE_TOGETHER ? g->n_prompts : SC_ENUMERATE_TOGETHER;
    if (n <= 1 || o->max_laws == 0 || o->max_laws > SIZE_MAX / 4 || o->live_nodes > 0) {
        return 1;
    }
    for (size_t i = 0; i < g->n_prompts; i++) {
        longest = g->prompts[i].n_tokens > longest ? g->prompts[i].n_tokens : longest;
    }
    const sc_limits_plan plan = {longest, o->ending.max_tokens, (size_t)o->max_laws + o->batch_nodes};
    g->source->functions->limits(g->source, &plan, &live, &batch);
    const size_t room = live == 0 ? n : live / plan.n_together;
    return room < 1 ? 1 : room < n ? room : n;
}

/* The next part of the call: that of search i, of the prompts after it when it is through. */
static semcal_status fill(group *g, size_t i, call *c, size_t at, semcal_error *error)
{
    search *s = &g->searches[i];
    semcal_status status = SEMCAL_OK;
    while (status == SEMCAL_OK && (g->busy[i] || g->next < g->n_prompts)) {
        if (!g->busy[i]) {
            const sc_enumerate_prompt *prompt = &g->prompts[g->next];
            g->results[i] = (sc_enumeration){.keep_top = g->options->keep_top};
            *s = (search){.source = g->source,
                          .options = g->options,
                          .prompt = prompt->tokens,
                          .n_prompt = prompt->n_tokens,
                          .n_given = prompt->n_given,
                          .number = g->next++,
                          .out = &g->results[i]};
            g->busy[i] = true;
            status = begin(s, error);
        }
        s->at = at;
        s->n_taken = status == SEMCAL_OK ? select_prefixes(s, c->taken + at) : 0;
        if (status != SEMCAL_OK || s->n_taken > 0) {
            break;
        }
        end(s);
        g->busy[i] = false;
        status = g->callbacks->take(s->number, &g->results[i], g->payload, error);
    }
    return status;
}

static semcal_status search_all(group *g, size_t n_together, call *c, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (;;) {
        size_t n = 0;
        for (size_t i = 0; i < n_together && status == SEMCAL_OK; i++) {
            g->searches[i].n_taken = 0;
            status = fill(g, i, c, n, error);
            search *s = &g->searches[i];
            if (status == SEMCAL_OK && s->n_taken > 0) {
                status = open_paths(s, c->taken + n, s->n_taken, error);
                for (size_t k = n; k < n + s->n_taken; k++) {
                    c->nodes[k] = s->states[c->taken[k]].node;
                }
                n += s->n_taken;
            }
        }
        if (status != SEMCAL_OK || n == 0) {
            return status;
        }
        status = evaluate(g->source, g->options, c, n, error);
        for (size_t i = 0; i < n_together && status == SEMCAL_OK; i++) {
            status = g->busy[i] ? expand(&g->searches[i], c, error) : SEMCAL_OK;
        }
        if (status == SEMCAL_OK && g->callbacks->stopped != NULL && g->callbacks->stopped(g->payload)) {
            return SEMCAL_INTERRUPTED;
        }
    }
}

semcal_status sc_enumerate_many(sc_source *source, const sc_enumerate_options *options,
                                const sc_enumerate_prompt *prompts, size_t n_prompts,
                                const sc_enumerate_callbacks *callbacks, void *payload, semcal_error *error)
{
    semcal_status status = check(options, error);
    group *g = status == SEMCAL_OK ? sc_memory_alloc(1, sizeof *g, error) : NULL;
    if (g == NULL) {
        return status != SEMCAL_OK ? status : SEMCAL_E_MEMORY;
    }
    *g = (group){.source = source,
                 .options = options,
                 .prompts = prompts,
                 .n_prompts = n_prompts,
                 .callbacks = callbacks,
                 .payload = payload};
    const size_t n_together = fit(g);
    call c;
    status = call_alloc(&c, n_together * options->batch_nodes, options->n_top, options->spill, error);
    if (status == SEMCAL_OK) {
        status = search_all(g, n_together, &c, error);
    }
    for (size_t i = 0; i < n_together; i++) {
        if (g->busy[i]) {
            end(&g->searches[i]);
            sc_enumeration_free(&g->results[i]);
        }
    }
    call_free(&c);
    free(g);
    return status;
}

static semcal_status take_one(size_t number, sc_enumeration *enumeration, void *payload, semcal_error *error)
{
    (void)number;
    (void)error;
    *(sc_enumeration *)payload = *enumeration;
    return SEMCAL_OK;
}

semcal_status sc_enumerate(sc_enumeration *out, sc_source *source, const sc_enumerate_options *options,
                           const int32_t *prompt, size_t n_prompt, size_t n_given, semcal_error *error)
{
    static const sc_enumerate_callbacks callbacks = {take_one, NULL};
    const sc_enumerate_prompt one = {prompt, n_prompt, n_given};
    *out = (sc_enumeration){.keep_top = options->keep_top};
    return sc_enumerate_many(source, options, &one, 1, &callbacks, out, error);
}

void sc_enumeration_free(sc_enumeration *enumeration)
{
    for (size_t i = 0; i < enumeration->n_responses; i++) {
        free(enumeration->responses[i].tokens);
        free(enumeration->responses[i].text);
    }
    free(enumeration->responses);
    free(enumeration->prefixes);
    free(enumeration->entropy);
    free(enumeration->log_normalizer);
    free(enumeration->top_token);
    free(enumeration->top_logprob);
    for (size_t i = 0; i < enumeration->n_logits; i++) {
        sc_spill_drop(enumeration->spill, enumeration->logits[i]);
    }
    free(enumeration->logits);
    *enumeration = (sc_enumeration){0};
}
