/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys: the one place that names them. `semcal show config` prints it, so the texts are documentation. */
#include "experiment/config_table.h"

#include <string.h>

#define AT(type, member) offsetof(type, member)
#define COUNT(keys) (sizeof(keys) / sizeof *(keys))
#define ANY .low = -INFINITY, .high = INFINITY
#define FROM(lowest) .low = (lowest), .high = INFINITY
#define ABOVE(lowest) .low = (lowest), .high = INFINITY, .open_low = true
#define RANGE(lowest, highest) .low = (lowest), .high = (highest)
#define OPTIONAL .standard = "null", .optional = true

static const char *const source_words[] = {"model", "toy", "recorded", NULL};
static const char *const chat_words[] = {"none", "auto", "chatml", "llama2", "llama3", NULL};
static const char *const gemm_words[] = {"auto", "own", "clblast", "bf16", NULL};
static const char *const format_words[] = {"jsonl", "csv", "auto", "text", "text-jsonl", NULL};
static const char *const shots_format_words[] = {"jsonl", "csv", "auto", NULL};
static const char *const classes_words[] = {"first-byte", "none", NULL};
static const char *const estimator_words[] = {"tree", "chain", "exact", "hybrid", NULL};
/* The kinds of meaning/collapse.h, in its order; a test compares. */
const char *const sc_config_collapse_words[] = {"exact", "numeric", "math", "alias", "choice", "model", NULL};
static const char *const then_words[] = {"auto", "exact", "numeric", "math", "alias", "choice", NULL};

_Static_assert(sizeof(sc_config_source) == sizeof(unsigned) && sizeof(sc_config_gemm) == sizeof(unsigned) &&
                   sizeof(sc_config_format) == sizeof(unsigned) && sizeof(sc_config_classes) == sizeof(unsigned),
               "words are stored as unsigned");

static const sc_config_key model_keys[] = {
    {"name", SC_KEY_NAME, AT(sc_config_model, name), .help = "short name; part of the cell's name"},
    {"path", SC_KEY_PATH, AT(sc_config_model, path), OPTIONAL,
     .help = "Hugging Face folder: config.json, tokenizer.json, *.safetensors (needed unless source is toy)"},
    {"kind", SC_KEY_NAME, AT(sc_config_model, kind), .standard = "base",
     .help = "label of the tables: base, instruct, ..."},
    {"source", SC_KEY_WORD, AT(sc_config_model, source), .standard = "model", .words = source_words,
     .help = "where next-token laws come from: a model on the device, toy (the law is written in "
             "the question), a recorded file of logits"},
    {"chat", SC_KEY_NAME, AT(sc_config_model, chat), .standard = "none", .words = chat_words,
     .help = "chat template around the prompt: none, auto (the one the model folder names), or a family"},
    {"gemm", SC_KEY_WORD, AT(sc_config_model, gemm), .standard = "auto", .words = gemm_words,
     .help =
         "matrix products: auto (the faster that keeps results bit-identical), own, clblast; bf16 rounds activations "
         "to bf16 where they meet bf16 weights, and keys and values, as bf16 runtimes do: about twice as fast where "
         "the device has the instructions, half the memory for keys and values, other laws than auto"},
    {"kv_memory", SC_KEY_BYTES, AT(sc_config_model, kv_memory), OPTIONAL, RANGE(1, 9e18), .unit = "bytes",
     .help = "most memory for keys and values, e.g. 512M or 4GiB; null: from what the device has free"},
    {"logits", SC_KEY_PATH, AT(sc_config_model, logits), OPTIONAL,
     .help = "file of logits [N, V] to replay: npy, safetensors, or HDF5 such as a cell with store.full_logits (needed "
             "when "
             "source is recorded)"},
};
static const sc_config_section model_section = {sizeof(sc_config_model), model_keys, COUNT(model_keys)};

