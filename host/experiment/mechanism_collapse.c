/* SPDX-License-Identifier: Apache-2.0 */
/* Intermediate confidences of a cell's mechanism under one collapse. */
#include "experiment/mechanism.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/mechanism_file.h"
#include "experiment/store_internal.h"
#include "experiment/store_products.h"
#include "sampling/fork.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct work {
    const sc_collapse_cell_options *options;
    const char *name; /* of the collapse */
    sc_mechanism_file file;
    sc_store_products products;
    char *collapse_sha256; /* of the products */
    double *g, *spread;    /* [n_points] of the question's mode */
    size_t at;             /* next response; responses lie by point, points by question */
} work;

static semcal_status is_mode(bool *inside, const struct sc_mechanism_response *response,
                             const sc_collapse_question *question, const char *mode, semcal_error *error)
{
    if (response->finish == SC_FINISH_LENGTH) {
        *inside = strcmp(mode, SC_COLLAPSE_UNPARSED) == 0;
        return SEMCAL_OK;
    }
    sc_collapse_class class = {0};
    semcal_status status = sc_collapse_classify(&class, question, response->text, error);
    if (status == SEMCAL_OK) {
        *inside = strcmp(class.label, mode) == 0;
    }
    free(class.label);
    return status;
}

/* All points of one question. */
static semcal_status do_question(work *w, size_t *point, const sc_store_record *record, int32_t row,
                                 semcal_error *error)
{
    const sc_mechanism_file *f = &w->file;
    const char *mode = w->products.class_label[w->products.first_class[row] + (size_t)w->products.mode_class[row]];
    sc_collapse_context context = {.question = record->question,
                                   .answers = (const char *const *)record->answers,
                                   .n_answers = record->n_answers,
                                   .judge = w->options->judge};
    sc_collapse_question *question = NULL;
    semcal_status status = SEMCAL_OK;
    if (w->options->choices != NULL) {
        status = w->options->choices(&context.choices, &context.n_choices, record->index, record->id,
                                     w->options->payload, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_collapse_question_make(&question, w->options->kind, &context, error);
    }
    for (; *point < f->n_points && f->points[*point].question == row && status == SEMCAL_OK; (*point)++) {
        double inside = 0;
        for (; w->at < f->n_responses && f->responses[w->at].point == (int32_t)*point && status == SEMCAL_OK; w->at++) {
            bool in = false;
            status = is_mode(&in, &f->responses[w->at], question, mode, error);
            inside += in ? f->responses[w->at].weight : 0;
        }
        const sc_fork_law law = {.exact = f->points[*point].exact != 0, .unexplored = f->points[*point].unexplored};
        sc_fork_confidence(&w->g[*point], &w->spread[*point], &law, inside, (uint32_t)f->n_forks);
    }
    sc_collapse_question_free(question);
    return status;
}

static semcal_status do_points(work *w, const char *cell_path, semcal_error *error)
{
    sc_store_cell *cell = NULL;
    semcal_status status = sc_store_cell_open(&cell, cell_path, error);
    if (status == SEMCAL_OK) {
        status = sc_store_read_products(&w->products, cell, w->name, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_products_sha256(&w->collapse_sha256, cell, w->name, error);
    }
    w->g = sc_memory_alloc(w->file.n_points, sizeof *w->g, error);
    w->spread = sc_memory_alloc(w->file.n_points, sizeof *w->spread, error);
    status = status == SEMCAL_OK && (w->g == NULL || w->spread == NULL) ? SEMCAL_E_MEMORY : status;
    for (size_t point = 0; point < w->file.n_points && status == SEMCAL_OK;) {
        sc_store_record record = SC_STORE_RECORD_INIT;
        int32_t row = w->file.points[point].question;
        if ((size_t)row >= w->products.n_questions || w->products.mode_class[row] < 0) {
            status =
                sc_error_set(error, SEMCAL_E_DATA, "point %zu is of question %d, which has no mode", point, (int)row);
            break;
        }
        status = sc_store_cell_read(&record, cell, (uint64_t)row, 0, error);
        if (status == SEMCAL_OK) {
            status = do_question(w, &point, &record, row, error);
        }
        sc_store_record_free(&record);
    }
    sc_store_cell_close(&cell);
    return status;
}

/* ---- from points to positions ---- */

static double spread_at(const work *w, size_t first, size_t end, int32_t position)
{
    for (size_t i = first; i < end; i++) {
        const struct sc_mechanism_visit *v = &w->file.visits[i];
        if (v->position == (position < v->length ? position : v->length)) {
            return v->point < 0 ? 0 : w->spread[v->point];
        }
    }
    return NAN;
}

/* Adds one draw's visits to its question's row. */
static void add_draw(sc_mechanism_spreads *s, const work *w, size_t q, size_t first, size_t end)
{
    const int64_t parts = w->file.n_positions;
    const int32_t length = w->file.visits[first].length;
    for (size_t k = 0; k < s->n_positions; k++) {
        int32_t fraction = (int32_t)((2 * (int64_t)k * length + parts) / (2 * parts));
        s->by_fraction[q * s->n_positions + k] += spread_at(w, first, end, fraction);
        s->by_token[q * s->n_positions + k] += spread_at(w, first, end, (int32_t)s->token[k]);
    }
}

static semcal_status allocate(sc_mechanism_spreads *s, size_t n_questions, size_t n_positions, semcal_error *error)
{
    *s = (sc_mechanism_spreads){.n_questions = n_questions, .n_positions = n_positions};
    s->by_fraction = sc_memory_alloc(n_questions * n_positions, sizeof(double), error);
    s->by_token = sc_memory_alloc(n_questions * n_positions, sizeof(double), error);
    s->start = sc_memory_alloc(n_questions, sizeof(double), error);
    s->token = sc_memory_alloc(n_positions, sizeof(double), error);
    return s->by_fraction && s->by_token && s->start && s->token ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static semcal_status average(sc_mechanism_spreads *s, const work *w, semcal_error *error)
{
    const sc_mechanism_file *f = &w->file;
    size_t n_questions = 0;
    for (size_t i = 0; i < f->n_visits; i++) {
        n_questions += i == 0 || f->visits[i].question != f->visits[i - 1].question;
    }
    semcal_status status = allocate(s, n_questions, (size_t)f->n_positions + 1, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t k = 0; k < s->n_positions; k++) {
        s->token[k] = (double)(((int64_t)k * f->max_tokens + f->n_positions - 1) / f->n_positions);
    }
    size_t q = 0;
    for (size_t first = 0; first < f->n_visits; q++) {
        int32_t question = f->visits[first].question;
        size_t n_draws = 0;
        while (first < f->n_visits && f->visits[first].question == question) {
            size_t end = first;
            while (end < f->n_visits && f->visits[end].question == question &&
                   f->visits[end].draw == f->visits[first].draw) {
                end++;
            }
            add_draw(s, w, q, first, end);
            n_draws++;
            first = end;
        }
        for (size_t k = 0; k < s->n_positions; k++) {
            s->by_fraction[q * s->n_positions + k] /= (double)n_draws;
            s->by_token[q * s->n_positions + k] /= (double)n_draws;
        }
        s->start[q] = s->by_fraction[q * s->n_positions];
    }
    for (size_t i = 0; i < f->n_points; i++) {
        s->exact += f->points[i].exact ? 1. / (double)f->n_points : 0;
    }
    return SEMCAL_OK;
}

/* ---- the file ---- */

#define SPREADS_FORMAT "semcal-mechanism-spreads"
enum { SPREADS_FORMAT_VERSION = 2, N_VARIABLES = 6 };

typedef struct variable {
    const char *path, *a, *b; /* b NULL: one dimension */
    double *values;
    size_t n;
    const char *long_name;
} variable;

static void list_variables(variable list[N_VARIABLES], const sc_mechanism_spreads *s, double *g, double *spread,
                           size_t n_points)
{
    const size_t Q = s->n_questions, P = s->n_positions;
    const variable all[N_VARIABLES] = {
        {"spread_by_fraction", "question", "position", s->by_fraction, Q * P,
         "mean over draws of the estimate of g (1 - g) after this fraction of the response"},
        {"spread_by_token", "question", "position", s->by_token, Q * P,
         "mean over draws of the estimate of g (1 - g) after so many tokens, 0 for a response that has ended"},
        {"spread_start", "question", NULL, s->start, Q, "estimate of c (1 - c) from forks of the prompt"},
        {"position_token", "position", NULL, s->token, P, "tokens before the position"},
        {"point_confidence", "point", NULL, g, n_points, "intermediate confidence g of the question's mode"},
        {"point_spread", "point", NULL, spread, n_points, "estimate of g (1 - g)"},
    };
    memcpy(list, all, sizeof all);
}

static semcal_status digest_of(char hex[65], const variable *list, semcal_error *error)
{
    sc_text bytes = {0};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < N_VARIABLES && status == SEMCAL_OK; i++) {
        status = sc_store_digest_put(&bytes, list[i].path, SC_H5_F64, SC_H5_F64, list[i].values, list[i].n, error);
    }
    if (status == SEMCAL_OK) {
        sc_sha256_hex(hex, bytes.data, bytes.length);
    }
    sc_text_free(&bytes);
    return status;
}

/* A dimension without rows is not made, nor are the variables on it. */
static semcal_status write_variables(sc_h5 *h5, const sc_mechanism_spreads *s, size_t n_points, const variable *list,
                                     semcal_error *error)
{
    const struct {
        const char *name;
        size_t n;
    } dimensions[] = {{"question", s->n_questions}, {"position", s->n_positions}, {"point", n_points}};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions && status == SEMCAL_OK; i++) {
        if (dimensions[i].n > 0) {
            status = sc_h5_make_dimension(h5, dimensions[i].name, dimensions[i].n, false, error);
        }
    }
    for (size_t i = 0; i < N_VARIABLES && status == SEMCAL_OK; i++) {
        const sc_h5_spec spec = {.path = list[i].path,
                                 .type = SC_H5_F64,
                                 .n_dims = list[i].b != NULL ? 2 : 1,
                                 .dims = {list[i].a, list[i].b},
                                 .long_name = list[i].long_name,
                                 .units = "1"};
        if (list[i].n > 0) {
            status = sc_h5_make_dataset(h5, &spec, error);
            if (status == SEMCAL_OK) {
                status = sc_h5_write(h5, spec.path, SC_H5_F64, NULL, NULL, list[i].values, error);
            }
        }
    }
    return status;
}

/* What a file of spreads is made of. */
typedef struct contents {
    const sc_mechanism_spreads *spreads;
    const work *work;
} contents;

static semcal_status write_all(sc_h5 *h5, const void *payload, semcal_error *error)
{
    const contents *c = payload;
    const sc_mechanism_spreads *s = c->spreads;
    const work *w = c->work;
    char hex[65];
    variable list[N_VARIABLES];
    list_variables(list, s, w->g, w->spread, w->file.n_points);
    semcal_status status = digest_of(hex, list, error);
    const struct {
        const char *name, *text;
    } texts[] = {{"format", SPREADS_FORMAT},
                 {"cell", w->file.cell},
                 {"collapse", w->name},
                 {"collapse_sha256", w->collapse_sha256},
                 {"mechanism_sha256", w->file.content_sha256},
                 {"content_sha256", hex}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == SEMCAL_OK; i++) {
        status = sc_h5_set_text(h5, "", texts[i].name, texts[i].text, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_int(h5, "", "format_version", SPREADS_FORMAT_VERSION, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_set_real(h5, "", "exact", s->exact, error);
    }
    return status == SEMCAL_OK ? write_variables(h5, s, w->file.n_points, list, error) : status;
}

static char *spreads_path(const char *cell_path, const char *collapse, semcal_error *error)
{
    sc_text suffix = {0};
    char *path = NULL;
    if (sc_text_printf(&suffix, error, ".%s.h5", collapse) == SEMCAL_OK) {
        path = sc_mechanism_path(cell_path, suffix.data, error);
    }
    sc_text_free(&suffix);
    return path;
}

semcal_status sc_mechanism_collapse(const char *cell_path, const sc_collapse_cell_options *options, semcal_error *error)
{
    work w = {.options = options, .name = options->name != NULL ? options->name : options->kind->name};
    sc_mechanism_spreads spreads = {0};
    char *from = sc_mechanism_path(cell_path, ".h5", error), *to = spreads_path(cell_path, w.name, error);
    semcal_status status = from == NULL || to == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && sc_file_exists(from)) {
        status = sc_mechanism_file_read(&w.file, from, error);
        if (status == SEMCAL_OK) {
            status = do_points(&w, cell_path, error);
        }
        if (status == SEMCAL_OK) {
            status = average(&spreads, &w, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_store_write_sealed(to, write_all, &(contents){&spreads, &w}, error);
        }
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "mechanism");
    }
    sc_mechanism_spreads_free(&spreads);
    sc_store_products_free(&w.products);
    sc_mechanism_file_free(&w.file);
    free(w.collapse_sha256);
    free(w.g);
    free(w.spread);
    free(from);
    free(to);
    return status;
}

static semcal_status length_of(size_t length[2], sc_h5 *h5, const char *path, semcal_error *error)
{
    sc_h5_shape shape;
    length[0] = length[1] = 0;
    if (!sc_h5_exists(h5, path)) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_h5_get_shape(&shape, h5, path, error);
    if (status == SEMCAL_OK) {
        length[0] = (size_t)shape.length[0];
        length[1] = shape.n_dims > 1 ? (size_t)shape.length[1] : 0;
    }
    return status;
}

/* The variables of an opened file, checked against their digest. */
static semcal_status read_all(sc_mechanism_spreads *s, sc_h5 *h5, semcal_error *error)
{
    size_t spreads[2], points[2], positions[2];
    char hex[65], *digest = NULL;
    double *g = NULL, *spread = NULL;
    variable list[N_VARIABLES];
    semcal_status status = length_of(spreads, h5, "spread_by_fraction", error);
    if (status == SEMCAL_OK) {
        status = length_of(points, h5, "point_confidence", error);
    }
    if (status == SEMCAL_OK) {
        status = length_of(positions, h5, "position_token", error);
    }
    if (status == SEMCAL_OK) {
        status = allocate(s, spreads[0], positions[0], error);
        g = sc_memory_alloc(points[0], sizeof *g, error);
        spread = sc_memory_alloc(points[0], sizeof *spread, error);
        status = status == SEMCAL_OK && (g == NULL || spread == NULL) ? SEMCAL_E_MEMORY : status;
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_real(&s->exact, h5, "", "exact", error);
    }
    if (status == SEMCAL_OK) {
        list_variables(list, s, g, spread, points[0]);
        for (size_t i = 0; i < N_VARIABLES && status == SEMCAL_OK; i++) {
            size_t length[2];
            status = length_of(length, h5, list[i].path, error);
            if (status == SEMCAL_OK && length[0] * (list[i].b != NULL && length[0] > 0 ? length[1] : 1) != list[i].n) {
                status = sc_error_set(error, SEMCAL_E_DATA, "'%s' has another shape than it should", list[i].path);
            }
            if (status == SEMCAL_OK && list[i].n > 0) {
                status = sc_h5_read(h5, list[i].path, SC_H5_F64, NULL, NULL, list[i].values, error);
            }
        }
    }
    if (status == SEMCAL_OK) {
        status = digest_of(hex, list, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_h5_get_text(&digest, h5, "", "content_sha256", error);
    }
    if (status == SEMCAL_OK && strcmp(digest, hex) != 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "its contents do not match their digest");
    }
    free(digest);
    free(g);
    free(spread);
    return status;
}

semcal_status sc_mechanism_collapsed_read(sc_mechanism_spreads *s, sc_mechanism_origin *origin, const char *path,
                                          semcal_error *error)
{
    *s = (sc_mechanism_spreads){0};
    sc_h5 *h5 = NULL;
    semcal_status status = sc_store_open_sealed(&h5, path, SPREADS_FORMAT, SPREADS_FORMAT_VERSION, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    status = read_all(s, h5, error);
    if (origin != NULL) {
        *origin = (sc_mechanism_origin){0};
        const struct {
            const char *name;
            char **text;
        } texts[] = {{"cell", &origin->cell},
                     {"collapse", &origin->collapse},
                     {"collapse_sha256", &origin->collapse_sha256},
                     {"mechanism_sha256", &origin->mechanism_sha256}};
        for (size_t i = 0; i < sizeof texts / sizeof *texts && status == SEMCAL_OK; i++) {
            status = sc_h5_get_text(texts[i].text, h5, "", texts[i].name, error);
        }
    }
    (void)sc_h5_close(&h5, NULL);
    if (status != SEMCAL_OK) {
        sc_error_where(error, "%s", path);
        sc_mechanism_spreads_free(s);
        if (origin != NULL) {
            sc_mechanism_origin_free(origin);
        }
    }
    return status;
}

semcal_status sc_mechanism_read(sc_mechanism_spreads *s, const char *cell_path, const char *collapse,
                                semcal_error *error)
{
    *s = (sc_mechanism_spreads){0};
    char *path = spreads_path(cell_path, collapse, error);
    semcal_status status = path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && sc_file_exists(path)) {
        status = sc_mechanism_collapsed_read(s, NULL, path, error);
    }
    free(path);
    return status;
}

semcal_status sc_mechanism_is_collapsed(bool *current, const char *mechanism_sha256, sc_store_cell *cell,
                                        const char *cell_path, const char *collapse, semcal_error *error)
{
    sc_mechanism_spreads spreads;
    sc_mechanism_origin origin;
    semcal_error damage = SEMCAL_ERROR_INIT;
    *current = false;
    char *path = spreads_path(cell_path, collapse, error), *collapse_sha256 = NULL;
    semcal_status status = path == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK && sc_file_exists(path) &&
        sc_mechanism_collapsed_read(&spreads, &origin, path, &damage) == SEMCAL_OK) {
        *current = strcmp(origin.mechanism_sha256, mechanism_sha256) == 0 &&
                   sc_store_products_sha256(&collapse_sha256, cell, collapse, &damage) == SEMCAL_OK &&
                   strcmp(origin.collapse_sha256, collapse_sha256) == 0;
        sc_mechanism_origin_free(&origin);
        sc_mechanism_spreads_free(&spreads);
    }
    free(collapse_sha256);
    free(path);
    return status;
}

void sc_mechanism_origin_free(sc_mechanism_origin *origin)
{
    free(origin->cell);
    free(origin->collapse);
    free(origin->collapse_sha256);
    free(origin->mechanism_sha256);
    *origin = (sc_mechanism_origin){0};
}

void sc_mechanism_spreads_free(sc_mechanism_spreads *s)
{
    free(s->by_fraction);
    free(s->by_token);
    free(s->start);
    free(s->token);
    *s = (sc_mechanism_spreads){0};
}
