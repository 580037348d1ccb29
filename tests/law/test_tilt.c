/* SPDX-License-Identifier: Apache-2.0 */
/* The tilted law as an autoregressive sampler agrees with its closed form; with estimated g the error shows. */
#include "base/numeric.h"
#include "base/random.h"
#include "check.h"
#include "sampling/fork.h"
#include "sampling/tilt.h"
#include "source/toy.h"

typedef struct world {
    sc_source *source;
    sc_toy_law law;
    int32_t *prompt;
    size_t n_prompt;
    sc_enumeration all;
    int32_t *classes;
    sc_tilt tilt;
} world;

static int class_of(const char *text)
{
    for (int k = 0; k < 3; k++) {
        if (strstr(text, sc_toy_class_word(k)) != NULL) {
            return k;
        }
    }
    fail_msg("no class in '%s'", text);
    return -1;
}

static void open_world(world *w, const char *law)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    *w = (world){0};
    check_ok(sc_source_toy_open(&w->source, &error), error);
    check_ok(sc_toy_law_parse(&w->law, law, strlen(law), &error), error);
    check_ok(w->source->functions->encode(w->source, &w->prompt, &w->n_prompt, law, strlen(law), true, &error), error);
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.epsilon = 1e-13;
    check_ok(sc_enumerate(&w->all, w->source, &options, w->prompt, w->n_prompt, 0, &error), error);
    w->classes = calloc(w->all.n_responses, sizeof *w->classes);
    for (size_t i = 0; i < w->all.n_responses; i++) {
        w->classes[i] = class_of(w->all.responses[i].text);
    }
    check_ok(sc_tilt_make(&w->tilt, &w->all, w->classes, 3, 1e-12, &error), error);
}

static void close_world(world *w)
{
    sc_tilt_free(&w->tilt);
    sc_enumeration_free(&w->all);
    free(w->classes);
    free(w->prompt);
    w->source->functions->close(w->source);
}

static const char *const laws[] = {"law: alfa=.6 bravo=.3 charlie=.1 fillers=3 decide=last",
                                   "law: alfa=.2 bravo=.3 charlie=.5 fillers=3 decide=first",
                                   "law: alfa=.999 bravo=.001 fillers=1 decide=last"};

static double mass_of(const world *w, const double *logprob, int k)
{
    sc_sum sum = {0, 0};
    for (size_t i = 0; i < w->all.n_responses; i++) {
        if (w->classes[i] == k) {
            sc_sum_add(&sum, exp(logprob[i]));
        }
    }
    return sc_sum_value(&sum);
}

/* Compares the three ways for one tau vector; `mass` [3] receives the tilted masses. */
static void compare(const world *w, const double *tau, double *mass)
{
    size_t n = w->all.n_responses;
    double *steps = calloc(n, sizeof *steps), *closed = calloc(n, sizeof *closed), *drawn = calloc(n, sizeof *drawn);
    double worst;
    sc_tilt_reweighted(steps, &w->tilt, tau);
    sc_tilt_closed_form(closed, &w->tilt, tau);
    sc_tilt_law(drawn, &worst, &w->tilt, tau);
    check_close(worst, 0, 1e-12); /* every reweighted next-token law sums to one: g is a martingale */
    double total = 0;
    for (size_t k = 0; k < 3; k++) {
        total += w->law.pi[k] * exp(tau[k]);
    }
    for (size_t i = 0; i < n; i++) {
        check_close(steps[i], closed[i], 1e-12);
        check_close(drawn[i], closed[i], 1e-12);
        /* and against the law as it is written, without the tree */
        check_close(closed[i], w->all.responses[i].logprob + tau[w->classes[i]] - log(total), 1e-12);
    }
    for (int k = 0; k < 3; k++) {
        mass[k] = mass_of(w, drawn, k);
    }
    free(steps);
    free(closed);
    free(drawn);
}

static void class_mass_moves_as_the_confidence(void **state)
{
    (void)state;
    const double taus[] = {-4, -1, -.1, 0, .3, 2, 4};
    for (size_t l = 0; l < 3; l++) {
        world w;
        open_world(&w, laws[l]);
        for (size_t i = 0; i < 7; i++) {
            for (int k = 0; k < 2; k++) {
                double tau[3] = {0, 0, 0}, mass[3];
                tau[k] = taus[i];
                compare(&w, tau, mass);
                check_close(mass[k], sc_sigmoid(sc_logit(w.law.pi[k]) + taus[i]), 1e-12);
            }
        }
        close_world(&w);
    }
}

