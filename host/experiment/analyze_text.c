/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/analyze_text.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/parallel.h"
#include "experiment/text_store.h"
#include "statistics/bootstrap.h"
#include "statistics/gap.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the bootstrap repeats. */
enum { ACCURACY, OVERCONFIDENCE, LOG_LOSS, SMECE, CLASSWISE, N_REPEATED, N_VALUES = N_REPEATED + SC_TEXT_FAMILIES };

typedef struct text_reading {
    const sc_config *config;
    const sc_cell *cell;
    sc_text_file file;
    size_t B, K, S;
    double *grids;         /* [6, G] sums over all blocks: top-1, class-wise */
    double *mass;          /* [S, K] class masses of the sampled tokens */
    double *gain;          /* [families, B] cross-fitted savings, summed over the block's tokens */
    double *gain_tokens;   /* [families, B] how many tokens that was */
    double *pairs;         /* [3, G] scratch */
    sc_smece_work **works; /* [threads] of the bootstrap */
    double *room;          /* [threads, 2, G] */
    unsigned n_threads;
} text_reading;

const char *sc_analysis_text_family(int family)
{
    static const char *const names[SC_TEXT_FAMILIES] = {"temperature", "bias",      "shift",
                                                        "affine",      "lipschitz", "isotonic"};
    return names[family];
}

/* ---- sums over blocks ---- */

/* Sums of the blocks whose remainder modulo `folds` is not `without` (folds 0: all of them). */
static void sum_grids(double *out, const text_reading *r, size_t folds, size_t without)
{
    const sc_text_sums *s = &r->file.sums;
    const double *const all[6] = {s->top_weight,       s->top_right,       s->top_confidence,
                                  s->classwise_weight, s->classwise_right, s->classwise_confidence};
    memset(out, 0, 6 * SC_PAIR_GRID * sizeof *out);
    for (size_t b = 0; b < r->B; b++) {
        if (folds > 0 && b % folds == without) {
            continue;
        }
        for (size_t i = 0; i < 6; i++) {
            for (size_t g = 0; g < SC_PAIR_GRID; g++) {
                out[i * SC_PAIR_GRID + g] += all[i][b * SC_PAIR_GRID + g];
            }
        }
    }
}

static sc_pair_grid grid_at(double *grids, size_t which)
{
    double *at = grids + 3 * which * SC_PAIR_GRID;
    return (sc_pair_grid){at, at + SC_PAIR_GRID, at + 2 * (size_t)SC_PAIR_GRID};
}

/* ---- gaps ---- */

static semcal_status temperature_gap(sc_analysis_text *out, text_reading *r, size_t folds)
{
    const sc_text_sums *s = &r->file.sums;
    double weight[SC_TEMPERATURES], mean = 0;
    sc_token_gap_temperature(&out->temperature_best, weight, out->loss);
    for (size_t p = 0; p < SC_TEMPERATURES; p++) {
        mean += weight[p] * out->loss[p];
    }
    out->gap[SC_TEXT_TEMPERATURE_GAP].in_sample = out->loss[SC_TEMPERATURE_ONE] - mean;
    for (size_t f = 0; f < folds; f++) {
        double rest[SC_TEMPERATURES] = {0}, best;
        for (size_t b = 0; b < r->B; b++) {
            for (size_t p = 0; p < SC_TEMPERATURES && b % folds != f; p++) {
                rest[p] += s->loss[b * SC_TEMPERATURES + p];
            }
        }
        sc_token_gap_temperature(&best, weight, rest);
        for (size_t b = f; b < r->B; b += folds) {
            const double *loss = s->loss + b * SC_TEMPERATURES;
            double saved = loss[SC_TEMPERATURE_ONE];
            for (size_t p = 0; p < SC_TEMPERATURES; p++) {
                saved -= weight[p] * loss[p];
            }
            r->gain[SC_TEXT_TEMPERATURE_GAP * r->B + b] = saved;
            r->gain_tokens[SC_TEXT_TEMPERATURE_GAP * r->B + b] = (double)s->tokens[b];
        }
    }
    return SEMCAL_OK;
}

/* Class biases and tilts of the confidence do not go through the perturbation kernels as the temperatures do: they are
 * fitted here, to the whole text and once per fold, after the model has read it, while a kernel wants them before. A
 * second reading of the text for every fitted tilt would be needed. What a tilt changes depends on the class masses
 * alone, log sum_k e^{tau_k} pi_k - tau_class, and those the kernels have given. */
