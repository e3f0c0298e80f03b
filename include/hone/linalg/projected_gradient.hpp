// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Minima of strongly convex functions in a number of steps that is known beforehand: from the least and the largest
/// curvature, lambda and M, and never from the data.
///   plain         x <- P(x - g(x) / M)
///   accelerated   y = (x + a z) / (1 + a), z <- P((1 - a) z + a y - (a / lambda) g(y)), x <- (1 - a) x + a z
/// with Q = M / lambda, a = 1 / sqrt(Q), P the nearest point of a convex set. All points are in the set, so that lambda
/// and M need hold only there. [Nesterov 2004, Introductory lectures on convex optimization, sec. 2.2]
///
/// Why the steps suffice. x -> P(x - g / M) draws points together by 1 - 1 / Q, hence also consecutive ones, and
/// M |x - P(x - g / M)| is the certificate. The accelerated step takes 1 - a off f(x) - f* + lambda/2 |z - x*|^2, which
/// is at most G^2 / lambda where the gradient is G long, and the certificate's square is at most 2 M (f(x) - f*).
#pragma once
#include "hone/linalg/detail/ball.hpp"

#include <cstdint>
#include <vector>

namespace HONE_NAMESPACE::linalg {

struct convexity {
  double least = 0;    ///< lambda: f - lambda/2 |x|^2 is convex
  double largest = 0;  ///< M: the gradient changes by at most M |x - y|
};

namespace detail {

inline void check_convexity(const convexity& c, const char* function) {
  invalid_argument_unless(c.least > 0 && c.least < infinity, function, "least", "must be positive and finite, is %g",
                          c.least);
  invalid_argument_unless(c.largest >= c.least && c.largest < infinity, function, "largest",
                          "must be finite and at least %g, is %g", c.least, c.largest);
}

inline void check_descent(const convexity& c, std::int64_t steps, double tolerance, const char* function) {
  check_convexity(c, function);
  invalid_argument_unless(steps >= 0 && steps < (std::int64_t{1} << 31) - 2, function, "steps",
                          "must be at least 0 and below 2^31, is %lld", static_cast<long long>(steps));
  invalid_argument_unless(tolerance >= 0, function, "tolerance", "must be at least 0, is %g", tolerance);
}

/// Whether @p steps accelerated steps are sure to get nearer than plain ones; on a set the first is a plain one.
inline bool accelerates(const convexity& c, std::int64_t steps, bool on_set) {
  const double q = c.largest / c.least, k = static_cast<double>(steps);
  return (k - (on_set ? 1 : 0)) / (2 * std::sqrt(q)) - 0.5 * std::log(2 * q) > k / q;
}

/// `descend` on the set that project(x) projects on; all space if not @p on_set.
template <class F, class Project>
minimum descend_on(F& f, std::span<double> x, const convexity& c, std::int64_t steps, double tolerance, bool on_set,
                   Project&& project) {
  const std::size_t n = x.size();
  std::vector<double> memory(4 * n);
  const std::span<double> all(memory), g = all.first(n), y = all.subspan(n, n), z = all.subspan(2 * n, n),
                                       next = all.subspan(3 * n, n);
  const bool fast = accelerates(c, steps, on_set);
  const double a = std::sqrt(c.least / c.largest);
  minimum result;
  // The gradient at @p at, and the point that a step from there leads to; false where they are not finite.
  const auto evaluate = [&](std::span<const double> at) {
    result.value = f(at, g);
    ++result.evaluations;
    for (std::size_t i = 0; i < n; ++i) next[i] = at[i] - g[i] / c.largest;
    project(next);
    const double length = on_set ? norm(c.largest, at, -c.largest, next) : norm(g);
    const bool finite = std::isfinite(result.value) && norm(next) < infinity && length < infinity;
    result.certificate = finite ? length : infinity;
    result.converged = result.certificate <= tolerance;
    return result.certificate < infinity;
  };
  project(x);
  copy(x, z);
  for (std::int64_t k = 0;; ++k) {
    const bool plain = !fast || (on_set && k == 0) || k == steps;
    for (std::size_t i = 0; i < n; ++i) y[i] = plain ? x[i] : (x[i] + a * z[i]) / (1 + a);
    if (!evaluate(y)) return result;
    if (k == steps || (result.converged && tolerance > 0)) break;
    if (!plain) {
      for (std::size_t i = 0; i < n; ++i) next[i] = (1 - a) * z[i] + a * y[i] - a / c.least * g[i];
      project(next);
      copy(next, z);
      for (std::size_t i = 0; i < n; ++i) x[i] = (1 - a) * x[i] + a * z[i];
      continue;
    }
    bool moved = tolerance == 0;
    for (std::size_t i = 0; i < n; ++i) moved = moved || next[i] != x[i];
    if (!moved) break;  // nor would any other step
    copy(next, x);
    copy(next, z);
  }
  copy(on_set ? next : y, x);
  if (on_set) {
    result.value = f(std::span<const double>(x), g);
    ++result.evaluations;
  }
  return result;
}

}  // namespace detail

/// A number of steps after which `descend` from x hands back a certificate of at most @p tolerance, whatever the
/// objective: rounded up,
///   min( Q ln(G / tolerance), 2 sqrt(Q) ln(sqrt(2 Q) G / tolerance) ),   Q = M / lambda
/// with G the least of two bounds: @p gradient_at_start, on the certificate at x (in all space the length of the
/// gradient), and M @p radius, for a start at 0 in a ball of that radius. With a finite radius, on any set, the second
/// term has one step more. Rounding, which no number of steps undoes, is the caller's to add to the tolerance.
/// @throws std::invalid_argument unless 0 < lambda <= M, the tolerance and the radius are positive, gradient_at_start
///         is at least 0, and one of it and the radius is finite; and where the steps are 2^31 or more.
inline std::int64_t steps_that_suffice(const convexity& bounds, double tolerance, double gradient_at_start,
                                       double radius = std::numeric_limits<double>::infinity()) {
  const char* function = "hone::linalg::steps_that_suffice";
  detail::check_convexity(bounds, function);
  invalid_argument_unless(tolerance > 0, function, "tolerance", "must be positive, is %g", tolerance);
  invalid_argument_unless(gradient_at_start >= 0, function, "gradient_at_start", "must be at least 0, is %g",
                          gradient_at_start);
  invalid_argument_unless(radius > 0, function, "radius", "must be positive, is %g", radius);
  const double q = bounds.largest / bounds.least, longest = (min)(gradient_at_start, bounds.largest * radius);
  invalid_argument_unless(longest < detail::infinity, function, "gradient_at_start",
                          "must be finite where the radius is not, is %g", gradient_at_start);
  if (longest <= tolerance) return 0;
  const double ratio = std::log(longest) - std::log(tolerance);
  const double plain = q * ratio;
  const double accelerated = 2 * std::sqrt(q) * (ratio + 0.5 * std::log(2 * q)) + (radius < detail::infinity ? 1 : 0);
  const double steps = std::ceil((min)(plain, accelerated) * (1 + 1e-12));
  invalid_argument_unless(steps < 0x1p31 - 2, function, "bounds", "need %g steps, 2^31 or more", steps);
  return static_cast<std::int64_t>(steps);
}

/// Takes @p steps steps from @p x (n) towards the minimum of a strongly convex @p f, on the ball of @p radius around 0,
/// plain or accelerated ones, whichever are sure to arrive nearer; the ball's first is a plain one. Where something is
/// not finite it stops before, with converged = false; with a @p tolerance also where the certificate is at most that,
/// and where a plain step changes nothing; with none, which ranks that share @p f need, it takes all steps. In all
/// space the certificate is the gradient's length; on a ball the length of the gradient mapping M (x - P(x - g / M)),
/// and the projected point is handed back.
/// @throws std::invalid_argument unless 0 < lambda <= M, 0 <= steps < 2^31, radius > 0 and tolerance >= 0.
/// @note A call of f a step, and one more, on a ball two; allocates 4 n doubles before the first.
template <smooth_objective F>
minimum descend(F&& f, std::span<double> x, const convexity& bounds, std::int64_t steps,
                double radius = std::numeric_limits<double>::infinity(), double tolerance = 0) {
  const char* function = "hone::linalg::descend";
  detail::check_descent(bounds, steps, tolerance, function);
  invalid_argument_unless(radius > 0, function, "radius", "must be positive, is %g", radius);
  return detail::descend_on(f, x, bounds, steps, tolerance, radius < detail::infinity,
                            [&](std::span<double> point) { detail::project(point, radius); });
}

}  // namespace HONE_NAMESPACE::linalg
