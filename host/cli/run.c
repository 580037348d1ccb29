/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/profile.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/shard.h"
#include "cli/stop.h"
#include "cli/terminal.h"
#include "experiment/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_cli_run(int argc, char **argv, semcal_error *error);

/* What the callbacks of a run see. */
typedef struct view {
    sc_terminal terminal;
    bool json;
    double before_s; /* from the start of the process to that of the run; NaN: unknown */
} view;

static void show_progress(const sc_progress_counters *counters, bool last, void *payload)
{
    view *v = payload;
    sc_terminal_progress(&v->terminal, counters, last);
}

static void show_line(sc_log_level level, const char *line, void *payload)
{
    view *v = payload;
    sc_terminal_line(&v->terminal, sc_log_level_name(level), line);
}

static void show_profile(sc_device *device, const sc_run_summary *summary, void *payload)
{
    const view *v = payload;
    const sc_cli_host_profile host = {&summary->phases, &summary->behind, summary->writer_s,
                                      v->before_s + summary->first_token_s};
    semcal_error error = SEMCAL_ERROR_INIT;
    json_t *object = NULL;
    semcal_status status = v->json ? sc_cli_profile_json(&object, device, summary->wall_s, &host, &error)
                                   : sc_cli_profile_print(device, summary->wall_s, &host, &error);
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    if (text != NULL) {
        puts(text);
    } else if (status != SEMCAL_OK) {
        fprintf(stderr, "semcal run: profile: %s\n", error.message);
    }
    free(text);
    json_decref(object);
}

static semcal_status run_config(const sc_config *config, const char *config_text, sc_run_options *options, bool profile,
                                bool json, semcal_error *error)
{
    view v = {.json = json};
    sc_terminal_init(&v.terminal);
    sc_cli_stop stop;
    sc_cli_stop_catch(&stop);
    options->config_text = config_text;
    options->stopped = sc_cli_stop_asked;
    options->progress = show_progress;
    options->sink = show_line;
    options->profiled = profile ? show_profile : NULL;
    options->payload = &v;
    sc_run_summary summary;
    v.before_s = sc_clock_process_s();
    semcal_status status = sc_run(&summary, config, options, error);
    sc_cli_stop_restore(&stop);
    if (status == SEMCAL_INTERRUPTED) {
        (void)sc_error_set(error, status, "stopped; everything finished is committed, the same command goes on");
    }
    if (status == SEMCAL_OK || status == SEMCAL_PARTIAL || status == SEMCAL_INTERRUPTED) {
        char line[512], idle[64] = "";
        if (summary.device_busy_s >= 0 && summary.wall_s > 0) {
            const double share = 1 - summary.device_busy_s / summary.wall_s;
            (void)snprintf(idle, sizeof idle, "device idle %.1f %% of it, ", share > 0 ? 100 * share : 0);
        }
        (void)snprintf(line, sizeof line,
                       "%zu of %zu cells done (%zu of them before), %llu questions in %.1f s, %s%llu tokens drawn with "
                       "%llu run through models, prompts and reference answers among them; results in %s",
                       summary.n_finished, summary.n_cells, summary.n_already, (unsigned long long)summary.n_questions,
                       summary.wall_s, idle, (unsigned long long)summary.draw_tokens,
                       (unsigned long long)summary.forward_tokens, options->folder);
        sc_terminal_line(&v.terminal, "", line);
    }
    return status;
}

semcal_status sc_cli_run(int argc, char **argv, semcal_error *error)
{
    sc_run_options options = SC_RUN_OPTIONS_INIT;
    sc_cli_list set = {.n = 0};
    const char *shard = NULL;
    bool profile = false, json = false;
    static const sc_cli_usage usage = {
        "run",
        "CONFIG",
        "draws answers for every cell of a configuration and stores them; resumes by default",
        1,
        1,
        "Stops cleanly on Ctrl-C: everything finished is committed (exit 130). The same command goes on where it was."};
    const sc_cli_option table[] = {
        {"output", 'o', SC_CLI_TEXT, &options.folder, "DIR",
         "folder of the run (default: results/<name of the config>)"},
        {"set", 0, SC_CLI_LIST, &set, "KEY=VALUE", "overrides a key of the config; may be repeated"},
        {"device", 0, SC_CLI_TEXT, &options.device, "P:D|NAME", "OpenCL device (see 'semcal show devices')"},
        {"shard", 0, SC_CLI_TEXT, &shard, "I/N|auto", "do shard I of N only; auto: from the batch system's variables"},
        {"fresh", 0, SC_CLI_FLAG, &options.fresh, NULL, "forget what the folder holds and start again"},
        {"profile", 0, SC_CLI_FLAG, &profile, NULL,
         "print where device and host time went, kernels against their floor, when the first token came"},
        {"json", 0, SC_CLI_FLAG, &json, NULL, "print the profile as JSON"},
    };
    const char *operands[64];
    int n_operands;
    bool help;
    semcal_status status =
        sc_cli_parse(&n_operands, operands, &help, &usage, table, sizeof table / sizeof *table, argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    sc_config *config = NULL;
    char *text = NULL, *folder = NULL;
    size_t length;
    status = sc_cli_shard(&options.shard, &options.n_shards, shard, error);
    if (status == SEMCAL_OK) {
        status = sc_config_load(&config, operands[0], set.items, set.n, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_file_read(&text, &length, operands[0], error);
    }
    if (status == SEMCAL_OK && options.folder == NULL) {
        folder = sc_file_join("results", config->name, error);
        options.folder = folder;
        status = folder == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    if (status == SEMCAL_OK) {
        status = run_config(config, text, &options, profile, json, error);
    }
    sc_config_free(config);
    free(text);
    free(folder);
    return status;
}