static semcal_status bias_gap(sc_analysis_text *out, text_reading *r, size_t folds, semcal_error *error)
{
    const sc_text_sums *s = &r->file.sums;
    double *bias = sc_memory_alloc(r->K, sizeof *bias, error);
    uint8_t *use = sc_memory_alloc(r->S, sizeof *use, error);
    semcal_status status = bias == NULL || use == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_token_gap_bias(out->class_bias, r->mass, s->sample_class, NULL, r->S, r->K, error);
    }
    sc_sum saved = {0, 0};
    for (size_t i = 0; i < r->S && status == SEMCAL_OK; i++) {
        sc_sum_add(&saved, sc_token_gap_bias_gain(out->class_bias, r->mass + i * r->K, s->sample_class[i], r->K));
    }
    out->gap[SC_TEXT_BIAS_GAP].in_sample = r->S > 0 ? sc_sum_value(&saved) / (double)r->S : NAN;
    for (size_t f = 0; f < folds && status == SEMCAL_OK; f++) {
        for (size_t i = 0; i < r->S; i++) {
            use[i] = (size_t)s->sample_block[i] % folds != f;
        }
        status = sc_token_gap_bias(bias, r->mass, s->sample_class, use, r->S, r->K, error);
        for (size_t i = 0; i < r->S && status == SEMCAL_OK; i++) {
            if (use[i] == 0) {
                const size_t at = SC_TEXT_BIAS_GAP * r->B + (size_t)s->sample_block[i];
                r->gain[at] += sc_token_gap_bias_gain(bias, r->mass + i * r->K, s->sample_class[i], r->K);
                r->gain_tokens[at] += 1;
            }
        }
    }
    free(bias);
    free(use);
    return status;
}

/* Loss that a tilt saves on the pairs of a block. */
static double tilt_gain(const sc_gap_tilt *tilt, const sc_pair_grid *grid)
{
    double saved = 0;
    for (size_t g = 0; g < SC_PAIR_GRID; g++) {
        if (grid->weight[g] > 0) {
            const double c = fmin(1, grid->confidence[g] / grid->weight[g]), tau = sc_gap_tilt_at(tilt, c);
            saved += tau * grid->right[g] - grid->weight[g] * log1p(c * expm1(tau));
        }
    }
    return saved;
}

/* The tilts of one family fitted on `grids`; savings of the blocks of fold `f` when there are folds. */
static semcal_status tilt_fit(double *gap, text_reading *r, double *grids, sc_gap_family family, size_t folds, size_t f,
                              semcal_error *error)
{
    const sc_text_sums *s = &r->file.sums;
    const sc_pair_grid top = grid_at(grids, 0);
    double *c = r->pairs, *a = c + SC_PAIR_GRID, *w = a + SC_PAIR_GRID;
    const size_t n = sc_pair_grid_pairs(c, a, w, &top), row = (size_t)SC_TEXT_SHIFT_GAP + (size_t)family;
    sc_pool pool = {0};
    sc_gap_tilt tilt = {0};
    semcal_status status = sc_pool_make(&pool, c, a, w, n, error);
    if (status == SEMCAL_OK) {
        status = sc_gap_fit(&tilt, gap, NULL, family, &pool, error);
    }
    for (size_t b = f; folds > 0 && b < r->B && status == SEMCAL_OK; b += folds) {
        const sc_pair_grid block = {s->top_weight + b * SC_PAIR_GRID, s->top_right + b * SC_PAIR_GRID,
                                    s->top_confidence + b * SC_PAIR_GRID};
        r->gain[row * r->B + b] = tilt_gain(&tilt, &block);
        r->gain_tokens[row * r->B + b] = (double)s->tokens[b];
    }
    sc_gap_free(&tilt);
    sc_pool_free(&pool);
    return status;
}

static semcal_status tilt_gaps(sc_analysis_text *out, text_reading *r, size_t folds, semcal_error *error)
{
    double *rest = sc_memory_alloc(6 * SC_PAIR_GRID, sizeof *rest, error), ignored;
    semcal_status status = rest == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (int family = SC_GAP_SHIFT; family <= SC_GAP_ISOTONIC && status == SEMCAL_OK; family++) {
        status =
            tilt_fit(&out->gap[SC_TEXT_SHIFT_GAP + family].in_sample, r, r->grids, (sc_gap_family)family, 0, 0, error);
    }
    for (size_t f = 0; f < folds && status == SEMCAL_OK; f++) {
        sum_grids(rest, r, folds, f);
        for (int family = SC_GAP_SHIFT; family <= SC_GAP_ISOTONIC && status == SEMCAL_OK; family++) {
            status = tilt_fit(&ignored, r, rest, (sc_gap_family)family, folds, f, error);
        }
    }
    free(rest);
    return status;
}

