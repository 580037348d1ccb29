/* SPDX-License-Identifier: Apache-2.0 */
/* After reading: what follows from other keys is filled in, what one key alone cannot tell is checked. */
#include "base/nearest.h"
#include "experiment/config_table.h"
#include "experiment/prompt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "datasets[2].styles[0]" and the like; `i`, `j` are used as the format asks. */
typedef struct check_path {
    char text[SC_CONFIG_PATH];
} check_path;

static check_path at_key(const char *list, size_t i, const char *key)
{
    check_path path;
    (void)snprintf(path.text, sizeof path.text, "%s[%zu]%s%s", list, i, key[0] != '\0' ? "." : "", key);
    return path;
}

static check_path at_item(const char *list, size_t i, const char *key, size_t j)
{
    check_path path;
    (void)snprintf(path.text, sizeof path.text, "%s[%zu].%s[%zu]", list, i, key, j);
    return path;
}

static check_path at_style(const char *style, const char *key)
{
    check_path path;
    (void)snprintf(path.text, sizeof path.text, "style.%s.%s", style, key);
    return path;
}

/* `name` is one of `names`, or an error that says which it may have been. */
static semcal_status check_reference(sc_config_reader *reader, const char *what, const char *name,
                                     const char *const *names, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return SEMCAL_OK;
        }
    }
    const char *near = sc_nearest_name(name, names, n);
    if (near != NULL) {
        return sc_config_fail_later(reader, path, "no %s is called '%s', did you mean '%s'?", what, name, near);
    }
    return sc_config_fail_later(reader, path, "no %s is called '%s'", what, name);
}

/* ---- styles ---- */

/* A style is known when the file describes it or the program does. */
static semcal_status require_style(sc_config_reader *reader, const char *name, const char *path)
{
    sc_config *config = reader->config;
    static const size_t n_builtin = 3;
    size_t n = 0;
    const char **names = sc_memory_alloc(config->style.n + n_builtin, sizeof *names, reader->error);
    if (names == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t i = 0; i < config->style.n; i++) {
        names[n++] = config->style.at[i].name;
    }
    for (size_t i = 0; sc_config_builtin_styles[i] != NULL; i++) {
        names[n++] = sc_config_builtin_styles[i];
    }
    semcal_status status = check_reference(reader, "style", name, names, n, path);
    free(names);
    if (status == SEMCAL_OK) {
        const sc_config_key *key = sc_config_find_key(&sc_config_root, "style", 5);
        status = sc_config_named(reader, config, key, name) == NULL ? reader->error->status : SEMCAL_OK;
    }
    return status;
}

static semcal_status check_template(sc_config_reader *reader, const char *text, bool is_shot, const char *path)
{
    semcal_error slip = SEMCAL_ERROR_INIT;
    if (sc_prompt_check(text, is_shot, &slip) != SEMCAL_OK) {
        return sc_config_fail_later(reader, path, "%s", slip.message);
    }
    return SEMCAL_OK;
}

/* The example that looks like the prompt with its answer: the prompt without {shots}, a space, {answer}. */
static char *shot_like(const char *prompt, semcal_error *error)
{
    static const char mark[] = "{shots}";
    sc_text shot = {0};
    const char *at = strstr(prompt, mark);
    size_t before = at != NULL ? (size_t)(at - prompt) : strlen(prompt);
    const char *rest = at != NULL ? at + strlen(mark) : "";
    if (sc_text_printf(&shot, error, "%.*s%s {answer}", (int)before, prompt, rest) != SEMCAL_OK) {
        sc_text_free(&shot);
    }
    return shot.data;
}

static semcal_status finish_style(sc_config_reader *reader, sc_config_style *style)
{
    if (style->shot == NULL) {
        style->shot = shot_like(style->prompt, reader->error);
        if (style->shot == NULL) {
            return SEMCAL_E_MEMORY;
        }
    }
    for (size_t i = 0; i < style->stop.n; i++) {
        if (style->stop.at[i][0] == '\0') {
            return sc_config_fail_later(reader, at_style(style->name, "stop").text, "an empty text stops everything");
        }
    }
    semcal_status status = check_template(reader, style->prompt, false, at_style(style->name, "prompt").text);
    if (status == SEMCAL_OK) {
        status = check_template(reader, style->shot, true, at_style(style->name, "shot").text);
    }
    return status;
}

