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

/* Lines of a resolved configuration but those of the sections `analyze:` and `mechanism:`, which may change. */
typedef struct lines {
    const char *rest, *line;
    size_t n, indent;
    int number;
    bool is_analysis;
} lines;

static bool next_line(lines *l)
{
    while (*l->rest != '\0') {
        const char *line = l->rest;
        size_t n = strcspn(line, "\n"), indent = strspn(line, " ");
        l->rest += n + (line[n] == '\n');
        l->number++;
        if (n > 0 && indent == 0 && line[0] != '-' && line[0] != '#') {
            l->is_analysis = strncmp(line, "analyze:", 8) == 0 || strncmp(line, "mechanism:", 10) == 0;
        }
        if (!l->is_analysis && indent < n) {
            l->line = line;
            l->n = n;
            l->indent = indent;
            return true;
        }
    }
    l->line = "";
    l->n = l->indent = 0;
    return false;
}

/* The value of a line whose key is a path, unquoted and malloc'ed; NULL for other lines. */
static char *path_of(const lines *l)
{
    static const char *const keys[] = {"path: ", "logits: ", "choices_file: ", "classes_file: "};
    const char *at = l->line + l->indent;
    size_t n = l->n - l->indent;
    if (n > 2 && strncmp(at, "- ", 2) == 0) {
        at += 2;
        n -= 2;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const size_t length = strlen(keys[i]);
        if (n > length && strncmp(at, keys[i], length) == 0) {
            at += length;
            n -= length;
            const bool quoted = n >= 2 && (at[0] == '"' || at[0] == '\'') && at[n - 1] == at[0];
            return quoted ? sc_memory_strndup(at + 1, n - 2, NULL) : sc_memory_strndup(at, n, NULL);
        }
    }
    return NULL;
}

static bool same_file(const char *a, const char *b)
{
    char x[65], y[65];
    return sc_file_sha256(x, a, NULL) == SEMCAL_OK && sc_file_sha256(y, b, NULL) == SEMCAL_OK && strcmp(x, y) == 0;
}

/* Files of the same names and contents; folders within are not looked at. */
static bool same_folder(const char *a, const char *b)
{
    char **names = NULL, **others = NULL;
    size_t n = 0, n_others = 0;
    bool same = sc_file_list(&names, &n, a, "", NULL) == SEMCAL_OK &&
                sc_file_list(&others, &n_others, b, "", NULL) == SEMCAL_OK && n == n_others;
    for (size_t i = 0; same && i < n; i++) {
        char *x = sc_file_join(a, names[i], NULL), *y = sc_file_join(b, others[i], NULL);
        same = x != NULL && y != NULL && strcmp(names[i], others[i]) == 0 && (sc_file_is_folder(x) || same_file(x, y));
        free(x);
        free(y);
    }
    sc_file_list_free(names, n);
    sc_file_list_free(others, n_others);
    return same;
}

/* Two lines that name the same thing at two places: a copy, or where it was moved to. What was moved can no more be
 * compared here; models and datasets are, by the digests every cell keeps of them. */
static bool same_thing(const lines *old, const lines *new)
{
    char *a = path_of(old), *b = path_of(new);
    bool same = a != NULL && b != NULL && old->indent == new->indent;
    if (same && sc_file_exists(a)) {
        same = sc_file_is_folder(a) ? sc_file_is_folder(b) && same_folder(a, b) : same_file(a, b);
    } else if (same) {
        const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
        same = strcmp(x != NULL ? x : a, y != NULL ? y : b) == 0;
    }
    free(a);
    free(b);
    return same;
}

/* E_CONFIG with the first line that differs. */
static semcal_status compare_configs(const char *old, const char *new, const char *folder, semcal_error *error)
{
    lines a = {.rest = old}, b = {.rest = new};
    for (bool more = true; more;) {
        bool more_a = next_line(&a), more_b = next_line(&b);
        bool same = more_a == more_b && a.n == b.n && memcmp(a.line, b.line, a.n) == 0;
        if (!same && !(more_a && more_b && same_thing(&a, &b))) {
            return sc_error_set(error, SEMCAL_E_CONFIG,
                                "%s holds a run of another configuration: resolved.yaml:%d is '%.*s', now '%.*s'; "
                                "choose another folder with -o, or start again with --fresh",
                                folder, a.number, (int)(a.n - a.indent), a.line + a.indent, (int)(b.n - b.indent),
                                b.line + b.indent);
        }
        more = more_a;
    }
    return SEMCAL_OK;
}

/* What the run in the folder was begun with, every key of this version written out: a version that has learned new
 * keys goes on with a run that knew their defaults only. */
static semcal_status resolve_old(sc_text *yaml, const char *path, semcal_error *error)
{
    sc_config *config = NULL;
    semcal_status status = sc_config_load(&config, path, NULL, 0, error);
    if (status == SEMCAL_OK) {
        status = sc_config_resolved(yaml, config, error);
    }
    sc_config_free(config);
    return status;
}

static semcal_status tie_config(sc_run_folder *folder, const sc_config *config, const sc_run_options *options,
                                semcal_error *error)
{
    sc_text yaml = {0};
    sc_text old = {0};
    char *resolved = sc_file_join(folder->path, "resolved.yaml", error);
    char *given = sc_file_join(folder->path, "config.yaml", error);
    semcal_status status = sc_config_resolved(&yaml, config, error);
    if (status == SEMCAL_OK && (resolved == NULL || given == NULL)) {
        status = SEMCAL_E_MEMORY;
    }
    if (status == SEMCAL_OK && !options->fresh && sc_file_exists(resolved)) {
        status = resolve_old(&old, resolved, error);
        if (status == SEMCAL_OK) {
            status = compare_configs(old.data, yaml.data, folder->path, error);
        }
    }
    if (status == SEMCAL_OK) {
        status = sc_file_write_atomic(resolved, yaml.data, yaml.length, error);
    }
    if (status == SEMCAL_OK && options->config_text != NULL) {
        status = sc_file_write_atomic(given, options->config_text, strlen(options->config_text), error);
    }
    sc_text_free(&yaml);
    sc_text_free(&old);
    free(resolved);
    free(given);
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
