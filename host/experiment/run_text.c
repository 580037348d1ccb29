/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run_text.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "experiment/provenance.h"
#include "experiment/store_internal.h"
#include "experiment/text_store.h"
#include "source/model_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Further identity attributes: how the text was cut and classed. */
enum { N_OWN = 8 };

struct sc_run_text {
    const sc_run_cell *run;
    sc_text_data data;
    sc_text_classes classes;
    sc_text_sizes sizes;
    sc_text_sums sums;
    size_t *first_chunk;           /* [B+1] */
    size_t first_block, end_block; /* those of this shard */
    size_t *block_of;              /* [C] */
    uint64_t *before;              /* [C+1] scored tokens before each chunk */
    size_t sample_every;           /* one token in so many keeps its class masses */
    size_t *first_sample;          /* [B+1] */
    sc_provenance provenance;
    sc_store_attribute *attributes; /* provenance and N_OWN */
    size_t n_attributes;
    char own[N_OWN][80];
    char *path, *folder; /* of the finished file, of the segments */
    bool *dirty;         /* [B] changed since the last commit */
    double committed_s;
    /* A batch of chunks on its way through the model */
    sc_model_text *reader;
    sc_text_spec spec;
    sc_text_request request;
    sc_text_result result;
    size_t *first, *skip, *chunk; /* [+1], [], [] of the batch */
    int32_t *tokens;
    size_t n_batch, n_batch_tokens, most_chunks, most_tokens;
    double temperatures[SC_TEMPERATURES];
    char wall[32]; /* what reading took */
    sc_run_share idle;
};

typedef sc_run_text text_run;

/* ---- layout ---- */

static semcal_status lay_out(text_run *r, semcal_error *error)
{
    const size_t C = r->data.n_chunks, K = r->classes.n, B = C < SC_TEXT_BLOCKS ? C : SC_TEXT_BLOCKS;
    size_t samples = SC_TEXT_SAMPLE_NUMBERS / K;
    samples = samples < SC_TEXT_SAMPLES ? samples : SC_TEXT_SAMPLES;
    r->sample_every = (r->data.n_scored + samples - 1) / samples;
    r->first_chunk = sc_memory_alloc(B + 1, sizeof *r->first_chunk, error);
    r->first_sample = sc_memory_alloc(B + 1, sizeof *r->first_sample, error);
    r->block_of = sc_memory_alloc(C, sizeof *r->block_of, error);
    r->before = sc_memory_alloc(C + 1, sizeof *r->before, error);
    r->dirty = sc_memory_alloc(B, sizeof *r->dirty, error);
    if (!r->first_chunk || !r->first_sample || !r->block_of || !r->before || !r->dirty) {
        return SEMCAL_E_MEMORY;
    }
    /* Blocks stand by themselves, so shards that take whole blocks have the sums of an unsharded run. */
    const sc_run_options *options = r->run->options;
    r->first_block = (options->shard - 1) * B / options->n_shards;
    r->end_block = options->shard * B / options->n_shards;
    for (size_t c = 0; c < C; c++) {
        r->before[c + 1] = r->before[c] + r->data.chunks[c].n_tokens - r->data.chunks[c].skip;
    }
    for (size_t b = 0; b <= B; b++) {
        r->first_chunk[b] = b * C / B;
        r->first_sample[b] = ((size_t)r->before[r->first_chunk[b]] + r->sample_every - 1) / r->sample_every;
    }
    r->sizes = (sc_text_sizes){{[SC_TEXT_BLOCK] = B,
                                [SC_TEXT_CHUNK] = C,
                                [SC_TEXT_SAMPLE] = r->first_sample[B],
                                [SC_TEXT_CLASS] = K,
                                [SC_TEXT_TEMPERATURE] = SC_TEMPERATURES,
                                [SC_TEXT_PLACE] = SC_PAIR_GRID}};
    semcal_status status = sc_text_sums_alloc(&r->sums, &r->sizes, error);
    for (size_t b = 0; b < B && status == SEMCAL_OK; b++) {
        r->sums.block_first_chunk[b] = (int64_t)r->first_chunk[b];
        r->sums.block_chunks[b] = (int64_t)(r->first_chunk[b + 1] - r->first_chunk[b]);
        for (size_t c = r->first_chunk[b]; c < r->first_chunk[b + 1]; c++) {
            const sc_text_chunk *chunk = &r->data.chunks[c];
            r->block_of[c] = b;
            r->sums.chunk_document[c] = (int32_t)chunk->document;
            r->sums.chunk_start[c] = (int64_t)chunk->start;
            r->sums.chunk_tokens[c] = (int32_t)(chunk->n_tokens - chunk->skip);
        }
    }
    return status;
}

