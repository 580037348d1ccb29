/* SPDX-License-Identifier: Apache-2.0 */
/* For CPUs: sixteen floats at any address (of a float) in one access, as PoCL takes vload16 and vstore16 apart into
 * four; and SC_FETCH, which asks for a line of memory ahead of its use where the compiler can say so; and SC_APART,
 * after which the compiler no longer knows that a pointer equals another one. */
#ifndef SEMCAL_VECTOR_H
#define SEMCAL_VECTOR_H

typedef float16 sc_loose16 __attribute__((aligned(4)));

#define SC_VECTOR16(pointer) (*(__global sc_loose16 *)(pointer))
#define SC_CONST_VECTOR16(pointer) (*(__global const sc_loose16 *)(pointer))

#if defined(SC_CPU) && defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#define SC_FETCH(address) __builtin_prefetch((const void *)(uintptr_t)(address), 0, 3)
#endif
#endif
#if defined(SC_CPU) && defined(__clang__)
#define SC_APART(pointer) __asm__("" : "+r"(pointer))
#else
#define SC_APART(pointer)
#endif
#ifndef SC_FETCH
#define SC_FETCH(address)
#endif

#endif