static const sc_config_key shots_keys[] = {
    {"path", SC_KEY_PATH, AT(sc_config_shots, path), OPTIONAL,
     .help = "file of worked examples, disjoint from the questions; null: none, prompts are zero-shot"},
    {"n", SC_KEY_INT, AT(sc_config_shots, n), .standard = "5", RANGE(0, 10000),
     .help = "how many of its rows serve, from the first on"},
    {"format", SC_KEY_WORD, AT(sc_config_shots, format), .standard = "auto", .words = shots_format_words,
     .help = "format of the file; auto: by its ending"},
    {"question", SC_KEY_TEXT, AT(sc_config_shots, question), OPTIONAL,
     .help = "field with the question; null: the dataset's"},
    {"answers", SC_KEY_TEXT, AT(sc_config_shots, answers), OPTIONAL,
     .help = "field with the accepted answers; null: the dataset's"},
    {"responses", SC_KEY_PAIRS, AT(sc_config_shots, responses), .standard = "{}",
     .help =
         "style: field with the example's response in that style, e.g. {cot: solution}; styles not named make "
         "theirs from the first accepted answer: cot as it stands, sentence in a sentence, others what follows ####"},
};
static const sc_config_section shots_section = {sizeof(sc_config_shots), shots_keys, COUNT(shots_keys)};

#define JUDGE_PROMPT                                                                                                   \
    "\"Each entry has a question, a response to it, and the final answer that the response gives, in as few words as " \
    "possible; unknown, if the response gives none.\\n\\n"                                                             \
    "Question: What is the capital of France?\\n"                                                                      \
    "Response: The capital of France is the city of Paris, on the Seine.\\n"                                           \
    "Final answer: Paris\\n\\n"                                                                                        \
    "Question: Anna has 4 boxes of 6 eggs. 2 eggs break. How many are whole?\\n"                                       \
    "Response: 4 boxes hold 4 * 6 = 24 eggs. 2 break, so 24 - 2 = 22 are whole.\\n"                                    \
    "Final answer: 22\\n\\n"                                                                                           \
    "Question: In which year was the bridge opened?\\n"                                                                \
    "Response: I am not sure, I would have to look that up.\\n"                                                        \
    "Final answer: unknown\\n\\n"                                                                                      \
    "Question: Who wrote Hamlet?\\n"                                                                                   \
    "Response: It was Christopher Marlowe who wrote it.\\n"                                                            \
    "Final answer: Christopher Marlowe\\n\\n"                                                                          \
    "Question: {question}\\n"                                                                                          \
    "Response: {response}\\n"                                                                                          \
    "Final answer:\""

static const sc_config_key collapse_keys[] = {
    {"kind", SC_KEY_NAME, AT(sc_config_collapse, kind), .words = sc_config_collapse_words,
     .help = "name of the kind; the keys below are of the kind model, the only one that has keys"},
    {"path", SC_KEY_PATH, AT(sc_config_collapse, path), OPTIONAL,
     .help = "folder of the judge, as of models; null: the model that gave the responses judges them itself, so name "
             "one judge where several models are compared"},
    {"chat", SC_KEY_NAME, AT(sc_config_collapse, chat), OPTIONAL, .words = chat_words,
     .help = "chat template around the prompt; null: none, or without a path that of the model"},
    {"gemm", SC_KEY_WORD, AT(sc_config_collapse, gemm), .standard = "auto", .words = gemm_words,
     .help = "matrix products of a judge with a path"},
    {"kv_memory", SC_KEY_BYTES, AT(sc_config_collapse, kv_memory), OPTIONAL, RANGE(1, 9e18), .unit = "bytes",
     .help = "the same for its keys and values"},
    {"prompt", SC_KEY_TEXT, AT(sc_config_collapse, prompt), .standard = JUDGE_PROMPT,
     .help = "what the judge reads; {question} and {response} stand for the texts, {{ and }} are braces"},
    {"max_tokens", SC_KEY_INT, AT(sc_config_collapse, max_tokens), .standard = "24", RANGE(1, 1e6), .unit = "tokens",
     .help = "longest reply; a response whose reply is cut here is the class unparsed"},
    {"stop", SC_KEY_TEXTS, AT(sc_config_collapse, stop), .standard = "[\"\\n\"]",
     .help = "a reply ends where one of these texts is complete (or at the end-of-text token)"},
    {"unknown", SC_KEY_TEXTS, AT(sc_config_collapse, unknown),
     .standard = "[unknown, I don't know, no answer, none given, not given, unclear, n/a]",
     .help = "replies, case and punctuation aside, that make a response the class unparsed, as an empty one does"},
    {"then", SC_KEY_NAME, AT(sc_config_collapse, then), .standard = "auto", .words = then_words,
     .help = "kind that makes classes of short answers and of reference answers; auto: alias where a question has "
             "several accepted answers or choices, else exact"},
};
static const sc_config_section collapse_section = {sizeof(sc_config_collapse), collapse_keys, COUNT(collapse_keys)};

