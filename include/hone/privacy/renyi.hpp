// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Renyi differential privacy: r(alpha), which adds up over releases, of Gaussian, Laplace and Poisson-sampled Gaussian
/// noise, and what it is worth as (epsilon, delta).
///   Gaussian          alpha / (2 sigma^2)
///   Laplace           log(alpha / (2 alpha - 1) e^((alpha - 1) / b) + (alpha - 1) / (2 alpha - 1) e^(-alpha / b))
///                     / (alpha - 1)
///   sampled Gaussian  log(sum_k C(alpha, k) (1 - q)^(alpha - k) q^k e^((k^2 - k) / (2 sigma^2))) / (alpha - 1)
/// for whole alpha > 1, records added or removed. Scales are those of a sensitivity of 1.
/// [Mironov 2017, Renyi differential privacy, arXiv 1702.07476; Mironov, Talwar, Zhang 2019, arXiv 1908.10530]
///   basic     epsilon = r + log(1 / delta) / (alpha - 1)
///   improved  epsilon = r + log(1 - 1 / alpha) - (log delta + log alpha) / (alpha - 1)
/// [Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Prop. 12]
#pragma once
#include "hone/core/beta.hpp"
#include "hone/privacy/guarantee.hpp"

namespace HONE_NAMESPACE::privacy {

namespace detail {

inline void check_order(double alpha, const char* function) {
  invalid_argument_unless(alpha > 1 && alpha < infinite, function, "alpha", "must be above 1 and finite, is %g", alpha);
}

/// log(e^a + e^b).
inline double log_add(double a, double b) {
  const double most = (max)(a, b);
  return most == -infinite ? most : most + std::log1p(std::exp((min)(a, b) - most));
}

/// The sampled Gaussian's logarithm of the sum, for a whole alpha: without its 1, so that a small one keeps its digits.
inline double sampled_gaussian_log_moment(index_t alpha, double rate, double sigma) {
  double sum = -infinite;  // of C(alpha, k) (1 - q)^(alpha - k) q^k (e^x - 1)
  const auto size = static_cast<double>(alpha);
  for (index_t k = 2; k <= alpha; ++k) {
    const auto count = static_cast<double>(k);
    const double x = count * (count - 1) / 2 / sigma / sigma;
    const double log_expm1 = x > 40 ? x : std::log(std::expm1(x));
    const double log_binomial_mass =
        k == alpha ? size * std::log(rate) : log_binomial(count, size - count, rate, 1 - rate);
    sum = log_add(sum, log_binomial_mass + log_expm1);
  }
  // Each term has a relative error of some units times the logarithms that made it.
  const double error = unit * (40 + 4 * size * (1 - std::log(rate)) + std::abs(sum) + size * size / sigma / sigma);
  return log_add(0, sum + error);
}

/// Whether a loss of @p r at some order above 1 is within (0, @p delta): the total variation distance is at most
/// sqrt(1 - e^-r). [Bretagnolle, Huber 1979]
inline bool within_delta(double r, double delta) { return -std::expm1(-r) < delta * delta * (1 - 8 * unit); }

}  // namespace detail

/// @throws std::invalid_argument unless alpha is above 1, sigma positive, both finite.
inline double gaussian_renyi(double alpha, double sigma) {
  detail::check_order(alpha, "hone::privacy::gaussian_renyi");
  detail::check_positive(sigma, "hone::privacy::gaussian_renyi", "sigma");
  const double r = alpha / (2 * sigma) / sigma;
  return detail::outward(r, 2 * detail::unit * r);
}

/// @throws std::invalid_argument unless alpha is above 1, scale positive, both finite.
inline double laplace_renyi(double alpha, double scale) {
  detail::check_order(alpha, "hone::privacy::laplace_renyi");
  detail::check_positive(scale, "hone::privacy::laplace_renyi", "scale");
  const double above = (alpha - 1) / scale, odd = 2 * alpha - 1;
  const double up = std::log(alpha / odd) + above, down = std::log((alpha - 1) / odd) - alpha / scale;
  const double r = detail::log_add(up, down) / (alpha - 1);
  // No order costs more than the pure epsilon, 1 / scale, nor less than nothing.
  const double error = 8 * detail::unit * (std::abs(up) + 2) / (alpha - 1);
  return (min)(detail::outward(1 / scale, 0), detail::outward((max)(0.0, r), error));
}

/// @param rate the probability with which each record is in a step's batch, by itself.
/// @throws std::invalid_argument unless alpha is in (1, 1e5], rate in [0, 1], sigma positive and finite.
/// @note Between whole orders the line between them of (alpha - 1) r, which is convex. Cost linear in alpha.
inline double sampled_gaussian_renyi(double alpha, double rate, double sigma) {
  const char* function = "hone::privacy::sampled_gaussian_renyi";
  invalid_argument_unless(alpha > 1 && alpha <= 1e5, function, "alpha", "must be in (1, 1e5], is %g", alpha);
  invalid_argument_unless(rate >= 0 && rate <= 1, function, "rate", "must be in [0, 1], is %g", rate);
  detail::check_positive(sigma, function, "sigma");
  if (rate == 0) return 0;
  if (rate == 1) return gaussian_renyi(alpha, sigma);
  const double whole = std::floor(alpha), part = alpha - whole;
  const auto moment = [&](double order) {
    return order < 2 ? 0.0 : detail::sampled_gaussian_log_moment(static_cast<index_t>(order), rate, sigma);
  };
  const double sum = part == 0 ? moment(whole) : (1 - part) * moment(whole) + part * moment(whole + 1);
  const double r = sum / (alpha - 1);
  return (min)(detail::outward(r, 4 * detail::unit * r), gaussian_renyi(alpha, sigma));
}

/// epsilon at @p delta of a loss @p r at order @p alpha by the basic conversion, which holds at every order.
/// @throws std::invalid_argument unless alpha is above 1 and finite, r not negative, delta in (0, 1).
inline double renyi_epsilon_basic(double alpha, double r, double delta) {
  const char* function = "hone::privacy::renyi_epsilon";
  detail::check_order(alpha, function);
  invalid_argument_unless(r >= 0, function, "r", "must not be negative, is %g", r);
  detail::check_delta(delta, function);
  if (detail::within_delta(r, delta)) return 0;
  const double rest = -std::log(delta) / (alpha - 1);
  return detail::outward(r + rest, 4 * detail::unit * (r + rest));
}

/// The same by the improved conversion, at orders up to 1.01 by the basic one; never below 0.
inline double renyi_epsilon(double alpha, double r, double delta) {
  const double basic = renyi_epsilon_basic(alpha, r, delta);
  if (!(alpha > 1.01) || basic == 0) return basic;
  const double bonus = std::log1p(-1 / alpha), log_delta = std::log(delta), log_alpha = std::log(alpha);
  const double rest = (log_delta + log_alpha) / (alpha - 1);
  const double parts = r - bonus + (log_alpha - log_delta) / (alpha - 1);
  return (min)(basic, (max)(0.0, detail::outward(r + bonus - rest, 6 * detail::unit * parts)));
}

/// The orders that the best of several is taken of: 1.1 to 10.9 by tenths, whole ones to 64, then by eighths of
/// octaves to 4096.
template <class Visit>
void each_order(Visit&& visit) {
  for (int tenth = 11; tenth < 110; ++tenth) visit(0.1 * tenth);
  for (int whole = 11; whole < 64; ++whole) visit(static_cast<double>(whole));
  for (int octave = 64; octave <= 2048; octave *= 2)
    for (int eighth = 0; eighth < 8; ++eighth) visit(octave + 0.125 * octave * eighth);
}

}  // namespace HONE_NAMESPACE::privacy
