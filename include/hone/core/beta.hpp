// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The regularised incomplete beta function, its inverse, and what is made of it: binomial probabilities of real
/// counts, Student's t distribution. Outside their domains, which the functions name, and of NaN they are NaN.
#pragma once
#include "hone/core/gamma.hpp"
#include "hone/core/normal.hpp"

namespace HONE_NAMESPACE {

namespace detail {

/// a y - b x with y = 1 - x, exact up to its own rounding: a - (a + b) x, of which side is the smaller.
inline double beta_difference(double a, double b, double x, double y) {
  const double n = a + b, rest = a > b ? b - (n - a) : a - (n - b);  // what the sum lost
  return x <= y ? std::fma(-n, x, a) - rest * x : rest * y - std::fma(-n, y, b);
}

/// log(x^a y^b Gamma(1 + a + b) / (Gamma(1 + a) Gamma(1 + b))), given a y - b x.
inline double log_binomial(double a, double b, double x, double y, double difference) {
  const double n = a + b;
  const double peak = a >= 1 && b >= 1 ? stirling_remainder(n) - stirling_remainder(a) - stirling_remainder(b) +
                                             0.5 * std::log(n / a / b) - half_log_two_pi
                                       : log_poisson_peak(a) + log_poisson_peak(b) - log_poisson_peak(n);
  return peak - half_deviance(a, n * x, difference) - half_deviance(b, n * y, -difference);
}

/// The logarithm of the smaller of the two tails, or nearly the smaller.
struct log_beta_tail {
  bool upper = false;
  double value = 0;
};

/// x^a y^b / (B(a, b) I_x(a, b)), given a y - b x: the even part of the continued fraction, by Lentz.
inline double beta_fraction(double a, double b, double x, double difference) {
  double fraction = a * (difference + 1) / (a + 1), c = fraction, d = 0;
  for (int m = 1; m < 5000; ++m) {
    const double below = a + 2 * m - 1;
    const double numerator = (a + m - 1) / below * ((a + b + m - 1) / below) * m * (b - m) * x * x;
    const double denominator = m + m * (b - m) * x / below + (a + m) / (below + 2) * (difference + 1 + m * (2 - x));
    d = 1 / (denominator + numerator * d);
    c = denominator + numerator / c;
    fraction *= c * d;
    if (std::abs(c * d - 1) < 1e-16) break;
  }
  return fraction;
}

/// For a, b, x, y > 0, x + y = 1.
inline log_beta_tail log_incomplete_beta(double a, double b, double x, double y) {
  const double n = a + b, difference = beta_difference(a, b, x, y);
  const double log_power = log_binomial(a, b, x, y, difference);
  if (a > 1000 && b > 1000) {
    const bool upper = difference < 0;
    const double sign = upper ? 1 : -1;
    // The unit of length is 1, or that of x and y of which a square would be out of range.
    const double unit = x < 1e-100 ? x : y < 1e-100 ? y : 1, u = x / unit, v = y / unit;
    const double first = x < 1e-100 ? 1 : x, second = y < 1e-100 ? 1 : y;  // their product is x y / unit
    const double slope = -sign * (difference - y + x) / first / second;    // of minus the logarithm of the density
    const double curvature = (a - 1) / u / u + (b - 1) / v / v;
    const double integral = integrate_tail(tail_length(slope, curvature), [&](double s) {
      return slope * s + (a - 1) * log1p_deficit(sign * s / u) + (b - 1) * log1p_deficit(-sign * s / v);
    });
    return {upper, log_power + std::log(a / n * (b / first / second) * integral)};
  }
  const bool upper = difference <= 2 * x - 1;
  const double fraction = upper ? beta_fraction(b, a, y, -difference) : beta_fraction(a, b, x, difference);
  return {upper, log_power + std::log(a / n * (b / fraction))};
}

/// The w with I_x(a, b) = @p lower for x = 1 / (1 + e^-w); upper = 1 - lower, both in (0, 1). Newton's method on the
/// logarithm of the smaller one, which is concave in w: it may overshoot to the left, where from it rises to the root.
/// Leftwards it goes 1, 2, 4, ... at most, and so not so far that the logarithm has lost its digits.
inline double beta_logit(double a, double b, double lower, double upper) {
  if (lower > upper) return -beta_logit(b, a, upper, lower);
  const double target = std::log(lower), n = a + b;
  double w = std::log(a / b), furthest = 1;
  for (int i = 0; i < 200; ++i) {
    if (w < -700) w = -700;  // from there on x^a alone changes
    const double x = 1 / (1 + std::exp(-w)), y = 1 / (1 + std::exp(w));
    const log_beta_tail t = log_incomplete_beta(a, b, x, y);
    const double tail = t.upper ? std::log1p(-std::exp(t.value)) : t.value;
    const double log_density =
        log_binomial(a, b, x, y, beta_difference(a, b, x, y)) + std::log(a / n * b);  // with respect to w
    const double step = (tail - target) * std::exp(tail - log_density);
    const bool done = std::abs(tail - target) < 1e-8 || (w == -700 && step > 0);
    w -= done || step < furthest ? step : furthest;
    furthest *= 2;
    if (done) break;
  }
  return w;
}

}  // namespace detail

/// log(C(a + b, a) x^a y^b) of real counts a, b >= 0, for x in (0, 1) and y = 1 - x: with its factorials as gamma
/// functions the binomial probability of a successes of a + b. Error 2e-15 of 1 + |result|.
inline double log_binomial(double a, double b, double x, double y) {
  return detail::log_binomial(a, b, x, y, detail::beta_difference(a, b, x, y));
}

/// The regularised incomplete beta functions I_x(a, b), lower, and 1 - I_x(a, b), upper, for finite a, b > 0 and x in
/// [0, 1]: the distribution of a beta variate. @p y: 1 - x, from who knows it better than the subtraction. Relative
/// error of the smaller tail below 1e-14 + 6e-16 |log of it|, 4e-13 at 1e-300. The other is 1 less it.
/// @note A continued fraction of at most some hundred terms; where both shapes are above 1000 an integral of 64 points.
/// [DiDonato, Morris 1992, Algorithm 708, ACM TOMS 18(3), BFRAC]
inline tails incomplete_beta(double a, double b, double x, double y) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!(a > 0 && b > 0 && a + b < infinity && x >= 0 && x <= 1 && y >= 0 && y <= 1))
    return {detail::not_a_number, detail::not_a_number};
  if (x == 0) return {0, 1};
  if (y == 0) return {1, 0};
  const detail::log_beta_tail t = detail::log_incomplete_beta(a, b, x, y);
  const double tail = std::exp(t.value < 0 ? t.value : 0);
  return t.upper ? tails{1 - tail, tail} : tails{tail, 1 - tail};
}
inline tails incomplete_beta(double a, double b, double x) { return incomplete_beta(a, b, x, 1 - x); }

