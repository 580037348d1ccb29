/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/provenance.h"

#include "base/file.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

enum { TOLD = 0, IDENTITY = 1 };

static semcal_status add(sc_provenance *p, bool identity, const char *name, semcal_error *error, const char *format,
                         ...) SC_PRINTF(5, 6);

/* Adds one attribute with a formatted text. */
static semcal_status add(sc_provenance *p, bool identity, const char *name, semcal_error *error, const char *format,
                         ...)
{
    if (error != NULL && error->status != SEMCAL_OK) {
        return error->status;
    }
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = sc_memory_alloc((size_t)(n < 0 ? 0 : n) + 1, 1, error);
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)(n < 0 ? 0 : n) + 1, format, again);
    }
    va_end(again);
    semcal_status status =
        text == NULL ? SEMCAL_E_MEMORY
                     : sc_memory_grow(&p->attributes, &p->capacity, p->n_attributes + 1, sizeof *p->attributes, error);
    if (status == SEMCAL_OK) {
        status = sc_memory_grow(&p->owned, &p->owned_capacity, p->n_attributes + 1, sizeof *p->owned, error);
    }
    if (status != SEMCAL_OK) {
        free(text);
        return status;
    }
    p->owned[p->n_attributes] = text;
    p->attributes[p->n_attributes++] = (sc_store_attribute){.name = name, .text = text, .identity = identity};
    return SEMCAL_OK;
}

static semcal_status add_resolved(sc_provenance *p, const sc_config *config, semcal_error *error)
{
    sc_text yaml = {0};
    semcal_status status = sc_config_resolved(&yaml, config, error);
    if (status == SEMCAL_OK) {
        char hex[65];
        sc_sha256_hex(hex, yaml.data, yaml.length);
        status = add(p, TOLD, "resolved_config", error, "%s", yaml.data);
        status |= add(p, TOLD, "resolved_config_sha256", error, "%s", hex);
    }
    sc_text_free(&yaml);
    return status == SEMCAL_OK ? SEMCAL_OK : error->status;
}

static void add_style(sc_provenance *p, const sc_cell *cell, semcal_error *error)
{
    const sc_config_style *style = cell->style;
    add(p, IDENTITY, "style", error, "%s", style->name);
    add(p, IDENTITY, "prompt_template", error, "%s", style->prompt);
    add(p, IDENTITY, "shot_template", error, "%s", style->shot != NULL ? style->shot : "");
    sc_text stops = {0};
    for (size_t i = 0; i < style->stop.n; i++) {
        (void)sc_text_append(&stops, style->stop.at[i], strlen(style->stop.at[i]), error);
        (void)sc_text_append(&stops, "\x1f", i + 1 < style->stop.n, error);
    }
    add(p, IDENTITY, "stop_strings", error, "%s", stops.data != NULL ? stops.data : "");
    sc_text_free(&stops);
}

semcal_status sc_provenance_of_cell(sc_provenance *p, const sc_config *config, const sc_cell *cell,
                                    const sc_dataset *dataset, const sc_source *source, semcal_error *error)
{
    semcal_error own = SEMCAL_ERROR_INIT;
    if (error == NULL) {
        error = &own;
    }
    const sc_source_facts *facts = &source->facts;
    *p = (sc_provenance){0};
    add(p, TOLD, "semcal_version", error, "%s", semcal_version());
    add(p, TOLD, "semcal_commit", error, "%s", semcal_commit());
    add(p, TOLD, "run_name", error, "%s", config->name);
    add(p, IDENTITY, "seed", error, "%" PRId64, config->seed);
    add(p, IDENTITY, "random_numbers", error,
        "Philox4x32-10; key = first 8 bytes of sha256(seed, \"draw\", \"%s\"); counter = (hash of question id, draw, "
        "token position); inverse CDF in token order",
        cell->rng_name);
    add(p, IDENTITY, "model", error, "%s", cell->model->name);
    add(p, IDENTITY, "model_sha256", error, "%s", facts->model_sha256);
    add(p, IDENTITY, "tokenizer_sha256", error, "%s", facts->tokenizer_sha256);
    add(p, TOLD, "model_kind", error, "%s", cell->model->kind != NULL ? cell->model->kind : "");
    add(p, TOLD, "model_path", error, "%s", cell->model->path != NULL ? cell->model->path : "");
    add(p, IDENTITY, "source", error, "%s", facts->kind);
    add(p, TOLD, "model_weight_bytes", error, "%.0f", facts->weight_bytes);
    add(p, TOLD, "source_description", error, "%s", facts->description);
    add(p, IDENTITY, "dataset", error, "%s", cell->dataset->name);
    add(p, IDENTITY, "dataset_sha256", error, "%s", dataset->sha256);
    add_style(p, cell, error);
    add(p, IDENTITY, "shots", error, "%" PRId64, cell->shots);
    add(p, IDENTITY, "temperature", error, "%.17g", cell->temperature);
    add(p, IDENTITY, "draws", error, "%" PRId64, cell->draws);
    add(p, IDENTITY, "max_tokens", error, "%" PRId64, cell->max_tokens);
    add(p, IDENTITY, "top_k", error, "%" PRId64, config->store.top_k);
    if (cell->estimator == SC_CONFIG_EXACT || cell->estimator == SC_CONFIG_HYBRID) {
        add(p, IDENTITY, "enumeration", error, "epsilon %.17g, at most %" PRId64 " prefixes, tail draws %" PRId64,
            config->sampling.epsilon, config->sampling.max_forward_tokens,
            cell->estimator == SC_CONFIG_HYBRID ? config->sampling.tail_draws : 0);
    }
    /* Tree and chain give the same draws; the estimator is told, not part of the identity. */
    add(p, TOLD, "estimator", error, "%s", sc_config_estimator_name(cell->estimator));
    add(p, IDENTITY, "device", error, "%s", facts->device);
    add(p, TOLD, "driver", error, "%s", facts->driver);
    add(p, IDENTITY, "gemm", error, "%s", facts->gemm);
    add(p, IDENTITY, "kernels_sha256", error, "%s", facts->kernels_sha256);
    add(p, TOLD, "kernel_build_options", error, "%s", facts->build_options);
    add(p, TOLD, "bit_invariant", error, "%s", facts->deterministic ? "yes" : "no");
    struct utsname host;
    add(p, TOLD, "host", error, "%s", uname(&host) == 0 ? host.nodename : "unknown");
    time_t now = time(NULL);
    struct tm utc;
    char stamp[32] = "";
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    add(p, TOLD, "created", error, "%s", stamp);
    semcal_status status = error->status == SEMCAL_OK ? add_resolved(p, config, error) : error->status;
    if (status != SEMCAL_OK) {
        sc_provenance_free(p);
    }
    return status;
}

void sc_provenance_free(sc_provenance *p)
{
    for (size_t i = 0; i < p->n_attributes; i++) {
        free(p->owned[i]);
    }
    free(p->owned);
    free(p->attributes);
    *p = (sc_provenance){0};
}
