/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_figure.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* After Okabe and Ito, told apart by readers with any kind of colour vision; dark ones lightened to equal contrast. */
const sc_report_colour sc_report_palette[] = {
    {"ink", "#1b1b1f", "#ececf0"},   {"mute", "#62666e", "#a3a8b0"},   {"faint", "#d5d8dd", "#44484f"},
    {"paper", "#ffffff", "#17191d"}, {"blue", "#0072b2", "#5ab4ea"},   {"orange", "#d55e00", "#ff8f3f"},
    {"green", "#00875f", "#35c99c"}, {"purple", "#a8558a", "#e39bc8"}, {"yellow", "#b07d00", "#f0c04a"},
    {"brown", "#7a4a21", "#cf9a6b"},
};
const size_t sc_report_n_colours = sizeof sc_report_palette / sizeof *sc_report_palette;

const char *sc_report_colour_of(size_t i)
{
    enum { FIRST = 4 };
    return sc_report_palette[FIRST + i % (sizeof sc_report_palette / sizeof *sc_report_palette - FIRST)].name;
}

static void begin_script(sc_report_figure *figure)
{
    sc_report_text *s = &figure->script;
    sc_report_put(s, "# ");
    sc_report_put_visible(s, figure->title, 0);
    sc_report_put(s, "\n# Change what you like and draw again: gnuplot %s.gp\n", figure->name);
    for (size_t i = 0; i < sc_report_n_colours; i++) {
        sc_report_put(s, "%s = '%s'\n", sc_report_palette[i].name, sc_report_palette[i].light);
    }
    sc_report_put(s,
                  "data = '%s.dat'\nW = %d\nH = %d\n"
                  "set encoding utf8\n"
                  "do for [kind in \"svg png\"] {\n"
                  "if (kind eq 'svg') {\n"
                  "    set terminal svg size W,H noenhanced font 'sans-serif,12' rounded background rgb paper\n"
                  "} else {\n"
                  "    set terminal pngcairo size 2*W,2*H noenhanced font 'sans-serif,12' fontscale 1.5 linewidth 2 "
                  "pointscale 2 background rgb paper\n"
                  "}\n"
                  "set output '%s.'.kind\n"
                  "set multiplot\n"
                  "unset key\n"
                  "set border 3 linecolor rgb mute linewidth 0.8\n"
                  "set tics nomirror scale 0.5 textcolor rgb mute font ',10'\nset format '%%g'\n",
                  figure->name, figure->width, figure->height, figure->name);
}

sc_report_figure *sc_report_figure_begin(sc_report_figures *figures, const char *name, int width, int height,
                                         const char *title, const char *reading, semcal_error *error)
{
    if (sc_memory_grow(&figures->at, &figures->capacity, figures->n + 1, sizeof *figures->at, error) != SEMCAL_OK) {
        return NULL;
    }
    sc_report_figure *figure = &figures->at[figures->n];
    *figure = (sc_report_figure){.name = sc_memory_strdup(name, error),
                                 .title = sc_memory_strdup(title, error),
                                 .reading = sc_memory_strdup(reading, error),
                                 .width = width,
                                 .height = height};
    figures->n++;
    if (figure->name == NULL || figure->title == NULL || figure->reading == NULL) {
        return NULL;
    }
    sc_report_text_init(&figure->script, error);
    sc_report_text_init(&figure->data, error);
    begin_script(figure);
    return figure;
}

void sc_report_panel(sc_report_figure *figure, double x, double y, double width, double height)
{
    double w = figure->width, h = figure->height;
    sc_report_put(&figure->script,
                  "set lmargin at screen %.5f; set rmargin at screen %.5f; "
                  "set tmargin at screen %.5f; set bmargin at screen %.5f\n",
                  x / w, (x + width) / w, 1 - y / h, 1 - (y + height) / h);
}

