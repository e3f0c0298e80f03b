// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The exact loss of Gaussian noise that is continuous, of standard deviation sigma where a release moves by at most 1
/// (the L2 sensitivity): Gaussian differential privacy of mu = 1 / sigma, of k releases mu = sqrt(k) / sigma.
///   delta(epsilon) = Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon / mu)
/// [Balle, Wang 2018, Improving the Gaussian mechanism, arXiv 1805.06530, Th. 8; Dong, Roth, Su 2022, Gaussian
/// differential privacy, arXiv 1905.02383]
/// Of noise on a lattice this is no bound: see `lattice_multiplier` of zero_concentrated.hpp.
#pragma once
#include "hone/core/normal.hpp"
#include "hone/privacy/guarantee.hpp"

namespace HONE_NAMESPACE::privacy {

namespace detail {

/// delta(epsilon), in logarithms as the parts overflow and underflow, plus a bound of its rounding error.
inline double gaussian_delta(double epsilon, double mu) {
  const double half = 0.5 * mu, shift = epsilon / mu;
  const double kept = log_normal_cdf(half - shift), taken = epsilon + log_normal_cdf(-half - shift);
  // The logarithms have a relative error of 4e-15, their arguments one of 2 units, which they multiply by at most
  // 1 + |argument|.
  const double reach = half + shift;
  const double error =
      unit * (20 * (std::abs(kept) + std::abs(taken) + epsilon) + 4 * (std::abs(half - shift) + reach + 2) * reach);
  if (!(kept > -744)) return std::numeric_limits<double>::denorm_min();
  const double scale = std::exp(kept);
  return (min)(1.0, scale * (-std::expm1((min)(0.0, taken - kept)) + error));
}

}  // namespace detail

/// delta at @p epsilon of k Gaussian releases whose mu, sqrt(k) sensitivity / sigma, is @p mu.
/// @throws std::invalid_argument unless epsilon is finite and not negative, mu positive and finite.
/// @note Rounded up, by at most 1e-12 of the first of its two terms; never 0.
inline double gaussian_delta(double epsilon, double mu) {
  detail::check_epsilon(epsilon, "hone::privacy::gaussian_delta");
  detail::check_positive(mu, "hone::privacy::gaussian_delta", "mu");
  return detail::gaussian_delta(epsilon, mu);
}

/// epsilon at @p delta of the same, 0 where delta(0) is no more.
/// @throws std::invalid_argument unless mu is positive and at most 1e100, delta in (0, 1).
/// @note The upper end of a bisection.
inline double gaussian_epsilon(double mu, double delta) {
  const char* function = "hone::privacy::gaussian_epsilon";
  invalid_argument_unless(mu > 0 && mu <= 1e100, function, "mu", "must be in (0, 1e100], is %g", mu);
  detail::check_delta(delta, function);
  const auto holds = [&](double epsilon) { return detail::gaussian_delta(epsilon, mu) <= delta; };
  if (holds(0)) return 0;
  double high = mu;
  while (!holds(high)) high *= 2;
  return detail::least_that_holds(0, high, holds);
}

/// The least sigma / sensitivity whose delta(@p epsilon) is at most @p delta: the analytic Gaussian mechanism.
/// @throws std::invalid_argument unless epsilon is positive and finite, delta in (0, 1).
/// @note The upper end of a bisection.
inline double analytic_gaussian_multiplier(double epsilon, double delta) {
  const char* function = "hone::privacy::analytic_gaussian_multiplier";
  detail::check_positive(epsilon, function, "epsilon");
  detail::check_delta(delta, function);
  const auto holds = [&](double sigma) { return detail::gaussian_delta(epsilon, 1 / sigma) <= delta; };
  double low = 1, high = 1;
  while (!holds(high)) high *= 2;
  while (holds(low)) low /= 2;
  return detail::least_that_holds(low, high, holds);
}

}  // namespace HONE_NAMESPACE::privacy
