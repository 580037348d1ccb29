/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct loop {
    size_t n;
    sc_parallel_body body;
    void *payload;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock;
    size_t failed_item;
    semcal_status status;
    semcal_error error;
} loop;

typedef struct worker {
    loop *shared;
    unsigned thread;
    pthread_t handle;
} worker;

unsigned sc_parallel_default_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1u : n > 64 ? 64u : (unsigned)n;
}

static void *work(void *argument)
{
    worker *self = argument;
    loop *shared = self->shared;
    while (!atomic_load(&shared->failed)) {
        size_t i = atomic_fetch_add(&shared->next, 1);
        if (i >= shared->n) {
            break;
        }
        semcal_error error = SEMCAL_ERROR_INIT;
        semcal_status status = shared->body(i, self->thread, shared->payload, &error);
        if (status != SEMCAL_OK) {
            (void)pthread_mutex_lock(&shared->lock);
            if (shared->status == SEMCAL_OK || i < shared->failed_item) {
                shared->status = status;
                shared->failed_item = i;
                shared->error = error;
            }
            (void)pthread_mutex_unlock(&shared->lock);
            atomic_store(&shared->failed, true);
        }
    }
    return NULL;
}

semcal_status sc_parallel_for(size_t n, unsigned n_threads, sc_parallel_body body, void *payload, semcal_error *error)
{
    if (n_threads == 0) {
        n_threads = sc_parallel_default_threads();
    }
    if (n_threads > n) {
        n_threads = n == 0 ? 1u : (unsigned)n;
    }
    loop shared = {.n = n, .body = body, .payload = payload, .status = SEMCAL_OK, .error = SEMCAL_ERROR_INIT};
    atomic_init(&shared.next, 0);
    atomic_init(&shared.failed, false);
    (void)pthread_mutex_init(&shared.lock, NULL);
    worker *workers = sc_memory_alloc(n_threads, sizeof *workers, error);
    if (workers == NULL) {
        (void)pthread_mutex_destroy(&shared.lock);
        return SEMCAL_E_MEMORY;
    }
    unsigned started = 0;
    for (unsigned i = 0; i < n_threads; i++) {
        workers[i].shared = &shared;
        workers[i].thread = i;
        /* A thread that cannot start is not an error: the calling thread does the rest. */
        if (i > 0 && pthread_create(&workers[i].handle, NULL, work, &workers[i]) != 0) {
            break;
        }
        started = i + 1;
    }
    (void)work(&workers[0]);
    for (unsigned i = 1; i < started; i++) {
        (void)pthread_join(workers[i].handle, NULL);
    }
    free(workers);
    (void)pthread_mutex_destroy(&shared.lock);
    if (shared.status != SEMCAL_OK) {
        (void)sc_error_set(error, shared.status, "%s", shared.error.message);
    }
    return shared.status;
}
