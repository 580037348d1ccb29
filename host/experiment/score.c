/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/score.h"

#include "base/memory.h"

#include <stdlib.h>

static semcal_status check(const sc_source *source, const int32_t *tokens, const size_t *first, size_t n_sequences,
                           semcal_error *error)
{
    for (size_t s = 0; s < n_sequences; s++) {
        const size_t length = first[s + 1] - first[s];
        if (length == 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "sequence %zu: no tokens to score", s);
        }
        if (source->facts.n_context > 0 && length > (size_t)source->facts.n_context) {
            return sc_error_set(error, SEMCAL_E_DATA, "sequence %zu: %zu tokens are longer than the context of %d", s,
                                length, (int)source->facts.n_context);
        }
        for (size_t i = first[s]; i < first[s + 1]; i++) {
            if (tokens[i] < 0 || tokens[i] >= source->facts.n_vocabulary) {
                return sc_error_set(error, SEMCAL_E_DATA, "sequence %zu: element %zu (%d) is no token id below %d", s,
                                    i - first[s], (int)tokens[i], (int)source->facts.n_vocabulary);
            }
        }
    }
    return SEMCAL_OK;
}

semcal_status sc_score_tokens(double *logprobs, sc_source *source, const int32_t *tokens, const size_t *first,
                              size_t n_sequences, semcal_error *error)
{
    semcal_status status = check(source, tokens, first, n_sequences, error);
    if (status != SEMCAL_OK || n_sequences == 0) {
        return status;
    }
    const size_t n = first[n_sequences] - n_sequences; /* laws asked for: after every token but a sequence's last */
    sc_node *nodes = sc_memory_alloc(n, sizeof *nodes, error);
    int32_t *targets = sc_memory_alloc(n, sizeof *targets, error);
    size_t *place = sc_memory_alloc(n, sizeof *place, error),
           *no_draws = sc_memory_alloc(n + 1, sizeof *no_draws, error);
    double *numbers = sc_memory_alloc(3 * n, sizeof *numbers, error);
    const sc_source_functions *f = source->functions;
    size_t made = 0;
    if (nodes == NULL || targets == NULL || place == NULL || no_draws == NULL || numbers == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    for (size_t s = 0; s < n_sequences && status == SEMCAL_OK; s++) {
        for (size_t i = first[s]; i + 1 < first[s + 1] && status == SEMCAL_OK; i++) {
            status = i == first[s] ? f->open(source, &nodes[made], 1, (const size_t[]){0, 1}, &tokens[i], error)
                                   : f->extend(source, &nodes[made], 1, &nodes[made - 1], &tokens[i], error);
            targets[made] = tokens[i + 1];
            place[made] = i + 1;
            made += status == SEMCAL_OK;
        }
    }
    if (status == SEMCAL_OK && n > 0) {
        const sc_law_request request = {
            .n_nodes = n, .node = nodes, .first_draw = no_draws, .target = targets, .temperature = 1.0};
        sc_law_result result = {.log_normalizer = numbers, .entropy = numbers + n, .target_logprob = numbers + 2 * n};
        status = f->laws(source, &request, &result, error);
        for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
            logprobs[place[i]] = result.target_logprob[i];
        }
    }
done:
    if (nodes != NULL) {
        f->release(source, made, nodes);
    }
    free(nodes);
    free(targets);
    free(place);
    free(no_draws);
    free(numbers);
    return status;
}
