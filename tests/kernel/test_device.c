/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, programs and their cache, buffers, launches: what goes right and how it goes wrong. */
#include "base/file.h"
#include "base/memory.h"
#include "device/device.h"

#include "check.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char probe_source[] = "#include \"abi.h\"\n"
                                   "__kernel void probe_scale(__global float *x, uint n, float a) {\n"
                                   "    uint i = (uint)get_global_id(0);\n"
                                   "    if (i < n) { x[i] = a * x[i]; }\n"
                                   "}\n";

/* A scratch folder with cache/ and cl/ that the environment points to. */
typedef struct scratch {
    char folder[64], cache[96], cl[96], probe[128];
    sc_device *device;
} scratch;

static void write_text(const char *path, const char *text)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_file_write_atomic(path, text, strlen(text), &error), error);
}

static sc_device *open_device(const sc_device_options *options)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device *device = NULL;
    check_ok(sc_device_open(&device, options, &error), error);
    return device;
}

static int setup(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    assert_non_null(s);
    strcpy(s->folder, "/tmp/semcal-test-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->cache, sizeof s->cache, "%s/cache", s->folder);
    snprintf(s->cl, sizeof s->cl, "%s/cl", s->folder);
    snprintf(s->probe, sizeof s->probe, "%s/probe.cl", s->cl);
    assert_int_equal(mkdir(s->cl, 0700), 0);
    write_text(s->probe, probe_source);
    setenv("SEMCAL_CACHE_DIR", s->cache, 1);
    setenv("SEMCAL_CL_DIR", s->cl, 1);
    unsetenv("SEMCAL_DEVICE_MEMORY");
    s->device = open_device(NULL);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    scratch *s = *state;
    sc_device_close(s->device);
    char command[160];
    snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", s->folder, s->folder);
    int failed = system(command);
    free(s);
    return failed;
}

static void list_and_select(void **state)
{
    const scratch *s = *state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device_info *list;
    size_t n;
    check_ok(sc_device_list(&list, &n, &error), error);
    assert_true(n >= 1);
    bool gpu = false;
    for (size_t i = 0; i < n; i++) {
        gpu = gpu || (list[i].is_gpu && list[i].available);
        assert_true(list[i].name[0] != '\0' && list[i].driver[0] != '\0');
        assert_true(list[i].max_allocation > 0 && list[i].max_allocation <= list[i].global_memory);
        char selector[32];
        snprintf(selector, sizeof selector, "%u:%u", list[i].platform, list[i].index);
        sc_device_options options = SC_DEVICE_OPTIONS_INIT;
        options.selector = selector;
        sc_device *device = open_device(&options);
        assert_string_equal(sc_device_facts(device)->name, list[i].name);
        sc_device_close(device);
    }
    assert_int_equal(gpu, sc_device_facts(s->device)->is_gpu); /* a GPU is taken when there is one */
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    char part[8] = "";
    memcpy(part, list[0].name, 6);
    for (char *c = part; *c != '\0'; c++) {
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
    }
    options.selector = part; /* a part of the name, any case */
    sc_device *device = open_device(&options);
    sc_device_close(device);
    options.selector = "no such device";
    check_error(sc_device_open(&device, &options, &error), error, SEMCAL_E_DEVICE, "no such device");
    options.selector = "97:3";
    assert_int_equal(sc_device_open(&device, &options, &error), SEMCAL_E_DEVICE);
    assert_non_null(strstr(error.message, "'97:3'; there is 0:0 ")); /* and says what exists */
    assert_non_null(strstr(error.message, list[0].name));
    free(list);
}

static void buffers(void **state)
{
    const scratch *s = *state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_buffer *a = NULL, *b = NULL, *part = NULL;
    float data[1024], back[1024];
    for (size_t i = 0; i < 1024; i++) {
        data[i] = (float)i;
    }
    check_ok(sc_buffer_create(&a, s->device, sizeof data, SC_BUFFER_DEVICE, "numbers", &error), error);
    check_ok(sc_buffer_create(&b, s->device, sizeof data, SC_BUFFER_STAGING, "copy", &error), error);
    assert_int_equal(sc_device_memory_used(s->device), 2 * sizeof data);
    check_ok(sc_buffer_enqueue_write(a, 0, data, sizeof data, &error), error);
    check_ok(sc_buffer_copy(b, 0, a, 0, sizeof data, &error), error);
    const float seven = 7;
    check_ok(sc_buffer_fill(b, 16, 16, &seven, 4, &error), error);
    check_ok(sc_buffer_enqueue_read(b, 0, back, sizeof back, &error), error);
    check_ok(sc_device_finish(s->device, &error), error);
    for (size_t i = 0; i < 1024; i++) {
        check_close(back[i], i >= 4 && i < 8 ? 7 : data[i], 0);
    }
    uint64_t half = 2048;
    assert_int_equal(half % sc_device_alignment(s->device), 0);
    check_ok(sc_buffer_slice(&part, a, half, half, &error), error);
    check_ok(sc_buffer_read(part, 4, back, 4, &error), error);
    check_close(back[0], 513, 0);
    void *mapped;
    check_ok(sc_buffer_map(&mapped, a, 0, sizeof data, true, &error), error);
    ((float *)mapped)[512] = -1;
    check_ok(sc_buffer_unmap(a, mapped, &error), error);
    check_ok(sc_buffer_read(part, 0, back, 4, &error), error);
    check_close(back[0], -1, 0);
    check_error(sc_buffer_read(part, 2000, back, 100, &error), error, SEMCAL_E_DEVICE, "outside the buffer");
    sc_buffer *none;
    check_error(sc_buffer_slice(&none, a, 3, 8, &error), error, SEMCAL_E_DEVICE, "multiple of");
    check_error(sc_buffer_slice(&none, a, 4000, 1000, &error), error, SEMCAL_E_DEVICE, "outside the buffer");
    sc_buffer_free(part);
    sc_buffer_free(a);
    sc_buffer_free(b);
    assert_int_equal(sc_device_memory_used(s->device), 0);
    check_ok(sc_buffer_wrap(&a, s->device, data, sizeof data, "wrapped", &error), error);
    check_ok(sc_buffer_read(a, 40, back, 4, &error), error);
    check_close(back[0], 10, 0);
    sc_buffer_free(a);
    assert_int_equal(sc_device_memory_used(s->device), 0);
}

/* Memory that the system refuses although the budget has it: as if the device had run out, so that less is tried. */
static void memory_refused(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* they end the program there */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    skip();
#endif
#endif
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device *device = open_device(NULL);
    const uint64_t bytes = (uint64_t)256 << 20;
    if (!sc_device_facts(device)->is_cpu || sc_device_facts(device)->max_allocation < bytes) {
        sc_device_close(device);
        skip();
    }
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    if (file == NULL || fscanf(file, "%lu", &pages) != 1) {
        skip();
    }
    (void)fclose(file);
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (16 << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    sc_buffer *buffer;
    const semcal_status status = sc_buffer_create(&buffer, device, bytes, SC_BUFFER_DEVICE, "logits", &error);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    check_error(status, error, SEMCAL_E_DEVICE, "logits: 268.435 MB wanted, 0.000 MB in use");
    assert_null(buffer);
    assert_true(sc_device_ran_out(device));
    assert_int_equal(sc_device_memory_used(device), 0);
    check_ok(sc_buffer_create(&buffer, device, bytes, SC_BUFFER_DEVICE, "logits", &error), error);
    sc_buffer_free(buffer);
    sc_device_close(device);
}

static void memory_limits(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.memory_limit = 1000000;
    sc_device *device = open_device(&options);
    sc_buffer *a, *b;
    check_ok(sc_buffer_create(&a, device, 600000, SC_BUFFER_DEVICE, "first", &error), error);
    check_error(sc_buffer_create(&b, device, 600000, SC_BUFFER_DEVICE, "second", &error), error, SEMCAL_E_DEVICE,
                "out of device memory for second: 0.600 MB wanted, 0.400 MB of 1.000 MB available");
    assert_null(b);
    sc_buffer_free(a);
    check_ok(sc_buffer_create(&b, device, 600000, SC_BUFFER_DEVICE, "second", &error), error);
    sc_buffer_free(b);
    sc_device_close(device);

    setenv("SEMCAL_DEVICE_MEMORY", "2K", 1);
    device = open_device(NULL);
    assert_int_equal(sc_device_memory_budget(device), 2048);
    sc_device_close(device);
    setenv("SEMCAL_DEVICE_MEMORY", "plenty", 1);
    check_error(sc_device_open(&device, NULL, &error), error, SEMCAL_E_CONFIG, "SEMCAL_DEVICE_MEMORY: 'plenty'");
    unsetenv("SEMCAL_DEVICE_MEMORY");

    device = open_device(NULL);
    const sc_device_info *facts = sc_device_facts(device);
    if (facts->max_allocation < sc_device_memory_budget(device)) {
        check_error(sc_buffer_create(&a, device, facts->max_allocation + 1, SC_BUFFER_DEVICE, "logits", &error), error,
                    SEMCAL_E_DEVICE, "one buffer on this device is at most");
    }
    check_error(sc_buffer_create(&a, device, UINT64_MAX / 2, SC_BUFFER_DEVICE, "logits", &error), error,
                SEMCAL_E_DEVICE, "out of device memory for logits");
    sc_device_close(device);
}

static void run_probe(sc_device *device, bool expect_built)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_program *program, *again;
    sc_kernel *kernel;
    check_ok(sc_program_get(&program, device, "probe.cl", "-DX=1", &error), error);
    check_ok(sc_program_get(&again, device, "probe.cl", "-DX=1", &error), error);
    assert_ptr_equal(program, again);
    assert_int_equal(sc_program_was_built(program), expect_built);
    assert_int_equal(strlen(sc_program_sha256(program)), 64);
    assert_null(strstr(sc_program_options(program), "fast"));
    check_ok(sc_kernel_get(&kernel, program, "probe_scale", &error), error);
    sc_buffer *x;
    float data[300];
    for (size_t i = 0; i < 300; i++) {
        data[i] = (float)i;
    }
    check_ok(sc_buffer_create(&x, device, sizeof data, SC_BUFFER_DEVICE, "x", &error), error);
    check_ok(sc_buffer_write(x, 0, data, sizeof data, &error), error);
    const sc_work work = {.n_dims = 1, .global = {512, 1, 1}, .bytes = 2400};
    check_ok(sc_launch(kernel, &work, SC_ARGS(SC_BUFFER_ARG(x), SC_U32(300), SC_F32(3)), &error), error);
    check_ok(sc_device_finish(device, &error), error);
    check_ok(sc_buffer_read(x, 0, data, sizeof data, &error), error);
    for (size_t i = 0; i < 300; i++) {
        check_close(data[i], 3.0 * (double)i, 0);
    }
    check_error(sc_launch(kernel, &work, SC_ARGS(SC_BUFFER_ARG(x), SC_U32(300)), &error), error, SEMCAL_E_DEVICE,
                "probe_scale: takes 3 arguments, got 2");
    check_error(sc_launch(kernel, &work, SC_ARGS(SC_U32(1), SC_U32(300), SC_F32(3)), &error), error, SEMCAL_E_DEVICE,
                "argument 0");
    check_error(sc_launch(kernel, &work, SC_ARGS(SC_BUFFER_ARG(x), SC_U64(300), SC_F32(3)), &error), error,
                SEMCAL_E_DEVICE, "argument 1");
    check_error(sc_kernel_get(&kernel, program, "probe_scala", &error), error, SEMCAL_E_DEVICE, "probe_scala");
    sc_buffer_free(x);
}

/* The only file in the cache folder that ends in `suffix`. */
static char *only_file(const char *folder, const char *suffix)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    char **names;
    size_t n;
    check_ok(sc_file_list(&names, &n, folder, suffix, &error), error);
    assert_int_equal(n, 1);
    char *path = sc_file_join(folder, names[0], &error);
    sc_file_list_free(names, n);
    return path;
}

