/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run_state.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/run_folder.h"
#include "formats/h5.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* True when some process holds one of the folder's locks. */
static bool is_locked(const char *folder)
{
    DIR *dir = opendir(folder);
    bool locked = false;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, ".lock-", 6) != 0) {
            continue;
        }
        char *path = sc_file_join(folder, entry->d_name, NULL);
        int lock = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (lock >= 0) {
            locked = locked || flock(lock, LOCK_SH | LOCK_NB) != 0;
            (void)close(lock);
        }
        free(path);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return locked;
}

/* ---- questions committed, from the segments ---- */

/* Adds what a segment or shard file holds; one that is gone or half written counts nothing. */
static void count_file(sc_run_state_cell *cell, const char *folder, const char *name)
{
    char *path = sc_file_join(folder, name, NULL);
    sc_h5 *file = NULL;
    int64_t n = 0, all = 0;
    if (path != NULL && sc_h5_open(&file, path, false, NULL) == SEMCAL_OK) {
        if (sc_h5_get_int(&n, file, "", "n_questions", NULL) == SEMCAL_OK && n > 0) {
            cell->committed += (uint64_t)n;
        }
        if (sc_h5_get_int(&all, file, "", "n_cell_questions", NULL) == SEMCAL_OK && all > 0) {
            cell->questions = (uint64_t)all;
        }
        (void)sc_h5_close(&file, NULL);
    }
    free(path);
}

/* "<cell>.h5", "<cell>.shard-i-of-n.h5", or folders of these with ".segments" in place of ".h5". */
static void count_entry(sc_run_state_cell *cell, const char *folder, const char *name)
{
    size_t n = strlen(cell->cell->name), length = strlen(name);
    if (strncmp(name, cell->cell->name, n) != 0 || name[n] != '.') {
        return;
    }
    const char *rest = name + n;
    bool shard = strncmp(rest, ".shard-", 7) == 0;
    if (strcmp(rest, ".h5") == 0) {
        cell->finished = true;
        cell->committed = 0;
        count_file(cell, folder, name);
    } else if (cell->finished) {
        return;
    } else if (shard && length > 3 && strcmp(name + length - 3, ".h5") == 0) {
        count_file(cell, folder, name);
    } else if (strcmp(rest, ".segments") == 0 || (shard && length > 9 && strcmp(name + length - 9, ".segments") == 0)) {
        char *path = sc_file_join(folder, name, NULL), **segments = NULL;
        size_t n_segments = 0;
        if (path != NULL && sc_file_list(&segments, &n_segments, path, ".h5", NULL) == SEMCAL_OK) {
            for (size_t i = 0; i < n_segments; i++) {
                count_file(cell, path, segments[i]);
            }
        }
        sc_file_list_free(segments, n_segments);
        free(path);
    }
}

static void count_cells(sc_run_state *state, const char *folder)
{
    char *cells = sc_file_join(folder, "cells", NULL), **names = NULL;
    size_t n_names = 0;
    if (cells != NULL && sc_file_list(&names, &n_names, cells, "", NULL) == SEMCAL_OK) {
        for (size_t i = 0; i < state->plan.n_cells; i++) {
            for (size_t k = 0; k < n_names; k++) {
                count_entry(&state->cells[i], cells, names[k]);
            }
        }
    }
    sc_file_list_free(names, n_names);
    free(cells);
    bool known = true;
    for (size_t i = 0; i < state->plan.n_cells; i++) {
        sc_run_state_cell *cell = &state->cells[i];
        /* Cells of one dataset have the same questions. */
        for (size_t k = 0; k < state->plan.n_cells && cell->questions == 0; k++) {
            cell->questions = state->cells[k].cell->dataset == cell->cell->dataset ? state->cells[k].questions : 0;
        }
        state->n_finished += cell->finished;
        state->committed += cell->committed;
        state->questions += cell->questions;
        known = known && cell->questions > 0;
    }
    state->questions = known ? state->questions : 0;
}

/* ---- the log ---- */

static sc_run_state_cell *find_cell(sc_run_state *state, const char *name, size_t length)
{
    for (size_t i = 0; i < state->plan.n_cells; i++) {
        const char *has = state->cells[i].cell->name;
        if (strlen(has) == length && memcmp(has, name, length) == 0) {
            return &state->cells[i];
        }
    }
    return NULL;
}

