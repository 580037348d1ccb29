/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/smce.h"

#include "base/memory.h"
#include "base/numeric.h"
#include "statistics/pool.h"
#include "statistics/smece.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* ---- slope changes of a concave piecewise-linear function, in a treap ordered by place ---- */

#define NONE UINT32_MAX

typedef struct knot {
    double place, drop;       /* where, and by how much the slope falls there (> 0) */
    double all_drop, all_sum; /* over the subtree: sum of drop and of drop * place */
    double shift;             /* still to be added to the places below this node */
    uint32_t left, right, priority;
} knot;

typedef struct forest {
    knot *knots;
    size_t n, capacity;
    uint64_t seed;
    semcal_error *error;
} forest;

static double total_drop(const forest *f, uint32_t t)
{
    return t == NONE ? 0 : f->knots[t].all_drop;
}

static double total_sum(const forest *f, uint32_t t)
{
    return t == NONE ? 0 : f->knots[t].all_sum;
}

static void shift(forest *f, uint32_t t, double by)
{
    if (t != NONE) {
        f->knots[t].place += by;
        f->knots[t].shift += by;
        f->knots[t].all_sum += by * f->knots[t].all_drop;
    }
}

static void push_down(forest *f, uint32_t t)
{
    knot *k = &f->knots[t];
    if (k->shift != 0) {
        shift(f, k->left, k->shift);
        shift(f, k->right, k->shift);
        k->shift = 0;
    }
}

static void gather(forest *f, uint32_t t)
{
    knot *k = &f->knots[t];
    k->all_drop = total_drop(f, k->left) + k->drop + total_drop(f, k->right);
    k->all_sum = total_sum(f, k->left) + k->drop * k->place + total_sum(f, k->right);
}

/* A new single knot, or NONE on exhaustion (the error is set). */
static uint32_t plant(forest *f, double place, double drop)
{
    if (sc_memory_grow(&f->knots, &f->capacity, f->n + 1, sizeof *f->knots, f->error) != SEMCAL_OK) {
        return NONE;
    }
    f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
    f->knots[f->n] = (knot){place, drop, drop, drop * place, 0, NONE, NONE, (uint32_t)(f->seed >> 32)};
    return (uint32_t)f->n++;
}

/* Joins two trees; every place of `a` is at most every place of `b`. */
static uint32_t join(forest *f, uint32_t a, uint32_t b)
{
    if (a == NONE || b == NONE) {
        return a == NONE ? b : a;
    }
    if (f->knots[a].priority >= f->knots[b].priority) {
        push_down(f, a);
        uint32_t rest = join(f, f->knots[a].right, b);
        f->knots[a].right = rest;
        gather(f, a);
        return a;
    }
    push_down(f, b);
    uint32_t rest = join(f, a, f->knots[b].left);
    f->knots[b].left = rest;
    gather(f, b);
    return b;
}

/* Cuts `t` into the knots that make up the first `drop` of its slope change and the rest; a knot on the border is
 * divided: its second part stays, the first is handed back in `*part` (place and drop). */
static void cut(forest *f, uint32_t t, double drop, uint32_t *low, uint32_t *high, knot *part)
{
    if (t == NONE) {
        *low = *high = NONE;
        return;
    }
    push_down(f, t);
    knot *k = &f->knots[t];
    double before = total_drop(f, k->left);
    if (drop <= before) {
        uint32_t rest;
        cut(f, k->left, drop, low, &rest, part);
        f->knots[t].left = rest;
        gather(f, t);
        *high = t;
    } else if (drop >= before + k->drop) {
        uint32_t rest;
        cut(f, k->right, drop - before - k->drop, &rest, high, part);
        f->knots[t].right = rest;
        gather(f, t);
        *low = t;
    } else {
        part->place = k->place;
        part->drop = drop - before;
        *low = k->left;
        k->left = NONE;
        k->drop -= part->drop;
        gather(f, t);
        *high = t;
    }
}

/* Drops the knots below -1 (from the left) or above 1 (from the right): the walls of the domain stand for them. */
static uint32_t trim(forest *f, uint32_t t, int side)
{
    if (t == NONE) {
        return NONE;
    }
    push_down(f, t);
    knot *k = &f->knots[t];
    bool outside = side < 0 ? k->place <= -1 : k->place >= 1;
    uint32_t inner = side < 0 ? k->right : k->left, outer = side < 0 ? k->left : k->right;
    if (outside) {
        return trim(f, inner, side);
    }
    if (outer == NONE) {
        return t;
    }
    uint32_t kept = trim(f, outer, side);
    if (side < 0) {
        f->knots[t].left = kept;
    } else {
        f->knots[t].right = kept;
    }
    gather(f, t);
    return t;
}

/* ---- the chain ---- */

/* The value function: its maximum over [-1, 1], and its knots left and right of where that is reached. */
typedef struct value_function {
    forest f;
    uint32_t left, right;
    double best;
} value_function;

