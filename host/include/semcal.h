/* SPDX-License-Identifier: Apache-2.0 */
/*
 * semcal: semantic calibration and loss optimality of language models.
 *
 * This is the only public header. Conventions that hold for every function here:
 *   - 0 (SEMCAL_OK) is success; everything else is a semcal_status.
 *   - out-parameters come first, option structs have an initializer and NULL means it, `semcal_error *` comes last and
 *     may be NULL. After a failure out-parameters hold nothing to free.
 *   - what a function hands out through a pointer to a pointer is the caller's: free() for texts and arrays, the
 *     `_free` function of its type for handles (NULL is fine there).
 *   - logarithms are natural, losses and log-probabilities are in nats; texts are UTF-8, NUL-terminated unless a length
 *     stands beside them.
 *   - the library never prints, never exits and keeps no global state. One handle is used by one thread at a time;
 *     a tokenizer by any number of them.
 *
 * Until version 1.0 members may be added at the end of structs: recompile when the version changes.
 *
 * THEORY.md explains every quantity. A first program:
 *
 *     semcal_error error = SEMCAL_ERROR_INIT;
 *     semcal_calibration result;
 *     if (semcal_calibration_compute(&result, confidence, correct, n, NULL, &error) != SEMCAL_OK) {
 *         fprintf(stderr, "%s\n", error.message);
 *     }
 *     printf("smECE %.3f, of which label noise %.3f\n", result.smece, result.smece_floor);
 */
#ifndef SEMCAL_H
#define SEMCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status and errors ------------------------------------------------------------------------------------- */

/* What a call came to. The values below SEMCAL_E_MEMORY are also the exit codes of the program. */
typedef enum semcal_status {
    SEMCAL_OK = 0,           /* done */
    SEMCAL_PARTIAL = 1,      /* finished, but some cells failed; they are listed */
    SEMCAL_E_CONFIG = 2,     /* usage or configuration */
    SEMCAL_E_DATA = 3,       /* a file or its contents */
    SEMCAL_E_DEVICE = 4,     /* OpenCL: no such device, build failure, out of device memory */
    SEMCAL_E_NUMERIC = 5,    /* NaN, +inf, a law without mass */
    SEMCAL_E_MEMORY = 6,     /* out of host memory (exit code 4) */
    SEMCAL_INTERRUPTED = 130 /* stopped cleanly, everything finished so far is committed */
} semcal_status;

#define SEMCAL_ERROR_SIZE 2048

/* Receives the first error of a call. `message` reads "where: what, what to do", one line, UTF-8. */
typedef struct semcal_error {
    semcal_status status;
    char message[SEMCAL_ERROR_SIZE];
} semcal_error;

#define SEMCAL_ERROR_INIT                                                                                              \
    {                                                                                                                  \
        SEMCAL_OK, ""                                                                                                  \
    }

/* The process exit code documented for a status. */
int semcal_status_exit_code(semcal_status status);

/* "0.1.0" */
const char *semcal_version(void);

/* The git commit this library was built from, or "unknown". */
const char *semcal_commit(void);

/* ---- calibration of pairs (confidence, correctness) -------------------------------------------------------- */

typedef struct semcal_calibration_options {
    uint64_t seed;      /* of resampling */
    const char *name;   /* of the random streams, so that two samples under one seed differ */
    size_t n_bootstrap; /* replicates of the intervals; 0: none */
    size_t n_floor;     /* redraws of the noise floor; 0: none */
    size_t n_draws;     /* M behind each confidence, for log_loss_smoothed; 0: unknown */
    size_t n_folds;     /* of the cross-fitted loss gaps; 0: none */
    unsigned n_threads; /* 0: as many as the machine has. Results do not depend on it. */
} semcal_calibration_options;

#define SEMCAL_CALIBRATION_OPTIONS_INIT                                                                                \
    {                                                                                                                  \
        1, "", 1000, 400, 0, 5, 0                                                                                      \
    }

/* What a sample of pairs says. A number that was not asked for or cannot be had is NaN. Intervals are basic bootstrap
 * intervals over pairs, 95 %. */
