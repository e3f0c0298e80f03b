// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Functions of packs. exp(x) = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2 and a polynomial of least relative
/// error (2.5e-9 for float, 4e-18 for double).
#pragma once
#include "hone/core/simd.hpp"

#if !(defined(__GNUC__) && defined(__SSE2__))
#include <cmath>
#endif

namespace HONE_NAMESPACE::simd {

namespace detail {

template <class A>
struct exp_constants;

template <>
struct exp_constants<float> {
  static constexpr float low = -104.0f, high = 89.0f;  // 0 below, infinite above
  static constexpr float normal = -87.0f;              // the result is a normal number from here on
  static constexpr float round = 0x1.8p23f;            // adding it leaves round(x) in the low bits
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  static constexpr int mantissa_bits = 23, bias = 127, degree = 6;
  static constexpr float coefficient[] = {1.0f,           1.000000038f,    0.5000000047f, 0.1666641541f,
                                          0.04166635277f, 0.008375134775f, 0.00139411189f};
};

template <>
struct exp_constants<double> {
  static constexpr double low = -746.0, high = 710.0;
  static constexpr double normal = -708.0;
  static constexpr double round = 0x1.8p52;
  static constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr int mantissa_bits = 52, bias = 1023, degree = 11;
  static constexpr double coefficient[] = {1.0,
                                           1.0,
                                           0.50000000000000184039,
                                           0.1666666666666668082,
                                           0.04166666666648795252,
                                           0.0083333333333195896163,
                                           0.0013888888952352862866,
                                           0.00019841269890076402829,
                                           0.000024801485441561312966,
                                           2.7557240887228599e-6,
                                           2.763265472252779189e-7,
                                           2.5110049204818659793e-8};
};

template <class A>
struct exp_parts {
  pack<A> mantissa;  ///< e^r
  pack<A> shifted;   ///< n in the low bits
};

template <class A>
HONE_INLINE exp_parts<A> split_exp(const pack<A>& x) {
  using constants = exp_constants<A>;
  const pack<A> shifted = x * pack<A>(static_cast<A>(1.4426950408889634074)) + pack<A>(constants::round);
  const pack<A> n = shifted - pack<A>(constants::round);
  const pack<A> r = (x - n * pack<A>(constants::ln2_high)) - n * pack<A>(constants::ln2_low);
  pack<A> value(constants::coefficient[constants::degree]);
  for (int k = constants::degree - 1; k >= 0; --k) value = value * r + pack<A>(constants::coefficient[k]);
  return {value, shifted};
}

/// 2^exponent, for exponents of normal numbers in the low bits; `round` has none in the bits that are kept.
template <class A, class Integers>
HONE_INLINE auto power_of_two(const Integers& exponent) {
  using constants = exp_constants<A>;
  const Integers bits =
      (exponent << constants::mantissa_bits) + (integer_of<A>{constants::bias} << constants::mantissa_bits);
  typename block<A>::part_type factor;
  std::memcpy(&factor, &bits, sizeof factor);
  return factor;
}

/// n of one register.
template <class A>
HONE_INLINE auto exponent_of(const typename block<A>::part_type& shifted) {
  typename block<integer_of<A>>::part_type bits, magic;
  const auto base = pack<A>(exp_constants<A>::round).part[0];
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&magic, &base, sizeof magic);
  return bits - magic;
}

}  // namespace detail

/// Where x is a number that is not infinite.
template <class A>
HONE_INLINE mask<A> finite(const pack<A>& x) {
  return abs(x) <= pack<A>((std::numeric_limits<A>::max)());
}

/// e^x. At most 2 units in the last place (subnormal results: 1 subnormal step
/// more); 0 below the range, infinite above it, NaN for NaN.
template <class A>
HONE_INLINE pack<A> exp(const pack<A>& x) {
  using constants = detail::exp_constants<A>;
  const pack<A> clamped = select(x < pack<A>(constants::low), pack<A>(constants::low),
                                 select(x > pack<A>(constants::high), pack<A>(constants::high), x));
  detail::exp_parts<A> parts = detail::split_exp(clamped);
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
    // 2^n in two factors, so that neither leaves the exponent's range.
    const auto exponent = detail::exponent_of<A>(parts.shifted.part[i]);
    const auto half = exponent >> 1;
    parts.mantissa.part[i] =
        parts.mantissa.part[i] * detail::power_of_two<A>(half) * detail::power_of_two<A>(exponent - half);
  }
  return select(x == x, parts.mantissa, x);
}

/// e^x for x <= 0, in two thirds of the time. At most 2 units in the last place; 0 where e^x is subnormal or nearly so
/// (x below -87, in double -708); NaN for NaN.
template <class A>
HONE_INLINE pack<A> exp_nonpositive(const pack<A>& x) {
  detail::exp_parts<A> parts = detail::split_exp(x);
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
    // Unsigned: what is far below wraps round, before it is set to 0.
    using integer = std::make_unsigned_t<detail::integer_of<A>>;
    constexpr integer bias = detail::exp_constants<A>::bias;
    typename detail::block<integer>::part_type bits;
    typename pack<A>::part_type factor;
    std::memcpy(&bits, &parts.shifted.part[i], sizeof bits);
    bits = (bits << detail::exp_constants<A>::mantissa_bits) + (bias << detail::exp_constants<A>::mantissa_bits);
    std::memcpy(&factor, &bits, sizeof factor);
    parts.mantissa.part[i] *= factor;
  }
  return select(x < pack<A>(detail::exp_constants<A>::normal), pack<A>(0), parts.mantissa);
}