/* Adds r * h. For r > 0 the maximum moves right over the first r of slope change there; each unit of slope crossed at
 * place q adds q to the maximum. The wall at 1 takes what is left. r < 0 mirrors it. */
static semcal_status add_linear(value_function *v, double r)
{
    forest *f = &v->f;
    bool up = r > 0;
    double drop = fabs(r), wall = up ? 1 : -1;
    uint32_t *from = up ? &v->right : &v->left, *to = up ? &v->left : &v->right;
    double held = total_drop(f, *from), moved = fmin(drop, held);
    uint32_t low, high;
    knot part = {.drop = 0};
    cut(f, *from, up ? moved : held - moved, &low, &high, &part);
    uint32_t crossed = up ? low : high, stays = up ? high : low;
    double crossed_drop = total_drop(f, crossed);
    if (part.drop > 0) {
        /* The divided knot stayed on the high side: the low part is new. */
        uint32_t piece = plant(f, part.place, part.drop);
        if (piece == NONE) {
            return SEMCAL_E_MEMORY;
        }
        if (up) {
            crossed = join(f, crossed, piece);
        } else {
            stays = join(f, stays, piece);
        }
        crossed_drop = total_drop(f, crossed);
    }
    v->best += wall * total_sum(f, crossed);
    *from = stays;
    *to = up ? join(f, *to, crossed) : join(f, crossed, *to);
    double rest = drop - fmin(drop, crossed_drop);
    if (drop > held && rest > 0) {
        uint32_t piece = plant(f, wall, rest);
        if (piece == NONE) {
            return SEMCAL_E_MEMORY;
        }
        v->best += rest;
        *from = NONE;
        *to = up ? join(f, *to, piece) : join(f, piece, *to);
    }
    return SEMCAL_OK;
}

/* sup of sum r_j h_j over |h_j| <= 1, |h_{j+1} - h_j| <= distance_j. */
static semcal_status solve_chain(double *best, const double *r, const double *distance, size_t n, semcal_error *error)
{
    value_function v = {.f = {.error = error, .seed = 1}, .left = NONE, .right = NONE};
    semcal_status status = SEMCAL_OK;
    for (size_t j = 0; status == SEMCAL_OK && j < n; j++) {
        if (j > 0) {
            shift(&v.f, v.left, -distance[j - 1]);
            shift(&v.f, v.right, distance[j - 1]);
            v.left = trim(&v.f, v.left, -1);
            v.right = trim(&v.f, v.right, 1);
        }
        if (r[j] != 0) {
            status = add_linear(&v, r[j]);
        }
    }
    *best = v.best;
    free(v.f.knots);
    return status;
}

/* ---- the two errors ---- */

static semcal_status solve_pool(double *value, const sc_pool *pool, bool logit, semcal_error *error)
{
    size_t n = pool->n, first = 0, last = n;
    double *r = sc_memory_alloc(n, sizeof *r, error), *distance = sc_memory_alloc(n, sizeof *distance, error);
    double ends = 0;
    semcal_status status = r != NULL && distance != NULL ? SEMCAL_OK : SEMCAL_E_MEMORY;
    if (status != SEMCAL_OK) {
        goto done;
    }
    for (size_t j = 0; j < n; j++) {
        r[j] = pool->right[j] - pool->weight[j] * pool->c[j];
    }
    if (logit && pool->c[0] == 0) {
        ends += fabs(r[0]);
        first = 1;
    }
    if (logit && last > first && pool->c[last - 1] == 1) {
        ends += fabs(r[last - 1]);
        last--;
    }
    for (size_t j = first; j + 1 < last; j++) {
        distance[j] = logit ? (sc_logit(pool->c[j + 1]) - sc_logit(pool->c[j])) / 4 : pool->c[j + 1] - pool->c[j];
    }
    status = solve_chain(value, r + first, distance + first, last - first, error);
    *value += ends;
done:
    free(r);
    free(distance);
    return status;
}

static semcal_status smce(double *value, const double *c, const double *a, const double *w, size_t n, bool logit,
                          semcal_error *error)
{
    sc_pool pool;
    semcal_status status = sc_smece_check(c, a, w, n, error);
    if (status == SEMCAL_OK) {
        status = sc_pool_make(&pool, c, a, w, n, error);
    }
    if (status == SEMCAL_OK) {
        status = solve_pool(value, &pool, logit, error);
        sc_pool_free(&pool);
    }
    return status;
}

semcal_status sc_smce_exact(double *value, const double *c, const double *a, const double *w, size_t n,
                            semcal_error *error)
{
    return smce(value, c, a, w, n, false, error);
}

semcal_status sc_smce_logit(double *value, const double *c, const double *a, const double *w, size_t n,
                            semcal_error *error)
{
    return smce(value, c, a, w, n, true, error);
}