static sc_text_range range_of(const text_run *r, size_t first, size_t n)
{
    sc_text_range range = {.n_cell_chunks = r->data.n_chunks};
    memcpy(range.count, r->sizes.n, sizeof range.count);
    range.first[SC_TEXT_BLOCK] = first;
    range.count[SC_TEXT_BLOCK] = n;
    range.first[SC_TEXT_CHUNK] = r->first_chunk[first];
    range.count[SC_TEXT_CHUNK] = r->first_chunk[first + n] - r->first_chunk[first];
    range.first[SC_TEXT_SAMPLE] = r->first_sample[first];
    range.count[SC_TEXT_SAMPLE] = r->first_sample[first + n] - r->first_sample[first];
    return range;
}

/* ---- provenance ---- */

static semcal_status describe(text_run *r, semcal_error *error)
{
    static const char *const names[N_OWN] = {"n_tokens",  "window",         "overlap",      "n_scored",
                                             "n_classes", "classes_sha256", "sample_every", "context"};
    sc_dataset dataset = {0};
    memcpy(dataset.sha256, r->data.sha256, sizeof dataset.sha256);
    semcal_status status =
        sc_provenance_of_cell(&r->provenance, r->run->config, r->run->cell, &dataset, r->run->source, error);
    if (status == SEMCAL_OK) {
        r->n_attributes = r->provenance.n_attributes + N_OWN;
        r->attributes = sc_memory_alloc(r->n_attributes, sizeof *r->attributes, error);
        status = r->attributes == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    memcpy(r->attributes, r->provenance.attributes, r->provenance.n_attributes * sizeof *r->attributes);
    const size_t numbers[N_OWN] = {
        r->data.n_tokens, r->data.window, r->data.overlap, r->data.n_scored, r->classes.n, 0, r->sample_every, 0};
    for (size_t i = 0; i < N_OWN; i++) {
        (void)snprintf(r->own[i], sizeof r->own[i], "%zu", numbers[i]);
        r->attributes[r->provenance.n_attributes + i] = (sc_store_attribute){names[i], r->own[i], true};
    }
    const char *context = r->run->cell->dataset->context;
    (void)snprintf(r->own[5], sizeof r->own[5], "%s", r->classes.sha256);
    (void)snprintf(r->own[7], sizeof r->own[7], "%s", context != NULL ? context : "");
    return SEMCAL_OK;
}

/* ---- files ---- */

static semcal_status block_path(sc_text *path, const text_run *r, size_t b, semcal_error *error)
{
    sc_text_clear(path);
    return sc_text_printf(path, error, "%s/%04zu.h5", r->folder, b);
}

static semcal_status commit(text_run *r, semcal_error *error)
{
    sc_text path = {0};
    char digest[65];
    const sc_phase before = sc_phases_enter(r->run->source->phases, SC_PHASE_STORE);
    semcal_status status = SEMCAL_OK;
    for (size_t b = r->first_block; b < r->end_block && status == SEMCAL_OK; b++) {
        if (!r->dirty[b]) {
            continue;
        }
        const sc_text_range range = range_of(r, b, 1);
        status = block_path(&path, r, b, error);
        if (status == SEMCAL_OK) {
            status = sc_text_store_write(digest, path.data, r->run->cell->name, &r->sums, &range, r->classes.labels,
                                         r->attributes, r->n_attributes, 1, error);
        }
        r->dirty[b] = status != SEMCAL_OK;
    }
    r->committed_s = sc_clock_now_s();
    (void)sc_phases_enter(r->run->source->phases, before);
    sc_text_free(&path);
    return status;
}

/* A block that cannot be read is done again. */
static void forget_block(text_run *r, size_t b)
{
    r->sums.block_done[b] = r->sums.tokens[b] = 0;
    r->sums.correct[b] = r->sums.confidence[b] = r->sums.entropy[b] = 0;
    memset(r->sums.loss + b * SC_TEMPERATURES, 0, SC_TEMPERATURES * sizeof(double));
    memset(r->sums.class_count + b * r->classes.n, 0, r->classes.n * sizeof(double));
    memset(r->sums.class_mass + b * r->classes.n, 0, r->classes.n * sizeof(double));
    double *const grids[] = {r->sums.top_weight,       r->sums.top_right,       r->sums.top_confidence,
                             r->sums.classwise_weight, r->sums.classwise_right, r->sums.classwise_confidence};
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        memset(grids[i] + b * SC_PAIR_GRID, 0, SC_PAIR_GRID * sizeof(double));
    }
}

