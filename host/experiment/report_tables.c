/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/report_tables.h"

#include "base/file.h"
#include "experiment/report_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static semcal_status write_table(const char *folder, const char *name, sc_report_text *table, semcal_error *error)
{
    char *path = sc_file_join(folder, name, error);
    semcal_status status = path == NULL ? SEMCAL_E_MEMORY : table->status;
    if (status == SEMCAL_OK) {
        status = sc_file_write_atomic(path, table->text.data, table->text.length, error);
    }
    free(path);
    sc_report_text_free(table);
    return status;
}

/* Every number of the analysis; those of an estimator have its name in front. */
static semcal_status write_cells(const char *folder, const sc_report_data *data, semcal_error *error)
{
    sc_report_text t;
    sc_report_text_init(&t, error);
    sc_report_put(&t, "cell,model,model_kind,dataset,style,collapse");
    for (int e = -1; e < SC_ANALYSIS_N_ESTIMATORS; e++) {
        for (size_t f = 0; f < sc_analysis_n_fields; f++) {
            const sc_analysis_field *field = &sc_analysis_fields[f];
            if (e < 0 && field->of_cell != NULL) {
                sc_report_put(&t, ",%s", field->name);
            } else if (e >= 0 && field->of_row != NULL) {
                sc_report_put(&t, ",%s_%s", sc_analysis_estimator_name(e), field->name);
            }
        }
    }
    sc_report_put(&t, "\n");
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_analysis_cell *cell = data->cells[i].numbers;
        sc_report_put_csv(&t, cell->name, true);
        sc_report_put_csv(&t, cell->model, false);
        sc_report_put_csv(&t, cell->model_kind, false);
        sc_report_put_csv(&t, cell->dataset, false);
        sc_report_put_csv(&t, cell->style, false);
        sc_report_put_csv(&t, cell->collapse, false);
        for (int e = -1; e < SC_ANALYSIS_N_ESTIMATORS; e++) {
            for (size_t f = 0; f < sc_analysis_n_fields; f++) {
                const sc_analysis_field *field = &sc_analysis_fields[f];
                if (e < 0 && field->of_cell != NULL) {
                    sc_report_put_csv_real(&t, field->of_cell(cell));
                } else if (e >= 0 && field->of_row != NULL) {
                    sc_report_put_csv_real(&t, field->of_row(&cell->rows[e]));
                }
            }
        }
        sc_report_put(&t, "\n");
    }
    return write_table(folder, "cells.csv", &t, error);
}

static semcal_status write_comparisons(const char *folder, const sc_report_comparisons *comparisons,
                                       semcal_error *error)
{
    sc_report_text t;
    sc_report_text_init(&t, error);
    sc_report_put(&t, "cell_a,cell_b,differ_in,questions,smece_difference,smece_low,smece_high,"
                      "overconfidence_difference,overconfidence_low,overconfidence_high,accuracy_difference\n");
    for (size_t i = 0; i < comparisons->n; i++) {
        const sc_report_comparison *c = &comparisons->at[i];
        const double numbers[] = {(double)c->n,
                                  c->smece,
                                  c->smece_ci[0],
                                  c->smece_ci[1],
                                  c->overconfidence,
                                  c->overconfidence_ci[0],
                                  c->overconfidence_ci[1],
                                  c->accuracy};
        sc_report_put_csv(&t, c->a->numbers->name, true);
        sc_report_put_csv(&t, c->b->numbers->name, false);
        sc_report_put_csv(&t, c->axis, false);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            sc_report_put_csv_real(&t, numbers[k]);
        }
        sc_report_put(&t, "\n");
    }
    return write_table(folder, "comparisons.csv", &t, error);
}

