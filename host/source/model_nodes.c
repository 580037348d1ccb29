/* SPDX-License-Identifier: Apache-2.0 */
#include "source/model_nodes.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static size_t pages_of(int32_t length)
{
    return ((size_t)length + SC_PAGE - 1) / SC_PAGE;
}

static void drop_pages(sc_source_model *s, sc_model_node *node)
{
    for (size_t i = 0; node->pages != NULL && i < pages_of(node->length); i++) {
        if (node->pages[i] >= 0) {
            sc_pages_drop(s->pages, node->pages[i]);
        }
    }
    free(node->pages);
    node->pages = NULL;
}

void sc_model_node_drop(sc_source_model *s, int32_t id)
{
    while (id >= 0 && --s->nodes[id].holders == 0) {
        sc_model_node *node = &s->nodes[id];
        const int32_t parent = node->parent;
        drop_pages(s, node);
        free(node->prompt);
        *node = (sc_model_node){.parent = -1};
        s->free_nodes[s->n_free++] = id; /* room was made when the node was */
        id = parent;
    }
}

/* ---- rows ---- */

/* Where the node's page list stands in this build. */
static semcal_status list_pages(sc_source_model *s, const sc_model_node *node, int32_t *table, semcal_error *error)
{
    sc_model_build *b = &s->build;
    const size_t n = pages_of(node->length);
    semcal_status status = sc_memory_grow(&b->pages, &b->pages_capacity, b->n_pages + n, sizeof *b->pages, error);
    if (status == SEMCAL_OK) {
        memcpy(b->pages + b->n_pages, node->pages, n * sizeof *node->pages);
        *table = (int32_t)b->n_pages;
        b->n_pages += n;
    }
    return status;
}

static void note_write(sc_source_model *s, int32_t page, uint8_t slot)
{
    if (s->written_in[page] != s->build.number || slot < s->written_from[page]) {
        s->written_from[page] = slot;
    }
    s->written_in[page] = s->build.number;
}

/* Rows for positions `first` .. length - 1 of a placed node; builds that get full are run. */
static semcal_status add_rows(sc_source_model *s, const sc_model_node *node, int32_t first,
                              const sc_law_request *request, sc_law_result *result, semcal_error *error)
{
    sc_model_build *b = &s->build;
    int32_t table = -1;
    for (int32_t t = first; t < node->length; t++) {
        semcal_status status = SEMCAL_OK;
        if (b->n_rows == sc_model_max_rows(s->model)) {
            status = sc_model_build_run(s, request, result, error);
            table = -1;
        }
        if (status == SEMCAL_OK && table < 0) {
            status = list_pages(s, node, &table, error);
        }
        if (status != SEMCAL_OK) {
            return status;
        }
        b->token[b->n_rows] = node->prompt != NULL ? node->prompt[t] : node->token;
        b->position[b->n_rows] = t;
        b->table[b->n_rows] = table;
        b->n_rows++;
        note_write(s, node->pages[t / SC_PAGE], (uint8_t)(t % SC_PAGE));
    }
    return SEMCAL_OK;
}

/* ---- placing ---- */

/* A page list with no pages yet. */
static semcal_status new_list(sc_model_node *node, semcal_error *error)
{
    const size_t n = pages_of(node->length);
    node->pages = sc_memory_alloc(n, sizeof *node->pages, error);
    if (node->pages == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        node->pages[i] = -1;
    }
    return SEMCAL_OK;
}

/* Pages of a prompt: known ones as far as its beginning is known, new ones for the rest. The last token is always
 * computed, as its logits are wanted. */
