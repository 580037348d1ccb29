/* SPDX-License-Identifier: Apache-2.0 */
/* Products of collapses. Called with a path, makes a finished and collapsed cell there, for tests in other languages.
 */
#include "store_records.h"

#include "base/file.h"

#include <unistd.h>

enum { N_QUESTIONS = 30, N_DRAWS = 6, N_TOP = 2 };

static char folder[] = "/tmp/semcal-products-XXXXXX";
static char cell_path[128];

static semcal_status make_cell(const char *run, semcal_error *error)
{
    sc_store_options options = SC_STORE_OPTIONS_INIT;
    const sc_store_attribute attributes[] = {{"resolved_config", "name: t\nseed: 1\n", true},
                                             {"device", "none", false}};
    options.n_questions = N_QUESTIONS;
    options.n_draws = N_DRAWS;
    options.n_top = N_TOP;
    options.raw = true;
    options.attributes = attributes;
    options.n_attributes = 2;
    sc_store *store;
    semcal_status status = sc_store_open(&store, run, "c", &options, error);
    for (unsigned i = 0; i < N_QUESTIONS && status == SEMCAL_OK; i++) {
        sc_store_record record = test_record(i, N_DRAWS, N_TOP, true, 0);
        status = sc_store_append(store, &record, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_store_finish(store, NULL, 0, error);
    }
    semcal_status closed = sc_store_close(&store, error);
    return status == SEMCAL_OK ? closed : status;
}

typedef struct made {
    sc_store_products products;
    sc_store_column columns[3];
    size_t first[N_QUESTIONS + 1];
    int32_t draw_class[N_QUESTIONS * N_DRAWS], mode[N_QUESTIONS], count[4 * N_QUESTIONS], counts[N_QUESTIONS];
    int32_t response[4 * N_QUESTIONS];
    double mass[4 * N_QUESTIONS], lower[4 * N_QUESTIONS], upper[4 * N_QUESTIONS], confidence[N_QUESTIONS];
    uint8_t correct[4 * N_QUESTIONS];
    char labels[4 * N_QUESTIONS][32], *label[4 * N_QUESTIONS], *modes[N_QUESTIONS];
    sc_store_attribute option;
} made;

/* Question q has q % (k + 1) classes; those without any have no class for their draws. */
static const sc_store_products *make(made *m, const char *name, size_t k)
{
    *m = (made){.option = {"normalizer", name, false}};
    sc_store_products *p = &m->products;
    size_t n_responses = 0;
    for (size_t q = 0; q < N_QUESTIONS; q++) {
        size_t n = q % (k + 1);
        m->first[q + 1] = m->first[q] + n;
        m->mode[q] = n > 0 ? (int32_t)(q % n) : -1;
        m->counts[q] = (int32_t)n;
        m->confidence[q] = n > 0 ? 1 / (double)n : (double)NAN;
        m->modes[q] = n > 0 ? m->labels[m->first[q] + q % n] : NULL;
        for (size_t j = 0; j < N_DRAWS; j++) {
            m->draw_class[q * N_DRAWS + j] = n > 0 ? (int32_t)((q + j) % n) : -1;
        }
        for (size_t i = 0; i < 1 + q % 3; i++) {
            m->response[n_responses++] = n > 0 ? (int32_t)(i % n) : -1;
        }
        for (size_t i = m->first[q]; i < m->first[q + 1]; i++) {
            (void)snprintf(m->labels[i], sizeof m->labels[i], "%.8s%zu", name, i);
            m->label[i] = m->labels[i];
            m->count[i] = (int32_t)i;
            m->mass[i] = 1 / (double)(i + 1);
            m->lower[i] = m->mass[i] / 2;
            m->upper[i] = 1;
            m->correct[i] = i % 2;
        }
    }
    m->columns[0] = (sc_store_column){NULL, NULL, NULL, SC_STORE_REAL, m->confidence, NULL, NULL};
    m->columns[1] = (sc_store_column){NULL, NULL, NULL, SC_STORE_INT, NULL, m->counts, NULL};
    m->columns[2] = (sc_store_column){NULL, NULL, NULL, SC_STORE_TEXT, NULL, NULL, m->modes};
    static char names[3][24] = {"confidence_frequency", "n_classes", "mode_label"};
    static char long_names[3][40] = {"share of the most drawn class", "number of classes", "label of the mode"};
    static char units[2][2] = {"1", ""};
    static char collapse[16];
    for (size_t i = 0; i < 3; i++) {
        m->columns[i].name = names[i];
        m->columns[i].long_name = long_names[i];
        m->columns[i].units = units[i == 2];
    }
    (void)snprintf(collapse, sizeof collapse, "%s", name);
    *p = (sc_store_products){.collapse = collapse,
                             .n_questions = N_QUESTIONS,
                             .n_draws = N_DRAWS,
                             .draw_class = m->draw_class,
                             .first_class = m->first,
                             .class_label = m->label,
                             .class_count = m->count,
                             .class_mass = m->mass,
                             .class_mass_lower = m->lower,
                             .class_mass_upper = m->upper,
                             .class_correct = m->correct,
                             .response_class = m->response,
                             .mode_class = m->mode,
                             .columns = m->columns,
                             .n_columns = 3,
                             .attributes = &m->option,
                             .n_attributes = 1};
    return p;
}

static void check_same(const sc_store_products *a, const sc_store_products *b)
{
    size_t k = b->first_class[N_QUESTIONS];
    assert_string_equal(a->collapse, b->collapse);
    assert_memory_equal(a->first_class, b->first_class, (N_QUESTIONS + 1) * sizeof *a->first_class);
    assert_memory_equal(a->draw_class, b->draw_class, N_QUESTIONS * N_DRAWS * sizeof *a->draw_class);
    assert_memory_equal(a->mode_class, b->mode_class, N_QUESTIONS * sizeof *a->mode_class);
    assert_memory_equal(a->class_count, b->class_count, k * sizeof *a->class_count);
    assert_memory_equal(a->class_mass, b->class_mass, k * sizeof *a->class_mass);
    assert_memory_equal(a->class_mass_lower, b->class_mass_lower, k * sizeof *a->class_mass);
    assert_memory_equal(a->class_mass_upper, b->class_mass_upper, k * sizeof *a->class_mass);
    assert_memory_equal(a->class_correct, b->class_correct, k);
    assert_memory_equal(a->response_class, b->response_class, 59 * sizeof *a->response_class);
    for (size_t i = 0; i < k; i++) {
        assert_string_equal(a->class_label[i], b->class_label[i]);
    }
    assert_int_equal(a->n_columns, b->n_columns);
    for (size_t i = 0; i < 3; i++) {
        const sc_store_column *c = &a->columns[i], *d = &b->columns[i];
        assert_string_equal(c->name, d->name);
        assert_string_equal(c->long_name, d->long_name);
        assert_string_equal(c->units, d->units);
        assert_int_equal(c->kind, d->kind);
        for (size_t q = 0; q < N_QUESTIONS; q++) {
            assert_true(i != 0 || c->reals[q] == d->reals[q] || (isnan(c->reals[q]) && isnan(d->reals[q])));
            assert_true(i != 1 || c->ints[q] == d->ints[q]);
            assert_true(i != 2 || strcmp(c->texts[q], d->texts[q] != NULL ? d->texts[q] : "") == 0);
        }
    }
    assert_int_equal(a->n_attributes, 1);
    assert_string_equal(a->attributes[0].name, "normalizer");
    assert_string_equal(a->attributes[0].text, b->attributes[0].text);
}

static int make_folder(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(cell_path, sizeof cell_path, "%s/cells/c.h5", folder);
    return make_cell(folder, &error) == SEMCAL_OK ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void collapses_stand_beside_each_other(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    static made m;
    sc_store_products read;
    sc_store_cell *cell;
    char content[65];
    check_ok(sc_store_cell_open(&cell, cell_path, &error), error);
    memcpy(content, sc_store_cell_facts(cell)->content_sha256, 65);
    check_error(sc_store_read_products(&read, cell, NULL, &error), error, SEMCAL_E_DATA, "no collapse was applied yet");
    sc_store_cell_close(&cell);
    const struct {
        const char *name;
        size_t k;
    } steps[] = {{"numeric", 3}, {"exact", 4}, {"numeric", 1}, {"alias", 0}, {"exact", 2}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        check_ok(sc_store_write_products(cell_path, make(&m, steps[i].name, steps[i].k), &error), error);
        check_ok(sc_store_cell_open(&cell, cell_path, &error), error);
        assert_string_equal(sc_store_cell_facts(cell)->content_sha256, content);
        assert_string_equal(sc_store_cell_facts(cell)->collapse, steps[i].name);
        check_ok(sc_store_read_products(&read, cell, NULL, &error), error);
        check_same(&read, &m.products);
        sc_store_products_free(&read);
        sc_store_cell_close(&cell);
        check_ok(sc_store_verify(folder, NULL, NULL, &error), error);
    }
    check_ok(sc_store_cell_open(&cell, cell_path, &error), error);
    check_ok(sc_store_read_products(&read, cell, "numeric", &error), error);
    (void)make(&m, "numeric", 1);
    check_same(&read, &m.products);
    sc_store_products_free(&read);
    char **names;
    size_t n;
    check_ok(sc_store_collapses(&names, &n, cell, &error), error);
    assert_int_equal(n, 3);
    sc_file_list_free(names, n);
    check_error(sc_store_read_products(&read, cell, "math", &error), error, SEMCAL_E_DATA, "no collapse 'math', has ");
    double *column;
    check_ok(sc_store_cell_column(&column, cell, "n_classes", &error), error);
    check_close(column[2], 2, 0);
    free(column);
    /* The draws read as before. */
    sc_store_record record;
    check_ok(sc_store_cell_read(&record, cell, 29, SC_STORE_NODES, &error), error);
    assert_string_equal(record.id, "q29");
    sc_store_record_free(&record);
    sc_store_cell_close(&cell);
}

static void wrong_products_leave_the_file_alone(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    static made m;
    char before[65], after[65];
    check_ok(sc_file_sha256(before, cell_path, &error), error);
    (void)make(&m, "exact", 2);
    m.draw_class[N_DRAWS * 2] = 2;
    check_error(sc_store_write_products(cell_path, &m.products, &error), error, SEMCAL_E_DATA,
                "draw_class: class 2 of question 2, which has 2");
    (void)make(&m, "a/b", 2);
    check_error(sc_store_write_products(cell_path, &m.products, &error), error, SEMCAL_E_CONFIG, "cannot be the name");
    (void)make(&m, "exact", 2);
    m.products.n_questions--;
    check_error(sc_store_write_products(cell_path, &m.products, &error), error, SEMCAL_E_DATA, "products of 29");
    (void)make(&m, "exact", 2);
    m.products.class_mass = NULL;
    check_error(sc_store_write_products(cell_path, &m.products, &error), error, SEMCAL_E_DATA, "class_mass is missing");
    (void)make(&m, "exact", 2);
    m.columns[1].name = m.columns[0].name;
    check_error(sc_store_write_products(cell_path, &m.products, &error), error, SEMCAL_E_DATA,
                "cannot make 'collapse/exact/confidence_frequency'");
    check_ok(sc_file_sha256(after, cell_path, &error), error);
    assert_string_equal(before, after);
    char **names;
    size_t n;
    char cells[160];
    (void)snprintf(cells, sizeof cells, "%s/cells", folder);
    check_ok(sc_file_list(&names, &n, cells, "", &error), error);
    assert_int_equal(n, 1);
    sc_file_list_free(names, n);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        static made m;
        char path[4096];
        semcal_error error = SEMCAL_ERROR_INIT;
        (void)snprintf(path, sizeof path, "%s/cells/c.h5", argv[1]);
        semcal_status status = make_cell(argv[1], &error);
        for (size_t k = 4; k > 2 && status == SEMCAL_OK; k--) {
            status = sc_store_write_products(path, make(&m, k == 4 ? "exact" : "numeric", k), &error);
        }
        if (status != SEMCAL_OK) {
            fprintf(stderr, "%s\n", error.message);
        }
        return (int)status;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collapses_stand_beside_each_other),
        cmocka_unit_test(wrong_products_leave_the_file_alone),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
