/* SPDX-License-Identifier: Apache-2.0 */
#include "statistics/cosine.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

struct sc_cosine {
    size_t n;                    /* N, length of the cosine transform */
    size_t half;                 /* N/2, length of the complex FFT */
    double *fft_cos, *fft_sin;   /* [N/4] e^{-2 pi i p / (N/2)} */
    double *real_cos, *real_sin; /* [N/2] e^{-2 pi i k / N} */
    double *turn_cos, *turn_sin; /* [N] e^{-pi i k / (2N)} */
    double *re, *im, *re2, *im2; /* [N/2] scratch */
    double *whole;               /* everything above lies in this block */
};

sc_cosine *sc_cosine_new(size_t n_cells, semcal_error *error)
{
    sc_cosine *c = sc_memory_alloc(1, sizeof *c, error);
    if (c == NULL) {
        return NULL;
    }
    size_t n = n_cells, half = n / 2;
    *c = (sc_cosine){.n = n, .half = half, .whole = sc_memory_alloc(6 * n, sizeof(double), error)};
    if (c->whole == NULL) {
        free(c);
        return NULL;
    }
    double *at = c->whole;
    double **const halves[] = {&c->real_cos, &c->real_sin, &c->re, &c->im, &c->re2, &c->im2};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++, at += half) {
        *halves[i] = at;
    }
    c->fft_cos = at;
    c->fft_sin = at + n / 4;
    c->turn_cos = at + half;
    c->turn_sin = at + half + n;
    for (size_t p = 0; p < n / 4; p++) {
        c->fft_cos[p] = cos(2 * PI * (double)p / (double)half);
        c->fft_sin[p] = -sin(2 * PI * (double)p / (double)half);
    }
    for (size_t k = 0; k < half; k++) {
        c->real_cos[k] = cos(2 * PI * (double)k / (double)n);
        c->real_sin[k] = -sin(2 * PI * (double)k / (double)n);
    }
    for (size_t k = 0; k < n; k++) {
        c->turn_cos[k] = cos(PI * (double)k / (2 * (double)n));
        c->turn_sin[k] = -sin(PI * (double)k / (2 * (double)n));
    }
    return c;
}

void sc_cosine_free(sc_cosine *cosine)
{
    if (cosine != NULL) {
        free(cosine->whole);
        free(cosine);
    }
}

/* One radix-2 pass of Stockham's self-sorting FFT: `length` points left to transform, `stride` of them interleaved. */
static void pass(size_t length, size_t stride, const double *restrict w_re, const double *restrict w_im,
                 const double *restrict x_re, const double *restrict x_im, double *restrict y_re, double *restrict y_im)
{
    size_t m = length / 2;
    for (size_t p = 0; p < m; p++) {
        double wr = w_re[p * stride], wi = w_im[p * stride];
        const double *a_re = x_re + stride * p, *a_im = x_im + stride * p;
        const double *b_re = a_re + stride * m, *b_im = a_im + stride * m;
        double *s_re = y_re + stride * 2 * p, *s_im = y_im + stride * 2 * p;
        for (size_t q = 0; q < stride; q++) {
            double dr = a_re[q] - b_re[q], di = a_im[q] - b_im[q];
            s_re[q] = a_re[q] + b_re[q];
            s_im[q] = a_im[q] + b_im[q];
            s_re[stride + q] = dr * wr - di * wi;
            s_im[stride + q] = dr * wi + di * wr;
        }
    }
}

/* Forward complex FFT of (c->re, c->im); the result ends there again. */
static void transform(sc_cosine *c)
{
    for (size_t length = c->half, stride = 1; length > 1; length /= 2, stride *= 2) {
        pass(length, stride, c->fft_cos, c->fft_sin, c->re, c->im, c->re2, c->im2);
        double *re = c->re, *im = c->im;
        c->re = c->re2;
        c->im = c->im2;
        c->re2 = re;
        c->im2 = im;
    }
}

