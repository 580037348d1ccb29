/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded logits replayed as single-token questions. */
#include "base/file.h"
#include "check.h"
#include "formats/npy.h"
#include "sampling/generate.h"
#include "source/recorded.h"

#include <unistd.h>

enum { N = 70, V = 37, M = 3000 };

typedef struct replay {
    sc_source *source;
    int32_t *prompts[N];
    int32_t target;
    size_t next;
    double worst;
} replay;

static float logit(size_t row, size_t token)
{
    return token == row % V ? -INFINITY : (float)sin((double)(row * 31 + token * 17)) * 4.0f;
}

static semcal_status next_question(sc_generate_question *question, bool *more, void *payload, semcal_error *error)
{
    (void)error;
    replay *r = payload;
    *more = r->next < N;
    if (*more) {
        *question = (sc_generate_question){.item = r->next,
                                           .prompt = r->prompts[r->next],
                                           .n_prompt = 1,
                                           .reference = &r->target,
                                           .n_reference = 1,
                                           .tag = (void *)(uintptr_t)r->next};
        r->next++;
    }
    return SEMCAL_OK;
}

static semcal_status take(const sc_generate_question *question, sc_tree *tree, void *payload, semcal_error *error)
{
    (void)error;
    replay *r = payload;
    size_t row = (uintptr_t)question->tag;
    double p[V], total = 0, chi = 0;
    int count[V] = {0};
    for (size_t i = 0; i < V; i++) {
        p[i] = exp((double)logit(row, i));
        total += p[i];
    }
    for (size_t j = 0; j < M; j++) {
        int32_t token = (int32_t)strtol(tree->text[j], NULL, 10);
        assert_int_equal(tree->n_tokens[j], 1);
        assert_int_equal(tree->finish[j], SC_FINISH_END);
        assert_true(token >= 0 && token < V);
        count[token]++;
        check_close(tree->draw_logprob[j], log(p[token] / total), 1e-6);
    }
    for (size_t i = 0; i < V; i++) {
        double expected = M * p[i] / total;
        assert_true(expected > 0 || count[i] == 0);
        chi += expected > 0 ? (count[i] - expected) * (count[i] - expected) / expected : 0;
    }
    r->worst = chi > r->worst ? chi : r->worst;
    check_close(tree->logprob_reference, log(p[r->target] / total), 1e-6);
    check_close(tree->log_normalizer[0], log(total), 1e-6);
    sc_tree_free(tree);
    return SEMCAL_OK;
}

static void replays_the_law_of_each_row(void **state)
{
    (void)state;
    char folder[] = "/tmp/semcal-recorded-XXXXXX";
    assert_non_null(mkdtemp(folder));
    semcal_error error = SEMCAL_ERROR_INIT;
    char *path = sc_file_join(folder, "logits.npy", &error);
    const sc_npy_shape shape = {.type = SC_NPY_F32, .n_dims = 2, .length = {0, V}, .row_elements = V};
    sc_npy *npy;
    check_ok(sc_npy_create(&npy, path, &shape, &error), error);
    for (size_t i = 0; i < N; i++) {
        float row[V];
        for (size_t k = 0; k < V; k++) {
            row[k] = logit(i, k);
        }
        check_ok(sc_npy_append(npy, row, 1, &error), error);
    }
    check_ok(sc_npy_close(&npy, &error), error);
    replay r = {.target = V - 1};
    check_ok(sc_source_recorded_open(&r.source, path, &error), error);
    assert_int_equal(r.source->facts.n_vocabulary, V);
    /* the target's logit is -inf in rows where row % V is V - 1: start the questions where it is not */
    for (size_t i = 0; i < N; i++) {
        char text[64];
        size_t n;
        (void)snprintf(text, sizeof text, "Question: %zu\nAnswer:", i == V - 1 ? (size_t)0 : i);
        check_ok(r.source->functions->encode(r.source, &r.prompts[i], &n, text, strlen(text), true, &error), error);
        assert_int_equal(n, 1);
    }
    sc_generate_options options = SC_GENERATE_OPTIONS_INIT;
    options.n_draws = M;
    options.key = 99;
    const sc_generate_callbacks callbacks = {next_question, take, NULL};
    r.next = V; /* rows V .. N-1: all different from V - 1 modulo V */
    check_ok(sc_generate(r.source, &options, &callbacks, &r, &error), error);
    /* 35 degrees of freedom, 33 rows: 80 is beyond the 1e-5 point of the largest */
    assert_true(r.worst > 20 && r.worst < 80);
    int32_t *ids = NULL;
    size_t n;
    check_error(r.source->functions->encode(r.source, &ids, &n, "row 70", 6, true, &error), error, SEMCAL_E_DATA,
                "0 to 69");
    check_error(r.source->functions->encode(r.source, &ids, &n, "none", 4, false, &error), error, SEMCAL_E_DATA,
                "names no token");
    for (size_t i = 0; i < N; i++) {
        free(r.prompts[i]);
    }
    r.source->functions->close(r.source);
    sc_source *source;
    check_error(sc_source_recorded_open(&source, NULL, &error), error, SEMCAL_E_CONFIG, "logits");
    check_error(sc_source_recorded_open(&source, folder, &error), error, SEMCAL_E_DATA, folder);
    (void)unlink(path);
    (void)rmdir(folder);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replays_the_law_of_each_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
