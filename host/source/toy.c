/* SPDX-License-Identifier: Apache-2.0 */
#include "source/toy.h"

#include "base/memory.h"
#include "source/host_law.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const class_words[SC_TOY_N_CLASSES] = {
    "alfa",   "bravo", "charlie", "delta",  "echo",     "foxtrot", "golf",   "hotel",  "india",
    "juliet", "kilo",  "lima",    "mike",   "november", "oscar",   "papa",   "quebec", "romeo",
    "sierra", "tango", "uniform", "victor", "whiskey",  "xray",    "yankee", "zulu"};
static const char *const filler_words[SC_TOY_N_FILLERS] = {"well", "so", "hm", "er"};
static const double filler_probability[SC_TOY_N_FILLERS] = {.4, .3, .2, .1};

/* A node is a law and how many tokens have been spoken; that is all the future depends on. */
typedef struct toy_node {
    sc_toy_law law;
    int spoken;
    bool ended;
    int64_t next_free;
} toy_node;

typedef struct toy_source {
    sc_source base;
    toy_node *nodes;
    size_t n_nodes, capacity;
    int64_t free_list; /* -1: none */
    char words[SC_TOY_VOCABULARY][12];
} toy_source;

const char *sc_toy_class_word(int k)
{
    return class_words[k];
}

static semcal_status parse_field(sc_toy_law *law, const char *field, semcal_error *error)
{
    char name[32];
    size_t n = strcspn(field, "=");
    if (field[n] != '=' || n == 0 || n >= sizeof name) {
        return sc_error_set(error, SEMCAL_E_DATA, "toy law: '%s' is not name=value", field);
    }
    memcpy(name, field, n);
    name[n] = '\0';
    const char *value = field + n + 1;
    if (strcmp(name, "decide") == 0) {
        if (strcmp(value, "first") != 0 && strcmp(value, "last") != 0) {
            return sc_error_set(error, SEMCAL_E_DATA, "toy law: decide is 'first' or 'last', got '%s'", value);
        }
        law->decides_first = value[0] == 'f';
        return SEMCAL_OK;
    }
    char *end;
    double number = strtod(value, &end);
    if (*value == '\0' || *end != '\0' || !isfinite(number) || number < 0) {
        return sc_error_set(error, SEMCAL_E_DATA, "toy law: %s needs a number >= 0, got '%s'", name, value);
    }
    if (strcmp(name, "fillers") == 0) {
        if (number > 64 || number != floor(number)) {
            return sc_error_set(error, SEMCAL_E_DATA, "toy law: fillers is an integer from 0 to 64, got '%s'", value);
        }
        law->n_fillers = (int)number;
        return SEMCAL_OK;
    }
    for (int k = 0; k < SC_TOY_N_CLASSES; k++) {
        if (strcmp(name, class_words[k]) == 0) {
            law->pi[k] = number;
            return SEMCAL_OK;
        }
    }
    return sc_error_set(error, SEMCAL_E_DATA, "toy law: unknown word '%s'; classes are alfa, bravo, ... zulu", name);
}

/* Just after the last "law:" that begins a line or a word, or NULL. */
static const char *find_law(const char *text)
{
    const char *found = NULL;
    for (const char *at = strstr(text, "law:"); at != NULL; at = strstr(at + 1, "law:")) {
        if (at == text || at[-1] == ' ' || at[-1] == '\n') {
            found = at + 4;
        }
    }
    return found;
}

