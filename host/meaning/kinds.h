/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the table of collapse kinds; each is defined in the file of its name. */
#ifndef SC_MEANING_KINDS_H
#define SC_MEANING_KINDS_H

#include "meaning/collapse.h"

extern const sc_collapse_kind sc_collapse_exact;
extern const sc_collapse_kind sc_collapse_numeric;
extern const sc_collapse_kind sc_collapse_math;
extern const sc_collapse_kind sc_collapse_alias;
extern const sc_collapse_kind sc_collapse_choice;
extern const sc_collapse_kind sc_collapse_model;

#endif
