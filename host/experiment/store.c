/* SPDX-License-Identifier: Apache-2.0 */
/* The writing side: a queue, a thread that turns it into segments, and the finished file. */
#include "experiment/store.h"

#include "base/clock.h"
#include "base/file.h"
#include "experiment/store_segments.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A segment is also closed when its records hold this many nodes, whatever the clock says. */
enum { COMMIT_NODES = 1 << 19 };

struct sc_store {
    sc_store_options options;
    sc_store_attribute *attributes; /* [options.n_attributes] own copies */
    char *path, *cell_name;         /* of the finished file */
    sc_store_expect expect;
    sc_store_segments segments;
    sc_spill *spill; /* NULL: laws are not kept as a whole */
    bool finished;
    uint8_t *taken;              /* [n_questions] 1: committed or appended; only the appending thread looks */
    uint64_t n_wanted, n_before; /* of this shard; committed before this session */

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t work, progress;
    /* Under the lock: */
    sc_store_record *queue; /* [options.queue_records] */
    size_t n_queued;
    uint64_t queued_nodes;
    size_t n_taken;                             /* by the writer, for its next segment */
    uint64_t taken_nodes;                       /* of these */
    bool idle;                                  /* the writer has nothing: it waits for the first record */
    uint64_t n_appended, n_committed, flush_to; /* records of this session */
    uint64_t queued_logits;                     /* whole laws of the queue, in nodes */
    bool stop;
    double worked_s; /* the writer */
    semcal_error failure;
};

/* ---- the writer thread ---- */

typedef struct pending {
    sc_store_record *records;
    size_t n, capacity;
    uint64_t n_nodes;
    struct timespec due;
} pending;

static void take_queue(pending *waiting, sc_store *store)
{
    if (store->n_queued == 0 || store->failure.status != SEMCAL_OK) {
        for (size_t i = 0; i < store->n_queued; i++) {
            sc_store_record_free(&store->queue[i]);
        }
        store->n_queued = 0;
        store->queued_logits = 0;
        store->queued_nodes = 0;
        return;
    }
    if (sc_memory_grow(&waiting->records, &waiting->capacity, waiting->n + store->n_queued, sizeof *waiting->records,
                       &store->failure) != SEMCAL_OK) {
        return;
    }
    if (waiting->n == 0) {
        (void)clock_gettime(CLOCK_MONOTONIC, &waiting->due);
        double seconds = store->options.commit_seconds > 0 ? store->options.commit_seconds : 0;
        seconds = seconds < 1e6 ? seconds : 1e6;
        long nanoseconds = waiting->due.tv_nsec + (long)((seconds - (double)(time_t)seconds) * 1e9);
        waiting->due.tv_sec += (time_t)seconds + nanoseconds / 1000000000;
        waiting->due.tv_nsec = nanoseconds % 1000000000;
    }
    for (size_t i = 0; i < store->n_queued; i++) {
        waiting->n_nodes +=
            store->queue[i].tree.n_nodes + sc_store_logits_weight(store->queue[i].n_logits, &store->expect.sizes);
        waiting->records[waiting->n++] = store->queue[i];
    }
    store->n_queued = 0;
    store->queued_logits = 0;
    store->queued_nodes = 0;
    store->n_taken = waiting->n;
    store->taken_nodes = waiting->n_nodes;
}

static bool is_due(const pending *waiting, const sc_store *store)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    bool late =
        now.tv_sec > waiting->due.tv_sec || (now.tv_sec == waiting->due.tv_sec && now.tv_nsec >= waiting->due.tv_nsec);
    return waiting->n > 0 && (late || store->stop || store->flush_to > store->n_committed ||
                              waiting->n >= store->options.commit_questions || waiting->n_nodes >= COMMIT_NODES);
}

/* Called and left with the lock held. */
static void commit_pending(pending *waiting, sc_store *store)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    store->n_taken = 0;
    store->taken_nodes = 0;
    (void)pthread_mutex_unlock(&store->lock);
    const double began = sc_clock_now_s();
    semcal_status status =
        sc_store_segments_write(&store->segments, waiting->records, waiting->n, &store->expect, &error);
    for (size_t i = 0; i < waiting->n; i++) {
        sc_store_record_free(&waiting->records[i]);
    }
    (void)pthread_mutex_lock(&store->lock);
    store->worked_s += sc_clock_now_s() - began;
    if (status != SEMCAL_OK) {
        store->failure = error;
        store->failure.status = status;
    } else {
        store->n_committed += waiting->n;
    }
    waiting->n = 0;
    waiting->n_nodes = 0;
}

