/* SPDX-License-Identifier: Apache-2.0 */
/* The variables that hold what was generated. What a collapse adds is in store_products.c. */
#include "experiment/store_internal.h"

#include <stddef.h>

#define AT(member) offsetof(sc_store_record, member)
#define PLAIN(rows, name, memory, stored, member, long_name, units)                                                    \
    {                                                                                                                  \
        name, long_name, units, SC_H5_##memory, SC_H5_##stored, SC_ROWS_##rows, false, SC_ROLE_PLAIN, AT(member), 0,   \
            false                                                                                                      \
    }
#define TOP(name, memory, stored, member, long_name, units)                                                            \
    {                                                                                                                  \
        name, long_name, units, SC_H5_##memory, SC_H5_##stored, SC_ROWS_NODE, true, SC_ROLE_PLAIN, AT(member), 0,      \
            false                                                                                                      \
    }
#define RAW(rows, name, member, long_name)                                                                             \
    {                                                                                                                  \
        name, long_name, "nat", SC_H5_F64, SC_H5_F64, SC_ROWS_##rows, false, SC_ROLE_RAW, AT(member), 0, false         \
    }
#define NODE(rows, name, member, long_name)                                                                            \
    {                                                                                                                  \
        name, long_name, "", SC_H5_I32, SC_H5_I64, SC_ROWS_##rows, false, SC_ROLE_NODE, AT(member), 0, false           \
    }
#define OWNER(rows, name, long_name)                                                                                   \
    {                                                                                                                  \
        name, long_name, "", SC_H5_I64, SC_H5_I64, SC_ROWS_##rows, false, SC_ROLE_OWNER, 0, 0, false                   \
    }
#define COUNT(name, kind, long_name)                                                                                   \
    {                                                                                                                  \
        name, long_name, "1", SC_H5_I64, SC_H5_I64, SC_ROWS_QUESTION, false, SC_ROLE_COUNT, 0, SC_ROWS_##kind, false   \
    }

