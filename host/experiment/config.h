/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of an experiment: a YAML file as typed structs.
 *
 * One table of keys (config_table.c) drives parsing, defaults, ranges, "did you mean", `semcal show config` and the
 * resolved file. A new key is one member here and one row there.
 *
 * Reading is strict: an unknown key, a duplicate key or a value out of range is SEMCAL_E_CONFIG with one line
 *     configs/x.yaml:12:3: sampling.temprature: unknown key, did you mean 'temperature'?
 * whose place is the key's, or the element's inside a list; for an override it is `--set sampling.temperature`.
 *
 * Relative paths are taken from the folder of the configuration file; in the structs they are absolute.
 */
#ifndef SC_EXPERIMENT_CONFIG_H
#define SC_EXPERIMENT_CONFIG_H

#include "base/error.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An integer key that may be left open (`null`) and was. */
#define SC_CONFIG_UNSET INT64_C(-1)
/* Most tokens of a chunk of text unless the configuration says how many. */
#define SC_CONFIG_TEXT_WINDOW INT64_C(512)

/* Values of keys that take one value or a list of them. Swept keys make one cell per value. */
typedef struct sc_config_ints {
    int64_t *at;
    size_t n;
} sc_config_ints;

typedef struct sc_config_reals {
    double *at;
    size_t n;
} sc_config_reals;

typedef struct sc_config_texts {
    char **at;
    size_t n;
} sc_config_texts;

/* name -> text, in the order of the file */
typedef struct sc_config_pairs {
    char **names, **values;
    size_t n;
} sc_config_pairs;

/* The answers a response is searched for: nothing, a field of each row, or one closed list for the whole dataset.
 * groups[i].at[0] is the label of class i, the rest are its aliases. */
typedef struct sc_config_choices {
    char *field; /* NULL unless a field holds them */
    sc_config_texts *groups;
    size_t n_groups;
} sc_config_choices;

typedef enum sc_config_source { SC_CONFIG_MODEL, SC_CONFIG_TOY, SC_CONFIG_RECORDED } sc_config_source;
typedef enum sc_config_gemm {
    SC_CONFIG_GEMM_AUTO,
    SC_CONFIG_GEMM_OWN,
    SC_CONFIG_GEMM_CLBLAST,
    SC_CONFIG_GEMM_BF16
} sc_config_gemm;
typedef enum sc_config_format {
    SC_CONFIG_JSONL,
    SC_CONFIG_CSV,
    SC_CONFIG_FORMAT_AUTO,
    SC_CONFIG_TEXT,      /* plain text: next-token calibration, no questions */
    SC_CONFIG_TEXT_JSONL /* the same, one document per line */
} sc_config_format;
typedef enum sc_config_classes { SC_CONFIG_CLASSES_FIRST_BYTE, SC_CONFIG_CLASSES_NONE } sc_config_classes;
typedef enum sc_config_estimator {
    SC_CONFIG_TREE,
    SC_CONFIG_CHAIN,
    SC_CONFIG_EXACT,
    SC_CONFIG_HYBRID
} sc_config_estimator;

typedef struct sc_config_model {
    char *name;
    char *path; /* absolute; NULL for source: toy */
    char *kind; /* "base", "instruct", ...: a label of the tables */
    sc_config_source source;
    char *chat; /* "none", "auto" (the model's own) or a family of language/chat.h */
    sc_config_gemm gemm;
    int64_t kv_memory; /* bytes, SC_CONFIG_UNSET: from the free device memory */
    char *logits;      /* source: recorded; absolute path of a [N, V] file, or NULL */
} sc_config_model;

/* Worked examples put in front of a question. */
typedef struct sc_config_shots {
    char *path; /* absolute; NULL: none */
    int64_t n;  /* how many of its rows serve, the first ones */
    sc_config_format format;
    char *question, *answers;  /* fields; NULL: as in the dataset */
    sc_config_pairs responses; /* style -> field that holds the response in that style; others: the first answer */
} sc_config_shots;

/* A kind of collapse. The keys behind `kind` are those of the kind `model`: the language model that names the short
 * answer of a response, and how it is asked (experiment/judge.h). */
typedef struct sc_config_collapse {
    char *kind;              /* first: entries are addressed by it */
    char *path;              /* absolute; NULL: the model that gave the responses */
    char *chat;              /* as of a model; NULL: that of the model that gave the responses, with a path "none" */
    sc_config_gemm gemm;     /* of a model with a path */
    int64_t kv_memory;       /* the same */
    char *prompt;            /* with {question} and {response} */
    int64_t max_tokens;      /* of a reply */
    sc_config_texts stop;    /* ends a reply */
    sc_config_texts unknown; /* replies that name no answer */
    char *then;              /* kind that the short answers go through; "auto" */
} sc_config_collapse;

typedef struct sc_config_dataset {
    char *name;
    char *path;               /* absolute */
    sc_config_format format;  /* never AUTO after loading */
    char *question, *answers; /* fields */
    char *answers_separator;  /* splits one text into several accepted answers; NULL: does not */
    char *id;                 /* field; NULL: made from the text */
    char *law;                /* field with the known law {answer: probability}; NULL: none */
    sc_config_choices choices;
    char *choices_file; /* absolute, one class per line, aliases separated by tabs; NULL: none */
    int64_t limit;      /* first rows used (of a text: tokens), SC_CONFIG_UNSET: all */
    struct sc_config_collapse_list {
        sc_config_collapse *at;
        size_t n;
    } collapse; /* kinds of B; the first is the one reports show first. Never an axis of generation */
    sc_config_shots shots;
    sc_config_texts styles; /* subset of the config's styles; n = 0: all */
    sc_config_texts models; /* subset of the models by name; n = 0: all */
    /* Texts only */
    char *context;             /* field of a text before the document, read but not scored; NULL: none */
    int64_t window;            /* tokens per chunk, SC_CONFIG_UNSET: the model's context, at most 512 */
    int64_t overlap;           /* tokens of a chunk that are context alone, scored in the chunk before */
    sc_config_classes classes; /* built-in map from tokens to classes */
    char *classes_file;        /* absolute, one class label per token id; NULL: the built-in map */
} sc_config_dataset;

