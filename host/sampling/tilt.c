/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling/tilt.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "base/random.h"
#include "source/host_law.h"

#include <math.h>
#include <stdlib.h>

static semcal_status add_node(sc_tilt *tilt, size_t *capacity, int32_t *at, int32_t token, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&tilt->nodes, capacity, tilt->n_nodes + 1, sizeof *tilt->nodes, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    int32_t parent = *at, place = (int32_t)tilt->n_nodes++;
    sc_tilt_node *node = &tilt->nodes[place];
    *node = (sc_tilt_node){parent, token, -1, -1, -1, 0, 0};
    if (parent >= 0) {
        node->depth = tilt->nodes[parent].depth + 1;
        node->next_sibling = tilt->nodes[parent].first_child;
        tilt->nodes[parent].first_child = place;
    }
    *at = place;
    return SEMCAL_OK;
}

/* Every response's path; all prefixes of a finished enumeration that lead to a response are met on the way. */
static semcal_status build(sc_tilt *tilt, const sc_enumeration *e, semcal_error *error)
{
    size_t capacity = 0;
    int32_t root = -1;
    int32_t *node = sc_memory_alloc(e->n_prefixes, sizeof *node, error);
    bool *needed = sc_memory_alloc(e->n_prefixes, sizeof *needed, error);
    semcal_status status = node == NULL || needed == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < e->n_responses && status == SEMCAL_OK; i++) {
        for (int64_t at = e->responses[i].parent; at >= 0 && !needed[at]; at = e->prefixes[at].parent) {
            needed[at] = true;
        }
    }
    if (status == SEMCAL_OK) {
        status = add_node(tilt, &capacity, &root, -1, error);
    }
    for (size_t i = 1; i < e->n_prefixes && status == SEMCAL_OK; i++) {
        const sc_enumerated_prefix *p = &e->prefixes[i];
        if (needed[i]) {
            node[i] = node[p->parent];
            status = add_node(tilt, &capacity, &node[i], p->token, error);
        }
    }
    for (size_t i = 0; i < e->n_responses && status == SEMCAL_OK; i++) {
        const sc_enumerated *r = &e->responses[i];
        tilt->response_node[i] = node[r->parent];
        status = add_node(tilt, &capacity, &tilt->response_node[i], r->tokens[r->n_tokens - 1], error);
        if (status == SEMCAL_OK) {
            tilt->nodes[tilt->response_node[i]].response = (int32_t)i;
        }
    }
    free(node);
    free(needed);
    return status;
}

/* g by summing masses from the leaves up: children lie behind their parents. A token's probability is the ratio of the
 * masses of its two prefixes, which is the model's own where nothing is unexplored. */
static semcal_status fill_g(sc_tilt *tilt, const sc_enumeration *e, semcal_error *error)
{
    size_t k = tilt->n_classes;
    tilt->g = sc_memory_alloc(tilt->n_nodes * k, sizeof *tilt->g, error);
    if (tilt->g == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < tilt->n_responses; i++) {
        tilt->g[(size_t)tilt->response_node[i] * k + (size_t)tilt->response_class[i]] = exp(e->responses[i].logprob);
    }
    for (size_t i = tilt->n_nodes; i-- > 1;) {
        for (size_t j = 0; j < k; j++) {
            tilt->g[(size_t)tilt->nodes[i].parent * k + j] += tilt->g[i * k + j];
        }
    }
    double *mass = sc_memory_alloc(tilt->n_nodes, sizeof *mass, error);
    if (mass == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < tilt->n_nodes; i++) {
        for (size_t j = 0; j < k; j++) {
            mass[i] += tilt->g[i * k + j];
        }
        for (size_t j = 0; j < k && mass[i] > 0; j++) {
            tilt->g[i * k + j] /= mass[i];
        }
        tilt->nodes[i].logprob = i > 0 ? log(mass[i] / mass[tilt->nodes[i].parent]) : 0;
    }
    free(mass);
    return SEMCAL_OK;
}

semcal_status sc_tilt_make(sc_tilt *tilt, const sc_enumeration *e, const int32_t *response_class, size_t n_classes,
                           double most_unexplored, semcal_error *error)
{
    *tilt = (sc_tilt){.n_classes = n_classes, .n_responses = e->n_responses};
    if (e->unexplored > most_unexplored || e->n_responses == 0) {
        return sc_error_set(error, SEMCAL_E_NUMERIC,
                            "a tilt needs every response: %g of the mass is unexplored, at most %g is possible",
                            e->unexplored, most_unexplored);
    }
    tilt->response_class = sc_memory_alloc(e->n_responses, sizeof *tilt->response_class, error);
    tilt->response_node = sc_memory_alloc(e->n_responses, sizeof *tilt->response_node, error);
    semcal_status status = tilt->response_class == NULL || tilt->response_node == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < e->n_responses && status == SEMCAL_OK; i++) {
        tilt->response_class[i] = response_class[i];
        if (response_class[i] < 0 || (size_t)response_class[i] >= n_classes) {
            status = sc_error_set(error, SEMCAL_E_DATA, "response %zu: class %d is not in 0..%zu", i,
                                  (int)response_class[i], n_classes - 1);
        }
    }
    if (status == SEMCAL_OK) {
        status = build(tilt, e, error);
    }
    if (status == SEMCAL_OK) {
        status = fill_g(tilt, e, error);
    }
    if (status != SEMCAL_OK) {
        sc_tilt_free(tilt);
    }
    return status;
}

