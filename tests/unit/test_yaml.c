/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "formats/yaml.h"

static semcal_status parse(sc_yaml *yaml, const char *text, semcal_error *error)
{
    return sc_yaml_parse(yaml, text, strlen(text), "t.yaml", error);
}

static void trees_know_their_places(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_yaml yaml;
    check_ok(parse(&yaml,
                   "name: quick  # comment\nmodels: [{name: base, path: x}, {name: b2}]\nsampling:\n  draws: 50\n"
                   "  temperature: [1.0, .5]\n  stop: [\"\\n\", '']\nempty:\n",
                   &error),
             error);
    const sc_yaml_node *root = yaml.root;
    assert_int_equal(root->kind, SC_YAML_MAP);
    assert_int_equal(root->n, 4);
    assert_string_equal(root->keys[2]->text, "sampling");
    assert_int_equal(root->keys[2]->line, 3);
    const sc_yaml_node *models = sc_yaml_get(root, "models");
    assert_int_equal(models->kind, SC_YAML_LIST);
    const sc_yaml_node *second = sc_yaml_get(models->items[1], "name");
    assert_string_equal(second->text, "b2");
    assert_int_equal(second->line, 2);
    assert_int_equal(second->column, 40);
    assert_null(sc_yaml_get(root, "nothing"));
    assert_null(sc_yaml_get(models, "name"));
    const sc_yaml_node *sampling = sc_yaml_get(root, "sampling");
    int64_t draws;
    check_ok(sc_yaml_as_int(&draws, &yaml, sc_yaml_get(sampling, "draws"), "sampling.draws", &error), error);
    assert_int_equal(draws, 50);
    const sc_yaml_node *stop = sc_yaml_get(sampling, "stop");
    assert_string_equal(stop->items[0]->text, "\n");
    assert_true(stop->items[0]->quoted && stop->items[1]->quoted);
    assert_false(sc_yaml_is_null(stop->items[1]));
    assert_true(sc_yaml_is_null(sc_yaml_get(root, "empty")));
    sc_yaml_free(&yaml);
    check_ok(parse(&yaml, "# nothing\n", &error), error);
    assert_true(sc_yaml_is_null(yaml.root));
    sc_yaml_free(&yaml);
}

