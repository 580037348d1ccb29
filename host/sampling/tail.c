/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/tail.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/random.h"
#include "sampling/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Uniforms tried on one law per call, and how many in units of 1 / rest before the rest counts as rounding. */
enum { FIRST_TRIES = 64, MOST_TRIES = 65536, PATIENCE = 64 };
enum { STREAM_PLACE = 1, STREAM_REST = 2, STREAM_PATH = 3 };

typedef struct place {
    int64_t prefix;
    bool rest;
    double until; /* cumulative mass */
} place;

typedef struct sampler {
    sc_tail *tail;
    sc_source *source;
    const sc_enumeration *enumeration;
    const sc_enumerate_options *enumerated;
    const sc_tail_options *options;
    const int32_t *prompt;
    size_t n_prompt;
    place *places;
    size_t n_places;
    int32_t **beginnings; /* [n_draws] prompt, prefix and the token of a rest */
    size_t *n_beginning;
    size_t next;
} sampler;

/* Streams within the purpose: one per draw for its path, so that draws never share numbers. */
static uint64_t stream_item(const sampler *s, uint32_t stream, uint32_t draw)
{
    const uint64_t words[2] = {s->options->item, (uint64_t)stream << 32 | draw};
    unsigned char bytes[16];
    for (size_t i = 0; i < 16; i++) {
        bytes[i] = (unsigned char)(words[i / 8] >> (8 * (i % 8)));
    }
    return sc_hash64(bytes, sizeof bytes);
}

static semcal_status list_places(sampler *s, semcal_error *error)
{
    const sc_enumeration *e = s->enumeration;
    s->places = sc_memory_alloc(e->n_prefixes, sizeof *s->places, error);
    if (s->places == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_sum total = {0, 0}, neglected = {0, 0};
    for (size_t i = 0; i < e->n_prefixes; i++) {
        const sc_enumerated_prefix *p = &e->prefixes[i];
        double mass = exp(p->logprob) * (p->law < 0 ? 1 : p->rest);
        if (p->law >= 0 && p->rest < SC_TAIL_LEAST_REST) {
            sc_sum_add(&neglected, mass);
        } else if (mass > 0) {
            sc_sum_add(&total, mass);
            s->places[s->n_places++] = (place){(int64_t)i, p->law >= 0, sc_sum_value(&total)};
        }
    }
    s->tail->mass = sc_sum_value(&total);
    s->tail->neglected = sc_sum_value(&neglected);
    return SEMCAL_OK;
}

static const place *choose(const sampler *s, uint64_t u)
{
    double target = (double)(u >> 11) * 0x1p-53 * s->tail->mass;
    size_t low = 0, high = s->n_places - 1;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->places[mid].until > target) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return &s->places[low];
}

static semcal_status begin_path(sampler *s, size_t r, int64_t prefix, semcal_error *error)
{
    size_t depth = s->enumeration->prefixes[prefix].depth;
    free(s->beginnings[r]);
    s->beginnings[r] = sc_memory_alloc(s->n_prompt + depth + 1, sizeof(int32_t), error);
    if (s->beginnings[r] == NULL) {
        return SEMCAL_E_MEMORY;
    }
    memcpy(s->beginnings[r], s->prompt, s->n_prompt * sizeof(int32_t));
    sc_enumeration_path(s->enumeration, s->beginnings[r] + s->n_prompt, prefix);
    s->n_beginning[r] = s->n_prompt + depth;
    return SEMCAL_OK;
}

/* ---- the token of a rest ---- */

typedef struct tries {
    size_t n, capacity[4];
    uint64_t *uniform;
    int32_t *token, *top_token;
    double *logprob, *logprob_raw, *top_logprob;
} tries;

static void tries_free(tries *t)
{
    free(t->uniform);
    free(t->token);
    free(t->top_token);
    free(t->logprob);
    free(t->logprob_raw);
    free(t->top_logprob);
}

