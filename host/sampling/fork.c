/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/fork.h"

#include "base/memory.h"
#include "base/random.h"
#include "sampling/enumerate.h"
#include "sampling/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct forker {
    sc_fork_law *laws;
    const sc_fork_options *options;
    const sc_fork_point *points;
    size_t n, next;
} forker;

/* A fork's numbers are named by the question and the prefix: the order of points does not matter. */
static semcal_status point_item(uint64_t *item, const sc_fork_point *point, semcal_error *error)
{
    size_t n = 8 + 4 * point->n_given, at = 0;
    unsigned char *bytes = sc_memory_alloc(n, 1, error);
    if (bytes == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (; at < 8; at++) {
        bytes[at] = (unsigned char)(point->item >> (8 * at));
    }
    for (size_t i = 0; i < point->n_given; i++) {
        uint32_t token = (uint32_t)point->tokens[point->n_tokens - point->n_given + i];
        for (unsigned k = 0; k < 4; k++) {
            bytes[at++] = (unsigned char)(token >> (8 * k));
        }
    }
    *item = sc_hash64(bytes, n);
    free(bytes);
    return SEMCAL_OK;
}

/* ---- by enumeration ---- */

static semcal_status take_enumeration(size_t number, sc_enumeration *e, void *payload, semcal_error *error)
{
    sc_fork_law *law = &((forker *)payload)->laws[number];
    semcal_status status = SEMCAL_OK;
    law->n_laws += e->n_laws;
    if (e->finished) {
        law->responses = sc_memory_alloc(e->n_responses, sizeof *law->responses, error);
        status = law->responses == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
        law->exact = status == SEMCAL_OK;
        law->unexplored = e->unexplored;
        for (size_t k = 0; k < e->n_responses && status == SEMCAL_OK; k++) {
            law->responses[law->n_responses++] =
                (sc_fork_response){exp(e->responses[k].logprob), e->responses[k].finish, e->responses[k].text,
                                   e->responses[k].text_length};
            e->responses[k].text = NULL;
        }
    }
    sc_enumeration_free(e);
    return status;
}

static bool is_enumeration_stopped(void *payload)
{
    const sc_fork_options *options = ((forker *)payload)->options;
    return options->stopped != NULL && options->stopped(options->payload);
}

static semcal_status enumerate_points(forker *f, sc_source *source, semcal_error *error)
{
    static const sc_enumerate_callbacks callbacks = {take_enumeration, is_enumeration_stopped};
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.ending = f->options->ending;
    options.temperature = f->options->temperature;
    options.epsilon = f->options->epsilon;
    options.max_laws = f->options->max_laws;
    options.n_top = f->options->n_top;
    sc_enumerate_prompt *prompts = sc_memory_alloc(f->n, sizeof *prompts, error);
    if (prompts == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < f->n; i++) {
        prompts[i] = (sc_enumerate_prompt){f->points[i].tokens, f->points[i].n_tokens, f->points[i].n_given};
    }
    semcal_status status = sc_enumerate_many(source, &options, prompts, f->n, &callbacks, f, error);
    free(prompts);
    return status;
}

/* ---- by forks ---- */

static semcal_status next_point(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    forker *f = payload;
    while (f->next < f->n && f->laws[f->next].exact) {
        f->next++;
    }
    *more = f->next < f->n;
    if (!*more) {
        return SEMCAL_OK;
    }
    const sc_fork_point *point = &f->points[f->next];
    *question = (sc_generate_question){.prompt = point->tokens,
                                       .n_prompt = point->n_tokens,
                                       .n_given = point->n_given,
                                       .tag = (void *)(uintptr_t)f->next};
    f->next++;
    return point_item(&question->item, point, error);
}

static semcal_status take_forks(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    forker *f = payload;
    sc_fork_law *law = &f->laws[(uintptr_t)question->tag];
    law->n_laws += tree->n_laws;
    law->responses = sc_memory_alloc(tree->n_draws, sizeof *law->responses, error);
    int32_t *place = sc_memory_alloc(tree->n_nodes, sizeof *place, error); /* of a leaf, from 1 */
    semcal_status status = law->responses == NULL || place == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t j = 0; j < tree->n_draws && status == SEMCAL_OK; j++) {
        int32_t *at = &place[tree->leaf[j]];
        if (*at == 0) {
            law->responses[law->n_responses] =
                (sc_fork_response){0, tree->finish[j], tree->text[j], tree->text_length[j]};
            tree->text[j] = NULL;
            *at = (int32_t)++law->n_responses;
        }
        law->responses[*at - 1].weight += 1;
    }
    for (size_t k = 0; k < law->n_responses; k++) {
        law->responses[k].weight /= (double)tree->n_draws;
    }
    free(place);
    sc_tree_free(tree);
    return status;
}

static bool is_stopped(const sc_generate_counters *counters, void *payload)
{
    (void)counters;
    const sc_fork_options *options = ((forker *)payload)->options;
    return options->stopped != NULL && options->stopped(options->payload);
}

semcal_status sc_fork_many(sc_fork_law *laws, sc_source *source, const sc_fork_options *options,
                           const sc_fork_point *points, size_t n, semcal_error *error)
{
    forker f = {.laws = laws, .options = options, .points = points, .n = n};
    size_t longest = 0;
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n; i++) {
        laws[i] = (sc_fork_law){0};
    }
    if (options->n_forks < 2) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "forks: at least 2 are needed, got %u", options->n_forks);
    }
    for (size_t i = 0; i < n; i++) {
        longest = points[i].n_tokens > longest ? points[i].n_tokens : longest;
    }
    if (options->max_laws > 0) {
        status = enumerate_points(&f, source, error);
    }
    if (status == SEMCAL_OK) {
        sc_generate_options generate = SC_GENERATE_OPTIONS_INIT;
        generate.key = options->key;
        generate.n_draws = options->n_forks;
        generate.ending = options->ending;
        generate.temperature = options->temperature;
        generate.batch_nodes = options->batch_nodes;
        generate.max_prompt = longest;
        const sc_generate_callbacks callbacks = {next_point, take_forks, is_stopped};
        status = sc_generate(source, &generate, &callbacks, &f, error);
    }
    if (status != SEMCAL_OK) {
        for (size_t i = 0; i < n; i++) {
            sc_fork_law_free(&laws[i]);
        }
    }
    return status;
}

void sc_fork_law_free(sc_fork_law *law)
{
    for (size_t i = 0; i < law->n_responses; i++) {
        free(law->responses[i].text);
    }
    free(law->responses);
    *law = (sc_fork_law){0};
}

void sc_fork_confidence(double *g, double *spread, const sc_fork_law *law, double inside, uint32_t n_forks)
{
    double r = n_forks;
    *g = law->exact ? inside + law->unexplored / 2 : inside;
    *g = *g < 0 ? 0 : *g > 1 ? 1 : *g;
    *spread = *g * (1 - *g) * (law->exact ? 1 : r / (r - 1));
}
