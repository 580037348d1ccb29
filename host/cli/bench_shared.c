/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompts of many questions with a common beginning (the few-shot preamble of a dataset), by the source that `semcal
 * run` uses, on random weights of the Qwen2.5-0.5B shape: one forward after another or packed together, with a preamble
 * of their own each or with a common one, which then goes through the model once.
 */
#include "cli/bench.h"

#include "base/memory.h"
#include "source/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct workplace {
    sc_source *source;
    size_t n_questions, n_preamble, n_own;
    uint64_t n_filled; /* so often were the prompts made: never the same twice, as pages are kept */
    int32_t *token;    /* [n_questions, n_preamble + n_own] */
    size_t *first;     /* [n_questions + 1] */
    sc_node *node;     /* [n_questions] */
    size_t *no_draws;  /* [n_questions + 1] zeros */
    double *entropy, *log_normalizer;
} workplace;

/* One way to run the prompts. */
typedef struct way {
    workplace *place;
    bool common, packed;
    uint64_t n_tokens; /* through the model, the last time */
} way;

static int32_t some_token(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x = (a << 40 ^ b << 20 ^ c) + UINT64_C(0x9e3779b97f4a7c15); /* SplitMix64 */
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int32_t)((x ^ x >> 31) % 150000);
}

static semcal_status run_some(workplace *p, size_t at, size_t n, semcal_error *error)
{
    const size_t length = p->n_preamble + p->n_own;
    const sc_law_request request = {.n_nodes = n, .node = p->node, .first_draw = p->no_draws, .temperature = 1};
    sc_law_result result = {.entropy = p->entropy, .log_normalizer = p->log_normalizer};
    semcal_status status = p->source->functions->open(p->source, p->node, n, p->first, p->token + at * length, error);
    if (status == SEMCAL_OK) {
        status = p->source->functions->laws(p->source, &request, &result, error);
        p->source->functions->release(p->source, n, p->node);
    }
    return status;
}

static semcal_status run_way(void *payload, semcal_error *error)
{
    way *w = payload;
    workplace *p = w->place;
    const size_t length = p->n_preamble + p->n_own;
    const uint64_t before = p->source->facts.n_forward_tokens, number = ++p->n_filled;
    for (size_t q = 0; q < p->n_questions; q++) {
        for (size_t t = 0; t < length; t++) {
            p->token[q * length + t] = some_token(number, w->common && t < p->n_preamble ? 0 : q + 1, t);
        }
    }
    const size_t together = w->packed ? p->n_questions : 1;
    semcal_status status = SEMCAL_OK;
    for (size_t at = 0; at < p->n_questions && status == SEMCAL_OK; at += together) {
        status = run_some(p, at, together, error);
    }
    w->n_tokens = p->source->facts.n_forward_tokens - before;
    return status;
}

static semcal_status prepare(workplace *p, const sc_bench *bench, semcal_error *error)
{
    const size_t n = p->n_questions, length = p->n_preamble + p->n_own;
    const sc_model_config config = sc_bench_shape(bench->job.n_layers, 32768);
    sc_source_model_options options = SC_SOURCE_MODEL_OPTIONS_INIT;
    options.no_tokenizer = true;
    options.model.gemm = bench->gemm;
    p->token = sc_memory_alloc(n * length, sizeof *p->token, error);
    p->first = sc_memory_alloc(n + 1, sizeof *p->first, error);
    p->node = sc_memory_alloc(n, sizeof *p->node, error);
    p->no_draws = sc_memory_alloc(n + 1, sizeof *p->no_draws, error);
    p->entropy = sc_memory_alloc(n, sizeof *p->entropy, error);
    p->log_normalizer = sc_memory_alloc(n, sizeof *p->log_normalizer, error);
    if (!p->token || !p->first || !p->node || !p->no_draws || !p->entropy || !p->log_normalizer) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i <= n; i++) {
        p->first[i] = i * length;
    }
    return sc_source_model_open_random(&p->source, &config, bench->device, &options, error);
}

static void dismantle(workplace *p)
{
    if (p->source != NULL) {
        p->source->functions->close(p->source);
    }
    free(p->token);
    free(p->first);
    free(p->node);
    free(p->no_draws);
    free(p->entropy);
    free(p->log_normalizer);
}

semcal_status sc_bench_shared(sc_bench *bench, semcal_error *error)
{
    enum { N = 4 };
    workplace place = {.n_questions = bench->n_questions != 0 ? bench->n_questions : 8,
                       .n_preamble = bench->n_preamble != 0 ? bench->n_preamble : 256,
                       .n_own = bench->n_prompt != 0 ? bench->n_prompt : 32};
    way ways[N];
    char names[N][80];
    sc_bench_case cases[N];
    semcal_status status = prepare(&place, bench, error);
    for (size_t i = 0; i < N; i++) {
        ways[i] = (way){&place, i >= 2, i % 2 == 1, 0};
        cases[i] = (sc_bench_case)SC_BENCH_CASE_INIT;
        (void)snprintf(names[i], sizeof names[i], "%zu x (%zu + %zu) tokens, %s preamble, %s", place.n_questions,
                       place.n_preamble, place.n_own, ways[i].common ? "common" : "own",
                       ways[i].packed ? "packed" : "one by one");
        cases[i].name = names[i];
        cases[i].body = run_way;
        cases[i].payload = &ways[i];
        cases[i].minus = i == 0 ? -1 : -2;
        cases[i].of = i == 0 ? -1 : 0;
        cases[i].unit = "token/s";
        cases[i].work = 1e9 * (double)(place.n_questions * (place.n_preamble + place.n_own));
    }
    if (status == SEMCAL_OK) {
        status = sc_bench_measure(bench, cases, N, error);
    }
    if (status == SEMCAL_OK) {
        (void)snprintf(names[0], sizeof names[0], "tokens through the model, %llu with own preambles",
                       (unsigned long long)ways[0].n_tokens);
        status = sc_bench_append(bench, names[0], (double)NAN, (double)ways[3].n_tokens / (double)ways[0].n_tokens,
                                 "of them with a common one", error);
    }
    dismantle(&place);
    return status;
}
