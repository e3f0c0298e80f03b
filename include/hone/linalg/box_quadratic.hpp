// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// min over w of 1/2 <w, H w> + <b, w>, lower <= w_i <= upper, for a positive definite H that is only applied: the
/// steps of projected_gradient.hpp, P(w)_i = min(max(w_i, lower), upper). Kernel weights, for one: H = 2 (K + lambda n
/// I) / n^2.
#pragma once
#include "hone/linalg/projected_gradient.hpp"

namespace HONE_NAMESPACE::linalg {

struct box_options {
  double lower = 0;
  double upper = std::numeric_limits<double>::infinity();
  convexity bounds;        ///< below the least and above the largest eigenvalue of H
  std::int64_t steps = 0;  ///< at most; `steps_that_suffice` with a finite radius, as a box is a set
  double tolerance = 0;    ///< on the certificate, the length of M (w - P(w - (H w + b) / M)), to stop before
};

/// Moves @p w (n) to the minimum. A product a step, and two more; the answer is in the box to the last bit. A tolerance
/// of 0 takes all steps. It never throws on what product returns: what is not finite ends it, converged = false.
/// @param product product(w, out) writes H w (n) of spans.
/// @throws std::invalid_argument unless @p b has w's size, lower <= upper, one of them is finite where the other is not
///         and neither is NaN, 0 < least <= largest, 0 <= steps < 2^31 and tolerance >= 0.
/// @note Allocates 4 n doubles before the first product. A tolerance is reached within steps_that_suffice(bounds,
///       tolerance, a bound on |H w + b| at the start, radius) steps, radius any finite bound on |w| in the box.
template <class Product>
minimum minimise_box(Product&& product, std::span<const double> b, std::span<double> w, const box_options& options) {
  const char* function = "hone::linalg::minimise_box";
  invalid_argument_unless(b.size() == w.size(), function, "b", "has %zu elements, w %zu", b.size(), w.size());
  invalid_argument_unless(
      options.lower <= options.upper && options.lower < detail::infinity && options.upper > -detail::infinity, function,
      "upper", "must be at least lower, %g, is %g", options.lower, options.upper);
  detail::check_descent(options.bounds, options.steps, options.tolerance, function);
  const auto objective = [&](std::span<const double> at, std::span<double> g) {
    product(at, g);
    const double curved = dot(at, g);
    axpy(1.0, b, g);
    return 0.5 * curved + dot(b, at);
  };
  return detail::descend_on(objective, w, options.bounds, options.steps, options.tolerance, true,
                            [&](std::span<double> point) {
                              for (double& e : point) e = (min)((max)(e, options.lower), options.upper);
                            });
}

}  // namespace HONE_NAMESPACE::linalg
