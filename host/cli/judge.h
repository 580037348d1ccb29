/* SPDX-License-Identifier: Apache-2.0 */
/* A judge (experiment/judge.h) that a command line names, without a run. */
#ifndef SC_CLI_JUDGE_H
#define SC_CLI_JUDGE_H

#include "cli/cli.h"
#include "experiment/judge.h"
#include "experiment/sources.h"

typedef struct sc_cli_judge {
    sc_config *config;
    sc_config_model model;
    sc_sources sources;
    sc_judged *judged;
} sc_cli_judge;

/* `folder` is a model folder, `set` overrides keys of the collapse. SEMCAL_E_CONFIG when either is not what it should
 * be. Close it in any case. */
semcal_status sc_cli_judge_open(sc_cli_judge *judge, const char *folder, const sc_cli_list *set, const char *device,
                                semcal_error *error);
void sc_cli_judge_close(sc_cli_judge *judge);

#endif
