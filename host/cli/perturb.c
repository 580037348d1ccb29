/* SPDX-License-Identifier: Apache-2.0 */
/* semcal perturb: the token-level stage on recorded logits or hidden states. */
#include "cli/cli.h"
#include "cli/notes.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/perturb_calibration.h"
#include "experiment/perturb_record.h"
#include "experiment/perturb_series.h"
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
    "0 the law was not calibrated with respect to it. Its standard error takes tokens as independent.\n"
    "A cell of a run with store.full_logits has both: its logits, and with --targets the tokens that were drawn.\n"
    "LOGITS may also be a folder of scripts/record_logits.py (hidden states, head and targets of any Transformers\n"
    "model), or a .yaml list of such folders, one per model size, as configs/scaling/scaling.yaml: one table of loss,\n"
    "smECE and gaps. With --model and --text the rows come straight from a model reading a text; class maps and "
    "biases\n"
    "apply as well.";

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
        printf(", mean log-loss %.6f +- %.6f nats per token\nmost probable token: right in %.4f of rows, confidence "
               "%.4f, smECE %.4f (floor %.4f)",
               s->loss.mean, s->loss.error, s->top1.accuracy, s->top1.mean_confidence, s->top1.smece,
               s->top1.smece_floor);
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

static json_t *calibration_json(const sc_perturb_calibration *of)
{
    json_t *object = json_object();
    for (size_t i = 0; i < sc_perturb_n_facts; i++) {
        (void)json_object_set_new(object, sc_perturb_facts[i].name, sc_json_real_or_null(sc_perturb_fact_value(of, i)));
    }
    return object;
}

static semcal_status print_value(json_t *root, semcal_error *error)
{
    sc_text text = {0};
    semcal_status status = root == NULL ? sc_error_set(error, SEMCAL_E_MEMORY, "out of memory: JSON")
                                        : sc_json_append(&text, root, true, error);
    if (status == SEMCAL_OK) {
        printf("%s\n", text.data);
    }
    sc_text_free(&text);
    return status;
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
    json_t *root = json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:{s:f, s:f, s:f, s:f}}", "rows",
                             (json_int_t)s->n_rows, "vocabulary", (json_int_t)s->n_vocabulary, "mean_entropy",
                             sc_json_real_or_null(s->entropy.mean), "mean_loss",
                             sc_json_real_or_null(s->has_targets ? s->loss.mean : (double)NAN), "mean_loss_error",
                             sc_json_real_or_null(s->has_targets ? s->loss.error : (double)NAN), "top1",
                             sc_json_real_or_null(s->has_targets ? s->top1.accuracy : (double)NAN), "calibration",
                             s->has_targets ? calibration_json(&s->top1) : json_null(), "rows_computed_in_double",
                             (json_int_t)s->n_exact, "perturbations", list, "best", best, "output",
                             output == NULL ? json_null() : json_string(output), "seconds", "read", s->read_s,
                             "compute", s->compute_s, "write", s->write_s, "wall", s->wall_s);
    semcal_status status = print_value(root, error);
    json_decref(root);
    return status;
}

/* ---- several models ---- */

static semcal_status write_csv(const char *path, const sc_text *csv, semcal_error *error)
{
    return path == NULL ? SEMCAL_OK : sc_file_write_atomic(path, csv->data, csv->length, error);
}

static semcal_status print_series(const sc_perturb_series *series, bool json, semcal_error *error)
{
    json_t *list = json_array();
    if (!json) {
        printf("%-16s %8s %10s %9s %9s %8s %8s %8s %8s %10s %10s\n", "model", "size/B", "rows", "log-loss", "accuracy",
               "over", "smECE", "floor", "best T", "its gap", "tilt gap");
    }
    for (size_t i = 0; i < series->n; i++) {
        const sc_perturb_series_row *r = &series->rows[i];
        const sc_perturb_calibration *c = &r->summary.top1;
        if (r->failed != NULL) {
            (void)fprintf(stderr, "semcal perturb: model '%s': %s\n", r->name, r->failed);
        } else if (json) {
            (void)json_array_append_new(
                list, json_pack("{s:s, s:o, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "model", r->name, "size_billion",
                                sc_json_real_or_null(r->size), "rows", (json_int_t)r->summary.n_rows, "log_loss",
                                r->summary.loss.mean, "log_loss_error", r->summary.loss.error, "entropy",
                                r->summary.entropy.mean, "temperature_best", r->temperature_best, "gap_temperature",
                                r->gap_temperature.mean, "gap_temperature_error", r->gap_temperature.error,
                                "calibration", calibration_json(c)));
        } else {
            printf("%-16s %8.3g %10zu %9.4f %9.4f %8.4f %8.4f %8.4f %8.3g %10.6f %10.6f\n", r->name, r->size,
                   r->summary.n_rows, r->summary.loss.mean, c->accuracy, c->mean_confidence - c->accuracy, c->smece,
                   c->smece_floor, r->temperature_best, r->gap_temperature.mean, c->gap_lipschitz);
        }
    }
    semcal_status status = json ? print_value(list, error) : SEMCAL_OK;
    json_decref(list);
    return status;
}

