// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How gamma and beta variates move with their shape at a constant probability: the derivative of the regularised
/// incomplete gamma function in its shape, and the implicit gradients of draws,
///   dy/da = -(dP(a, y) / da) / density(y)          [Figurnov et al. 2018, Implicit reparameterization gradients,
///                                                    arXiv 1805.08498, Eq. 5]
/// of log y and of the logit of a beta variate, which small shapes need: the variates themselves underflow. With the
/// density f of v = log y (or of the logit), whose score in the shape s(v) = v - psi(a) has mean 0, both are
///   dv/da = -(integral of s f below v) / f(v) = (integral of s f above v) / f(v)
/// the first taken where s < 0 and the second where s > 0, so that nothing cancels: all terms are positive.
///
/// torch's gamma and Dirichlet gradients are piecewise approximations, right to some 1e-3.
#pragma once
#include "hone/core/gamma.hpp"

namespace HONE_NAMESPACE {

namespace detail {

/// The integral over s in [0, infinity) of weight(s) exp(-h(s)), h convex, h(0) = 0: Gauss-Legendre of 16 points on
/// pieces that double, up to where h is 45. @p at(s, h, weight) sets both.
template <class F>
double integrate_score(double slope, double curvature, F&& at) {
  using rule = gauss_legendre_16;
  double length = tail_length(slope, curvature), h, score;
  for (at(length, h, score); h < 45; at(length, h, score)) length *= 1.5;
  for (at(length / 2, h, score); h > 45; at(length / 2, h, score)) length /= 2;
  constexpr double border[] = {0, 0.0625, 0.125, 0.25, 0.375, 0.5, 0.75, 1};
  double sum = 0;
  for (int piece = 0; piece < 7; ++piece) {
    const double half = 0.5 * length * (border[piece + 1] - border[piece]), middle = length * border[piece] + half;
    double part = 0;
    for (int i = 0; i < 8; ++i)
      for (int side = -1; side <= 1; side += 2) {
        at(middle + side * half * rule::node[i], h, score);
        part += rule::weight[i] * score * std::exp(-h);
      }
    sum += half * part;
  }
  return sum;
}

/// psi(a + b) - psi(a) for a, b > 0, to its own last digits however small b is.
inline double digamma_difference(double a, double b) {
  double sum = 0;
  if (a < 1e-3 && b > a) return digamma(a + b) - digamma(a);  // the second alone: -1 / a
  for (; a < 10; a += 1) sum += b / a / (a + b);
  // The asymptotic series of both; of its polynomial in 1 / x^2 the divided difference.
  constexpr double c[] = {1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132, -691.0 / 32760, 1.0 / 12};
  const double x = a + b, s = 1 / (a * a), t = 1 / (x * x);
  double value = -3617.0 / 8160, quotient = 0;
  for (int k = 6; k >= 0; --k) {
    quotient = quotient * s + value;
    value = value * t + c[k];
  }
  quotient = quotient * s + value;
  const double step = b / a / x * (1 / a + 1 / x);  // s - t
  return sum + std::log1p(b / a) + 0.5 * b / a / x + step * quotient;
}

}  // namespace detail

/// d log y / da of a gamma variate y of @p shape a > 0 and scale 1, given log y: positive. What log y is where y
/// underflows, or -infinity, it may be. Relative error 1e-12 for shapes from 1e-100 to 1e8; finite there for any
/// finite log y below 700.
/// @note A series up to y = 3, or of fewer than some 60 terms; else an integral of 112 points, 2 us.
inline double log_gamma_slope(double shape, double log_y) {
  const double a = shape, y = std::exp(log_y);
  if (!(a > 0 && a < 1e300) || std::isnan(log_y) || y > 1e300) return detail::not_a_number;
  const double mean = digamma(a);
  const bool upper = log_y > mean;
  if (y <= 3 || (!upper && a < 40)) {
    // P = y^a e^-y / Gamma(1 + a) sum_k y^k / (a + 1)_k: (1 / a) sum_k y^k / (a + 1)_k (psi(a + 1 + k) - log y).
    double term = 1, score = digamma(1 + a) - log_y, sum = score;
    for (int k = 1; k < 2000; ++k) {
      term *= y / (a + k);
      score += 1 / (a + k);
      const double next = sum + term * score;
      if (next == sum && score > 0) break;
      sum = next;
    }
    return sum / a;
  }
  const double sign = upper ? 1 : -1, distance = sign * (log_y - mean);
  return detail::integrate_score(sign * (y - a), y, [&](double s, double& h, double& score) {
    h = y * std::expm1(sign * s) - sign * a * s;
    score = distance + s;
  });
}

/// The derivative in the shape of the lower regularised incomplete gamma function P(a, x), a > 0, x >= 0: at most 0;
/// that of the upper one is its negative. Relative error 1e-12 and that of `log_poisson`, for shapes from 1e-100 to
/// 1e8.
inline double incomplete_gamma_slope(double a, double x) {
  if (x == 0 && a > 0) return 0;
  if (!(x > 0)) return detail::not_a_number;
  const double log_power = log_poisson(a, x);
  return log_power < -745 ? 0 : -std::exp(log_power) * (a * log_gamma_slope(a, std::log(x)));
}

/// dw/da of the logit w = log(x / (1 - x)) of a beta variate x of shapes a and b, b and the probability kept: positive.
/// What of it depends on the shapes alone is computed once, for many variates.
class beta_slope {
 public:
  /// @pre a, b > 0 and below 1e300.
  beta_slope(double a, double b)
      : a_(a), b_(b), first_(digamma(1 + a) - digamma(a + b)), span_(detail::digamma_difference(a, b)) {}