static semcal_status read_blocks(text_run *r, semcal_error *error)
{
    sc_text path = {0};
    semcal_status status = sc_file_make_folder(r->folder, error);
    for (size_t b = r->first_block; b < r->end_block && status == SEMCAL_OK; b++) {
        status = block_path(&path, r, b, error);
        if (status != SEMCAL_OK || !sc_file_exists(path.data)) {
            continue;
        }
        const sc_text_range range = range_of(r, b, 1);
        semcal_error slip = SEMCAL_ERROR_INIT;
        semcal_status read = sc_text_store_read(&r->sums, path.data, &range, r->attributes, r->n_attributes, &slip);
        if (read == SEMCAL_E_DATA) {
            sc_log_write(r->run->log, SC_LOG_WARNING, "store", slip.message, NULL, 0);
            (void)unlink(path.data);
            forget_block(r, b);
        } else if (read != SEMCAL_OK) {
            status = sc_error_set(error, read, "%s", slip.message);
        }
    }
    sc_text_free(&path);
    return status;
}

static semcal_status find_files(text_run *r, bool *already, semcal_error *error)
{
    const sc_run_options *options = r->run->options;
    r->path = sc_store_path(options->folder, r->run->cell->name, options->shard, options->n_shards, ".h5", error);
    r->folder =
        sc_store_path(options->folder, r->run->cell->name, options->shard, options->n_shards, ".segments", error);
    if (r->path == NULL || r->folder == NULL) {
        return SEMCAL_E_MEMORY;
    }
    if (options->fresh) {
        (void)unlink(r->path);
        sc_store_remove_folder(r->folder);
    }
    *already = sc_file_exists(r->path);
    if (*already) {
        const sc_text_range own = range_of(r, r->first_block, r->end_block - r->first_block);
        return sc_text_store_read(&r->sums, r->path, &own, r->attributes, r->n_attributes, error);
    }
    return read_blocks(r, error);
}

/* ---- sums ---- */