static semcal_status run_series(const char *config, const char *output, const char *selector, bool json,
                                semcal_error *error)
{
    sc_perturb_series series = {0};
    sc_device *device = NULL;
    sc_text csv = {0};
    sc_device_options options = SC_DEVICE_OPTIONS_INIT;
    options.selector = selector;
    semcal_status status = sc_perturb_series_read(&series, config, error), ran = SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_device_open(&device, &options, error);
    }
    if (status == SEMCAL_OK) {
        ran = sc_perturb_series_run(&series, device, error);
        status = ran == SEMCAL_PARTIAL ? SEMCAL_OK : ran;
    }
    if (status == SEMCAL_OK) {
        status = sc_perturb_series_csv(&csv, &series, error);
    }
    if (status == SEMCAL_OK) {
        status = write_csv(output, &csv, error);
    }
    if (status == SEMCAL_OK) {
        status = print_series(&series, json, error);
    }
    sc_text_free(&csv);
    sc_perturb_series_free(&series);
    sc_cli_notes(device);
    sc_device_close(device);
    return status == SEMCAL_OK ? ran : status;
}

/* ---- the command ---- */

typedef struct request {
    sc_perturb_files files;
    sc_perturb_options how;
    sc_perturb_text text;
    long window, overlap, limit;
    const char *selector, *temperatures;
    bool json;
} request;

/* Where the rows come from: a text through a model, a record's folder, files. */
static semcal_status open_rows(request *q, sc_perturb_live **live, sc_perturb_record *record, semcal_error *error)
{
    semcal_status status = SEMCAL_OK;
    if (q->text.model != NULL) {
        q->text.window = q->window == 0 ? SC_CONFIG_UNSET : q->window;
        q->text.limit = q->limit == 0 ? SC_CONFIG_UNSET : q->limit;
        q->text.overlap = q->overlap == 0 ? SC_CONFIG_UNSET : q->overlap;
        status = sc_perturb_live_open(live, &q->text, q->selector, error);
        q->files.live = *live;
        q->how.device = status == SEMCAL_OK ? sc_perturb_live_device(*live) : NULL;
        return status;
    }
    if (strchr(q->files.logits, ':') == NULL && !sc_file_exists(q->files.logits)) {
        return sc_error_set(error, SEMCAL_E_DATA, "%s: there is no such file or folder", q->files.logits);
    }
    if (sc_perturb_record_is(q->files.logits)) {
        status = sc_perturb_record_open(record, q->files.logits, error);
        q->files.logits = record->rows;
        q->files.head = q->files.head == NULL ? record->head : q->files.head;
        q->files.targets = q->files.targets == NULL ? record->targets : q->files.targets;
        q->how.record = record->json;
    }
    return status;
}

static semcal_status run_one(request *q, semcal_error *error)
{
    sc_perturb_inputs inputs = {0};
    sc_perturb_summary summary = {0};
    sc_perturb_live *live = NULL;
    sc_perturb_record record = {0};
    double *list = NULL;
    semcal_status status = SEMCAL_OK;
    if (q->temperatures != NULL) {
        status = parse_temperatures(&list, &q->files.n_temperatures, q->temperatures, error);
        q->files.temperature = list;
    }
    if (status == SEMCAL_OK) {
        status = open_rows(q, &live, &record, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_perturb_inputs_open(&inputs, &q->files, error);
    }
    if (status == SEMCAL_OK && live == NULL) {
        sc_device_options device = SC_DEVICE_OPTIONS_INIT;
        device.selector = q->selector;
        status = sc_device_open(&q->how.device, &device, error);
    }
    if (status == SEMCAL_OK) {
        status = sc_perturb_stream(&summary, &inputs, &q->how, error);
    }
    if (status == SEMCAL_OK && q->json) {
        status = print_json(&summary, &inputs, q->how.output, error);
    } else if (status == SEMCAL_OK) {
        print_table(&summary, &inputs, q->how.output);
    }
    sc_perturb_summary_free(&summary);
    sc_perturb_inputs_close(&inputs);
    sc_cli_notes(q->how.device);
    if (live == NULL) {
        sc_device_close(q->how.device);
    }
    sc_perturb_live_close(live);
    sc_perturb_record_free(&record);
    free(list);
    return status;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static semcal_status check(const request *q, int n_operands, long top, long rows, semcal_error *error)
{
    if (top < 0 || top > SC_ROWS_MAX_TOP || rows < 0 || rows > 1000000) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--top must be 0 to %d, --rows 0 to 1000000", SC_ROWS_MAX_TOP);
    }
    if ((q->text.model == NULL) != (q->text.text == NULL)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--model and --text go together");
    }
    if ((q->text.model == NULL) == (n_operands == 0)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "either LOGITS or --model and --text: one of them is needed");
    }
    if (q->text.model != NULL && (q->files.head != NULL || q->files.targets != NULL)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--head and --targets belong to recorded rows, not to --model");
    }
    if (q->text.model == NULL && (q->window != 0 || q->overlap != 0 || q->limit != 0)) {
        return sc_error_set(error, SEMCAL_E_CONFIG, "--window, --overlap and --limit belong to --model and --text");
    }
    return q->window < 0 || q->overlap < 0 || q->limit < 0
               ? sc_error_set(error, SEMCAL_E_CONFIG, "--window, --overlap and --limit cannot be negative")
               : SEMCAL_OK;
}

