// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Noise on the integers whose probabilities are exact: no logarithm, no rounding, only comparisons of random integers.
///   Laplace of scale t:   P(x) = (e^(1/t) - 1) / (e^(1/t) + 1) e^(-|x| / t)
///   Gaussian of scale s:  P(x) proportional to e^(-x^2 / (2 s^2))
/// [Canonne, Kamath, Steinke 2020, The discrete Gaussian for differential privacy, arXiv 2004.00010, Alg. 1-3]
/// Every function draws a number of words that depends on what it returns: how long it took is as private as that.
#pragma once
#include "hone/privacy/chacha20.hpp"

namespace HONE_NAMESPACE::privacy {

__extension__ typedef unsigned __int128 uint128;  // -Wpedantic knows no such type

/// The largest noise, 2^62, and the largest sum of a value and its noise, 2^61.
inline constexpr std::int64_t largest_noise = std::int64_t{1} << 62, largest_sum = std::int64_t{1} << 61;

/// An integer in [0, n), all alike.
/// @pre n > 0.
/// @note Draws as many bits as n - 1 has until they are less than n: on average below two draws, of one or two words,
/// and none at n = 1.
template <random_bits Random>
constexpr uint128 uniform_below(uint128 n, Random& random) {
  if (n == 1) return 0;
  const auto high = static_cast<std::uint64_t>((n - 1) >> 64), low = static_cast<std::uint64_t>(n - 1);
  const auto mask = [](std::uint64_t x) { return x == 0 ? 0 : ~std::uint64_t{0} >> std::countl_zero(x); };
  for (;;) {
    const std::uint64_t upper = high == 0 ? 0 : random() & mask(high);
    const uint128 drawn = uint128{upper} << 64 | (random() & (high == 0 ? mask(low) : ~std::uint64_t{0}));
    if (drawn < n) return drawn;
  }
}

/// True with probability p / q; at p >= q always.
/// @pre q > 0.
template <random_bits Random>
constexpr bool bernoulli(uint128 p, uint128 q, Random& random) {
  return uniform_below(q, random) < p;
}

/// True with probability e^(-p / q).
/// @pre q > 0.
template <random_bits Random>
constexpr bool bernoulli_exp(uint128 p, uint128 q, Random& random) {
  // Of e^-x, x <= 1: whether the first k >= 1 at which a coin of x / k fails is odd. Of two coins x and 1 / k, as
  // q k need not fit.
  const auto up_to_one = [&](uint128 numerator, uint128 denominator) {
    std::uint64_t k = 1;
    while (bernoulli(numerator, denominator, random) && bernoulli(1, k, random)) ++k;
    return k % 2 == 1;
  };
  for (; p > q; p -= q)
    if (!up_to_one(1, 1)) return false;
  return up_to_one(p, q);
}

namespace detail {

inline void check_scale(std::int64_t scale, std::int64_t most, const char* function) {
  invalid_argument_unless(scale >= 1 && scale <= most, function, "scale", "must be in [1, %lld], is %lld",
                          static_cast<long long>(most), static_cast<long long>(scale));
}

}  // namespace detail

/// Discrete Laplace noise of @p scale, clamped to +-largest_noise. @throws std::invalid_argument unless @p scale is in
/// [1, 2^62].
template <random_bits Random>
constexpr std::int64_t discrete_laplace(std::int64_t scale, Random& random) {
  detail::check_scale(scale, largest_noise, "hone::privacy::discrete_laplace");
  const auto t = static_cast<uint128>(scale), most = static_cast<uint128>(largest_noise);
  for (;;) {
    const uint128 rest = uniform_below(t, random);
    if (!bernoulli_exp(rest, t, random)) continue;
    uint128 size = rest;
    while (size < most && bernoulli_exp(1, 1, random)) size += t;
    const bool negative = bernoulli(1, 2, random);
    if (negative && size == 0) continue;  // 0 has one sign
    const auto noise = static_cast<std::int64_t>(size < most ? size : most);
    return negative ? -noise : noise;
  }
}

/// Discrete Gaussian noise of @p scale. @throws std::invalid_argument unless @p scale is in [1, 2^42].
/// @note A proposal beyond largest_noise is rejected, which moves the distribution by less than e^(-2^20): that much
/// belongs to delta, where doubles do not show it.
template <random_bits Random>
constexpr std::int64_t discrete_gaussian(std::int64_t scale, Random& random) {
  detail::check_scale(scale, std::int64_t{1} << 42, "hone::privacy::discrete_gaussian");
  const auto s = static_cast<uint128>(scale);
  for (;;) {
    const std::int64_t proposal = discrete_laplace(scale, random);
    const auto size = static_cast<uint128>(proposal < 0 ? -proposal : proposal);
    if (size == static_cast<uint128>(largest_noise)) continue;
    const uint128 distance = size < s ? s - size : size - s;  // below 2^62
    if (bernoulli_exp(distance * distance, 2 * s * s, random)) return proposal;
  }
}

/// @p value, of which at most 2^60 - 1 counts, plus @p noise, clamped to +-largest_sum. Of discrete_laplace that is the
/// clamp of what unbounded noise would give, and so as private: no result is impossible on one data set alone.
constexpr std::int64_t saturated_sum(std::int64_t value, std::int64_t noise) {
  constexpr std::int64_t most = (std::int64_t{1} << 60) - 1;
  const std::int64_t kept = (max)(-most, (min)(most, value));
  return (max)(-largest_sum, (min)(largest_sum, kept + (max)(-largest_noise, (min)(largest_noise, noise))));
}

}  // namespace HONE_NAMESPACE::privacy