static semcal_status tries_room(tries *t, size_t n, semcal_error *error)
{
    t->n = n;
    semcal_status status = sc_memory_grow(&t->uniform, &t->capacity[0], n, sizeof *t->uniform, error);
    status |= sc_memory_grow(&t->token, &t->capacity[1], n, sizeof *t->token, error);
    status |= sc_memory_grow(&t->logprob, &t->capacity[2], n, sizeof(double), error);
    status |= sc_memory_grow(&t->logprob_raw, &t->capacity[3], n, sizeof(double), error);
    return status == SEMCAL_OK ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

/* First of the tokens drawn that is outside the top, or t->n. */
static size_t first_outside(const tries *t, size_t n_top)
{
    for (size_t i = 0; i < t->n; i++) {
        bool inside = false;
        for (size_t k = 0; k < n_top && !inside; k++) {
            inside = t->top_token[k] == t->token[i];
        }
        if (!inside) {
            return i;
        }
    }
    return t->n;
}

static semcal_status try_once(sampler *s, tries *t, sc_node node, semcal_error *error)
{
    const size_t first_draw[2] = {0, t->n};
    double normalizer, entropy;
    sc_law_request request = {.n_nodes = 1,
                              .node = &node,
                              .first_draw = first_draw,
                              .uniform = t->uniform,
                              .temperature = s->enumerated->temperature,
                              .n_top = s->enumerated->n_top};
    sc_law_result result = {.log_normalizer = &normalizer,
                            .entropy = &entropy,
                            .top_token = t->top_token,
                            .top_logprob = t->top_logprob,
                            .token = t->token,
                            .logprob = t->logprob,
                            .logprob_raw = t->logprob_raw};
    s->tail->n_laws++;
    s->tail->draws[s->next].n_laws++;
    return s->source->functions->laws(s->source, &request, &result, error);
}

/* Takes a token outside the top for draw r; *taken is false when none came in PATIENCE / rest tries. */
static semcal_status take_rest(sampler *s, bool *taken, size_t r, int64_t prefix, semcal_error *error)
{
    sc_tail_draw *draw = &s->tail->draws[r];
    const size_t n_top = s->enumerated->n_top, first[2] = {0, s->n_beginning[r]};
    const double most = PATIENCE / s->enumeration->prefixes[prefix].rest;
    uint64_t item = stream_item(s, STREAM_REST, (uint32_t)r);
    tries t = {.top_token = sc_memory_alloc(n_top, sizeof(int32_t), error),
               .top_logprob = sc_memory_alloc(n_top, sizeof(double), error)};
    sc_node node = -1;
    uint32_t used = 0;
    *taken = false;
    semcal_status status = t.top_token == NULL || t.top_logprob == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = s->source->functions->open(s->source, &node, 1, first, s->beginnings[r], error);
        node = status == SEMCAL_OK ? node : -1;
    }
    for (size_t n = FIRST_TRIES; status == SEMCAL_OK && !*taken && used < most;
         n = n * 4 < MOST_TRIES ? n * 4 : MOST_TRIES) {
        status = tries_room(&t, n, error);
        for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
            t.uniform[i] = sc_random_uniform(s->options->key, item, (uint32_t)prefix, used++);
        }
        status = status == SEMCAL_OK ? try_once(s, &t, node, error) : status;
        size_t i = status == SEMCAL_OK ? first_outside(&t, n_top) : t.n;
        if (i < t.n) {
            *taken = true;
            draw->rest_token = t.token[i];
            draw->rest_logprob = t.logprob[i];
            draw->rest_logprob_raw = t.logprob_raw[i];
            s->beginnings[r][s->n_beginning[r]++] = t.token[i];
        }
    }
    if (node >= 0) {
        s->source->functions->release(s->source, 1, &node);
    }
    tries_free(&t);
    return status;
}

/* ---- whole draws ---- */

static int finish_of(const sampler *s, size_t r)
{
    sc_ending_tail ending = {0};
    int finish = -1;
    for (size_t i = s->n_prompt; i < s->n_beginning[r]; i++) {
        finish = sc_ending_extend(&ending, &s->enumerated->ending, s->source, (uint32_t)(i - s->n_prompt),
                                  s->beginnings[r][i]);
    }
    return finish;
}

static semcal_status begin_draw(sampler *s, size_t r, semcal_error *error)
{
    sc_tail_draw *draw = &s->tail->draws[r];
    uint64_t item = stream_item(s, STREAM_PLACE, 0);
    bool begun = false;
    semcal_status status = SEMCAL_OK;
    s->next = r;
    for (uint32_t attempt = 0; !begun && status == SEMCAL_OK; attempt++) {
        const place *at = choose(s, sc_random_uniform(s->options->key, item, (uint32_t)r, attempt));
        const sc_enumerated_prefix *prefix = &s->enumeration->prefixes[at->prefix];
        draw->prefix = at->prefix;
        draw->rest_token = -1;
        draw->rest_logprob = draw->rest_logprob_raw = 0;
        status = begin_path(s, r, at->prefix, error);
        begun = !at->rest;
        if (status == SEMCAL_OK && at->rest) {
            status = take_rest(s, &begun, r, at->prefix, error);
        }
        draw->logprob = prefix->logprob + draw->rest_logprob;
        draw->logprob_raw = prefix->logprob_raw + draw->rest_logprob_raw;
        if (attempt == 1000) {
            status = sc_error_set(error, SEMCAL_E_NUMERIC,
                                  "the tail of an enumeration has mass %g, but no response outside the head is drawn",
                                  s->tail->mass);
        }
    }
    int finish = status == SEMCAL_OK ? finish_of(s, r) : -1;
    if (finish >= 0) {
        draw->finish = (uint8_t)finish;
        status = sc_ending_text(&draw->text, &draw->text_length, &s->enumerated->ending, s->source,
                                s->beginnings[r] + s->n_prompt, s->n_beginning[r] - s->n_prompt, finish, error);
    }
    return status;
}