static void *writer_thread(void *payload)
{
    sc_store *store = payload;
    pending waiting = {0};
    (void)pthread_mutex_lock(&store->lock);
    for (;;) {
        take_queue(&waiting, store);
        (void)pthread_cond_broadcast(&store->progress);
        if (is_due(&waiting, store)) {
            commit_pending(&waiting, store);
            (void)pthread_cond_broadcast(&store->progress);
        } else if (store->stop && store->n_queued == 0) {
            break;
        } else if (waiting.n > 0) {
            (void)pthread_cond_timedwait(&store->work, &store->lock, &waiting.due);
        } else if (store->n_queued == 0) {
            store->idle = true;
            (void)pthread_cond_wait(&store->work, &store->lock);
            store->idle = false;
        }
    }
    (void)pthread_mutex_unlock(&store->lock);
    free(waiting.records);
    return NULL;
}

static semcal_status start_thread(sc_store *store, semcal_error *error)
{
    /* Signals are for the program's own threads. */
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&store->thread, NULL, writer_thread, store);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed != 0) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "%s: cannot start the writer thread: %s", store->path,
                            strerror(failed));
    }
    store->has_thread = true;
    return SEMCAL_OK;
}

/* ---- opening ---- */

static semcal_status copy_attributes(sc_store *store, const sc_store_options *options, semcal_error *error)
{
    store->options = *options;
    store->options.n_attributes = 0;
    store->attributes = sc_memory_alloc(options->n_attributes, sizeof *store->attributes, error);
    for (size_t i = 0; store->attributes != NULL && i < options->n_attributes; i++) {
        const sc_store_attribute *from = &options->attributes[i];
        char *name = sc_memory_strdup(from->name, error);
        /* The file holds valid text, and resuming compares with the file. */
        char *text = sc_store_text(from->text, strlen(from->text), error);
        store->attributes[i] = (sc_store_attribute){name, text, from->identity};
        store->options.n_attributes++;
        if (name == NULL || text == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    store->options.attributes = store->attributes;
    return store->attributes != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
}

static semcal_status check_options(const sc_store_options *options, const char *cell, semcal_error *error)
{
    if (options->n_shards < 1 || options->shard < 1 || options->shard > options->n_shards) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "shard %u of %u does not exist", options->shard, options->n_shards);
    }
    if (cell[0] == '\0' || cell[0] == '.' || strchr(cell, '/') != NULL) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "'%s' cannot be the name of a cell's file", cell);
    }
    if (options->queue_records == 0 || options->commit_questions == 0 || options->deflate > 9) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "store: queue and commit sizes must be positive, deflate 0 to 9");
    }
    return SEMCAL_OK;
}

/* A finished file, sharded or not, ends the work on a cell. */
static semcal_status look_for_finished(sc_store *store, const char *path, semcal_error *error)
{
    if (store->finished || !sc_file_exists(path)) {
        return SEMCAL_OK;
    }
    sc_store_cell *cell;
    semcal_status status = sc_store_cell_open(&cell, path, error);
    if (status == SEMCAL_OK) {
        status = sc_store_expect_check(cell, &store->expect, error);
        sc_store_cell_close(&cell);
    }
    store->finished = status == SEMCAL_OK;
    return status;
}

static semcal_status look_at_folder(sc_store *store, const char *run_folder, semcal_error *error)
{
    const sc_store_options *o = &store->options;
    char *folder = sc_store_path(run_folder, store->cell_name, o->shard, o->n_shards, ".segments", error);
    char *whole = sc_store_path(run_folder, store->cell_name, 1, 1, ".h5", error);
    char *cells = sc_file_join(run_folder, "cells", error);
    semcal_status status = folder == NULL || whole == NULL || cells == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_file_make_folder(cells, error);
    }
    if (status == SEMCAL_OK && o->fresh) {
        (void)unlink(store->path);
        (void)unlink(whole);
        sc_store_remove_folder(folder);
    }
    if (status == SEMCAL_OK) {
        status = look_for_finished(store, whole, error);
    }
    if (status == SEMCAL_OK) {
        status = look_for_finished(store, store->path, error);
    }
    if (status == SEMCAL_OK && store->finished) {
        /* Killed between the last rename and the clean-up. */
        sc_store_remove_folder(folder);
    } else if (status == SEMCAL_OK) {
        status = sc_store_segments_open(&store->segments, folder, &store->expect, error);
        if (status == SEMCAL_OK && o->n_vocabulary > 0) {
            status = sc_spill_create(&store->spill, folder, o->n_vocabulary * sizeof(float), error);
        }
    }
    free(folder);
    free(whole);
    free(cells);
    return status;
}

static bool in_shard(const sc_store *store, uint64_t index)
{
    return index % store->options.n_shards == store->options.shard - 1;
}

