/* SPDX-License-Identifier: Apache-2.0 */
/* The option --shard. */
#ifndef SC_CLI_SHARD_H
#define SC_CLI_SHARD_H

#include "base/error.h"

/* Reads "i/n" (1-based), or "auto": the place of this process among its siblings as told by SLURM arrays or tasks
 * (SLURM_ARRAY_TASK_ID, _MIN, _COUNT; SLURM_PROCID, SLURM_NTASKS), Open MPI (OMPI_COMM_WORLD_RANK, _SIZE) or
 * SEMCAL_SHARD="i/n". NULL: 1 of 1. */
semcal_status sc_cli_shard(unsigned *shard, unsigned *n_shards, const char *text, semcal_error *error);

#endif