/* Adds one chunk, whose scored tokens have the numbers from `at` of the result on, to its block. */
static void add_chunk(text_run *r, size_t c, size_t at)
{
    const sc_text_chunk *chunk = &r->data.chunks[c];
    const sc_text_sums *s = &r->sums;
    const size_t b = r->block_of[c], n = chunk->n_tokens - chunk->skip, K = r->classes.n;
    const sc_pair_grid top = {s->top_weight + b * SC_PAIR_GRID, s->top_right + b * SC_PAIR_GRID,
                              s->top_confidence + b * SC_PAIR_GRID};
    const sc_pair_grid classwise = {s->classwise_weight + b * SC_PAIR_GRID, s->classwise_right + b * SC_PAIR_GRID,
                                    s->classwise_confidence + b * SC_PAIR_GRID};
    s->chunk_correct[c] = s->chunk_confidence[c] = s->chunk_loss[c] = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t token = r->data.tokens[chunk->at + chunk->skip + i];
        const int32_t class_of = r->classes.class_of[token];
        const double confidence = fmin(1, exp(r->result.top_logprob[at + i]));
        const double right = r->result.top_token[at + i] == token, loss = r->result.loss[at + i];
        const double *logmass = r->result.class_logmass + (at + i) * K;
        sc_pair_grid_add(&top, confidence, right, 1);
        s->chunk_correct[c] += right;
        s->chunk_confidence[c] += confidence;
        s->chunk_loss[c] += loss;
        s->entropy[b] += r->result.entropy[at + i];
        for (size_t p = 0; p < SC_TEMPERATURES; p++) {
            const size_t q = p - (p > SC_TEMPERATURE_ONE);
            s->loss[b * SC_TEMPERATURES + p] +=
                p == SC_TEMPERATURE_ONE ? loss : r->result.loss_temperature[(at + i) * (SC_TEMPERATURES - 1) + q];
        }
        s->class_count[b * K + (size_t)class_of] += 1;
        for (size_t k = 0; k < K; k++) {
            const double mass = fmin(1, exp(logmass[k]));
            s->class_mass[b * K + k] += mass;
            if (mass > 0) {
                sc_pair_grid_add(&classwise, mass, k == (size_t)class_of, mass);
            }
        }
        const uint64_t index = r->before[c] + i;
        if (index % r->sample_every == 0) {
            const size_t sample = (size_t)(index / r->sample_every);
            s->sample_block[sample] = (int32_t)b;
            s->sample_class[sample] = class_of;
            for (size_t k = 0; k < K; k++) {
                s->sample_logmass[sample * K + k] = (float)logmass[k];
            }
        }
    }
    s->correct[b] += s->chunk_correct[c];
    s->confidence[b] += s->chunk_confidence[c];
    s->tokens[b] += (int64_t)n;
    s->block_done[b]++;
    r->dirty[b] = true;
}

/* ---- through the model ---- */