static void full_family(void **state)
{
    (void)state;
    world w;
    open_world(&w, laws[1]);
    const double tau[3] = {1.5, -2, .25};
    double mass[3], total = 0;
    compare(&w, tau, mass);
    for (int k = 0; k < 3; k++) {
        total += w.law.pi[k] * exp(tau[k]);
    }
    for (int k = 0; k < 3; k++) {
        check_close(mass[k], w.law.pi[k] * exp(tau[k]) / total, 1e-12);
    }
    close_world(&w);
}

static void draws_follow_the_law(void **state)
{
    (void)state;
    world w;
    open_world(&w, laws[0]);
    const double tau[3] = {-1, 0, 1};
    enum { N = 20000 };
    size_t n = w.all.n_responses;
    double *logprob = calloc(n, sizeof *logprob), worst, chi = 0;
    size_t *count = calloc(n, sizeof *count);
    sc_tilt_law(logprob, &worst, &w.tilt, tau);
    for (uint32_t j = 0; j < N; j++) {
        size_t response;
        semcal_error error = SEMCAL_ERROR_INIT;
        check_ok(sc_tilt_draw(&response, &w.tilt, tau, 11, 12, j, &error), error);
        count[response]++;
    }
    for (size_t i = 0; i < n; i++) {
        double expected = N * exp(logprob[i]);
        chi += ((double)count[i] - expected) * ((double)count[i] - expected) / expected;
    }
    double degrees = (double)n - 1;
    check_close(chi, degrees, 4.5 * sqrt(2 * degrees));
    free(logprob);
    free(count);
    close_world(&w);
}

/* g from R forks at every inner node instead of the exact one: the Kullback-Leibler divergence, in nats, of the law
 * then drawn from to the tilted law. (The class mass is right all the same on this toy: at the token that decides, the
 * true g of what follows is 0 or 1, which forks cannot miss, and nothing before it tells classes apart.) */
static double error_with_forks(world *w, uint32_t n_forks, uint64_t item)
{
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_tilt *tilt = &w->tilt;
    int32_t *tokens = calloc(tilt->n_nodes * (w->n_prompt + 16), sizeof *tokens);
    sc_fork_point *points = calloc(tilt->n_nodes, sizeof *points);
    sc_fork_law *found = calloc(tilt->n_nodes, sizeof *found);
    size_t *node = calloc(tilt->n_nodes, sizeof *node), n = 0;
    for (size_t i = 0; i < tilt->n_nodes; i++) {
        if (tilt->nodes[i].response >= 0) {
            continue;
        }
        int32_t *own = tokens + i * (w->n_prompt + 16);
        memcpy(own, w->prompt, w->n_prompt * sizeof *own);
        sc_tilt_path(tilt, own + w->n_prompt, i);
        node[n] = i;
        points[n++] = (sc_fork_point){item, own, w->n_prompt + tilt->nodes[i].depth, tilt->nodes[i].depth};
    }
    sc_fork_options options = SC_FORK_OPTIONS_INIT;
    options.key = sc_random_key(1, "fork", "test");
    options.n_forks = n_forks;
    options.max_laws = 0;
    check_ok(sc_fork_many(found, w->source, &options, points, n, &error), error);
    double *exact = malloc(tilt->n_nodes * 3 * sizeof *exact);
    memcpy(exact, tilt->g, tilt->n_nodes * 3 * sizeof *exact);
    for (size_t i = 0; i < n; i++) {
        double *g = tilt->g + node[i] * 3;
        g[0] = g[1] = g[2] = 0;
        for (size_t k = 0; k < found[i].n_responses; k++) {
            g[class_of(found[i].responses[k].text)] += found[i].responses[k].weight;
        }
        sc_fork_law_free(&found[i]);
    }
    double *logprob = calloc(w->all.n_responses, sizeof *logprob), *closed = calloc(w->all.n_responses, sizeof *closed);
    double worst, divergence = 0;
    const double tau[3] = {1, 0, 0};
    sc_tilt_law(logprob, &worst, tilt, tau);
    double mass = mass_of(w, logprob, 0), total = mass + mass_of(w, logprob, 1) + mass_of(w, logprob, 2);
    check_close(total, 1, 1e-12); /* a law it is in any case */
    assert_true(worst > 1e-6);    /* but not a martingale */
    check_close(mass, sc_sigmoid(sc_logit(w->law.pi[0]) + 1), 1e-12);
    memcpy(tilt->g, exact, tilt->n_nodes * 3 * sizeof *exact);
    sc_tilt_closed_form(closed, tilt, tau);
    for (size_t i = 0; i < w->all.n_responses; i++) {
        divergence += exp(closed[i]) * (closed[i] - logprob[i]);
    }
    free(closed);
    free(tokens);
    free(points);
    free(found);
    free(node);
    free(exact);
    free(logprob);
    return divergence;
}