namespace detail {

/// 2^f, |f| <= 1/2, of least relative error: 7.5e-5, 2.6e-6, and 9.2e-8 with 2^0 = 1.
template <int Degree>
inline constexpr float two_to[6] = {};
template <>
inline constexpr float two_to<3>[6] = {0.9999280735f, 0.6932609855f, 0.2426111222f, 0.05517166898f};
template <>
inline constexpr float two_to<4>[6] = {0.9999992614f, 0.6931218147f, 0.2402474483f, 0.05591786032f, 0.009570101903f};
template <>
inline constexpr float two_to<5>[6] = {1.0f,           0.6931469776f,   0.2402224209f,
                                       0.05550733743f, 0.009671512640f, 0.001326472719f};

}  // namespace detail

/// What `exp_softmax` multiplies exponents by: a positive normal number whose inverse is one too. Made before a loop,
/// as it costs a division.
template <class A>
struct softmax_rate {
  pack<A> factor, least;  ///< of x; below the second e^(x rate) is 0

  HONE_INLINE explicit softmax_rate(double rate)
      : factor(static_cast<A>(by_powers_of_two ? 1.4426950408889634074 * rate : rate)), least(0) {
    constexpr double lowest = -static_cast<double>((std::numeric_limits<A>::max)());
    const double x = static_cast<double>(detail::exp_constants<A>::normal) / rate;
    least = pack<A>(static_cast<A>(x > lowest ? x : lowest));
  }

#if defined(__GNUC__)
  static constexpr bool by_powers_of_two = sizeof(A) == 4;
#else
  static constexpr bool by_powers_of_two = false;
#endif
};

/// e^(x rate) for x <= 0 where e^0, which is 1 exactly, is the largest of many, in four fifths of `exp_nonpositive`'s
/// time for float and the same for double: relative error at most @c error + 1e-7 + 8e-8 |x rate|, where the
/// polynomial's own @c error is 9.2e-8, of Degree 4 2.6e-6, of 3 7.5e-5 (half a unit of float16 is 2.4e-4 or more, of
/// bfloat16 2e-3); 0 for x rate below -87 (in double -708) and for x = -inf at any rate; NaN for NaN.
template <int Degree = 5, class A>
HONE_INLINE pack<A> exp_softmax(const pack<A>& x, const softmax_rate<A>& rate) {
#if defined(__GNUC__)
  if constexpr (softmax_rate<A>::by_powers_of_two) {
    constexpr A round = detail::exp_constants<A>::round;
    // 0 for NaN, whose own low bits must not get into the exponent.
    const pack<A> shifted = (min)(x, pack<A>(0)) * rate.factor + pack<A>(round);
    const pack<A> f = x * rate.factor - (shifted - pack<A>(round));
    pack<A> value(detail::two_to<Degree>[Degree]), result;
    for (int k = Degree - 1; k >= 0; --k) value = value * f + pack<A>(detail::two_to<Degree>[k]);
    for (std::size_t i = 0; i < pack<A>::parts; ++i) {
      typename detail::block<std::uint32_t>::part_type bits, n;
      std::memcpy(&bits, &value.part[i], sizeof bits);
      std::memcpy(&n, &shifted.part[i], sizeof n);
      bits += n << 23;
      std::memcpy(&result.part[i], &bits, sizeof bits);
    }
    return select(x < rate.least, pack<A>(0), result);
  }
#endif
  return exp_nonpositive(x * rate.factor);
}

/// e^x, as above.
template <int Degree = 5, class A>
HONE_INLINE pack<A> exp_softmax(const pack<A>& x) {
  return exp_softmax<Degree>(x, softmax_rate<A>(1.0));
}

/// log(1 + t) for 0 <= t <= 1, NaN for NaN: 2 atanh(t / (2 + t)) by a polynomial of least error (1.4e-18). At most 2
/// units in the last place.
HONE_INLINE pack<double> log1p_unit(const pack<double>& t) {
  constexpr double coefficient[] = {0.33333333333333076, 0.20000000000092874, 0.14285714272727057, 0.11111112040373837,
                                    0.09090870416252403, 0.07693307021152004, 0.06650187016337313, 0.06055084364034609,
                                    0.0416225325593041,  0.08522081781390699};
  const pack<double> s = t / (t + pack<double>(2.0)), q = s * s;
  pack<double> value(coefficient[9]);
  for (int k = 8; k >= 0; --k) value = value * q + pack<double>(coefficient[k]);
  const pack<double> twice = s + s;
  return twice + twice * (q * value);
}

/// The square root, correctly rounded; NaN for negative numbers. By the machine's instruction where one is known here,
/// since compilers keep std::sqrt scalar for the sake of errno.
template <class A>
HONE_INLINE pack<A> sqrt(const pack<A>& x) {
  pack<A> root;
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
#if defined(__GNUC__) && defined(__AVX__)
    if constexpr (sizeof(A) == 4)
      asm("vsqrtps %1, %0" : "=x"(root.part[i]) : "x"(x.part[i]));
    else
      asm("vsqrtpd %1, %0" : "=x"(root.part[i]) : "x"(x.part[i]));
#elif defined(__GNUC__) && defined(__SSE2__)
    if constexpr (sizeof(A) == 4)
      asm("sqrtps %1, %0" : "=x"(root.part[i]) : "x"(x.part[i]));
    else
      asm("sqrtpd %1, %0" : "=x"(root.part[i]) : "x"(x.part[i]));
#else
    A values[pack<A>::part_lanes];
    std::memcpy(values, &x.part[i], sizeof values);
    for (A& value : values) value = std::sqrt(value);
    std::memcpy(&root.part[i], values, sizeof values);
#endif
  }
  return root;
}

}  // namespace HONE_NAMESPACE::simd
