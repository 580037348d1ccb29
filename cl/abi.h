/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host and kernels share: valid C11 and valid OpenCL C.
 *
 * Shape letters, fixed once for the whole project:
 *   N rows, T positions, D width, H heads, V vocabulary, K classes, M draws, P perturbations.
 */
#ifndef SEMCAL_ABI_H
#define SEMCAL_ABI_H

#ifdef __OPENCL_VERSION__
typedef uint abi_u32;
typedef int abi_i32;
typedef ulong abi_u64;
#else
#include <stdint.h>
typedef uint32_t abi_u32;
typedef int32_t abi_i32;
typedef uint64_t abi_u64;
#endif

/* ---- rows over logits (rows.cl, host/device/rows.h) ---- */

#define SC_ROWS_BLOCK 1024        /* tokens with one maximum; part of the definition of a row's law */
#define SC_ROWS_PART 256          /* tokens with one sum inside a block: what a draw searches */
#define SC_ROWS_PARTS 4           /* SC_ROWS_BLOCK / SC_ROWS_PART */
#define SC_ROWS_BITS 45           /* weights are multiples of 2^-45 of the block's largest */
#define SC_ROWS_LANES 8           /* partial sums over blocks, folded at the end; block counts are padded to these */
#define SC_ROWS_CUT (-200.0)      /* a block this many octaves below the row's maximum has no weight */
#define SC_ROWS_DRAWS(lsz) ((lsz) == 1 ? 8 : 1)   /* draws of one work-item */
#define SC_ROWS_TOP 256           /* longest top list */

#if !defined(__OPENCL_VERSION__) || defined(SC_FP64)   /* these need double */

/* What a pass leaves for each row. */
typedef struct sc_rows_row {
    abi_u64 weight;               /* W */
    double moment;                /* sum of w_i (l_i - m), w_i in units of the maximum's weight */
    float max;                    /* m */
    float target;                 /* logit of the target */
    abi_i32 rank;                 /* of the target */
    abi_i32 bad;                  /* not 0: NaN, +inf, or nothing but -inf */
} sc_rows_row;

/* A token with its logit: a draw or an entry of the top list; token -1: none. */
typedef struct sc_rows_token {
    abi_i32 token;
    float logit;
} sc_rows_token;

/* One pass over rows; all work-items of a launch share it. */
typedef struct sc_rows_shape {
    abi_u64 offset, stride;       /* of the first row and between rows, elements */
    double scale;                 /* log2(e)/T */
    float c, lowest;              /* the same in fp32; logits this far below their block's maximum count as 2^-100 */
    abi_u32 n_rows, n_vocabulary;
    abi_u32 n_blocks, n_padded;   /* blocks of a row; the same rounded up to SC_ROWS_LANES: stride of the scratch */
    abi_u32 n_items;              /* work-items (or groups) per row */
    abi_u32 n_top;
} sc_rows_shape;

/* ---- perturbations of rows (perturb.cl, host/device/perturb.h) ---- */

#define SC_PERTURB_CHUNK 32   /* blocks with one table of class masses: the unit of work of a row */
#define SC_PERTURB_ROWS 16    /* rows whose weights lie side by side for dense biases */
#define SC_PERTURB_PAD 8      /* perturbations and classes are padded to multiples of this */
#define SC_PERTURB_CUT (-900.0) /* a chunk this many octaves below the row's maximum has no class mass */

/* Counts are padded to SC_PERTURB_PAD, except n_tempered and n_entries. */
typedef struct sc_perturb_shape {
    abi_u64 class_stride;         /* of the class map between rows; 0: one map for all */
    abi_u32 n_temperatures, n_biases, n_classes, n_tilts;
    abi_u32 n_tempered;           /* temperatures, not padded */
    abi_u32 n_entries;            /* pairs of all sparse biases */
    abi_u32 n_chunks;             /* of a row */
    abi_u32 group_rows;           /* rows of one item; at most SC_PERTURB_ROWS */
    abi_u32 with_moment, with_rank;
} sc_perturb_shape;

#endif

/* ---- packed matrix products (gemm.cl, gemm_tiled.cl, gemm_bf16.cl) ---- */

#define SC_PANEL 32       /* columns of a weight panel */
#define SC_CHUNK 256      /* values of k in one chain of fma; fixes the order of every sum */
#define SC_TILE_ROWS 14   /* rows of A kept in registers on CPUs */
#define SC_SKINNY_ROWS 8  /* rows of A that gemm_skinny takes per work-group */
#define SC_TILED_ROWS 64  /* rows of A that gemm_tiled takes per work-group */
#define SC_PANELS_FP32 0  /* panels of weights: fp32; bf16, columns j and 16 + j in a word; bf16, pairs along k */
#define SC_PANELS_BF16 1
#define SC_PANELS_PAIRS 2
#define SC_COMPACT_ROWS 4     /* most rows of A that gemm_compact takes */
#define SC_COMPACT_LINES 32   /* lines of 64 bytes of a bf16 panel that share a table */
#define SC_COMPACT_BYTES 1536 /* what they take: three lines for four */
#define SC_COMPACT_TABLE 16   /* bytes of the table */
#define SC_MMA_SKINNY_ROWS 32 /* rows of A that gemm_mma_skinny takes per work-group */
#define SC_GEMM_STORE 0
#define SC_GEMM_ADD 1
#define SC_GEMM_SWIGLU 2
#define SC_GEMM_SWIGLU_ROUNDED 3 /* C in bf16 pairs, its stride in words */

/* ---- paged keys and values (transformer.cl) ---- */

#define SC_PAGE 16           /* positions of a page */
#define SC_ATTENTION_ROWS 16 /* most rows that go through the pages together */

#endif