static void fork_estimates_show_their_error(void **state)
{
    (void)state;
    world w;
    open_world(&w, "law: alfa=.55 bravo=.25 charlie=.2 fillers=2 decide=last");
    const uint32_t forks[] = {32, 512};
    double mean[2] = {0, 0};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t q = 0; q < 12; q++) {
            mean[i] += error_with_forks(&w, forks[i], 100 + q) / 12;
        }
        print_message("tilt by 1 with g from %3u forks: divergence to the tilted law %.5f nats\n", forks[i], mean[i]);
    }
    /* the divergence falls as 1 / R */
    assert_true(mean[0] > 0 && mean[0] < .05 && mean[1] < mean[0] / 4);
    close_world(&w);
}

static void unfinished_enumerations_are_refused(void **state)
{
    (void)state;
    world w;
    open_world(&w, laws[0]);
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.max_laws = 20;
    options.batch_nodes = 1;
    options.epsilon = 0;
    sc_enumeration part;
    check_ok(sc_enumerate(&part, w.source, &options, w.prompt, w.n_prompt, 0, &error), error);
    sc_tilt tilt;
    check_error(sc_tilt_make(&tilt, &part, w.classes, 3, 1e-6, &error), error, SEMCAL_E_NUMERIC, "unexplored");
    w.classes[2] = 3;
    check_error(sc_tilt_make(&tilt, &w.all, w.classes, 3, 1e-6, &error), error, SEMCAL_E_DATA, "response 2");
    sc_enumeration_free(&part);
    close_world(&w);
}

/* A tenth of the mass unexplored: the tilt is one of the law given what was found, still without error. */
static void unexplored_mass_conditions_the_law(void **state)
{
    (void)state;
    world w;
    open_world(&w, "law: alfa=.6 bravo=.3 charlie=.1 fillers=2 decide=first");
    semcal_error error = SEMCAL_ERROR_INIT;
    sc_enumerate_options options = SC_ENUMERATE_OPTIONS_INIT;
    options.epsilon = .1;
    sc_enumeration part;
    check_ok(sc_enumerate(&part, w.source, &options, w.prompt, w.n_prompt, 0, &error), error);
    assert_true(part.unexplored > 1e-3 && part.unexplored <= .1);
    int32_t *classes = calloc(part.n_responses, sizeof *classes);
    double *logprob = calloc(part.n_responses, sizeof *logprob), worst, found = 0, inside = 0, mass = 0;
    for (size_t i = 0; i < part.n_responses; i++) {
        classes[i] = class_of(part.responses[i].text);
        found += exp(part.responses[i].logprob);
        inside += classes[i] == 1 ? exp(part.responses[i].logprob) : 0;
    }
    sc_tilt tilt;
    check_ok(sc_tilt_make(&tilt, &part, classes, 3, .1, &error), error);
    const double none[3] = {0, 0, 0}, second[3] = {0, 1.5, 0};
    sc_tilt_law(logprob, &worst, &tilt, none);
    for (size_t i = 0; i < part.n_responses; i++) {
        check_close(logprob[i], part.responses[i].logprob - log(found), 1e-12);
    }
    sc_tilt_law(logprob, &worst, &tilt, second);
    check_close(worst, 0, 1e-12);
    for (size_t i = 0; i < part.n_responses; i++) {
        mass += classes[i] == 1 ? exp(logprob[i]) : 0;
    }
    check_close(mass, sc_sigmoid(sc_logit(inside / found) + 1.5), 1e-12);
    sc_tilt_free(&tilt);
    sc_enumeration_free(&part);
    free(classes);
    free(logprob);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_mass_moves_as_the_confidence),
        cmocka_unit_test(full_family),
        cmocka_unit_test(draws_follow_the_law),
        cmocka_unit_test(fork_estimates_show_their_error),
        cmocka_unit_test(unfinished_enumerations_are_refused),
        cmocka_unit_test(unexplored_mass_conditions_the_law),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
