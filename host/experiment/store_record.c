/* SPDX-License-Identifier: Apache-2.0 */
/* Records: freeing, valid text, and what must hold before they are stored. */
#include "experiment/store_internal.h"
#include "sampling/ending.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts != NULL && i < n; i++) {
        free(texts[i]);
    }
    free(texts);
}

void sc_store_record_free(sc_store_record *record)
{
    free(record->id);
    free(record->question);
    free(record->prompt);
    free(record->reference);
    free_texts(record->answers, record->n_answers);
    free_texts(record->law_label, record->n_law);
    free(record->law_probability);
    sc_tree_free(&record->tree);
    free(record->found_leaf);
    free(record->found_logprob);
    free(record->found_logprob_raw);
    free(record->found_finish);
    free(record->found_tail);
    free_texts(record->found_text, record->n_found);
    free(record->logits_node);
    free(record->logits_target);
    free(record->logits_sha256);
    *record = (sc_store_record)SC_STORE_RECORD_INIT;
}

char *sc_store_text(const char *bytes, size_t length, semcal_error *error)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    char *text = sc_memory_alloc(3 * length + 1, 1, error);
    if (text == NULL) {
        return NULL;
    }
    size_t used = 0, at = 0;
    while (at < length) {
        utf8proc_int32_t codepoint = 0;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)bytes + at, (utf8proc_ssize_t)(length - at), &codepoint);
        if (n > 0 && codepoint != 0) {
            memcpy(text + used, bytes + at, (size_t)n);
            used += (size_t)n;
            at += (size_t)n;
        } else {
            memcpy(text + used, replacement, 3);
            used += 3;
            at++;
        }
    }
    text[used] = '\0';
    return text;
}

/* How many bytes from the first on are ASCII other than NUL, up to seven fewer than there are. */
static size_t plain_bytes(const char *text, size_t length)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t at = 0;
    for (uint64_t eight; at + sizeof eight <= length; at += sizeof eight) {
        memcpy(&eight, text + at, sizeof eight);
        if (((eight | (eight - ones)) & (ones << 7)) != 0) { /* a byte above 0x7F, or one below 1 that borrows */
            break;
        }
    }
    return at;
}

/* Replaces *text, of *length bytes, by its valid form; most texts are valid already. */
static semcal_status make_valid(char **text, size_t *length, semcal_error *error)
{
    bool valid = *text != NULL;
    for (size_t at = valid ? plain_bytes(*text, *length) : 0; valid && at < *length;) {
        utf8proc_int32_t codepoint;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)*text + at, (utf8proc_ssize_t)(*length - at), &codepoint);
        valid = n > 0 && codepoint != 0;
        at += valid ? (size_t)n : 0;
    }
    if (valid && (*text)[*length] == '\0') {
        return SEMCAL_OK;
    }
    char *made = sc_store_text(*text != NULL ? *text : "", *text != NULL ? *length : 0, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    free(*text);
    *text = made;
    *length = strlen(made);
    return SEMCAL_OK;
}

static semcal_status make_text_valid(char **text, semcal_error *error)
{
    size_t length = *text != NULL ? strlen(*text) : 0;
    return make_valid(text, &length, error);
}

static semcal_status make_all_valid(char **texts, size_t n, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < n && status == SEMCAL_OK; i++) {
        status = make_text_valid(&texts[i], error);
    }
    return status;
}

static semcal_status make_texts_valid(sc_store_record *record, semcal_error *error)
{
    char **const single[] = {&record->id, &record->question, &record->prompt, &record->reference};
    semcal_status status = SEMCAL_OK;
    for (size_t i = 0; i < 4 && status == SEMCAL_OK; i++) {
        status = make_text_valid(single[i], error);
    }
    sc_tree *tree = &record->tree;
    for (size_t j = 0; j < tree->n_draws && status == SEMCAL_OK; j++) {
        if (tree->text[j] != NULL && tree->text_length != NULL) {
            status = make_valid(&tree->text[j], &tree->text_length[j], error);
            continue;
        }
        status = make_text_valid(&tree->text[j], error);
        if (status == SEMCAL_OK && tree->text_length != NULL) {
            tree->text_length[j] = 0;
        }
    }
    if (status == SEMCAL_OK) {
        status = make_all_valid(record->answers, record->n_answers, error);
    }
    if (status == SEMCAL_OK) {
        status = make_all_valid(record->law_label, record->n_law, error);
    }
    return status == SEMCAL_OK ? make_all_valid(record->found_text, record->n_found, error) : status;
}