static semcal_status finish_styles(sc_config_reader *reader)
{
    sc_config *config = reader->config;
    semcal_status status = SEMCAL_OK;
    if (config->styles.n == 0) {
        return sc_config_fail_later(reader, "styles", "must not be an empty list");
    }
    for (size_t i = 0; i < config->styles.n && status == SEMCAL_OK; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "styles[%zu]", i);
        status = require_style(reader, config->styles.at[i], path);
    }
    for (size_t i = 0; i < config->extra.n && status == SEMCAL_OK; i++) {
        status = require_style(reader, config->extra.at[i].style, at_key("extra", i, "style").text);
    }
    for (size_t i = 0; i < config->style.n && status == SEMCAL_OK; i++) {
        status = finish_style(reader, &config->style.at[i]);
    }
    return status;
}

/* ---- models ---- */

static semcal_status finish_models(sc_config_reader *reader)
{
    const sc_config *config = reader->config;
    for (size_t i = 0; i < config->models.n; i++) {
        const sc_config_model *model = &config->models.at[i];
        for (size_t j = 0; j < i; j++) {
            if (strcmp(model->name, config->models.at[j].name) == 0) {
                return sc_config_fail_later(reader, at_key("models", i, "name").text, "two models are called '%s'",
                                            model->name);
            }
        }
        if (model->source == SC_CONFIG_MODEL && model->path == NULL) {
            return sc_config_fail_later(reader, at_key("models", i, "").text,
                                        "key 'path' is missing: the model's folder");
        }
        if (model->source == SC_CONFIG_RECORDED && model->logits == NULL) {
            return sc_config_fail_later(reader, at_key("models", i, "").text,
                                        "key 'logits' is missing: source recorded replays a file");
        }
    }
    return SEMCAL_OK;
}

/* ---- datasets ---- */

static semcal_status finish_format(sc_config_reader *reader, sc_config_format *format, const char *file,
                                   const char *path)
{
    if (*format != SC_CONFIG_FORMAT_AUTO || file == NULL) {
        return SEMCAL_OK;
    }
    const char *end = strrchr(file, '.');
    if (end != NULL && (strcasecmp(end, ".jsonl") == 0 || strcasecmp(end, ".ndjson") == 0)) {
        *format = SC_CONFIG_JSONL;
    } else if (end != NULL && strcasecmp(end, ".csv") == 0) {
        *format = SC_CONFIG_CSV;
    } else {
        return sc_config_fail_later(reader, path, "the ending of '%s' does not tell the format: set it to jsonl or csv",
                                    file);
    }
    return SEMCAL_OK;
}

static semcal_status finish_shots(sc_config_reader *reader, sc_config_dataset *dataset, size_t i)
{
    const sc_config *config = reader->config;
    sc_config_shots *shots = &dataset->shots;
    if (shots->question == NULL) {
        shots->question = sc_memory_strdup(dataset->question, reader->error);
    }
    if (shots->answers == NULL) {
        shots->answers = sc_memory_strdup(dataset->answers, reader->error);
    }
    if (shots->question == NULL || shots->answers == NULL) {
        return SEMCAL_E_MEMORY;
    }
    for (size_t j = 0; j < shots->responses.n; j++) {
        if (sc_config_find_style(config, shots->responses.names[j]) == NULL) {
            check_path path;
            (void)snprintf(path.text, sizeof path.text, "datasets[%zu].shots.responses.%s", i,
                           shots->responses.names[j]);
            return check_reference(reader, "style of this configuration", shots->responses.names[j],
                                   (const char *const *)config->styles.at, config->styles.n, path.text);
        }
    }
    return finish_format(reader, &shots->format, shots->path, at_key("datasets", i, "shots.format").text);
}

static semcal_status check_choices(sc_config_reader *reader, const sc_config_dataset *dataset, size_t i)
{
    bool listed = dataset->choices.field != NULL || dataset->choices.n_groups > 0;
    if (listed && dataset->choices_file != NULL) {
        return sc_config_fail_later(reader, at_key("datasets", i, "choices_file").text,
                                    "give either choices or choices_file");
    }
    for (size_t j = 0; j < dataset->collapse.n && !listed && dataset->choices_file == NULL; j++) {
        const sc_config_collapse *collapse = &dataset->collapse.at[j];
        if (strcmp(collapse->kind, "choice") == 0 || strcmp(collapse->then, "choice") == 0) {
            return sc_config_fail_later(reader, at_key("datasets", i, "collapse").text,
                                        "choice needs the closed list of answers: set choices or choices_file");
        }
    }
    return SEMCAL_OK;
}

