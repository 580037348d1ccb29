/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/dataset_tape.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "formats/csv.h"
#include "formats/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

void sc_dataset_row_free(sc_dataset_row *row)
{
    free(row->id);
    free(row->question);
    free(row->law_p);
    sc_row_texts_free(&row->answers);
    sc_row_texts_free(&row->law);
    sc_row_texts_free(&row->extra);
    sc_choices_free(&row->choices);
    *row = (sc_dataset_row){0};
}

void sc_dataset_free(sc_dataset *dataset)
{
    for (size_t i = 0; i < dataset->n_held; i++) {
        sc_dataset_row_free(&dataset->rows[i]);
    }
    sc_dataset_tape_free(dataset->tape);
    free(dataset->rows);
    free(dataset->path);
    sc_choices_free(&dataset->choices);
    *dataset = (sc_dataset){0};
}

/* Makes room for one more row and counts it at once, so that freeing the dataset frees a half-read row too. */
static semcal_status new_row(sc_dataset_row **row, sc_dataset *dataset, size_t line, semcal_error *error)
{
    semcal_status status =
        sc_memory_grow(&dataset->rows, &dataset->capacity, dataset->n_held + 1, sizeof *dataset->rows, error);
    if (status == SEMCAL_OK) {
        *row = &dataset->rows[dataset->n_held++];
        **row = (sc_dataset_row){.line = line};
        dataset->n_rows++;
    }
    return status;
}

/* A row that is read: it stays in memory, or goes to the tape. */
static semcal_status keep_row(sc_dataset *dataset, sc_dataset_row *row, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (dataset->tape != NULL) {
        status = sc_dataset_tape_add(dataset->tape, row, error);
        sc_dataset_row_free(row);
        dataset->n_held--;
    }
    return status;
}

static semcal_status check_row(const sc_dataset_row *row, const sc_dataset_options *options, const char *where,
                               semcal_error *error)
{
    if (row->question[strspn(row->question, " \t\r\n")] == '\0') {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s' is empty", where, options->question);
    }
    if (row->id != NULL && row->id[0] == '\0') {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s' is empty", where, options->id);
    }
    if (options->answers != NULL && row->answers.n == 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s' holds no answer", where, options->answers);
    }
    return SEMCAL_OK;
}

static bool is_full(const sc_dataset *dataset, const sc_dataset_options *options)
{
    return options->limit > 0 && (int64_t)dataset->n_rows >= options->limit;
}

/* ---- JSON lines ---- */

static semcal_status json_text(char **text, const json_t *object, const char *field, const char *where,
                               semcal_error *error)
{
    const json_t *value;
    semcal_status status = sc_row_member(&value, object, field, where, error);
    return status == SEMCAL_OK ? sc_row_text(text, value, field, where, error) : status;
}

static semcal_status fill_from_json(sc_dataset_row *row, const json_t *object, const sc_dataset_options *options,
                                    const char *where, semcal_error *error)
{
    const json_t *value;
    semcal_status status = json_text(&row->question, object, options->question, where, error);
    if (status == SEMCAL_OK && options->id != NULL) {
        status = json_text(&row->id, object, options->id, where, error);
    }
    if (status == SEMCAL_OK && options->answers != NULL) {
        status = sc_row_member(&value, object, options->answers, where, error);
        if (status == SEMCAL_OK) {
            status = sc_row_answers(&row->answers, value, options->answers_separator, options->answers, where, error);
        }
    }
    if (status == SEMCAL_OK && options->law != NULL) {
        status = sc_row_member(&value, object, options->law, where, error);
        if (status == SEMCAL_OK) {
            status = sc_row_law(&row->law, &row->law_p, value, options->law, where, error);
        }
    }
    if (status == SEMCAL_OK && options->choices != NULL) {
        status = sc_row_member(&value, object, options->choices, where, error);
        if (status == SEMCAL_OK) {
            status = sc_choices_add_json(&row->choices, value, where, error);
        }
    }
    for (size_t i = 0; i < options->n_extra && status == SEMCAL_OK; i++) {
        char *text = NULL;
        status = json_text(&text, object, options->extra[i], where, error);
        if (status == SEMCAL_OK) {
            status = sc_row_texts_add(&row->extra, text, strlen(text), error);
        }
        free(text);
    }
    return status == SEMCAL_OK ? check_row(row, options, where, error) : status;
}