static void cache(void **state)
{
    scratch *s = *state;
    semcal_error error = SEMCAL_ERROR_INIT;
    run_probe(s->device, true);
    sc_device *device = open_device(NULL);
    run_probe(device, false); /* from disk */
    sc_device_close(device);

    char *path = only_file(s->cache, ".program"), *data;
    size_t length;
    check_ok(sc_file_read(&data, &length, path, &error), error);
    for (int damage = 0; damage < 4; damage++) {
        char *bad = malloc(length);
        assert_non_null(bad);
        memcpy(bad, data, length);
        size_t n = length;
        if (damage == 0) {
            bad[length / 2] ^= 1; /* one bit */
        } else if (damage == 1) {
            n = length / 2; /* cut short */
        } else if (damage == 2) {
            n = 0;
        } else {
            memset(bad + 82, 'x', length - 82); /* not a program, under a correct checksum */
            char hex[65];
            sc_sha256_hex(hex, bad + 82, length - 82);
            memcpy(bad + 17, hex, 64);
        }
        check_ok(sc_file_write_atomic(path, bad, n, &error), error);
        free(bad);
        device = open_device(NULL);
        run_probe(device, true); /* rebuilt, and stored again */
        sc_device_close(device);
        device = open_device(NULL);
        run_probe(device, false);
        sc_device_close(device);
    }
    free(data);
    free(path);
    /* Another source is another key, also when only an included file changed. */
    char included[160];
    snprintf(included, sizeof included, "%s/abi.h", s->cl);
    write_text(included, "/* changed */\n");
    device = open_device(NULL);
    run_probe(device, true);
    sc_device_close(device);
}