/* The key of a collapse as it was written, in the file or in an override. */
static check_path at_collapse(const sc_config_reader *reader, size_t i, size_t j, const char *key)
{
    const sc_config_dataset *dataset = &reader->config->datasets.at[i];
    const char *kind = dataset->collapse.at[j].kind;
    check_path path;
    static const int forms[] = {5, 2, 4, 1, 3, 0}; /* overrides first */
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        const int form = forms[f];
        char list[SC_CONFIG_NAME + 32], entry[SC_CONFIG_NAME + 32] = "";
        if (form < 3) {
            (void)snprintf(list, sizeof list, "datasets[%zu]", i);
        } else {
            (void)snprintf(list, sizeof list, "datasets.%s", dataset->name);
        }
        if (form % 3 == 1) {
            (void)snprintf(entry, sizeof entry, "[%zu]", j);
        } else if (form % 3 == 2) {
            (void)snprintf(entry, sizeof entry, ".%s", kind);
        }
        (void)snprintf(path.text, sizeof path.text, "%s.collapse%s.%s", list, entry, key);
        if ((form % 3 > 0 || dataset->collapse.n == 1) && sc_config_was_given(reader, path.text)) {
            return path;
        }
    }
    (void)snprintf(path.text, sizeof path.text, "datasets[%zu].collapse.%s", i, key);
    return path;
}

/* What the kind model is told about its judge. */
static semcal_status check_judge(sc_config_reader *reader, const sc_config_dataset *dataset, size_t i, size_t j)
{
    const sc_config *config = reader->config;
    const sc_config_collapse *judge = &dataset->collapse.at[j];
    semcal_error slip = SEMCAL_ERROR_INIT;
    if (sc_prompt_check_judge(judge->prompt, &slip) != SEMCAL_OK) {
        return sc_config_fail_later(reader, at_collapse(reader, i, j, "prompt").text, "%s", slip.message);
    }
    for (size_t k = 0; k < judge->stop.n; k++) {
        if (judge->stop.at[k][0] == '\0') {
            return sc_config_fail_later(reader, at_collapse(reader, i, j, "stop").text,
                                        "an empty text stops everything");
        }
    }
    if (judge->path == NULL && (judge->gemm != SC_CONFIG_GEMM_AUTO || judge->kv_memory != SC_CONFIG_UNSET)) {
        const char *key = judge->gemm != SC_CONFIG_GEMM_AUTO ? "gemm" : "kv_memory";
        return sc_config_fail_later(reader, at_collapse(reader, i, j, key).text,
                                    "is of a judge with a path; without one it is as in models");
    }
    for (size_t m = 0; m < config->models.n && judge->path == NULL; m++) {
        const sc_config_model *model = &config->models.at[m];
        if (model->source == SC_CONFIG_RECORDED) {
            return sc_config_fail_later(reader, at_collapse(reader, i, j, "path").text,
                                        "model '%s' is a file of logits and cannot judge: name a judge by its path",
                                        model->name);
        }
    }
    return SEMCAL_OK;
}

/* Examples a style asks for must be there; a dataset without a file of them is asked zero-shot. */
static semcal_status check_shots(sc_config_reader *reader, const sc_config_dataset *dataset, size_t i,
                                 const sc_config_ints *wanted, const char *path)
{
    for (size_t j = 0; j < wanted->n && dataset->shots.path != NULL; j++) {
        if (wanted->at[j] > dataset->shots.n) {
            return sc_config_fail_later(reader, path, "%lld examples, but datasets[%zu].shots.n is %lld",
                                        (long long)wanted->at[j], i, (long long)dataset->shots.n);
        }
    }
    return SEMCAL_OK;
}

/* Next-token calibration needs the laws after every token of a text: a model. */
static semcal_status check_text(sc_config_reader *reader, const sc_config_dataset *dataset, size_t i)
{
    const sc_config *config = reader->config;
    int64_t window = dataset->window == SC_CONFIG_UNSET ? SC_CONFIG_TEXT_WINDOW : dataset->window;
    if (dataset->overlap >= window) {
        return sc_config_fail_later(reader, at_key("datasets", i, "overlap").text,
                                    "must be less than the window of %lld tokens, got %lld", (long long)window,
                                    (long long)dataset->overlap);
    }
    for (size_t m = 0; m < config->models.n; m++) {
        bool listed = dataset->models.n == 0;
        for (size_t j = 0; j < dataset->models.n; j++) {
            listed = listed || strcmp(dataset->models.at[j], config->models.at[m].name) == 0;
        }
        if (listed && config->models.at[m].source != SC_CONFIG_MODEL) {
            return sc_config_fail_later(reader, at_key("datasets", i, "models").text,
                                        "a text needs a model that reads it; '%s' has another source: list the models",
                                        config->models.at[m].name);
        }
    }
    return SEMCAL_OK;
}

