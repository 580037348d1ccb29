/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decoder-only transformer on a device: weights packed once, keys and values in pages, one forward for any mix of
 * rows.
 *
 * A row is one token at one position with the list of pages that hold its prefix; prompts (many rows of one list) and
 * decoding (one row each of many lists) are the same thing. Activations are fp32 (under SC_GEMM_BF16 rounded to bf16
 * where they enter products with bf16 weights, and then in attention, too, keys and values included); weights are
 * bf16 as in bf16 checkpoints, fp32 otherwise. With the own matrix products no bit of a row's logits depends on which
 * other rows are in the call, on how a prompt was cut into calls, or on where its pages lie.
 */
#ifndef SC_MODEL_MODEL_H
#define SC_MODEL_MODEL_H

#include "device/gemm.h"
#include "model/config.h"

typedef struct sc_model sc_model;

typedef struct sc_model_options {
    sc_gemm_choice gemm;
    uint64_t kv_bytes;  /* memory of the pages; 0: a share of what the device has left */
    size_t max_rows;    /* rows per forward; 0: chosen */
    size_t max_outputs; /* rows with logits per forward; 0: chosen */
    size_t group_size;  /* local size of the kernels around the products, for tests; 0: by device */
    double head_scale;  /* all logits times this, by way of the last norm's gain, for benchmarks; 1: as they are */
} sc_model_options;
#define SC_MODEL_OPTIONS_INIT                                                                                          \
    {                                                                                                                  \
        SC_GEMM_AUTO, 0, 0, 0, 0, 1                                                                                    \
    }

/* Opens the model folder. E_DATA / E_NUMERIC for defects of the files, E_DEVICE when it does not fit. */
semcal_status sc_model_open(sc_model **model, const char *folder, sc_device *device, const sc_model_options *options,
                            semcal_error *error);
/* The same with random weights of a given shape (standard deviation about 1 / sqrt(inputs)), for benchmarks. */
semcal_status sc_model_open_random(sc_model **model, const sc_model_config *config, bool bf16, sc_device *device,
                                   const sc_model_options *options, semcal_error *error);
void sc_model_close(sc_model *model);

const sc_model_config *sc_model_shape(const sc_model *model);
sc_device *sc_model_device(const sc_model *model);
/* Pages of SC_PAGE positions there are, bytes of one in all layers; rows and outputs a forward takes. With little
 * device memory there are fewer of each than were asked for. */
size_t sc_model_n_pages(const sc_model *model);
uint64_t sc_model_page_bytes(const sc_model *model);
size_t sc_model_max_rows(const sc_model *model);
size_t sc_model_max_outputs(const sc_model *model);
/* As opened: under SC_GEMM_BF16 rows are rounded to bf16 where they meet bf16 weights. */
sc_gemm_choice sc_model_gemm(const sc_model *model);
const char *sc_model_products(const sc_model *model); /* what defines them: own, clblast, bf16, bf16-mma */
bool sc_model_is_invariant(const sc_model *model);

/* For provenance: hash over the weight files ("" for random weights), over the kernel sources, and build options. */
const char *sc_model_weights_hash(const sc_model *model);
const char *sc_model_kernels_hash(const sc_model *model);
const char *sc_model_build_options(const sc_model *model);
/* Bytes of weights on the device. */
uint64_t sc_model_weight_bytes(const sc_model *model);

/* bf16 weights a second time in three quarters of the bytes, which forwards of few rows read instead, with the same
 * bits (sc_matrix_compact); if they take no more than half of the memory that is left, the device's and the system's.
 * Happens by itself once such forwards keep coming. */
semcal_status sc_model_compact(sc_model *model, semcal_error *error);
/* Bytes that takes; 0: of no use here. */
uint64_t sc_model_compact_bytes(const sc_model *model);

typedef struct sc_forward {
    size_t n_rows;           /* at most sc_model_max_rows */
    const int32_t *token;    /* [n_rows] */
    const int32_t *position; /* [n_rows] */
    const int32_t *table;    /* [n_rows] where the row's page list begins in `pages` */
    const int32_t *pages;    /* [n_pages] */
    size_t n_pages;
    const int32_t *output; /* [n_outputs] rows whose logits are wanted */
    size_t n_outputs;      /* at most sc_model_max_outputs */
    /* Copied in every layer before anything else: whole pages, [n_copies, 2] (to, from); no page is both. */
    const int32_t *copy;
    size_t n_copies;
} sc_forward;

/* Enqueues the forward pass: writes the rows' keys and values, leaves logits [n_outputs, V] (stride V). Arrays may go
 * when it returns. A row may attend to rows of the same call that stand at earlier positions of its pages. */
semcal_status sc_model_forward(sc_model *model, const sc_forward *forward, semcal_error *error);
sc_buffer *sc_model_logits(const sc_model *model);

#endif