static const sc_config_key dataset_keys[] = {
    {"name", SC_KEY_NAME, AT(sc_config_dataset, name), .help = "short name; part of the cell's name"},
    {"path", SC_KEY_PATH, AT(sc_config_dataset, path), .help = "file of questions"},
    {"format", SC_KEY_WORD, AT(sc_config_dataset, format), .standard = "auto", .words = format_words,
     .help = "jsonl: one object per line; csv: first row names the fields; auto: by the file's ending; text: plain "
             "text for "
             "next-token calibration, one document; text-jsonl: the same, a document per line in the field `question`. "
             "Texts have no answers and no styles: one cell <model>.<name>.tokens.T<temperature>"},
    {"question", SC_KEY_TEXT, AT(sc_config_dataset, question), .standard = "question",
     .help = "field with the question"},
    {"answers", SC_KEY_TEXT, AT(sc_config_dataset, answers), .standard = "answers",
     .help = "field with the accepted answers: a list, or one text"},
    {"answers_separator", SC_KEY_TEXT, AT(sc_config_dataset, answers_separator), OPTIONAL,
     .help = "splits one text into several accepted answers, e.g. \"; \"; null: one text is one answer"},
    {"id", SC_KEY_TEXT, AT(sc_config_dataset, id), OPTIONAL,
     .help = "field with a unique name of the question, which keys its random numbers; null: from its text"},
    {"law", SC_KEY_TEXT, AT(sc_config_dataset, law), OPTIONAL,
     .help = "field with the known law {answer: probability}: smECE is then also shown without label noise"},
    {"choices", SC_KEY_CHOICES, AT(sc_config_dataset, choices), OPTIONAL,
     .help = "the closed list of answers for collapse choice and alias: a field name, or a list whose items are a text "
             "or a list [label, alias, ...]"},
    {"choices_file", SC_KEY_PATH, AT(sc_config_dataset, choices_file), OPTIONAL,
     .help = "the same from a file: one class per line, aliases behind it separated by tabs"},
    {"limit", SC_KEY_INT, AT(sc_config_dataset, limit), OPTIONAL, RANGE(1, 1e12), .unit = "questions",
     .help = "use the first rows only (of a text: the first tokens); null: all"},
    {"collapse", SC_KEY_SECTIONS, AT(sc_config_dataset, collapse), .standard = "exact",
     .words = sc_config_collapse_words, .section = &collapse_section, .full = "model",
     .help =
         "how responses become classes; several may be listed, the first is the one tables show first. A stored "
         "run can be collapsed again. model: a language model, the judge, is shown each distinct response and names "
         "its short answer, greedily; what it said is kept in the cell file"},
    {"shots", SC_KEY_SECTION, AT(sc_config_dataset, shots), .standard = "{}", .section = &shots_section,
     .help = "worked examples put in front of each question"},
    {"styles", SC_KEY_NAMES, AT(sc_config_dataset, styles), .standard = "[]",
     .help = "only these styles; []: all of the config's"},
    {"models", SC_KEY_NAMES, AT(sc_config_dataset, models), .standard = "[]", .help = "only these models; []: all"},
    {"context", SC_KEY_TEXT, AT(sc_config_dataset, context), OPTIONAL,
     .help =
         "text-jsonl: field with what stands before the document (a prompt); it is read, not scored; null: nothing"},
    {"window", SC_KEY_INT, AT(sc_config_dataset, window), OPTIONAL, RANGE(2, 1e7), .unit = "tokens",
     .help = "texts: a document is cut into chunks of this many tokens, each read without what is before it; null: the "
             "model's context, at most 512"},
    {"overlap", SC_KEY_INT, AT(sc_config_dataset, overlap), .standard = "1", RANGE(1, 1e7), .unit = "tokens",
     .help =
         "texts: so many tokens at the end of a chunk are read again at the beginning of the next, as context that is "
         "not scored twice; every token of a document but its first is scored once"},
    {"classes", SC_KEY_WORD, AT(sc_config_dataset, classes), .standard = "first-byte", .words = classes_words,
     .help = "texts: classes of tokens. first-byte: space-letter, letter, digit, punctuation, newline, other, by how a "
             "token's bytes begin; none: one class"},
    {"classes_file", SC_KEY_PATH, AT(sc_config_dataset, classes_file), OPTIONAL,
     .help =
         "texts: classes from a file, line i the label of token id i - 1, at most 4096 different ones; null: classes"},
};
static const sc_config_section dataset_section = {sizeof(sc_config_dataset), dataset_keys, COUNT(dataset_keys)};

