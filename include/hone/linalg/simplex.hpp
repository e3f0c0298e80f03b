// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The shortest vector of a convex hull, and the one that trades its length against a linear cost: over w >= 0, sum w = 1
///   square   min <b, w> + q/2 |g_w|^2          length   min <b, w> + s |g_w|          with |g_w|^2 = <w, G w>
/// by Frank-Wolfe steps from the worst used vertex towards the best one, each to the exact minimum on its segment. They
/// converge linearly; with two vertices the first step is the solution.
/// [Lacoste-Julien, Jaggi 2015, On the global linear convergence of Frank-Wolfe variants, arXiv 1511.05932, Alg. 2]
#pragma once
#include "hone/linalg/symmetric_eigen.hpp"

namespace hone::linalg {

/// What the length of g_w costs.
enum class hull_cost { square, length };

template <std::size_t K>
struct simplex_point {
  std::array<double, K> w{};
  /// The certificate: the objective at w exceeds the least one by at most this (Frank-Wolfe duality gap).
  double gap = 0;
  int steps = 0;
};

/// The solution, from equal weights, to a gap of 1e-13 of the problem's scale or 10,000 steps. Ties go to the lower index.
/// @param matrix G, positive semidefinite  @param cost b  @param factor q or s, not negative
template <hull_cost Cost, std::size_t K>
simplex_point<K> minimise_on_simplex(const square<K>& matrix, const std::array<double, K>& cost, double factor) {
  simplex_point<K> result;
  std::array<double, K>& w = result.w;
  w.fill(1.0 / K);
  // In units of the longest vector and of the largest slope, so that no product over- or underflows.
  double longest = 0, scale = 0;
  for (std::size_t i = 0; i < K; ++i) longest = (max)(longest, matrix[i][i]);
  factor *= Cost == hull_cost::square ? longest : std::sqrt(longest);
  for (std::size_t i = 0; i < K; ++i) scale = (max)(scale, (max)(std::abs(cost[i]), factor));
  if (scale == 0) return result;
  factor /= scale;
  square<K> g{};
  std::array<double, K> b;
  for (std::size_t i = 0; i < K; ++i) {
    b[i] = cost[i] / scale;
    for (std::size_t j = 0; j < K; ++j)
      if (longest > 0) g[i][j] = matrix[i][j] / longest;
  }
  std::array<double, K> product;  // G w, brought forward step by step and made afresh before it is believed
  bool fresh = false;
  for (;;) {
    if (result.steps % int{K} == 0 || fresh) {
      for (std::size_t i = 0; i < K; ++i) {
        product[i] = 0;
        for (std::size_t j = 0; j < K; ++j) product[i] += g[i][j] * w[j];
      }
    }
    double squared = 0;
    for (std::size_t i = 0; i < K; ++i) squared += w[i] * product[i];
    squared = (max)(squared, 0.0);
    const double along = Cost == hull_cost::square ? factor : squared > 0 ? factor / std::sqrt(squared) : 0;
    std::size_t up = 0, down = K;
    double mean = 0, least = 0, most = 0;
    for (std::size_t i = 0; i < K; ++i) {
      const double slope = b[i] + along * product[i];
      mean += w[i] * slope;
      if (i == 0 || slope < least) up = i, least = slope;
      if (w[i] > 0 && (down == K || slope > most)) down = i, most = slope;
    }
    result.gap = scale * (mean - least);
    if (!(most - least > 1e-13) || result.steps == 10000) {
      if (fresh || result.steps % int{K} == 0) break;
      fresh = true;
      continue;
    }
    fresh = false;
    ++result.steps;
    // Along w + t (e_up - e_down): |g_w|^2 = squared + 2 t first + t^2 second.
    const double first = product[up] - product[down], second = g[up][up] - 2 * g[up][down] + g[down][down];
    const double linear = b[up] - b[down], room = w[down];
    double t = room;
    if (second > 0) {
      if constexpr (Cost == hull_cost::square) {
        t = -(linear / factor + first) / second;
      } else {
        const double apart = (max)(squared * second - first * first, 0.0), steep = factor * factor * second;
        if (steep > linear * linear) t = -(first + linear * std::sqrt(apart / (steep - linear * linear))) / second;
      }
    }
    if (!(t > 0)) break;
    t = (min)(t, room);
    w[up] += t;
    w[down] = t < room ? room - t : 0;
    for (std::size_t i = 0; i < K; ++i) product[i] += t * (g[i][up] - g[i][down]);
  }
  return result;
}

}  // namespace hone::linalg