static semcal_status allocate_batch(text_run *r, semcal_error *error)
{
    for (size_t p = 0, q = 0; p < SC_TEMPERATURES; p++) {
        if (p != SC_TEMPERATURE_ONE) {
            r->temperatures[q++] = r->run->cell->temperature * sc_token_gap_multiplier(p);
        }
    }
    r->spec = (sc_text_spec){.temperature = r->run->cell->temperature,
                             .n_temperatures = SC_TEMPERATURES - 1,
                             .temperatures = r->temperatures,
                             .n_classes = r->classes.n,
                             .class_of = r->classes.class_of};
    semcal_status status = sc_model_text_open(&r->reader, r->run->source, &r->spec, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const size_t rows = sc_model_text_rows(r->reader), window = r->data.window, K = r->classes.n;
    r->most_tokens = rows > window ? rows : window;
    r->most_chunks = r->most_tokens / 2 + 1;
    const size_t n = r->most_tokens;
    r->first = sc_memory_alloc(r->most_chunks + 1, sizeof *r->first, error);
    r->skip = sc_memory_alloc(r->most_chunks, sizeof *r->skip, error);
    r->chunk = sc_memory_alloc(r->most_chunks, sizeof *r->chunk, error);
    r->tokens = sc_memory_alloc(n, sizeof *r->tokens, error);
    r->result.loss = sc_memory_alloc(n, sizeof(double), error);
    r->result.entropy = sc_memory_alloc(n, sizeof(double), error);
    r->result.top_logprob = sc_memory_alloc(n, sizeof(double), error);
    r->result.top_token = sc_memory_alloc(n, sizeof(int32_t), error);
    r->result.loss_temperature = sc_memory_alloc(n * (SC_TEMPERATURES - 1), sizeof(double), error);
    r->result.class_logmass = sc_memory_alloc(n * K, sizeof(double), error);
    const sc_text_result *out = &r->result;
    return r->first && r->skip && r->chunk && r->tokens && out->loss && out->entropy && out->top_logprob &&
                   out->top_token && out->loss_temperature && out->class_logmass
               ? SEMCAL_OK
               : SEMCAL_E_MEMORY;
}

/* Says which document and token an error of the batch is about: source->failed counts its scored tokens. */
static semcal_status name_failure(const text_run *r, semcal_error *error)
{
    size_t left = r->run->source->failed;
    for (size_t i = 0; left != SC_SOURCE_NONE && i < r->n_batch; i++) {
        const sc_text_chunk *chunk = &r->data.chunks[r->chunk[i]];
        const size_t n = chunk->n_tokens - chunk->skip;
        if (left < n) {
            return sc_error_where(error, "document %zu: token %zu", (size_t)chunk->document + 1,
                                  (size_t)chunk->start + chunk->skip + left);
        }
        left -= n;
    }
    return sc_error_where(error, "chunks %zu to %zu", r->chunk[0], r->chunk[r->n_batch - 1]);
}

static semcal_status run_batch(text_run *r, semcal_error *error)
{
    r->request.n_sequences = r->n_batch;
    r->request.first = r->first;
    r->request.tokens = r->tokens;
    r->request.skip = r->skip;
    const uint64_t forward = r->run->source->facts.n_forward_tokens;
    r->run->source->failed = SC_SOURCE_NONE;
    semcal_status status = sc_model_text_evaluate(r->reader, &r->result, &r->request, error);
    r->run->summary->forward_tokens += r->run->source->facts.n_forward_tokens - forward;
    r->run->counters->forward_tokens += r->run->source->facts.n_forward_tokens - forward;
    if (status != SEMCAL_OK) {
        return name_failure(r, error);
    }
    sc_run_cell_tell_token(r->run);
    for (size_t i = 0, at = 0; i < r->n_batch; i++) {
        const sc_text_chunk *chunk = &r->data.chunks[r->chunk[i]];
        add_chunk(r, r->chunk[i], at);
        at += chunk->n_tokens - chunk->skip;
    }
    sc_progress_counters *counters = r->run->counters;
    counters->cell_done += r->n_batch;
    counters->done += r->n_batch;
    r->run->summary->n_questions += r->n_batch;
    r->n_batch = r->n_batch_tokens = 0;
    if (r->run->options->progress != NULL) {
        r->run->options->progress(counters, false, r->run->options->payload);
    }
    return SEMCAL_OK;
}

static semcal_status read_text(text_run *r, semcal_error *error)
{
    const sc_run_options *options = r->run->options;
    semcal_status status = allocate_batch(r, error);
    r->committed_s = sc_clock_now_s();
    const size_t end_chunk = r->first_chunk[r->end_block];
    for (size_t c = r->first_chunk[r->first_block]; c <= end_chunk && status == SEMCAL_OK; c++) {
        const bool end = c == end_chunk;
        const sc_text_chunk *chunk = end ? NULL : &r->data.chunks[c];
        if (!end && c < r->first_chunk[r->block_of[c]] + (size_t)r->sums.block_done[r->block_of[c]]) {
            continue; /* done by an earlier process */
        }
        if (r->n_batch > 0 && (end || r->n_batch_tokens + chunk->n_tokens > r->most_tokens)) {
            status = run_batch(r, error);
            const bool stop = options->stopped != NULL && options->stopped(options->payload);
            if (status == SEMCAL_OK && !end &&
                (stop || sc_clock_now_s() - r->committed_s >= r->run->config->store.commit_seconds)) {
                status = commit(r, error);
            }
            if (status == SEMCAL_OK && stop && !end) {
                return sc_error_set(error, SEMCAL_INTERRUPTED, "stopped");
            }
        }
        if (status == SEMCAL_OK && !end) {
            memcpy(r->tokens + r->n_batch_tokens, r->data.tokens + chunk->at, chunk->n_tokens * sizeof *r->tokens);
            r->first[r->n_batch] = r->n_batch_tokens;
            r->n_batch_tokens += chunk->n_tokens;
            r->first[r->n_batch + 1] = r->n_batch_tokens;
            r->skip[r->n_batch] = chunk->skip;
            r->chunk[r->n_batch++] = c;
        }
    }
    return status;
}

semcal_status sc_run_text_finish(sc_run_text *r, semcal_error *error)
{
    char digest[65];
    const sc_text_range own = range_of(r, r->first_block, r->end_block - r->first_block);
    sc_store_attribute *attributes = sc_memory_alloc(r->n_attributes + 2, sizeof *attributes, error);
    if (attributes == NULL) {
        return SEMCAL_E_MEMORY;
    }
    memcpy(attributes, r->attributes, r->n_attributes * sizeof *attributes);
    attributes[r->n_attributes] = (sc_store_attribute){.name = "wall_s", .text = r->wall, .identity = false};
    attributes[r->n_attributes + 1] =
        (sc_store_attribute){.name = "device_idle", .text = r->idle.text, .identity = false};
    semcal_status status =
        sc_text_store_write(digest, r->path, r->run->cell->name, &r->sums, &own, r->classes.labels, attributes,
                            r->n_attributes + 2, (unsigned)r->run->config->store.compression, error);
    if (status == SEMCAL_OK) {
        sc_store_remove_folder(r->folder);
    }
    free(attributes);
    return status;
}

/* What only reading needs. */
static void free_batch(text_run *r)
{
    sc_model_text_close(r->reader);
    r->reader = NULL;
    void **const all[] = {(void **)&r->first,
                          (void **)&r->skip,
                          (void **)&r->chunk,
                          (void **)&r->tokens,
                          (void **)&r->result.loss,
                          (void **)&r->result.entropy,
                          (void **)&r->result.top_logprob,
                          (void **)&r->result.top_token,
                          (void **)&r->result.loss_temperature,
                          (void **)&r->result.class_logmass};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(*all[i]);
        *all[i] = NULL;
    }
}