static const sc_config_key sampling_keys[] = {
    {"draws", SC_KEY_INTS, AT(sc_config_sampling, draws), .standard = "50", RANGE(1, 1e9),
     .help = "M, responses drawn per question; raising it keeps the earlier draws"},
    {"temperature", SC_KEY_REALS, AT(sc_config_sampling, temperature), .standard = "1.0", ABOVE(0),
     .help = "of the law drawn from; the theory is about 1"},
    {"estimator", SC_KEY_WORDS, AT(sc_config_sampling, estimator), .standard = "tree", .words = estimator_words,
     .help = "tree: one forward per distinct prefix; chain: the same draws the plain way; exact: enumeration of the "
             "heavy prefixes; hybrid: enumerated head, sampled tail"},
    {"epsilon", SC_KEY_REAL, AT(sc_config_sampling, epsilon), .standard = "0.01", RANGE(0, 1),
     .help = "exact, hybrid: enumeration ends when less than this mass is unexplored"},
    {"max_forward_tokens", SC_KEY_INT, AT(sc_config_sampling, max_forward_tokens), .standard = "4096", .optional = true,
     RANGE(1, 9e18), .unit = "tokens",
     .help = "exact, hybrid: most prefixes expanded per question, one token through the model each; null: no budget, "
             "which long answers may never come to the end of"},
    {"tail_draws", SC_KEY_INT, AT(sc_config_sampling, tail_draws), .standard = "32", RANGE(2, 1e6),
     .help = "hybrid: draws per question from what enumeration did not find"},
    {"batch", SC_KEY_INT, AT(sc_config_sampling, batch), OPTIONAL, RANGE(1, 1e7), .unit = "nodes",
     .help = "most prefixes per forward call; null: as the source advises. Never changes a result"},
};
static const sc_config_section sampling_section = {sizeof(sc_config_sampling), sampling_keys, COUNT(sampling_keys)};

static const sc_config_key style_keys[] = {
    {"max_tokens", SC_KEY_INTS, AT(sc_config_style, max_tokens), .standard = "64", RANGE(1, 1e6), .unit = "tokens",
     .help = "longest response, the stop included; one that is cut here is the class unparsed"},
    {"stop", SC_KEY_TEXTS, AT(sc_config_style, stop), .standard = "[\"\\n\"]",
     .help = "a response ends where one of these texts is complete (or at the end-of-text token)"},
    {"shots", SC_KEY_INTS, AT(sc_config_style, shots), OPTIONAL, RANGE(0, 10000),
     .help = "examples in front of the question; null: as many as the dataset's shots.n"},
    {"system", SC_KEY_TEXT, AT(sc_config_style, system), OPTIONAL,
     .help = "system message, for models with a chat template"},
    {"prompt", SC_KEY_TEXT, AT(sc_config_style, prompt), .standard = "\"Question: {question}\\nAnswer:\"",
     .help =
         "what the model reads last; {question} stands for the question, {shots} for the examples if they shall not "
         "stand in front; {{ and }} are braces"},
    {"shot", SC_KEY_TEXT, AT(sc_config_style, shot), OPTIONAL,
     .help = "one example; {answer} stands for its response; null: the prompt, a space and the response"},
    {"separator", SC_KEY_TEXT, AT(sc_config_style, separator), .standard = "\"\\n\\n\"", .help = "behind each example"},
};
static const sc_config_section style_section = {sizeof(sc_config_style), style_keys, COUNT(style_keys)};

