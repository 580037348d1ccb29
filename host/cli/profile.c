/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/profile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double idle_share(const sc_device *device, double wall_s)
{
    const double idle = 1 - sc_device_busy_s(device) / wall_s;
    return idle > 0 ? idle : 0;
}

/* A column that a kernel without a told floor leaves empty; what is small keeps its digits. */
static void print_number(double value, int width, int digits)
{
    if (value > 0 && value < 1e-6) {
        printf(" %*.1e", width, value);
    } else if (value > 0 && isfinite(value)) {
        printf(" %*.*f", width, value >= 0.1 ? digits : value >= 0.001 ? digits + 2 : digits + 4, value);
    } else {
        printf(" %*s", width, "-");
    }
}

/* The last column. */
static void print_fraction(double of_floor)
{
    if (of_floor > 1) {
        printf(" %9s\n", "above 1");
    } else if (of_floor >= 0) {
        printf(" %9.3f\n", of_floor);
    } else {
        printf(" %9s\n", "-");
    }
}

static const struct {
    const char *name, *what;
} phases[SC_N_PHASES] = {
    [SC_PHASE_REST] = {"rest", "reading data, plans, logs, progress"},
    [SC_PHASE_OPEN] = {"opening", "devices and models opened, kernels compiled"},
    [SC_PHASE_TEXT] = {"text", "prompts built and tokenized, responses decoded and cut"},
    [SC_PHASE_TREE] = {"trees", "prefix trees, pages, enumerations, laws from sums"},
    [SC_PHASE_COLLAPSE] = {"collapse", "responses read back, classified, estimates stored"},
    [SC_PHASE_STORE] = {"store", "HDF5: records handed over, waiting, segments joined"},
    [SC_PHASE_LAUNCH] = {"launching", "work handed to the device"},
    [SC_PHASE_WAIT] = {"waiting", "for the device"},
};

static void print_host(const sc_cli_host_profile *host)
{
    const double *s = host->phases->seconds, off = s[SC_PHASE_TEXT] + s[SC_PHASE_COLLAPSE] + s[SC_PHASE_STORE];
    double sum = 0;
    for (size_t i = 0; i < SC_N_PHASES; i++) {
        sum += s[i];
    }
    printf("%-18s %10s %7s %10s\n", "host", "s", "share", "beside");
    for (size_t i = 1; i <= SC_N_PHASES; i++) { /* the rest last */
        const size_t k = i % SC_N_PHASES;
        const double beside = k == SC_PHASE_REST ? 0 : host->behind->seconds[k];
        printf("%-18s %10.3f %6.1f%%", phases[k].name, s[k], 100 * s[k] / sum);
        print_number(beside + (k == SC_PHASE_STORE ? host->writer_s : 0), 10, 3);
        printf("  %s\n", phases[k].what);
    }
    printf("text, collapse and store: %.2f %% of %.3f s; beside: seconds of the threads that write, join and collapse "
           "what is drawn and tokenize what comes next\n",
           100 * off / sum, sum);
    if (!isnan(host->first_token_s)) {
        printf("first token: %.2f s after the start of the process\n", host->first_token_s);
    }
}

static json_t *host_json(const sc_cli_host_profile *host)
{
    json_t *object = json_object();
    for (size_t i = 0; host != NULL && i < SC_N_PHASES; i++) {
        (void)json_object_set_new(object, phases[i].name, json_real(host->phases->seconds[i]));
    }
    if (host != NULL) {
        (void)json_object_set_new(object, "beside_store",
                                  json_real(host->writer_s + host->behind->seconds[SC_PHASE_STORE]));
        (void)json_object_set_new(object, "beside_collapse", json_real(host->behind->seconds[SC_PHASE_COLLAPSE]));
        (void)json_object_set_new(object, "beside_text", json_real(host->behind->seconds[SC_PHASE_TEXT]));
    }
    return object;
}

