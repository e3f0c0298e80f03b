// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Releases whose parameters are fixed before the first of them, and what they cost together by the accountings that
/// hold for such plans only: advanced and optimal composition, the best of several Renyi orders; loss_distribution.hpp
/// adds the exact one. A mechanism may look at earlier releases, its curve may not; a plan may stop early.
#pragma once
#include "hone/privacy/composition.hpp"
#include "hone/privacy/loss_curve.hpp"

#include <vector>

namespace HONE_NAMESPACE::privacy {

template <adjacency Adjacency>
struct planned_steps {
  loss_curve<Adjacency> curve;
  index_t count = 1;

  friend bool operator==(const planned_steps&, const planned_steps&) = default;
};

/// What `budget` takes; made by the functions below.
template <adjacency Adjacency>
struct fixed_plan {
  std::vector<planned_steps<Adjacency>> steps;
  epsilon_delta cost;
};

/// @p count releases of one curve's (epsilon, delta) by advanced composition, which spends @p slack of delta.
/// @throws std::invalid_argument as `compose_advanced`; if the curve has no epsilon.
template <adjacency Adjacency>
fixed_plan<Adjacency> plan_advanced(const loss_curve<Adjacency>& curve, index_t count, double slack) {
  return {{{curve, count}}, compose_advanced(count, curve.basic, slack)};
}

/// @p count releases of one curve's (epsilon, delta), the least epsilon at @p delta.
/// @throws std::invalid_argument as `optimal_epsilon`; if the curve has no epsilon.
template <adjacency Adjacency>
fixed_plan<Adjacency> plan_optimal(const loss_curve<Adjacency>& curve, index_t count, double delta) {
  return {{{curve, count}}, {optimal_epsilon(count, curve.basic, delta), delta}};
}

/// Any releases that have r(alpha), the best order at @p delta.
/// @throws std::invalid_argument if a count is negative or delta not in (0, 1).
template <adjacency Adjacency>
fixed_plan<Adjacency> plan_best_order(std::vector<planned_steps<Adjacency>> steps, double delta) {
  detail::check_delta(delta, "hone::privacy::plan_best_order");
  for (const planned_steps<Adjacency>& step : steps)
    invalid_argument_unless(step.count >= 0, "hone::privacy::plan_best_order", "count", "must not be negative, is %td",
                            step.count);
  const auto sum = [&](double alpha) {
    double r = 0;
    for (const planned_steps<Adjacency>& step : steps) {
      if (step.count == 0) continue;
      const double added = r + static_cast<double>(step.count) * renyi(step.curve, alpha);
      r = detail::outward(added, 2 * detail::unit * added);
    }
    return r;
  };
  const double epsilon = best_order_epsilon(sum, delta);
  return {std::move(steps), {epsilon, delta}};
}

}  // namespace HONE_NAMESPACE::privacy
