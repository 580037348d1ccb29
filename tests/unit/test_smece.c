/* SPDX-License-Identifier: Apache-2.0 */
/* SmoothECE against brute-force quadrature (tests/fixtures/smece.json) and, when present, the shared reference. */
#include "statistics/cosine.h"
#include "statistics/relplot.h"
#include "statistics/smece.h"
#include "statistics/smooth.h"

#include "base/numeric.h"
#include "base/random.h"
#include "check.h"

#include <jansson.h>
#include <time.h>

typedef struct sample {
    const char *name;
    size_t n;
    double *c, *a, *w;
} sample;

static double *numbers(const json_t *array)
{
    if (array == NULL) {
        return NULL;
    }
    double *out = calloc(json_array_size(array) + 1, sizeof *out);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *x = json_array_get(array, i);
        out[i] = json_is_number(x) ? json_number_value(x) : NAN;
    }
    return out;
}

/* Large samples are recipes; scripts/fixtures/smece.py says which. */
static sample load(const json_t *row)
{
    sample s = {json_string_value(json_object_get(row, "name")), (size_t)json_integer_value(json_object_get(row, "n")),
                numbers(json_object_get(row, "confidence")), numbers(json_object_get(row, "correct")),
                numbers(json_object_get(row, "weight"))};
    const char *recipe = json_string_value(json_object_get(row, "recipe"));
    if (recipe != NULL) {
        double rounding = json_number_value(json_object_get(row, "rounding"));
        s.c = calloc(s.n, sizeof(double));
        s.a = calloc(s.n, sizeof(double));
        for (size_t i = 0; i < s.n; i++) {
            double x = (double)(i + 1) * 0.6180339887498949, u = (double)(i + 1) * 0.7548776662466927;
            x -= floor(x);
            u -= floor(u);
            s.c[i] = rounding > 0 ? ceil(x * rounding) / rounding : x;
            s.a[i] = u < (strcmp(recipe, "over") == 0 ? s.c[i] * s.c[i] : s.c[i]) ? 1 : 0;
        }
    }
    return s;
}

static void unload(sample *s)
{
    free(s->c);
    free(s->a);
    free(s->w);
}

static json_t *fixture(void)
{
    json_error_t trouble;
    json_t *rows = json_load_file(SEMCAL_FIXTURES "/smece.json", 0, &trouble);
    assert_non_null(rows);
    return rows;
}

static void fixed_points_match_quadrature(void **state)
{
    (void)state;
    json_t *rows = fixture(), *row;
    size_t i;
    semcal_error error = SEMCAL_ERROR_INIT;
    json_array_foreach(rows, i, row)
    {
        sample s = load(row);
        print_message("  %s\n", s.name);
        double value;
        check_ok(sc_smece_exact(&value, s.c, s.a, s.w, s.n, &error), error);
        check_close(value, json_number_value(json_object_get(row, "exact")), 2e-6);
        const json_t *widths = json_object_get(row, "exact_at");
        for (size_t j = 0; j < json_array_size(widths); j++) {
            double at = json_number_value(json_array_get(json_array_get(widths, j), 0));
            check_ok(sc_smece_at(&value, at, s.c, s.a, s.w, s.n, &error), error);
            check_close(value, json_number_value(json_array_get(json_array_get(widths, j), 1)), 2e-6);
        }
        unload(&s);
    }
    json_decref(rows);
}

static void relplot_mode_matches_the_package(void **state)
{
    (void)state;
    json_t *rows = fixture(), *row;
    size_t i, n_compared = 0;
    semcal_error error = SEMCAL_ERROR_INIT;
    json_array_foreach(rows, i, row)
    {
        const json_t *want = json_object_get(row, "relplot");
        if (want != NULL) {
            sample s = load(row);
            double value, sigma;
            check_ok(sc_relplot_smece(&value, &sigma, s.c, s.a, s.n, &error), error);
            check_close(value, json_number_value(want), 1e-9);
            check_close(sigma, json_number_value(json_object_get(row, "relplot_sigma")), 0);
            unload(&s);
            n_compared++;
        }
    }
    assert_true(n_compared > 20);
    json_decref(rows);
}

