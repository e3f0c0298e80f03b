// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The standard normal distribution Z: probabilities, their logarithms, quantiles.
#pragma once
#include "hone/core/flags.hpp"

#include <cmath>

namespace HONE_NAMESPACE {

/// P(Z <= x). P(Z > x) is normal_cdf(-x), to the last digits however small. Relative error 2e-15 down to 1e-307.
inline double normal_cdf(double x) {
  // What is lost of x / sqrt(2) to rounding moves a small probability by x^2 times as much, relatively.
  constexpr double factor = 0.70710678118654752440, rest = -4.8336466567264565e-17;
  const double scaled = -x * factor;
  const double lost = std::fma(-x, factor, -scaled) - x * rest;
  const double tail = 0.5 * std::erfc(scaled);
  return tail > 0 && tail < 0.5 ? tail - 2 * scaled * lost * tail : tail;
}

/// log P(Z <= x), where the probability itself underflows too. Relative error 4e-15.
/// @note Below -20 by the asymptotic series of Mills' ratio. [Abramowitz, Stegun 1964, 26.2.12]
inline double log_normal_cdf(double x) {
  if (x > 0) return std::log1p(-normal_cdf(-x));
  if (!(x < -20)) return std::log(normal_cdf(x));
  constexpr double log_root_two_pi = 0.91893853320467274178;
  const double inverse_square = 1 / (x * x);
  double term = 1, sum = 1;
  for (int k = 1; k < 20; k += 2) sum += term *= -k * inverse_square;
  return std::log(sum) - 0.5 * x * x - std::log(-x) - log_root_two_pi;
}

/// The x with P(Z <= x) = @p p, -infinity at 0, infinity at 1, outside NaN. Relative error 1e-15. By symmetry the x
/// that is exceeded with probability p is -normal_quantile(p), also where 1 - p rounds to 1.
/// [Wichura 1988, Algorithm AS 241 (PPND16), Applied Statistics 37]
inline double normal_quantile(double p) {
  if (!(p > 0 && p < 1)) return std::log(p) - std::log1p(-p);  // the infinities; outside NaN
  const auto ratio = [](double r, const double(&a)[8], const double(&b)[8]) {
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
    constexpr double b[8] = {1.0000000000000000000e0, 4.2313330701600911252e1, 6.8718700749205790830e2,
                             5.3941960214247511077e3, 2.1213794301586595867e4, 3.9307895800092710610e4,
                             2.8729085735721942674e4, 5.2264952788528545610e3};
    return q * ratio(0.180625 - q * q, a, b);
  }
  const double r = std::sqrt(-std::log(q < 0 ? p : 1 - p));
  double value;
  if (r <= 5) {
    constexpr double a[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                             3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                             2.27238449892691845833e-2, 7.74545014278341407640e-4};
    constexpr double b[8] = {1.0000000000000000000e0,   2.05319162663775882187e0,  1.67638483018380384940e0,
                             6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
                             5.47593808499534494600e-4, 1.05075007164441684324e-9};
    value = ratio(r - 1.6, a, b);
  } else {
    constexpr double a[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                             2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                             2.71155556874348757815e-5, 2.01033439929228813265e-7};
    constexpr double b[8] = {1.0000000000000000000e0,   5.99832206555887937690e-1, 1.36929880922735805310e-1,
                             1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
                             1.42151175831644588870e-7, 2.04426310338993978564e-15};
    value = ratio(r - 5, a, b);
  }
  return q < 0 ? -value : value;
}

}  // namespace HONE_NAMESPACE
