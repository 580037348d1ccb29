/* SPDX-License-Identifier: Apache-2.0 */
/* The sources of a run: one open at a time, on one device, opened when first needed. */
#ifndef SC_EXPERIMENT_SOURCES_H
#define SC_EXPERIMENT_SOURCES_H

#include "device/device.h"
#include "experiment/config.h"
#include "source/source.h"

typedef struct sc_sources {
    char *selector;
    bool profile;          /* measure every kernel */
    sc_phases *phases;     /* told to device and sources; may be NULL */
    sc_device *device;     /* NULL until a model needs it */
    sc_config_model model; /* whose source is open; its texts are borrowed */
    sc_source *source;
} sc_sources;

/* `device` is a selector (device/device.h) or NULL; `profile`: see there. Nothing is opened yet. */
semcal_status sc_sources_init(sc_sources *sources, const char *device, bool profile, sc_phases *phases,
                              semcal_error *error);
/* The source of `model`, whose texts must outlive it; the previous one is closed when it is another. Borrowed. */
semcal_status sc_sources_get(sc_source **source, sc_sources *sources, const sc_config_model *model,
                             semcal_error *error);
/* Whether that would give the source that is open. */
bool sc_sources_is_open(const sc_sources *sources, const sc_config_model *model);
void sc_sources_free(sc_sources *sources);

#endif