static semcal_status read_json(sc_dataset *dataset, const sc_dataset_options *options, semcal_error *error)
{
    sc_json_lines lines;
    sc_text where = {0};
    semcal_status status = sc_json_lines_open(&lines, options->path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    while (status == SEMCAL_OK && !is_full(dataset, options)) {
        json_t *object = NULL;
        sc_dataset_row *row = NULL;
        status = sc_json_lines_next(&object, &lines, error);
        if (status != SEMCAL_OK || object == NULL) {
            break;
        }
        sc_text_clear(&where);
        status = sc_text_printf(&where, error, "%s:%zu", options->path, lines.line);
        if (status == SEMCAL_OK) {
            status = new_row(&row, dataset, lines.line, error);
        }
        if (status == SEMCAL_OK) {
            status = fill_from_json(row, object, options, where.data, error);
        }
        if (status == SEMCAL_OK) {
            status = keep_row(dataset, row, error);
        }
        json_decref(object);
    }
    sc_text_free(&where);
    sc_json_lines_close(&lines);
    return status;
}

/* ---- CSV ---- */

/* Column of a field; absent ones are named with what the header has. */
static semcal_status find_column(size_t *column, const sc_csv *csv, const char *field, semcal_error *error)
{
    const char **names = sc_memory_alloc(csv->n_columns, sizeof *names, error);
    if (names == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    for (*column = 0; *column < csv->n_columns; ++*column) {
        names[*column] = csv->header[*column].text;
        if (strcmp(names[*column], field) == 0) {
            goto done;
        }
    }
    sc_text where = {0};
    status = sc_text_printf(&where, error, "%s:1", csv->path);
    if (status == SEMCAL_OK) {
        status = sc_row_missing(field, names, csv->n_columns, where.data, error);
    }
    sc_text_free(&where);
done:
    free(names);
    return status;
}

/* The cell of a field as UTF-8 without NUL. */
static semcal_status csv_text(const char **text, const sc_csv *csv, size_t row, const char *field, const char *where,
                              semcal_error *error)
{
    size_t column;
    *text = NULL;
    semcal_status status = find_column(&column, csv, field, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    const sc_csv_cell *cell = sc_csv_at(csv, row, column);
    for (size_t i = 0; i < cell->length;) {
        utf8proc_int32_t point;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)cell->text + i, (utf8proc_ssize_t)(cell->length - i), &point);
        if (n <= 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s: field '%s' is not UTF-8 (byte 0x%02x)", where, field,
                                (unsigned)(unsigned char)cell->text[i]);
        }
        i += (size_t)n;
    }
    *text = cell->text;
    return SEMCAL_OK;
}

static semcal_status csv_copy(char **copy, const sc_csv *csv, size_t row, const char *field, const char *where,
                              semcal_error *error)
{
    const char *text;
    semcal_status status = csv_text(&text, csv, row, field, where, error);
    if (status == SEMCAL_OK) {
        *copy = sc_memory_strdup(text, error);
        status = *copy == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    }
    return status;
}

