/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions of semcal.h that work on whole experiments. */
#include "base/file.h"
#include "base/memory.h"
#include "experiment/analyze.h"
#include "experiment/run.h"

#include <stdlib.h>

/* Drops the level of a line and adds the caller's payload. */
static void tell(sc_log_level level, const char *line, void *payload)
{
    const semcal_run_options *options = payload;
    (void)level;
    if (options->log != NULL) {
        options->log(line, options->payload);
    }
}

static bool ask(void *payload)
{
    const semcal_run_options *options = payload;
    return options->stopped != NULL && options->stopped(options->payload);
}

semcal_status semcal_run_execute(semcal_run_summary *summary, const char *config, const char *folder,
                                 const semcal_run_options *options, semcal_error *error)
{
    semcal_run_options o = SEMCAL_RUN_OPTIONS_INIT;
    if (options != NULL) {
        o = *options;
    }
    sc_config *loaded = NULL;
    char *text = NULL;
    size_t length = 0;
    semcal_status status = SEMCAL_OK;
    if (o.n_shards < 1 || o.shard < 1 || o.shard > o.n_shards) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "shard %u of %u: shards count from 1", o.shard, o.n_shards);
    }
    status = sc_config_load(&loaded, config, o.set, o.n_set, error);
    if (status == SEMCAL_OK) {
        status = sc_file_read(&text, &length, config, error);
    }
    if (status == SEMCAL_OK) {
        const sc_run_options inner = {.folder = folder,
                                      .config_text = text,
                                      .device = o.device,
                                      .shard = o.shard,
                                      .n_shards = o.n_shards,
                                      .fresh = o.fresh,
                                      .stopped = ask,
                                      .sink = tell,
                                      .payload = &o};
        sc_run_summary s = {0};
        status = sc_run(&s, loaded, &inner, error);
        if (status == SEMCAL_INTERRUPTED) {
            (void)sc_error_set(error, status, "%s: stopped; everything finished is committed", folder);
        } else if (status == SEMCAL_PARTIAL) {
            (void)sc_error_set(error, status, "%s: %zu of %zu cells failed", folder, s.n_failed, s.n_cells);
        }
        if (summary != NULL) {
            *summary = (semcal_run_summary){.n_cells = s.n_cells,
                                            .n_finished = s.n_finished,
                                            .n_failed = s.n_failed,
                                            .n_questions = s.n_questions,
                                            .draw_tokens = s.draw_tokens,
                                            .forward_tokens = s.forward_tokens,
                                            .wall_s = s.wall_s};
        }
    }
    sc_config_free(loaded);
    free(text);
    return status;
}

semcal_status semcal_run_analyze(char **json, const char *folder, const char *collapse, semcal_error *error)
{
    const sc_analyze_options options = {.collapse = collapse};
    sc_analysis analysis;
    sc_text text = {0};
    *json = NULL;
    semcal_status status = sc_analyze(&analysis, folder, &options, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = sc_analysis_json(&text, &analysis, error);
    if (status == SEMCAL_OK) {
        *json = sc_memory_strdup(text.data, error);
        status = *json == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK && analysis.n_failed > 0) {
        status = sc_error_set(error, SEMCAL_PARTIAL, "%zu cells could not be analysed; first: %s", analysis.n_failed,
                              analysis.failed[0]);
    }
    sc_text_free(&text);
    sc_analysis_free(&analysis);
    return status;
}

semcal_status semcal_run_collapse(const char *folder, const char *kind, semcal_error *error)
{
    const sc_run_collapse_options options = {.kind = kind};
    return sc_run_collapse(folder, &options, error);
}