static semcal_status check_arrays(const sc_store_record *record, const sc_store_sizes *sizes, semcal_error *error)
{
    for (size_t i = 0; i < sc_store_n_variables; i++) {
        const sc_store_variable *v = &sc_store_variables[i];
        bool is_array = v->rows != SC_ROWS_QUESTION && v->role != SC_ROLE_OWNER && v->role != SC_ROLE_LOGITS &&
                        sc_store_is_kept(v, sizes);
        if (is_array && sc_store_rows_of(record, v->rows) > 0 && sc_store_values(record, v) == NULL) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s is missing", v->name);
        }
    }
    return SEMCAL_OK;
}

static semcal_status check_nodes(const sc_tree *tree, const sc_store_sizes *sizes, semcal_error *error)
{
    for (size_t i = 0; i < tree->n_nodes; i++) {
        bool good = i == 0 ? tree->parent[i] == -1 : tree->parent[i] >= 0 && (size_t)tree->parent[i] < i;
        if (!good) {
            return sc_error_set(error, SEMCAL_E_DATA, "node %zu has the parent %d", i, (int)tree->parent[i]);
        }
        if (!isfinite(tree->logprob[i]) || (sizes->raw && !isfinite(tree->logprob_raw[i]))) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "node %zu, token %d: log-probability is %g", i,
                                (int)tree->token[i], tree->logprob[i]);
        }
        if (isinf(tree->entropy[i]) || isinf(tree->log_normalizer[i]) || isinf(tree->rest_mass[i])) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "node %zu, token %d: infinite entropy or normalizer", i,
                                (int)tree->token[i]);
        }
    }
    return SEMCAL_OK;
}

static semcal_status check_ends(const int32_t *leaf, const double *logprob, const double *logprob_raw,
                                const uint8_t *finish, size_t n, const char *what, size_t n_nodes, semcal_error *error)
{
    for (size_t j = 0; j < n; j++) {
        if (leaf[j] < 0 || (size_t)leaf[j] >= n_nodes) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s %zu ends at node %d of %zu", what, j, (int)leaf[j], n_nodes);
        }
        if (!isfinite(logprob[j]) || (logprob_raw != NULL && !isfinite(logprob_raw[j]))) {
            return sc_error_set(error, SEMCAL_E_NUMERIC, "%s %zu: log-probability is %g", what, j, logprob[j]);
        }
        if (finish[j] > SC_FINISH_LENGTH) {
            return sc_error_set(error, SEMCAL_E_DATA, "%s %zu: unknown finish reason %d", what, j, (int)finish[j]);
        }
    }
    return SEMCAL_OK;
}

semcal_status sc_store_record_check(sc_store_record *record, const sc_store_sizes *sizes, semcal_error *error)
{
    const sc_tree *tree = &record->tree;
    semcal_status status = sizes->n_vocabulary > 0 ? sc_store_logits_list(record, error) : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = check_arrays(record, sizes, error);
    }
    if (status == SEMCAL_OK && tree->n_draws != sizes->n_draws) {
        status = sc_error_set(error, SEMCAL_E_DATA, "%zu draws where the cell has %zu", tree->n_draws, sizes->n_draws);
    }
    if (status == SEMCAL_OK && tree->n_top != sizes->n_top && tree->n_nodes > 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "top %zu where the cell has %zu", tree->n_top, sizes->n_top);
    }
    if (status == SEMCAL_OK) {
        status = check_nodes(tree, sizes, error);
    }
    if (status == SEMCAL_OK) {
        status = check_ends(tree->leaf, tree->draw_logprob, sizes->raw ? tree->draw_logprob_raw : NULL, tree->finish,
                            tree->n_draws, "draw", tree->n_nodes, error);
    }
    if (status == SEMCAL_OK) {
        status = check_ends(record->found_leaf, record->found_logprob, sizes->raw ? record->found_logprob_raw : NULL,
                            record->found_finish, record->n_found, "response", tree->n_nodes, error);
    }
    if (status == SEMCAL_OK && tree->logprob_reference > 0) {
        status =
            sc_error_set(error, SEMCAL_E_NUMERIC, "log-probability of the reference is %g", tree->logprob_reference);
    }
    for (size_t i = 0; i < record->n_law && status == SEMCAL_OK; i++) {
        if (!(record->law_probability[i] >= 0 && record->law_probability[i] <= 1)) {
            status = sc_error_set(error, SEMCAL_E_NUMERIC, "known law: probability %g", record->law_probability[i]);
        }
    }
    if (status == SEMCAL_OK) {
        status = make_texts_valid(record, error);
    }
    if (status != SEMCAL_OK) {
        sc_error_where(error, "question %" PRIu64 " (%s)", record->index, record->id != NULL ? record->id : "");
    }
    return status;
}
