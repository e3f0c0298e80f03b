// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a number may be stored as, and what it is computed in: 16-bit storage and float compute in float, double in
/// double. The 16-bit types are two bytes and two conversions, bit-compatible with those of Eigen and CUDA.
#pragma once
#include "hone/core/flags.hpp"

#include <bit>
#include <cstdint>
#include <type_traits>

namespace HONE_NAMESPACE {

namespace detail {

/// Round to nearest even; a NaN stays a NaN (quiet, sign kept).
constexpr std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

constexpr float bfloat16_to_float(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// Round to nearest even; overflow gives infinity, subnormals are kept.
constexpr std::uint16_t float_to_float16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the rounded subnormal in the low mantissa bits
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

/// By arithmetic on normal numbers alone: right in processes that flush denormals, too. A NaN becomes quiet.
constexpr float float16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t rest = (bits & 0x7fffu) << 13;
  if ((bits & 0x7fffu) > 0x7c00u) return std::bit_cast<float>(sign | rest | 0x7fc00000u);
  if ((bits & 0x7c00u) == 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u);
  if ((bits & 0x7c00u) != 0) return std::bit_cast<float>(sign | (rest + 0x38000000u));
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest + 0x38800000u) - 0x1p-14f) | sign);
}

}  // namespace detail

/// The upper half of a float: 8 exponent and 7 mantissa bits.
struct bfloat16 {
  std::uint16_t bits = 0;
  constexpr bfloat16() = default;
  constexpr explicit bfloat16(float value) : bits(detail::float_to_bfloat16(value)) {}
  constexpr operator float() const { return detail::bfloat16_to_float(bits); }
};

/// IEEE 754 binary16.
struct float16 {
  std::uint16_t bits = 0;
  constexpr float16() = default;
  constexpr explicit float16(float value) : bits(detail::float_to_float16(value)) {}
  constexpr operator float() const { return detail::float16_to_float(bits); }
};

/// The layout of a stored number. An engine's own 16-bit type takes part by specialising `scalar_format`.
enum class format { none, float32, float64, bfloat16, float16 };

template <class T>
inline constexpr format scalar_format = format::none;
template <>
inline constexpr format scalar_format<float> = format::float32;
template <>
inline constexpr format scalar_format<double> = format::float64;
template <>
inline constexpr format scalar_format<bfloat16> = format::bfloat16;
template <>
inline constexpr format scalar_format<float16> = format::float16;

/// A number that hone can load, convert and store.
template <class T>
concept scalar = scalar_format<std::remove_cv_t<T>> != format::none;

/// What a @p T is computed in.
template <scalar T>
using accumulator_t = std::conditional_t<scalar_format<std::remove_cv_t<T>> == format::float64, double, float>;

/// Exactly; a NaN of 16 bits stays one.
template <scalar T>
inline accumulator_t<T> to_accumulator(T value) {
  if constexpr (scalar_format<T> == format::bfloat16) {
    return detail::bfloat16_to_float(std::bit_cast<std::uint16_t>(value));
  } else if constexpr (scalar_format<T> == format::float16) {
    return detail::float16_to_float(std::bit_cast<std::uint16_t>(value));
  } else {
    return value;
  }
}

/// Rounds once, to nearest even.
template <scalar T>
inline T from_accumulator(accumulator_t<T> value) {
  if constexpr (scalar_format<T> == format::bfloat16) {
    return std::bit_cast<T>(detail::float_to_bfloat16(value));
  } else if constexpr (scalar_format<T> == format::float16) {
    return std::bit_cast<T>(detail::float_to_float16(value));
  } else {
    return value;
  }
}

}  // namespace HONE_NAMESPACE
