// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What k releases of (epsilon, delta) cost together.
///   basic     sum of the epsilons, sum of the deltas
///   advanced  epsilon sqrt(2 k log(1 / s)) + k epsilon (e^epsilon - 1), k delta + s  [Dwork, Rothblum, Vadhan 2010]
///   optimal   delta(e) = sum over l of C(k, l) (e^((k - l) epsilon) - e^(e + l epsilon))_+ / (1 + e^epsilon)^k,
///             1 - (1 - delta)^k (1 - delta(e)) in all  [Kairouz, Oh, Viswanath 2017, arXiv 1311.0776, Th. 3.3]
/// Basic composition holds whatever is decided between releases; the others for a plan that was fixed before the first
/// of them. Advanced composition can be worse than basic.
#pragma once
#include "hone/privacy/guarantee.hpp"
#include "hone/statistics/binomial.hpp"

#include <span>

namespace HONE_NAMESPACE::privacy {

namespace detail {

inline void check_releases(index_t k, epsilon_delta each, const char* function) {
  invalid_argument_unless(k >= 0, function, "k", "must not be negative, is %td", k);
  check_epsilon(each.epsilon, function);
  invalid_argument_unless(each.delta >= 0 && each.delta < 1, function, "delta", "must be in [0, 1), is %g", each.delta);
}

/// 1 - (1 - each)^k (1 - rest).
inline double join_deltas(index_t k, double each, double rest) {
  const double joined = -std::expm1(static_cast<double>(k) * std::log1p(-each) + std::log1p(-rest));
  return (min)(1.0, outward(joined, 8 * unit * joined));
}

}  // namespace detail

/// The sums. @throws std::invalid_argument if an epsilon is negative or not finite, or a delta not in [0, 1).
inline epsilon_delta compose_basic(std::span<const epsilon_delta> releases) {
  epsilon_delta sum;
  for (const epsilon_delta& release : releases) {
    detail::check_releases(1, release, "hone::privacy::compose_basic");
    sum.epsilon = detail::outward(sum.epsilon + release.epsilon, 0);
    sum.delta = (min)(1.0, detail::outward(sum.delta + release.delta, 0));
  }
  return sum;
}

/// @param slack what is spent of delta on the composition itself.
/// @throws std::invalid_argument unless k >= 0, @p each is as above and slack in (0, 1).
inline epsilon_delta compose_advanced(index_t k, epsilon_delta each, double slack) {
  detail::check_releases(k, each, "hone::privacy::compose_advanced");
  detail::check_delta(slack, "hone::privacy::compose_advanced");
  const auto count = static_cast<double>(k);
  const double epsilon =
      each.epsilon * std::sqrt(-2 * count * std::log(slack)) + count * each.epsilon * std::expm1(each.epsilon);
  const double delta = count * each.delta + slack;
  return {detail::outward(epsilon, 8 * detail::unit * epsilon),
          (min)(1.0, detail::outward(delta, 2 * detail::unit * delta))};
}

/// The least delta at which @p k releases are within @p epsilon.
/// @throws std::invalid_argument unless k >= 0 and @p each and @p epsilon are as above.
/// @note Cost linear in k.
inline double optimal_delta(index_t k, epsilon_delta each, double epsilon) {
  detail::check_releases(k, each, "hone::privacy::optimal_delta");
  detail::check_epsilon(epsilon, "hone::privacy::optimal_delta");
  const double fails = 1 / (1 + std::exp(each.epsilon));  // of the worst pair, randomised response
  double sum = 0;
  for (index_t l = 0; 2 * l < k; ++l) {
    const double above = static_cast<double>(k - 2 * l) * each.epsilon - epsilon;
    if (!(above > 0)) break;
    const double log_mass = statistics::log_binomial_probability(l, k, fails);
    const double reach = static_cast<double>(k) * each.epsilon + epsilon;  // rounded, it moves `above`
    const double error = detail::unit * (40 + 20 * std::abs(log_mass) + 4 * static_cast<double>(k));
    sum += std::exp(log_mass) * (1 + error) * -std::expm1(-above - 2 * detail::unit * reach);
  }
  return detail::join_deltas(k, each.delta, (min)(1.0, detail::outward(sum, 4 * detail::unit * sum)));
}

/// The least epsilon at which @p k releases are within @p delta; infinite where their own deltas are more.
/// @throws std::invalid_argument unless k >= 0, @p each is as above and delta in (0, 1).
/// @note The upper end of a bisection.
inline double optimal_epsilon(index_t k, epsilon_delta each, double delta) {
  detail::check_releases(k, each, "hone::privacy::optimal_epsilon");
  detail::check_delta(delta, "hone::privacy::optimal_epsilon");
  const auto holds = [&](double epsilon) { return optimal_delta(k, each, epsilon) <= delta; };
  if (holds(0)) return 0;
  const double sum = static_cast<double>(k) * each.epsilon;
  const double most = detail::outward(sum, 4 * detail::unit * sum);
  return holds(most) ? detail::least_that_holds(0, most, holds) : detail::infinite;
}

}  // namespace HONE_NAMESPACE::privacy