semcal_status sc_toy_law_parse(sc_toy_law *law, const char *text, size_t length, semcal_error *error)
{
    *law = (sc_toy_law){.n_fillers = 0};
    char *copy = sc_memory_strndup(text, length, error);
    if (copy == NULL) {
        return SEMCAL_E_MEMORY;
    }
    semcal_status status = SEMCAL_OK;
    char *line = NULL, *rest = NULL;
    const char *start = find_law(copy);
    if (start == NULL) {
        status = sc_error_set(error, SEMCAL_E_DATA, "the toy source needs a 'law: word=weight ...' in the question");
        goto done;
    }
    line = sc_memory_strndup(start, strcspn(start, "\n"), error);
    if (line == NULL) {
        status = SEMCAL_E_MEMORY;
        goto done;
    }
    for (char *field = strtok_r(line, " \t\r", &rest); field != NULL && status == SEMCAL_OK;
         field = strtok_r(NULL, " \t\r", &rest)) {
        status = parse_field(law, field, error);
    }
    double total = 0;
    for (int k = 0; k < SC_TOY_N_CLASSES; k++) {
        total += law->pi[k];
    }
    if (status == SEMCAL_OK && total <= 0) {
        status = sc_error_set(error, SEMCAL_E_DATA, "toy law: no word has weight");
    }
    for (int k = 0; k < SC_TOY_N_CLASSES && status == SEMCAL_OK; k++) {
        law->pi[k] /= total;
    }
done:
    free(line);
    free(copy);
    return status;
}

static sc_node new_node(toy_source *toy, semcal_error *error)
{
    if (toy->free_list >= 0) {
        sc_node node = toy->free_list;
        toy->free_list = toy->nodes[node].next_free;
        return node;
    }
    if (sc_memory_grow(&toy->nodes, &toy->capacity, toy->n_nodes + 1, sizeof *toy->nodes, error) != SEMCAL_OK) {
        return -1;
    }
    return (sc_node)toy->n_nodes++;
}

static void toy_release(sc_source *source, size_t n, const sc_node *nodes)
{
    toy_source *toy = (toy_source *)source;
    for (size_t i = 0; i < n; i++) {
        toy->nodes[nodes[i]].next_free = toy->free_list;
        toy->free_list = nodes[i];
    }
}

static semcal_status advance(toy_node *node, int32_t token, semcal_error *error)
{
    if (node->ended) {
        return sc_error_set(error, SEMCAL_E_DATA, "toy: nothing follows the end token");
    }
    if (token < 0 || token >= SC_TOY_BYTE) {
        return sc_error_set(error, SEMCAL_E_DATA, "toy: token %d is not a word", (int)token);
    }
    node->ended = token == SC_TOY_END;
    node->spoken++;
    return SEMCAL_OK;
}

static semcal_status toy_open(sc_source *source, sc_node *roots, size_t n, const size_t *first,
                              const int32_t *token_ids, semcal_error *error)
{
    toy_source *toy = (toy_source *)source;
    semcal_status status = SEMCAL_OK;
    size_t made = 0;
    for (; made < n && status == SEMCAL_OK; made++) {
        /* Prompt bytes up to the first word token; words after it are already spoken. */
        size_t length = first[made + 1] - first[made], n_bytes = 0;
        const int32_t *ids = token_ids + first[made];
        while (n_bytes < length && ids[n_bytes] >= SC_TOY_BYTE) {
            n_bytes++;
        }
        char *text = sc_memory_alloc(n_bytes + 1, 1, error);
        sc_node node = text == NULL ? -1 : new_node(toy, error);
        if (node < 0) {
            free(text);
            status = SEMCAL_E_MEMORY;
            break;
        }
        for (size_t i = 0; i < n_bytes; i++) {
            text[i] = (char)(ids[i] - SC_TOY_BYTE);
        }
        toy_node *fresh = &toy->nodes[node];
        *fresh = (toy_node){.spoken = 0};
        status = sc_toy_law_parse(&fresh->law, text, n_bytes, error);
        for (size_t i = n_bytes; i < length && status == SEMCAL_OK; i++) {
            status = advance(fresh, ids[i], error);
        }
        free(text);
        roots[made] = node;
        toy->base.facts.n_forward_tokens += length;
    }
    if (status != SEMCAL_OK) {
        source->failed = made > 0 ? made - 1 : 0;
        toy_release(source, made, roots);
    }
    return status;
}

