/* SPDX-License-Identifier: Apache-2.0 */
/* Who judges: the model, what identifies it, and its replies by response. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "experiment/judge.h"

#include "base/file.h"
#include "base/memory.h"
#include "experiment/judge_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sc_judge_model(sc_config_model *model, const sc_config_collapse *config, const sc_config_model *own)
{
    *model = *own;
    if (config->path != NULL) {
        *model = (sc_config_model){.name = config->path,
                                   .path = config->path,
                                   .source = SC_CONFIG_MODEL,
                                   .gemm = config->gemm,
                                   .kv_memory = config->kv_memory};
    }
    model->chat = config->chat != NULL ? config->chat : model->chat;
}

semcal_status sc_judge_check(const sc_config *config, semcal_error *error)
{
    for (size_t i = 0; i < config->datasets.n; i++) {
        const sc_config_dataset *dataset = &config->datasets.at[i];
        const sc_config_collapse *collapse = sc_config_find_collapse(dataset, SC_JUDGE_KIND);
        if (collapse == NULL || collapse->path == NULL || sc_config_is_text(dataset)) {
            continue;
        }
        char *shape = sc_file_join(collapse->path, "config.json", error);
        const bool there = shape != NULL && sc_file_exists(shape);
        free(shape);
        if (!there) {
            return sc_error_set(error, SEMCAL_E_CONFIG,
                                "dataset '%s': collapse.path: %s is no model folder (there is no config.json in it)",
                                dataset->name, collapse->path);
        }
    }
    return SEMCAL_OK;
}

semcal_status sc_judge_put_path(sc_text *out, const char *path, semcal_error *error)
{
    char absolute[PATH_MAX];
    const char *at = realpath(path, absolute) != NULL ? absolute : path;
    semcal_status status = sc_text_append(out, "'", 1, error);
    for (; *at != '\0' && status == SEMCAL_OK; at++) {
        status = sc_text_append(out, *at == '\'' ? "''" : at, *at == '\'' ? 2 : 1, error);
    }
    return status == SEMCAL_OK ? sc_text_append(out, "'", 1, error) : status;
}

/* ---- what it is ---- */

/* The texts with unit separators between them. */
static char *join_texts(const sc_config_texts *texts, semcal_error *error)
{
    sc_text all = {0};
    semcal_status status = sc_text_append(&all, "", 0, error);
    for (size_t i = 0; i < texts->n && status == SEMCAL_OK; i++) {
        status = sc_text_printf(&all, error, "%s%s", i > 0 ? "\x1f" : "", texts->at[i]);
    }
    if (status != SEMCAL_OK) {
        sc_text_free(&all);
    }
    return all.data;
}

/* Adds the length too, so that no two lists of texts read the same. */
static semcal_status put(sc_text *text, const char *name, const char *value, semcal_error *error)
{
    value = value != NULL ? value : "";
    return sc_text_printf(text, error, "%s %zu %s\n", name, strlen(value), value);
}

semcal_status sc_judge_settings(char hex[65], const sc_config_collapse *config, semcal_error *error)
{
    sc_text all = {0};
    char *stop = join_texts(&config->stop, error), *unknown = join_texts(&config->unknown, error);
    semcal_status status = stop == NULL || unknown == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    const char *const values[][2] = {{"path", config->path}, {"chat", config->chat}, {"prompt", config->prompt},
                                     {"stop", stop},         {"unknown", unknown},   {"then", config->then}};
    for (size_t i = 0; i < sizeof values / sizeof *values && status == SEMCAL_OK; i++) {
        status = put(&all, values[i][0], values[i][1], error);
    }
    if (status == SEMCAL_OK) {
        status = sc_text_printf(&all, error, "max_tokens %" PRId64 " gemm %d\n", config->max_tokens, (int)config->gemm);
    }
    if (status == SEMCAL_OK) {
        sc_sha256_hex(hex, all.data, all.length);
    }
    sc_text_free(&all);
    free(stop);
    free(unknown);
    return status;
}

