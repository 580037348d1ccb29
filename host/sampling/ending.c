/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/ending.h"

#include <string.h>

semcal_status sc_ending_check(const sc_ending *ending, semcal_error *error)
{
    if (ending->max_tokens < 1) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "max_tokens must be >= 1");
    }
    for (size_t i = 0; i < ending->n_stops; i++) {
        size_t n = strlen(ending->stops[i]);
        if (n < 1 || n > SC_ENDING_LONGEST_STOP) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "stop string %zu has %zu bytes; 1 to %d are possible", i + 1, n,
                                SC_ENDING_LONGEST_STOP);
        }
    }
    return SEMCAL_OK;
}

/* Adds bytes to the tail; true when that completes a stop string. */
static bool add_bytes(sc_ending_tail *tail, const sc_ending *ending, const char *bytes, size_t length)
{
    size_t longest = 0;
    bool may_stop = false;
    for (size_t s = 0; s < ending->n_stops; s++) {
        size_t n = strlen(ending->stops[s]);
        longest = n > longest ? n : longest;
        may_stop = may_stop || memchr(bytes, ending->stops[s][n - 1], length) != NULL;
    }
    if (longest <= 1 && !may_stop) {
        return false;
    }
    /* A token may be longer than the window: slide over it. */
    char window[2 * SC_ENDING_LONGEST_STOP];
    size_t used = tail->n;
    memcpy(window, tail->bytes, used);
    bool stopped = false;
    for (size_t i = 0; i < length && !stopped; i++) {
        if (used == sizeof window) {
            memmove(window, window + SC_ENDING_LONGEST_STOP, SC_ENDING_LONGEST_STOP);
            used = SC_ENDING_LONGEST_STOP;
        }
        window[used++] = bytes[i];
        for (size_t s = 0; s < ending->n_stops && may_stop && !stopped; s++) {
            size_t n = strlen(ending->stops[s]);
            stopped = n <= used && memcmp(window + used - n, ending->stops[s], n) == 0;
        }
    }
    size_t keep = used < longest - 1 ? used : longest - 1;
    memcpy(tail->bytes, window + used - keep, keep);
    tail->n = (uint8_t)keep;
    return stopped;
}

int sc_ending_extend(sc_ending_tail *tail, const sc_ending *ending, sc_source *source, uint32_t n_before, int32_t token)
{
    if (source->functions->is_end(source, token)) {
        return SC_FINISH_END;
    }
    const char *bytes;
    size_t length;
    source->functions->token_bytes(source, &bytes, &length, token);
    if (add_bytes(tail, ending, bytes, length)) {
        return SC_FINISH_STOP;
    }
    return n_before + 1 >= ending->max_tokens ? SC_FINISH_LENGTH : -1;
}

/* Place just before the first stop string in `text`, or `length`. */
static size_t find_stop(const sc_ending *ending, const char *text, size_t length)
{
    size_t found = length;
    for (size_t s = 0; s < ending->n_stops; s++) {
        size_t n = strlen(ending->stops[s]);
        for (size_t i = 0; i + n <= length && i < found; i++) {
            const char *first = memchr(text + i, ending->stops[s][0], length - n + 1 - i);
            i = first == NULL ? length : (size_t)(first - text);
            if (first != NULL && i < found && memcmp(first, ending->stops[s], n) == 0) {
                found = i;
            }
        }
    }
    return found;
}

semcal_status sc_ending_text(char **text, size_t *length, const sc_ending *ending, sc_source *source,
                             const int32_t *ids, size_t n, int finish, semcal_error *error)
{
    size_t n_shown = finish == SC_FINISH_END && n > 0 ? n - 1 : n;
    /* A source may say that every token ends the response (single-token questions): then the token is the text. */
    if (n == 1 && finish == SC_FINISH_END) {
        const char *bytes;
        size_t n_bytes;
        source->functions->token_bytes(source, &bytes, &n_bytes, ids[0]);
        n_shown = n_bytes > 0 ? 1 : 0;
    }
    semcal_status status = source->functions->decode(source, text, length, ids, n_shown, error);
    if (status == SEMCAL_OK && finish == SC_FINISH_STOP) {
        *length = find_stop(ending, *text, *length);
        (*text)[*length] = '\0';
    }
    return status;
}
