/* SPDX-License-Identifier: Apache-2.0 */
/* semcal perturb: the token-level stage on recorded logits or hidden states. */
#include "cli/cli.h"
#include "cli/notes.h"

#include "base/memory.h"
#include "experiment/perturb_stream.h"
#include "formats/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

semcal_status sc_cli_perturb(int argc, char **argv, semcal_error *error);

static const char details[] =
    "LOGITS holds logits [rows, vocabulary], or with --head hidden states [rows, width], in float32, float16 or\n"
    "bfloat16: a .npy file, a tensor of a .safetensors file or folder, or a dataset of an HDF5 file. Every file may "
    "be\n"
    "given as FILE:NAME to name a tensor or dataset; otherwise one of the usual name (logits, hidden, head, target,\n"
    "class, tilt, bias) or the only one is taken. Files may be larger than memory.\n"
    "Targets are [rows] token ids; classes [vocabulary] or [rows, vocabulary] from 0; tilts [tilts, classes] are "
    "added\n"
    "to the logits of each class; biases [biases, vocabulary], or a .json list of {\"name\", \"tokens\", \"values\"}.\n"
    "The gap of a perturbation is the mean log-loss of the law as it is minus that after it, in nats per token: above\n"
    "0 the law was not calibrated with respect to it. Its standard error takes tokens as independent.";

static semcal_status parse_temperatures(double **list, size_t *n, const char *text, semcal_error *error)
{
    size_t capacity = 0;
    semcal_status status = SEMCAL_OK;
    for (const char *at = text; status == SEMCAL_OK && at != NULL; at = strchr(at, ',')) {
        at += at != text;
        char *end;
        double value = strtod(at, &end);
        if (end == at || (*end != ',' && *end != '\0') || !isfinite(value)) {
            return sc_error_set(error, SEMCAL_E_CONFIG, "--temperatures: '%s' is no list of numbers like 0.5,1,2",
                                text);
        }
        status = sc_memory_grow(list, &capacity, *n + 1, sizeof **list, error);
        if (status == SEMCAL_OK) {
            (*list)[(*n)++] = value;
        }
    }
    return status;
}

/* ---- printing ---- */

static void name_of(char text[64], const sc_perturb_inputs *in, sc_perturb_family f, size_t p)
{
    if (f == SC_PERTURB_TEMPERATURE) {
        (void)snprintf(text, 64, "temperature %g", in->spec.temperature[p]);
    } else if (f == SC_PERTURB_SPARSE && in->sparse_name[p] != NULL) {
        (void)snprintf(text, 64, "%s", in->sparse_name[p]);
    } else {
        (void)snprintf(text, 64, "%s %zu", sc_perturb_family_name(f), p);
    }
}

static void print_table(const sc_perturb_summary *s, const sc_perturb_inputs *in, const char *output)
{
    char name[64];
    printf("%zu rows of %zu logits\n", s->n_rows, s->n_vocabulary);
    printf("mean entropy %.6f", s->entropy.mean);
    if (s->has_targets) {
        printf(", mean log-loss %.6f +- %.6f nats per token, target most probable in %.4f of rows", s->loss.mean,
               s->loss.error, s->top1);
    }
    printf("\n");
    if (s->n_total > 0) {
        printf("\n%-30s %12s %12s %12s\n", "perturbation", "log-loss", "gap", "its error");
    }
    for (int f = 0; f < SC_PERTURB_FAMILIES; f++) {
        for (size_t p = 0; p < s->n[f]; p++) {
            bool best = f == (int)s->best_family && p == s->best;
            name_of(name, in, (sc_perturb_family)f, p);
            printf("%-30s %12.6f %12.6f %12.6f%s\n", name, s->loss_of[f][p].mean, s->gap_of[f][p].mean,
                   s->gap_of[f][p].error, best ? "  <- best" : "");
        }
    }
    if (s->n_total > 0) {
        name_of(name, in, s->best_family, s->best);
        printf("\nbest: %s, gap %.6f nats per token%s\n", name, s->gap_of[s->best_family][s->best].mean,
               s->gap_of[s->best_family][s->best].mean > 0 ? "" : " (none lowers the loss)");
    }
    if (output != NULL) {
        printf("written: %s\n", output);
    }
}

static json_t *one_json(const sc_perturb_summary *s, const sc_perturb_inputs *in, int f, size_t p)
{
    char name[64];
    name_of(name, in, (sc_perturb_family)f, p);
    return json_pack("{s:s, s:I, s:s, s:o, s:o, s:o, s:o}", "family", sc_perturb_family_name((sc_perturb_family)f),
                     "index", (json_int_t)p, "name", name, "temperature",
                     f == SC_PERTURB_TEMPERATURE ? json_real(in->spec.temperature[p]) : json_null(), "mean_loss",
                     sc_json_real_or_null(s->loss_of[f][p].mean), "gap", sc_json_real_or_null(s->gap_of[f][p].mean),
                     "gap_error", sc_json_real_or_null(s->gap_of[f][p].error));
}

