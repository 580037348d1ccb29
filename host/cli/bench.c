/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/notes.h"
#include "cli/profile.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/numeric.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

semcal_status sc_cli_bench(int argc, char **argv, semcal_error *error);

/* What can be measured, and which suites belong to it, in the order of the table. */
static const struct {
    const char *what, *name;
    semcal_status (*suite)(sc_bench *bench, semcal_error *error);
    long n_rounds; /* when none are asked for */
} suites[] = {
    {"kernels", "rows", sc_bench_rows, 15},      {"kernels", "perturb", sc_bench_perturb, 15},
    {"kernels", "gemm", sc_bench_gemm, 15},      {"decode", "decode", sc_bench_decode, 15},
    {"prefill", "prefill", sc_bench_prefill, 5}, {"prefill", "shared", sc_bench_shared, 3},
    {"job", "job", sc_bench_job_run, 3},         {"io", "io", sc_bench_io, 15},
    {"tune", "tune", sc_bench_tune, 7},
};

static double now(const sc_bench *bench)
{
    return bench->cpu_clock ? (double)clock() / CLOCKS_PER_SEC : sc_clock_now_s();
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, sc_compare_doubles);
    return sc_quantile_sorted(values, n, 0.5);
}

/* Seconds of all runs: of each case, and of what it is compared with in the same round. */
typedef struct timings {
    size_t n_rounds;
    double *own, *minus, *of; /* [n_cases, n_rounds]; `of`: the ceiling's for cases that have one */
    double *scratch;          /* [n_rounds] */
} timings;

static int compared_with(const sc_bench_case *c)
{
    return c->minus != -1 ? c->of : c->ceiling;
}

static sc_bench_entry make_entry(const sc_bench_case *cases, size_t i, const timings *t)
{
    const sc_bench_case *c = &cases[i];
    size_t n = t->n_rounds;
    const double *own = t->own + i * n, *minus = t->minus + i * n, *of = t->of + i * n;
    double *scratch = t->scratch;
    int other = compared_with(c);
    sc_bench_entry entry = {
        .unit = c->unit, .rate = (double)NAN, .ratio = (double)NAN, .low = (double)NAN, .high = (double)NAN};
    (void)snprintf(entry.name, sizeof entry.name, "%s", c->name);
    if (c->minus == -1) {
        for (size_t r = 0; r < n; r++) {
            scratch[r] = c->work / own[r] / 1e9;
        }
        entry.rate = median(scratch, n);
    }
    if (other >= 0) {
        for (size_t r = 0; r < n; r++) {
            scratch[r] = c->minus == -1 ? c->work / own[r] / (cases[other].work / of[r])
                                        : (own[r] - (c->minus < 0 ? 0 : minus[r])) / of[r];
        }
        entry.ratio = median(scratch, n);
        entry.low = sc_quantile_sorted(scratch, n, 0.25);
        entry.high = sc_quantile_sorted(scratch, n, 0.75);
        (void)snprintf(entry.ceiling, sizeof entry.ceiling, "%s%s", c->minus == -1 ? "" : "time of ",
                       cases[other].name);
    }
    memcpy(scratch, own, n * sizeof *scratch);
    entry.median_s = median(scratch, n);
    entry.best_s = scratch[0];
    return entry;
}

static semcal_status time_case(double *seconds, const sc_bench *bench, const sc_bench_case *c, semcal_error *error)
{
    double start = now(bench);
    semcal_status status = c->body(c->payload, error);
    *seconds = now(bench) - start;
    return status;
}

/* One case in one round, with what it is compared with before or after it. */
static semcal_status time_beside(const timings *t, const sc_bench *bench, const sc_bench_case *cases, size_t i,
                                 size_t round, semcal_error *error)
{
    size_t at = i * t->n_rounds + round;
    const int others[] = {cases[i].minus, compared_with(&cases[i])};
    double *const to[] = {&t->minus[at], &t->of[at]};
    bool first = (i + round) % 2 == 0;
    semcal_status status = first ? time_case(&t->own[at], bench, &cases[i], error) : SEMCAL_OK;
    for (size_t k = 0; status == SEMCAL_OK && k < 2; k++) {
        if (others[k] >= 0 && k == 1 && others[0] == others[1]) {
            *to[1] = *to[0];
        } else if (others[k] >= 0) {
            status = time_case(to[k], bench, &cases[others[k]], error);
        }
    }
    return status == SEMCAL_OK && !first ? time_case(&t->own[at], bench, &cases[i], error) : status;
}

