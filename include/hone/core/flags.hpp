// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The flags that a unit may be compiled with. Sums in a fixed order, exponentials and the counting of NaN need the
/// arithmetic of IEEE 754: under -ffast-math losses are off by 1 % and NaN goes uncounted, so that it, and each part of
/// it that changes results, is refused here. -ffp-contract=fast, -fno-math-errno, -fno-trapping-math and
/// -frounding-math change nothing that matters. docs/numerics.md, "Fast math", shows how the rest of a program keeps
/// its own.
///
/// Under flags that are not refused, two units of one program may differ: in what misuse does (-fno-exceptions), in the
/// instructions that they may use, in the layout of containers (-D_GLIBCXX_DEBUG). The linker keeps one of two
/// functions of the same name, so all of hone lies in an inline namespace that is named after these flags and the
/// version, hone::v100_avx512_fma say. Between units that differ pass pointers and sizes, not hone's types: the linker
/// does not find what does not fit.
#pragma once
#include "hone/version.hpp"

#if defined(__FAST_MATH__) || defined(_M_FP_FAST)
#error "hone: -ffast-math and -Ofast give wrong losses and hide NaN: add -fno-fast-math for the files that include hone"
#elif defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "hone: -ffinite-math-only hides NaN: add -fno-finite-math-only for the files that include hone"
#elif defined(__ASSOCIATIVE_MATH__)
#error "hone: -fassociative-math gives wrong sums: add -fno-associative-math for the files that include hone"
#elif defined(__RECIPROCAL_MATH__)
#error "hone: -freciprocal-math changes results: add -fno-reciprocal-math for the files that include hone"
#elif defined(__NO_SIGNED_ZEROS__)
#error "hone: -fno-signed-zeros changes results: add -fsigned-zeros for the files that include hone"
#elif defined(__GCC_IEC_559) && __GCC_IEC_559 == 0
#error "hone: a flag such as -fsingle-precision-constant leaves IEEE 754: leave it out for the files that include hone"
#endif

#if defined(__AVX512BW__)
#define HONE_INSTRUCTIONS _avx512bw
#elif defined(__AVX512F__)
#define HONE_INSTRUCTIONS _avx512
#elif defined(__AVX2__)
#define HONE_INSTRUCTIONS _avx2
#elif defined(__AVX__)
#define HONE_INSTRUCTIONS _avx
#elif defined(__SSE4_2__)
#define HONE_INSTRUCTIONS _sse4
#else
#define HONE_INSTRUCTIONS
#endif
#if defined(__FMA__)
#define HONE_FUSED _fma
#else
#define HONE_FUSED
#endif
#if defined(__F16C__) && !defined(__AVX512F__)
#define HONE_HALVES _f16c
#else
#define HONE_HALVES
#endif
#if defined(__cpp_exceptions)
#define HONE_MISUSE
#else
#define HONE_MISUSE _no_exceptions
#endif
#if defined(_GLIBCXX_DEBUG)
#define HONE_CONTAINERS _debug
#else
#define HONE_CONTAINERS
#endif
#define HONE_JOIN_NAMES(a, b, c, d, e, f) v##a##b##c##d##e##f
#define HONE_JOIN(a, b, c, d, e, f) HONE_JOIN_NAMES(a, b, c, d, e, f)
#define HONE_BUILD HONE_JOIN(HONE_VERSION, HONE_INSTRUCTIONS, HONE_FUSED, HONE_HALVES, HONE_MISUSE, HONE_CONTAINERS)
#define HONE_STRING_OF(name) #name
#define HONE_STRING(name) HONE_STRING_OF(name)
#define HONE_BUILD_NAME HONE_STRING(HONE_BUILD)
/// What every header opens in hone's place.
#define HONE_NAMESPACE hone::inline HONE_BUILD

// clang has no macros for the parts, g++ none for #pragma GCC optimize. But only under such a flag can an optimiser
// prove that x + 3 - 3 has the bits of x; where it does, a call remains that is an error. Without optimisation nobody
// can be asked: there all but the last digits of the special functions are right.
#if defined(__OPTIMIZE__) && defined(__has_attribute) && !defined(__EDG__)
#if __has_attribute(error)
namespace HONE_NAMESPACE::detail {

[[gnu::error("hone: -fassociative-math gives wrong sums: add -fno-associative-math for the files that include hone")]]
void refuse_associative_math();
[[gnu::error("hone: -freciprocal-math changes results: add -fno-reciprocal-math for the files that include hone")]]
void refuse_reciprocal_math();
[[gnu::error("hone: -fno-signed-zeros changes results: add -fsigned-zeros for the files that include hone")]]
void refuse_unsigned_zeros();
[[gnu::error("hone: -fno-honor-nans hides NaN: add -fhonor-nans for the files that include hone")]]
void refuse_no_nans();
[[gnu::error("hone: -fno-honor-infinities hides infinity: add -fhonor-infinities for the files that include hone")]]
void refuse_no_infinities();

[[gnu::used]] inline void check_float_model() {
  volatile float unknown = 0;
  const float x = unknown;
  const bool associative = __builtin_bit_cast(int, x + 3.0f - 3.0f) == __builtin_bit_cast(int, x);
  const bool reciprocal = __builtin_bit_cast(int, x / 3.0f) == __builtin_bit_cast(int, x * (1 / 3.0f));
  const bool unsigned_zero = __builtin_bit_cast(int, x + 0.0f) == __builtin_bit_cast(int, x);
  const bool no_nan = x != x, no_infinity = __builtin_fabsf(x) == __builtin_inff();
  if (__builtin_constant_p(associative)) refuse_associative_math();
  if (__builtin_constant_p(reciprocal)) refuse_reciprocal_math();
  if (__builtin_constant_p(unsigned_zero)) refuse_unsigned_zeros();
  if (__builtin_constant_p(no_nan)) refuse_no_nans();
  if (__builtin_constant_p(no_infinity)) refuse_no_infinities();
}

}  // namespace HONE_NAMESPACE::detail
#endif
#endif
