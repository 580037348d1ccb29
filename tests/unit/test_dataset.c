/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets from JSON lines and CSV: fields, ids, laws, choices, and one clear line for each thing that is wrong. */
#include "base/file.h"
#include "check.h"
#include "experiment/dataset.h"

#include <unistd.h>

static char folder[] = "/tmp/semcal-dataset-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int drop_folder(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

/* Writes a file into the test's folder and returns its path. */
static const char *write_file(const char *name, const char *content)
{
    static char path[256];
    semcal_error error = SEMCAL_ERROR_INIT;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    check_ok(sc_file_write_atomic(path, content, strlen(content), &error), error);
    return path;
}

static void json_fields(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.path = write_file("a.jsonl", "{\"question\": \"Q1?\", \"answers\": [\"a\", \"b; c\"], \"x\": null}\n"
                                         "\n"
                                         "{\"question\": \"Q2?\", \"answers\": \"d;  e;f ; \"}\n"
                                         "{\"question\": \"Q3?\", \"answers\": 42}\n"
                                         "{\"question\": \"Q1?\", \"answers\": [1.5, true]}\n");
    options.answers_separator = "; ";
    sc_dataset data;
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_int_equal(data.n_rows, 4);
    assert_int_equal(data.rows[0].answers.n, 2);
    assert_string_equal(data.rows[0].answers.at[1], "b; c"); /* lists are not split */
    assert_int_equal(data.rows[1].answers.n, 2);
    assert_string_equal(data.rows[1].answers.at[0], "d");
    assert_string_equal(data.rows[1].answers.at[1], "e;f");
    assert_string_equal(data.rows[2].answers.at[0], "42");
    assert_string_equal(data.rows[3].answers.at[0], "1.5");
    assert_string_equal(data.rows[3].answers.at[1], "true");
    assert_int_equal(data.rows[1].line, 3);
    assert_int_equal(strlen(data.sha256), 64);
    sc_collapse_context context = sc_dataset_context(&data, 1);
    assert_string_equal(context.question, "Q2?");
    assert_int_equal(context.n_answers, 2);
    assert_int_equal(context.n_choices, 0);

    /* default ids: of the text alone, repeated texts numbered */
    assert_string_not_equal(data.rows[0].id, data.rows[1].id);
    assert_int_equal(strlen(data.rows[0].id), 17);
    assert_int_equal(data.rows[0].id[0], 'q');
    char second[64];
    (void)snprintf(second, sizeof second, "%s-2", data.rows[0].id);
    assert_string_equal(data.rows[3].id, second);
    char kept[64];
    (void)snprintf(kept, sizeof kept, "%s", data.rows[2].id);
    sc_dataset_free(&data);

    /* another file, another place, same question: same id */
    options.path =
        write_file("b.jsonl", "{\"question\": \"new\", \"answers\": 1}\n{\"question\": \"Q3?\", \"answers\": 1}");
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_string_equal(data.rows[1].id, kept);
    sc_dataset_free(&data);

    options.path =
        write_file("a.jsonl", "{\"question\": \"Q1?\", \"answers\": \"a\"}\n{\"question\": 3, \"answers\": 1}\n{bad");
    options.limit = 2; /* the third row is not looked at */
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_int_equal(data.n_rows, 2);
    assert_string_equal(data.rows[1].question, "3");
    sc_dataset_free(&data);
}

static void laws_choices_ids(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.id = "id";
    options.law = "law";
    options.choices = "options";
    static const char *const extra[] = {"solution"};
    options.extra = extra;
    options.n_extra = 1;
    sc_dataset data;
    options.path =
        write_file("a.jsonl", "{\"id\": 7, \"question\": \"Q?\", \"answers\": [\"yes\"], \"solution\": \"because\", "
                              "\"law\": {\"yes\": 0.25, \"no\": 0.75}, \"options\": [[\"yes\", \"yeah\"], \"no\"]}\n"
                              "{\"id\": \"b\", \"question\": \"R?\", \"answers\": [\"B\"], \"solution\": \"\", "
                              "\"law\": {\"x\": 1}, \"options\": {\"A\": \"left\", \"B\": \"right\"}}\n");
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_string_equal(data.rows[0].id, "7");
    assert_string_equal(data.rows[1].id, "b");
    assert_int_equal(data.rows[0].law.n, 2);
    assert_string_equal(data.rows[0].law.at[1], "no");
    check_close(data.rows[0].law_p[1], 0.75, 0);
    assert_string_equal(data.rows[0].extra.at[0], "because");
    assert_int_equal(data.rows[0].choices.n, 2);
    assert_string_equal(data.rows[0].choices.items[0].aliases[0], "yeah");
    assert_string_equal(data.rows[1].choices.items[1].name, "B. right");

    /* what a row holds fits the collapse */
    const sc_collapse_kind *kind;
    sc_collapse_question *question;
    sc_collapse_class class;
    check_ok(sc_collapse_find(&kind, "choice", &error), error);
    sc_collapse_context context = sc_dataset_context(&data, 1);
    check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
    check_ok(sc_collapse_classify(&class, question, "right", &error), error);
    assert_true(class.correct);
    free(class.label);
    sc_collapse_question_free(question);
    sc_dataset_free(&data);
}

