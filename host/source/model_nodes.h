/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the model source: prefixes, their pages, and the rows gathered for the next forward. */
#ifndef SC_SOURCE_MODEL_NODES_H
#define SC_SOURCE_MODEL_NODES_H

#include "device/rows.h"
#include "language/tokenizer.h"
#include "model/model.h"
#include "model/pages.h"
#include "source/source.h"

/* A prefix. It is *placed* once it has pages and its rows are with the device; until then its parent stays. */
typedef struct sc_model_node {
    uint32_t holders; /* the user's handle, and children not yet placed */
    int32_t parent;   /* node, -1: a prompt, or no longer needed */
    int32_t length;   /* tokens of the prefix */
    int32_t token;    /* the last of them */
    int32_t *prompt;  /* [length] of a prompt until placed */
    int32_t *pages;   /* [ceil(length / SC_PAGE)] once placed */
    bool placed;
} sc_model_node;

/* Rows gathered for the next forward. */
typedef struct sc_model_build {
    int32_t *token, *position, *table, *output; /* [max rows] */
    int32_t *pages, *copy;                      /* copy [n_copies, 2]: pages (to, from) */
    size_t n_rows, n_outputs, n_pages, pages_capacity, n_copies, copy_capacity;
    size_t first_request; /* request row of output 0; outputs are consecutive rows of the request */
    uint64_t number;      /* of this build, never 0 */
} sc_model_build;

typedef struct sc_source_model {
    sc_source base;
    sc_model *model;
    sc_rows *rows;
    sc_tokenizer *tokenizer; /* NULL with no_tokenizer */
    sc_pages *pages;
    bool sharing;
    sc_model_node *nodes;
    size_t n_nodes, nodes_capacity;
    int32_t *free_nodes;
    size_t n_free, free_capacity;
    sc_model_build build;
    uint64_t *written_in;  /* [n_pages] number of the build that last wrote the page */
    uint8_t *written_from; /* [n_pages] first slot of the page that this build writes */
    int32_t *placed;       /* nodes placed by the call under way, to be undone when it fails */
    size_t n_placed, placed_capacity;
    int32_t *path; /* scratch: unplaced ancestors */
    size_t path_capacity;
    size_t *first_draw; /* scratch [max outputs + 1] */
    float *logits;      /* scratch [n_logits_rows, V] of laws that are kept as a whole; NULL until there are some */
    size_t n_logits_rows;
    char description[256];
    char kernels_sha256[65];
    char build_options[1024];
} sc_source_model;

/* Runs what is gathered and reads the laws of its outputs into `result`. */
semcal_status sc_model_build_run(sc_source_model *source, const sc_law_request *request, sc_law_result *result,
                                 semcal_error *error);
/* Adds the node of request row `i`, and whatever of its ancestors is not placed; runs full builds on the way. */
semcal_status sc_model_build_add(sc_source_model *source, size_t i, const sc_law_request *request,
                                 sc_law_result *result, semcal_error *error);
/* After the last build ran: ancestors are let go. After an error: everything placed since is taken back. */
void sc_model_build_commit(sc_source_model *source);
void sc_model_build_undo(sc_source_model *source);

void sc_model_node_drop(sc_source_model *source, int32_t node);

#endif