static semcal_status gaps(sc_analysis_text *out, text_reading *r, semcal_error *error)
{
    size_t folds = (size_t)r->config->analyze.folds;
    folds = folds <= r->B ? folds : 0; /* too little text to leave a fold out */
    semcal_status status = temperature_gap(out, r, folds);
    if (status == SEMCAL_OK) {
        status = bias_gap(out, r, folds, error);
    }
    if (status == SEMCAL_OK) {
        status = tilt_gaps(out, r, folds, error);
    }
    for (size_t k = 0; k < SC_TEXT_FAMILIES; k++) {
        sc_sum saved = {0, 0}, tokens = {0, 0};
        for (size_t b = 0; b < r->B; b++) {
            sc_sum_add(&saved, r->gain[k * r->B + b]);
            sc_sum_add(&tokens, r->gain_tokens[k * r->B + b]);
        }
        out->gap[k].crossfit = folds > 0 ? sc_sum_value(&saved) / sc_sum_value(&tokens) : NAN;
    }
    return status;
}

/* ---- intervals ---- */

static semcal_status replicate(double *values, const double *times, unsigned thread, void *payload, semcal_error *error)
{
    const text_reading *r = payload;
    const sc_text_sums *s = &r->file.sums;
    double tokens = 0, correct = 0, confidence = 0, loss = 0;
    for (size_t b = 0; b < r->B; b++) {
        tokens += times[b] * (double)s->tokens[b];
        correct += times[b] * s->correct[b];
        confidence += times[b] * s->confidence[b];
        loss += times[b] * s->loss[b * SC_TEMPERATURES + SC_TEMPERATURE_ONE];
    }
    values[ACCURACY] = correct / tokens;
    values[OVERCONFIDENCE] = (confidence - correct) / tokens;
    values[LOG_LOSS] = loss / tokens;
    for (size_t k = 0; k < SC_TEXT_FAMILIES; k++) {
        double saved = 0, n = 0;
        for (size_t b = 0; b < r->B; b++) {
            saved += times[b] * r->gain[k * r->B + b];
            n += times[b] * r->gain_tokens[k * r->B + b];
        }
        values[N_REPEATED + k] = saved / n;
    }
    double *place = r->room + thread * 2 * SC_PAIR_GRID, *mass = place + SC_PAIR_GRID;
    semcal_status status = SEMCAL_OK;
    for (int which = 0; which < 2 && status == SEMCAL_OK; which++) {
        const double *right = which == 0 ? s->top_right : s->classwise_right;
        const double *sum = which == 0 ? s->top_confidence : s->classwise_confidence;
        const double *weight = which == 0 ? s->top_weight : s->classwise_weight;
        double total = 0;
        memset(mass, 0, SC_PAIR_GRID * sizeof *mass);
        for (size_t b = 0; b < r->B; b++) {
            for (size_t g = b * SC_PAIR_GRID, i = 0; times[b] > 0 && i < SC_PAIR_GRID; i++, g++) {
                mass[i] += times[b] * (right[g] - sum[g]);
                total += times[b] * weight[g];
            }
        }
        for (size_t g = 0; g < SC_PAIR_GRID; g++) {
            place[g] = (double)g / (SC_PAIR_GRID - 1);
            mass[g] /= total;
        }
        status = sc_smece_of_masses(&values[SMECE + which], r->works[thread], place, mass, SC_PAIR_GRID, 1e-7, error);
    }
    return status;
}