/* A cell that holds JSON. */
static semcal_status csv_json(json_t **value, const sc_csv *csv, size_t row, const char *field, const char *where,
                              semcal_error *error)
{
    const char *text;
    semcal_status status = csv_text(&text, csv, row, field, where, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    sc_text name = {0};
    status = sc_text_printf(&name, error, "%s: field '%s'", where, field);
    if (status == SEMCAL_OK) {
        status = sc_json_parse(value, text, strlen(text), name.data, error);
    }
    sc_text_free(&name);
    return status;
}

static semcal_status fill_from_csv(sc_dataset_row *row, const sc_csv *csv, size_t i, const sc_dataset_options *options,
                                   const char *where, semcal_error *error)
{
    const char *text;
    json_t *value = NULL;
    semcal_status status = csv_copy(&row->question, csv, i, options->question, where, error);
    if (status == SEMCAL_OK && options->id != NULL) {
        status = csv_copy(&row->id, csv, i, options->id, where, error);
    }
    if (status == SEMCAL_OK && options->answers != NULL) {
        status = csv_text(&text, csv, i, options->answers, where, error);
        if (status == SEMCAL_OK && text[0] != '\0') {
            status = sc_row_texts_split(&row->answers, text, options->answers_separator, error);
        }
    }
    if (status == SEMCAL_OK && options->law != NULL) {
        status = csv_json(&value, csv, i, options->law, where, error);
        if (status == SEMCAL_OK) {
            status = sc_row_law(&row->law, &row->law_p, value, options->law, where, error);
        }
        json_decref(value);
        value = NULL;
    }
    if (status == SEMCAL_OK && options->choices != NULL) {
        status = csv_json(&value, csv, i, options->choices, where, error);
        if (status == SEMCAL_OK) {
            status = sc_choices_add_json(&row->choices, value, where, error);
        }
        json_decref(value);
    }
    for (size_t k = 0; k < options->n_extra && status == SEMCAL_OK; k++) {
        status = csv_text(&text, csv, i, options->extra[k], where, error);
        if (status == SEMCAL_OK) {
            status = sc_row_texts_add(&row->extra, text, strlen(text), error);
        }
    }
    return status == SEMCAL_OK ? check_row(row, options, where, error) : status;
}

static semcal_status read_csv(sc_dataset *dataset, const sc_dataset_options *options, semcal_error *error)
{
    sc_csv csv;
    sc_text where = {0};
    semcal_status status = sc_csv_read(&csv, options->path, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < csv.n_rows && status == SEMCAL_OK && !is_full(dataset, options); i++) {
        sc_dataset_row *row = NULL;
        sc_text_clear(&where);
        status = sc_text_printf(&where, error, "%s:%zu", options->path, csv.line[i]);
        if (status == SEMCAL_OK) {
            status = new_row(&row, dataset, csv.line[i], error);
        }
        if (status == SEMCAL_OK) {
            status = fill_from_csv(row, &csv, i, options, where.data, error);
        }
        if (status == SEMCAL_OK) {
            status = keep_row(dataset, row, error);
        }
    }
    sc_text_free(&where);
    sc_csv_free(&csv);
    return status;
}

/* ---- ids ---- */

static int compare_rows(const void *a, const void *b)
{
    const sc_dataset_row *x = *(const sc_dataset_row *const *)a, *y = *(const sc_dataset_row *const *)b;
    int order = strcmp(x->id, y->id);
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

semcal_status sc_dataset_put_default_id(sc_text *id, uint64_t hash, size_t ordinal, semcal_error *error)
{
    semcal_status status = sc_text_printf(id, error, "q%016" PRIx64, hash);
    return status == SEMCAL_OK && ordinal > 1 ? sc_text_printf(id, error, "-%zu", ordinal) : status;
}

semcal_status sc_dataset_default_id(sc_dataset_row *row, size_t ordinal, semcal_error *error)
{
    sc_text id = {0};
    semcal_status status =
        sc_dataset_put_default_id(&id, sc_hash64(row->question, strlen(row->question)), ordinal, error);
    if (status != SEMCAL_OK) {
        sc_text_free(&id);
        return status;
    }
    free(row->id);
    row->id = id.data;
    return SEMCAL_OK;
}

/* Gives default ids, and makes sure that no two rows share one. */
static semcal_status settle_ids(sc_dataset *dataset, const sc_dataset_options *options, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    sc_dataset_row **sorted = sc_memory_alloc(dataset->n_rows, sizeof *sorted, error);
    if (sorted == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < dataset->n_rows && status == SEMCAL_OK; i++) {
        sorted[i] = &dataset->rows[i];
        status = options->id == NULL ? sc_dataset_default_id(sorted[i], 1, error) : SEMCAL_OK;
    }
    if (status != SEMCAL_OK) {
        goto done;
    }
    qsort(sorted, dataset->n_rows, sizeof *sorted, compare_rows);
    size_t first = 0;
    for (size_t i = 1; i < dataset->n_rows && status == SEMCAL_OK; i++) {
        if (strcmp(sorted[i]->id, sorted[first]->id) != 0) {
            first = i;
        } else if (options->id == NULL) {
            status = sc_dataset_default_id(sorted[i], i - first + 1, error);
        } else {
            status = sc_error_set(error, SEMCAL_E_DATA, "%s:%zu: id '%s' is already that of line %zu", options->path,
                                  sorted[i]->line, sorted[i]->id, sorted[first]->line);
        }
    }
done:
    free(sorted);
    return status;
}

/* ---- opening ---- */

static bool is_csv(const sc_dataset_options *options)
{
    size_t n = strlen(options->path);
    return options->format == SC_CONFIG_CSV ||
           (options->format == SC_CONFIG_FORMAT_AUTO && n > 4 && strcasecmp(options->path + n - 4, ".csv") == 0);
}

semcal_status sc_dataset_open(sc_dataset *dataset, const sc_dataset_options *options, semcal_error *error)
{
    *dataset = (sc_dataset){0};
    dataset->path = sc_memory_strdup(options->path, error);
    semcal_status status = dataset->path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && options->folder != NULL) {
        status = sc_dataset_tape_open(&dataset->tape, options->folder, error);
    }
    if (status == SEMCAL_OK) {
        status = is_csv(options) ? read_csv(dataset, options, error) : read_json(dataset, options, error);
    }
    if (status == SEMCAL_OK && dataset->n_rows == 0) {
        status =
            sc_error_set(error, SEMCAL_E_DATA, "%s: no rows, a dataset needs at least one question", options->path);
    }
    if (status == SEMCAL_OK && dataset->tape != NULL) {
        free(dataset->rows);
        dataset->rows = NULL;
        status = sc_dataset_tape_settle(dataset->tape, options->id != NULL, options->path, error);
    } else if (status == SEMCAL_OK) {
        status = settle_ids(dataset, options, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_file_sha256(dataset->sha256, options->path, error);
    }
    if (status != SEMCAL_OK) {
        sc_dataset_free(dataset);
    }
    return status;
}

semcal_status sc_dataset_read(sc_dataset_row *row, const sc_dataset *dataset, size_t i, semcal_error *error)
{
    return sc_dataset_tape_read(row, dataset->tape, i, error);
}

uint64_t sc_dataset_item(const sc_dataset *dataset, size_t i)
{
    return dataset->tape != NULL ? sc_dataset_tape_item(dataset->tape, i)
                                 : sc_hash64(dataset->rows[i].id, strlen(dataset->rows[i].id));
}

semcal_status sc_dataset_open_config(sc_dataset *dataset, const sc_config_dataset *config, const char *folder,
                                     semcal_error *error)
{
    const sc_dataset_options options = {
        .path = config->path,
        .format = config->format,
        .question = config->question,
        .answers = config->answers,
        .answers_separator = config->answers_separator,
        .id = config->id,
        .law = config->law,
        .choices = config->choices.field,
        .limit = config->limit,
        .folder = folder,
    };
    semcal_status status = sc_dataset_open(dataset, &options, error);
    for (size_t i = 0; i < config->choices.n_groups && status == SEMCAL_OK; i++) {
        const sc_config_texts *group = &config->choices.groups[i];
        status = sc_choices_add(&dataset->choices, (const char *const *)group->at, group->n, error);
    }
    if (status == SEMCAL_OK && config->choices_file != NULL) {
        status = sc_choices_add_file(&dataset->choices, config->choices_file, error);
    }
    if (status != SEMCAL_OK) {
        sc_dataset_free(dataset);
    }
    return status;
}

semcal_status sc_dataset_open_shots(sc_dataset *shots, const sc_config_dataset *config, semcal_error *error)
{
    *shots = (sc_dataset){0};
    const sc_config_shots *wanted = &config->shots;
    if (wanted->path == NULL || wanted->n <= 0) {
        return SEMCAL_OK;
    }
    const sc_dataset_options options = {
        .path = wanted->path,
        .format = wanted->format,
        .question = wanted->question,
        .answers = wanted->answers,
        .answers_separator = config->answers_separator,
        .extra = (const char *const *)wanted->responses.values,
        .n_extra = wanted->responses.n,
        .limit = wanted->n,
    };
    semcal_status status = sc_dataset_open(shots, &options, error);
    if (status == SEMCAL_OK && (int64_t)shots->n_rows < wanted->n) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %zu rows, but shots.n is %" PRId64, wanted->path,
                              shots->n_rows, wanted->n);
        sc_dataset_free(shots);
    }
    return status;
}

sc_collapse_context sc_dataset_context(const sc_dataset *dataset, size_t row)
{
    const sc_dataset_row *at = &dataset->rows[row];
    const sc_choices *choices = at->choices.n > 0 ? &at->choices : &dataset->choices;
    return (sc_collapse_context){
        .question = at->question,
        .answers = (const char *const *)at->answers.at,
        .n_answers = at->answers.n,
        .choices = choices->items,
        .n_choices = choices->n,
    };
}
