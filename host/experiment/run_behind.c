/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/run_behind.h"

#include "base/clock.h"
#include "base/memory.h"

#include <signal.h>
#include <stdlib.h>

/* Steps that one cell can have. */
enum { MOST_STEPS = 3 };

static semcal_status join(sc_run_drawn *drawn, semcal_error *error)
{
    const sc_run_cell *job = &drawn->job;
    semcal_status status = sc_run_cell_finish(&drawn->rest, error);
    if (status == SEMCAL_OK && job->config->mechanism.questions > 0) {
        status = sc_mechanism_open(&drawn->mechanism, job, &drawn->rest.questions, drawn->path, error);
    }
    return status;
}

/* Shards are collapsed when they are merged. */
static semcal_status collapse(sc_run_drawn *drawn, semcal_error *error)
{
    const sc_run_cell *job = &drawn->job;
    bool collapsed = job->options->n_shards > 1;
    semcal_status status = SEMCAL_OK;
    if (!collapsed) {
        status = sc_run_cell_is_collapsed(&collapsed, drawn->path, job->config, job->cell->dataset, error);
    }
    if (status == SEMCAL_OK && !collapsed) {
        status = sc_run_cell_collapse(drawn->path, job->config, job->cell->dataset, job->dataset, NULL, drawn->judged,
                                      job->log, error);
    }
    if (status == SEMCAL_OK && drawn->is_judged && drawn->mechanism != NULL) {
        status = sc_run_cell_collapse_mechanism(drawn->path, sc_mechanism_sha256(drawn->mechanism), job->config,
                                                job->cell->dataset, job->dataset, drawn->judged, error);
    }
    return status;
}

static semcal_status finish(sc_run_drawn *drawn, bool collapses, semcal_error *error)
{
    const sc_run_cell *job = &drawn->job;
    semcal_status status = sc_mechanism_finish(drawn->mechanism, error);
    if (drawn->is_judged) {
        return status; /* its digest is asked for when it is judged */
    }
    if (status == SEMCAL_OK && collapses && job->options->n_shards == 1) {
        status = sc_run_cell_collapse_mechanism(drawn->path, sc_mechanism_sha256(drawn->mechanism), job->config,
                                                job->cell->dataset, job->dataset, NULL, error);
    }
    sc_mechanism_close(&drawn->mechanism);
    return status;
}

/* A cell that has failed is left as it is. */
static void do_step(sc_run_behind *behind, const struct sc_behind_job *job, bool drop)
{
    sc_run_drawn *drawn = job->drawn;
    const double began = sc_clock_now_s();
    (void)sc_phases_enter(behind->phases, job->step == SC_BEHIND_COLLAPSE ? SC_PHASE_COLLAPSE : SC_PHASE_STORE);
    semcal_status status = drawn->failure.status;
    if (status == SEMCAL_OK && job->step == SC_BEHIND_JOIN) {
        status = join(drawn, &drawn->failure);
    } else if (status == SEMCAL_OK && job->step == SC_BEHIND_COLLAPSE) {
        status = collapse(drawn, &drawn->failure);
    } else if (status == SEMCAL_OK && job->step == SC_BEHIND_FINISH) {
        status = finish(drawn, !drop, &drawn->failure);
    } else if (status == SEMCAL_OK) {
        status = sc_run_text_finish(drawn->text, &drawn->failure);
    }
    if (job->step == SC_BEHIND_TEXT) {
        sc_run_text_free(&drawn->text);
    }
    drawn->failure.status = status;
    drawn->behind_s += sc_clock_now_s() - began;
    (void)sc_phases_enter(behind->phases, SC_PHASE_REST);
}

static void make_ahead(sc_run_behind *behind, sc_run_ahead *ahead)
{
    semcal_error ignored = SEMCAL_ERROR_INIT;
    (void)sc_phases_enter(behind->phases, SC_PHASE_TEXT);
    if (ahead->cell->text) {
        if (sc_text_data_open(&ahead->text, ahead->cell->dataset, ahead->source, &ignored) != SEMCAL_OK) {
            sc_text_data_free(&ahead->text);
        }
    } else {
        (void)sc_questions_make(&ahead->questions, ahead->cell, ahead->dataset, ahead->source, &ignored);
    }
    (void)sc_phases_enter(behind->phases, SC_PHASE_REST);
}

/* Under the lock: what to do next, with jobs to be done: what joins a cell first, the rest in its order. */
static struct sc_behind_job *next_job(const sc_run_behind *behind)
{
    for (size_t i = behind->n_done; i < behind->n_jobs; i++) {
        if (behind->jobs[i].step == SC_BEHIND_JOIN && !behind->jobs[i].done) {
            return &behind->jobs[i];
        }
    }
    return &behind->jobs[behind->n_done];
}

static void note_done(sc_run_behind *behind, struct sc_behind_job *job)
{
    job->done = true;
    while (behind->n_done < behind->n_jobs && behind->jobs[behind->n_done].done) {
        behind->n_done++;
    }
}

