/* SPDX-License-Identifier: Apache-2.0 */
/* Defects of safetensors files and model folders: each is one line that says what and where. */
#include "formats/safetensors.h"
#include "models.h"

#include "base/file.h"
#include "model/weights.h"

#include <sys/stat.h>
#include <unistd.h>

static semcal_error error = SEMCAL_ERROR_INIT;

static const struct {
    const char *file, *text;
} defects[] = {
    {"short_body", "tensor 'a': the file ends early: data up to byte 24 expected, 20 bytes are there"},
    {"trailing", "30 bytes of data, its tensors account for 26"},
    {"overlap", "tensors overlap: 'b' at byte 2, expected at 4 after 'a'"},
    {"gap", "unused bytes before 'b' at byte 4, expected at 2 after 'a'"},
    {"huge_shape", "tensor 'a': 'shape' is too large"},
    {"negative", "tensor 'a': 'shape' holds something that is no size"},
    {"huge_header", "header of 4611686018427387904 bytes is over the limit"},
    {"duplicate", "duplicate"},
    {"no_json", "header: "},
    {"odd_type", "tensor 'a': type 'F7' is not supported"},
    {"tiny", "under 8 bytes"},
    {"nowhere", "no such file"},
};

static void defects_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, SEMCAL_FIXTURES "/fuzz/safetensors/%s", defects[i].file);
        sc_tensor_set *set;
        const semcal_status status = sc_tensor_set_open(&set, path, &error);
        assert_non_null(strstr(error.message, defects[i].file)); /* the path comes first */
        check_error(status, error, SEMCAL_E_DATA, defects[i].text);
        assert_null(set);
    }
}

static void values_are_exact(void **state)
{
    (void)state;
    sc_tensor_set *set;
    check_ok(sc_tensor_set_open(&set, SEMCAL_FIXTURES "/fuzz/safetensors/good", &error), error);
    size_t n;
    (void)sc_tensor_set_all(set, &n);
    assert_int_equal(n, 2);
    const sc_tensor *a = sc_tensor_set_find(set, "a");
    assert_non_null(a);
    assert_int_equal(a->shape[1], 3);
    float value;
    sc_tensor_get_floats(&value, a, 5, 1);
    check_close(value, 0x1.020202p-125, 0);
    assert_null(sc_tensor_set_find(set, "c"));
    sc_tensor_set_close(set);
    static const struct {
        uint16_t bits;
        double value;
    } halves[] = {{0x3c00, 1},
                  {0xc000, -2},
                  {0x0001, 0x1p-24},
                  {0x8001, -0x1p-24},
                  {0x03ff, 1023 * 0x1p-24},
                  {0x0400, 0x1p-14},
                  {0x7bff, 65504},
                  {0x7c00, INFINITY},
                  {0xfc00, -INFINITY},
                  {0x8000, 0},
                  {0x3555, 1365 * 0x1p-12}};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        check_close(sc_float_from_half(halves[i].bits), halves[i].value, 0);
    }
    assert_true(isnan(sc_float_from_half(0x7e00)));
    assert_true(signbit(sc_float_from_half(0x8000)));
    check_close(sc_float_from_bfloat(0x3f81), 1.0078125, 0);
}

/* ---- folders ---- */

static char folder[] = "/tmp/semcal-tensors-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    check_ok(sc_file_write_atomic(path, text, strlen(text), &error), error);
}

static void copy(const char *fixture, const char *name)
{
    char from[4096], to[4096], *data;
    size_t length;
    (void)snprintf(from, sizeof from, SEMCAL_FIXTURES "/models/%s/%s", fixture, name);
    (void)snprintf(to, sizeof to, "%s/%s", folder, name);
    check_ok(sc_file_read(&data, &length, from, &error), error);
    check_ok(sc_file_write_atomic(to, data, length, &error), error);
    free(data);
}

static semcal_status open_model(void)
{
    sc_model_config config;
    sc_model_weights weights;
    semcal_status status = sc_model_config_read(&config, folder, &error);
    if (status == SEMCAL_OK && (status = sc_model_weights_open(&weights, &config, folder, &error)) == SEMCAL_OK) {
        sc_model_weights_close(&weights);
    }
    return status;
}