/* Attributes that decide a reply come first and make the digest. */
static semcal_status describe(sc_judged *j, semcal_error *error)
{
    const sc_config_collapse *config = j->options.config;
    const sc_config_model *model = j->options.model;
    const sc_source_facts *facts = &j->options.source->facts;
    char number[32], settings[65] = "";
    (void)snprintf(number, sizeof number, "%" PRId64, config->max_tokens);
    char *stop = join_texts(&config->stop, error), *unknown = join_texts(&config->unknown, error);
    semcal_status status = stop == NULL || unknown == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
    if (status == SEMCAL_OK) {
        status = sc_judge_settings(settings, config, error);
    }
    enum { DECIDING = 10 };
    const struct {
        const char *name, *value;
    } all[] = {
        {"judge_source", facts->kind},
        {"judge_model_sha256", facts->model_sha256},
        {"judge_tokenizer_sha256", facts->tokenizer_sha256},
        {"judge_chat", model->source == SC_CONFIG_MODEL && model->chat != NULL ? model->chat : "none"},
        {"judge_prompt", config->prompt},
        {"judge_max_tokens", number},
        {"judge_stop", stop},
        {"judge_device", facts->device},
        {"judge_gemm", facts->gemm},
        {"judge_kernels_sha256", facts->kernels_sha256},
        {"judge_model", model->name},
        {"judge_unknown", unknown},
        {"judge_then", config->then},
        {SC_JUDGE_SETTINGS, settings},
        {"judge_sha256", j->sha256},
    };
    sc_text deciding = {0};
    for (size_t i = 0; i < sizeof all / sizeof *all && status == SEMCAL_OK; i++) {
        if (i == DECIDING) {
            sc_sha256_hex(j->sha256, deciding.data, deciding.length);
        } else if (i < DECIDING) {
            status = put(&deciding, all[i].name, all[i].value, error);
        }
        j->values[i] = sc_memory_strdup(all[i].value != NULL ? all[i].value : "", error);
        j->attributes[i] = (sc_store_attribute){.name = all[i].name, .text = j->values[i], .identity = i < DECIDING};
        j->n_attributes = i + 1;
        status = status == SEMCAL_OK && j->values[i] == NULL ? SEMCAL_E_MEMORY : status;
    }
    sc_text_free(&deciding);
    free(stop);
    free(unknown);
    return status;
}

/* ---- replies ---- */

/* A response without a word in it says nothing that a judge could name, and would make it answer by itself. */
static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n\v\f")] == '\0';
}

static semcal_status key_of(char key[65], const char *question, const char *response, semcal_error *error)
{
    sc_text both = {0};
    semcal_status status = put(&both, "question", question, error);
    if (status == SEMCAL_OK) {
        status = put(&both, "response", response, error);
    }
    if (status == SEMCAL_OK) {
        sc_sha256_hex(key, both.data, both.length);
    }
    sc_text_free(&both);
    return status;
}

static size_t *slot_of(const sc_judged *j, const char *key)
{
    char head[17];
    memcpy(head, key, 16);
    head[16] = '\0';
    size_t at = (size_t)(strtoull(head, NULL, 16) % j->n_slots);
    while (j->slots[at] != 0 && strcmp(j->entries[j->slots[at] - 1].key, key) != 0) {
        at = at + 1 < j->n_slots ? at + 1 : 0;
    }
    return &j->slots[at];
}

sc_judged_entry *sc_judged_find(const sc_judged *j, const char *key)
{
    const size_t entry = j->n_slots > 0 ? *slot_of(j, key) : 0;
    return entry > 0 ? &j->entries[entry - 1] : NULL;
}

/* At most half of the slots are taken. */
static semcal_status room_for_one(sc_judged *j, semcal_error *error)
{
    semcal_status status =
        sc_memory_grow(&j->entries, &j->entries_capacity, j->n_entries + 1, sizeof *j->entries, error);
    if (status != SEMCAL_OK || 2 * (j->n_entries + 1) <= j->n_slots) {
        return status;
    }
    const size_t n = j->n_slots == 0 ? 1024 : 2 * j->n_slots;
    size_t *slots = sc_memory_alloc(n, sizeof *slots, error);
    if (slots == NULL) {
        return SEMCAL_E_MEMORY;
    }
    free(j->slots);
    j->slots = slots;
    j->n_slots = n;
    for (size_t i = 0; i < j->n_entries; i++) {
        *slot_of(j, j->entries[i].key) = i + 1;
    }
    return SEMCAL_OK;
}