static semcal_status place_prompt(sc_source_model *s, sc_model_node *node, int32_t *first, semcal_error *error)
{
    const size_t n = pages_of(node->length);
    size_t known = 0;
    semcal_status status = new_list(node, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    while (s->sharing && (known + 1) * SC_PAGE < (size_t)node->length) {
        const int32_t before = known == 0 ? -1 : node->pages[known - 1];
        const int32_t page = sc_pages_find(s->pages, before, node->prompt + known * SC_PAGE);
        if (page < 0) {
            break;
        }
        node->pages[known++] = page;
    }
    for (size_t i = known; i < n; i++) {
        int32_t page;
        if ((status = sc_pages_take(s->pages, &page, error)) != SEMCAL_OK) {
            return status;
        }
        node->pages[i] = page;
        const size_t filled = (size_t)node->length - i * SC_PAGE;
        sc_pages_set_claimed(s->pages, page, filled < SC_PAGE ? (uint32_t)filled : SC_PAGE);
        if (s->sharing && filled >= SC_PAGE) {
            sc_pages_index(s->pages, page, i == 0 ? -1 : node->pages[i - 1], node->prompt + i * SC_PAGE);
        }
    }
    *first = (int32_t)(known * SC_PAGE);
    return SEMCAL_OK;
}

static semcal_status add_copy(sc_model_build *b, int32_t to, int32_t from, semcal_error *error)
{
    semcal_status status = sc_memory_grow(&b->copy, &b->copy_capacity, 2 * (b->n_copies + 1), sizeof *b->copy, error);
    if (status == SEMCAL_OK) {
        b->copy[2 * b->n_copies] = to;
        b->copy[2 * b->n_copies++ + 1] = from;
    }
    return status;
}

/* Pages of parent plus one token: the parent's, the last one copied when another child took its next slot. */
static semcal_status place_child(sc_source_model *s, sc_model_node *node, const sc_law_request *request,
                                 sc_law_result *result, semcal_error *error)
{
    const sc_model_node *parent = &s->nodes[node->parent];
    const size_t n = pages_of(node->length), shared = pages_of(parent->length);
    const uint32_t slot = (uint32_t)(node->length - 1) % SC_PAGE;
    semcal_status status = new_list(node, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    for (size_t i = 0; i < shared; i++) {
        node->pages[i] = parent->pages[i];
        sc_pages_hold(s->pages, node->pages[i]);
    }
    int32_t *last = &node->pages[n - 1], fresh;
    if (*last >= 0 && sc_pages_claim(s->pages, *last, slot)) {
        return SEMCAL_OK;
    }
    if (*last >= 0 && s->build.n_rows > 0 && s->written_in[*last] == s->build.number && s->written_from[*last] < slot) {
        /* What is to be copied is not computed yet. A sibling's own slot does not count: it is written over. */
        status = sc_model_build_run(s, request, result, error);
    }
    if (status != SEMCAL_OK || (status = sc_pages_take(s->pages, &fresh, error)) != SEMCAL_OK) {
        return status;
    }
    if (*last >= 0) {
        status = add_copy(&s->build, fresh, *last, error);
        sc_pages_drop(s->pages, *last); /* the parent holds it until the build has run */
    }
    *last = fresh;
    sc_pages_set_claimed(s->pages, fresh, slot + 1);
    return status;
}

static semcal_status place(sc_source_model *s, int32_t id, const sc_law_request *request, sc_law_result *result,
                           semcal_error *error)
{
    sc_model_node *node = &s->nodes[id];
    int32_t first = node->length - 1;
    semcal_status status = sc_memory_grow(&s->placed, &s->placed_capacity, s->n_placed + 1, sizeof *s->placed, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    s->placed[s->n_placed++] = id;
    node->placed = true;
    status = node->parent < 0 ? place_prompt(s, node, &first, error) : place_child(s, node, request, result, error);
    return status != SEMCAL_OK ? status : add_rows(s, node, first, request, result, error);
}

/* ---- the build ---- */

semcal_status sc_model_build_add(sc_source_model *s, size_t i, const sc_law_request *request, sc_law_result *result,
                                 semcal_error *error)
{
    sc_model_build *b = &s->build;
    const int32_t id = (int32_t)request->node[i];
    semcal_status status = SEMCAL_OK;
    if (b->n_outputs == sc_model_max_outputs(s->model) &&
        (status = sc_model_build_run(s, request, result, error)) != SEMCAL_OK) {
        return status;
    }
    size_t depth = 0;
    for (int32_t at = id; at >= 0 && !s->nodes[at].placed; at = s->nodes[at].parent) {
        if ((status = sc_memory_grow(&s->path, &s->path_capacity, depth + 1, sizeof *s->path, error)) != SEMCAL_OK) {
            return status;
        }
        s->path[depth++] = at;
    }
    const bool again = depth == 0; /* computed before: its last row once more gives the same bits */
    while (depth > 0 && status == SEMCAL_OK) {
        status = place(s, s->path[--depth], request, result, error);
    }
    if (status == SEMCAL_OK && again) {
        status = add_rows(s, &s->nodes[id], s->nodes[id].length - 1, request, result, error);
    }
    if (status != SEMCAL_OK) {
        return status;
    }
    if (b->n_outputs == 0) {
        b->first_request = i;
    }
    b->output[b->n_outputs++] = (int32_t)(b->n_rows - 1);
    return SEMCAL_OK;
}

/* How many bytes of logits are read off the device at once. */
enum { LOGITS_BYTES = 4 << 20 };

/* Keeps the logits of request rows first .. first + n - 1 as they lie on the device. */
static semcal_status keep_logits(sc_source_model *s, const sc_law_request *request, sc_law_result *result, size_t first,
                                 size_t n, semcal_error *error)
{
    const size_t V = sc_model_shape(s->model)->n_vocabulary, row = V * sizeof *s->logits;
    if (s->logits == NULL) {
        s->n_logits_rows = row < LOGITS_BYTES ? LOGITS_BYTES / row : 1;
        s->logits = sc_memory_alloc(s->n_logits_rows * V, sizeof *s->logits, error);
    }
    semcal_status status = s->logits == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        const size_t k = i % s->n_logits_rows;
        if (k == 0) {
            const size_t rows = n - i < s->n_logits_rows ? n - i : s->n_logits_rows;
            status = sc_buffer_read(sc_model_logits(s->model), i * row, s->logits, rows * row, error);
        }
        if (status == SEMCAL_OK) {
            status = sc_source_keep_logits(request, result, first + i, s->logits + k * V, s->base.phases, error);
        }
    }
    return status;
}

/* The laws of request rows first .. first + n - 1 off the logits. */
static semcal_status read_laws(sc_source_model *s, const sc_law_request *request, sc_law_result *result, size_t first,
                               size_t n, semcal_error *error)
{
    const size_t V = sc_model_shape(s->model)->n_vocabulary, draw = request->first_draw[first];
    for (size_t i = 0; i <= n; i++) {
        s->first_draw[i] = request->first_draw[first + i] - draw;
    }
#define FROM(pointer, offset) ((pointer) == NULL ? NULL : (pointer) + (offset))
    const sc_rows_request rows = {.temperature = request->temperature,
                                  .first_draw = s->first_draw,
                                  .uniform = FROM(request->uniform, draw),
                                  .target = FROM(request->target, first),
                                  .n_top = request->n_top};
    sc_rows_result out = {.log_normalizer = FROM(result->log_normalizer, first),
                          .entropy = FROM(result->entropy, first),
                          .target_logprob = FROM(result->target_logprob, first),
                          .target_logprob_raw = FROM(result->target_logprob_raw, first),
                          .top_token = FROM(result->top_token, first * request->n_top),
                          .top_logprob = FROM(result->top_logprob, first * request->n_top),
                          .token = FROM(result->token, draw),
                          .logprob = FROM(result->logprob, draw),
                          .logprob_raw = FROM(result->logprob_raw, draw),
                          .first_row = SC_ROWS_UNNAMED};
#undef FROM
    const sc_rows_input input = {sc_model_logits(s->model), SC_ROWS_F32, n, V, V, 0};
    semcal_status status = sc_rows_evaluate(s->rows, &input, &rows, &out, error);
    if (status == SEMCAL_E_NUMERIC && out.bad_row < n) {
        const sc_model_node *node = &s->nodes[request->node[first + out.bad_row]];
        s->base.failed = first + out.bad_row;
        sc_error_where(error, "law after %d tokens, the last of them %d", (int)node->length, (int)node->token);
    }
    return status == SEMCAL_OK && request->spill != NULL ? keep_logits(s, request, result, first, n, error) : status;
}

semcal_status sc_model_build_run(sc_source_model *s, const sc_law_request *request, sc_law_result *result,
                                 semcal_error *error)
{
    sc_model_build *b = &s->build;
    if (b->n_rows == 0) {
        return SEMCAL_OK;
    }
    const sc_forward forward = {b->n_rows,  b->token,  b->position,  b->table, b->pages,
                                b->n_pages, b->output, b->n_outputs, b->copy,  b->n_copies};
    semcal_status status = sc_model_forward(s->model, &forward, error);
    if (status == SEMCAL_OK && b->n_outputs > 0) {
        status = read_laws(s, request, result, b->first_request, b->n_outputs, error);
    }
    s->base.facts.n_forward_tokens += b->n_rows;
    b->n_rows = b->n_outputs = b->n_pages = b->n_copies = 0;
    b->number++;
    return status;
}

void sc_model_build_commit(sc_source_model *s)
{
    for (size_t i = 0; i < s->n_placed; i++) {
        sc_model_node *node = &s->nodes[s->placed[i]];
        const int32_t parent = node->parent;
        node->parent = -1;
        free(node->prompt);
        node->prompt = NULL;
        sc_model_node_drop(s, parent);
    }
    s->n_placed = 0;
}

void sc_model_build_undo(sc_source_model *s)
{
    for (size_t i = s->n_placed; i > 0; i--) {
        sc_model_node *node = &s->nodes[s->placed[i - 1]];
        for (size_t p = 0; node->prompt != NULL && node->pages != NULL && p < pages_of(node->length); p++) {
            if (node->pages[p] >= 0) {
                sc_pages_forget(s->pages, node->pages[p]);
            }
        }
        drop_pages(s, node);
        node->placed = false;
    }
    s->n_placed = 0;
    s->build.n_rows = s->build.n_outputs = s->build.n_pages = s->build.n_copies = 0;
    s->build.number++;
}
