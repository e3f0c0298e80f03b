// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// K-task methods that look for a point in the convex hull of the gradients, g_w = sum_i w_i g_i with w >= 0, sum w = 1:
///   MGDA     the shortest:   min_w |g_w|^2                                          -> g_w
///   CAGrad   the one that helps the worst task near the mean gradient g_0:
///            min_w <g_w, g_0> + c |g_0| |g_w|                                       -> g_0 + c |g_0| / |g_w| g_w
/// [Désidéri 2012, Multiple-gradient descent algorithm; Liu et al. 2021, Conflict-averse gradient descent,
/// arXiv 2110.14048, Eq. 4].
#pragma once
#include "hone/gradient/tasks.hpp"
#include "hone/linalg/simplex.hpp"

namespace hone::gradient {

/// The min-norm point. Its inner product with each gradient is at least its own squared norm.
/// Zero or non-finite gradients: equal weights.
struct mgda {
  static void check() {}
  template <std::size_t K>
  [[nodiscard]] std::array<double, K> weights(const gram_matrix<K>& g) const {
    if (!detail::solvable(g)) return detail::filled<K>(1.0 / K);
    return linalg::minimise_on_simplex<linalg::hull_cost::square>(g.value, std::array<double, K>{}, 1).w;
  }
};

/// @c c in [0, 1): the radius of the search around the mean gradient, relative to its norm; 0 is the mean.
/// Zero or non-finite gradients, and |g_w| = 0 (a Pareto-stationary point): the mean.
struct cagrad {
  double c = 0.5;

  void check() const {
    invalid_argument_unless(c >= 0 && c < 1, "hone::gradient::cagrad", "c", "must be in [0, 1), is %g", c);
  }
  template <std::size_t K>
  [[nodiscard]] std::array<double, K> weights(const gram_matrix<K>& g) const {
    const auto mean = detail::filled<K>(1.0 / K);
    if (!detail::solvable(g)) return mean;
    std::array<double, K> result = mean, with_mean;
    for (std::size_t i = 0; i < K; ++i) with_mean[i] = g.dot(i, mean);
    const double radius = c * std::sqrt(g.squared_norm(mean));
    const auto w = linalg::minimise_on_simplex<linalg::hull_cost::length>(g.value, with_mean, radius).w;
    const double squared = g.squared_norm(w);
    if (squared <= 0) return result;
    for (std::size_t i = 0; i < K; ++i) result[i] += radius / std::sqrt(squared) * w[i];
    return result;
  }
};

}  // namespace hone::gradient