static void folders(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    check_error(open_model(), error, SEMCAL_E_DATA, "config.json");
    copy("llama_bf16_sharded", "config.json");
    check_error(open_model(), error, SEMCAL_E_DATA, "neither model.safetensors nor");
    copy("llama_bf16_sharded", "model.safetensors.index.json");
    copy("llama_bf16_sharded", "model-00001-of-00003.safetensors");
    copy("llama_bf16_sharded", "model-00002-of-00003.safetensors");
    check_error(open_model(), error, SEMCAL_E_DATA, "model-00003-of-00003.safetensors: No such file");
    copy("llama_bf16_sharded", "model-00003-of-00003.safetensors");
    check_ok(open_model(), error);
    put("model.safetensors.index.json", "{\"weight_map\": {\"x\": \"model-00001-of-00003.safetensors\"}}");
    check_error(open_model(), error, SEMCAL_E_DATA, "tensor 'x' is not in model-00001");
    put("model.safetensors.index.json", "{\"weight_map\": {\"x\": \"../secret\"}}");
    check_error(open_model(), error, SEMCAL_E_DATA, "'x' names no file of this folder");
    put("model.safetensors.index.json",
        "{\"weight_map\": {\"model.norm.weight\": \"model-00001-of-00003.safetensors\"}}");
    check_error(open_model(), error, SEMCAL_E_DATA, "model.norm.weight");
    put("model.safetensors.index.json", "{\"weight_map\": {");
    check_error(open_model(), error, SEMCAL_E_DATA, "model.safetensors.index.json:1:");
    copy("llama_bf16_tied", "config.json"); /* other shapes than the tensors have */
    copy("llama_bf16_sharded", "model.safetensors.index.json");
    check_error(
        open_model(), error, SEMCAL_E_DATA,
        "tensor 'model.layers.0.self_attn.q_proj.weight': shape [40, 32] expected from config.json, [48, 32] found");
    char **names;
    size_t n;
    check_ok(sc_file_list(&names, &n, folder, "", &error), error);
    for (size_t i = 0; i < n; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    sc_file_list_free(names, n);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- configurations ---- */

static const char valid[] = "{\"architectures\": [\"Qwen2ForCausalLM\"], \"hidden_size\": 8, \"intermediate_size\": 8,"
                            " \"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"vocab_size\": 9,"
                            " \"max_position_embeddings\": 16, \"rms_norm_eps\": 1e-6";

static semcal_status parse(sc_model_config *config, const char *rest)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%s%s}", valid, rest);
    return sc_model_config_parse(config, text, strlen(text), "c", &error);
}

static void configurations(void **state)
{
    (void)state;
    sc_model_config c;
    check_ok(parse(&c, ""), error);
    assert_true(c.qkv_bias && !c.output_bias && !c.tied && c.n_kv_heads == 2 && c.head_size == 4 && c.bos == -1);
    check_close(c.rope.theta, 10000, 0);
    check_ok(parse(&c,
                   ", \"eos_token_id\": [3, 4, 3], \"rope_parameters\": {\"rope_theta\": 5, \"rope_type\": \"linear\","
                   " \"factor\": 2}"),
             error);
    assert_true(c.n_ends == 2 && c.ends[1] == 4 && c.rope.kind == SC_ROPE_LINEAR);
    check_close(c.rope.theta, 5, 0);
    check_ok(parse(&c, ", \"sliding_window\": 5"), error);
    assert_int_equal(c.n_context, 16);
    check_ok(parse(&c, ", \"use_sliding_window\": true, \"sliding_window\": 5"), error);
    assert_int_equal(c.n_context, 5);
    check_ok(parse(&c, ", \"use_sliding_window\": true"), error); /* 4096 */
    assert_int_equal(c.n_context, 16);
    static const struct {
        const char *rest, *text;
    } bad[] = {
        {", \"num_key_value_heads\": 3", "not a multiple of 'num_key_value_heads' 3"},
        {", \"head_dim\": 5", "'head_dim' must be even"},
        {", \"use_sliding_window\": 1", "'use_sliding_window' must be true or false"},
        {", \"use_sliding_window\": true, \"sliding_window\": 0", "'sliding_window' must be an integer from 1"},
        {", \"hidden_act\": \"gelu\"", "'gelu' is not supported"},
        {", \"rope_scaling\": {\"rope_type\": \"yarn\"}", "rotary type 'yarn' is not supported"},
        {", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}",
         "rope_scaling: 'low_freq_factor' is missing"},
        {", \"tie_word_embeddings\": 1", "'tie_word_embeddings' must be true or false"},
        {", \"rope_theta\": -1", "'rope_theta' must be a number above 0"},
        {", \"vocab_size\": 9", "duplicate"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_error(parse(&c, bad[i].rest), error, SEMCAL_E_DATA, bad[i].text);
    }
    static const char unknown[] = "{\"architectures\": [\"GPT2LMHeadModel\"]}";
    check_error(
        sc_model_config_parse(&c, unknown, strlen(unknown), "c", &error), error, SEMCAL_E_DATA,
        "c: architecture 'GPT2LMHeadModel' is not supported; supported are LlamaForCausalLM, MistralForCausalLM, "
        "Qwen2ForCausalLM and Qwen3ForCausalLM");
    static const char lacking[] = "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 0}";
    check_error(sc_model_config_parse(&c, lacking, strlen(lacking), "c", &error), error, SEMCAL_E_DATA,
                "'hidden_size' must be an integer from 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defects_are_named),
        cmocka_unit_test(values_are_exact),
        cmocka_unit_test(folders),
        cmocka_unit_test(configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
