/* SPDX-License-Identifier: Apache-2.0 */
/* Time that passes. */
#ifndef SC_BASE_CLOCK_H
#define SC_BASE_CLOCK_H

/* Seconds since a fixed but arbitrary moment; never set back. */
double sc_clock_now_s(void);

#endif
