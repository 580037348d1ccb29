/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_sum: reads x[n_groups, chunk] once and adds it up: what a kernel that does nothing else can read,
 * the ceiling beside which others are put.
 * Shapes: out [n_groups * LSZ], one partial sum per work-item; chunk is a multiple of 4*LSZ*VW.
 * Work-groups: one group of LSZ items per chunk. Precision: fp32, order by item. C reference: a plain loop in the test.
 */
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define FLOATV CAT(float, VW)
#define LOADV(p) CAT(vload, VW)(0, p)

__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void bench_sum(__global const float *restrict x,
                                                                         const ulong chunk,
                                                                         __global float *restrict out)
{
    const ulong lid = get_local_id(0), step = LSZ * VW;
    __global const float *p = x + get_group_id(0) * chunk + lid * VW;
    FLOATV a = (FLOATV)(0.0f), b = a, c = a, d = a;
    for (ulong i = 0; i < chunk; i += 4 * step) {
        a += LOADV(p + i);
        b += LOADV(p + i + step);
        c += LOADV(p + i + 2 * step);
        d += LOADV(p + i + 3 * step);
    }
    float lanes[VW], sum = 0.0f;
    CAT(vstore, VW)((a + b) + (c + d), 0, lanes);
    for (int v = 0; v < VW; v++) {
        sum += lanes[v];
    }
    out[get_global_id(0)] = sum;
}

/*
 * bench_fma: 16 independent chains of `steps` multiply-adds in registers per work-item: what arithmetic alone can reach,
 * the other ceiling.
 * Shapes: out [n_items], one number per work-item that keeps the chains alive. Work-groups: LSZ items. Precision: fp32.
 */
#define CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define DECLARE(c) FLOATV x##c = (FLOATV)((float)(c) + y);
#define STEP(c) x##c = fma(x##c, (FLOATV)(y), (FLOATV)(y));
#define ADD(c) total += x##c;

__kernel __attribute__((reqd_work_group_size(LSZ, 1, 1))) void bench_fma(__global float *restrict out, const uint steps, const float y)
{
    CHAINS(DECLARE)
    for (uint i = 0; i < steps; i++) {
        CHAINS(STEP)
    }
    FLOATV total = (FLOATV)(0.0f);
    CHAINS(ADD)
    float lanes[VW], sum = 0.0f;
    CAT(vstore, VW)(total, 0, lanes);
    for (int v = 0; v < VW; v++) {
        sum += lanes[v];
    }
    out[get_global_id(0)] = sum;
}