const sc_store_variable sc_store_variables[] = {
    PLAIN(QUESTION, "question_index", I64, I64, index, "index of the question in the dataset", ""),
    PLAIN(QUESTION, "question_id", TEXT, TEXT, id, "id of the question", ""),
    PLAIN(QUESTION, "question_text", TEXT, TEXT, question, "text of the question", ""),
    PLAIN(QUESTION, "prompt_text", TEXT, TEXT, prompt, "text given to the model", ""),
    PLAIN(QUESTION, "prompt_tokens", I32, I32, n_prompt_tokens, "number of tokens of the prompt", "1"),
    PLAIN(QUESTION, "reference_text", TEXT, TEXT, reference, "reference response that was scored", ""),
    PLAIN(QUESTION, "logprob_reference", F64, F64, tree.logprob_reference,
          "teacher-forced log-probability of the reference response at temperature 1, NaN when there is none", "nat"),
    PLAIN(QUESTION, "unexplored_mass", F64, F64, unexplored_mass,
          "probability outside the enumerated responses, NaN when nothing was enumerated", "1"),
    COUNT("n_nodes", NODE, "number of nodes of the question's prefix tree"),
    COUNT("n_answers", ANSWER, "number of accepted reference answers"),
    COUNT("n_law", LAW, "number of answers in the known law, 0 when it is not known"),
    COUNT("n_responses", RESPONSE, "number of enumerated responses"),
    {"laws_evaluated", "next-token laws evaluated for the draws of the question; depends on the estimator", "1",
     SC_H5_I64, SC_H5_I64, SC_ROWS_QUESTION, false, SC_ROLE_SCHEDULE, AT(tree.n_laws), 0, false},
    {"forward_tokens", "tokens run through the model for the question; depends on scheduling", "1", SC_H5_I64,
     SC_H5_I64, SC_ROWS_QUESTION, false, SC_ROLE_SCHEDULE, AT(n_forward_tokens), 0, false},
    {"question_sha256", "digest of everything generated for the question", "", SC_H5_TEXT, SC_H5_TEXT, SC_ROWS_QUESTION,
     false, SC_ROLE_DIGEST, 0, 0, false},

    NODE(DRAW, "draw_leaf", tree.leaf, "row of node where the draw ends"),
    PLAIN(DRAW, "draw_logprob", F64, F64, tree.draw_logprob,
          "log-probability of the whole response under the law drawn from", "nat"),
    RAW(DRAW, "draw_logprob_raw", tree.draw_logprob_raw, "log-probability of the whole response at temperature 1"),
    PLAIN(DRAW, "draw_finish", U8, U8, tree.finish, "why the response ended: 0 stop string, 1 end token, 2 max_tokens",
          ""),
    PLAIN(DRAW, "draw_tokens", I32, I32, tree.n_tokens, "number of tokens of the response", "1"),
    PLAIN(DRAW, "draw_text", TEXT, TEXT, tree.text, "text of the response without its ending", ""),

    OWNER(NODE, "node_question", "row of question the node belongs to"),
    NODE(NODE, "node_parent", tree.parent, "row of node before this one, -1 for the prompt itself"),
    PLAIN(NODE, "node_token", I32, I32, tree.token, "token that leads here from the parent, -1 for the prompt", ""),
    PLAIN(NODE, "node_logprob", F64, F64, tree.logprob,
          "log-probability of the token given its prefix under the law drawn from, 0 for the prompt", "nat"),
    RAW(NODE, "node_logprob_raw", tree.logprob_raw, "log-probability of the token given its prefix at temperature 1"),
    PLAIN(NODE, "node_count", I32, I32, tree.count, "number of draws that pass through the node", "1"),
    PLAIN(NODE, "node_entropy", F64, F64, tree.entropy,
          "entropy of the law of the next token, NaN where no draw went on", "nat"),
    PLAIN(NODE, "node_log_normalizer", F64, F64, tree.log_normalizer,
          "log sum exp of the logits of the next token at temperature 1, NaN where no draw went on", "nat"),
    PLAIN(NODE, "node_rest_mass", F64, F64, tree.rest_mass,
          "probability of the next tokens outside the top, NaN where no draw went on", "1"),
    TOP("node_top_token", I32, I32, tree.top_token, "most probable next tokens, -1 where no draw went on", ""),
    TOP("node_top_logprob", F64, F32, tree.top_logprob, "log-probabilities of the most probable next tokens", "nat"),

    OWNER(ANSWER, "answer_question", "row of question the reference answer belongs to"),
    PLAIN(ANSWER, "answer_text", TEXT, TEXT, answers, "accepted reference answer", ""),

    OWNER(LAW, "law_question", "row of question the answer of the known law belongs to"),
    PLAIN(LAW, "law_label", TEXT, TEXT, law_label, "answer in the known law of the right answer", ""),
    PLAIN(LAW, "law_probability", F64, F64, law_probability, "its probability", "1"),

    OWNER(RESPONSE, "response_question", "row of question the enumerated response belongs to"),
    NODE(RESPONSE, "response_leaf", found_leaf, "row of node where the enumerated response ends"),
    PLAIN(RESPONSE, "response_logprob", F64, F64, found_logprob,
          "log-probability of the enumerated response under the law drawn from", "nat"),
    RAW(RESPONSE, "response_logprob_raw", found_logprob_raw,
        "log-probability of the enumerated response at temperature 1"),
    PLAIN(RESPONSE, "response_finish", U8, U8, found_finish,
          "why the enumerated response ended: 0 stop string, 1 end token, 2 max_tokens", ""),
    PLAIN(RESPONSE, "response_tail", U8, U8, found_tail,
          "1 for a draw from the law of what enumeration did not find, 0 for an enumerated response", ""),
    PLAIN(RESPONSE, "response_text", TEXT, TEXT, found_text, "text of the enumerated response without its ending", ""),

    /* store.full_logits */
    {"n_logits", "number of laws of the question that are kept as a whole", "1", SC_H5_I64, SC_H5_I64, SC_ROWS_QUESTION,
     false, SC_ROLE_COUNT, 0, SC_ROWS_LOGITS, true},
    {"logits_sha256", "digest of the question's rows of logits, as little-endian float32", "", SC_H5_TEXT, SC_H5_TEXT,
     SC_ROWS_QUESTION, false, SC_ROLE_PLAIN, AT(logits_sha256), 0, true},
    {"logits_question", "row of question the logits belong to", "", SC_H5_I64, SC_H5_I64, SC_ROWS_LOGITS, false,
     SC_ROLE_OWNER, 0, 0, true},
    {"logits_node", "row of node whose next token has these logits", "", SC_H5_I32, SC_H5_I64, SC_ROWS_LOGITS, false,
     SC_ROLE_NODE, AT(logits_node), 0, true},
    {"logits_target", "next token of the first draw through the node, or of its first enumerated response", "",
     SC_H5_I32, SC_H5_I32, SC_ROWS_LOGITS, false, SC_ROLE_PLAIN, AT(logits_target), 0, true},
    {"logits", "logits of the next token as the source gives them, at temperature 1: softmax is the law", "nat",
     SC_H5_F32, SC_H5_F32, SC_ROWS_LOGITS, false, SC_ROLE_LOGITS, 0, 0, true},
};
const size_t sc_store_n_variables = sizeof sc_store_variables / sizeof *sc_store_variables;

