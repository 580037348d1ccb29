/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source of laws that is a language model on a device.
 *
 * open and extend only note prefixes; laws runs one forward over everything not yet computed, prompts and single tokens
 * together, then reads draws and log-probabilities off the logits where they lie. Prefixes share pages of keys and
 * values along the tree; prompts with a common beginning share its full pages.
 */
#ifndef SC_SOURCE_MODEL_H
#define SC_SOURCE_MODEL_H

#include "model/model.h"
#include "source/source.h"

typedef struct sc_source_model_options {
    sc_model_options model;
    bool no_prefix_sharing; /* compute every prompt in full, also when its beginning is known */
    bool no_tokenizer;      /* for folders without one: encode then fails, decode gives token numbers */
} sc_source_model_options;
#define SC_SOURCE_MODEL_OPTIONS_INIT                                                                                   \
    {                                                                                                                  \
        SC_MODEL_OPTIONS_INIT, false, false                                                                            \
    }

/* Opens a Hugging Face model folder. The device must outlive the source. `options` may be NULL. */
semcal_status sc_source_model_open(sc_source **source, const char *folder, sc_device *device,
                                   const sc_source_model_options *options, semcal_error *error);

/* The same with random bf16 weights of a given shape and no tokenizer, for benchmarks. */
semcal_status sc_source_model_open_random(sc_source **source, const sc_model_config *config, sc_device *device,
                                          const sc_source_model_options *options, semcal_error *error);

#endif
