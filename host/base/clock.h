/* SPDX-License-Identifier: Apache-2.0 */
/* Time that passes. */
#ifndef SC_BASE_CLOCK_H
#define SC_BASE_CLOCK_H

/* Seconds since a fixed but arbitrary moment; never set back. */
double sc_clock_now_s(void);

/* Seconds since this process was started, before its first instruction, to a hundredth; NaN where the system does not
 * tell. */
double sc_clock_process_s(void);

#endif
