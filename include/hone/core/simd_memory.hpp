// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Packs from memory and back. Loads convert from any storage type and stores round once; `load(p, count, fill)` and
/// `store(p, pack, count)` handle the ends of arrays, so that an algorithm is written once, on packs. 16-bit elements
/// are converted a register at a time, to the bits that core/scalar.hpp's conversions give.
#pragma once
#include "hone/core/scalar.hpp"
#include "hone/core/simd.hpp"

namespace HONE_NAMESPACE::simd {

#if defined(__GNUC__)
namespace detail {

/// One register: as floats, as their bits, as twice as many halves of them; and half a register of 16-bit elements.
using float_part = typename native<float, register_bytes>::type;
using float_bits = typename native<std::uint32_t, register_bytes>::type;
using float_halves = typename native<std::uint16_t, register_bytes>::type;
using half_part = typename native<std::uint16_t, register_bytes / 2>::type;

HONE_INLINE float_part as_float(const float_bits& x) {
  float_part result;
  std::memcpy(&result, &x, sizeof result);
  return result;
}
HONE_INLINE float_bits as_bits(const float_part& x) {
  float_bits result;
  std::memcpy(&result, &x, sizeof result);
  return result;
}

/// x << 16. One instruction on AVX-512, where g++ converts in halves and puts them together.
HONE_INLINE float_bits upper_halves(const half_part& x) {
#if defined(__AVX512BW__)
  const float_halves interleaved =
      __builtin_shufflevector(half_part{}, x, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10,
                              26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  float_bits result;
  std::memcpy(&result, &interleaved, sizeof result);
  return result;
#else
  return __builtin_convertvector(x, float_bits) << 16;
#endif
}

/// x >> 16
HONE_INLINE half_part take_upper_halves(const float_bits& x) {
#if defined(__AVX512BW__)
  float_halves halves;
  std::memcpy(&halves, &x, sizeof halves);
  return __builtin_shufflevector(halves, halves, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#else
  return __builtin_convertvector(x >> 16, half_part);
#endif
}

/// Whether one instruction converts a register of float16, denormals too, also where the process flushes them.
#if defined(__AVX512F__) || (defined(__AVX__) && defined(__F16C__))
inline constexpr bool converts_float16 = true;
using signed_half_part = native<std::int16_t, register_bytes / 2>::type;
HONE_INLINE float_part from_float16(const half_part& x) {
  signed_half_part halves;
  std::memcpy(&halves, &x, sizeof halves);
#if defined(__AVX512F__)
  constexpr int current_direction = 4;
#if defined(__clang__)
  constexpr unsigned short every_lane = 0xffff;
#else
  constexpr short every_lane = -1;
#endif
  return __builtin_ia32_vcvtph2ps512_mask(halves, float_part{}, every_lane, current_direction);
#else
  return __builtin_ia32_vcvtph2ps256(halves);
#endif
}
/// To the nearest, ties to even.
HONE_INLINE half_part to_float16(const float_part& x) {
#if defined(__AVX512F__)
  constexpr unsigned short every_lane = 0xffff;
  const signed_half_part halves = __builtin_ia32_vcvtps2ph512_mask(x, 0, signed_half_part{}, every_lane);
#else
  const signed_half_part halves = __builtin_ia32_vcvtps2ph256(x, 0);
#endif
  half_part result;
  std::memcpy(&result, &halves, sizeof result);
  return result;
}
#else
inline constexpr bool converts_float16 = false;
inline float_part from_float16(const half_part&);
inline half_part to_float16(const float_part&);
#endif

/// The float of a 16-bit number in the upper half of @p x; a NaN becomes quiet.
template <format Format>
HONE_INLINE float_part from_upper_half(const float_bits& x) {
  if constexpr (Format == format::bfloat16) {
    return as_float(x);
  } else if constexpr (converts_float16) {
    return from_float16(take_upper_halves(x));
  } else {
    const float_bits magnitude = (x & 0x7fff0000u) >> 3;
    const float_bits normal = magnitude + 0x38000000u;
    const float_bits subnormal = as_bits(as_float(magnitude + 0x38800000u) - 0x1p-14f);
    float_bits value = magnitude < 0x00800000u ? subnormal : normal;
    value = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : value;
    value = magnitude > 0x0f800000u ? value | 0x400000u : value;
    return as_float(value | (x & 0x80000000u));
  }
}

/// The 16-bit number nearest to @p x, ties to even, in the upper half; a NaN becomes quiet. Without @p Payloads
/// only one that an operation made of numbers is sure to stay a NaN.
template <format Format, bool Payloads = true>
HONE_INLINE float_bits to_upper_half(const float_part& x) {
  const float_bits bits = as_bits(x);
  if constexpr (Format == format::bfloat16) {
    const float_bits rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    if constexpr (!Payloads) return rounded;
    return x == x ? rounded : bits | 0x400000u;
  } else if constexpr (converts_float16) {
    return upper_halves(to_float16(x));
  } else {
    const float_bits magnitude = bits & 0x7fffffffu;
    const float_bits normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) << 3;
    const float_bits subnormal = as_bits(as_float(magnitude) + 0.5f) << 16;
    const float_bits nan = 0x7e000000u | ((magnitude << 3) & 0x03ff0000u);
    float_bits result = magnitude < 0x38800000u ? subnormal : normal;
    result = magnitude >= 0x47800000u ? float_bits{} + 0x7c000000u : result;
    result = magnitude > 0x7f800000u ? nan : result;
    return result | (bits & 0x80000000u);
  }
}

/// The same where it is stored.
template <format Format>
HONE_INLINE half_part to_halves(const float_part& x) {
  if constexpr (Format == format::float16 && converts_float16)
    return to_float16(x);
  else
    return take_upper_halves(to_upper_half<Format>(x));
}

}  // namespace detail
#endif

/// The elements at p[0 … lanes), converted; no alignment is asked for.
template <class A, scalar T>
HONE_INLINE pack<A> load(const T* p) {
  static_assert(std::is_same_v<A, accumulator_t<T>>, "a pack holds the accumulator type of what it loads");
  pack<A> result;
  if constexpr (std::is_same_v<A, T>) {
    // Register by register: of a longer copy g++ makes narrow stores that wide loads wait for.
    for (std::size_t i = 0; i < pack<A>::parts; ++i)
      std::memcpy(&result.part[i], p + i * pack<A>::part_lanes, sizeof result.part[i]);
  } else {
#if defined(__GNUC__)
    for (std::size_t i = 0; i < pack<A>::parts; ++i) {
      detail::half_part halves;
      std::memcpy(&halves, p + i * pack<A>::part_lanes, sizeof halves);
      if constexpr (scalar_format<T> == format::float16 && detail::converts_float16)
        result.part[i] = detail::from_float16(halves);
      else
        result.part[i] = detail::from_upper_half<scalar_format<T>>(detail::upper_halves(halves));
    }
#else
    A values[pack<A>::lanes];
    for (int i = 0; i < pack<A>::lanes; ++i) values[i] = to_accumulator(p[i]);
    std::memcpy(result.part, values, sizeof values);
#endif
  }
  return result;
}

/// The first @p count < lanes elements at p, and @p fill in the other lanes.
template <class A, scalar T>
HONE_INLINE pack<A> load(const T* p, index_t count, A fill = A{0}) {
  A values[pack<A>::lanes];
  for (int i = 0; i < pack<A>::lanes; ++i) values[i] = i < count ? to_accumulator(p[i]) : fill;
  return load<A>(values);
}

/// Asks for the line @p bytes after @p p to be brought to the second-level cache; it need not exist.
HONE_INLINE void prefetch([[maybe_unused]] const void* p, [[maybe_unused]] index_t bytes) {
#if defined(__GNUC__)
  const auto address = reinterpret_cast<std::uintptr_t>(p) + static_cast<std::size_t>(bytes);
  __builtin_prefetch(reinterpret_cast<const void*>(address), 0, 2);
#endif
}

/// Writes the elements at p[0 … lanes), each rounded once to nearest even; no alignment is asked for.
template <scalar T, class A>
HONE_INLINE void store(T* p, const pack<A>& x) {
  static_assert(std::is_same_v<A, accumulator_t<T>>, "a pack holds the accumulator type of what it stores");
  if constexpr (std::is_same_v<A, T>) {
    for (std::size_t i = 0; i < pack<A>::parts; ++i)
      std::memcpy(p + i * pack<A>::part_lanes, &x.part[i], sizeof x.part[i]);
  } else {
#if defined(__GNUC__)
    for (std::size_t i = 0; i < pack<A>::parts; ++i) {
      const detail::half_part halves = detail::to_halves<scalar_format<T>>(x.part[i]);
      std::memcpy(static_cast<void*>(p + i * pack<A>::part_lanes), &halves, sizeof halves);
    }
#else
    A values[pack<A>::lanes];
    std::memcpy(values, x.part, sizeof values);
    for (int i = 0; i < pack<A>::lanes; ++i) p[i] = from_accumulator<T>(values[i]);
#endif
  }
}

/// Writes the first @p count < lanes of them.
template <scalar T, class A>
HONE_INLINE void store(T* p, const pack<A>& x, index_t count) {
  A values[pack<A>::lanes];
  std::memcpy(values, x.part, sizeof values);
  for (index_t i = 0; i < count; ++i) p[i] = from_accumulator<T>(values[i]);
}

#if defined(__GNUC__)
/// Whether `words<T>` exists.
template <class T>
inline constexpr bool has_words = scalar<T> && sizeof(T) == 2;

/// 32 elements of a 16-bit type as they lie in memory, taken apart into those at even and those at odd places. That
/// needs no permutation: the fast way through memory where the order of elements does not matter.
template <scalar T>
struct words : detail::block<std::uint32_t> {
  static constexpr int count = 2 * lanes;

