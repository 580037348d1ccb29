/* SPDX-License-Identifier: Apache-2.0 */
/* What RUN/mechanism/<cell>.h5 holds. Rows: visits of draws at positions, distinct prefixes, responses that follow. */
#ifndef SC_EXPERIMENT_MECHANISM_FILE_H
#define SC_EXPERIMENT_MECHANISM_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sc_mechanism_file {
    char *settings; /* one line; files with another one are made again */
    int64_t n_positions, n_forks, max_tokens;
    size_t n_visits, visits_room;
    struct sc_mechanism_visit {
        int32_t question, draw;   /* rows of the cell file */
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

semcal_status sc_mechanism_file_write(const char *path, const sc_mechanism_file *file, semcal_error *error);
/* Free with sc_mechanism_file_free. */
semcal_status sc_mechanism_file_read(sc_mechanism_file *file, const char *path, semcal_error *error);
void sc_mechanism_file_free(sc_mechanism_file *file);

#endif
