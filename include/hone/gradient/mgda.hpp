// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// K-task methods that look for a point in the convex hull of the gradients, g_w = sum_i w_i g_i with w >= 0, sum w = 1:
///   MGDA     the shortest:   min_w |g_w|^2                                          -> g_w
///   CAGrad   the one that helps the worst task near the mean gradient g_0:
///            min_w <g_w, g_0> + c |g_0| |g_w|                                       -> g_0 + c |g_0| / |g_w| g_w
/// [Désidéri 2012, Multiple-gradient descent algorithm; Liu et al. 2021, Conflict-averse gradient descent,
/// arXiv 2110.14048, Eq. 4]. Both are solved from the Gram matrix by Frank-Wolfe steps from the worst used task towards
/// the best one, each by an exact line search; with two tasks the first step is the solution.
#pragma once
#include "hone/gradient/sago.hpp"

namespace hone::gradient {

namespace detail {

/// Minimises <b, w> + s |g_w| + q/2 |g_w|^2 over the simplex, to a duality gap of 1e-13 of the problem's scale or 10,000
/// steps. Deterministic; ties go to the lower index.
template <std::size_t K>
std::array<double, K> minimise_on_simplex(const gram_matrix<K>& g, const std::array<double, K>& b, double s, double q) {
  std::array<double, K> w;
  w.fill(1.0 / K);
  double scale = 0;
  for (std::size_t i = 0; i < K; ++i) scale = (max)(scale, g(i, i));
  // The slope, at w + t (e_up - e_down), of the objective in direction e_up - e_down.
  const auto slopes = [&](const std::array<double, K>& at) {
    std::array<double, K> product{};
    double squared = 0;
    for (std::size_t i = 0; i < K; ++i) {
      for (std::size_t j = 0; j < K; ++j) product[i] += g(i, j) * at[j];
      squared += at[i] * product[i];
    }
    const double norm = std::sqrt((max)(squared, 0.0));
    for (std::size_t i = 0; i < K; ++i) product[i] = b[i] + ((norm > 0 ? s / norm : 0) + q) * product[i];
    return product;
  };
  for (int step = 0; step < 10000; ++step) {
    const std::array<double, K> slope = slopes(w);
    std::size_t up = 0, down = K;
    for (std::size_t i = 0; i < K; ++i) {
      if (slope[i] < slope[up]) up = i;
      if (w[i] > 0 && (down == K || slope[i] > slope[down])) down = i;
    }
    if (!(slope[down] - slope[up] > 1e-13 * scale)) break;
    const double room = w[down];
    const auto at = [&](double t) {
      std::array<double, K> moved = w;
      moved[up] += t;
      moved[down] = t == room ? 0 : moved[down] - t;
      return moved;
    };
    const auto slope_at = [&](double t) {
      const std::array<double, K> d = slopes(at(t));
      return d[up] - d[down];
    };
    double low = 0, high = room;
    if (slope_at(room) < 0) {
      low = room;
    } else {
      for (int halving = 0; halving < 100 && low < high; ++halving) {
        const double middle = low + (high - low) / 2;
        if (middle == low || middle == high) break;
        (slope_at(middle) < 0 ? low : high) = middle;
      }
    }
    if (low == 0) break;
    w = at(low);
  }
  return w;
}

/// Divides by the largest diagonal entry, so that no square of a product over- or underflows. False if there is
/// nothing to solve: zero or non-finite gradients.
template <std::size_t K>
bool normalise(gram_matrix<K>& g) {
  double largest = 0;
  for (std::size_t i = 0; i < K; ++i) largest = (max)(largest, g(i, i));
  if (!g.finite() || !(largest >= (std::numeric_limits<double>::min)())) return false;
  for (auto& row : g.value)
    for (double& x : row) x /= largest;
  return true;
}

}  // namespace detail

/// The min-norm point. Its inner product with each gradient is at least its own squared norm.
/// Zero or non-finite gradients: equal weights.
struct mgda {
  static void check() {}
  template <std::size_t K>
  [[nodiscard]] std::array<double, K> weights(gram_matrix<K> g) const {
    std::array<double, K> w;
    w.fill(1.0 / K);
    if (!detail::normalise(g)) return w;
    return detail::minimise_on_simplex(g, std::array<double, K>{}, 0, 1);
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
  [[nodiscard]] std::array<double, K> weights(gram_matrix<K> g) const {
    std::array<double, K> result;
    result.fill(1.0 / K);
    if (!detail::normalise(g)) return result;
    std::array<double, K> with_mean{};
    double mean_squared = 0;
    for (std::size_t i = 0; i < K; ++i) {
      for (std::size_t j = 0; j < K; ++j) with_mean[i] += g(i, j) / K;
      mean_squared += with_mean[i] / K;
    }
    const double radius = c * std::sqrt((max)(mean_squared, 0.0));
    const std::array<double, K> w = detail::minimise_on_simplex(g, with_mean, radius, 0);
    double squared = 0;
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j) squared += w[i] * g(i, j) * w[j];
    if (squared <= 0) return result;
    for (std::size_t i = 0; i < K; ++i) result[i] += radius / std::sqrt(squared) * w[i];
    return result;
  }
};

}  // namespace hone::gradient
