/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shard.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(long *value, const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (text == NULL || text[0] == '\0') {
        return false;
    }
    *value = strtol(text, &end, 10);
    return *end == '\0';
}

static semcal_status parse(unsigned *shard, unsigned *n_shards, const char *text, const char *where,
                           semcal_error *error)
{
    char *end;
    long i = strtol(text, &end, 10), n = 0;
    if (*end == '/') {
        n = strtol(end + 1, &end, 10);
    }
    if (*end != '\0' || i < 1 || n < 1 || i > n || n > 1000000) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "%s: '%s' is not I/N with 1 <= I <= N", where, text);
    }
    *shard = (unsigned)i;
    *n_shards = (unsigned)n;
    return SEMCAL_OK;
}

semcal_status sc_cli_shard(unsigned *shard, unsigned *n_shards, const char *text, semcal_error *error)
{
    *shard = *n_shards = 1;
    if (text == NULL) {
        return SEMCAL_OK;
    }
    if (strcmp(text, "auto") != 0) {
        return parse(shard, n_shards, text, "--shard", error);
    }
    const char *own = getenv("SEMCAL_SHARD");
    long i = 0, n = 0, low = 0;
    if (own != NULL) {
        return parse(shard, n_shards, own, "SEMCAL_SHARD", error);
    }
    bool found = false;
    if (read_number(&i, "SLURM_ARRAY_TASK_ID") && read_number(&n, "SLURM_ARRAY_TASK_COUNT")) {
        found = read_number(&low, "SLURM_ARRAY_TASK_MIN") || low == 0;
    } else {
        found = (read_number(&i, "SLURM_PROCID") && read_number(&n, "SLURM_NTASKS")) ||
                (read_number(&i, "OMPI_COMM_WORLD_RANK") && read_number(&n, "OMPI_COMM_WORLD_SIZE"));
    }
    if (!found || i - low < 0 || n < 1 || i - low >= n) {
        return sc_error_set(
            error, SEMCAL_E_CONFIG,
            "--shard auto: no batch system tells this process's place; set SEMCAL_SHARD=I/N or give I/N");
    }
    *shard = (unsigned)(i - low) + 1;
    *n_shards = (unsigned)n;
    return SEMCAL_OK;
}