/* One row per class of each of the most overconfident questions. */
static semcal_status write_questions(const char *folder, const sc_report_data *data, semcal_error *error)
{
    sc_report_text t;
    sc_report_text_init(&t, error);
    sc_report_put(&t, "cell,question_index,question_id,question,references,confidence,deserved,class,class_count,"
                      "class_mass,class_correct,sample\n");
    for (size_t i = 0; i < data->n_cells; i++) {
        const sc_report_cell *cell = &data->cells[i];
        for (size_t w = 0; w < cell->n_worst; w++) {
            const sc_report_question *q = &cell->worst[w];
            for (size_t k = 0; k < q->n_classes; k++) {
                const sc_report_class *class = &q->classes[k];
                sc_report_put_csv(&t, cell->numbers->name, true);
                sc_report_put(&t, ",%llu", (unsigned long long)q->index);
                sc_report_put_csv(&t, q->id, false);
                sc_report_put_csv(&t, q->question, false);
                sc_report_put_csv(&t, q->references, false);
                sc_report_put_csv_real(&t, q->confidence);
                sc_report_put_csv_real(&t, q->deserved);
                sc_report_put_csv(&t, class->label[0] != '\0' ? class->label : "(unparsed)", false);
                sc_report_put(&t, ",%d", (int)class->count);
                sc_report_put_csv_real(&t, class->mass);
                sc_report_put(&t, ",%d", class->correct);
                sc_report_put_csv(&t, class->sample, false);
                sc_report_put(&t, "\n");
            }
        }
    }
    return write_table(folder, "questions.csv", &t, error);
}

/* Every number of the text cells, and their classes of tokens. */
static semcal_status write_texts(const char *folder, const sc_report_data *data, semcal_error *error)
{
    sc_report_text t;
    sc_report_text_init(&t, error);
    sc_report_put(&t, "cell,model,model_kind,dataset");
    for (size_t f = 0; f < sc_analysis_text_n_fields; f++) {
        sc_report_put(&t, ",%s", sc_analysis_text_fields[f].name);
    }
    sc_report_put(&t, "\n");
    for (size_t i = 0; i < data->analysis.n_texts; i++) {
        const sc_analysis_text *text = &data->analysis.texts[i];
        sc_report_put_csv(&t, text->name, true);
        sc_report_put_csv(&t, text->model, false);
        sc_report_put_csv(&t, text->model_kind, false);
        sc_report_put_csv(&t, text->dataset, false);
        for (size_t f = 0; f < sc_analysis_text_n_fields; f++) {
            sc_report_put_csv_real(&t, sc_analysis_text_fields[f].value(text));
        }
        sc_report_put(&t, "\n");
    }
    return write_table(folder, "texts.csv", &t, error);
}

static semcal_status write_classes(const char *folder, const sc_report_data *data, semcal_error *error)
{
    sc_report_text t;
    sc_report_text_init(&t, error);
    sc_report_put(&t, "cell,class,share_of_tokens,mean_probability,best_bias\n");
    for (size_t i = 0; i < data->analysis.n_texts; i++) {
        const sc_analysis_text *text = &data->analysis.texts[i];
        for (size_t k = 0; k < text->n_classes; k++) {
            sc_report_put_csv(&t, text->name, true);
            sc_report_put_csv(&t, text->labels[k], false);
            sc_report_put_csv_real(&t, text->class_frequency[k]);
            sc_report_put_csv_real(&t, text->class_mass[k]);
            sc_report_put_csv_real(&t, text->class_bias[k]);
            sc_report_put(&t, "\n");
        }
    }
    return write_table(folder, "text_classes.csv", &t, error);
}

semcal_status sc_report_tables(const char *folder, const sc_report_data *data, const sc_report_comparisons *comparisons,
                               semcal_error *error)
{
    semcal_status status = write_cells(folder, data, error);
    if (status == SEMCAL_OK) {
        status = write_comparisons(folder, comparisons, error);
    }
    if (status == SEMCAL_OK) {
        status = write_questions(folder, data, error);
    }
    if (status == SEMCAL_OK && data->analysis.n_texts > 0) {
        status = write_texts(folder, data, error);
    }
    return status == SEMCAL_OK && data->analysis.n_texts > 0 ? write_classes(folder, data, error) : status;
}
