/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenCL's built-in functions as far as the kernels of cl/ use them, for clang's nvptx64 target, which has none of its own:
 * with these in front, a kernel becomes complete PTX that NVIDIA's assembler takes. For looking at what it makes of the
 * kernels (registers, spills, local memory); what runs on a GPU is built by its driver, with the driver's functions.
 */
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#pragma OPENCL EXTENSION cl_khr_fp64 : enable

#define DEFINE __attribute__((overloadable, always_inline))

#define DEFINE_ID(name, sreg)                                                                                          \
    DEFINE size_t name(uint d)                                                                                         \
    {                                                                                                                  \
        return (uint)(d == 0 ? __nvvm_read_ptx_sreg_##sreg##_x() : d == 1 ? __nvvm_read_ptx_sreg_##sreg##_y()          \
                                                                          : __nvvm_read_ptx_sreg_##sreg##_z());        \
    }
DEFINE_ID(get_group_id, ctaid)
DEFINE_ID(get_local_id, tid)
DEFINE size_t get_global_id(uint d)
{
    return get_group_id(d) * (uint)(d == 0 ? __nvvm_read_ptx_sreg_ntid_x() : d == 1 ? __nvvm_read_ptx_sreg_ntid_y()
                                                                                    : __nvvm_read_ptx_sreg_ntid_z()) +
           get_local_id(d);
}
DEFINE void barrier(cl_mem_fence_flags flags)
{
    __syncthreads();
}

DEFINE float fma(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}
DEFINE double fma(double a, double b, double c)
{
    return __builtin_fma(a, b, c);
}
#define DEFINE_FMA(type, half)                                                                                         \
    DEFINE type fma(type a, type b, type c)                                                                            \
    {                                                                                                                  \
        return (type)(fma(a.lo, b.lo, c.lo), fma(a.hi, b.hi, c.hi));                                                   \
    }
DEFINE_FMA(float2, float)
DEFINE_FMA(float4, float2)
DEFINE_FMA(float8, float4)
DEFINE_FMA(float16, float8)
DEFINE_FMA(double2, double)
DEFINE_FMA(double4, double2)
DEFINE_FMA(double8, double4)

DEFINE float sqrt(float x)
{
    return __nvvm_sqrt_rn_f(x);
}
DEFINE float fmax(float a, float b)
{
    return __builtin_fmaxf(a, b);
}
DEFINE float fabs(float x)
{
    return __builtin_fabsf(x);
}
DEFINE float2 fabs(float2 x)
{
    return (float2)(__builtin_fabsf(x.x), __builtin_fabsf(x.y));
}
DEFINE float copysign(float x, float sign)
{
    return __builtin_copysignf(x, sign);
}
DEFINE float2 copysign(float2 x, float2 sign)
{
    return (float2)(__builtin_copysignf(x.x, sign.x), __builtin_copysignf(x.y, sign.y));
}
DEFINE double ceil(double x)
{
    return __builtin_ceil(x);
}
DEFINE double rint(double x)
{
    return __builtin_rint(x);
}
DEFINE double8 rint(double8 x)
{
    return (double8)(rint(x.s0), rint(x.s1), rint(x.s2), rint(x.s3), rint(x.s4), rint(x.s5), rint(x.s6), rint(x.s7));
}
/* The library's is a polynomial of about this length. */
DEFINE double exp2(double x)
{
    const double n = rint(x), r = (x - n) * 0.6931471805599453;
    double p = 1.0;
    for (int i = 13; i > 0; i--) {
        p = fma(p * r, 1.0 / i, 1.0);
    }
    return p * as_double((long)(n + 1023.0) << 52);
}
DEFINE int isnan(float x)
{
    return x != x;
}
DEFINE uint min(uint a, uint b)
{
    return a < b ? a : b;
}
DEFINE ulong clz(ulong x)
{
    return x == 0 ? 64 : (ulong)__builtin_clzl(x);
}
DEFINE ulong mul_hi(ulong a, ulong b)
{
    return __nvvm_mulhi_ull(a, b);
}
DEFINE ulong atom_add(volatile __global ulong *p, ulong x)
{
    ulong before;
    __asm__ volatile("atom.global.add.u64 %0, [%1], %2;" : "=l"(before) : "l"(p), "l"(x) : "memory");
    return before;
}

#define DEFINE_CONVERT(to, from)                                                                                       \
    DEFINE to convert_##to(from x)                                                                                     \
    {                                                                                                                  \
        return __builtin_convertvector(x, to);                                                                         \
    }
DEFINE_CONVERT(long8, double8)
DEFINE_CONVERT(double8, float8)
DEFINE_CONVERT(double8, ulong8)
DEFINE_CONVERT(uint4, ushort4)
DEFINE long convert_long(double x)
{
    return (long)x;
}
DEFINE ulong convert_ulong(double x)
{
    return (ulong)x;
}
DEFINE ulong convert_ulong_rte(float x)
{
    return (ulong)__builtin_rintf(x);
}
DEFINE double convert_double(float x)
{
    return x;
}
DEFINE double convert_double(ulong x)
{
    return x;
}

/* vload and vstore: element by element, as the pointer is aligned to one only; the assembler may not join them either. */
#define DEFINE_VLOAD4(space, type)                                                                                     \
    DEFINE type##4 vload4(size_t i, const space type *p)                                                               \
    {                                                                                                                  \
        p += i * 4;                                                                                                    \
        return (type##4)(p[0], p[1], p[2], p[3]);                                                                      \
    }
#define DEFINE_VLOAD8(space, type)                                                                                     \
    DEFINE type##8 vload8(size_t i, const space type *p)                                                               \
    {                                                                                                                  \
        p += i * 8;                                                                                                    \
        return (type##8)(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);                                              \
    }
DEFINE_VLOAD4(__private, float)
DEFINE_VLOAD4(__global, float)
DEFINE_VLOAD4(__global, ushort)
DEFINE_VLOAD8(__global, float)
DEFINE_VLOAD8(__global, double)
DEFINE_VLOAD8(__global, ulong)
#define DEFINE_VSTORE(space, type, n)                                                                                  \
    DEFINE void vstore##n(type##n x, size_t i, space type *p)                                                          \
    {                                                                                                                  \
        for (uint j = 0; j < n; j++) {                                                                                 \
            p[i * n + j] = x[j];                                                                                       \
        }                                                                                                              \
    }
DEFINE_VSTORE(__private, float, 4)
DEFINE_VSTORE(__global, float, 4)
DEFINE_VSTORE(__private, int, 4)
DEFINE_VSTORE(__private, double, 8)
DEFINE_VSTORE(__global, double, 8)
DEFINE_VSTORE(__private, float, 16)
DEFINE_VSTORE(__private, ushort, 16)
DEFINE float vload_half(size_t i, const __global half *p)
{
    return (float)p[i];
}
DEFINE float4 vload_half4(size_t i, const __global half *p)
{
    p += 4 * i;
    return (float4)(p[0], p[1], p[2], p[3]);
}
