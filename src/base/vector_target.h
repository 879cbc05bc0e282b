// Functions that are compiled for vectors wider than those every machine has. Whoever calls them has asked
// base::widest_vectors() (vector_width.h) first.
#pragma once

#ifdef __x86_64__
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // in avx512fintrin.h itself, GCC PR 105593
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#define RINGPLANE_AVX2 [[gnu::target("avx2,bmi,bmi2")]]
#define RINGPLANE_AVX512 [[gnu::target("avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx2,bmi,bmi2,popcnt")]]
#define RINGPLANE_AVX512_INLINE RINGPLANE_AVX512 [[gnu::always_inline]] inline
#endif