semcal_status sc_judged_want(sc_judged *j, const char *id, const char *question, const char *response,
                             semcal_error *error)
{
    sc_judged_entry entry = {.text = NULL};
    if (is_blank(response)) {
        return SEMCAL_OK;
    }
    semcal_status status = key_of(entry.key, question, response, error);
    if (status == SEMCAL_OK && sc_judged_find(j, entry.key) == NULL) {
        status = room_for_one(j, error);
        entry.id = sc_memory_strdup(id, error);
        entry.question = sc_memory_strdup(question, error);
        entry.response = sc_memory_strdup(response, error);
        if (status != SEMCAL_OK || entry.id == NULL || entry.question == NULL || entry.response == NULL) {
            sc_judged_settle(&entry);
            return SEMCAL_E_MEMORY;
        }
        *slot_of(j, entry.key) = j->n_entries + 1;
        j->entries[j->n_entries++] = entry;
    }
    return status;
}

semcal_status sc_judged_set(sc_judged_entry *entry, const char *text, size_t length, bool cut, semcal_error *error)
{
    static const char blanks[] = " \t\r\n\v\f";
    while (length > 0 && text[0] != '\0' && strchr(blanks, text[0]) != NULL) {
        text++;
        length--;
    }
    while (length > 0 && text[length - 1] != '\0' && strchr(blanks, text[length - 1]) != NULL) {
        length--;
    }
    entry->text = sc_store_text(text, length, error);
    entry->cut = cut;
    return entry->text == NULL ? SEMCAL_E_MEMORY : SEMCAL_OK;
}

void sc_judged_settle(sc_judged_entry *entry)
{
    free(entry->id);
    free(entry->question);
    free(entry->response);
    entry->id = entry->question = entry->response = NULL;
}

/* sc_collapse_judge.reply */
static semcal_status reply_of(sc_collapse_reply *reply, const char *question, const char *response, void *payload,
                              semcal_error *error)
{
    const sc_judged *j = payload;
    char key[65];
    *reply = (sc_collapse_reply){NULL, false};
    if (is_blank(response)) {
        return SEMCAL_OK;
    }
    semcal_status status = key_of(key, question, response, error);
    const sc_judged_entry *entry = status == SEMCAL_OK ? sc_judged_find(j, key) : NULL;
    if (status == SEMCAL_OK && (entry == NULL || entry->text == NULL)) {
        return sc_error_set(error, SEMCAL_E_DATA, "a response has not been judged: %.60s", response);
    }
    if (entry != NULL) {
        *reply = (sc_collapse_reply){entry->text, entry->cut};
    }
    return status;
}

/* ---- the whole ---- */

semcal_status sc_judged_make(sc_judged **judged, const sc_judge_options *options, semcal_error *error)
{
    *judged = NULL;
    sc_judged *made = sc_memory_alloc(1, sizeof *made, error);
    if (made == NULL) {
        return SEMCAL_E_MEMORY;
    }
    const sc_config_collapse *config = options->config;
    made->options = *options;
    made->judge = (sc_collapse_judge){.reply = reply_of,
                                      .payload = made,
                                      .unknown = (const char *const *)config->unknown.at,
                                      .n_unknown = config->unknown.n};
    semcal_status status = describe(made, error);
    if (status == SEMCAL_OK && strcmp(config->then, "auto") != 0) {
        status = sc_collapse_find(&made->judge.then, config->then, error);
    }
    if (status != SEMCAL_OK) {
        sc_judged_free(made);
        return status;
    }
    *judged = made;
    return SEMCAL_OK;
}

void sc_judged_free(sc_judged *j)
{
    if (j == NULL) {
        return;
    }
    for (size_t i = 0; i < j->n_entries; i++) {
        sc_judged_settle(&j->entries[i]);
        free(j->entries[i].text);
    }
    for (size_t i = 0; i < j->n_attributes; i++) {
        free(j->values[i]);
    }
    free(j->entries);
    free(j->slots);
    free(j);
}

const sc_collapse_judge *sc_judged_judge(const sc_judged *judged)
{
    return &judged->judge;
}

const sc_store_attribute *sc_judged_attributes(const sc_judged *judged, size_t *n)
{
    *n = judged->n_attributes;
    return judged->attributes;
}

void sc_judged_counts(const sc_judged *judged, uint64_t *n_wanted, uint64_t *n_asked)
{
    *n_wanted = judged->n_entries;
    *n_asked = judged->n_asked;
}