static void count_questions(sc_store *store)
{
    for (uint64_t i = 0; i < store->options.n_questions; i++) {
        if (in_shard(store, i)) {
            bool there = store->finished || store->segments.sources.places[i].source >= 0;
            store->taken[i] = there;
            store->n_wanted++;
            store->n_before += there;
        }
    }
}

static semcal_status make_locks(sc_store *store, semcal_error *error)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return sc_error_set(error, SEMCAL_E_MEMORY, "out of memory");
    }
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&store->lock, NULL);
    (void)pthread_cond_init(&store->work, &attributes);
    (void)pthread_cond_init(&store->progress, NULL);
    (void)pthread_condattr_destroy(&attributes);
    return SEMCAL_OK;
}

semcal_status sc_store_open(sc_store **out, const char *run_folder, const char *cell, const sc_store_options *options,
                            semcal_error *error)
{
    *out = NULL;
    semcal_status status = check_options(options, cell, error);
    sc_store *store = status == SEMCAL_OK ? sc_memory_alloc(1, sizeof *store, error) : NULL;
    if (store == NULL) {
        return status != SEMCAL_OK ? status : SEMCAL_E_MEMORY;
    }
    store->segments.lock = -1;
    status = make_locks(store, error);
    if (status != SEMCAL_OK) {
        free(store);
        return status;
    }
    status = copy_attributes(store, options, error);
    store->cell_name = sc_memory_strdup(cell, error);
    store->path = sc_store_path(run_folder, cell, options->shard, options->n_shards, ".h5", error);
    store->taken = sc_memory_alloc(options->n_questions, sizeof *store->taken, error);
    store->queue = sc_memory_alloc(options->queue_records, sizeof *store->queue, error);
    if (store->cell_name == NULL || store->path == NULL || store->taken == NULL || store->queue == NULL) {
        status = SEMCAL_E_MEMORY;
    }
    store->expect = (sc_store_expect){
        .sizes = {.n_draws = options->n_draws,
                  .n_top = options->n_top,
                  .raw = options->raw,
                  .n_vocabulary = options->n_vocabulary},
        .label = {store->cell_name, options->n_questions, options->shard, options->n_shards, options->deflate},
        .attributes = store->attributes,
        .n_attributes = store->options.n_attributes,
        .log = options->log,
        .payload = options->payload,
    };
    if (status == SEMCAL_OK) {
        status = look_at_folder(store, run_folder, error);
    }
    if (status == SEMCAL_OK) {
        count_questions(store);
        status = store->finished ? SEMCAL_OK : start_thread(store, error);
    }
    if (status != SEMCAL_OK) {
        (void)sc_store_close(&store, NULL);
        return status;
    }
    *out = store;
    return SEMCAL_OK;
}

/* ---- questions ---- */

bool sc_store_wants(const sc_store *store, uint64_t index)
{
    return index < store->options.n_questions && in_shard(store, index) && store->taken[index] == 0;
}

uint64_t sc_store_n_wanted(const sc_store *store)
{
    return store->n_wanted;
}

uint64_t sc_store_n_committed(sc_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    uint64_t n = store->n_before + store->n_committed;
    (void)pthread_mutex_unlock(&store->lock);
    return n;
}

sc_spill *sc_store_spill(sc_store *store)
{
    return store->spill;
}

double sc_store_writer_s(sc_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    const double seconds = store->worked_s;
    (void)pthread_mutex_unlock(&store->lock);
    return seconds;
}

bool sc_store_is_finished(const sc_store *store)
{
    return store->finished;
}

/* Whether what is queued makes a segment of what the writer has. Before that it is not woken: it waits for its clock,
 * and where the device computes on the same cores, each waking costs more than handing a record over. */
static bool is_enough(const sc_store *store)
{
    return store->n_taken + store->n_queued >= store->options.commit_questions ||
           store->taken_nodes + store->queued_nodes + store->queued_logits >= COMMIT_NODES;
}

static semcal_status enqueue(sc_store *store, sc_store_record *record, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    bool wake = false;
    (void)pthread_mutex_lock(&store->lock);
    const uint64_t logits = sc_store_logits_weight(record->n_logits, &store->expect.sizes);
    while ((store->n_queued == store->options.queue_records ||
            (store->n_queued > 0 && store->queued_logits + logits > COMMIT_NODES)) &&
           store->failure.status == SEMCAL_OK) {
        (void)pthread_cond_signal(&store->work);
        (void)pthread_cond_wait(&store->progress, &store->lock);
    }
    if (store->failure.status != SEMCAL_OK) {
        status = sc_error_set(error, store->failure.status, "%s", store->failure.message);
    } else {
        store->queue[store->n_queued++] = *record;
        store->queued_logits += logits;
        store->queued_nodes += record->tree.n_nodes;
        store->n_appended++;
        wake = store->idle || is_enough(store);
    }
    (void)pthread_mutex_unlock(&store->lock);
    if (wake) {
        (void)pthread_cond_signal(&store->work);
    }
    return status;
}