static const sc_config_key store_keys[] = {
    {"top_k", SC_KEY_INT, AT(sc_config_store, top_k), .standard = "20", RANGE(0, 4096), .unit = "tokens",
     .help = "most probable tokens kept per prefix, with their log-probabilities and the rest mass"},
    {"full_logits", SC_KEY_BOOL, AT(sc_config_store, full_logits), .standard = "false",
     .help = "keep every law as a whole: the logits of every prefix that was drawn from, V numbers each in float32 "
             "(large: see "
             "semcal plan); semcal perturb reads them"},
    {"commit_seconds", SC_KEY_REAL, AT(sc_config_store, commit_seconds), .standard = "20.0", .low = 0, .high = 30,
     .open_low = true, .unit = "s", .help = "a killed run loses at most this much work"},
    {"compression", SC_KEY_INT, AT(sc_config_store, compression), .standard = "1", RANGE(0, 9),
     .help = "deflate level of the cell files; 0: none"},
};
static const sc_config_section store_section = {sizeof(sc_config_store), store_keys, COUNT(store_keys)};

static const sc_config_key analyze_keys[] = {
    {"bootstrap", SC_KEY_INT, AT(sc_config_analyze, bootstrap), .standard = "2000", RANGE(0, 1e7), .unit = "replicates",
     .help = "resamples over questions behind each interval; 0: no intervals"},
    {"level", SC_KEY_REAL, AT(sc_config_analyze, level), .standard = "0.95", .low = 0, .high = 0.9999, .open_low = true,
     .help = "of the intervals"},
    {"floor_redraws", SC_KEY_INT, AT(sc_config_analyze, floor_redraws), .standard = "500", RANGE(0, 1e7),
     .help = "redraws behind each noise floor, the smECE a calibrated model of this size would show; 0: no floors"},
    {"splits", SC_KEY_INT, AT(sc_config_analyze, splits), .standard = "10", RANGE(1, 10000),
     .help = "random halvings of the draws behind the split estimator"},
    {"folds", SC_KEY_INT, AT(sc_config_analyze, folds), .standard = "5", RANGE(2, 1000),
     .help = "of the cross-fitted loss gaps"},
    {"flag_share", SC_KEY_REAL, AT(sc_config_analyze, flag_share), .standard = "0.05", RANGE(0, 1),
     .help = "a row is flagged when more than this share of its draws is truncated or unparsed"},
    {"reliable_mass", SC_KEY_REAL, AT(sc_config_analyze, reliable_mass), .standard = "0.9", RANGE(0, 1),
     .help = "questions with less mass found are left out of the estimators mass and exact"},
};
static const sc_config_section analyze_section = {sizeof(sc_config_analyze), analyze_keys, COUNT(analyze_keys)};

static const sc_config_key mechanism_keys[] = {
    {"questions", SC_KEY_INT, AT(sc_config_mechanism, questions), .standard = "0", RANGE(0, 1e9),
     .help = "follow how the first so many questions are decided, token by token; 0: off"},
    {"draws", SC_KEY_INT, AT(sc_config_mechanism, draws), .standard = "4", RANGE(1, 1e6),
     .help = "of each question, its first so many draws"},
    {"positions", SC_KEY_INT, AT(sc_config_mechanism, positions), .standard = "8", RANGE(1, 10000),
     .help = "places along the response, by fraction of it and by token"},
    {"forks", SC_KEY_INT, AT(sc_config_mechanism, forks), .standard = "32", RANGE(32, 1e6),
     .help = "fresh continuations at each place, for the intermediate confidence there"},
    {"max_forward_tokens", SC_KEY_INT, AT(sc_config_mechanism, max_forward_tokens), .standard = "64", RANGE(0, 1e12),
     .unit = "tokens",
     .help = "enumerate what follows first, exactly, and fork only if that takes more than this; 0: always fork"},
    {"epsilon", SC_KEY_REAL, AT(sc_config_mechanism, epsilon), .standard = "0.001", RANGE(0, 1),
     .help = "what follows counts as enumerated when less than this mass is missing"},
};
static const sc_config_section mechanism_section = {sizeof(sc_config_mechanism), mechanism_keys, COUNT(mechanism_keys)};