static semcal_status time_all(const timings *t, const sc_bench *bench, const sc_bench_case *cases, size_t n_cases,
                              semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    double warm;
    for (size_t i = 0; status == SEMCAL_OK && i < n_cases; i++) {
        status = time_case(&warm, bench, &cases[i], error);
    }
    for (size_t r = 0; status == SEMCAL_OK && r < t->n_rounds; r++) {
        for (size_t i = 0; status == SEMCAL_OK && i < n_cases; i++) {
            status = bench->paired ? time_beside(t, bench, cases, i, r, error)
                                   : time_case(&t->own[i * t->n_rounds + r], bench, &cases[i], error);
        }
    }
    for (size_t i = 0; status == SEMCAL_OK && !bench->paired && i < n_cases; i++) {
        int minus = cases[i].minus, of = compared_with(&cases[i]);
        for (size_t r = 0; r < t->n_rounds; r++) {
            t->minus[i * t->n_rounds + r] = minus < 0 ? 0 : t->own[(size_t)minus * t->n_rounds + r];
            t->of[i * t->n_rounds + r] = of < 0 ? 0 : t->own[(size_t)of * t->n_rounds + r];
        }
    }
    return status;
}

semcal_status sc_bench_measure(sc_bench *bench, const sc_bench_case *cases, size_t n_cases, semcal_error *error)
{
    size_t n = n_cases * bench->n_rounds;
    double *seconds = sc_memory_alloc(3 * n + bench->n_rounds, sizeof *seconds, error);
    if (seconds == NULL) {
        return SEMCAL_E_MEMORY;
    }
    const timings t = {bench->n_rounds, seconds, seconds + n, seconds + 2 * n, seconds + 3 * n};
    semcal_status status = time_all(&t, bench, cases, n_cases, error);
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&bench->entries, &bench->capacity, bench->n + n_cases, sizeof *bench->entries, error);
    }
    for (size_t i = 0; status == SEMCAL_OK && i < n_cases; i++) {
        bench->entries[bench->n++] = make_entry(cases, i, &t);
    }
    free(seconds);
    return status;
}

semcal_status sc_bench_append(sc_bench *bench, const char *name, double median_s, double ratio, const char *ceiling,
                              semcal_error *error)
{
    semcal_status status =
        sc_memory_grow(&bench->entries, &bench->capacity, bench->n + 1, sizeof *bench->entries, error);
    if (status == SEMCAL_OK) {
        sc_bench_entry *entry = &bench->entries[bench->n++];
        *entry = (sc_bench_entry){.unit = "",
                                  .median_s = median_s,
                                  .best_s = median_s,
                                  .rate = (double)NAN,
                                  .ratio = ratio,
                                  .low = (double)NAN,
                                  .high = (double)NAN};
        (void)snprintf(entry->name, sizeof entry->name, "%s", name);
        (void)snprintf(entry->ceiling, sizeof entry->ceiling, "%s", ceiling);
    }
    return status;
}

/* ---- printing ---- */

/* A column that means nothing stays empty; what is less than 1 keeps its digits. */
static void print_number(double value, int digits)
{
    if (isnan(value)) {
        printf("%10s ", "");
    } else {
        const double size = fabs(value);
        printf("%10.*f ", size >= 0.1 || size == 0 ? digits : size >= 0.001 ? digits + 2 : digits + 4, value);
    }
}