semcal_status sc_store_append(sc_store *store, sc_store_record *record, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (!sc_store_wants(store, record->index)) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: question %" PRIu64 " is not wanted here, or there already",
                              store->path, record->index);
    } else {
        status = sc_store_record_check(record, &store->expect.sizes, error);
        if (status != SEMCAL_OK) {
            sc_error_where(error, "%s", store->cell_name);
        }
    }
    if (status == SEMCAL_OK) {
        status = enqueue(store, record, error);
    }
    if (status == SEMCAL_OK) {
        store->taken[record->index] = 1;
        *record = (sc_store_record)SC_STORE_RECORD_INIT;
    } else {
        sc_store_record_free(record);
    }
    return status;
}

semcal_status sc_store_commit(sc_store *store, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    (void)pthread_mutex_lock(&store->lock);
    store->flush_to = store->n_appended;
    (void)pthread_cond_signal(&store->work);
    while (store->n_committed < store->flush_to && store->failure.status == SEMCAL_OK) {
        (void)pthread_cond_wait(&store->progress, &store->lock);
    }
    if (store->failure.status != SEMCAL_OK) {
        status = sc_error_set(error, store->failure.status, "%s", store->failure.message);
    }
    (void)pthread_mutex_unlock(&store->lock);
    return status;
}

/* ---- the end ---- */

semcal_status sc_store_finish(sc_store *store, const sc_store_attribute *attributes, size_t n_attributes,
                              semcal_error *error)
{
    if (store->finished) {
        return SEMCAL_OK;
    }
    semcal_status status = sc_store_commit(store, error);
    uint64_t n_there = sc_store_n_committed(store);
    if (status == SEMCAL_OK && n_there < store->n_wanted) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%s: %" PRIu64 " of %" PRIu64 " questions are missing", store->path,
                              store->n_wanted - n_there, store->n_wanted);
    }
    size_t n = store->options.n_attributes;
    sc_store_attribute *all = sc_memory_alloc(n + n_attributes, sizeof *all, error);
    if (all == NULL) {
        return SEMCAL_E_MEMORY;
    }
    memcpy(all, store->attributes, n * sizeof *all);
    if (n_attributes > 0) {
        memcpy(all + n, attributes, n_attributes * sizeof *all);
    }
    char hex[65];
    if (status == SEMCAL_OK) {
        store->segments.sources.sizes.n_draws = store->expect.sizes.n_draws;
        store->segments.sources.sizes.n_top = store->expect.sizes.n_top;
        store->segments.sources.sizes.raw = store->expect.sizes.raw;
        store->segments.sources.sizes.n_vocabulary = store->expect.sizes.n_vocabulary;
        status = sc_store_join(hex, store->path, &store->segments.sources, &store->expect.label, all, n + n_attributes,
                               error);
    }
    if (status == SEMCAL_OK) {
        sc_spill_free(store->spill);
        store->spill = NULL;
        sc_store_segments_remove(&store->segments);
        store->finished = true;
    }
    free(all);
    return status;
}

semcal_status sc_store_close(sc_store **out, semcal_error *error)
{
    sc_store *store = *out;
    *out = NULL;
    if (store == NULL) {
        return SEMCAL_OK;
    }
    if (store->has_thread) {
        (void)pthread_mutex_lock(&store->lock);
        store->stop = true;
        (void)pthread_cond_signal(&store->work);
        (void)pthread_mutex_unlock(&store->lock);
        (void)pthread_join(store->thread, NULL);
    }
    semcal_status status = SEMCAL_OK;
    if (store->failure.status != SEMCAL_OK) {
        status = sc_error_set(error, store->failure.status, "%s", store->failure.message);
    }
    for (size_t i = 0; i < store->n_queued; i++) {
        sc_store_record_free(&store->queue[i]);
    }
    for (size_t i = 0; store->attributes != NULL && i < store->options.n_attributes; i++) {
        free((void *)(uintptr_t)store->attributes[i].name);
        free((void *)(uintptr_t)store->attributes[i].text);
    }
    sc_spill_free(store->spill);
    sc_store_segments_close(&store->segments);
    (void)pthread_cond_destroy(&store->progress);
    (void)pthread_cond_destroy(&store->work);
    (void)pthread_mutex_destroy(&store->lock);
    free(store->attributes);
    free(store->cell_name);
    free(store->path);
    free(store->taken);
    free(store->queue);
    free(store);
    return status;
}