static void curves_match_quadrature(void **state)
{
    (void)state;
    json_t *rows = fixture(), *row;
    size_t i, n_compared = 0;
    semcal_error error = SEMCAL_ERROR_INIT;
    json_array_foreach(rows, i, row)
    {
        if (json_object_get(row, "curve") == NULL) {
            continue;
        }
        sample s = load(row);
        size_t n = json_array_size(json_object_get(row, "curve_t"));
        double *t = numbers(json_object_get(row, "curve_t")), *want = numbers(json_object_get(row, "curve"));
        double *want_density = numbers(json_object_get(row, "density"));
        double curve[64], density[64], width = json_number_value(json_object_get(row, "curve_s"));
        check_ok(sc_smece_curve(curve, density, t, n, width, s.c, s.a, s.w, s.n, &error), error);
        for (size_t j = 0; j < n; j++) {
            check_close(density[j], want_density[j], 1e-6);
            if (isnan(want[j])) {
                assert_true(isnan(curve[j]));
            } else {
                check_close(curve[j], want[j], 1e-4);
                n_compared++;
            }
        }
        unload(&s);
        free(t);
        free(want);
        free(want_density);
    }
    assert_true(n_compared > 20);
    json_decref(rows);
}

static void shared_reference(void **state)
{
    (void)state;
    const char *path = shared_path("reference/smece.json");
    if (path == NULL) {
        print_message("reference/smece.json is absent\n");
        skip();
    }
    json_t *rows = json_load_file(path, 0, NULL), *row;
    assert_non_null(rows);
    size_t i;
    semcal_error error = SEMCAL_ERROR_INIT;
    json_array_foreach(rows, i, row)
    {
        sample s = load(row);
        double value, sigma;
        check_ok(sc_smece_exact(&value, s.c, s.a, NULL, s.n, &error), error);
        check_close(value, json_number_value(json_object_get(row, "exact")), 1e-5);
        check_ok(sc_smece_at(&value, .05, s.c, s.a, NULL, s.n, &error), error);
        check_close(value, json_number_value(json_object_get(row, "exact_at_sigma_005")), 1e-5);
        check_ok(sc_relplot_smece(&value, &sigma, s.c, s.a, s.n, &error), error);
        check_close(value, json_number_value(json_object_get(row, "relplot")), 1e-6);
        check_close(sigma, json_number_value(json_object_get(row, "relplot_sigma")), 0);
        unload(&s);
    }
    json_decref(rows);
}

static void cosine_transforms_match_their_sums(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 3, 1);
    for (size_t n = 4; n <= 512; n *= 2) {
        double x[512], spectrum[512], back[512];
        sc_cosine *cosine = sc_cosine_new(n, &error);
        assert_non_null(cosine);
        for (size_t j = 0; j < n; j++) {
            x[j] = sc_random_unit(&stream) - .5;
        }
        sc_cosine_forward(cosine, spectrum, x);
        for (size_t k = 0; k < n; k++) {
            double sum = 0;
            for (size_t j = 0; j < n; j++) {
                sum += x[j] * cos(3.14159265358979323846 * (double)k * ((double)j + .5) / (double)n);
            }
            check_close(spectrum[k], sum, 1e-12 * (double)n);
        }
        sc_cosine_inverse(cosine, back, spectrum);
        for (size_t j = 0; j < n; j++) {
            check_close(back[j], x[j] * (double)n, 1e-13 * (double)n);
        }
        sc_cosine_free(cosine);
    }
}

/* The coarsest grid the header allows against one 32 times finer, for random signed samples. */
static void coarse_grids_keep_their_bound(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_smooth *coarse = sc_smooth_new(256, &error), *fine = sc_smooth_new(8192, &error);
    assert_true(coarse != NULL && fine != NULL);
    sc_random_stream stream;
    sc_random_stream_init(&stream, 3, 2);
    double worst = 0;
    for (int trial = 0; trial < 500; trial++) {
        double v[64], m[64], total = 0;
        size_t n = 1 + sc_random_below(&stream, 64);
        for (size_t i = 0; i < n; i++) {
            uint32_t kind = sc_random_below(&stream, 4);
            v[i] = kind == 0 ? 0 : kind == 1 ? 1 : sc_random_unit(&stream);
            m[i] = sc_random_unit(&stream) - .5;
            total += fabs(m[i]);
        }
        sc_smooth_take(coarse, v, m, n);
        sc_smooth_take(fine, v, m, n);
        double s = SC_SMOOTH_CELLS / 256;
        double difference = fabs(sc_smooth_integral(coarse, s) - sc_smooth_integral(fine, s)) / total;
        worst = difference > worst ? difference : worst;
        const double t[3] = {0, .37, 1};
        double here[3], there[3];
        sc_smooth_values(coarse, here, t, 3, s);
        sc_smooth_values(fine, there, t, 3, s);
        for (int j = 0; j < 3; j++) {
            check_close(here[j] / total, there[j] / total, 1.4e-7 / (s * sqrt(2 * 3.14159265358979323846)));
        }
    }
    print_message("  worst error of the integral: %.2g of the total mass\n", worst);
    check_close(worst, 0, 1e-5);
    sc_smooth_free(coarse);
    sc_smooth_free(fine);
}