static void take_failure(sc_run_state *state, const char *message)
{
    static const char middle[] = " failed: ";
    const char *end = strstr(message, middle);
    if (strncmp(message, "cell ", 5) != 0 || end == NULL) {
        return;
    }
    sc_run_state_cell *cell = find_cell(state, message + 5, (size_t)(end - message) - 5);
    if (cell != NULL) {
        free(cell->failure);
        cell->failure = sc_memory_strdup(end + sizeof middle - 1, NULL);
    }
}

static void replace(char **text, const char *with)
{
    if (with != NULL) {
        free(*text);
        *text = sc_memory_strdup(with, NULL);
    }
}

static void take_line(sc_run_state *state, const char *line, size_t length)
{
    json_t *object = json_loadb(line, length, 0, NULL);
    const char *event = json_string_value(json_object_get(object, "event"));
    const char *time = json_string_value(json_object_get(object, "time"));
    const char *name = json_string_value(json_object_get(object, "cell"));
    const char *message = json_string_value(json_object_get(object, "message"));
    replace(&state->last, time);
    if (event == NULL) {
        json_decref(object);
        return;
    }
    if (strcmp(event, "run_begins") == 0) {
        state->ended = state->interrupted = false;
        replace(&state->began, time);
        for (size_t i = 0; i < state->plan.n_cells; i++) {
            free(state->cells[i].failure);
            state->cells[i].failure = NULL;
        }
    } else if (strcmp(event, "run_ends") == 0) {
        state->ended = true;
    } else if (strcmp(event, "interrupted") == 0) {
        state->interrupted = true;
    } else if (strcmp(event, "cell_failed") == 0 && message != NULL) {
        take_failure(state, message);
    } else if (strcmp(event, "cell_done") == 0 && name != NULL) {
        sc_run_state_cell *cell = find_cell(state, name, strlen(name));
        double wall_s = json_number_value(json_object_get(object, "wall_s"));
        if (cell != NULL && !(cell->wall_s > wall_s)) {
            cell->wall_s = wall_s;
        }
    }
    json_decref(object);
}

static semcal_status read_log(sc_run_state *state, const char *folder, semcal_error *error)
{
    char *path = sc_file_join(folder, "log.jsonl", error), *data = NULL;
    size_t length = 0;
    if (path == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = sc_file_exists(path) ? sc_file_read(&data, &length, path, error) : SEMCAL_OK;
    for (size_t at = 0; at < length && status == SEMCAL_OK;) {
        size_t n = strcspn(data + at, "\n");
        if (n == 0 && data[at] == '\0') {
            n = 1; /* a NUL in a damaged log */
        } else {
            take_line(state, data + at, n);
        }
        at += n + 1;
    }
    free(data);
    free(path);
    return status;
}

semcal_status sc_run_state_read(sc_run_state *state, const char *folder, semcal_error *error)
{
    *state = (sc_run_state){0};
    semcal_status status = sc_run_folder_config(&state->config, folder, error);
    if (status == SEMCAL_OK) {
        status = sc_plan_make(&state->plan, state->config, error);
    }
    if (status == SEMCAL_OK) {
        state->cells = sc_memory_alloc(state->plan.n_cells, sizeof *state->cells, error);
        status = state->cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    for (size_t i = 0; i < state->plan.n_cells && status == SEMCAL_OK; i++) {
        state->cells[i] = (sc_run_state_cell){.cell = &state->plan.cells[i], .wall_s = NAN};
    }
    if (status == SEMCAL_OK) {
        status = read_log(state, folder, error);
    }
    if (status == SEMCAL_OK) {
        count_cells(state, folder);
        state->running = is_locked(folder);
        for (size_t i = 0; i < state->plan.n_cells; i++) {
            state->n_failed += state->cells[i].failure != NULL && !state->cells[i].finished;
        }
    } else {
        sc_run_state_free(state);
    }
    return status;
}

void sc_run_state_free(sc_run_state *state)
{
    for (size_t i = 0; state->cells != NULL && i < state->plan.n_cells; i++) {
        free(state->cells[i].failure);
    }
    free(state->cells);
    free(state->began);
    free(state->last);
    sc_plan_free(&state->plan);
    sc_config_free(state->config);
    *state = (sc_run_state){0};
}
