/* SPDX-License-Identifier: Apache-2.0 */
/* Where a thread's time goes: a stopwatch that is always in exactly one phase, so that the phases sum to the whole.
 * Switched per question, batch or launch, never per token. */
#ifndef SC_BASE_PHASES_H
#define SC_BASE_PHASES_H

typedef enum sc_phase {
    SC_PHASE_REST,     /* whatever is not below */
    SC_PHASE_OPEN,     /* devices and models opened, kernels compiled */
    SC_PHASE_TEXT,     /* prompts built and tokenized, responses decoded and cut at stop strings */
    SC_PHASE_TREE,     /* prefix trees, enumerations, pages, what a law's sums come to */
    SC_PHASE_COLLAPSE, /* stored responses read, classified, estimates made and stored */
    SC_PHASE_STORE,    /* HDF5: handing over, waiting for the writer, joining what was committed */
    SC_PHASE_LAUNCH,   /* handing work to the device */
    SC_PHASE_WAIT,     /* waiting for it */
    SC_N_PHASES
} sc_phase;

typedef struct sc_phases {
    double seconds[SC_N_PHASES]; /* without the phase under way since `since` */
    double since;
    sc_phase now;
} sc_phases;

/* Begins in SC_PHASE_REST. */
void sc_phases_start(sc_phases *phases);
/* Goes over to `phase`; returns the one left, to be gone back to. NULL: nothing is measured. */
sc_phase sc_phases_enter(sc_phases *phases, sc_phase phase);

#endif