static void csv_fields(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.path = write_file(
        "a.csv", "id,question,answers,law,options\n"
                 "1,\"A \"\"quoted\"\"\nquestion, two lines\",x; y,\"{\"\"x\"\": 1}\",\"[\"\"x\"\",\"\"y\"\"]\"\n"
                 "2,Next?,z,\"{\"\"z\"\": 0.5, \"\"w\"\": 0.5}\",\"[\"\"z\"\"]\"\n");
    options.answers_separator = ";";
    options.id = "id";
    options.law = "law";
    options.choices = "options";
    sc_dataset data;
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_int_equal(data.n_rows, 2);
    assert_string_equal(data.rows[0].question, "A \"quoted\"\nquestion, two lines");
    assert_int_equal(data.rows[0].answers.n, 2);
    assert_string_equal(data.rows[0].answers.at[1], "y");
    assert_int_equal(data.rows[1].line, 4);
    assert_int_equal(data.rows[1].law.n, 2);
    assert_int_equal(data.rows[0].choices.n, 2);
    sc_dataset_free(&data);
}

static void wrong_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *content, *message;
    } cases[] = {
        {"a.jsonl", "", "no rows"},
        {"a.jsonl", "\n \n", "no rows"},
        {"a.csv", "id,question,answers\n", "no rows"},
        {"a.jsonl", "{\"id\":1,\"qestion\":\"x\",\"answers\":1}",
         "a.jsonl:1: field 'question' missing, did you mean 'qestion'? fields here: id, qestion, answers"},
        {"a.csv", "id,qestion,answers\n1,x,1\n",
         "a.csv:1: field 'question' missing, did you mean 'qestion'? fields here: id, qestion, answers"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\",\"zzz\":1}",
         "a.jsonl:1: field 'answers' missing; fields here: id, question, zzz"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\",\"answers\":1}\n{\"id\":1,\"question\":\"y\",\"answers\":1}\n",
         "a.jsonl:2: id '1' is already that of line 1"},
        {"a.csv", "id,question,answers\n1,x,1\n2,y,1\n1,z,1\n", "a.csv:4: id '1' is already that of line 2"},
        {"a.jsonl", "{\"id\":1,\"question\":\" \",\"answers\":1}", "a.jsonl:1: field 'question' is empty"},
        {"a.csv", "id,question,answers\n1,,1\n", "a.csv:2: field 'question' is empty"},
        {"a.jsonl", "{\"id\":1,\"question\":[],\"answers\":1}",
         "a.jsonl:1: field 'question' must be a text, is a list"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\",\"answers\":[]}", "a.jsonl:1: field 'answers' holds no answer"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\",\"answers\":null}", "field 'answers' holds no answer"},
        {"a.csv", "id,question,answers\n1,x,\n", "a.csv:2: field 'answers' holds no answer"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\",\"answers\":{}}", "field 'answers' must be a text, is an object"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\",\"answers\":1}\n[1]",
         "a.jsonl:2: a row must be an object, is a list"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\",\"answers\":1}\n{oops", "a.jsonl:2:"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\\u0000y\",\"answers\":1}", "a.jsonl:1: field 'question' holds a NUL"},
        {"a.jsonl", "{\"id\":1,\"question\":\"x\",\"answers\":1}\n{\"id\":2,\"question\":\"\xFFy\",\"answers\":1}",
         "a.jsonl:2:"},
        {"a.csv", "id,question,answers\n1,x,1\n2,\"a\nb\xFFy\",1\n",
         "a.csv:3: field 'question' is not UTF-8 (byte 0xff)"},
    };
    semcal_error error = SEMCAL_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
        options.path = write_file(cases[i].name, cases[i].content);
        options.id = "id";
        sc_dataset data;
        check_error(sc_dataset_open(&data, &options, &error), error, SEMCAL_E_DATA, cases[i].message);
        assert_null(data.rows);
        options.folder = folder; /* rows that wait in a file */
        check_error(sc_dataset_open(&data, &options, &error), error, SEMCAL_E_DATA, cases[i].message);
        assert_true(data.rows == NULL && data.tape == NULL && data.path == NULL);
    }
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.path = write_file("a.jsonl", "{\"question\": \"x\", \"answers\": 1}");
    options.folder = "/nonexistent/folder";
    sc_dataset data;
    check_error(sc_dataset_open(&data, &options, &error), error, SEMCAL_E_DATA,
                "/nonexistent/folder: cannot make a temporary file");
    options.path = "/nonexistent/x.jsonl";
    options.folder = NULL;
    check_error(sc_dataset_open(&data, &options, &error), error, SEMCAL_E_DATA, "/nonexistent/x.jsonl");
}

