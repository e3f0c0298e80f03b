// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Functions of packs. exp(x) = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2 and a Taylor polynomial; sqrt(x) by
/// Newton steps on 1/sqrt(x), since compilers keep std::sqrt scalar for the sake of errno.
#pragma once
#include "hone/core/simd.hpp"

namespace hone::simd {

namespace detail {

template <class A>
struct exp_constants;

template <>
struct exp_constants<float> {
  static constexpr float low = -104.0f, high = 89.0f;              // 0 below, infinite above
  static constexpr float round = 0x1.8p23f;                        // adding it leaves round(x) in the low bits
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  static constexpr int mantissa_bits = 23, bias = 127, degree = 7;
};

template <>
struct exp_constants<double> {
  static constexpr double low = -746.0, high = 710.0;
  static constexpr double round = 0x1.8p52;
  static constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr int mantissa_bits = 52, bias = 1023, degree = 13;
};

}  // namespace detail

/// e^x. At most 2 units in the last place (subnormal results: 1 subnormal step
/// more); 0 below the range, infinite above it, NaN for NaN.
template <class A>
HONE_INLINE pack<A> exp(const pack<A>& x) {
  using constants = detail::exp_constants<A>;
  using I = detail::integer_of<A>;
  using integers = typename detail::block<I>::part_type;
  const pack<A> clamped = select(x < pack<A>(constants::low), pack<A>(constants::low),
                                 select(x > pack<A>(constants::high), pack<A>(constants::high), x));
  const pack<A> shifted = clamped * pack<A>(static_cast<A>(1.4426950408889634074)) + pack<A>(constants::round);
  const pack<A> n = shifted - pack<A>(constants::round);
  const pack<A> r = (clamped - n * pack<A>(constants::ln2_high)) - n * pack<A>(constants::ln2_low);
  double coefficient[constants::degree + 1] = {1};
  for (int k = 1; k <= constants::degree; ++k) coefficient[k] = coefficient[k - 1] / k;
  pack<A> value(static_cast<A>(coefficient[constants::degree]));
  for (int k = constants::degree - 1; k >= 0; --k) value = value * r + pack<A>(static_cast<A>(coefficient[k]));
  // 2^n in two factors, so that neither leaves the exponent's range.
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
    integers bits, magic;
    const auto base = pack<A>(constants::round).part[i];
    std::memcpy(&bits, &shifted.part[i], sizeof bits);
    std::memcpy(&magic, &base, sizeof magic);
    const integers exponent = bits - magic;
    const integers half = exponent >> 1;
    const integers first = (half + constants::bias) << constants::mantissa_bits;
    const integers second = (exponent - half + constants::bias) << constants::mantissa_bits;
    typename detail::block<A>::part_type first_factor, second_factor;
    std::memcpy(&first_factor, &first, sizeof first);
    std::memcpy(&second_factor, &second, sizeof second);
    value.part[i] = value.part[i] * first_factor * second_factor;
  }
  return select(x == x, value, x);
}

/// The square root. At most 1 unit in the last place for normal numbers; subnormal ones count as 0; NaN for negative
/// ones.
template <class A>
HONE_INLINE pack<A> sqrt(const pack<A>& x) {
  using I = detail::integer_of<A>;
  constexpr I guess = sizeof(A) == 4 ? I{0x5f375a86} : static_cast<I>(0x5fe6eb50c7b537a9);
  constexpr int newton_steps = sizeof(A) == 4 ? 3 : 4;
  pack<A> inverse;
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
    typename detail::block<I>::part_type bits;
    std::memcpy(&bits, &x.part[i], sizeof bits);
    bits = guess - (bits >> 1);
    std::memcpy(&inverse.part[i], &bits, sizeof bits);
  }
  const pack<A> half = pack<A>(A(0.5)) * x;
  for (int step = 0; step < newton_steps; ++step)
    inverse = inverse * (pack<A>(A(1.5)) - (half * inverse) * inverse);
  const pack<A> root = x * inverse;
  const pack<A> corrected = root + (x - root * root) * (pack<A>(A(0.5)) * inverse);
  const pack<A> positive = select(x < pack<A>((std::numeric_limits<A>::min)()), pack<A>(0), corrected);
  const pack<A> finite = select(x > pack<A>((std::numeric_limits<A>::max)()), x, positive);
  return select(x < pack<A>(0), pack<A>(std::numeric_limits<A>::quiet_NaN()), finite);
}

}  // namespace hone::simd