static void malformed_input(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_yaml yaml;
    const struct {
        const char *text, *message;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: duplicate key 'a', first at line 1"},
        {"s:\n  x: 1\n  \"x\": 2\n", "t.yaml:3:3: duplicate key 'x', first at line 2"},
        {"l: [{a: 1, a: 2}]\n", "t.yaml:1:12: duplicate key 'a'"},
        {"a: [1, 2\nb: 3\n", "t.yaml:2:2: did not find expected ',' or ']'"},
        {"a: 1\n b: 2\n", "t.yaml:2:3: mapping values are not allowed"},
        {"a: \"x\n", "t.yaml:2:1: found unexpected end of stream"},
        {"a:\n\t- 1\n", "t.yaml:2:1: found character that cannot start any token"},
        {"a: &x 1\n", "t.yaml:1:4: anchors"},
        {"a: &x [1]\n", "t.yaml:1:4: anchors"},
        {"a: *x\n", "t.yaml:1:4: aliases"},
        {"*x : 1\n", "t.yaml:1:1: aliases"},
        {"a: !!str 1\n", "t.yaml:1:4: tags"},
        {"[1]: 1\n", "t.yaml:1:1: a key must be a plain name"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document"},
        {"a: \xff\n", "t.yaml: byte 3: "},
        {"a: \x01\n", "t.yaml: byte 3: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_error(parse(&yaml, cases[i].text, &error), error, SEMCAL_E_CONFIG, cases[i].message);
        assert_null(yaml.root);
    }
    char deep[401];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    deep[400] = '\0';
    check_error(parse(&yaml, deep, &error), error, SEMCAL_E_CONFIG, "t.yaml:1:66: nested too deeply");
    check_error(sc_yaml_read(&yaml, "/nonexistent.yaml", &error), error, SEMCAL_E_DATA, "/nonexistent.yaml");
}

static void typed_reading(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_yaml yaml;
    check_ok(
        parse(&yaml,
              "[7, -3, '7', 1.5, 1e-3, true, yes, .inf, 99999999999999999999, 0x10, text, [1], {a: 1}, ~, +4, --4, "
              "\"a\\0b\"]",
              &error),
        error);
    sc_yaml_node **item = yaml.root->items;
    int64_t n;
    double x;
    bool flag;
    const char *text;
    check_ok(sc_yaml_as_int(&n, &yaml, item[1], "k", &error), error);
    assert_true(n == -3);
    check_ok(sc_yaml_as_int(&n, &yaml, item[14], "k", &error), error);
    assert_true(n == 4);
    check_ok(sc_yaml_as_real(&x, &yaml, item[0], "k", &error), error);
    check_close(x, 7, 0);
    check_ok(sc_yaml_as_real(&x, &yaml, item[4], "k", &error), error);
    check_close(x, 1e-3, 0);
    check_ok(sc_yaml_as_bool(&flag, &yaml, item[5], "k", &error), error);
    assert_true(flag);
    check_ok(sc_yaml_as_text(&text, &yaml, item[6], "k", &error), error);
    assert_string_equal(text, "yes");
    check_error(sc_yaml_as_int(&n, &yaml, item[2], "k.l", &error), error, SEMCAL_E_CONFIG,
                "t.yaml:1:9: k.l: must be an integer, got \"7\"");
    check_error(sc_yaml_as_int(&n, &yaml, item[3], "k", &error), error, SEMCAL_E_CONFIG, "an integer, got '1.5'");
    check_error(sc_yaml_as_int(&n, &yaml, item[8], "k", &error), error, SEMCAL_E_CONFIG, "does not fit");
    check_error(sc_yaml_as_int(&n, &yaml, item[9], "k", &error), error, SEMCAL_E_CONFIG, "'0x10'");
    check_error(sc_yaml_as_int(&n, &yaml, item[15], "k", &error), error, SEMCAL_E_CONFIG, "'--4'");
    check_error(sc_yaml_as_real(&x, &yaml, item[7], "k", &error), error, SEMCAL_E_CONFIG, "a number, got '.inf'");
    check_error(sc_yaml_as_real(&x, &yaml, item[9], "k", &error), error, SEMCAL_E_CONFIG, "a number");
    check_error(sc_yaml_as_real(&x, &yaml, item[10], "k", &error), error, SEMCAL_E_CONFIG, "a number");
    check_error(sc_yaml_as_bool(&flag, &yaml, item[6], "k", &error), error, SEMCAL_E_CONFIG, "true or false");
    check_error(sc_yaml_as_text(&text, &yaml, item[11], "k", &error), error, SEMCAL_E_CONFIG, "a text, is a list");
    check_error(sc_yaml_as_int(&n, &yaml, item[12], "k", &error), error, SEMCAL_E_CONFIG, "an integer, is a map");
    check_error(sc_yaml_as_text(&text, &yaml, item[13], "k", &error), error, SEMCAL_E_CONFIG, "is empty");
    check_error(sc_yaml_as_text(&text, &yaml, item[16], "k", &error), error, SEMCAL_E_CONFIG, "NUL");
    sc_yaml_free(&yaml);
}

static void check_equal(const sc_yaml_node *a, const sc_yaml_node *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->length, b->length);
    if (a->kind == SC_YAML_SCALAR) {
        assert_memory_equal(a->text, b->text, a->length + 1);
        assert_int_equal(a->quoted, b->quoted);
    }
    for (size_t i = 0; i < a->n; i++) {
        if (a->kind == SC_YAML_MAP) {
            assert_string_equal(a->keys[i]->text, b->keys[i]->text);
        }
        check_equal(a->items[i], b->items[i]);
    }
}

static void emitted_trees_read_back(void **state)
{
    (void)state;
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_yaml yaml, again;
    check_ok(
        parse(
            &yaml,
            "a: {b: [1, 'two', \"x\\n\\u00e9\\0\"], c: }\nlist: [{x: 1, y: [[1, 2], [3]]}, {}]\nnone: []\n"
            "long: \"" /* no line folding: a folded quoted text would still read back, a plain one is easier on eyes */
            "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore"
            " et dolore magna aliqua\"\n",
            &error),
        error);
    check_ok(sc_yaml_put(yaml.root, "seed", sc_yaml_new_format(&error, "%d", 7), &error), error);
    check_ok(sc_yaml_put(yaml.root, "none", sc_yaml_new_text("true", true, &error), &error), error);
    check_ok(sc_yaml_append(sc_yaml_get(sc_yaml_get(yaml.root, "a"), "b"), sc_yaml_copy(yaml.root, &error), &error),
             error);
    assert_int_equal(sc_yaml_append(sc_yaml_get(yaml.root, "list"), NULL, &error), SEMCAL_E_MEMORY);
    assert_int_equal(sc_yaml_put(yaml.root, "a", NULL, &error), SEMCAL_E_MEMORY);
    sc_text out = {0};
    check_ok(sc_yaml_emit(&out, yaml.root, &error), error);
    check_ok(sc_yaml_parse(&again, out.data, out.length, "again.yaml", &error), error);
    check_equal(yaml.root, again.root);
    sc_text twice = {0};
    check_ok(sc_yaml_emit(&twice, again.root, &error), error);
    assert_string_equal(out.data, twice.data);
    sc_yaml_free(&yaml);
    sc_yaml_free(&again);
    sc_text_free(&out);
    sc_text_free(&twice);
    check_ok(parse(&yaml, "a: 1\nb: [x, \"y\"]\nc:\n  d: 2.50\n", &error), error);
    check_ok(sc_yaml_emit(&out, yaml.root, &error), error);
    assert_string_equal(out.data, "a: 1\nb: [x, \"y\"]\nc:\n  d: 2.50\n");
    sc_text_free(&out);
    sc_yaml_free(&yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_know_their_places),
        cmocka_unit_test(malformed_input),
        cmocka_unit_test(typed_reading),
        cmocka_unit_test(emitted_trees_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