static void *work(void *payload)
{
    sc_run_behind *behind = payload;
    (void)pthread_mutex_lock(&behind->lock);
    for (;;) {
        while (behind->n_done == behind->n_jobs && behind->ahead == NULL && !behind->stop) {
            (void)pthread_cond_wait(&behind->work, &behind->lock);
        }
        if (behind->ahead != NULL) {
            sc_run_ahead *ahead = behind->ahead;
            behind->ahead = NULL;
            behind->making = true;
            (void)pthread_mutex_unlock(&behind->lock);
            make_ahead(behind, ahead);
            (void)pthread_mutex_lock(&behind->lock);
            behind->making = false;
            (void)pthread_cond_broadcast(&behind->progress);
            continue;
        }
        if (behind->n_done == behind->n_jobs) {
            break;
        }
        struct sc_behind_job *job = next_job(behind);
        const bool drop = behind->drop;
        (void)pthread_mutex_unlock(&behind->lock);
        if (!drop || job->step == SC_BEHIND_FINISH) {
            do_step(behind, job, drop);
        }
        (void)pthread_mutex_lock(&behind->lock);
        note_done(behind, job);
        (void)pthread_cond_broadcast(&behind->progress);
    }
    (void)pthread_mutex_unlock(&behind->lock);
    return NULL;
}

semcal_status sc_run_behind_open(sc_run_behind *behind, size_t n_cells, sc_phases *phases, semcal_error *error)
{
    *behind = (sc_run_behind){.phases = phases};
    behind->jobs = sc_memory_alloc(n_cells * MOST_STEPS, sizeof *behind->jobs, error);
    if (behind->jobs == NULL) {
        return SEMCAL_E_MEMORY;
    }
    (void)pthread_mutex_init(&behind->lock, NULL);
    (void)pthread_cond_init(&behind->work, NULL);
    (void)pthread_cond_init(&behind->progress, NULL);
    /* Signals are for the program's own threads. */
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    behind->has_thread = pthread_create(&behind->thread, NULL, work, behind) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return SEMCAL_OK;
}

void sc_run_behind_post(sc_run_behind *behind, sc_run_drawn *drawn, sc_behind_step step)
{
    (void)pthread_mutex_lock(&behind->lock);
    struct sc_behind_job *job = &behind->jobs[behind->n_jobs++];
    *job = (struct sc_behind_job){drawn, step, false};
    drawn->ticket = behind->n_jobs;
    drawn->after_join = step == SC_BEHIND_JOIN ? drawn->ticket : drawn->after_join;
    (void)pthread_cond_signal(&behind->work);
    (void)pthread_mutex_unlock(&behind->lock);
    if (!behind->has_thread) {
        do_step(behind, job, false);
        note_done(behind, job);
    }
}

void sc_run_behind_make(sc_run_behind *behind, sc_run_ahead *ahead)
{
    (void)pthread_mutex_lock(&behind->lock);
    behind->ahead = behind->has_thread ? ahead : NULL;
    (void)pthread_cond_signal(&behind->work);
    (void)pthread_mutex_unlock(&behind->lock);
}

void sc_run_behind_take(sc_run_behind *behind, sc_run_ahead *ahead)
{
    (void)pthread_mutex_lock(&behind->lock);
    behind->ahead = behind->ahead == ahead ? NULL : behind->ahead;
    while (behind->making) {
        (void)pthread_cond_wait(&behind->progress, &behind->lock);
    }
    (void)pthread_mutex_unlock(&behind->lock);
}

void sc_run_behind_wait(sc_run_behind *behind, size_t ticket)
{
    (void)pthread_mutex_lock(&behind->lock);
    while (ticket > 0 && !behind->jobs[ticket - 1].done) {
        (void)pthread_cond_wait(&behind->progress, &behind->lock);
    }
    (void)pthread_mutex_unlock(&behind->lock);
}

bool sc_run_behind_is_done(sc_run_behind *behind, size_t ticket)
{
    (void)pthread_mutex_lock(&behind->lock);
    const bool done = ticket == 0 || behind->jobs[ticket - 1].done;
    (void)pthread_mutex_unlock(&behind->lock);
    return done;
}

void sc_run_behind_close(sc_run_behind *behind, bool drop)
{
    if (behind->jobs == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&behind->lock);
    behind->stop = true;
    behind->drop = drop;
    (void)pthread_cond_signal(&behind->work);
    (void)pthread_mutex_unlock(&behind->lock);
    if (behind->has_thread) {
        (void)pthread_join(behind->thread, NULL);
    }
    (void)pthread_cond_destroy(&behind->progress);
    (void)pthread_cond_destroy(&behind->work);
    (void)pthread_mutex_destroy(&behind->lock);
    free(behind->jobs);
    behind->jobs = NULL;
}
