/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job itself: M draws with exact log-probabilities for each of many questions, by the sampler and the source that
 * `semcal run` uses, on random weights of the Qwen2.5-0.5B shape or on a model folder. Every response has the same
 * length (nothing ends it early); prompts are random tokens without a common beginning.
 *
 * How much draws share follows from how peaked the laws are: the head's scale sets it.
 */
#include "cli/bench.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/numeric.h"
#include "base/random.h"
#include "sampling/generate.h"
#include "source/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_TOP = 20 }; /* what a run stores by default */

/* A source that is another one, with the time of its calls. */
typedef struct timed_source {
    sc_source base;
    sc_source *inner;
    double laws_s, extend_s;
} timed_source;

typedef struct job {
    const sc_bench_job *options;
    sc_gemm_choice gemm;
    timed_source source;
    int32_t *prompt; /* [n_questions, n_prompt] */
    size_t n_next, first_question, n_questions;
    /* over all questions and rounds */
    double top_by_node, top_by_draw, first_top; /* sums of the probability of a law's most probable token */
    uint64_t n_laws, n_draw_tokens;
} job;

static sc_source *inner_of(sc_source *source)
{
    return ((timed_source *)source)->inner;
}

static semcal_status timed_open(sc_source *source, sc_node *roots, size_t n, const size_t *first, const int32_t *ids,
                                semcal_error *error)
{
    return inner_of(source)->functions->open(inner_of(source), roots, n, first, ids, error);
}

static semcal_status timed_extend(sc_source *source, sc_node *children, size_t n, const sc_node *parents,
                                  const int32_t *tokens, semcal_error *error)
{
    const double start = sc_clock_now_s();
    semcal_status status = inner_of(source)->functions->extend(inner_of(source), children, n, parents, tokens, error);
    ((timed_source *)source)->extend_s += sc_clock_now_s() - start;
    return status;
}

static semcal_status timed_laws(sc_source *source, const sc_law_request *request, sc_law_result *result,
                                semcal_error *error)
{
    const double start = sc_clock_now_s();
    semcal_status status = inner_of(source)->functions->laws(inner_of(source), request, result, error);
    ((timed_source *)source)->laws_s += sc_clock_now_s() - start;
    return status;
}

static void timed_release(sc_source *source, size_t n, const sc_node *nodes)
{
    inner_of(source)->functions->release(inner_of(source), n, nodes);
}

static semcal_status timed_decode(sc_source *source, char **text, size_t *length, const int32_t *ids, size_t n,
                                  semcal_error *error)
{
    return inner_of(source)->functions->decode(inner_of(source), text, length, ids, n, error);
}

static void timed_bytes(sc_source *source, const char **bytes, size_t *length, int32_t token)
{
    inner_of(source)->functions->token_bytes(inner_of(source), bytes, length, token);
}

static bool never_ends(sc_source *source, int32_t token)
{
    (void)source;
    (void)token;
    return false;
}

static void timed_limits(sc_source *source, const sc_limits_plan *plan, size_t *live_nodes, size_t *batch_nodes)
{
    inner_of(source)->functions->limits(inner_of(source), plan, live_nodes, batch_nodes);
}

static const sc_source_functions timed_functions = {.open = timed_open,
                                                    .extend = timed_extend,
                                                    .laws = timed_laws,
                                                    .release = timed_release,
                                                    .decode = timed_decode,
                                                    .token_bytes = timed_bytes,
                                                    .is_end = never_ends,
                                                    .limits = timed_limits};

/* ---- questions ---- */

/* Token t of question q: SplitMix64 of both; scripts/bench_peers.py computes the same. */
static int32_t prompt_token(size_t q, size_t t, size_t n_vocabulary)
{
    uint64_t x = ((uint64_t)q << 20 | t) + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int32_t)((x ^ x >> 31) % n_vocabulary);
}

static semcal_status next_question(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    job *j = payload;
    *more = j->n_next < j->n_questions;
    if (*more) {
        const size_t n = j->options->n_prompt;
        int32_t *prompt = j->prompt + j->n_next * n;
        for (size_t t = 0; t < n; t++) {
            prompt[t] = prompt_token(j->first_question + j->n_next, t, (size_t)j->source.inner->facts.n_vocabulary);
        }
        question->item = j->first_question + j->n_next++;
        question->prompt = prompt;
        question->n_prompt = n;
    }
    return SEMCAL_OK;
}

static semcal_status take_tree(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    (void)error;
    job *j = payload;
    for (size_t i = 0; i < tree->n_nodes; i++) {
        if (isfinite(tree->entropy[i])) {
            const double top = exp(tree->top_logprob[i * N_TOP]);
            j->top_by_node += top;
            j->top_by_draw += top * tree->count[i];
        }
    }
    if (question->item == 0) {
        j->first_top = tree->top_logprob[0];
    }
    j->n_laws += tree->n_laws;
    j->n_draw_tokens += tree->n_draw_tokens;
    sc_tree_free(tree);
    return SEMCAL_OK;
}

static semcal_status run_round(job *j, size_t n_questions, size_t n_draws, double *seconds, semcal_error *error)
{
    const sc_generate_options options = {.key = sc_random_key(1, "draw", "bench"),
                                         .n_draws = (uint32_t)n_draws,
                                         .ending = {.max_tokens = (uint32_t)j->options->n_tokens},
                                         .temperature = 1,
                                         .n_top = N_TOP,
                                         .max_prompt = j->options->n_prompt};
    const sc_generate_callbacks callbacks = {.next = next_question, .finished = take_tree};
    j->n_next = 0;
    j->n_questions = n_questions;
    j->source.laws_s = j->source.extend_s = 0;
    const double start = sc_clock_now_s();
    semcal_status status = sc_generate(&j->source.base, &options, &callbacks, j, error);
    *seconds = sc_clock_now_s() - start;
    j->first_question += n_questions;
    return status;
}

