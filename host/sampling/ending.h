/* SPDX-License-Identifier: Apache-2.0 */
/* When a response ends: an end token, a stop string (which may span tokens), or too many tokens. */
#ifndef SC_SAMPLING_ENDING_H
#define SC_SAMPLING_ENDING_H

#include "source/source.h"

enum { SC_ENDING_LONGEST_STOP = 64 };

/* How a response ended. */
typedef enum sc_finish {
    SC_FINISH_STOP = 0,  /* a stop string appeared */
    SC_FINISH_END = 1,   /* an end token was drawn */
    SC_FINISH_LENGTH = 2 /* cut at max_tokens */
} sc_finish;

typedef struct sc_ending {
    uint32_t max_tokens;      /* >= 1 */
    const char *const *stops; /* stop strings, each 1 to 64 bytes */
    size_t n_stops;
} sc_ending;

/* The last bytes of a prefix, enough to see a stop string that began there. Starts as {0}. */
typedef struct sc_ending_tail {
    uint8_t n;
    char bytes[SC_ENDING_LONGEST_STOP];
} sc_ending_tail;

/* E_CONFIG when a number or a stop string is out of range. */
semcal_status sc_ending_check(const sc_ending *ending, semcal_error *error);

/* `token` follows a prefix of `n_before` tokens with tail `tail`, which moves on. Returns the sc_finish, or -1 when the
 * response goes on. */
int sc_ending_extend(sc_ending_tail *tail, const sc_ending *ending, sc_source *source, uint32_t n_before,
                     int32_t token);

/* Text of the response `ids` [n] that ended with `finish`: without its end token, cut before the first stop string.
 * Raw bytes, malloc'ed, NUL-terminated. */
semcal_status sc_ending_text(char **text, size_t *length, const sc_ending *ending, sc_source *source,
                             const int32_t *ids, size_t n, int finish, semcal_error *error);

#endif