void sc_tilt_free(sc_tilt *tilt)
{
    free(tilt->nodes);
    free(tilt->g);
    free(tilt->response_class);
    free(tilt->response_node);
    *tilt = (sc_tilt){0};
}

void sc_tilt_path(const sc_tilt *tilt, int32_t *tokens, size_t node)
{
    int32_t at = (int32_t)node;
    for (size_t i = tilt->nodes[node].depth; i > 0; i--, at = tilt->nodes[at].parent) {
        tokens[i - 1] = tilt->nodes[at].token;
    }
}

/* log G of a node; -inf when its g is nothing but classes of weight 0. */
static double log_factor(const sc_tilt *tilt, size_t node, const double *tau)
{
    double most = -INFINITY, sum = 0;
    const double *g = tilt->g + node * tilt->n_classes;
    for (size_t k = 0; k < tilt->n_classes; k++) {
        most = g[k] > 0 && tau[k] > most ? tau[k] : most;
    }
    for (size_t k = 0; k < tilt->n_classes && most > -INFINITY; k++) {
        sum += g[k] > 0 ? g[k] * exp(tau[k] - most) : 0;
    }
    return most + log(sum);
}

void sc_tilt_reweighted(double *logprob, const sc_tilt *tilt, const double *tau)
{
    for (size_t i = 0; i < tilt->n_responses; i++) {
        sc_sum sum = {0, 0};
        for (int32_t at = tilt->response_node[i]; tilt->nodes[at].parent >= 0; at = tilt->nodes[at].parent) {
            sc_sum_add(&sum, tilt->nodes[at].logprob + log_factor(tilt, (size_t)at, tau) -
                                 log_factor(tilt, (size_t)tilt->nodes[at].parent, tau));
        }
        logprob[i] = sc_sum_value(&sum);
    }
}

void sc_tilt_closed_form(double *logprob, const sc_tilt *tilt, const double *tau)
{
    double whole = log_factor(tilt, 0, tau);
    for (size_t i = 0; i < tilt->n_responses; i++) {
        sc_sum sum = {0, 0};
        for (int32_t at = tilt->response_node[i]; at >= 0; at = tilt->nodes[at].parent) {
            sc_sum_add(&sum, tilt->nodes[at].logprob);
        }
        logprob[i] = sc_sum_value(&sum) + tau[tilt->response_class[i]] - whole;
    }
}

/* log sum over the possible next tokens of p G. */
static double log_total(const sc_tilt *tilt, size_t node, const double *tau)
{
    double total = -INFINITY;
    for (int32_t child = tilt->nodes[node].first_child; child >= 0; child = tilt->nodes[child].next_sibling) {
        total = sc_log_add_exp(total, tilt->nodes[child].logprob + log_factor(tilt, (size_t)child, tau));
    }
    return total;
}

void sc_tilt_law(double *logprob, double *worst_step, const sc_tilt *tilt, const double *tau)
{
    *worst_step = 0;
    for (size_t i = 0; i < tilt->n_nodes; i++) {
        if (tilt->nodes[i].first_child >= 0) {
            *worst_step = fmax(*worst_step, fabs(log_total(tilt, i, tau) - log_factor(tilt, i, tau)));
        }
    }
    for (size_t i = 0; i < tilt->n_responses; i++) {
        sc_sum sum = {0, 0};
        for (int32_t at = tilt->response_node[i]; tilt->nodes[at].parent >= 0; at = tilt->nodes[at].parent) {
            double total = log_total(tilt, (size_t)tilt->nodes[at].parent, tau);
            double own = tilt->nodes[at].logprob + log_factor(tilt, (size_t)at, tau);
            /* estimated g can say that nothing can follow: such a path is never begun */
            sc_sum_add(&sum, total > -INFINITY ? own - total : -INFINITY);
        }
        logprob[i] = isnan(sc_sum_value(&sum)) ? -INFINITY : sc_sum_value(&sum);
    }
}

semcal_status sc_tilt_draw(size_t *response, const sc_tilt *tilt, const double *tau, uint64_t key, uint64_t item,
                           uint32_t draw, semcal_error *error)
{
    double *weight = sc_memory_alloc(tilt->n_nodes, sizeof *weight, error);
    int32_t *child_of = sc_memory_alloc(tilt->n_nodes, sizeof *child_of, error);
    semcal_status status = weight == NULL || child_of == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    int32_t at = 0;
    for (uint32_t step = 0; status == SEMCAL_OK && tilt->nodes[at].response < 0; step++) {
        double total = log_total(tilt, (size_t)at, tau);
        if (total == -INFINITY) {
            status = sc_error_set(error, SEMCAL_E_NUMERIC, "tilt: no token can follow prefix %d", (int)at);
            break;
        }
        size_t n = 0;
        for (int32_t child = tilt->nodes[at].first_child; child >= 0; child = tilt->nodes[child].next_sibling) {
            weight[n] = exp(tilt->nodes[child].logprob + log_factor(tilt, (size_t)child, tau) - total);
            child_of[n++] = child;
        }
        at = child_of[sc_host_law_draw(weight, n, sc_random_uniform(key, item, draw, step))];
    }
    if (status == SEMCAL_OK) {
        *response = (size_t)tilt->nodes[at].response;
    }
    free(weight);
    free(child_of);
    return status;
}
