/* SPDX-License-Identifier: Apache-2.0 */
/* What gemm.c and matrix.c share. */
#ifndef SC_DEVICE_GEMM_INTERNAL_H
#define SC_DEVICE_GEMM_INTERNAL_H

#include "abi.h"
#include "device/gemm.h"
#include "device/opencl.h"

/* The forms of gemm_mma.c. */
enum { SC_GEMM_MMA_LARGE, SC_GEMM_MMA_SMALL, SC_GEMM_MMA_SKINNY, SC_GEMM_MMA_N_FORMS };

struct sc_gemm {
    sc_device *device;
    sc_gemm_choice choice;
    sc_kernel *kernels[SC_GEMM_N_METHODS][2]; /* [method][bf16]; NULL: not loaded */
    size_t skinny_rows;                       /* up to this many rows gemm_skinny is taken; 0: never */
    sc_gemm_method many_rows;
    sc_gemm_method pairs; /* takes matrices of pairs (SC_GEMM_BF16) */
    sc_kernel *round;     /* rounds rows of A for it, in groups of round_size */
    size_t round_size;
    sc_kernel *mma[SC_GEMM_MMA_N_FORMS], *mma_round;
    bool compact_tried;  /* gemm_compact was loaded, or cannot be */
    sc_buffer *rounded;  /* the rows it rounded, grown on demand */
    sc_buffer *products; /* CLBlast's plain result, grown on demand */
    char sha256[65];
    const char *build_options;
};

/* Panels are split over buffers no larger than one allocation may be. */
struct sc_matrix_part {
    sc_buffer *panels;
    sc_buffer *units, *tables; /* the same weights for gemm_compact; NULL without */
    size_t first_panel, n_panels;
};

struct sc_matrix {
    size_t n, k, n_panels;
    bool bf16, paired;
    bool pairs;   /* bf16 with two values of k in each word, for the methods of SC_GEMM_BF16 */
    bool compact; /* every part has units */
    struct sc_matrix_part *parts;
    size_t n_parts;
    sc_buffer *plain; /* [n, k] fp32 for CLBlast, or NULL */
    sc_buffer *bias;  /* [n_panels * 32] in panel order, or NULL */
};

/* Words of a panel of 32 columns. */
size_t sc_matrix_panel_words(const sc_matrix *matrix);

/* One product to do. */
struct sc_gemm_job {
    sc_buffer *c, *a;
    size_t stride, m;
    sc_gemm_mode mode;
    const sc_matrix *matrix;
    bool rounded; /* A is in bf16 pairs */
};

/* The floor of one part of a product: its panels, A and its columns of C each moved once; for methods whose elements of
 * A have `a_bytes` bytes. */
void sc_gemm_tell_floor(sc_work *work, const struct sc_gemm_job *job, const struct sc_matrix_part *part,
                        double a_bytes);
/* Rows per work-item on CPUs: few enough that every compute unit has several, many enough that a panel is read seldom.
 */
uint32_t sc_gemm_block_rows(const sc_gemm *gemm, size_t m, size_t n_panels);

/* ---- gemm_bf16.c ---- */

/* Whether this device has the instruction of gemm_bf16.cl. */
bool sc_gemm_has_bf16_unit(const sc_device *device);
semcal_status sc_gemm_run_bf16(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error);
/* Rows of A as bf16 pairs: as they came, or in gemm->rounded. */
semcal_status sc_gemm_round_rows(sc_buffer **rows, sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error);
/* gemm->rounded with at least this many bytes. */
semcal_status sc_gemm_room_for_rounded(sc_gemm *gemm, uint64_t bytes, semcal_error *error);
semcal_status sc_gemm_run_bf16_plain(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error);

/* ---- gemm_mma.c ---- */

/* Whether this device has tensor cores for bf16 whose instruction its compiler should take. */
bool sc_gemm_has_mma_unit(const sc_device *device);
/* On devices without, an emulation of the instruction is loaded: slow, for tests. */
semcal_status sc_gemm_load_mma(sc_gemm *gemm, semcal_error *error);
semcal_status sc_gemm_run_mma(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error);
/* As sc_gemm_selftest, within a tolerance: how tensor cores round their sums is not laid down. */
semcal_status sc_gemm_selftest_mma(bool *usable, sc_gemm *gemm, const char *instead, semcal_error *error);

/* ---- gemm_compact.c ---- */

/* Compiles it when it is first wanted and lets it prove itself; *usable: it may be used. */
semcal_status sc_gemm_ready_compact(bool *usable, sc_gemm *gemm, semcal_error *error);
semcal_status sc_gemm_run_compact(sc_gemm *gemm, const struct sc_gemm_job *job, semcal_error *error);
/* One unit of cl/gemm_compact.cl from SC_COMPACT_LINES lines of 32 bf16 numbers. */
void sc_compact_unit(uint8_t unit[SC_COMPACT_BYTES], uint8_t table[SC_COMPACT_TABLE], const uint16_t *numbers);

/* ---- gemm.c ---- */

/* Puts a program into the hash of what is in use. */
void sc_gemm_count_in(sc_gemm *gemm, const sc_program *program);

/* ---- gemm_selftest.c ---- */

/* Rows of A with all their bits, weights exact in bf16, bias. The second half of A and of W is positive: where sums
 * grow, sums in less than fp32 show. */
void sc_gemm_trial_fill(float *a, size_t n_a, float *w, size_t n_w, float *bias, size_t n_bias);

/* Whether the loaded `method`, with the kernel named `kernel`, gives the bits of its reference; if not, a note says
 * that `instead` runs. */
semcal_status sc_gemm_selftest(bool *usable, sc_gemm *gemm, sc_gemm_method method, const char *kernel,
                               const char *instead, semcal_error *error);

#endif