static void unusable_cache(void **state)
{
    scratch *s = *state;
    char blocked[160];
    snprintf(blocked, sizeof blocked, "%s/file", s->folder);
    write_text(blocked, "not a folder");
    setenv("SEMCAL_CACHE_DIR", blocked, 1);
    run_probe(s->device, true);
    sc_device *device = open_device(NULL);
    run_probe(device, true);
    sc_device_close(device);
}

static void build_error(void **state)
{
    scratch *s = *state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_program *program;
    sc_text text = {0};
    check_ok(sc_text_printf(&text, &error, "#include \"abi.h\"\n"), error);
    for (int i = 0; i < 15; i++) {
        check_ok(
            sc_text_printf(&text, &error, "__kernel void k%d(__global float *x) { x[0] = missing_name_%d; }\n", i, i),
            error);
    }
    write_text(s->probe, text.data);
    sc_text_free(&text);
    assert_int_equal(sc_program_get(&program, s->device, "probe.cl", NULL, &error), SEMCAL_E_DEVICE);
    assert_null(program);
    assert_non_null(strstr(error.message, "probe.cl"));
    assert_non_null(strstr(error.message, "missing_name_0"));
    assert_null(strchr(error.message, '\n'));
    char *path = only_file(s->cache, ".log"), *log;
    assert_non_null(strstr(error.message, path));
    size_t length;
    error = (semcal_error)SEMCAL_ERROR_INIT;
    check_ok(sc_file_read(&log, &length, path, &error), error);
    assert_non_null(strstr(log, "missing_name_14")); /* the whole log */
    assert_non_null(strstr(log, "probe.cl:2"));      /* lines of the file the user wrote */
    free(log);
    free(path);
    check_error(sc_program_get(&program, s->device, "prob.cl", NULL, &error), error, SEMCAL_E_DEVICE,
                "no kernel source 'prob.cl'");
    write_text(s->probe, "\n#include \"absent.h\"\n");
    check_error(sc_program_get(&program, s->device, "probe.cl", NULL, &error), error, SEMCAL_E_DEVICE,
                "probe.cl:2: no kernel source 'absent.h'");
    setenv("SEMCAL_CL_DIR", "/nonexistent", 1);
    check_error(sc_program_get(&program, s->device, "probe.cl", NULL, &error), error, SEMCAL_E_DEVICE,
                "SEMCAL_CL_DIR: /nonexistent is not a folder");
}

static void profiles(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.profile = true;
    sc_device *device = open_device(&options);
    run_probe(device, true);
    sc_profile_row *rows;
    size_t n;
    check_ok(sc_device_profile(&rows, &n, device, &error), error);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].kernel, "probe_scale");
    assert_int_equal(rows[0].n_launches, 1);
    assert_true(rows[0].seconds > 0 && rows[0].seconds < 1);
    check_close(rows[0].bytes, 2400, 0);
    free(rows);
    sc_device_profile_reset(device);
    check_ok(sc_device_profile(&rows, &n, device, &error), error);
    assert_int_equal(n, 0);
    sc_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(list_and_select, setup, teardown),
        cmocka_unit_test_setup_teardown(buffers, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(cache, setup, teardown),
        cmocka_unit_test_setup_teardown(unusable_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(build_error, setup, teardown),
        cmocka_unit_test_setup_teardown(profiles, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