typedef struct semcal_calibration {
    size_t n;
    double accuracy, accuracy_ci[2];
    double mean_confidence;
    double overconfidence, overconfidence_ci[2]; /* mean confidence minus accuracy */
    double smece, smece_ci[2];                   /* SmoothECE, exact definition, at its own width */
    double smece_sigma;                          /* that width */
    double smece_005;                            /* SmoothECE at width .05 */
    double smece_floor, smece_floor_95;          /* of a calibrated model with these confidences: mean, 95 % point */
    double smece_relplot;                        /* as the Python package relplot 1.0.3 prints it */
    double ece_10, brier, auroc;
    double log_loss;          /* nats; +inf when an outcome had confidence 0, then ... */
    size_t log_loss_infinite; /* ... this many had */
    double log_loss_smoothed; /* at (M c + 1/2) / (M + 1) */
    double smce, dsmce;       /* smooth calibration error, and its dual in log-odds */
    /* What the best tilt of a family saves, nats per question (squared error for sq): in sample, and fitted on other
     * questions than it is scored on. */
    double pgap_shift, pgap_affine, pgap_lipschitz, pgap_isotonic, pgap_sq;
    double pgap_shift_crossfit, pgap_affine_crossfit, pgap_lipschitz_crossfit, pgap_isotonic_crossfit, pgap_sq_crossfit;
} semcal_calibration;

/* confidence[n] in [0, 1]; correct[n] is 0 or 1, or the known probability of being right. n >= 1.
 * SEMCAL_E_NUMERIC naming the pair that is out of range. */
semcal_status semcal_calibration_compute(semcal_calibration *out, const double *confidence, const double *correct,
                                         size_t n, const semcal_calibration_options *options, semcal_error *error);

/* SmoothECE alone (Blasiok and Nakkiran, ICLR 2024), near linear in n, to 1e-5: at its fixed point; at a given width
 * (>= 2^-17); and as relplot prints it (`width`, may be NULL, receives the width it chose). Same arguments, same
 * errors.
 */
semcal_status semcal_smece_exact(double *smece, const double *confidence, const double *correct, size_t n,
                                 semcal_error *error);
semcal_status semcal_smece_at(double *smece, double width, const double *confidence, const double *correct, size_t n,
                              semcal_error *error);
semcal_status semcal_smece_relplot(double *smece, double *width, const double *confidence, const double *correct,
                                   size_t n, semcal_error *error);

/* ---- from a response to the class of its meaning ----------------------------------------------------------- */

/* What is known about the question beside the response. */
typedef struct semcal_collapse_context {
    const char *question;       /* may be NULL */
    const char *const *answers; /* [n_answers] accepted answers */
    size_t n_answers;           /* 0: nothing is correct */
    const char *const *choices; /* [n_choices] a closed list; aliases follow the name behind tabs: "yes\tyeah\tyep" */
    size_t n_choices;
} semcal_collapse_context;

#define SEMCAL_COLLAPSE_CONTEXT_INIT                                                                                   \
    {                                                                                                                  \
        NULL, NULL, 0, NULL, 0                                                                                         \
    }

typedef struct semcal_class {
    char *label;  /* free(); equal labels, equal class; "" for the class `unparsed` */
    bool parsed;  /* something was found */
    bool correct; /* the class of an accepted answer */
} semcal_class;

/* The class of `response` under the collapse `kind` ("exact", "numeric", "math", "alias", "choice"; "model" needs a
 * judge: semcal_run_collapse). `context` may be NULL. SEMCAL_E_CONFIG: no such kind (the message names the nearest);
 * SEMCAL_E_DATA: choices missing, blank or ambiguous. */
semcal_status semcal_collapse_classify(semcal_class *out, const char *kind, const semcal_collapse_context *context,
                                       const char *response, semcal_error *error);

/* ---- text and tokens --------------------------------------------------------------------------------------- */

typedef struct semcal_tokenizer semcal_tokenizer;

/* Opens a model folder that holds tokenizer.json (Hugging Face), or that file. SEMCAL_E_DATA names what is wrong. */
semcal_status semcal_tokenizer_open(semcal_tokenizer **out, const char *path, semcal_error *error);
void semcal_tokenizer_free(semcal_tokenizer *tokenizer);

