/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/judge.h"

#include "base/memory.h"
#include "cli/notes.h"

#include <stdlib.h>
#include <string.h>

/* The rules and defaults of a configuration's keys hold here, too. */
static semcal_status load_config(sc_config **config, const char *folder, const sc_cli_list *set, semcal_error *error)
{
    static const char text[] = "name: classify\n"
                               "models: [{name: judge, source: toy}]\n"
                               "datasets: [{name: lines, path: lines.jsonl, choices: choices, collapse: model}]\n";
    char *overrides[sizeof set->items / sizeof *set->items + 1] = {NULL};
    size_t n = 0;
    sc_text line = {0};
    semcal_status status = sc_text_printf(&line, error, "datasets[0].collapse.model.path=");
    if (status == SEMCAL_OK) {
        status = sc_judge_put_path(&line, folder, error);
    }
    for (size_t i = 0; status == SEMCAL_OK; i++) {
        overrides[n++] = line.data;
        line = (sc_text){0};
        if (i == set->n) {
            break;
        }
        status = sc_text_printf(&line, error, "datasets[0].collapse.model.%s", set->items[i]);
    }
    if (status == SEMCAL_OK) {
        status = sc_config_parse(config, text, strlen(text), "semcal classify", ".", (const char *const *)overrides, n,
                                 error);
    }
    for (size_t i = 0; i < n; i++) {
        free(overrides[i]);
    }
    sc_text_free(&line);
    return status == SEMCAL_OK ? sc_judge_check(*config, error) : status;
}

semcal_status sc_cli_judge_open(sc_cli_judge *judge, const char *folder, const sc_cli_list *set, const char *device,
                                semcal_error *error)
{
    *judge = (sc_cli_judge){.config = NULL};
    sc_judge_options options = {.model = &judge->model};
    semcal_status status = load_config(&judge->config, folder, set, error);
    if (status == SEMCAL_OK) {
        status = sc_sources_init(&judge->sources, device, false, NULL, error);
    }
    if (status == SEMCAL_OK) {
        options.config = sc_config_find_collapse(&judge->config->datasets.at[0], SC_JUDGE_KIND);
        sc_judge_model(&judge->model, options.config, &judge->config->models.at[0]);
        status = sc_sources_get(&options.source, &judge->sources, &judge->model, error);
    }
    return status == SEMCAL_OK ? sc_judged_make(&judge->judged, &options, error) : status;
}

void sc_cli_judge_close(sc_cli_judge *judge)
{
    sc_judged_free(judge->judged);
    sc_cli_notes(judge->sources.device);
    sc_sources_free(&judge->sources);
    sc_config_free(judge->config);
}
