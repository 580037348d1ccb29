/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run_folder.h"

#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static semcal_status lock_folder(sc_run_folder *folder, const sc_run_options *options, semcal_error *error)
{
    sc_text path = {0};
    semcal_status status =
        sc_text_printf(&path, error, "%s/.lock-%u-of-%u", folder->path, options->shard, options->n_shards);
    if (status == SEMCAL_OK) {
        folder->lock = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (folder->lock < 0) {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s: cannot create: %s", path.data, strerror(errno));
        } else if (flock(folder->lock, LOCK_EX | LOCK_NB) != 0) {
            status = sc_error_set(error, SEMCAL_E_DATA,
                                  "%s: another process is running in this folder; wait for it, "
                                  "or choose another folder with -o",
                                  folder->path);
        }
    }
    sc_text_free(&path);
    return status;
}

/* Blanks out the lines of the top-level sections `analyze:` and `mechanism:`, in place. */
static void without_analysis(char *yaml)
{
    bool inside = false;
    for (char *line = yaml; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        if (n > 0 && line[0] != ' ' && line[0] != '-' && line[0] != '#') {
            inside = strncmp(line, "analyze:", 8) == 0 || strncmp(line, "mechanism:", 10) == 0;
        }
        if (inside) {
            memset(line, ' ', n);
        }
        line += n + (line[n] == '\n');
    }
}

/* E_CONFIG with the first line that differs. */
static semcal_status compare_configs(char *old, char *new, const char *folder, semcal_error *error)
{
    without_analysis(old);
    without_analysis(new);
    char *rest_old = old, *rest_new = new;
    for (int line = 1; *rest_old != '\0' || *rest_new != '\0'; line++) {
        size_t n = strcspn(rest_old, "\n"), m = strcspn(rest_new, "\n");
        /* lines blanked out may differ in length and number only at the end of the file */
        size_t a = strspn(rest_old, " "), b = strspn(rest_new, " ");
        bool blank = a >= n && b >= m;
        if (!blank && (n != m || memcmp(rest_old, rest_new, n) != 0)) {
            return sc_error_set(error, SEMCAL_E_CONFIG,
                                "%s holds a run of another configuration: resolved.yaml:%d is '%.*s', now '%.*s'; "
                                "choose another folder with -o, or start again with --fresh",
                                folder, line, (int)(n - (a < n ? a : n)), rest_old + (a < n ? a : n),
                                (int)(m - (b < m ? b : m)), rest_new + (b < m ? b : m));
        }
        rest_old += n + (rest_old[n] == '\n');
        rest_new += m + (rest_new[m] == '\n');
    }
    return SEMCAL_OK;
}

static semcal_status tie_config(sc_run_folder *folder, const sc_config *config, const sc_run_options *options,
                                semcal_error *error)
{
    sc_text yaml = {0};
    char *resolved = sc_file_join(folder->path, "resolved.yaml", error), *old = NULL, *copy = NULL;
    char *given = sc_file_join(folder->path, "config.yaml", error);
    size_t n_old = 0;
    semcal_status status = sc_config_resolved(&yaml, config, error);
    if (status == SEMCAL_OK && (resolved == NULL || given == NULL)) {
        status = SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK && !options->fresh && sc_file_exists(resolved)) {
        status = sc_file_read(&old, &n_old, resolved, error);
        copy = status == SEMCAL_OK ? sc_memory_strdup(yaml.data, error) : NULL;
        if (status == SEMCAL_OK) {
            status = copy == NULL ? SEMCAL_E_MEMORY : compare_configs(old, copy, folder->path, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_file_write_atomic(resolved, yaml.data, yaml.length, error);
    }
    if (status == SEMCAL_OK && options->config_text != NULL) {
        status = sc_file_write_atomic(given, options->config_text, strlen(options->config_text), error);
    }
    sc_text_free(&yaml);
    free(resolved);
    free(given);
    free(old);
    free(copy);
    return status;
}

semcal_status sc_run_folder_open(sc_run_folder *folder, const sc_config *config, const sc_run_options *options,
                                 semcal_error *error)
{
    *folder = (sc_run_folder){.lock = -1};
    folder->path = sc_memory_strdup(options->folder, error);
    char *cells = sc_file_join(options->folder, "cells", error);
    semcal_status status = folder->path == NULL || cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_file_make_folder(cells, error);
    }
    if (status == SEMCAL_OK) {
        status = lock_folder(folder, options, error);
    }
    if (status == SEMCAL_OK) {
        status = tie_config(folder, config, options, error);
    }
    free(cells);
    if (status != SEMCAL_OK) {
        sc_run_folder_close(folder);
    }
    return status;
}

void sc_run_folder_close(sc_run_folder *folder)
{
    if (folder->path != NULL && folder->lock >= 0) {
        (void)close(folder->lock);
    }
    free(folder->path);
    *folder = (sc_run_folder){.lock = -1};
}

char *sc_run_folder_cell(const sc_run_folder *folder, const char *cell, semcal_error *error)
{
    sc_text path = {0};
    if (sc_text_printf(&path, error, "%s/cells/%s.h5", folder->path, cell) != SEMCAL_OK) {
        sc_text_free(&path);
    }
    return path.data;
}

semcal_status sc_run_folder_config(sc_config **config, const char *path, semcal_error *error)
{
    *config = NULL;
    char *resolved = sc_file_join(path, "resolved.yaml", error);
    if (resolved == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status;
    if (!sc_file_is_folder(path) || !sc_file_exists(resolved)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: not a run folder (there is no resolved.yaml in it)", path);
    } else {
        status = sc_config_load(config, resolved, NULL, 0, error);
    }
    free(resolved);
    return status;
}
