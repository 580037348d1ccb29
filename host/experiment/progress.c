/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The rate forgets with this time constant, so that the ETA follows a change of cell but not every batch. */
static const double SMOOTHING_S = 30;

void sc_progress_init(sc_progress *progress, const sc_progress_options *options)
{
    *progress = (sc_progress){.options = *options};
    if (!(progress->options.interval_s > 0)) {
        progress->options.interval_s = options->terminal ? 0.2 : 10;
    }
    if (progress->options.columns == 0) {
        progress->options.columns = 80;
    }
}

void sc_progress_duration(char text[32], double seconds)
{
    if (!(seconds >= 0) || !(seconds < 1e9)) {
        (void)snprintf(text, 32, "?");
        return;
    }
    long all = lround(seconds), day = all / 86400, hour = all / 3600 % 24, minute = all / 60 % 60, second = all % 60;
    if (day > 0) {
        (void)snprintf(text, 32, "%ldd %02ld:%02ld", day, hour, minute);
    } else if (hour > 0) {
        (void)snprintf(text, 32, "%ld:%02ld:%02ld", hour, minute, second);
    } else {
        (void)snprintf(text, 32, "%ld:%02ld", minute, second);
    }
}

static double blend(double old, double now, double elapsed_s)
{
    if (old <= 0) {
        return now;
    }
    double keep = exp(-elapsed_s / SMOOTHING_S);
    return keep * old + (1 - keep) * now;
}

/* Questions come in batches: a sample is taken when some have come, or when none came for a whole interval. */
static void take_sample(sc_progress *progress, const sc_progress_counters *counters, double now_s)
{
    double elapsed_s = now_s - progress->last_sample_s, done = (double)counters->done - progress->sampled;
    if (elapsed_s <= 0 || (done <= 0 && elapsed_s < 10)) {
        return;
    }
    progress->rate = blend(progress->rate, done / elapsed_s, elapsed_s);
    progress->work_rate = blend(progress->work_rate, (counters->work_done - progress->worked) / elapsed_s, elapsed_s);
    progress->last_sample_s = now_s;
    progress->sampled = (double)counters->done;
    progress->worked = counters->work_done;
}

static double remaining_s(const sc_progress *progress, const sc_progress_counters *counters)
{
    if (counters->done >= counters->questions) {
        return 0;
    }
    if (counters->work > 0 && progress->work_rate > 0) {
        return fmax(0, counters->work - counters->work_done) / progress->work_rate;
    }
    return progress->rate > 0 ? (double)(counters->questions - counters->done) / progress->rate : -1;
}

static void describe(char *text, size_t size, const sc_progress *progress, const sc_progress_counters *counters)
{
    char left[32], rate[32] = "? questions/s", shared[48] = "";
    sc_progress_duration(left, remaining_s(progress, counters));
    if (progress->rate >= 0.95) {
        (void)snprintf(rate, sizeof rate, "%.1f questions/s", progress->rate);
    } else if (progress->rate > 0) {
        (void)snprintf(rate, sizeof rate, "%.1f s/question", 1 / progress->rate);
    }
    if (counters->forward_tokens > 0) {
        (void)snprintf(shared, sizeof shared, "  %.1f draws/forward",
                       (double)counters->draw_tokens / (double)counters->forward_tokens);
    }
    double share = counters->questions > 0 ? (double)counters->done / (double)counters->questions : 1;
    (void)snprintf(text, size, "%3.0f%%  %s  ETA %s%s  [%zu/%zu] %s %zu/%zu", floor(100 * share), rate, left, shared,
                   counters->cell_number, counters->n_cells, counters->cell, counters->cell_done,
                   counters->cell_questions);
}

/* Shortens to `columns` bytes without cutting a UTF-8 character. */
static void fit(char *text, size_t columns)
{
    size_t n = strlen(text);
    if (n > columns) {
        n = columns;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) {
            n--;
        }
        text[n] = '\0';
    }
}

bool sc_progress_line(sc_progress *progress, char line[SC_PROGRESS_LINE], const sc_progress_counters *counters,
                      double now_s, bool last)
{
    if (!progress->started) {
        progress->started = true;
        progress->last_line_s = now_s;
        progress->last_sample_s = now_s;
        progress->sampled = (double)counters->done;
        progress->worked = counters->work_done;
        if (!last && !progress->options.terminal) {
            return false;
        }
    } else if (!last && now_s - progress->last_line_s < progress->options.interval_s) {
        return false;
    }
    progress->last_line_s = now_s;
    take_sample(progress, counters, now_s);
    char text[SC_PROGRESS_LINE - 16];
    describe(text, sizeof text, progress, counters);
    if (progress->options.terminal) {
        /* one column less: a cursor in the last column would wrap */
        fit(text, progress->options.columns - 1);
        (void)snprintf(line, SC_PROGRESS_LINE, "\r%s\x1b[K%s", text, last ? "\n" : "");
    } else {
        (void)snprintf(line, SC_PROGRESS_LINE, "%s\n", text);
    }
    return true;
}