static void smece_never_grows_with_the_width(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_random_stream stream;
    sc_random_stream_init(&stream, 3, 3);
    for (int trial = 0; trial < 50; trial++) {
        double c[40], a[40], last = 1, value;
        for (size_t i = 0; i < 40; i++) {
            c[i] = sc_random_unit(&stream);
            a[i] = sc_random_below(&stream, 2);
        }
        for (double s = .01; s < 2; s *= 1.3) {
            check_ok(sc_smece_at(&value, s, c, a, NULL, 40, &error), error);
            assert_true(value <= last + 1e-6);
            last = value;
        }
    }
}

static void bad_pairs_are_named(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    double value, c[2] = {.5, .5}, a[2] = {1, 0}, w[2] = {1, 1};
    check_error(sc_smece_exact(&value, c, a, NULL, 0, &error), error, SEMCAL_E_NUMERIC, "no pairs");
    c[1] = NAN;
    check_error(sc_smece_exact(&value, c, a, NULL, 2, &error), error, SEMCAL_E_NUMERIC, "pair 1: confidence");
    c[1] = 1.0000001;
    check_error(sc_smece_at(&value, .1, c, a, NULL, 2, &error), error, SEMCAL_E_NUMERIC, "pair 1: confidence");
    c[1] = 1;
    a[0] = -1;
    check_error(sc_relplot_smece(&value, NULL, c, a, 2, &error), error, SEMCAL_E_NUMERIC, "pair 0: correctness");
    a[0] = 1;
    w[1] = -1;
    check_error(sc_smece_exact(&value, c, a, w, 2, &error), error, SEMCAL_E_NUMERIC, "pair 1: weight");
    w[0] = w[1] = 0;
    check_error(sc_smece_exact(&value, c, a, w, 2, &error), error, SEMCAL_E_NUMERIC, "sum to 0");
    check_error(sc_smece_at(&value, 0, c, a, NULL, 2, &error), error, SEMCAL_E_CONFIG, "width");
    check_error(sc_smece_at(&value, NAN, c, a, NULL, 2, &error), error, SEMCAL_E_CONFIG, "width");
}

/* Almost certain and right: far narrower than any kernel, and settled without looking through the narrow ones. */
static void tiny_errors_are_exact(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    double c[50], a[50], expected = 0, value;
    for (int i = 0; i < 50; i++) {
        double off = 1e-8 * (i + 1);
        c[i] = i % 2 == 0 ? 1 - off : off;
        a[i] = i % 2 == 0 ? 1 : 0;
        expected += off / 50;
    }
    check_ok(sc_smece_exact(&value, c, a, NULL, 50, &error), error);
    check_close(value, expected, 1e-9);
}

/* Outcomes that balance at every confidence, as in resamples of few confidences: nothing to find at any width, and no
 * time spent on the narrow ones (100 times through two million cells take ten seconds). */
static void balanced_places_cost_nothing(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    double c[60], m[60], value;
    for (int i = 0; i < 60; i++) {
        c[i] = (i % 30 + 1) / 32.0;
        m[i] = i < 30 ? 1 / 60.0 : -1 / 60.0;
    }
    sc_smece_work *work = sc_smece_work_new(&error);
    struct timespec from, to;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (int i = 0; i < 100; i++) {
        check_ok(sc_smece_of_masses(&value, work, c, m, 60, 1e-7, &error), error);
        check_close(value, 0, 1e-15);
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    assert_true((double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec) < 2);
    sc_smece_work_free(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_errors_are_exact),
        cmocka_unit_test(balanced_places_cost_nothing),
        cmocka_unit_test(cosine_transforms_match_their_sums),
        cmocka_unit_test(coarse_grids_keep_their_bound),
        cmocka_unit_test(fixed_points_match_quadrature),
        cmocka_unit_test(relplot_mode_matches_the_package),
        cmocka_unit_test(curves_match_quadrature),
        cmocka_unit_test(shared_reference),
        cmocka_unit_test(smece_never_grows_with_the_width),
        cmocka_unit_test(bad_pairs_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
