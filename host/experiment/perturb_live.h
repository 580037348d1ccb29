/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows straight from a model that reads a text (teacher forcing): the same laws as `semcal run` has for the same text,
 * cut into chunks as experiment/text_data.h says. Logits stay on the device.
 */
#ifndef SC_EXPERIMENT_PERTURB_LIVE_H
#define SC_EXPERIMENT_PERTURB_LIVE_H

#include "device/rows.h"
#include "experiment/sources.h"

typedef struct sc_perturb_text {
    const char *model, *text;
    const char *field, *context;    /* of .jsonl lines; context NULL: none */
    int64_t window, overlap, limit; /* SC_CONFIG_UNSET: as in a config */
} sc_perturb_text;

typedef struct sc_perturb_live sc_perturb_live;

/* Gets `n` rows: logits on the device, and the tokens that came. */
typedef semcal_status (*sc_perturb_take)(const sc_rows_input *input, const int32_t *target, void *payload,
                                         semcal_error *error);

/* `device`: selector or NULL. Errors of the model, tokenizer and text. */
semcal_status sc_perturb_live_open(sc_perturb_live **live, const sc_perturb_text *text, const char *device,
                                   semcal_error *error);
void sc_perturb_live_close(sc_perturb_live *live);

sc_device *sc_perturb_live_device(const sc_perturb_live *live);
/* Rows in all, tokens of the vocabulary, most rows at once, and what stands for the input in messages and files. */
size_t sc_perturb_live_n_rows(const sc_perturb_live *live);
size_t sc_perturb_live_n_vocabulary(const sc_perturb_live *live);
size_t sc_perturb_live_batch(const sc_perturb_live *live);
const char *sc_perturb_live_label(const sc_perturb_live *live);

/* What the file says of model and text: attribute `i`, its name and text. */
enum { SC_PERTURB_LIVE_FACTS = 7 };
const char *sc_perturb_live_fact(const sc_perturb_live *live, size_t i, const char **name);

/* Reads the whole text; `take` gets every row once, in order. */
semcal_status sc_perturb_live_run(sc_perturb_live *live, sc_perturb_take take, void *payload, semcal_error *error);

#endif