static void same_texts(const sc_row_texts *a, const sc_row_texts *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        assert_string_equal(a->at[i], b->at[i]);
    }
}

static void same_row(const sc_dataset_row *a, const sc_dataset_row *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->question, b->question);
    assert_int_equal(a->line, b->line);
    same_texts(&a->answers, &b->answers);
    same_texts(&a->law, &b->law);
    same_texts(&a->extra, &b->extra);
    for (size_t i = 0; i < a->law.n; i++) {
        check_close(a->law_p[i], b->law_p[i], 0);
    }
    assert_int_equal(a->choices.n, b->choices.n);
    for (size_t i = 0; i < a->choices.n; i++) {
        const sc_choice *x = &a->choices.items[i], *y = &b->choices.items[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->n_aliases, y->n_aliases);
        for (size_t k = 0; k < x->n_aliases; k++) {
            assert_string_equal(x->aliases[k], y->aliases[k]);
        }
    }
}

/* Rows that wait in a file, read from back to front, are those in memory. */
static void same_from_file(sc_dataset_options options, size_t n_rows)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset held, waiting;
    check_ok(sc_dataset_open(&held, &options, &error), error);
    options.folder = folder;
    check_ok(sc_dataset_open(&waiting, &options, &error), error);
    assert_int_equal(held.n_rows, n_rows);
    assert_int_equal(waiting.n_rows, n_rows);
    assert_null(waiting.rows);
    assert_string_equal(held.sha256, waiting.sha256);
    for (size_t i = n_rows; i-- > 0;) {
        sc_dataset_row row;
        check_ok(sc_dataset_read(&row, &waiting, i, &error), error);
        same_row(&held.rows[i], &row);
        sc_dataset_row_free(&row);
        assert_true(sc_dataset_item(&held, i) == sc_dataset_item(&waiting, i));
    }
    sc_dataset_free(&held);
    sc_dataset_free(&waiting);
}

static void rows_that_wait_in_a_file(void **state)
{
    (void)state;
    static const char *const extra[] = {"solution"};
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.id = "id";
    options.law = "law";
    options.choices = "options";
    options.extra = extra;
    options.n_extra = 1;
    options.path = write_file(
        "a.jsonl", "{\"id\": 7, \"question\": \"Q?\", \"answers\": [\"yes\", \"aye\"], \"solution\": \"so\", "
                   "\"law\": {\"yes\": 0.25, \"no\": 0.75}, \"options\": [[\"yes\", \"yeah\"], \"no\"]}\n\n"
                   "{\"id\": \"b\", \"question\": \"R?\", \"answers\": [\"B\"], \"solution\": \"\", "
                   "\"law\": {\"x\": 1}, \"options\": {\"A\": \"left\", \"B\": \"right\"}}\n");
    same_from_file(options, 2);
    options.limit = 1;
    same_from_file(options, 1);

    /* more than a block of the file, rows over its edges; every third question is the same, there are no ids */
    enum { N = 900 };
    sc_text text = {0};
    semcal_error error = SEMCAL_ERROR_INIT;
    check_ok(sc_text_printf(&text, &error, "question,answers\n"), error);
    for (int i = 0; i < N; i++) {
        check_ok(
            sc_text_printf(&text, &error, "\"%0*d?\",answer %d\n", i % 3 == 0 ? 7 : 1 + i % 211, i % 3 == 0 ? 0 : i, i),
            error);
    }
    options = (sc_dataset_options)SC_DATASET_OPTIONS_INIT;
    options.path = write_file("a.csv", text.data);
    same_from_file(options, N);
    sc_text_free(&text);
}

