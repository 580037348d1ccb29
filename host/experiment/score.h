/* SPDX-License-Identifier: Apache-2.0 */
/* Teacher forcing: log-probabilities of given tokens under a source. */
#ifndef SC_EXPERIMENT_SCORE_H
#define SC_EXPERIMENT_SCORE_H

#include "source/source.h"

/* Sequence s is tokens[first[s]] .. tokens[first[s+1]-1], at least one token. logprobs ([first[n_sequences]]) receives,
 * at each token's own place, its natural log-probability after the tokens before it at temperature 1; the places of
 * first tokens are not written. All sequences are evaluated in one call; none depends on another.
 * SEMCAL_E_DATA: a token that is not in the vocabulary, a sequence that is empty or longer than the context. */
semcal_status sc_score_tokens(double *logprobs, sc_source *source, const int32_t *tokens, const size_t *first,
                              size_t n_sequences, semcal_error *error);

#endif
