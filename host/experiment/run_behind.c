/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run_behind.h"

#include "base/clock.h"

#include <signal.h>

static void collapse(sc_run_drawn *drawn, sc_phases *phases)
{
    const sc_run_cell *job = &drawn->job;
    bool collapsed = false;
    const sc_phase before = sc_phases_enter(phases, SC_PHASE_COLLAPSE);
    semcal_status status = SEMCAL_OK;
    if (job->options->n_shards == 1) { /* shards are collapsed when they are merged */
        status = sc_run_cell_is_collapsed(&collapsed, drawn->path, job->config, job->cell->dataset, &drawn->failure);
        if (status == SEMCAL_OK && (!collapsed || drawn->fresh)) {
            status = sc_run_cell_collapse(drawn->path, job->config, job->cell->dataset, job->dataset, NULL, job->log,
                                          &drawn->failure);
        }
    }
    drawn->failure.status = status;
    drawn->done = status == SEMCAL_OK;
    (void)sc_phases_enter(phases, before);
}

static void join(sc_run_drawn *drawn, sc_phases *phases)
{
    const sc_phase before = sc_phases_enter(phases, SC_PHASE_STORE);
    drawn->failure.status = sc_run_cell_finish(&drawn->rest, &drawn->failure);
    (void)sc_phases_enter(phases, before);
    if (drawn->failure.status == SEMCAL_OK && drawn->job.config->mechanism.questions == 0) {
        collapse(drawn, phases);
    }
}

static void *work(void *payload)
{
    const sc_run_behind *behind = payload;
    if (behind->collapsing != NULL) {
        const double began = sc_clock_now_s();
        collapse(behind->collapsing, behind->phases);
        behind->collapsing->own_s += sc_clock_now_s() - began;
    }
    if (behind->joining != NULL) {
        const double began = sc_clock_now_s();
        join(behind->joining, behind->phases);
        behind->joining->own_s += sc_clock_now_s() - began;
    }
    (void)sc_phases_enter(behind->phases, SC_PHASE_REST);
    return NULL;
}

void sc_run_behind_start(sc_run_behind *behind, sc_run_drawn *collapsing, sc_run_drawn *joining)
{
    behind->collapsing = collapsing;
    behind->joining = joining;
    (void)sc_phases_enter(behind->phases, SC_PHASE_REST);
    if (collapsing == NULL && joining == NULL) {
        return;
    }
    /* Signals are for the program's own threads. */
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    behind->has_thread = pthread_create(&behind->thread, NULL, work, behind) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!behind->has_thread) {
        (void)work(behind);
    }
}

void sc_run_behind_wait(sc_run_behind *behind)
{
    if (behind->has_thread) {
        (void)pthread_join(behind->thread, NULL);
        behind->has_thread = false;
    }
}