void sc_run_text_free(sc_run_text **text)
{
    text_run *r = *text;
    *text = NULL;
    if (r == NULL) {
        return;
    }
    free_batch(r);
    sc_text_data_free(&r->data);
    sc_text_classes_free(&r->classes);
    sc_text_sums_free(&r->sums);
    sc_provenance_free(&r->provenance);
    free(r->first_chunk);
    free(r->first_sample);
    free(r->block_of);
    free(r->before);
    free(r->dirty);
    free(r->attributes);
    free(r->path);
    free(r->folder);
    free(r);
}

semcal_status sc_run_text_read(sc_run_text **text, const sc_run_cell *run, sc_text_data *data, bool *already,
                               semcal_error *error)
{
    const double began = sc_clock_now_s(), busy = run->device != NULL ? sc_device_busy_s(run->device) : 0;
    *already = false;
    *text = NULL;
    text_run *r = sc_memory_alloc(1, sizeof *r, error);
    if (r == NULL) {
        return SEMCAL_E_MEMORY;
    }
    r->run = run;
    r->data = *data;
    *data = (sc_text_data){0};
    const sc_phase before = sc_phases_enter(run->source->phases, SC_PHASE_TEXT);
    semcal_status status = SEMCAL_OK;
    if (r->data.tokens == NULL) {
        status = sc_text_data_open(&r->data, run->cell->dataset, run->source, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_classes_make(&r->classes, run->cell->dataset, run->source, error);
    }
    (void)sc_phases_enter(run->source->phases, SC_PHASE_STORE);
    if (status == SEMCAL_OK) {
        status = lay_out(r, error);
    }
    if (status == SEMCAL_OK) {
        status = describe(r, error);
    }
    *already = status == SEMCAL_OK && r->first_block == r->end_block; /* more shards than blocks */
    if (status == SEMCAL_OK && !*already) {
        status = find_files(r, already, error);
    }
    if (status == SEMCAL_OK) {
        size_t done = 0;
        for (size_t b = r->first_block; b < r->end_block; b++) {
            done += (size_t)r->sums.block_done[b];
        }
        const size_t n_own = r->first_chunk[r->end_block] - r->first_chunk[r->first_block];
        run->counters->cell_questions = n_own;
        run->counters->questions += n_own;
        run->counters->cell_done = done;
        run->counters->done += done;
    }
    if (status == SEMCAL_OK && !*already) {
        (void)sc_phases_enter(run->source->phases, SC_PHASE_TREE);
        status = read_text(r, error);
        const double wall_s = sc_clock_now_s() - began;
        r->idle = sc_run_cell_idle(run, busy, wall_s);
        (void)snprintf(r->wall, sizeof r->wall, "%.3f", wall_s);
        free_batch(r);
    }
    (void)sc_phases_enter(run->source->phases, before);
    if (status != SEMCAL_OK || *already) {
        sc_run_text_free(&r);
    }
    *text = r;
    return status;
}