static semcal_status finish_dataset(sc_config_reader *reader, size_t i, const char *const *models)
{
    const sc_config *config = reader->config;
    sc_config_dataset *dataset = &reader->config->datasets.at[i];
    for (size_t j = 0; j < i; j++) {
        if (strcmp(dataset->name, config->datasets.at[j].name) == 0) {
            return sc_config_fail_later(reader, at_key("datasets", i, "name").text, "two datasets are called '%s'",
                                        dataset->name);
        }
    }
    semcal_status status = finish_format(reader, &dataset->format, dataset->path, at_key("datasets", i, "format").text);
    if (status == SEMCAL_OK && sc_config_is_text(dataset)) {
        status = check_text(reader, dataset, i);
    }
    if (status == SEMCAL_OK) {
        status = finish_shots(reader, dataset, i);
    }
    if (status == SEMCAL_OK) {
        status = check_choices(reader, dataset, i);
    }
    for (size_t j = 0; j < dataset->collapse.n && status == SEMCAL_OK; j++) {
        if (strcmp(dataset->collapse.at[j].kind, "model") == 0) {
            status = check_judge(reader, dataset, i, j);
        }
    }
    for (size_t j = 0; j < dataset->styles.n && status == SEMCAL_OK; j++) {
        status = check_reference(reader, "style in the list 'styles'", dataset->styles.at[j],
                                 (const char *const *)config->styles.at, config->styles.n,
                                 at_item("datasets", i, "styles", j).text);
    }
    for (size_t j = 0; j < dataset->models.n && status == SEMCAL_OK; j++) {
        status = check_reference(reader, "model", dataset->models.at[j], models, config->models.n,
                                 at_item("datasets", i, "models", j).text);
    }
    const sc_config_texts *styles = dataset->styles.n > 0 ? &dataset->styles : &config->styles;
    for (size_t j = 0; j < styles->n && status == SEMCAL_OK; j++) {
        const sc_config_style *style = sc_config_find_style(config, styles->at[j]);
        status = check_shots(reader, dataset, i, &style->shots, at_style(style->name, "shots").text);
    }
    return status;
}

/* ---- extra cells ---- */

static semcal_status check_extra(sc_config_reader *reader, size_t i, const char *const *models,
                                 const char *const *datasets)
{
    const sc_config *config = reader->config;
    const sc_config_extra *extra = &config->extra.at[i];
    semcal_status status =
        check_reference(reader, "model", extra->model, models, config->models.n, at_key("extra", i, "model").text);
    if (status == SEMCAL_OK) {
        status = check_reference(reader, "dataset", extra->dataset, datasets, config->datasets.n,
                                 at_key("extra", i, "dataset").text);
    }
    if (status == SEMCAL_OK && sc_config_is_text(sc_config_find_dataset(config, extra->dataset))) {
        status = sc_config_fail_later(reader, at_key("extra", i, "dataset").text,
                                      "'%s' is a text, which is not asked in a style: texts have no extra cells",
                                      extra->dataset);
    }
    if (status == SEMCAL_OK) {
        const sc_config_dataset *dataset = sc_config_find_dataset(config, extra->dataset);
        status = check_shots(reader, dataset, (size_t)(dataset - config->datasets.at), &extra->shots,
                             at_key("extra", i, "shots").text);
    }
    return status;
}

semcal_status sc_config_finish(sc_config_reader *reader)
{
    const sc_config *config = reader->config;
    const char **models = sc_memory_alloc(config->models.n, sizeof *models, reader->error);
    const char **datasets = sc_memory_alloc(config->datasets.n, sizeof *datasets, reader->error);
    semcal_status status = models == NULL || datasets == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    for (size_t i = 0; i < config->models.n && status == SEMCAL_OK; i++) {
        models[i] = config->models.at[i].name;
    }
    for (size_t i = 0; i < config->datasets.n && status == SEMCAL_OK; i++) {
        datasets[i] = config->datasets.at[i].name;
    }
    if (status == SEMCAL_OK) {
        status = finish_models(reader);
    }
    if (status == SEMCAL_OK) {
        status = finish_styles(reader);
    }
    for (size_t i = 0; i < config->datasets.n && status == SEMCAL_OK; i++) {
        status = finish_dataset(reader, i, models);
    }
    for (size_t i = 0; i < config->extra.n && status == SEMCAL_OK; i++) {
        status = check_extra(reader, i, models, datasets);
    }
    free(models);
    free(datasets);
    return status;
}
