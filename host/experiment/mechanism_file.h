/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What RUN/mechanism/<cell>.h5 holds. Rows: visits of draws at positions, distinct prefixes, responses that follow.
 *
 * The part of a shard and the part of one question have the same form with fewer questions. Files are sealed
 * (experiment/store_internal.h); their digest covers what was generated and the digest of the draws it belongs to.
 */
#ifndef SC_EXPERIMENT_MECHANISM_FILE_H
#define SC_EXPERIMENT_MECHANISM_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SC_MECHANISM_FORMAT "semcal-mechanism"
#define SC_MECHANISM_FORMAT_VERSION 2

typedef struct sc_mechanism_file {
    char *settings;    /* one line; files with another one are made again */
    char *cell;        /* name of the cell */
    char *cell_sha256; /* content digest of the cell file (of the shard's, in a shard) whose draws were visited */
    char content_sha256[65];
    int64_t n_positions, n_forks, max_tokens;
    int64_t n_cell_questions; /* with all shards; n_questions of them are here */
    int64_t shard, n_shards;
    size_t n_questions, questions_room;
    int32_t *questions; /* [n_questions] in the dataset, ascending: rows of the whole cell's file */
    size_t n_visits, visits_room;
    struct sc_mechanism_visit {
        int32_t question, draw;   /* of the dataset; of that question */
        int32_t position, length; /* tokens of the prefix and of the whole response */
        int32_t point;            /* -1: the response has ended, nothing is open */
    } * visits;
    size_t n_points, points_room;
    struct sc_mechanism_point {
        int32_t question, depth, exact;
        double unexplored;
    } * points;
    size_t n_responses, responses_room;
    struct sc_mechanism_response {
        int32_t point, finish;
        double weight;
        char *text; /* valid UTF-8 */
    } * responses;
} sc_mechanism_file;

/* Writes a sealed file that appears whole; computes file->content_sha256. */
semcal_status sc_mechanism_file_write(const char *path, sc_mechanism_file *file, semcal_error *error);
/* Checks seal, digest and that rows refer to rows. Free with sc_mechanism_file_free. */
semcal_status sc_mechanism_file_read(sc_mechanism_file *file, const char *path, semcal_error *error);
void sc_mechanism_file_free(sc_mechanism_file *file);

/* Appends question i of `from`, whose texts move over. SEMCAL_E_DATA when the two have other settings, or the question
 * is not behind those of `to`. */
semcal_status sc_mechanism_file_take(sc_mechanism_file *to, sc_mechanism_file *from, size_t i, semcal_error *error);

#endif