static void print_text(const sc_bench *bench)
{
    int width = 34;
    for (size_t i = 0; i < bench->n; i++) {
        const int length = (int)strlen(bench->entries[i].name);
        width = length > width ? length : width;
    }
    const sc_device_info *facts = sc_device_facts(bench->device);
    printf("device %u:%u  %s, driver %s\n", facts->platform, facts->index, facts->name, facts->driver);
    printf("medians of %zu rounds, %s time; ratios within a round, quartiles in brackets\n\n"
           "%-*s %10s %10s %10s %-8s %7s %-15s  %s\n",
           bench->n_rounds, bench->cpu_clock ? "processor" : "wall", width, "what", "ms", "best ms", "rate", "unit",
           "ratio", "", "relative to");
    for (size_t i = 0; i < bench->n; i++) {
        const sc_bench_entry *e = &bench->entries[i];
        printf("%-*s ", width, e->name);
        print_number(e->median_s * 1e3, 3);
        print_number(e->best_s * 1e3, 3);
        print_number(e->rate, 2);
        printf("%-8s ", isnan(e->rate) ? "" : e->unit);
        if (isnan(e->ratio)) {
            printf("\n");
        } else if (isnan(e->low)) {
            printf("%7.3f %-15s  %s\n", e->ratio, "", e->ceiling);
        } else {
            printf("%7.3f [%5.3f %6.3f]  %s\n", e->ratio, e->low, e->high, e->ceiling);
        }
    }
}

static json_t *number(double value)
{
    return isnan(value) ? json_null() : json_real(value);
}

static semcal_status print_json(const sc_bench *bench, double profiled_s, semcal_error *error)
{
    json_t *profile = NULL;
    if (profiled_s > 0 && sc_cli_profile_json(&profile, bench->device, profiled_s, NULL, error) != SEMCAL_OK) {
        return error->status;
    }
    const sc_device_info *facts = sc_device_facts(bench->device);
    json_t *results = json_array();
    for (size_t i = 0; i < bench->n; i++) {
        const sc_bench_entry *e = &bench->entries[i];
        (void)json_array_append_new(results, json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:s}", "name", e->name,
                                                       "median_s", number(e->median_s), "best_s", number(e->best_s),
                                                       "rate", number(e->rate), "unit", e->unit, "ratio",
                                                       number(e->ratio), "ratio_low", number(e->low), "ratio_high",
                                                       number(e->high), "relative_to", e->ceiling));
    }
    json_t *root = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:o}", "device", facts->name, "driver", facts->driver,
                             "rounds", (json_int_t)bench->n_rounds, "clock", bench->cpu_clock ? "cpu" : "wall",
                             "version", semcal_version(), "commit", semcal_commit(), "results", results);
    if (profile != NULL) {
        (void)json_object_set_new(root, "profile", profile);
    }
    char *text = root == NULL ? NULL : json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (text == NULL) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory");
    }
    puts(text);
    free(text);
    return SEMCAL_OK;
}

/* What the command line says; rounds, prompt and live may be UNSET: the suite's own choice. */
typedef struct settings {
    const char *selector, *only, *clock_name, *model;
    long rounds, prompt, live, rows, vocabulary, questions, preamble, draws, tokens, layers;
    double head_scale;
    const char *gemm;
    bool json, profile, unshared;
} settings;

#define UNSET LONG_MIN

static bool within(long value, long least, long most)
{
    return value == UNSET || (value >= least && value <= most);
}

static semcal_status check_settings(const settings *s, semcal_error *error)
{
    if (!within(s->rounds, 1, 10000) || !within(s->rows, 1, 1000000) || !within(s->vocabulary, 1024, 524288)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "rounds 1 to 10000, rows 1 to 1000000, vocabulary 1024 to 524288");
    }
    if (!within(s->questions, 1, 100000) || !within(s->draws, 1, 1000000) || !within(s->prompt, 1, 16384) ||
        !within(s->preamble, 1, 16384) || !within(s->tokens, 1, 16384) || !within(s->layers, 1, 256) ||
        !(s->head_scale > 0) || !(s->head_scale <= 1e6)) {
        return sc_error_set(
            error, SEMCAL_E_CONFIG,
            "questions 1 to 100000, draws 1 to 1000000, prompt, preamble and tokens 1 to 16384, layers 1 to "
            "256, head-scale above 0 and at most 1e6");
    }
    if (!within(s->live, 1, 1024)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "live 1 to 1024");
    }
    if (strcmp(s->clock_name, "wall") != 0 && strcmp(s->clock_name, "cpu") != 0) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--clock: '%s' is neither wall nor cpu", s->clock_name);
    }
    return SEMCAL_OK;
}