static semcal_status toy_extend(sc_source *source, sc_node *children, size_t n, const sc_node *parents,
                                const int32_t *tokens, semcal_error *error)
{
    toy_source *toy = (toy_source *)source;
    for (size_t i = 0; i < n; i++) {
        sc_node node = new_node(toy, error);
        semcal_status status = node < 0 ? SEMCAL_E_MEMORY : SEMCAL_OK;
        if (status == SEMCAL_OK) {
            toy->nodes[node] = toy->nodes[parents[i]];
            status = advance(&toy->nodes[node], tokens[i], error);
            children[i] = node;
        }
        if (status != SEMCAL_OK) {
            toy_release(source, i + (node >= 0), children);
            source->failed = i;
            return status;
        }
    }
    toy->base.facts.n_forward_tokens += n;
    return SEMCAL_OK;
}

static void next_law(double logprob[SC_TOY_VOCABULARY], const toy_node *node)
{
    for (int i = 0; i < SC_TOY_VOCABULARY; i++) {
        logprob[i] = -INFINITY;
    }
    int class_position = node->law.decides_first ? 0 : node->law.n_fillers;
    if (node->spoken == class_position) {
        for (int k = 0; k < SC_TOY_N_CLASSES; k++) {
            logprob[SC_TOY_CLASS + k] = log(node->law.pi[k]);
        }
    } else if (node->spoken <= node->law.n_fillers) {
        for (int k = 0; k < SC_TOY_N_FILLERS; k++) {
            logprob[SC_TOY_FILLER + k] = log(filler_probability[k]);
        }
    } else {
        logprob[SC_TOY_END] = 0;
    }
}

static semcal_status toy_laws(sc_source *source, const sc_law_request *request, sc_law_result *result,
                              semcal_error *error)
{
    toy_source *toy = (toy_source *)source;
    double logprob[SC_TOY_VOCABULARY], scratch[SC_TOY_VOCABULARY];
    for (size_t i = 0; i < request->n_nodes; i++) {
        next_law(logprob, &toy->nodes[request->node[i]]);
        semcal_status status = sc_host_law_read(result, request, i, logprob, SC_TOY_VOCABULARY, scratch, error);
        if (status == SEMCAL_OK && request->spill != NULL) {
            float row[SC_TOY_VOCABULARY];
            for (size_t v = 0; v < SC_TOY_VOCABULARY; v++) {
                row[v] = (float)logprob[v];
            }
            status = sc_source_keep_logits(request, result, i, row, source->phases, error);
        }
        if (status != SEMCAL_OK) {
            source->failed = i;
            return status;
        }
    }
    return SEMCAL_OK;
}

/* Words may be separated by spaces; anything that is not a known word is spelled in bytes. */
static semcal_status toy_encode(sc_source *source, int32_t **ids, size_t *n_ids, const char *text, size_t length,
                                bool special, semcal_error *error)
{
    toy_source *toy = (toy_source *)source;
    *n_ids = 0;
    *ids = sc_memory_alloc(length + 1, sizeof **ids, error);
    if (*ids == NULL) {
        return SEMCAL_E_MEMORY;
    }
    if (special) { /* a prompt: bytes */
        for (size_t i = 0; i < length; i++) {
            (*ids)[(*n_ids)++] = SC_TOY_BYTE + (unsigned char)text[i];
        }
        return SEMCAL_OK;
    }
    for (size_t i = 0; i < length;) {
        size_t start = i + (text[i] == ' '), n = 0;
        while (start + n < length && text[start + n] != ' ') {
            n++;
        }
        int32_t id = -1;
        for (int32_t k = SC_TOY_FILLER; k < SC_TOY_BYTE && id < 0; k++) {
            const char *word = toy->words[k] + 1;
            if (strlen(word) == n && strncmp(word, text + start, n) == 0) {
                id = k;
            }
        }
        if (id < 0 || n == 0) {
            semcal_status status =
                sc_error_set(error, SEMCAL_E_DATA, "toy: '%.*s' is not one of its words", (int)n, text + start);
            free(*ids);
            *ids = NULL;
            *n_ids = 0;
            return status;
        }
        (*ids)[(*n_ids)++] = id;
        i = start + n;
    }
    return SEMCAL_OK;
}