/* How a style asks and when an answer ends. The prompt is `shots` times (`shot` `separator`) and then `prompt`;
 * {question} and {answer} stand for the row's texts, any other text for itself. */
typedef struct sc_config_style {
    char *name;
    sc_config_ints max_tokens; /* swept */
    sc_config_texts stop;      /* a list by nature */
    sc_config_ints shots;      /* swept; n = 0: as many as the dataset's shots.n */
    char *system;              /* system message of chat templates; NULL: none */
    char *prompt, *shot, *separator;
} sc_config_style;

typedef struct sc_config_sampling {
    sc_config_ints draws;        /* M, swept */
    sc_config_reals temperature; /* swept */
    sc_config_ints estimator;    /* sc_config_estimator, swept */
    double epsilon;              /* exact and hybrid: unexplored mass at which enumeration stops */
    int64_t max_forward_tokens;  /* per question, SC_CONFIG_UNSET: no budget */
    int64_t tail_draws;          /* R, hybrid: draws from what enumeration did not find */
    int64_t batch;               /* live nodes per call, SC_CONFIG_UNSET: as the source advises */
} sc_config_sampling;

typedef struct sc_config_store {
    int64_t top_k; /* most probable tokens kept per node */
    bool full_logits;
    double commit_seconds;
    int64_t compression; /* deflate level, 0: none */
} sc_config_store;

typedef struct sc_config_analyze {
    int64_t bootstrap; /* replicates over questions */
    double level;      /* of the intervals */
    int64_t floor_redraws;
    int64_t splits;       /* random halves of the split estimator */
    int64_t folds;        /* of cross-fitted gaps */
    double flag_share;    /* a row is flagged when truncated or unparsed passes this share */
    double reliable_mass; /* mass found below which mass and exact leave a question out */
} sc_config_analyze;

/* How early responses decide what they mean; see experiment/mechanism.h. */
typedef struct sc_config_mechanism {
    int64_t questions;          /* first so many questions; 0: off */
    int64_t draws;              /* first so many draws of each */
    int64_t positions;          /* P */
    int64_t forks;              /* R */
    int64_t max_forward_tokens; /* enumeration tried first at each prefix, 0: never */
    double epsilon;             /* it has finished at this unexplored mass */
} sc_config_mechanism;

/* Cells beyond the product, e.g. positive controls. An empty list means: as in the rest of the config. */
typedef struct sc_config_extra {
    char *model, *dataset, *style;
    sc_config_reals temperature;
    sc_config_ints draws, estimator, max_tokens, shots;
} sc_config_extra;

typedef struct sc_config {
    char *name;
    int64_t seed;
    struct sc_config_model_list {
        sc_config_model *at;
        size_t n;
    } models;
    struct sc_config_dataset_list {
        sc_config_dataset *at;
        size_t n;
    } datasets;
    sc_config_texts styles; /* names; the default is the built-in three */
    sc_config_sampling sampling;
    struct sc_config_style_list {
        sc_config_style *at;
        size_t n;
    } style; /* one per name in styles or extra, and whatever else the file describes */
    sc_config_store store;
    sc_config_analyze analyze;
    sc_config_mechanism mechanism;
    struct sc_config_extra_list {
        sc_config_extra *at;
        size_t n;
    } extra;
} sc_config;

/* Reads `path`, applies `set` (each "key=value", the value read as YAML; list items are addressed by name or index:
 * "datasets.world.limit=10", "models[0].gemm=own"), checks everything that needs no other file.
 * SEMCAL_E_DATA when the file cannot be read, SEMCAL_E_CONFIG for what is in it. Free with sc_config_free. */
semcal_status sc_config_load(sc_config **config, const char *path, const char *const *set, size_t n_set,
                             semcal_error *error);

/* The same from text; `label` stands for the file in messages, `folder` is where relative paths start. */
semcal_status sc_config_parse(sc_config **config, const char *text, size_t length, const char *label,
                              const char *folder, const char *const *set, size_t n_set, semcal_error *error);

void sc_config_free(sc_config *config);

/* Appends the resolved configuration as YAML: every key with its value, defaults included, paths absolute. Loading it
 * again gives the same configuration and the same text. */
semcal_status sc_config_resolved(sc_text *yaml, const sc_config *config, semcal_error *error);

/* Appends the reference of every key (type, default, range, help): text for people, or JSON. */
semcal_status sc_config_describe(sc_text *text, bool json, semcal_error *error);

/* Whether the dataset is plain text: one cell per model and temperature, no questions, no styles. */
bool sc_config_is_text(const sc_config_dataset *dataset);

/* By name; NULL when there is none. */
const sc_config_model *sc_config_find_model(const sc_config *config, const char *name);
const sc_config_dataset *sc_config_find_dataset(const sc_config *config, const char *name);
const sc_config_style *sc_config_find_style(const sc_config *config, const char *name);
/* The dataset's collapse of that kind; NULL when it names none. */
const sc_config_collapse *sc_config_find_collapse(const sc_config_dataset *dataset, const char *kind);

/* "tree", "chain", "exact", "hybrid". */
const char *sc_config_estimator_name(sc_config_estimator estimator);

#endif