static const sc_config_key extra_keys[] = {
    {"model", SC_KEY_NAME, AT(sc_config_extra, model), .help = "name of a model"},
    {"dataset", SC_KEY_NAME, AT(sc_config_extra, dataset), .help = "name of a dataset"},
    {"style", SC_KEY_NAME, AT(sc_config_extra, style), .help = "name of a style"},
    {"temperature", SC_KEY_REALS, AT(sc_config_extra, temperature), OPTIONAL, ABOVE(0),
     .help = "null: sampling.temperature"},
    {"draws", SC_KEY_INTS, AT(sc_config_extra, draws), OPTIONAL, RANGE(1, 1e9), .help = "null: sampling.draws"},
    {"estimator", SC_KEY_WORDS, AT(sc_config_extra, estimator), OPTIONAL, .words = estimator_words,
     .help = "null: sampling.estimator"},
    {"max_tokens", SC_KEY_INTS, AT(sc_config_extra, max_tokens), OPTIONAL, RANGE(1, 1e6), .unit = "tokens",
     .help = "null: the style's"},
    {"shots", SC_KEY_INTS, AT(sc_config_extra, shots), OPTIONAL, RANGE(0, 10000), .help = "null: the style's"},
};
static const sc_config_section extra_section = {sizeof(sc_config_extra), extra_keys, COUNT(extra_keys)};

static const sc_config_key root_keys[] = {
    {"name", SC_KEY_NAME, AT(sc_config, name), .help = "name of the experiment; the run folder is called after it"},
    {"seed", SC_KEY_INT, AT(sc_config, seed), .standard = "1", RANGE(0, 9e18),
     .help = "of all random numbers, which are keyed by names: adding cells, questions or draws changes no other"},
    {"models", SC_KEY_SECTIONS, AT(sc_config, models), .section = &model_section, .help = "the models under test"},
    {"datasets", SC_KEY_SECTIONS, AT(sc_config, datasets), .section = &dataset_section,
     .help = "the sets of questions"},
    {"styles", SC_KEY_NAMES, AT(sc_config, styles), .standard = "[concise, sentence, cot]",
     .help = "how questions are asked: names of entries of `style`"},
    {"sampling", SC_KEY_SECTION, AT(sc_config, sampling), .standard = "{}", .section = &sampling_section,
     .help = "how responses are drawn"},
    {"style", SC_KEY_NAMED, AT(sc_config, style), .standard = "{}", .section = &style_section,
     .help = "what each style is; concise, sentence and cot have defaults of their own"},
    {"store", SC_KEY_SECTION, AT(sc_config, store), .standard = "{}", .section = &store_section,
     .help = "what the cell files keep"},
    {"analyze", SC_KEY_SECTION, AT(sc_config, analyze), .standard = "{}", .section = &analyze_section,
     .help = "how calibration is measured"},
    {"mechanism", SC_KEY_SECTION, AT(sc_config, mechanism), .standard = "{}", .section = &mechanism_section,
     .help = "how early responses decide what they mean; may be added to a finished run"},
    {"extra", SC_KEY_SECTIONS, AT(sc_config, extra), .standard = "[]", .section = &extra_section,
     .help = "cells beyond the product model x dataset x style x temperature, e.g. positive controls"},
};
const sc_config_section sc_config_root = {sizeof(sc_config), root_keys, COUNT(root_keys)};

const char *const sc_config_builtin_styles[] = {"concise", "sentence", "cot", NULL};

const char *sc_config_style_standard(const char *style, const sc_config_key *key)
{
    static const struct {
        const char *style, *key, *standard;
    } own[] = {
        {"concise", "max_tokens", "24"},
        {"sentence", "max_tokens", "64"},
        {"cot", "max_tokens", "320"},
        {"cot", "stop", "[\"\\n\\n\"]"},
        {"concise", "prompt", "\"Question: {question}\\nShort answer:\""},
        {"sentence", "prompt", "\"Question: {question}\\nAnswer in one sentence:\""},
        {"cot", "prompt", "\"Question: {question}\\nAnswer, step by step:\""},
    };
    for (size_t i = 0; i < COUNT(own); i++) {
        if (strcmp(own[i].style, style) == 0 && strcmp(own[i].key, key->name) == 0) {
            return own[i].standard;
        }
    }
    return key->standard;
}

const sc_config_key *sc_config_find_key(const sc_config_section *section, const char *name, size_t length)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        if (strlen(section->keys[i].name) == length && memcmp(section->keys[i].name, name, length) == 0) {
            return &section->keys[i];
        }
    }
    return NULL;
}

const char *sc_config_estimator_name(sc_config_estimator estimator)
{
    return estimator_words[estimator];
}
