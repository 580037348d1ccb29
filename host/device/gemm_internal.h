/* SPDX-License-Identifier: Apache-2.0 */
/* What gemm.c and matrix.c share. */
#ifndef SC_DEVICE_GEMM_INTERNAL_H
#define SC_DEVICE_GEMM_INTERNAL_H

#include "device/gemm.h"
#include "device/opencl.h"

struct sc_gemm {
    sc_device *device;
    sc_gemm_choice choice;
    sc_kernel *kernels[SC_GEMM_N_METHODS][2]; /* [method][bf16]; NULL: not loaded */
    size_t skinny_rows;                       /* up to this many rows gemm_skinny is taken; 0: never */
    sc_gemm_method many_rows;
    sc_buffer *products; /* CLBlast's plain result, grown on demand */
    char sha256[65];
    const char *build_options;
};

/* Panels are split over buffers no larger than one allocation may be. */
struct sc_matrix_part {
    sc_buffer *panels;
    size_t first_panel, n_panels;
};

struct sc_matrix {
    size_t n, k, n_panels;
    bool bf16, paired;
    struct sc_matrix_part *parts;
    size_t n_parts;
    sc_buffer *plain; /* [n, k] fp32 for CLBlast, or NULL */
    sc_buffer *bias;  /* [n_panels * 32] in panel order, or NULL */
};

#endif