void sc_cosine_forward(sc_cosine *cosine, double *spectrum, const double *grid)
{
    sc_cosine *c = cosine;
    size_t n = c->n, half = c->half;
    /* Even samples up, odd samples down: v_j = x_2j, v_{N-1-j} = x_{2j+1}; pairs of v are one complex number. */
    for (size_t j = 0; j < half / 2; j++) {
        c->re[j] = grid[4 * j];
        c->im[j] = grid[4 * j + 2];
        c->re[half - 1 - j] = grid[4 * j + 3];
        c->im[half - 1 - j] = grid[4 * j + 1];
    }
    transform(c);
    for (size_t k = 0; k <= half / 2; k++) {
        size_t l = k == 0 ? 0 : half - k;
        double even_re = (c->re[k] + c->re[l]) / 2, even_im = (c->im[k] - c->im[l]) / 2;
        double odd_re = (c->im[k] + c->im[l]) / 2, odd_im = (c->re[l] - c->re[k]) / 2;
        double wr = c->real_cos[k], wi = c->real_sin[k];
        double v_re = even_re + odd_re * wr - odd_im * wi, v_im = even_im + odd_re * wi + odd_im * wr;
        double u_re = even_re - odd_re * wr + odd_im * wi, u_im = -even_im + odd_re * wi + odd_im * wr;
        /* v is V[k] and u is V[N/2 - k]; X[k] and X[N-k] are the two parts of V[k] turned by a quarter cell. */
        spectrum[k] = v_re * c->turn_cos[k] - v_im * c->turn_sin[k];
        if (k > 0) {
            spectrum[n - k] = -(v_re * c->turn_sin[k] + v_im * c->turn_cos[k]);
        }
        spectrum[half - k] = u_re * c->turn_cos[half - k] - u_im * c->turn_sin[half - k];
        spectrum[half + k] = -(u_re * c->turn_sin[half - k] + u_im * c->turn_cos[half - k]);
    }
    /* At k = 0 the last line wrote X[N/2] with the sign of an imaginary part that is 0 for V[N/2]. */
    double nyquist = c->re[0] - c->im[0];
    spectrum[half] = nyquist * c->turn_cos[half];
}

void sc_cosine_inverse(sc_cosine *cosine, double *grid, const double *spectrum)
{
    sc_cosine *c = cosine;
    size_t n = c->n, half = c->half;
    /* V[k] = e^{i pi k / 2N} (X[k] - i X[N-k]); its even and odd halves make the complex spectrum of length N/2,
     * conjugated so that a forward transform inverts it. */
    for (size_t k = 0; k < half; k++) {
        size_t l = half - k;
        double a = spectrum[k], b = k == 0 ? 0 : spectrum[n - k];
        double v_re = a * c->turn_cos[k] - b * c->turn_sin[k], v_im = -b * c->turn_cos[k] - a * c->turn_sin[k];
        double d = spectrum[l], e = spectrum[n - l];
        double u_re = d * c->turn_cos[l] - e * c->turn_sin[l], u_im = -e * c->turn_cos[l] - d * c->turn_sin[l];
        /* V[N/2 + k] is the conjugate of V[N/2 - k]. */
        double even_re = v_re + u_re, even_im = v_im - u_im;
        double diff_re = v_re - u_re, diff_im = v_im + u_im;
        double wr = c->real_cos[k], wi = -c->real_sin[k];
        double odd_re = diff_re * wr - diff_im * wi, odd_im = diff_re * wi + diff_im * wr;
        c->re[k] = even_re - odd_im;
        c->im[k] = -(even_im + odd_re);
    }
    transform(c);
    for (size_t j = 0; j < half / 2; j++) {
        grid[4 * j] = c->re[j];
        grid[4 * j + 2] = -c->im[j];
        grid[4 * j + 3] = c->re[half - 1 - j];
        grid[4 * j + 1] = -c->im[half - 1 - j];
    }
}
