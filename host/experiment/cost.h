/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plan will cost, guessed from file sizes and headers; nothing runs.
 *
 * Exact: questions, draws, weights, bytes of keys and values per token. Measured on some questions: tokens of a prompt
 * (without a tokenizer guessed from its bytes). Guessed: tokens of a response, how much draws share, time. The guesses
 * are constants in cost.c and told by sc_cost_assumptions.
 */
#ifndef SC_EXPERIMENT_COST_H
#define SC_EXPERIMENT_COST_H

#include "experiment/plan.h"

/* A dataset as far as cost goes. */
typedef struct sc_cost_dataset {
    int64_t n_questions;   /* after `limit` */
    double question_bytes; /* mean */
    double shot_bytes;     /* mean of question plus response over the examples; 0 without */
    double text_bytes;     /* of a text for next-token calibration; n_questions is then 0 */
} sc_cost_dataset;

/* A model as far as cost goes; zeros for sources without weights. */
typedef struct sc_cost_model {
    uint64_t n_parameters, weight_bytes;
    uint64_t kv_bytes_per_token;
    uint64_t n_vocabulary;
    uint64_t n_logits;  /* V of a law that is kept as a whole; known for sources without weights, too */
    uint64_t n_context; /* 0: no limit */
} sc_cost_model;

typedef struct sc_cost_cell {
    int64_t n_questions;
    double draws;               /* questions x M */
    double prompt_tokens;       /* per question */
    double forward_tokens;      /* of the cell, with the guessed sharing */
    double forward_tokens_most; /* without any sharing, every response as long as allowed */
    double judge_tokens;        /* those of forward_tokens that a judge reads and says (collapse kind model) */
    double device_bytes;        /* weights, and keys and values of one question at its worst */
    double disk_bytes;
    double logits_bytes; /* of them, laws kept as a whole (store.full_logits) */
    double time_s;
    bool too_long; /* prompt and response may pass the model's context */
} sc_cost_cell;

typedef struct sc_cost {
    sc_cost_dataset *datasets; /* by index in the configuration */
    sc_cost_model *models;
    sc_cost_model *judges; /* by dataset; of one that judges itself, or has no judge, zeros; may be NULL */
    sc_cost_cell *cells;   /* [plan.n_cells] */
    double *prompt_tokens; /* [plan.n_cells] measured (of a text: all its tokens), 0: not known; may be NULL */
    sc_cost_cell total;    /* sums; device_bytes is the largest */
    unsigned n_threads;    /* cores the time is guessed for */
} sc_cost;

/* Opens the datasets and the headers of the models. SEMCAL_E_DATA when one of them cannot be read. Free with
 * sc_cost_free. */
semcal_status sc_cost_estimate(sc_cost *cost, const sc_config *config, const sc_plan *plan, semcal_error *error);
void sc_cost_free(sc_cost *cost);

/* The same from sizes known already: fills cells and total (pure). */
void sc_cost_cells(sc_cost *cost, const sc_config *config, const sc_plan *plan);

/* Whole laws beyond this are worth a warning. */
#define SC_COST_MANY_LOGITS 10737418240.0

/* One line per assumption behind the guesses. */
semcal_status sc_cost_assumptions(sc_text *text, const sc_cost *cost, semcal_error *error);

#endif