semcal_status sc_cli_profile_print(sc_device *device, double wall_s, const sc_cli_host_profile *host,
                                   semcal_error *error)
{
    sc_profile_row *rows = NULL;
    size_t n = 0;
    sc_ceilings most;
    semcal_status status = sc_device_profile(&rows, &n, device, error);
    if (status == SEMCAL_OK) {
        status = sc_device_ceilings(&most, device, error);
    }
    if (status != SEMCAL_OK) {
        free(rows);
        return status;
    }
    const double busy = sc_device_busy_s(device);
    printf("device %s: %.3f s in kernels of %.3f s, idle %.1f %%; ceilings %.1f GB/s read, %.1f GFLOP/s fp32\n",
           sc_device_facts(device)->name, busy, wall_s, 100 * idle_share(device, wall_s), most.bytes_per_s / 1e9,
           most.flops_per_s / 1e9);
    bool cached = false;
    if (n > 0) {
        printf("%-18s %10s %10s %7s %10s %10s %9s %9s %9s\n", "kernel", "launches", "ms", "share", "GB", "GFLOP",
               "GB/s", "GFLOP/s", "of floor");
    }
    for (size_t i = 0; i < n; i++) {
        const sc_profile_row *r = &rows[i];
        printf("%-18s %10llu %10.2f %6.1f%%", r->kernel, (unsigned long long)r->n_launches, r->seconds * 1e3,
               busy > 0 ? 100 * r->seconds / busy : 0);
        print_number(r->bytes / 1e9, 10, 3);
        print_number(r->flops / 1e9, 10, 2);
        print_number(r->bytes / 1e9 / r->seconds, 9, 2);
        print_number(r->flops / 1e9 / r->seconds, 9, 2);
        print_fraction(r->floor_s / r->seconds);
        cached = cached || r->floor_s > r->seconds;
    }
    if (n > 0) {
        printf(
            "of floor: time that the bytes or multiply-adds a launch cannot do without need at the ceilings, over its "
            "own time; exponentials are not counted\n");
    }
    if (cached) {
        printf("above 1: faster than the measured ceilings, mostly as what it takes was still in caches\n");
    }
    free(rows);
    if (host != NULL) {
        print_host(host);
    }
    return SEMCAL_OK;
}

semcal_status sc_cli_profile_json(json_t **object, sc_device *device, double wall_s, const sc_cli_host_profile *host,
                                  semcal_error *error)
{
    sc_profile_row *rows = NULL;
    size_t n = 0;
    sc_ceilings most;
    *object = NULL;
    semcal_status status = sc_device_profile(&rows, &n, device, error);
    if (status == SEMCAL_OK) {
        status = sc_device_ceilings(&most, device, error);
    }
    if (status != SEMCAL_OK) {
        free(rows);
        return status;
    }
    json_t *kernels = json_array();
    for (size_t i = 0; i < n; i++) {
        const sc_profile_row *r = &rows[i];
        json_t *of_floor = r->floor_s > 0 && r->seconds > 0 ? json_real(r->floor_s / r->seconds) : json_null();
        (void)json_array_append_new(kernels, json_pack("{s:s, s:I, s:f, s:f, s:f, s:o}", "kernel", r->kernel,
                                                       "launches", (json_int_t)r->n_launches, "seconds", r->seconds,
                                                       "bytes", r->bytes, "flops", r->flops, "of_floor", of_floor));
    }
    free(rows);
    *object = json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "device", sc_device_facts(device)->name,
                        "driver", sc_device_facts(device)->driver, "wall_s", wall_s, "busy_s", sc_device_busy_s(device),
                        "idle", idle_share(device, wall_s), "read_bytes_per_s", most.bytes_per_s, "flops_per_s",
                        most.flops_per_s, "kernels", kernels, "host", host_json(host));
    if (host != NULL) {
        json_t *first = isnan(host->first_token_s) ? json_null() : json_real(host->first_token_s);
        (void)json_object_set_new(*object, "first_token_s", first);
    }
    return *object == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory") : SEMCAL_OK;
}
