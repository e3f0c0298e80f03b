// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Addressable random numbers: every draw is a function of (seed, stream, index), so that results do not depend on
/// batching or threads; many at once in core/simd_random.hpp. Philox4x32-10 [Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3, SC'11].
/// Not for differential privacy, whose noise needs a cryptographic generator.
#pragma once
#include "hone/core/contract.hpp"

#include <array>
#include <cmath>
#include <cstdint>

namespace hone {

/// Ten rounds over a counter of four words under a key of two.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// The quantile of the standard normal distribution, |relative error| <= 1e-15 in (0, 1).
/// [Wichura 1988, Algorithm AS 241 (PPND16), Applied Statistics 37]
inline double normal_quantile(double p) {
  const auto ratio = [](double r, const double (&a)[8], const double (&b)[8]) {
    double numerator = a[7], denominator = b[7];
    for (int i = 6; i >= 0; --i) {
      numerator = numerator * r + a[i];
      denominator = denominator * r + b[i];
    }
    return numerator / denominator;
  };
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    constexpr double a[8] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                             1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                             3.3430575583588128105e4, 2.5090809287301226727e3};
    constexpr double b[8] = {1.0,
                             4.2313330701600911252e1,
                             6.8718700749205790830e2,
                             5.3941960214247511077e3,
                             2.1213794301586595867e4,
                             3.9307895800092710610e4,
                             2.8729085735721942674e4,
                             5.2264952788528545610e3};
    return q * ratio(0.180625 - q * q, a, b);
  }
  const double r = std::sqrt(-std::log(q < 0 ? p : 1 - p));
  double value;
  if (r <= 5) {
    constexpr double a[8] = {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
                             3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
                             2.27238449892691845833e-2, 7.74545014278341407640e-4};
    constexpr double b[8] = {1.0,
                             2.05319162663775882187e0,
                             1.67638483018380384940e0,
                             6.89767334985100004550e-1,
                             1.48103976427480074590e-1,
                             1.51986665636164571966e-2,
                             5.47593808499534494600e-4,
                             1.05075007164441684324e-9};
    value = ratio(r - 1.6, a, b);
  } else {
    constexpr double a[8] = {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
                             2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                             2.71155556874348757815e-5, 2.01033439929228813265e-7};
    constexpr double b[8] = {1.0,
                             5.99832206555887937690e-1,
                             1.36929880922735805310e-1,
                             1.48753612908506148525e-2,
                             7.86869131145613259100e-4,
                             1.84631831751005468180e-5,
                             1.42151175831644588870e-7,
                             2.04426310338993978564e-15};
    value = ratio(r - 5, a, b);
  }
  return q < 0 ? -value : value;
}

/// One stream of numbers; `index` addresses a number, `draw` further independent numbers at the same index.
struct philox {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;

  [[nodiscard]] constexpr std::array<std::uint32_t, 4> bits(std::uint64_t index, std::uint32_t draw = 0) const {
    return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream, draw},
                      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  }

  /// In [0, 1), a multiple of 2^-53.
  [[nodiscard]] constexpr double uniform(std::uint64_t index, std::uint32_t draw = 0) const {
    const auto word = bits(index, draw);
    return unit(word[0], word[1]);
  }
  /// The `uniform` of these first two words.
  static constexpr double unit(std::uint32_t high, std::uint32_t low) {
    return static_cast<double>(((std::uint64_t{high} << 32) | low) >> 11) * 0x1p-53;
  }

  /// Standard normal; up to the last bits of std::log in the tails the same on every platform.
  [[nodiscard]] double normal(std::uint64_t index, std::uint32_t draw = 0) const {
    return normal_quantile(uniform(index, draw) + 0x1p-54);
  }

  /// Gamma with the given @p shape and scale 1. Draws 2k and 2k + 1 of @p index feed attempt k; below shape 1, draw
  /// 2^32 - 1 the boost. [Marsaglia, Tsang 2000, A simple method for generating gamma variables, ACM TOMS 26(3)]
  /// @throws std::invalid_argument unless shape > 0 and finite.
  [[nodiscard]] double gamma(double shape, std::uint64_t index) const {
    invalid_argument_unless(shape > 0 && shape < 1e300, "hone::philox::gamma", "shape",
                            "must be positive and finite, is %g", shape);
    const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3;
    const double c = 1 / std::sqrt(9 * d);
    for (std::uint32_t attempt = 0;; ++attempt) {
      const double x = normal(index, 2 * attempt);
      const double t = 1 + c * x;
      if (t <= 0) continue;
      const double v = t * t * t;
      const double u = uniform(index, 2 * attempt + 1) + 0x1p-54;
      if (std::log(u) < 0.5 * x * x + d * (1 - v + std::log(v)))
        return shape < 1 ? d * v * std::pow(uniform(index, 0xffffffffu) + 0x1p-54, 1 / shape) : d * v;
    }
  }
};

}  // namespace hone