const char *const sc_store_dimensions[SC_ROWS_KINDS] = {"question", "draw",     "node",      "answer",
                                                        "law",      "response", "logits_row"};

uint64_t sc_store_rows_of(const sc_store_record *record, sc_store_rows rows)
{
    switch (rows) {
    case SC_ROWS_QUESTION:
        return 1;
    case SC_ROWS_DRAW:
        return record->tree.n_draws;
    case SC_ROWS_NODE:
        return record->tree.n_nodes;
    case SC_ROWS_ANSWER:
        return record->n_answers;
    case SC_ROWS_LAW:
        return record->n_law;
    case SC_ROWS_RESPONSE:
        return record->n_found;
    case SC_ROWS_LOGITS:
        return record->n_logits;
    case SC_ROWS_KINDS:
        break;
    }
    return 0;
}

void sc_store_add_rows(sc_store_sizes *sizes, const sc_store_record *record)
{
    for (int rows = 0; rows < SC_ROWS_KINDS; rows++) {
        sizes->total[rows] += sc_store_rows_of(record, (sc_store_rows)rows);
    }
}

bool sc_store_has_variable(const sc_store_variable *variable, const sc_store_sizes *sizes)
{
    return sizes->total[variable->rows] > 0 && sc_store_is_kept(variable, sizes);
}

bool sc_store_is_kept(const sc_store_variable *variable, const sc_store_sizes *sizes)
{
    return (variable->role != SC_ROLE_RAW || sizes->raw) && (!variable->top || sizes->n_top > 0) &&
           (!variable->logits || sizes->n_vocabulary > 0);
}

size_t sc_store_element_size(sc_h5_type type)
{
    switch (type) {
    case SC_H5_F64:
    case SC_H5_I64:
        return 8;
    case SC_H5_F32:
    case SC_H5_I32:
        return 4;
    case SC_H5_U8:
        return 1;
    case SC_H5_TEXT:
        break;
    }
    return sizeof(char *);
}

size_t sc_store_width(const sc_store_variable *variable, const sc_store_sizes *sizes)
{
    return variable->role == SC_ROLE_LOGITS ? sizes->n_vocabulary : variable->top ? sizes->n_top : 1;
}

const void *sc_store_values(const sc_store_record *record, const sc_store_variable *variable)
{
    const char *at = (const char *)record + variable->offset;
    return variable->rows == SC_ROWS_QUESTION ? (const void *)at : *(const void *const *)(const void *)at;
}
