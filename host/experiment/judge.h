/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge of the collapse kind `model`: a language model that is shown each distinct response with its question and
 * continues a fixed prompt, greedily, by the short answer of the response.
 *
 *     RUN/judge/<first 16 digits of judge_sha256>.jsonl    first line: the judge; then a line per response judged
 *
 * The file is why nothing is judged twice: not by a run that was stopped, nor for other cells with the same responses,
 * nor when a cell is collapsed again. judge_sha256 is over everything that decides a reply (weights, tokenizer,
 * prompt, ending, chat template, device, kernels), so replies of another judge are never taken for its own; each line
 * carries a checksum, and one that does not fit is judged again. What the cell files hold does not depend on it.
 */
#ifndef SC_EXPERIMENT_JUDGE_H
#define SC_EXPERIMENT_JUDGE_H

#include "experiment/config.h"
#include "experiment/store.h"
#include "meaning/collapse.h"
#include "source/source.h"

/* The kind's name in configurations. */
#define SC_JUDGE_KIND "model"
/* The attribute of a collapse with a digest of its keys in the configuration. */
#define SC_JUDGE_SETTINGS "judge_settings_sha256"

typedef struct sc_judge_options {
    const sc_config_collapse *config;
    const sc_config_model *model; /* sc_judge_model */
    sc_source *source;            /* of that model */
    const char *folder;           /* RUN; NULL: replies are not kept */
    double commit_seconds;        /* replies are on disk after so long at most */
    size_t batch;                 /* prompts at once; 0: what the source likes */
    /* Asked after every device call; true stops with SEMCAL_INTERRUPTED. May be NULL. */
    bool (*stopped)(void *payload);
    void *payload;
} sc_judge_options;

/* The model that judges responses of `own` under `config`. Texts are borrowed from both. */
void sc_judge_model(sc_config_model *model, const sc_config_collapse *config, const sc_config_model *own);

/* SEMCAL_E_CONFIG when a judge that a dataset names by its path is no model folder. */
semcal_status sc_judge_check(const sc_config *config, semcal_error *error);

/* Appends a path given on a command line as a value for an override of the configuration: absolute, as those of the
 * configuration start at its own folder, and quoted for YAML. */
semcal_status sc_judge_put_path(sc_text *out, const char *path, semcal_error *error);

/* Digest of the keys of `config`. */
semcal_status sc_judge_settings(char hex[65], const sc_config_collapse *config, semcal_error *error);

/* Replies by response. */
typedef struct sc_judged sc_judged;

/* An empty one; the source is used by sc_judged_run alone. Free with sc_judged_free. */
semcal_status sc_judged_make(sc_judged **judged, const sc_judge_options *options, semcal_error *error);
void sc_judged_free(sc_judged *judged);
/* Asks for the reply to a response, once; blank ones are not asked about. `id` names the question. */
semcal_status sc_judged_want(sc_judged *judged, const char *id, const char *question, const char *response,
                             semcal_error *error);
/* Gets the replies that are wanted: from RUN/judge, else from the model. SEMCAL_E_DATA naming the question whose prompt
 * is longer than the judge's context. */
semcal_status sc_judged_run(sc_judged *judged, semcal_error *error);
/* For collapsing, on any thread. Lives as long as `judged`. */
const sc_collapse_judge *sc_judged_judge(const sc_judged *judged);
/* What the judge is, for the file it made classes for. */
const sc_store_attribute *sc_judged_attributes(const sc_judged *judged, size_t *n);
/* How many responses there were to judge, and for how many the model had to be asked now. */
void sc_judged_counts(const sc_judged *judged, uint64_t *n_wanted, uint64_t *n_asked);

/* All of that for the responses of a finished cell file and of its mechanism. */
semcal_status sc_judge_cell(sc_judged **judged, const char *cell_path, const sc_judge_options *options,
                            semcal_error *error);

#endif
