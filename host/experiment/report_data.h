/* SPDX-License-Identifier: Apache-2.0 */
/* What a report shows: the analysis of a run, and per cell the questions behind it. */
#ifndef SC_EXPERIMENT_REPORT_DATA_H
#define SC_EXPERIMENT_REPORT_DATA_H

#include "experiment/analyze.h"
#include "experiment/report.h"
#include "experiment/run_state.h"

/* One class of a question, with a response that was drawn. */
typedef struct sc_report_class {
    char *label, *sample;
    int32_t count;
    double mass;
    bool correct;
} sc_report_class;

/* A question whose confidence is far above what it deserves. */
typedef struct sc_report_question {
    uint64_t index;
    char *id, *question, *references;
    double confidence, deserved; /* the known probability that the mode is right, otherwise its correctness */
    sc_report_class *classes;    /* [n_classes] most drawn first */
    size_t n_classes;
} sc_report_question;

enum { SC_REPORT_WORST = 5 }; /* questions shown per cell */

typedef struct sc_report_cell {
    const sc_analysis_cell *numbers; /* borrowed */
    const sc_analysis_text *text;    /* borrowed; NULL: not a cell of text */
    const sc_cell *plan;
    char *variant; /* the row of a grid: model, and what else tells cells of one dataset and style apart */
    size_t n;
    uint64_t *index;              /* [n] of the question in the dataset */
    double *confidence, *correct; /* [n] by frequency */
    double *known;                /* [n] known probability of being right, NaN: unknown */
    double *entropy;              /* [n] semantic entropy by counts, nats */
    double least, most;           /* confidence */
    double band_low[SC_ANALYSIS_CURVE], band_high[SC_ANALYSIS_CURVE]; /* 95 % band of the curve by frequency */
    double known_curve[SC_ANALYSIS_CURVE];                            /* the curve of `known`, NaN: unknown */
    sc_report_question worst[SC_REPORT_WORST];
    size_t n_worst;
    char *device, *version; /* what made it */
    double weight_bytes;    /* of the model, 0: not known */
} sc_report_cell;

typedef struct sc_report_data {
    const char *run; /* the folder */
    sc_run_state state;
    sc_analysis analysis;
    sc_report_cell *cells; /* [analysis.n_cells] */
    size_t n_cells;
    const char **datasets, **styles, **variants; /* those of the cells, in order of appearance; borrowed */
    size_t n_datasets, n_styles, n_variants;
    struct sc_report_tokens *tokens; /* next-token calibration, NULL: there are no text cells */
} sc_report_data;

/* The text cells of a run in the shape of the others, so that the same figures show them: tokens for questions, the
 * most probable token for the mode. There are no questions (n = 0) and no model floor. */
typedef struct sc_report_tokens {
    sc_report_data cells;     /* of text alone */
    sc_analysis_cell *shapes; /* what cells.cells[i].numbers points at */
} sc_report_tokens;

semcal_status sc_report_data_read(sc_report_data *data, const char *run, const sc_report_options *options,
                                  semcal_error *error);
void sc_report_data_free(sc_report_data *data);

/* The cell of a place in a grid, or NULL. */
const sc_report_cell *sc_report_data_find(const sc_report_data *data, const char *dataset, const char *style,
                                          const char *variant);

/* All cells of both kinds, borrowed from `data`: free `all->cells` and its lists with sc_report_data_join_free. */
semcal_status sc_report_data_join(sc_report_data *all, const sc_report_data *data, semcal_error *error);
void sc_report_data_join_free(sc_report_data *all);

/* Fills data->tokens (report_tokens_data.c). */
semcal_status sc_report_tokens_read(sc_report_data *data, const sc_report_options *options, semcal_error *error);
void sc_report_tokens_free(sc_report_data *data);

/* datasets, styles, variants of data->cells. */
semcal_status sc_report_data_list(sc_report_data *data, semcal_error *error);

/* The floor that a cell's smECE is read against: the model floor, where there is none the noise floor. */
double sc_report_cell_floor(const sc_analysis_cell *cell);

/* How a cell's smECE stands against the floors. */
typedef enum sc_report_verdict {
    SC_REPORT_UNKNOWN, /* no floor */
    SC_REPORT_WITHIN,  /* not above the 95 % point of the floor: no miscalibration shown */
    SC_REPORT_ABOVE
} sc_report_verdict;
sc_report_verdict sc_report_cell_verdict(const sc_analysis_cell *cell);

/* Below the curve's point i there are about this many questions. */
double sc_report_cell_support(const sc_report_cell *cell, size_t i);

/* True when point i lies between the smallest and the largest confidence. */
bool sc_report_cell_in_range(const sc_report_cell *cell, size_t i);

/* The most overconfident questions of a cell (report_worst.c). */
semcal_status sc_report_worst(sc_report_cell *cell, const char *path, const char *collapse, semcal_error *error);
void sc_report_worst_free(sc_report_cell *cell);

#endif
