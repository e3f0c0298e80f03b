// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Two questions about the convex hull of the rows g_i of J, asked in inner products G = J J^T and answered by
/// `minimise_nonnegative`:
///   shortest_in_hull    min_w |J^T w|, w >= 0, sum w = 1. With rows (g_i, 1) in place of g_i it is the point nearest
///                       to (0, 1), up to scale [Lawson, Hanson 1974, Solving least squares problems, ch. 23]
///   help_worst          max_d min_i <g_i, d>, |d - x| <= radius: the distance from x to {d: J d >= t} rises with t,
///                       convexly, so that Newton's steps from above find where it is the radius
#pragma once
#include "hone/linalg/nonnegative_quadratic.hpp"

namespace HONE_NAMESPACE::linalg {

template <std::size_t K>
struct hull_point {
  std::array<double, K> w{};
  double squared = 0;  ///< |J^T w|^2
  /// The certificate: the squared length exceeds the least one by at most twice this (Frank-Wolfe duality gap).
  double gap = 0;
  /// gap <= 1e-3 of the longest row's length times the shortest's; if not, perhaps the shortest row.
  bool converged = true;
};

namespace detail {

template <std::size_t K>
double largest_diagonal(const square<K>& g) {
  double largest = 0;
  for (std::size_t i = 0; i < K; ++i) largest = (max)(largest, g[i][i]);
  return largest;
}

template <std::size_t K>
double quadratic_form(const square<K>& g, const std::array<double, K>& x) {
  double sum = 0;
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = 0; j < K; ++j) sum += x[i] * g[i][j] * x[j];
  return (max)(sum, 0.0);
}

template <std::size_t K>
hull_point<K> hull_point_at(const square<K>& g, const std::array<double, K>& w) {
  hull_point<K> point;
  point.w = w;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < K; ++i) {
    double product = 0;
    for (std::size_t j = 0; j < K; ++j) product += g[i][j] * w[j];
    point.squared += w[i] * product;
    least = (min)(least, product);
  }
  point.squared = (max)(point.squared, 0.0);
  point.gap = (max)(point.squared - least, 0.0);
  return point;
}

}  // namespace detail

/// The shortest vector of the hull; equal weights if they are a solution, to 1e-13 of the shortest row's squared
/// length. Elements must be finite. @p tolerance as in `nonnegative_problem`.
template <std::size_t K>
hull_point<K> shortest_in_hull(const square<K>& g, double tolerance = rank_tolerance) {
  std::array<double, K> w;
  w.fill(1.0 / K);
  const double longest = detail::largest_diagonal(g);
  std::size_t least = 0;
  for (std::size_t i = 1; i < K; ++i)
    if (g[i][i] < g[least][least]) least = i;
  const double shortest = g[least][least];
  const auto equal = detail::hull_point_at(g, w);
  if (!(equal.gap > 1e-13 * shortest + 1e-26 * longest)) return equal;
  // Of squared length: the solution is no longer than the shortest.
  const double unit = (max)(shortest, 1e-24 * longest);
  square<K> lifted;
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = 0; j < K; ++j) lifted[i][j] = g[i][j] / unit + 1;
  std::array<double, K> towards;
  towards.fill(-1);
  w = minimise_nonnegative(lifted, towards, 1, tolerance).z;
  double sum = 0;
  for (const double x : w) sum += x;
  for (double& x : w) x /= sum;
  auto point = detail::hull_point_at(g, w);
  point.converged = point.gap <= 1e-3 * std::sqrt(unit * longest);
  if (point.converged || point.squared <= shortest) return point;
  w = {};
  w[least] = 1;
  auto fallback = detail::hull_point_at(g, w);
  fallback.converged = false;
  return fallback;
}

template <std::size_t K>
struct worst_case_step {
  std::array<double, K> z{};  ///< d = x + J^T z, z >= 0
  double worst = 0;           ///< min_i <g_i, d>
  /// The certificate: no d within the radius does better than `worst` by more than this.
  double gap = 0;
  bool converged = true;  ///< that the projections were
};

/// The step from x, given by @p b = J x and its @p length, that helps the worst row most within @p radius > 0. Where
/// rows are so opposed that none can be helped (the hull holds 0, to sqrt(tolerance) of its longest row), the nearest d
/// that hurts none, or hurts them least. |d - x| <= radius whatever the rows. @p tolerance as in `nonnegative_problem`.
template <std::size_t K>
worst_case_step<K> help_worst(const square<K>& g, const std::array<double, K>& b, double length, double radius,
                              double tolerance = rank_tolerance) {
  worst_case_step<K> result;
  const nonnegative_problem<K> problem(g, tolerance);
  const auto project = [&](double t) {
    std::array<double, K> shifted;
    for (std::size_t i = 0; i < K; ++i) shifted[i] = b[i] - t;
    const auto solution = problem.solve(shifted, length);
    result.z = solution.z;
    result.converged = solution.converged;
    return std::sqrt(detail::quadratic_form(g, result.z));
  };
  double bound = std::numeric_limits<double>::infinity(), least = bound;
  for (std::size_t i = 0; i < K; ++i) {
    bound = (min)(bound, b[i] + radius * std::sqrt(g[i][i]));
    least = (min)(least, b[i]);
  }
  // {d: J d >= t} is never empty for t <= 0, and for no t unless the hull holds 0.
  double t = (min)(bound, 0.0), distance = t > least ? project(t) : 0;
  if (distance < radius && bound > 0 &&
      shortest_in_hull(g, tolerance).squared > tolerance * detail::largest_diagonal(g)) {
    t = bound;
    distance = project(t);
  }
  for (int step = 0; step < 60 && distance > radius * (1 + 1e-14); ++step) {
    double slope = 0;  // d/dt of half the squared distance
    for (const double x : result.z) slope += x;
    const double next = t - (distance - radius) * distance / slope;
    if (!(next < t)) break;
    t = next;
    distance = project(t);
  }
  if (distance > radius)
    for (double& x : result.z) x *= radius / distance;
  // Any weights w of the hull bound what can be reached: <w, b> + radius |J^T w|; z's are the best.
  double total = 0, reach = 0, worst = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < K; ++i) {
    double product = b[i];
    for (std::size_t j = 0; j < K; ++j) product += g[i][j] * result.z[j];
    worst = (min)(worst, product);
    total += result.z[i];
    reach += result.z[i] * b[i];
  }
  result.worst = worst;
  if (total > 0)
    result.gap = (max)((reach + radius * std::sqrt(detail::quadratic_form(g, result.z))) / total - worst, 0.0);
  return result;
}

}  // namespace HONE_NAMESPACE::linalg