static semcal_status print_json(const sc_perturb_summary *s, const sc_perturb_inputs *in, const char *output,
                                semcal_error *error)
{
    json_t *list = json_array();
    for (int f = 0; f < SC_PERTURB_FAMILIES; f++) {
        for (size_t p = 0; p < s->n[f]; p++) {
            (void)json_array_append_new(list, one_json(s, in, f, p));
        }
    }
    json_t *best = s->n_total > 0 ? one_json(s, in, (int)s->best_family, s->best) : json_null();
    json_t *root = json_pack(
        "{s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "rows", (json_int_t)s->n_rows, "vocabulary",
        (json_int_t)s->n_vocabulary, "mean_entropy", sc_json_real_or_null(s->entropy.mean), "mean_loss",
        sc_json_real_or_null(s->has_targets ? s->loss.mean : (double)NAN), "mean_loss_error",
        sc_json_real_or_null(s->has_targets ? s->loss.error : (double)NAN), "top1",
        sc_json_real_or_null(s->has_targets ? s->top1 : (double)NAN), "rows_computed_in_double", (json_int_t)s->n_exact,
        "perturbations", list, "best", best, "output", output == NULL ? json_null() : json_string(output));
    sc_text text = {0};
    semcal_status status = root == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: JSON")
                                        : sc_json_append(&text, root, true, error);
    if (status == SEMCAL_OK) {
        printf("%s\n", text.data);
    }
    sc_text_free(&text);
    json_decref(root);
    return status;
}

/* ---- the command ---- */

semcal_status sc_cli_perturb(int argc, char **argv, semcal_error *error)
{
    bool json = false, help = false;
    const char *temperatures = NULL, *selector = NULL, *operands[64];
    long top = 0, rows_at_once = 0;
    int n_operands = 0;
    double *list = NULL;
    sc_perturb_files files = {0};
    sc_perturb_options how = {0};
    const sc_cli_option options[] = {
        {"head", 0, SC_CLI_TEXT, &files.head, "FILE", "output embedding [vocabulary, width]: LOGITS are hidden states"},
        {"targets", 0, SC_CLI_TEXT, &files.targets, "FILE", "token that came in each row"},
        {"classes", 0, SC_CLI_TEXT, &files.classes, "FILE", "class of each token, for masses and tilts"},
        {"tilts", 0, SC_CLI_TEXT, &files.tilts, "FILE", "what each tilt adds to the logits of each class"},
        {"biases", 0, SC_CLI_TEXT, &files.biases, "FILE", "what each bias adds to the logits: every token, or .json"},
        {"temperatures", 0, SC_CLI_TEXT, &temperatures, "A,B,...", "other temperatures"},
        {"top", 0, SC_CLI_INT, &top, "K", "store the K most probable tokens (0)"},
        {"bf16", 0, SC_CLI_FLAG, &files.bf16, NULL, "uint16 in .npy files is bfloat16"},
        {"output", 'o', SC_CLI_TEXT, &how.output, "OUT.h5", "store everything by row"},
        {"no-masses", 0, SC_CLI_FLAG, &how.no_masses, NULL, "do not store the masses of the classes"},
        {"rows", 0, SC_CLI_INT, &rows_at_once, "N", "rows in memory at once (by size)"},
        {"json", 0, SC_CLI_FLAG, &json, NULL, "print one JSON object"},
        {"device", 'd', SC_CLI_TEXT, &selector, "P:D|NAME", "OpenCL device (default: the best one)"},
    };
    static const sc_cli_usage usage = {
        "perturb", "LOGITS", "log-losses of recorded logits after temperatures, tilts and biases", 1, 1, details};
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options,
                                        argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    if (top < 0 || top > SC_ROWS_MAX_TOP || rows_at_once < 0 || rows_at_once > 1000000) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--top must be 0 to %d, --rows 0 to 1000000", SC_ROWS_MAX_TOP);
    }
    sc_perturb_inputs inputs = {0};
    sc_perturb_summary summary = {0};
    files.logits = operands[0];
    how.n_top = (size_t)top;
    how.rows_at_once = (size_t)rows_at_once;
    if (temperatures != NULL) {
        status = parse_temperatures(&list, &files.n_temperatures, temperatures, error);
        files.temperature = list;
    }
    if (status == SEMCAL_OK) {
        status = sc_perturb_inputs_open(&inputs, &files, error);
    }
    if (status == SEMCAL_OK) {
        sc_device_options device = SC_DEVICE_OPTIONS_INIT;
        device.selector = selector;
        status = sc_device_open(&how.device, &device, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_perturb_stream(&summary, &inputs, &how, error);
    }
    if (status == SEMCAL_OK && json) {
        status = print_json(&summary, &inputs, how.output, error);
    } else if (status == SEMCAL_OK) {
        print_table(&summary, &inputs, how.output);
    }
    sc_perturb_summary_free(&summary);
    sc_perturb_inputs_close(&inputs);
    sc_cli_notes(how.device);
    sc_device_close(how.device);
    free(list);
    return status;
}