static semcal_status intervals(sc_analysis_text *out, text_reading *r, semcal_error *error)
{
    const size_t n = (size_t)r->config->analyze.bootstrap;
    const double unknown = NAN;
    struct {
        double *ci, estimate, least, most;
    } to[N_VALUES] = {{out->accuracy_ci, out->accuracy, 0, 1},
                      {out->overconfidence_ci, out->overconfidence, -1, 1},
                      {out->log_loss_ci, out->log_loss, 0, INFINITY},
                      {out->smece_ci, out->smece, 0, 1},
                      {out->smece_classwise_ci, out->smece_classwise, 0, 1}};
    for (size_t k = 0; k < SC_TEXT_FAMILIES; k++) {
        to[N_REPEATED + k].ci = out->gap[k].ci;
        to[N_REPEATED + k].estimate = out->gap[k].crossfit;
        to[N_REPEATED + k].least = -INFINITY;
        to[N_REPEATED + k].most = INFINITY;
    }
    for (size_t v = 0; v < N_VALUES; v++) {
        to[v].ci[0] = to[v].ci[1] = unknown;
    }
    if (n == 0 || r->B < 2) {
        return SEMCAL_OK; /* one block says nothing about spread */
    }
    double *values = sc_memory_alloc(n * N_VALUES, sizeof *values, error);
    r->works = sc_memory_alloc(r->n_threads, sizeof(sc_smece_work *), error);
    r->room = sc_memory_alloc((size_t)r->n_threads * 2 * SC_PAIR_GRID, sizeof *r->room, error);
    semcal_status status = values && r->works && r->room ? SEMCAL_OK : SEMCAL_E_MEMORY;
    for (unsigned t = 0; t < r->n_threads && status == SEMCAL_OK; t++) {
        r->works[t] = sc_smece_work_new(error);
        status = r->works[t] == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        const sc_bootstrap_options options = {(uint64_t)r->config->seed, r->cell->name, n, r->n_threads};
        status = sc_bootstrap_run(values, N_VALUES, NULL, r->B, &options, replicate, r, error);
    }
    for (size_t v = 0; v < N_VALUES && status == SEMCAL_OK; v++) {
        sc_bootstrap_basic(to[v].ci, to[v].estimate, values + v * n, n, to[v].least, to[v].most);
    }
    for (unsigned t = 0; r->works != NULL && t < r->n_threads; t++) {
        sc_smece_work_free(r->works[t]);
    }
    free(values);
    return status;
}

/* ---- one cell ---- */

static void scalars(sc_analysis_text *out, const text_reading *r)
{
    const sc_text_sums *s = &r->file.sums;
    double correct = 0, confidence = 0, entropy = 0;
    out->n_blocks = (double)r->B;
    out->n_chunks = (double)r->file.sizes.n[SC_TEXT_CHUNK];
    out->n_documents = 1 + (double)s->chunk_document[r->file.sizes.n[SC_TEXT_CHUNK] - 1];
    out->n_bias_tokens = (double)r->S;
    for (size_t b = 0; b < r->B; b++) {
        out->n_tokens += (double)s->tokens[b];
        correct += s->correct[b];
        confidence += s->confidence[b];
        entropy += s->entropy[b];
        for (size_t p = 0; p < SC_TEMPERATURES; p++) {
            out->loss[p] += s->loss[b * SC_TEMPERATURES + p];
        }
        for (size_t k = 0; k < r->K; k++) {
            out->class_frequency[k] += s->class_count[b * r->K + k];
            out->class_mass[k] += s->class_mass[b * r->K + k];
        }
    }
    for (size_t p = 0; p < SC_TEMPERATURES; p++) {
        out->loss[p] /= out->n_tokens;
    }
    for (size_t k = 0; k < r->K; k++) {
        out->class_frequency[k] /= out->n_tokens;
        out->class_mass[k] /= out->n_tokens;
    }
    out->accuracy = correct / out->n_tokens;
    out->mean_confidence = confidence / out->n_tokens;
    out->overconfidence = out->mean_confidence - out->accuracy;
    out->entropy = entropy / out->n_tokens;
    out->log_loss = out->loss[SC_TEMPERATURE_ONE];
    out->perplexity = exp(out->log_loss);
}

static semcal_status calibration(sc_analysis_text *out, text_reading *r, semcal_error *error)
{
    const sc_pair_grid top = grid_at(r->grids, 0), classwise = grid_at(r->grids, 1);
    sc_pair_grid_facts facts;
    semcal_status status = sc_pair_grid_describe(&facts, &top, error);
    out->smece = facts.smece;
    out->smece_005 = facts.smece_005;
    if (status == SEMCAL_OK) {
        status = sc_pair_grid_describe(&facts, &classwise, error);
        out->smece_classwise = facts.smece;
        out->smece_classwise_005 = facts.smece_005;
    }
    if (status == SEMCAL_OK) {
        status =
            sc_pair_grid_floor(&out->smece_floor, &out->smece_floor_95, &top, (size_t)r->config->analyze.floor_redraws,
                               (uint64_t)r->config->seed, r->cell->name, error);
    }
    if (status == SEMCAL_OK) {
        double t[SC_TEXT_CURVE], *c = r->pairs, *a = c + SC_PAIR_GRID, *w = a + SC_PAIR_GRID;
        for (size_t i = 0; i < SC_TEXT_CURVE; i++) {
            t[i] = (double)i / (SC_TEXT_CURVE - 1);
        }
        const size_t n = sc_pair_grid_pairs(c, a, w, &top);
        status = sc_smece_curve(out->curve, out->density, t, SC_TEXT_CURVE, fmax(out->smece, .01), c, a, w, n, error);
    }
    return status;
}