static void toy_token_bytes(sc_source *source, const char **bytes, size_t *length, int32_t token)
{
    toy_source *toy = (toy_source *)source;
    *bytes = "";
    *length = 0;
    if (token > SC_TOY_END && token < SC_TOY_BYTE) {
        *bytes = toy->words[token];
        *length = strlen(*bytes);
    } else if (token >= SC_TOY_BYTE && token < SC_TOY_VOCABULARY) {
        *bytes = toy->words[token];
        *length = 1;
    }
}

static semcal_status toy_decode(sc_source *source, char **text, size_t *length, const int32_t *ids, size_t n_ids,
                                semcal_error *error)
{
    sc_text out = {0};
    semcal_status status = sc_text_append(&out, "", 0, error);
    for (size_t i = 0; i < n_ids && status == SEMCAL_OK; i++) {
        const char *bytes;
        size_t n;
        toy_token_bytes(source, &bytes, &n, ids[i]);
        status = sc_text_append(&out, bytes, n, error);
    }
    if (status != SEMCAL_OK) {
        sc_text_free(&out);
    }
    *text = out.data;
    *length = out.length;
    return status;
}

static bool toy_is_end(sc_source *source, int32_t token)
{
    (void)source;
    return token == SC_TOY_END;
}

static void toy_limits(sc_source *source, const sc_limits_plan *plan, size_t *live_nodes, size_t *batch_nodes)
{
    (void)source;
    (void)plan;
    *live_nodes = 0;
    *batch_nodes = 0;
}

static void toy_close(sc_source *source)
{
    toy_source *toy = (toy_source *)source;
    if (toy != NULL) {
        free(toy->nodes);
        free(toy);
    }
}

semcal_status sc_source_toy_open(sc_source **source, semcal_error *error)
{
    static const sc_source_functions functions = {
        .open = toy_open,
        .extend = toy_extend,
        .laws = toy_laws,
        .release = toy_release,
        .encode = toy_encode,
        .decode = toy_decode,
        .token_bytes = toy_token_bytes,
        .is_end = toy_is_end,
        .limits = toy_limits,
        .close = toy_close,
    };
    *source = NULL;
    toy_source *toy = sc_memory_alloc(1, sizeof *toy, error);
    if (toy == NULL) {
        return SEMCAL_E_MEMORY;
    }
    toy->base.functions = &functions;
    toy->base.facts = (sc_source_facts){.kind = "toy",
                                        .description = "closed-form law written in the question",
                                        .n_vocabulary = SC_TOY_VOCABULARY,
                                        .deterministic = true,
                                        .model_sha256 = "",
                                        .tokenizer_sha256 = "",
                                        .device = "",
                                        .driver = "",
                                        .gemm = "",
                                        .kernels_sha256 = "",
                                        .build_options = ""};
    toy->free_list = -1;
    for (int i = 0; i < SC_TOY_N_FILLERS; i++) {
        (void)snprintf(toy->words[SC_TOY_FILLER + i], sizeof toy->words[0], " %s", filler_words[i]);
    }
    for (int i = 0; i < SC_TOY_N_CLASSES; i++) {
        (void)snprintf(toy->words[SC_TOY_CLASS + i], sizeof toy->words[0], " %s", class_words[i]);
    }
    for (int i = 0; i < 256; i++) {
        toy->words[SC_TOY_BYTE + i][0] = (char)i;
    }
    *source = &toy->base;
    return SEMCAL_OK;
}
