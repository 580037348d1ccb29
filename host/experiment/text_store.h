/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What next-token calibration keeps of a text: sums over blocks of chunks, never the tokens' own numbers.
 *
 *     RUN/cells/<cell>.h5                the finished cell, format `semcal-text-cell`
 *     RUN/cells/<cell>.segments/NNNN.h5  one block each while the cell runs; the last one may be a part of its block
 *     RUN/cells/<cell>.shard-<i>-of-<n>.h5  (and .segments) consecutive blocks; `semcal merge` joins them
 *
 * The chunks of a text are cut into at most SC_TEXT_BLOCKS blocks of consecutive chunks. All sums are added chunk after
 * chunk in the order of the text, within a block alone, so a block interrupted anywhere and gone on with has the same
 * bits. Blocks are what the bootstrap resamples and cross-fitting leaves out. Every SC_TEXT_SAMPLE-th of the text or so
 * one token keeps its class masses, in all at most SC_TEXT_SAMPLES tokens (fewer with many classes): from these the
 * biases of the classes are fitted.
 */
#ifndef SC_EXPERIMENT_TEXT_STORE_H
#define SC_EXPERIMENT_TEXT_STORE_H

#include "experiment/store.h"
#include "formats/h5.h"
#include "statistics/pair_grid.h"
#include "statistics/token_gap.h"

#define SC_TEXT_FORMAT "semcal-text-cell"
#define SC_TEXT_FORMAT_VERSION 1
enum { SC_TEXT_BLOCKS = 128, SC_TEXT_SAMPLES = 65536, SC_TEXT_SAMPLE_NUMBERS = 1 << 22 };

/* Dimensions; the last three are fixed by the program or the class map. */
typedef enum sc_text_dim {
    SC_TEXT_BLOCK,
    SC_TEXT_CHUNK,
    SC_TEXT_SAMPLE,
    SC_TEXT_CLASS,
    SC_TEXT_TEMPERATURE,
    SC_TEXT_PLACE,
    SC_TEXT_DIMS
} sc_text_dim;

typedef struct sc_text_sizes {
    size_t n[SC_TEXT_DIMS];
} sc_text_sizes;

/* B blocks, C chunks, S sampled tokens, K classes, P = SC_TEMPERATURES, G = SC_PAIR_GRID. */
typedef struct sc_text_sums {
    int64_t *block_first_chunk, *block_chunks, *block_done;            /* [B] done: chunks that are in the sums */
    int64_t *tokens;                                                   /* [B] scored */
    double *correct, *confidence, *entropy;                            /* [B] sums over tokens */
    double *loss;                                                      /* [B, P] */
    double *class_count, *class_mass;                                  /* [B, K] */
    double *top_weight, *top_right, *top_confidence;                   /* [B, G] top-1 pairs */
    double *classwise_weight, *classwise_right, *classwise_confidence; /* [B, G] all classes, weighted by their mass */
    int32_t *chunk_document, *chunk_tokens;                            /* [C] */
    int64_t *chunk_start;                                              /* [C] */
    double *chunk_correct, *chunk_confidence, *chunk_loss;             /* [C] */
    int32_t *sample_block, *sample_class;                              /* [S] */
    float *sample_logmass;                                             /* [S, K] */
} sc_text_sums;

semcal_status sc_text_sums_alloc(sc_text_sums *sums, const sc_text_sizes *sizes, semcal_error *error);
void sc_text_sums_free(sc_text_sums *sums);
/* Copies all rows of `from` to the rows of `to` that begin at `first`; the other dimensions are alike. */
void sc_text_sums_put(const sc_text_sums *to, const size_t first[SC_TEXT_DIMS], const sc_text_sums *from,
                      const sc_text_sizes *sizes);

/* The rows of each dimension that a file holds: all, or those of one block. */
typedef struct sc_text_range {
    size_t first[SC_TEXT_DIMS], count[SC_TEXT_DIMS];
    size_t n_cell_chunks; /* of the whole cell */
} sc_text_range;

/* Writes a sealed file that appears whole. `labels` [K]. */
semcal_status sc_text_store_write(char digest[65], const char *path, const char *cell, const sc_text_sums *sums,
                                  const sc_text_range *range, char *const *labels, const sc_store_attribute *attributes,
                                  size_t n_attributes, unsigned deflate, semcal_error *error);

/* Reads a file into the rows of `range` after checking seal, sizes, digest and that its identity attributes are those
 * given. SEMCAL_E_DATA for damage, SEMCAL_E_CONFIG for another configuration. */
semcal_status sc_text_store_read(const sc_text_sums *sums, const char *path, const sc_text_range *range,
                                 const sc_store_attribute *attributes, size_t n_attributes, semcal_error *error);

/* A finished cell, or a segment, as it stands. */
typedef struct sc_text_file {
    sc_text_sizes sizes;
    sc_text_sums sums;
    char **labels; /* [K] */
    char *cell;
    size_t n_cell_chunks;           /* of the whole cell; more than sizes.n[SC_TEXT_CHUNK] for shards and segments */
    sc_store_attribute *attributes; /* [n_attributes] provenance */
    size_t n_attributes;
    char digest[65];
} sc_text_file;

/* Opens and checks (seal, digest). Free with sc_text_file_free. */
semcal_status sc_text_file_open(sc_text_file *file, const char *path, semcal_error *error);
void sc_text_file_free(sc_text_file *file);

/* Joins the finished shards of a cell, whose blocks must be those of one configuration and all of them. */
semcal_status sc_text_merge(char digest[65], const char *run_folder, const char *cell, unsigned n_shards,
                            semcal_error *error);

/* Whether the file says that it is one of these; false for anything unreadable. */
bool sc_text_file_is(const char *path);

#endif
