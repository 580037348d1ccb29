/* SPDX-License-Identifier: Apache-2.0 */
/* What the suites on whole models share: the model, the shapes of its products, OpenBLAS beside it. */
#include "cli/bench.h"

#include "abi.h"

#include <dlfcn.h>
#include <string.h>

const struct sc_bench_product sc_bench_products[SC_BENCH_N_PRODUCTS] = {
    {1152, 896}, {896, 896}, {9728, 896}, {896, 4864}};

sc_model_config sc_bench_shape(size_t n_layers, size_t n_positions)
{
    return (sc_model_config){.architecture = "Qwen2ForCausalLM",
                             .width = 896,
                             .mlp_width = 4864,
                             .n_layers = n_layers,
                             .n_heads = 14,
                             .n_kv_heads = 2,
                             .head_size = 64,
                             .n_vocabulary = 151936,
                             .n_context = n_positions,
                             .norm_epsilon = 1e-6,
                             .rope = {.kind = SC_ROPE_DEFAULT, .theta = 1e6},
                             .tied = true,
                             .bos = -1};
}

semcal_status sc_bench_open_model(sc_model **model, sc_device *device, sc_gemm_choice gemm, size_t max_rows,
                                  size_t n_positions, size_t n_pages, semcal_error *error)
{
    const sc_model_config config = sc_bench_shape(24, n_positions);
    sc_model_options options = SC_MODEL_OPTIONS_INIT;
    options.gemm = gemm;
    options.max_rows = max_rows;
    options.kv_bytes = (uint64_t)n_pages * config.n_layers * 2 * config.n_kv_heads * config.head_size * SC_PAGE * 4;
    return sc_model_open_random(model, &config, true, device, &options, error);
}

sc_bench_sgemm sc_bench_find_sgemm(void)
{
    sc_bench_sgemm sgemm = NULL;
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library != NULL) {
        void *symbol = dlsym(library, "cblas_sgemm");
        memcpy(&sgemm, &symbol, sizeof sgemm); /* POSIX promises that it is a function pointer */
    }
    return sgemm;
}
