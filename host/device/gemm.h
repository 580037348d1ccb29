/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products C [m, n] = A [m, k] W^T with a constant W: a table of methods, one of them chosen per device and
 * shape.
 *
 *   packed   gemm.cl          CPUs: explicit vectors, 14 x 32 outputs in registers
 *   skinny   gemm_tiled.cl    GPUs, few rows: the chunks of k side by side
 *   tiled    gemm_tiled.cl    GPUs, many rows
 *   plain    gemm_plain.cl    any device: where the one made for it is missing a feature or fails its self-test
 *   clblast  CLBlast (fp32)   only on request: its order of summation depends on m
 *   bf16     gemm_bf16.cl     SC_GEMM_BF16: CPUs with AVX-512 bf16
 *   bf16_plain  gemm_bf16_plain.cl  the same on any device
 *   mma      gemm_mma.cl      SC_GEMM_BF16: tensor cores of NVIDIA GPUs
 *   compact  gemm_compact.cl  CPUs with AVX-512 BW, few rows: packed or bf16 with weights read in 3/4 of the bytes
 *
 * The own methods share one definition, sum over chunks of SC_CHUNK values of k in order, each chunk a chain of
 * fma over k ascending, and give the same bits: which of them runs can be decided by speed alone, and a row's result
 * never depends on the other rows.
 * SC_GEMM_BF16 has another definition, which bf16 and bf16_plain share: A is rounded to bf16, products with bf16
 * weights are added in fp32 in the order written in gemm_bf16.cl. It holds for bf16 matrices; fp32 ones have the
 * products of SC_GEMM_OWN under it. On tensor cores (mma) the same products are added in fp32 as the device does it:
 * within rounding of the others, not their bits; a row's result does not depend on the other rows there either.
 */
#ifndef SC_DEVICE_GEMM_H
#define SC_DEVICE_GEMM_H

#include "device/device.h"

typedef struct sc_gemm sc_gemm;     /* the methods ready on one device */
typedef struct sc_matrix sc_matrix; /* a constant W [n, k] on the device */

typedef enum sc_gemm_choice {
    SC_GEMM_AUTO,    /* the fastest of the own methods on this device, measured once */
    SC_GEMM_OWN,     /* the own method made for this kind of device, without measuring */
    SC_GEMM_CLBLAST, /* CLBlast for fp32; laws then depend on the batch */
    SC_GEMM_BF16     /* rows rounded to bf16 where they meet bf16 weights: other laws, twice the speed where the device
                      * multiplies bf16 */
} sc_gemm_choice;
enum { SC_GEMM_N_CHOICES = SC_GEMM_BF16 + 1 };

typedef enum sc_gemm_method {
    SC_GEMM_METHOD_PACKED,
    SC_GEMM_METHOD_SKINNY,
    SC_GEMM_METHOD_TILED,
    SC_GEMM_METHOD_PLAIN,
    SC_GEMM_METHOD_CLBLAST,
    SC_GEMM_METHOD_BF16,
    SC_GEMM_METHOD_BF16_PLAIN,
    SC_GEMM_METHOD_MMA,
    SC_GEMM_METHOD_COMPACT,
    SC_GEMM_N_METHODS
} sc_gemm_method;

/* What happens to the products. */
typedef enum sc_gemm_mode {
    SC_MODE_STORE,         /* C = A W^T + bias */
    SC_MODE_ADD,           /* C += A W^T + bias */
    SC_MODE_SWIGLU,        /* W holds gate and up (sc_matrix_pack, `paired`): C [m, n / 2] = silu(gate) * up */
    SC_MODE_SWIGLU_ROUNDED /* the same rounded to bf16, as the next product's rows: where sc_gemm_takes_rounded */
} sc_gemm_mode;

/* Row `i` of W as floats into `row` [k]; exact for bf16 matrices. Called from several threads. */
typedef void (*sc_matrix_row)(float *row, size_t i, void *payload);

/* Compiles what `choice` needs; methods that fail their self-test (device/selftest.h) are passed over with a note. */
semcal_status sc_gemm_open(sc_gemm **gemm, sc_device *device, sc_gemm_choice choice, semcal_error *error);
void sc_gemm_close(sc_gemm *gemm);

sc_gemm_choice sc_gemm_choice_of(const sc_gemm *gemm);
const char *sc_gemm_choice_name(sc_gemm_choice choice); /* as in configurations */
/* What defines the numbers: "own" (auto, own), "clblast", "bf16" or "bf16-mma"; part of a run's identity. */
const char *sc_gemm_definition(const sc_gemm *gemm);
/* From such a name; SEMCAL_E_CONFIG lists them. */
semcal_status sc_gemm_choice_find(sc_gemm_choice *choice, const char *name, semcal_error *error);

/* Whether the device multiplies bf16 pairs itself under SC_GEMM_BF16, and proved it. */
bool sc_gemm_has_unit(const sc_gemm *gemm);