/* `length` bytes of UTF-8 to `*n_ids` ids; `special` puts the tokenizer's own special tokens around them.
 * SEMCAL_E_DATA with the byte offset when the text is not UTF-8. */
semcal_status semcal_tokenizer_encode(int32_t **ids, size_t *n_ids, const semcal_tokenizer *tokenizer, const char *text,
                                      size_t length, bool special, semcal_error *error);

/* Ids to valid UTF-8 (ill-formed parts become U+FFFD), one NUL more than `*length`. */
semcal_status semcal_tokenizer_decode(char **text, size_t *length, const semcal_tokenizer *tokenizer,
                                      const int32_t *ids, size_t n_ids, bool skip_special, semcal_error *error);

/* ---- a model on an OpenCL device --------------------------------------------------------------------------- */

typedef struct semcal_model semcal_model;

/* Opens a Hugging Face folder (config.json, *.safetensors; Llama, Mistral, Qwen2, Qwen3). `device` is "P:D" or part of
 * a device's name, NULL for the best one. SEMCAL_E_DATA, SEMCAL_E_DEVICE. */
semcal_status semcal_model_open(semcal_model **out, const char *folder, const char *device, semcal_error *error);
void semcal_model_free(semcal_model *model);

/* One more than the largest token id; longest sequence, 0 when there is no limit. */
size_t semcal_model_vocabulary(const semcal_model *model);
size_t semcal_model_context(const semcal_model *model);

/* Teacher forcing: logprobs[i] = log-probability, nats, of tokens[i + 1] after tokens[0..i], for i = 0 .. n-2.
 * n >= 1. SEMCAL_E_DATA: a token out of range, more tokens than the context. */
semcal_status semcal_model_score(semcal_model *model, double *logprobs, const int32_t *tokens, size_t n,
                                 semcal_error *error);

/* ---- whole experiments: what the program does with a configuration ----------------------------------------- */

typedef struct semcal_run_options {
    const char *const *set; /* [n_set] "key=value" over the configuration, as --set */
    size_t n_set;
    const char *device;       /* as in semcal_model_open */
    unsigned shard, n_shards; /* from 1; 1 of 1: everything */
    bool fresh;               /* forget what the folder holds instead of resuming */
    /* Asked between device calls; true stops with SEMCAL_INTERRUPTED after a commit. May be NULL. */
    bool (*stopped)(void *payload);
    /* Lines for people, without newline: warnings, cells that failed. One at a time, also from another thread. May be
     * NULL. */
    void (*log)(const char *line, void *payload);
    void *payload;
} semcal_run_options;

#define SEMCAL_RUN_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        NULL, 0, NULL, 1, 1, false, NULL, NULL, NULL                                                                   \
    }

typedef struct semcal_run_summary {
    size_t n_cells, n_finished, n_failed; /* n_finished counts those that were finished before, too */
    uint64_t n_questions;                 /* generated this time */
    uint64_t draw_tokens, forward_tokens; /* tokens drawn; tokens run through models for them */
    double wall_s;
} semcal_run_summary;

/* Generates, stores and collapses every cell of the configuration file `config` into `folder`; resumes what is there.
 * `summary` may be NULL. SEMCAL_PARTIAL when some cells failed, SEMCAL_INTERRUPTED after a clean stop, SEMCAL_E_CONFIG
 * for what is in the file or when the folder holds a run of another configuration. */
semcal_status semcal_run_execute(semcal_run_summary *summary, const char *config, const char *folder,
                                 const semcal_run_options *options, semcal_error *error);

/* Analyses the finished cells of a run folder, writes FOLDER/analysis.h5, and gives every number as JSON text, free().
 * `collapse` names one of the collapses applied, NULL the active one. SEMCAL_E_DATA when there is no finished cell. */
semcal_status semcal_run_analyze(char **json, const char *folder, const char *collapse, semcal_error *error);

/* Applies another collapse kind to every finished cell; it becomes the active one. Under "model" the judge is the one
 * that the configuration of the run names, else the model that gave the responses. */
semcal_status semcal_run_collapse(const char *folder, const char *kind, semcal_error *error);

#ifdef __cplusplus
}
#endif
#endif