  static HONE_INLINE words load(const T* p) {
    words result;
    for (std::size_t i = 0; i < parts; ++i) std::memcpy(&result.part[i], p + 2 * i * part_lanes, sizeof result.part[i]);
    return result;
  }
  HONE_INLINE void store(T* p) const {
    for (std::size_t i = 0; i < parts; ++i)
      std::memcpy(static_cast<void*>(p + 2 * i * part_lanes), &part[i], sizeof part[i]);
  }

  [[nodiscard]] HONE_INLINE pack<float> even() const {
    pack<float> result;
    for (std::size_t i = 0; i < parts; ++i) result.part[i] = detail::from_upper_half<scalar_format<T>>(part[i] << 16);
    return result;
  }
  [[nodiscard]] HONE_INLINE pack<float> odd() const {
    pack<float> result;
    for (std::size_t i = 0; i < parts; ++i)
      result.part[i] = detail::from_upper_half<scalar_format<T>>(part[i] & 0xffff0000u);
    return result;
  }
  /// Rounds and puts together again.
  static HONE_INLINE words join(const pack<float>& even, const pack<float>& odd) { return joined<true>(even, odd); }
  /// The same of what was computed from finite elements.
  static HONE_INLINE words join_numbers(const pack<float>& even, const pack<float>& odd) {
    return joined<false>(even, odd);
  }