static void wrong_laws(void **state)
{
    (void)state;
    static const struct {
        const char *law, *message;
    } cases[] = {
        {"{\"a\": 0.5, \"b\": 0.49}", "field 'law': the probabilities sum to 0.99, not 1"},
        {"{\"a\": 0.5, \"b\": 0.500002}", "not 1"},
        {"{\"a\": 1.5, \"b\": -0.5}", "'a' needs a probability"},
        {"{\"a\": \"1\"}", "'a' needs a probability"},
        {"{}", "is empty"},
        {"[1]", "is a list"},
        {"null", "is null"},
    };
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.law = "law";
    sc_dataset data;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        (void)snprintf(line, sizeof line, "{\"question\":\"x\",\"answers\":1,\"law\":%s}", cases[i].law);
        options.path = write_file("law.jsonl", line);
        check_error(sc_dataset_open(&data, &options, &error), error, SEMCAL_E_DATA, cases[i].message);
    }
    options.path = write_file(
        "law.jsonl", "{\"question\":\"x\",\"answers\":1,\"law\":{\"a\":0.3333333,\"b\":0.3333333,\"c\":0.3333333}}");
    check_ok(sc_dataset_open(&data, &options, &error), error); /* rounded to seven decimals is fine */
    sc_dataset_free(&data);
}

/* Opening as the configuration says, with a closed list and examples. */
static void from_config(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    char *first[] = {(char *)"yes", (char *)"yeah"}, *second[] = {(char *)"no"};
    sc_config_texts groups[] = {{first, 2}, {second, 1}};
    sc_config_dataset config = {0};
    char path[256], list[256];
    (void)snprintf(path, sizeof path, "%s",
                   write_file("c.jsonl", "{\"question\":\"x\",\"answers\":\"yes\",\"work\":\"so: yes\"}\n"
                                         "{\"question\":\"y\",\"answers\":\"no\",\"work\":\"so: no\"}\n"));
    config.path = path;
    config.format = SC_CONFIG_JSONL;
    config.question = (char *)"question";
    config.answers = (char *)"answers";
    config.limit = SC_CONFIG_UNSET;
    config.choices.groups = groups;
    config.choices.n_groups = 2;
    sc_dataset data;
    check_ok(sc_dataset_open_config(&data, &config, NULL, &error), error);
    sc_collapse_context context = sc_dataset_context(&data, 0);
    assert_int_equal(context.n_choices, 2);
    assert_string_equal(context.choices[0].aliases[0], "yeah");
    sc_dataset_free(&data);

    (void)snprintf(list, sizeof list, "%s", write_file("list.txt", "yes\tyeah\tyep\n\nno\r\n"));
    config.choices.n_groups = 0;
    config.choices_file = list;
    check_ok(sc_dataset_open_config(&data, &config, NULL, &error), error);
    assert_int_equal(data.choices.n, 2);
    assert_int_equal(data.choices.items[0].n_aliases, 2);
    assert_string_equal(data.choices.items[1].name, "no");
    sc_dataset_free(&data);

    check_ok(sc_dataset_open_shots(&data, &config, &error), error);
    assert_int_equal(data.n_rows, 0);
    char *styles[] = {(char *)"cot"}, *fields[] = {(char *)"work"};
    config.shots = (sc_config_shots){.path = path,
                                     .n = 2,
                                     .format = SC_CONFIG_JSONL,
                                     .question = (char *)"question",
                                     .answers = (char *)"answers",
                                     .responses = {styles, fields, 1}};
    check_ok(sc_dataset_open_shots(&data, &config, &error), error);
    assert_int_equal(data.n_rows, 2);
    assert_string_equal(data.rows[1].extra.at[0], "so: no");
    sc_dataset_free(&data);
    config.shots.n = 3;
    check_error(sc_dataset_open_shots(&data, &config, &error), error, SEMCAL_E_DATA, "2 rows, but shots.n is 3");
}