/// The x with I_x(a, b) = @p p, for p in [0, 1] and finite a, b > 0. Relative error 2e-13 beside
/// what the last digits of p and of x move.
inline double beta_quantile(double p, double a, double b) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!(a > 0 && b > 0 && a + b < infinity && p >= 0 && p <= 1)) return detail::not_a_number;
  if (p == 0 || p == 1) return p;
  return 1 / (1 + std::exp(-detail::beta_logit(a, b, p, 1 - p)));
}

/// P(T <= t) of Student's t with @p freedom > 0 degrees; infinitely many are the normal distribution's. P(T > t) is
/// student_cdf(-t, freedom). Relative error below 1e-14 + 6e-16 |log of it|.
inline double student_cdf(double t, double freedom) {
  if (!(freedom > 0) || std::isnan(t)) return detail::not_a_number;
  if (freedom > 1e300) return normal_cdf(t);
  if (std::abs(t) >
      1e150) {  // whose square is out of range: x^a / (a B(a, 1/2)), x = freedom / t^2, is all that is left
    const double a = freedom / 2;
    const double log_tail = a * (std::log(freedom) - 2 * std::log(std::abs(t))) + log_gamma(a + 0.5) -
                            (a <= 1 ? detail::log_gamma_1p(a) : log_gamma(a + 1)) - 0.57236494292470008707;
    const double tail = freedom > 100 ? 0 : std::exp(log_tail) / 2;
    return t < 0 ? tail : 1 - tail;
  }
  const double square = t * t, ratio = square / freedom;
  const tails beta =
      incomplete_beta(freedom / 2, 0.5, 1 / (1 + ratio), ratio < 1 ? ratio / (1 + ratio) : 1 / (1 + 1 / ratio));
  return t < 0 ? beta.lower / 2 : 0.5 + beta.upper / 2;
}

/// The t with P(T <= t) = @p p, for p in [0, 1] and @p freedom > 0. Relative error 2e-13 beside what the last digit of
/// p moves.
inline double student_quantile(double p, double freedom) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!(freedom > 0 && p >= 0 && p <= 1)) return detail::not_a_number;
  if (p == 0 || p == 1) return p == 0 ? -infinity : infinity;
  if (p == 0.5) return 0;
  if (freedom > 1e300) return normal_quantile(p);
  const double tail = p < 0.5 ? p : 1 - p;
  const double t = std::sqrt(freedom) * std::exp(-detail::beta_logit(freedom / 2, 0.5, 2 * tail, 1 - 2 * tail) / 2);
  return p < 0.5 ? -t : t;
}

}  // namespace HONE_NAMESPACE