  /// @param x, log_x, y the variate, its logarithm and y = 1 - x, each with its own digits: x and y may underflow.
  /// @note Relative error 1e-11 for shapes from 1e-100 to 1e6. Few terms of a series where x or y is small beside
  ///       1 / (a + b); up to some 60 where a + b < 6; else an integral of 112 points, 4 us.
  [[nodiscard]] double operator()(double x, double log_x, double y) const {
    const double n = a_ + b_;
    if (std::isnan(x + log_x + y)) return detail::not_a_number;
    if (x <= 0.5 && x * n <= 3) return rising(x, log_x);
    if (x > 0.5 && y * n <= 3) return falling(y, log_x);
    const double distance = span_ + log_x;  // log x - E log x
    if (distance > 0)
      return detail::integrate_score(b_ * x - a_ * y, n * x * y, [&](double s, double& h, double& score) {
        const double moved = std::log1p(y * std::expm1(-s));
        h = b_ * s + n * moved;
        score = distance - moved;
      });
    return detail::integrate_score(a_ * y - b_ * x, n * x * y, [&](double s, double& h, double& score) {
      const double moved = std::log1p(x * std::expm1(-s));
      h = a_ * s + n * moved;
      score = s + moved - distance;
    });
  }

 private:
  /// I = x^a y^b / (a B) sum_k (a + b)_k / (a + 1)_k x^k.
  [[nodiscard]] double rising(double x, double log_x) const {
    double term = 1, score = first_ - log_x, sum = score;
    for (double k = 0; k < 2000; ++k) {
      const double above = 1 / (a_ + 1 + k), below = a_ + b_ + k;
      term *= x * below * above;
      score += above - 1 / below;
      const double next = sum + term * score;
      if (next == sum) break;
      sum = next;
    }
    return sum / a_;
  }
  /// 1 - I = y^b / B sum_k (1 - a)_k / k! y^k / (b + k), and its terms' derivatives.
  [[nodiscard]] double falling(double y, double log_x) const {
    double power = 1, slope = 0, sum = span_ / b_;
    for (double k = 1; k < 2000; ++k) {
      slope = y * (slope * (k - a_) - power) / k;
      power *= y * (k - a_) / k;
      const double next = sum + (slope + span_ * power) / (b_ + k);
      if (next == sum && k > a_) break;
      sum = next;
    }
    return sum * std::exp(-a_ * log_x);
  }

  double a_, b_, first_, span_;
};

}  // namespace HONE_NAMESPACE