static size_t or_zero(long value)
{
    return value == UNSET ? 0 : (size_t)value;
}

static void apply(sc_bench *bench, const settings *s)
{
    bench->cpu_clock = strcmp(s->clock_name, "cpu") == 0;
    bench->job = (sc_bench_job){s->model,          s->questions == UNSET ? 16 : (size_t)s->questions,
                                (size_t)s->draws,  s->prompt == UNSET ? 256 : (size_t)s->prompt,
                                (size_t)s->tokens, (size_t)s->layers,
                                s->head_scale};
    bench->n_rows = (size_t)s->rows;
    bench->n_vocabulary = (size_t)s->vocabulary;
    bench->n_prompt = or_zero(s->prompt);
    bench->n_live = or_zero(s->live);
    bench->n_questions = or_zero(s->questions);
    bench->n_preamble = or_zero(s->preamble);
    bench->unshared = s->unshared;
}

/* Opens the device and runs the suites of `what`; `*began_s` is when the device was open. */
static semcal_status run_suites(sc_bench *bench, double *began_s, const settings *s, const char *what,
                                const char *operands, semcal_error *error)
{
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.selector = s->selector;
    options.profile = s->profile || strcmp(what, "decode") == 0 || strcmp(what, "prefill") == 0;
    semcal_status status = SEMCAL_OK;
    bool found = false;
    for (size_t i = 0; status == SEMCAL_OK && i < sizeof suites / sizeof *suites; i++) {
        if (strcmp(suites[i].what, what) != 0) {
            continue;
        }
        found = true;
        if (s->only != NULL && strcmp(suites[i].name, s->only) != 0) {
            continue;
        }
        if (bench->device == NULL) {
            status = sc_device_open(&bench->device, &options, error);
            *began_s = sc_clock_now_s();
        }
        bench->n_rounds = (size_t)(s->rounds == UNSET ? suites[i].n_rounds : s->rounds);
        if (status == SEMCAL_OK) {
            status = suites[i].suite(bench, error);
        }
    }
    if (status == SEMCAL_OK && !found) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "cannot measure '%s'; usage: semcal bench %s", what, operands);
    }
    if (status == SEMCAL_OK && bench->device == NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--only %s: no such suite in '%s'", s->only, what);
    }
    return status;
}

static semcal_status print(const sc_bench *bench, const settings *s, double profiled_s, semcal_error *error)
{
    if (s->json) {
        return print_json(bench, profiled_s, error);
    }
    print_text(bench);
    if (!s->profile) {
        return SEMCAL_OK;
    }
    printf("\n");
    return sc_cli_profile_print(bench->device, profiled_s, NULL, error);
}

