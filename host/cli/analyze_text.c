/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/analyze_text.h"

#include "cli/decimals.h"

#include <stdio.h>
#include <string.h>

/* Tokens come in thousands, so four digits mean something. */
static const char *small(char text[16], double value)
{
    return sc_cli_decimals(text, value, 4);
}

static void print_calibration(const sc_analysis_text *x, size_t width)
{
    char t[12][16];
    printf("%-*s %9.0f %6s %6s %6s  %6s [%6s %6s] %6s  %6s [%6s %6s]  %7.4f %8.3f\n", (int)width, x->name, x->n_tokens,
           small(t[0], x->accuracy), small(t[1], x->mean_confidence), small(t[2], x->overconfidence),
           small(t[3], x->smece), small(t[4], x->smece_ci[0]), small(t[5], x->smece_ci[1]), small(t[6], x->smece_floor),
           small(t[7], x->smece_classwise), small(t[8], x->smece_classwise_ci[0]),
           small(t[9], x->smece_classwise_ci[1]), x->log_loss, x->perplexity);
}

static void print_gaps(const sc_analysis_text *x, size_t width)
{
    printf("%-*s %6.3f", (int)width, x->name, x->temperature_best);
    for (int k = 0; k < SC_TEXT_FAMILIES; k++) {
        char t[2][16];
        if (k == SC_TEXT_AFFINE_GAP || k == SC_TEXT_ISOTONIC_GAP) {
            continue; /* in --json */
        }
        printf("  %7s %7s", small(t[0], x->gap[k].in_sample), small(t[1], x->gap[k].crossfit));
    }
    printf("\n");
}

void sc_cli_print_texts(const sc_analysis *analysis)
{
    size_t width = 10;
    for (size_t i = 0; i < analysis->n_texts; i++) {
        const size_t n = strlen(analysis->texts[i].name);
        width = n > width ? n : width;
    }
    if (analysis->n_texts == 0) {
        return;
    }
    printf("%snext-token calibration\n", analysis->n_cells > 0 ? "\n" : "");
    printf("%-*s %9s %6s %6s %6s  %-22s %6s  %-22s  %7s %8s\n", (int)width, "cell", "tokens", "acc", "conf", "over",
           "smECE [95 %]", "noise", "class-wise [95 %]", "loss", "perpl.");
    for (size_t i = 0; i < analysis->n_texts; i++) {
        print_calibration(&analysis->texts[i], width);
    }
    printf("\n%-*s %6s  %7s %7s  %7s %7s  %7s %7s  %7s %7s\n", (int)width, "loss gap, nats per token", "best T",
           "temp.", "x-fit", "bias", "x-fit", "shift", "x-fit", "Lipsch.", "x-fit");
    for (size_t i = 0; i < analysis->n_texts; i++) {
        print_gaps(&analysis->texts[i], width);
    }
    printf(
        "\nacc: share of tokens that were the most probable one. conf: mean probability of the most probable token.\n"
        "noise: smECE of a calibrated model with these confidences. class-wise: over classes of tokens. Loss gaps: "
        "what\n"
        "the best temperature, the best bias of each class of tokens, and the best tilt of the most probable token\n"
        "would save; x-fit is scored on text the fit has not seen.\n");
}
