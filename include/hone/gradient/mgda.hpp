// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// K-task methods that look for a point in the convex hull of the gradients, g_w = sum_i w_i g_i with w >= 0 and
/// sum w = 1:
///   MGDA     the shortest:   min_w |g_w|^2                                          -> g_w
///   CAGrad   the one that helps the worst task near the mean gradient g_0:
///            min_w <g_w, g_0> + c |g_0| |g_w|                                       -> g_0 + c |g_0| / |g_w| g_w,
///            which is max_d min_i <g_i, d> over |d - g_0| <= c |g_0|
/// [Désidéri 2012, Multiple-gradient descent algorithm; Liu et al. 2021, Conflict-averse gradient descent,
/// arXiv 2110.14048, Eq. 4].
#pragma once
#include "hone/gradient/tasks.hpp"
#include "hone/linalg/hull.hpp"

namespace HONE_NAMESPACE::gradient {

/// The min-norm point. Its inner product with each gradient is at least its own squared norm.
/// Zero or non-finite gradients: equal weights.
struct mgda {
  static void check() {}
  template <std::size_t K>
  [[nodiscard]] solved_weights<K> weights(const gram_matrix<K>& g) const {
    if (!detail::solvable(g)) return {detail::filled<K>(1.0 / K)};
    const auto point = linalg::shortest_in_hull(g.value, g.tolerance());
    return {point.w, point.converged};
  }
};

/// @c c in [0, 1): the radius of the search around the mean gradient, relative to its norm; 0 is the mean.
/// Zero or non-finite gradients: the mean. At a Pareto-stationary point, where |g_w| = 0 and the formula has no value:
/// the direction nearest to the mean that opposes no task, or least.
struct cagrad {
  double c = 0.5;

  void check() const {
    invalid_argument_unless(c >= 0 && c < 1, "hone::gradient::cagrad", "c", "must be in [0, 1), is %g", c);
  }
  template <std::size_t K>
  [[nodiscard]] solved_weights<K> weights(const gram_matrix<K>& g) const {
    solved_weights<K> w{detail::filled<K>(1.0 / K)};
    if (!detail::solvable(g)) return w;
    const double length = std::sqrt(g.squared_norm(w)), radius = c * length;
    if (radius == 0) return w;
    std::array<double, K> with_mean;
    for (std::size_t i = 0; i < K; ++i) with_mean[i] = g.dot(i, w);
    const auto step = linalg::help_worst(g.value, with_mean, length, radius, g.tolerance());
    w.converged = step.converged;
    for (std::size_t i = 0; w.converged && i < K; ++i) w[i] += step.z[i];
    return w;
  }
};

}  // namespace HONE_NAMESPACE::gradient
