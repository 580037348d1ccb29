/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SC_CLI_DECIMALS_H
#define SC_CLI_DECIMALS_H

/* A share or nats as tables show them: ".123", "-.045", "1.000", "-" when there is no number. */
const char *sc_cli_decimals(char text[16], double value, int decimals);

#endif
