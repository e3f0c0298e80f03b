// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Zero-concentrated differential privacy: a loss of rho alpha at every order alpha. It adds up over releases, and of
/// Gaussian noise on a lattice it is exact: rho = sensitivity^2 / (2 sigma^2), in any dimension.
///   simple  epsilon = rho + 2 sqrt(rho log(1 / delta))
///   tight   epsilon = min over alpha > 1 of rho alpha + log(1 - 1 / alpha) - (log delta + log alpha) / (alpha - 1)
/// [Bun, Steinke 2016, arXiv 1605.02065, Prop. 1.3; Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Prop. 12]
#pragma once
#include "hone/privacy/renyi.hpp"

namespace HONE_NAMESPACE::privacy {

namespace detail {

inline void check_rho(double rho, const char* function) {
  invalid_argument_unless(rho >= 0 && rho < infinite, function, "rho", "must be finite and not negative, is %g", rho);
}

}  // namespace detail

/// rho of Gaussian noise of standard deviation @p sigma, discrete or continuous, at a sensitivity of 1.
/// @throws std::invalid_argument unless sigma is positive and finite.
inline double gaussian_rho(double sigma) {
  detail::check_positive(sigma, "hone::privacy::gaussian_rho", "sigma");
  const double rho = 0.5 / sigma / sigma;
  return detail::outward(rho, 2 * detail::unit * rho);
}

/// rho of a mechanism without delta. @throws std::invalid_argument unless epsilon is finite and not negative.
inline double pure_rho(double epsilon) {
  detail::check_epsilon(epsilon, "hone::privacy::pure_rho");
  const double rho = 0.5 * epsilon * epsilon;
  return detail::outward(rho, detail::unit * rho);
}

/// epsilon at @p delta, the simple form.
/// @throws std::invalid_argument unless rho is finite and not negative, delta in (0, 1).
inline double concentrated_epsilon_simple(double rho, double delta) {
  detail::check_rho(rho, "hone::privacy::concentrated_epsilon_simple");
  detail::check_delta(delta, "hone::privacy::concentrated_epsilon_simple");
  if (detail::within_delta(rho, delta)) return 0;
  const double epsilon = rho + 2 * std::sqrt(-rho * std::log(delta));
  return detail::outward(epsilon, 4 * detail::unit * epsilon);
}

/// epsilon at @p delta, the tight form; never above the simple one, never below 0.
/// @throws std::invalid_argument unless rho is finite and not negative, delta in (0, 1).
/// @note Any order gives a bound; the best has rho (alpha - 1)^2 = -log delta - log alpha, by bisection.
inline double concentrated_epsilon(double rho, double delta) {
  const double simple = concentrated_epsilon_simple(rho, delta);
  if (simple == 0) return 0;
  const double log_delta = std::log(delta), most = std::sqrt(-log_delta / rho);
  const auto holds = [&](double above) { return rho * above * above + std::log1p(above) + log_delta >= 0; };
  const double above = detail::least_that_holds(0, most, holds), alpha = 1 + above;
  if (!(alpha > 1.01) || !(alpha < 1e15)) return simple;
  const double r = rho * alpha;
  return (min)(simple, renyi_epsilon(alpha, detail::outward(r, detail::unit * r), delta));
}

/// zeta, the least sigma / sensitivity of Gaussian noise on a lattice whose tight epsilon at @p delta is at most
/// @p epsilon. `analytic_gaussian_multiplier` is smaller and no bound there: noise on a coarse lattice can leak more.
/// @throws std::invalid_argument unless epsilon is positive and finite, delta in (0, 1).
/// @note The upper end of a bisection.
inline double lattice_multiplier(double epsilon, double delta) {
  const char* function = "hone::privacy::lattice_multiplier";
  detail::check_positive(epsilon, function, "epsilon");
  detail::check_delta(delta, function);
  const auto holds = [&](double sigma) { return concentrated_epsilon(gaussian_rho(sigma), delta) <= epsilon; };
  double low = 1, high = 1;
  while (!holds(high)) high *= 2;
  while (holds(low)) low /= 2;
  return detail::least_that_holds(low, high, holds);
}

}  // namespace HONE_NAMESPACE::privacy
