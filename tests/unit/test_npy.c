/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "check.h"
#include "formats/npy.h"
#include "formats/safetensors.h"

#include <unistd.h>

static char folder[] = "/tmp/semcal-npy-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/x.npy", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

/* Known bit patterns of IEEE 754 binary16. */
static void half_precision(void **state)
{
    (void)state;
    check_close(sc_float_from_half(0x3c00), 1, 0);
    check_close(sc_float_from_half(0xc000), -2, 0);
    check_close(sc_float_from_half(0x7bff), 65504, 0);
    check_close(sc_float_from_half(0x0001), ldexp(1, -24), 0);
    check_close(sc_float_from_half(0x03ff), ldexp(1023, -24), 0);
    check_close(sc_float_from_half(0x0400), ldexp(1, -14), 0);
    check_close(sc_float_from_half(0x3555), 0.333251953125, 0);
    check_close(sc_float_from_half(0xfc00), -INFINITY, 0);
    assert_true(isnan(sc_float_from_half(0x7e00)));
    assert_true(sc_float_from_half(0x8000) == 0 && signbit(sc_float_from_half(0x8000)));
}

static void rows_round_trip(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_npy *npy;
    const sc_npy_shape shape = {.type = SC_NPY_F32, .n_dims = 3, .length = {0, 2, 3}};
    check_ok(sc_npy_create(&npy, path, &shape, &error), error);
    float rows[12];
    for (int i = 0; i < 12; i++) {
        rows[i] = (float)i / 4;
    }
    for (int i = 0; i < 5; i++) {
        check_ok(sc_npy_append(npy, rows, 2, &error), error);
    }
    assert_false(sc_file_exists(path));
    check_ok(sc_npy_close(&npy, &error), error);
    check_ok(sc_npy_open(&npy, path, &error), error);
    const sc_npy_shape *read = sc_npy_get_shape(npy);
    assert_int_equal(read->n_dims, 3);
    assert_int_equal(read->length[0], 10);
    assert_int_equal(read->row_elements, 6);
    float out[6];
    double wide[6];
    int64_t ints[6];
    check_ok(sc_npy_read_floats(out, npy, 9, 1, &error), error);
    assert_memory_equal(out, rows + 6, sizeof out);
    check_ok(sc_npy_read_doubles(wide, npy, 9, 1, &error), error);
    check_close(wide[5], 2.75, 0);
    check_error(sc_npy_read_ints(ints, npy, 0, 1, &error), error, SEMCAL_E_DATA, "must hold integers");
    check_error(sc_npy_read_floats(out, npy, 9, 2, &error), error, SEMCAL_E_DATA, "rows 9 to 11 asked for, has 10");
    check_ok(sc_npy_close(&npy, &error), error);
}

static void integers_keep_their_sign(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    const struct {
        sc_npy_type type;
        unsigned char bytes[8];
        int64_t value;
    } cases[] = {
        {SC_NPY_I8, {0xfe}, -2},
        {SC_NPY_U8, {0xfe}, 254},
        {SC_NPY_BOOL, {1}, 1},
        {SC_NPY_I16, {0xfe, 0xff}, -2},
        {SC_NPY_U16, {0xfe, 0xff}, 65534},
        {SC_NPY_I32, {0xfe, 0xff, 0xff, 0xff}, -2},
        {SC_NPY_U32, {0xfe, 0xff, 0xff, 0xff}, 4294967294},
        {SC_NPY_I64, {1, 0, 0, 0, 0, 0, 0, 0x80}, INT64_MIN + 1},
        {SC_NPY_U64, {1, 0, 0, 0, 0, 0, 0, 0x40}, INT64_C(0x4000000000000001)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sc_npy *npy;
        const sc_npy_shape shape = {.type = cases[i].type, .n_dims = 1};
        check_ok(sc_npy_create(&npy, path, &shape, &error), error);
        check_ok(sc_npy_append(npy, cases[i].bytes, 1, &error), error);
        check_ok(sc_npy_close(&npy, &error), error);
        check_ok(sc_npy_open(&npy, path, &error), error);
        assert_int_equal(sc_npy_get_shape(npy)->type, cases[i].type);
        int64_t value;
        check_ok(sc_npy_read_ints(&value, npy, 0, 1, &error), error);
        assert_true(value == cases[i].value);
        double real;
        check_ok(sc_npy_read_doubles(&real, npy, 0, 1, &error), error);
        check_close(real, (double)value, 0);
        check_ok(sc_npy_close(&npy, &error), error);
    }
}

static void write_npy(const char *header, const char *data, size_t n_data)
{
    char bytes[600];
    size_t n = strlen(header);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (char)n;
    bytes[9] = 0;
    memcpy(bytes + 10, header, n);
    memcpy(bytes + 10 + n, data, n_data);
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_file_write_atomic(path, bytes, 10 + n + n_data, &error), error);
}

static void malformed_input(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_npy *npy;
    const struct {
        const char *header, *message;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "truncated: 79 bytes are needed, has 75"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", "not little-endian"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }", "not in C order"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "type '<c8' are not supported"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "structured arrays"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (x,), }", "shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,", "shape"},
        {"{'descr': '<f4', 'fortran_order': False}", "no 'shape'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999)}", "impossibly large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_npy(cases[i].header, "12345678", 8);
        check_error(sc_npy_open(&npy, path, &error), error, SEMCAL_E_DATA, cases[i].message);
        assert_null(npy);
    }
    write_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "\0\0\x80?", 4);
    check_ok(sc_npy_open(&npy, path, &error), error);
    float one;
    check_ok(sc_npy_read_floats(&one, npy, 0, 1, &error), error);
    check_close(one, 1, 0);
    check_ok(sc_npy_close(&npy, &error), error);
    check_ok(sc_file_write_atomic(path, "\x93NUM", 4, &error), error);
    check_error(sc_npy_open(&npy, path, &error), error, SEMCAL_E_DATA, "not a .npy file");
    check_error(sc_npy_open(&npy, "/nonexistent.npy", &error), error, SEMCAL_E_DATA, "cannot open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_precision),
        cmocka_unit_test(rows_round_trip),
        cmocka_unit_test(integers_keep_their_sign),
        cmocka_unit_test(malformed_input),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
