/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures: a gnuplot script and a data file written by this program, a picture drawn by gnuplot from them.
 *
 * Coordinates of the layout are pixels from the upper left corner of the SVG; the script holds them as fractions.
 * Scripts name colours by the variables of `palette` below; each has a counterpart for dark pages, which the picture's
 * style sheet puts in when the reader prefers dark.
 */
#ifndef SC_EXPERIMENT_REPORT_FIGURE_H
#define SC_EXPERIMENT_REPORT_FIGURE_H

#include "experiment/report_text.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct sc_report_colour {
    const char *name, *light, *dark; /* "#rrggbb" */
} sc_report_colour;
extern const sc_report_colour sc_report_palette[];
extern const size_t sc_report_n_colours;

/* The colour for item i of a list that needs telling apart (cycles). */
const char *sc_report_colour_of(size_t i);

typedef struct sc_report_figure {
    char *name, *title, *reading; /* file name without ending, what it shows, how to read it */
    char *svg;                    /* to stand inside a page; NULL: not drawn */
    bool of_cell;                 /* one of many alike, shown at the end */
    int width, height;
    size_t n_blocks; /* data blocks so far: the next one's `index` */
    sc_report_text script, data;
} sc_report_figure;

typedef struct sc_report_figures {
    const char *folder, *gnuplot;
    sc_report_figure *at;
    size_t n, capacity, n_drawn;
    bool absent;        /* there is no gnuplot */
    sc_text complaints; /* what gnuplot said, one line per figure that failed */
} sc_report_figures;

/* Begins a figure; it stays valid until the next one begins. NULL on exhaustion. */
sc_report_figure *sc_report_figure_begin(sc_report_figures *figures, const char *name, int width, int height,
                                         const char *title, const char *reading, semcal_error *error);

/* Writes NAME.gp and NAME.dat and has them drawn. A gnuplot that is missing or fails is no error of the report. */
semcal_status sc_report_figure_end(sc_report_figures *figures, semcal_error *error);
void sc_report_figures_free(sc_report_figures *figures);

/* Parts of a script. A panel is the rectangle of the axes of the next `plot`. */
void sc_report_panel(sc_report_figure *figure, double x, double y, double width, double height);
/* Text at (x, y); align is "left", "center" or "right"; size in points, bold when negative. Kept until the script says
 * `unset label`. */
void sc_report_label(sc_report_figure *figure, double x, double y, const char *align, const char *colour, int size,
                     const char *text);
/* Ends the plot and its labels. */
void sc_report_panel_end(sc_report_figure *figure);

/* Ends a data block; returns its index. */
size_t sc_report_block_end(sc_report_figure *figure);

/* Runs `gnuplot -d NAME.gp` in `folder`. *absent when the program cannot be started; `complaint` receives the first
 * line it wrote on stderr when it failed ("" otherwise). */
semcal_status sc_report_gnuplot(bool *absent, char complaint[256], const char *gnuplot, const char *folder,
                                const char *script, semcal_error *error);

/* The picture as gnuplot wrote it -> with a title, names of its own, and colours that follow the page. */
semcal_status sc_report_svg(sc_report_text *standalone, char **inside, const char *raw, const sc_report_figure *figure,
                            size_t number, semcal_error *error);

/* The style sheet of inline figures: selectors below `scope`. */
void sc_report_svg_style(sc_report_text *out, const char *scope);

#endif
