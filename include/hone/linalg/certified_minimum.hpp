// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The minimum of a strongly convex function to a tolerance that is reached whatever the data: by L-BFGS and a step of
/// Newton's, and where those do not arrive by the steps of projected_gradient.hpp, whose number is known beforehand. So
/// the tolerance can be a public constant, as differential privacy wants, and the time is bounded by one.
#pragma once
#include "hone/linalg/newton.hpp"
#include "hone/linalg/projected_gradient.hpp"

namespace HONE_NAMESPACE::linalg {

struct certified_options {
  double tolerance = 0;          ///< on the certificate
  convexity bounds;              ///< on the ball, if there is one
  double gradient_at_start = 0;  ///< a bound on the certificate at the start: in all space the gradient's length
  double radius = std::numeric_limits<double>::infinity();  ///< of the ball around 0 that x stays in
};

namespace detail {

/// @p x <- a Newton step for f, on the sphere where the ball binds, kept unless the certificate rises. There it is the
/// step of f + m/2 |x|^2, m the multiplier, along the sphere.
template <curved_objective F>
void polish(F& f, std::span<double> x, double radius, double tolerance, minimum& result) {
  const std::size_t n = x.size();
  std::vector<double> memory(2 * n * n + 4 * n);
  const std::span<double> all(memory), h = all.first(n * n), l = all.subspan(n * n, n * n);
  const auto row = [&](std::size_t i) { return all.subspan(2 * n * n + i * n, n); };
  const std::span<double> g = row(0), next = row(1), across = row(2), p = row(3);
  f(std::span<const double>(x), g);
  ++result.evaluations;
  f.hessian(std::span<const double>(x), h);
  const double m = multiplier(x, g, radius);
  if (!(factor_definite(h, m, n, l) < infinity)) return;
  for (std::size_t i = 0; i < n; ++i) p[i] = -(g[i] + m * x[i]);
  solve(l, p);
  if (m > 0) {
    copy(x, across);
    solve(l, across);
    axpy(-dot(x, p) / dot(x, across), across, p);
  }
  for (std::size_t i = 0; i < n; ++i) next[i] = x[i] + p[i];
  if (m > 0) scale(radius / norm(next), next);
  project(next, radius);
  const double value = f(std::span<const double>(next), g), certificate = residual(value, next, g, radius);
  ++result.evaluations;
  if (!(certificate <= result.certificate)) return;
  copy(next, x);
  result.value = value;
  result.certificate = certificate;
  result.converged = certificate <= tolerance;
}

}  // namespace detail

/// Moves @p x (n) to the minimum of @p f on the ball of options.radius around 0, from x: the certificate is at most the
/// tolerance, and converged, whatever f, if the bounds hold and rounding of f's gradient allows it. Where it does not,
/// or something is not finite, converged is false. It never throws on what f returns.
/// @throws std::invalid_argument as `steps_that_suffice`: for constants alone.
/// @note Some ten calls of f; at most 24,403 and steps_that_suffice(...) + 2. Allocates 26 n doubles at a time, with
///       f.hessian 2 n^2 + 5 n.
template <smooth_objective F>
minimum minimise_certified(F&& f, std::span<double> x, const certified_options& options) {
  const std::int64_t steps =
      steps_that_suffice(options.bounds, options.tolerance, options.gradient_at_start, options.radius);
  std::vector<double> start(x.begin(), x.end());
  detail::project(start, options.radius);
  minimum best = minimise_lbfgs(f, x, {.tolerance = options.tolerance, .radius = options.radius});
  if constexpr (curved_objective<F>)
    if (best.certificate < detail::infinity) detail::polish(f, x, options.radius, options.tolerance, best);
  if (best.converged) return best;
  // The steps suffice from any point whose certificate the bound covers, and, if it is the radius's, from 0.
  const double of_radius = options.bounds.largest * options.radius;
  if (best.certificate <= (min)(options.gradient_at_start, of_radius))
    copy(x, start);
  else if (of_radius < options.gradient_at_start)
    fill(start, 0.0);
  minimum last = descend(f, start, options.bounds, steps, options.radius, options.tolerance);
  last.evaluations += best.evaluations;
  if (last.certificate < best.certificate) {
    copy(start, x);
    return last;
  }
  best.evaluations = last.evaluations;
  return best;
}

}  // namespace HONE_NAMESPACE::linalg