semcal_status sc_cli_bench(int argc, char **argv, semcal_error *error)
{
    static const sc_cli_usage usage = {
        "bench",
        "kernels|decode|prefill|job|io|tune",
        "achieved rates, and the ratio to the device's measured ceiling",
        1,
        1,
        "Ceilings are measured on the same device in the same process: reading and copying the same\nmemory, the "
        "products of OpenBLAS where it is installed, the matrix products of a decoding step alone.\n`job` is the whole "
        "sampling of many questions on random weights of the Qwen2.5-0.5B shape (or --model), all\nresponses of one "
        "length; --head-scale sets how peaked the laws are and so how much draws share.\n`tune` finds how this device "
        "wants its work cut and keeps that in the cache folder (or SEMCAL_TUNE); later commands use it,\nno result "
        "depends on it."};
    settings s = {.clock_name = "wall",
                  .gemm = "auto",
                  .rounds = UNSET,
                  .prompt = UNSET,
                  .live = UNSET,
                  .rows = 256,
                  .vocabulary = 151936,
                  .questions = UNSET,
                  .preamble = UNSET,
                  .draws = 50,
                  .tokens = 16,
                  .layers = 24,
                  .head_scale = 1};
    bool help;
    const sc_cli_option options[] = {
        {"json", 0, SC_CLI_FLAG, &s.json, NULL, "print JSON"},
        {"profile", 0, SC_CLI_FLAG, &s.profile, NULL, "and the device time of every kernel against its floor"},
        {"device", 'd', SC_CLI_TEXT, &s.selector, "P:D|NAME", "OpenCL device (default: the best one)"},
        {"only", 0, SC_CLI_TEXT, &s.only, "SUITE",
         "only this suite: rows, perturb, gemm, decode, prefill, shared, job, io, tune"},
        {"rounds", 0, SC_CLI_INT, &s.rounds, "N", "rounds to take medians over (15; prefill 5, shared and job 3)"},
        {"clock", 0, SC_CLI_TEXT, &s.clock_name, "wall|cpu", "cpu: processor time, steadier on a busy machine (wall)"},
        {"rows", 0, SC_CLI_INT, &s.rows, "N", "rows of logits (256)"},
        {"vocabulary", 0, SC_CLI_INT, &s.vocabulary, "V", "logits per row (151936)"},
        {"model", 0, SC_CLI_TEXT, &s.model, "DIR", "job: a model folder (default: random weights)"},
        {"questions", 0, SC_CLI_INT, &s.questions, "N", "questions per round (job 16, shared 8)"},
        {"preamble", 0, SC_CLI_INT, &s.preamble, "N", "shared: tokens that prompts begin with together (256)"},
        {"draws", 0, SC_CLI_INT, &s.draws, "M", "job, rows: draws per question or row (50)"},
        {"prompt", 0, SC_CLI_INT, &s.prompt, "N",
         "tokens of a prompt (decode 128, prefill 256 and 2048, job 256; shared, behind the preamble: 32)"},
        {"tokens", 0, SC_CLI_INT, &s.tokens, "N", "job: tokens of a response (16)"},
        {"layers", 0, SC_CLI_INT, &s.layers, "N", "job, shared: layers of the random model (24)"},
        {"head-scale", 0, SC_CLI_REAL, &s.head_scale, "S", "job: factor on all logits (1)"},
        {"gemm", 0, SC_CLI_TEXT, &s.gemm, "HOW",
         "decode, prefill, shared, job: matrix products: auto, own, clblast or bf16 (auto)"},
        {"live", 0, SC_CLI_INT, &s.live, "N", "decode: sequences of a step (1, 8 and 50)"},
        {"unshared", 0, SC_CLI_FLAG, &s.unshared, NULL, "decode: every sequence has its own copy of the prompt"},
    };
    const char **operands = sc_memory_alloc((size_t)argc, sizeof *operands, error);
    if (operands == NULL) {
        return SEMCAL_E_MEMORY;
    }
    sc_bench bench = {0};
    int n_operands = 0;
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options,
                                        argc, argv, error);
    if (status != SEMCAL_OK || help || (status = check_settings(&s, error)) != SEMCAL_OK ||
        (status = sc_gemm_choice_find(&bench.gemm, s.gemm, error)) != SEMCAL_OK) {
        goto done;
    }
    double began_s = 0;
    apply(&bench, &s);
    status = run_suites(&bench, &began_s, &s, operands[0], usage.operands, error);
    if (status == SEMCAL_OK) {
        status = print(&bench, &s, s.profile ? sc_clock_now_s() - began_s : 0, error);
    }
done:
    if (n_operands != 1 || strcmp(operands[0], "tune") != 0) { /* which has just written a new file */
        sc_cli_notes(bench.device);
    }
    sc_device_close(bench.device);
    free(bench.entries);
    free(operands);
    return status;
}