/* The reference sets: row counts and a few facts from their description. */
static const char *reference_set(const char *path)
{
    path = shared_path(path);
    if (path == NULL) {
        print_message("skipped: the reference data is not here\n");
        skip();
    }
    return path;
}

/* Every reference has the number behind "####", separators aside. */
static void reference_gsm8k(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset data;
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.path = reference_set("data/gsm8k/test.jsonl");
    options.answers = "answer";
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_int_equal(data.n_rows, 700);
    const sc_collapse_kind *kind;
    check_ok(sc_collapse_find(&kind, "numeric", &error), error);
    for (size_t i = 0; i < data.n_rows; i++) {
        sc_collapse_context context = sc_dataset_context(&data, i);
        sc_collapse_question *question;
        check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
        size_t n, k = 0;
        const char *const *references = sc_collapse_references(question, &n);
        assert_int_equal(n, 1);
        char number[64] = "";
        for (const char *at = strstr(context.answers[0], "#### ") + 5; *at != '\0'; at++) {
            if (*at != ',') {
                number[k++] = *at;
            }
        }
        assert_string_equal(references[0], number);
        sc_collapse_question_free(question);
    }
    sc_dataset_free(&data);
}

static void reference_simpleqa(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset data;
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.path = reference_set("data/simpleqa/test.csv");
    options.question = "problem";
    options.answers = "answer";
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_int_equal(data.n_rows, 1500);
    assert_string_equal(data.rows[0].answers.at[0], "Michio Sugeno");
    assert_int_equal(data.rows[1499].line, 1502); /* header, and one field of two lines */
    sc_dataset_free(&data);
}

static void reference_truthfulqa(void **state)
{
    (void)state;
    static const char *const extra[] = {"Best Answer"};
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset data;
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.path = reference_set("data/truthfulqa/TruthfulQA.csv");
    options.question = "Question";
    options.answers = "Correct Answers";
    options.answers_separator = "; ";
    options.extra = extra;
    options.n_extra = 1;
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_int_equal(data.n_rows, 400);
    assert_int_equal(data.rows[0].answers.n, 6);
    assert_string_equal(data.rows[0].answers.at[0], "Nothing happens");
    assert_string_equal(data.rows[0].extra.at[0], "The watermelon seeds pass through your digestive system");
    sc_dataset_free(&data);
}

/* Each accepted answer is correct, alone and in a sentence. */
static void reference_nq_open(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_dataset data;
    sc_dataset_options options = SC_DATASET_OPTIONS_INIT;
    options.path = reference_set("data/nq_open/dev.jsonl");
    options.answers = "answer";
    check_ok(sc_dataset_open(&data, &options, &error), error);
    assert_int_equal(data.n_rows, 500);
    assert_int_equal(data.rows[0].answers.n, 2);
    assert_string_equal(data.rows[0].answers.at[1], "December 1972");
    const sc_collapse_kind *kind;
    check_ok(sc_collapse_find(&kind, "alias", &error), error);
    for (size_t i = 0; i < data.n_rows; i++) {
        sc_collapse_context context = sc_dataset_context(&data, i);
        sc_collapse_question *question;
        check_ok(sc_collapse_question_make(&question, kind, &context, &error), error);
        for (size_t k = 0; k < context.n_answers; k++) {
            char sentence[1024];
            sc_collapse_class class;
            (void)snprintf(sentence, sizeof sentence, "The answer is %s.", context.answers[k]);
            check_ok(sc_collapse_classify(&class, question, sentence, &error), error);
            if (!class.correct) {
                print_error("%s: '%s' is '%s'\n", context.question, sentence, class.label);
            }
            assert_true(class.correct);
            free(class.label);
        }
        sc_collapse_question_free(question);
    }
    sc_dataset_free(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_wait_in_a_file),
        cmocka_unit_test(json_fields),
        cmocka_unit_test(laws_choices_ids),
        cmocka_unit_test(csv_fields),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(wrong_laws),
        cmocka_unit_test(from_config),
        cmocka_unit_test(reference_gsm8k),
        cmocka_unit_test(reference_simpleqa),
        cmocka_unit_test(reference_truthfulqa),
        cmocka_unit_test(reference_nq_open),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