/* Whether equal rows get equal bits whatever m is. */
bool sc_gemm_is_invariant(const sc_gemm *gemm);
const char *sc_gemm_method_name(sc_gemm_method method);
/* sha256 over the kernel sources in use, and the build options; for provenance. gemm_compact is not among them: it is
 * compiled when first wanted, and gives the bits of the others or is not used. */
const char *sc_gemm_sha256(const sc_gemm *gemm);
const char *sc_gemm_build_options(const sc_gemm *gemm);

/* Packs W [n, k] and brings it to the device. `bf16`: two bytes per weight, else fp32. `bias` [n] or NULL.
 * `paired`: rows 0 .. n/2-1 are gate and the rest up, stored side by side for SC_MODE_SWIGLU. */
semcal_status sc_matrix_pack(sc_matrix **matrix, sc_gemm *gemm, size_t n, size_t k, bool bf16, bool paired,
                             sc_matrix_row row, const float *bias, const char *what, void *payload,
                             semcal_error *error);
void sc_matrix_free(sc_matrix *matrix);
uint64_t sc_matrix_bytes(const sc_matrix *matrix);
size_t sc_matrix_rows(const sc_matrix *matrix);
size_t sc_matrix_columns(const sc_matrix *matrix);

/* Puts bf16 weights beside the panels a second time, in three quarters of their bytes and without loss, which products
 * of few rows then read instead (the same bits, as fast as memory gives what is left). Waits for the queue. Nothing
 * happens where sc_matrix_compact_bytes is 0. Without memory for it (E_DEVICE, E_MEMORY) everything stays as it was. */
semcal_status sc_matrix_compact(sc_matrix *matrix, sc_gemm *gemm, semcal_error *error);
/* Bytes that takes; 0 where there is no use: fp32 weights, an odd k, a device or a choice without the method. */
uint64_t sc_matrix_compact_bytes(const sc_matrix *matrix, const sc_gemm *gemm);
void sc_matrix_forget_compact(sc_matrix *matrix);
/* Up to how many rows products read weights in this form where they have it. */
size_t sc_gemm_compact_rows(const sc_gemm *gemm);

/* The panels, in one or more buffers, for kernels that read rows of W themselves (embeddings). */
size_t sc_matrix_n_parts(const sc_matrix *matrix);
const sc_buffer *sc_matrix_part(const sc_matrix *matrix, size_t i, size_t *first_panel, size_t *n_panels);
/* SC_PANELS_FP32, SC_PANELS_BF16 (gemm.cl) or SC_PANELS_PAIRS (gemm_bf16.cl) of abi.h. */
uint32_t sc_matrix_form(const sc_matrix *matrix);

/* Enqueues C (mode) A W^T. A [m, k] is dense; C has `stride` floats per row. */
semcal_status sc_gemm_run(sc_gemm *gemm, sc_buffer *c, size_t stride, sc_gemm_mode mode, sc_buffer *a,
                          const sc_matrix *matrix, size_t m, semcal_error *error);

/* Whether the products with this matrix take rows that are rounded already, and write such rows: bf16, two values in a
 * word, an even number of them per row (cl/bf16.h). The same bits with a pass over A less. */
bool sc_gemm_takes_rounded(const sc_gemm *gemm, const sc_matrix *matrix);
/* sc_gemm_run for such rows. */
semcal_status sc_gemm_run_rounded(sc_gemm *gemm, sc_buffer *c, size_t stride, sc_gemm_mode mode, sc_buffer *a,
                                  const sc_matrix *matrix, size_t m, semcal_error *error);

/* The same by a given method; SEMCAL_E_CONFIG when it is not ready on this device or does not support the matrix. */
semcal_status sc_gemm_run_method(sc_gemm *gemm, sc_gemm_method method, sc_buffer *c, size_t stride, sc_gemm_mode mode,
                                 sc_buffer *a, const sc_matrix *matrix, size_t m, semcal_error *error);
bool sc_gemm_supports(const sc_gemm *gemm, sc_gemm_method method, const sc_matrix *matrix);

/* Makes a method ready that the choice does not need; for benchmarks and tests. CLBlast runs only on matrices packed
 * under SC_GEMM_CLBLAST, which hold a plain copy; methods for bf16 rows on bf16 matrices packed under SC_GEMM_BF16, and
 * no other method on these. */
semcal_status sc_gemm_load(sc_gemm *gemm, sc_gemm_method method, semcal_error *error);

/* The own methods' definition in plain C (SC_MODE_STORE): w [n, k] row-major. */
void sc_gemm_reference(float *c, const float *a, const float *w, const float *bias, size_t m, size_t n, size_t k);
/* That of SC_GEMM_BF16; w exact in bf16. */
void sc_gemm_bf16_reference(float *c, const float *a, const float *w, const float *bias, size_t m, size_t n, size_t k);
/* To the nearest bf16, ties to even, as rows are rounded; what is below the normal numbers to 0. */
float sc_gemm_rounded(float x);

#endif