static semcal_status next_path(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    sampler *s = payload;
    while (s->next < s->tail->n_draws && s->tail->draws[s->next].text != NULL) {
        s->next++;
    }
    *more = s->next < s->tail->n_draws;
    if (*more) {
        *question = (sc_generate_question){.item = stream_item(s, STREAM_PATH, (uint32_t)s->next),
                                           .prompt = s->beginnings[s->next],
                                           .n_prompt = s->n_beginning[s->next],
                                           .n_given = s->n_beginning[s->next] - s->n_prompt,
                                           .tag = (void *)(uintptr_t)s->next};
        s->next++;
    }
    return SEMCAL_OK;
}

static semcal_status end_path(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    (void)error;
    sampler *s = payload;
    sc_tail_draw *draw = &s->tail->draws[(uintptr_t)question->tag];
    draw->tree = *tree;
    draw->text = tree->text[0];
    draw->text_length = tree->text_length[0];
    draw->tree.text[0] = NULL;
    draw->finish = tree->finish[0];
    draw->logprob += tree->draw_logprob[0];
    draw->logprob_raw += tree->draw_logprob_raw[0];
    draw->n_laws += tree->n_laws;
    s->tail->n_laws += tree->n_laws;
    return SEMCAL_OK;
}

static semcal_status sample(sampler *s, semcal_error *error)
{
    sc_tail *tail = s->tail;
    size_t n = s->options->n_draws;
    tail->draws = sc_memory_alloc(n, sizeof *tail->draws, error);
    s->beginnings = sc_memory_alloc(n, sizeof *s->beginnings, error);
    s->n_beginning = sc_memory_alloc(n, sizeof *s->n_beginning, error);
    semcal_status status =
        tail->draws == NULL || s->beginnings == NULL || s->n_beginning == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    tail->n_draws = tail->draws == NULL ? 0 : n;
    for (size_t r = 0; r < n && status == SEMCAL_OK; r++) {
        status = begin_draw(s, r, error);
    }
    if (status == SEMCAL_OK) {
        sc_generate_options options = SC_GENERATE_OPTIONS_INIT;
        options.key = s->options->key;
        options.n_draws = 1;
        options.ending = s->enumerated->ending;
        options.temperature = s->enumerated->temperature;
        options.n_top = s->options->keep_top;
        options.batch_nodes = s->options->batch_nodes;
        options.max_prompt = s->n_prompt;
        options.spill = s->enumerated->spill;
        const sc_generate_callbacks callbacks = {next_path, end_path, NULL};
        s->next = 0;
        status = sc_generate(s->source, &options, &callbacks, s, error);
    }
    for (size_t r = 0; s->beginnings != NULL && r < n; r++) {
        free(s->beginnings[r]);
    }
    return status;
}

semcal_status sc_tail_sample(sc_tail *tail, sc_source *source, const sc_enumeration *enumeration,
                             const sc_enumerate_options *enumerated, const sc_tail_options *options,
                             const int32_t *prompt, size_t n_prompt, semcal_error *error)
{
    *tail = (sc_tail){0};
    sampler s = {.tail = tail,
                 .source = source,
                 .enumeration = enumeration,
                 .enumerated = enumerated,
                 .options = options,
                 .prompt = prompt,
                 .n_prompt = n_prompt};
    semcal_status status = list_places(&s, error);
    if (status == SEMCAL_OK && s.n_places > 0 && options->n_draws > 0) {
        status = sample(&s, error);
    }
    if (status != SEMCAL_OK) {
        sc_tail_free(tail);
    }
    free(s.places);
    free(s.beginnings);
    free(s.n_beginning);
    return status;
}

void sc_tail_free(sc_tail *tail)
{
    for (size_t i = 0; i < tail->n_draws; i++) {
        sc_tree_free(&tail->draws[i].tree);
        free(tail->draws[i].text);
    }
    free(tail->draws);
    *tail = (sc_tail){0};
}
