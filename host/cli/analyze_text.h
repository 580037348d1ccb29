/* SPDX-License-Identifier: Apache-2.0 */
/* The table of text cells that `semcal analyze` prints under the semantic one. */
#ifndef SC_CLI_ANALYZE_TEXT_H
#define SC_CLI_ANALYZE_TEXT_H

#include "experiment/analyze.h"

/* Nothing for an analysis without text cells. */
void sc_cli_print_texts(const sc_analysis *analysis);

#endif