/* ---- the suite ---- */

static semcal_status open_source(job *j, sc_device *device, semcal_error *error)
{
    const sc_model_config config = sc_bench_shape(j->options->n_layers, 32768);
    sc_source_model_options options = SC_SOURCE_MODEL_OPTIONS_INIT;
    options.no_tokenizer = true;
    options.model.gemm = j->gemm;
    options.model.head_scale = j->options->head_scale;
    semcal_status status = j->options->model != NULL
                               ? sc_source_model_open(&j->source.inner, j->options->model, device, &options, error)
                               : sc_source_model_open_random(&j->source.inner, &config, device, &options, error);
    if (status == SEMCAL_OK) {
        j->source.base = (sc_source){&timed_functions, j->source.inner->facts, SC_SOURCE_NONE, NULL};
    }
    return status;
}

static semcal_status add(sc_bench *bench, const char *name, double seconds, double best, double rate, const char *unit,
                         double ratio, const char *of, semcal_error *error)
{
    semcal_status status =
        sc_memory_grow(&bench->entries, &bench->capacity, bench->n + 1, sizeof *bench->entries, error);
    if (status == SEMCAL_OK) {
        sc_bench_entry *e = &bench->entries[bench->n++];
        *e = (sc_bench_entry){.unit = unit,
                              .median_s = seconds,
                              .best_s = best,
                              .rate = rate,
                              .ratio = ratio,
                              .low = (double)NAN,
                              .high = (double)NAN};
        (void)snprintf(e->name, sizeof e->name, "%s", name);
        (void)snprintf(e->ceiling, sizeof e->ceiling, "%s", of);
    }
    return status;
}

static double middle(double *values, size_t n)
{
    qsort(values, n, sizeof *values, sc_compare_doubles);
    return sc_quantile_sorted(values, n, 0.5);
}

/* whole, laws, extend: [n] seconds of the rounds. */
static semcal_status report(sc_bench *bench, const job *j, double *whole, double *laws, double *extend, size_t n,
                            semcal_error *error)
{
    static const char share[] = "time of the job";
    const double total = middle(whole, n), forward = middle(laws, n), paths = middle(extend, n);
    const double hourly = 3600.0 * (double)j->options->n_questions / total;
    const double sharing = (double)j->n_draw_tokens / (double)j->n_laws;
    const double none = (double)NAN;
    semcal_status status;
    if ((status = add(bench, "job: questions per hour", total, whole[0], hourly, "1/h", none, "", error)) !=
            SEMCAL_OK ||
        (status = add(bench, "job: laws (forward, draws)", forward, laws[0], none, "", forward / total, share,
                      error)) != SEMCAL_OK ||
        (status = add(bench, "job: paths", paths, extend[0], none, "", paths / total, share, error)) != SEMCAL_OK ||
        (status = add(bench, "job: tree on the host", total - forward - paths, total - forward - paths, none, "",
                      (total - forward - paths) / total, share, error)) != SEMCAL_OK ||
        (status = add(bench, "job: draws per forward", none, none, sharing, "", none, "", error)) != SEMCAL_OK ||
        (status = add(bench, "job: top probability, by forward", none, none, j->top_by_node / (double)j->n_laws, "",
                      none, "", error)) != SEMCAL_OK ||
        (status = add(bench, "job: top probability, by draw", none, none, j->top_by_draw / (double)j->n_draw_tokens, "",
                      none, "", error)) != SEMCAL_OK) {
        return status;
    }
    return add(bench, "job: first prompt, best log-prob", none, none, j->first_top, "nats", none, "", error);
}

semcal_status sc_bench_job_run(sc_bench *bench, semcal_error *error)
{
    const size_t n = bench->n_rounds;
    job j = {.options = &bench->job, .gemm = bench->gemm};
    double *seconds = sc_memory_alloc(3 * n, sizeof *seconds, error);
    j.prompt = sc_memory_alloc(bench->job.n_questions * bench->job.n_prompt, sizeof *j.prompt, error);
    semcal_status status =
        seconds == NULL || j.prompt == NULL ? SEMCAL_E_MEMORY : open_source(&j, bench->device, error);
    double warm;
    if (status == SEMCAL_OK) { /* kernels are built and memory touched, by a question that does not come again */
        j.first_question = (size_t)1 << 30;
        status = run_round(&j, 1, 2, &warm, error);
        j.first_question = 0;
        j.top_by_node = j.top_by_draw = 0;
        j.n_laws = j.n_draw_tokens = 0;
    }
    for (size_t r = 0; r < n && status == SEMCAL_OK; r++) {
        status = run_round(&j, bench->job.n_questions, bench->job.n_draws, &seconds[r], error);
        seconds[n + r] = j.source.laws_s;
        seconds[2 * n + r] = j.source.extend_s;
    }
    if (status == SEMCAL_OK) {
        status = report(bench, &j, seconds, seconds + n, seconds + 2 * n, n, error);
    }
    if (j.source.inner != NULL) {
        j.source.inner->functions->close(j.source.inner);
    }
    free(j.prompt);
    free(seconds);
    return status;
}