void sc_report_label(sc_report_figure *figure, double x, double y, const char *align, const char *colour, int size,
                     const char *text)
{
    sc_report_text *s = &figure->script;
    sc_report_put(s, "set label ");
    sc_report_put_gnuplot(s, text);
    sc_report_put(s, " at screen %.5f,%.5f %s textcolor rgb %s font '%s,%d' front\n", x / figure->width,
                  1 - y / figure->height, align, colour, size < 0 ? "sans-serif:Bold" : "sans-serif",
                  size < 0 ? -size : size);
}

void sc_report_panel_end(sc_report_figure *figure)
{
    sc_report_put(&figure->script, "unset label; unset arrow; unset object\n");
}

size_t sc_report_block_end(sc_report_figure *figure)
{
    sc_report_put(&figure->data, "\n\n");
    return figure->n_blocks++;
}

static semcal_status write_text(const char *folder, const char *name, const char *ending, const sc_report_text *text,
                                semcal_error *error)
{
    sc_text path = {0};
    semcal_status status = text->status;
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&path, error, "%s/%s%s", folder, name, ending);
    }
    if (status == SEMCAL_OK) {
        status =
            sc_file_write_atomic(path.data, text->text.data != NULL ? text->text.data : "", text->text.length, error);
    }
    sc_text_free(&path);
    return status;
}

static void forget_picture(const char *folder, const char *name, const char *ending)
{
    sc_text path = {0};
    if (sc_text_printf(&path, NULL, "%s/%s%s", folder, name, ending) == SEMCAL_OK) {
        (void)unlink(path.data);
    }
    sc_text_free(&path);
}

/* Reads what gnuplot drew, dresses it and writes it back. */
static semcal_status take_picture(sc_report_figures *figures, sc_report_figure *figure, semcal_error *error)
{
    sc_text path = {0};
    char *raw = NULL;
    size_t length;
    sc_report_text standalone;
    sc_report_text_init(&standalone, error);
    semcal_status status = sc_text_printf(&path, error, "%s/%s.svg", figures->folder, figure->name);
    if (status == SEMCAL_OK) {
        status = sc_file_read(&raw, &length, path.data, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_report_svg(&standalone, &figure->svg, raw, figure, figures->n, error);
    }
    if (status == SEMCAL_OK) {
        status = write_text(figures->folder, figure->name, ".svg", &standalone, error);
        figures->n_drawn += status == SEMCAL_OK;
    }
    sc_report_text_free(&standalone);
    sc_text_free(&path);
    free(raw);
    return status;
}

semcal_status sc_report_figure_end(sc_report_figures *figures, semcal_error *error)
{
    sc_report_figure *figure = &figures->at[figures->n - 1];
    sc_report_put(&figure->script, "unset multiplot\n}\nunset output\n");
    semcal_status status = write_text(figures->folder, figure->name, ".gp", &figure->script, error);
    if (status == SEMCAL_OK) {
        status = write_text(figures->folder, figure->name, ".dat", &figure->data, error);
    }
    sc_report_text_free(&figure->script);
    sc_report_text_free(&figure->data);
    forget_picture(figures->folder, figure->name, ".svg");
    forget_picture(figures->folder, figure->name, ".png");
    if (status != SEMCAL_OK || figures->absent) {
        return status;
    }
    char complaint[256], script[512];
    (void)snprintf(script, sizeof script, "%s.gp", figure->name);
    status = sc_report_gnuplot(&figures->absent, complaint, figures->gnuplot, figures->folder, script, error);
    if (status == SEMCAL_OK && !figures->absent && complaint[0] == '\0') {
        status = take_picture(figures, figure, error);
    } else if (status == SEMCAL_OK && !figures->absent) {
        status = sc_text_printf(&figures->complaints, error, "%s.gp: %s\n", figure->name, complaint);
    }
    return status;
}

void sc_report_figures_free(sc_report_figures *figures)
{
    for (size_t i = 0; i < figures->n; i++) {
        sc_report_figure *figure = &figures->at[i];
        free(figure->name);
        free(figure->title);
        free(figure->reading);
        free(figure->svg);
        sc_report_text_free(&figure->script);
        sc_report_text_free(&figure->data);
    }
    free(figures->at);
    sc_text_free(&figures->complaints);
    *figures = (sc_report_figures){0};
}