 private:
  template <bool Payloads>
  static HONE_INLINE words joined(const pack<float>& even, const pack<float>& odd) {
    constexpr format to = scalar_format<T>;
    words result;
    for (std::size_t i = 0; i < parts; ++i)
      result.part[i] = (detail::to_upper_half<to, Payloads>(even.part[i]) >> 16) |
                       (detail::to_upper_half<to, Payloads>(odd.part[i]) & 0xffff0000u);
    return result;
  }
};

/// Whether all elements of all @p x are finite, by their bits.
template <scalar T, std::size_t N>
HONE_INLINE bool all_finite(const words<T> (&x)[N]) {
  using magnitudes = typename detail::native<std::int16_t, detail::register_bytes>::type;
  constexpr std::uint16_t sign = 0x8000, infinity = scalar_format<T> == format::bfloat16 ? 0x7f80 : 0x7c00;
  const auto magnitude = [&](std::size_t n, std::size_t i) HONE_INLINE_LAMBDA {
    magnitudes result;
    std::memcpy(&result, &x[n].part[i], sizeof result);
    return result & 0x7fff;
  };
  magnitudes largest = magnitude(0, 0);
  for (std::size_t n = 0; n < N; ++n)
    for (std::size_t i = 0; i < words<T>::parts; ++i) {
      const magnitudes seen = magnitude(n, i);
      largest = seen > largest ? seen : largest;
    }
  detail::float_halves bits;
  std::memcpy(&bits, &largest, sizeof bits);
  return !detail::any_bit(bits + std::uint16_t{sign - infinity}, detail::float_halves{} + sign);
}
#else
template <class>
inline constexpr bool has_words = false;
#endif

/// Bit i is lane i's truth.
template <class A>
HONE_INLINE std::uint32_t bits(const mask<A>& x) {
  std::uint32_t result = 0;
#if defined(__GNUC__) && defined(__SSE2__)
  constexpr int lanes = 16 / int{sizeof(A)};
  typename detail::native<A, 16>::type part[4];
  std::memcpy(part, x.part, sizeof part);
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(A) == 4)
      result |= static_cast<std::uint32_t>(__builtin_ia32_movmskps(part[i])) << (i * lanes);
    else
      result |= static_cast<std::uint32_t>(__builtin_ia32_movmskpd(part[i])) << (i * lanes);
  }
#else
  detail::integer_of<A> values[mask<A>::lanes];
  std::memcpy(values, x.part, sizeof values);
  for (int i = 0; i < mask<A>::lanes; ++i) result |= static_cast<std::uint32_t>(values[i] & 1) << i;
#endif
  return result;
}

}  // namespace HONE_NAMESPACE::simd