semcal_status sc_cli_perturb(int argc, char **argv, semcal_error *error)
{
    bool help = false;
    const char *operands[64];
    long top = 0, rows_at_once = 0;
    int n_operands = 0;
    request q = {0};
    const sc_cli_option options[] = {
        {"head", 0, SC_CLI_TEXT, &q.files.head, "FILE",
         "output embedding [vocabulary, width]: LOGITS are hidden states"},
        {"targets", 0, SC_CLI_TEXT, &q.files.targets, "FILE", "token that came in each row"},
        {"classes", 0, SC_CLI_TEXT, &q.files.classes, "FILE", "class of each token, for masses and tilts"},
        {"tilts", 0, SC_CLI_TEXT, &q.files.tilts, "FILE", "what each tilt adds to the logits of each class"},
        {"biases", 0, SC_CLI_TEXT, &q.files.biases, "FILE", "what each bias adds to the logits: every token, or .json"},
        {"temperatures", 0, SC_CLI_TEXT, &q.temperatures, "A,B,...", "other temperatures"},
        {"model", 0, SC_CLI_TEXT, &q.text.model, "DIR", "take the rows from this model as it reads --text"},
        {"text", 0, SC_CLI_TEXT, &q.text.text, "FILE", "one document, or .jsonl with one a line"},
        {"field", 0, SC_CLI_TEXT, &q.text.field, "NAME", "field of a line with the text (text)"},
        {"context", 0, SC_CLI_TEXT, &q.text.context, "NAME", "field with what is read before it and not scored"},
        {"window", 0, SC_CLI_INT, &q.window, "N", "tokens the model reads at once (its context, at most 512)"},
        {"overlap", 0, SC_CLI_INT, &q.overlap, "N", "tokens of a window that only give context (1)"},
        {"limit", 0, SC_CLI_INT, &q.limit, "N", "tokens of the text to use (all)"},
        {"top", 0, SC_CLI_INT, &top, "K", "store the K most probable tokens (0)"},
        {"bf16", 0, SC_CLI_FLAG, &q.files.bf16, NULL, "uint16 in .npy files is bfloat16"},
        {"output", 'o', SC_CLI_TEXT, &q.how.output, "OUT",
         "store everything by row (HDF5); of a .yaml the table (CSV)"},
        {"no-masses", 0, SC_CLI_FLAG, &q.how.no_masses, NULL, "do not store the masses of the classes"},
        {"rows", 0, SC_CLI_INT, &rows_at_once, "N", "rows in memory at once (by size)"},
        {"json", 0, SC_CLI_FLAG, &q.json, NULL, "print JSON"},
        {"device", 'd', SC_CLI_TEXT, &q.selector, "P:D|NAME", "OpenCL device (default: the best one)"},
    };
    static const sc_cli_usage usage = {
        "perturb", "[LOGITS]", "log-losses of recorded logits after temperatures, tilts and biases", 0, 1, details};
    semcal_status status = sc_cli_parse(&n_operands, operands, &help, &usage, options, sizeof options / sizeof *options,
                                        argc, argv, error);
    if (status != SEMCAL_OK || help) {
        return status;
    }
    status = check(&q, n_operands, top, rows_at_once, error);
    if (status != SEMCAL_OK) {
        return status;
    }
    if (n_operands == 1 && (ends_in(operands[0], ".yaml") || ends_in(operands[0], ".yml"))) {
        return run_series(operands[0], q.how.output, q.selector, q.json, error);
    }
    q.files.logits = n_operands == 1 ? operands[0] : NULL;
    q.how.n_top = (size_t)top;
    q.how.rows_at_once = (size_t)rows_at_once;
    return run_one(&q, error);
}
