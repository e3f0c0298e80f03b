// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Minima of smooth functions by Newton's steps, p = -H^-1 g, and a line search. Where H is not definite, a multiple of
/// I is added that makes it so. [Nocedal, Wright 2006, Numerical optimization, ch. 3 and alg. 3.3]
#pragma once
#include "hone/linalg/detail/cholesky.hpp"
#include "hone/linalg/lbfgs.hpp"

namespace HONE_NAMESPACE::linalg {

struct newton_options {
  double tolerance = 1e-10;  ///< on the gradient's length
  int limit = 50;            ///< steps
};

/// Moves @p x (n) to a minimum of @p f near it. Hands back the best point it saw, and ends, as `minimise_lbfgs`; also
/// where H is not finite, and where a step whose gain has drowned in the value's rounding did not shorten the gradient:
/// what is left then is rounding. It never throws on what f returns.
/// @throws std::invalid_argument unless tolerance >= 0 and limit >= 0.
/// @note A Hessian, n^3 / 3 flops and in most cases a call of f a step; allocates 2 n^2 + 5 n doubles before the first.
template <curved_objective F>
minimum minimise_newton(F&& f, std::span<double> x, const newton_options& options = {}) {
  const char* function = "hone::linalg::minimise_newton";
  invalid_argument_unless(options.tolerance >= 0, function, "tolerance", "must be at least 0, is %g",
                          options.tolerance);
  invalid_argument_unless(options.limit >= 0, function, "limit", "must be at least 0, is %d", options.limit);
  const std::size_t n = x.size();
  std::vector<double> memory(2 * n * n + 5 * n);
  const std::span<double> all(memory), h = all.first(n * n), l = all.subspan(n * n, n * n);
  const auto row = [&](std::size_t i) { return all.subspan(2 * n * n + i * n, n); };
  const std::span<double> g = row(0), p = row(1), next = row(2), next_g = row(3);
  detail::best_point best(row(4));
  detail::rounding_slack slack_of;
  minimum result;
  double value = result.value = f(std::span<const double>(x), g);
  result.evaluations = 1;
  bool drowned = false;
  for (int step = 0;; ++step) {
    const double slack = slack_of(value), certificate = detail::residual(value, x, g, detail::infinity);
    best.offer(x, value, certificate, slack);
    if (!(certificate > options.tolerance && certificate < detail::infinity)) break;
    if (step == options.limit || (drowned && best.stalled() > 0)) break;
    f.hessian(std::span<const double>(x), h);
    const double added = detail::factor_definite(h, 0, n, l);
    if (!(added < detail::infinity)) break;
    for (std::size_t i = 0; i < n; ++i) p[i] = -g[i];
    detail::solve(l, p);
    // A curvature that had to be made says nothing of the step's length.
    if (const double length = detail::norm(p), most = 1 + detail::norm(x); added > 0 && length > most)
      scale(most / length, p);
    const detail::line_point start{0, value, dot(g, p)};
    if (!(start.slope < 0)) break;
    drowned = -start.slope < slack;
    const detail::line_point accepted = detail::search_line(
        [&](double t) {
          ++result.evaluations;
          for (std::size_t i = 0; i < n; ++i) next[i] = x[i] + t * p[i];
          const double there = f(std::span<const double>(next), next_g);
          return detail::line_point{t, there, dot(next_g, p)};
        },
        start, 1, detail::infinity, slack);
    if (!(accepted.step > 0)) break;
    copy(next, x);
    copy(next_g, g);
    value = accepted.value;
  }
  best.hand_back(x, options.tolerance, result);
  return result;
}

}  // namespace HONE_NAMESPACE::linalg