static semcal_status prepare(sc_analysis_text *out, text_reading *r, semcal_error *error)
{
    const sc_text_file *file = &r->file;
    r->B = file->sizes.n[SC_TEXT_BLOCK];
    r->K = file->sizes.n[SC_TEXT_CLASS];
    r->S = file->sizes.n[SC_TEXT_SAMPLE];
    r->n_threads = sc_parallel_default_threads();
    r->grids = sc_memory_alloc(6 * SC_PAIR_GRID, sizeof *r->grids, error);
    r->pairs = sc_memory_alloc(3 * SC_PAIR_GRID, sizeof *r->pairs, error);
    r->mass = sc_memory_alloc(r->S * r->K, sizeof *r->mass, error);
    r->gain = sc_memory_alloc(SC_TEXT_FAMILIES * r->B, sizeof *r->gain, error);
    r->gain_tokens = sc_memory_alloc(SC_TEXT_FAMILIES * r->B, sizeof *r->gain_tokens, error);
    out->n_classes = r->K;
    out->labels = sc_memory_alloc(r->K, sizeof *out->labels, error);
    out->class_frequency = sc_memory_alloc(r->K, sizeof(double), error);
    out->class_mass = sc_memory_alloc(r->K, sizeof(double), error);
    out->class_bias = sc_memory_alloc(r->K, sizeof(double), error);
    out->name = sc_memory_strdup(r->cell->name, error);
    out->model = sc_memory_strdup(r->cell->model->name, error);
    out->model_kind = sc_memory_strdup(r->cell->model->kind != NULL ? r->cell->model->kind : "", error);
    out->dataset = sc_memory_strdup(r->cell->dataset->name, error);
    out->temperature = r->cell->temperature;
    if (!r->grids || !r->pairs || !r->mass || !r->gain || !r->gain_tokens || !out->labels || !out->class_frequency ||
        !out->class_mass || !out->class_bias || !out->name || !out->model || !out->model_kind || !out->dataset) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t k = 0; k < r->K; k++) {
        out->labels[k] = sc_memory_strdup(file->labels[k], error);
        if (out->labels[k] == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    for (size_t i = 0; i < r->S * r->K; i++) {
        r->mass[i] = exp((double)file->sums.sample_logmass[i]);
    }
    for (size_t i = 0; i < r->S; i++) {
        const int32_t block = file->sums.sample_block[i], class_of = file->sums.sample_class[i];
        if (block < 0 || (size_t)block >= r->B || class_of < 0 || (size_t)class_of >= r->K) {
            return sc_error_set(error, SEMCAL_E_DATA, "sampled token %zu: impossible block or class", i);
        }
    }
    sum_grids(r->grids, r, 0, 0);
    return SEMCAL_OK;
}

semcal_status sc_analyze_text(sc_analysis_text *out, const sc_config *config, const sc_cell *cell, const char *path,
                              semcal_error *error)
{
    text_reading r = {.config = config, .cell = cell};
    *out = (sc_analysis_text){.name = NULL};
    semcal_status status = sc_text_file_open(&r.file, path, error);
    if (status == SEMCAL_OK) {
        status = prepare(out, &r, error);
        if (status == SEMCAL_OK) {
            scalars(out, &r);
            status = calibration(out, &r, error);
        }
        if (status == SEMCAL_OK) {
            status = gaps(out, &r, error);
        }
        if (status == SEMCAL_OK) {
            status = intervals(out, &r, error);
        }
        if (status != SEMCAL_OK) {
            sc_error_where(error, "%s", path);
        }
    }
    sc_text_file_free(&r.file);
    free(r.grids);
    free(r.pairs);
    free(r.mass);
    free(r.gain);
    free(r.gain_tokens);
    free(r.works);
    free(r.room);
    return status;
}

void sc_analysis_text_free(sc_analysis_text *text)
{
    for (size_t k = 0; text->labels != NULL && k < text->n_classes; k++) {
        free(text->labels[k]);
    }
    free(text->labels);
    free(text->class_frequency);
    free(text->class_mass);
    free(text->class_bias);
    free(text->name);
    free(text->model);
    free(text->model_kind);
    free(text->dataset);
    *text = (sc_analysis_text){.name = NULL};
}
