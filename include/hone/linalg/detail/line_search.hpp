// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A step along a line on which a function falls, by values while they tell and by slopes where they do not: Wolfe's
/// conditions, or Hager's and Zhang's approximate ones, which hold still where the values have drowned in rounding.
/// The bracket is cut at the secant of its slopes, and in halves where that does not shrink it.
/// [Hager, Zhang 2005, A new conjugate gradient method with guaranteed descent and an efficient line search, SIAM J.
/// Optim. 16, sec. 4]
#pragma once
#include "hone/core/contract.hpp"

#include <cmath>
#include <limits>

namespace HONE_NAMESPACE::linalg::detail {

struct line_point {
  double step = 0;
  double value = 0;
  double slope = 0;
};

/// The step, between 0 and @p longest, that @p phi was asked for last; step 0 if none was found. At most 61 calls.
/// @param phi phi(step) returns the line_point there; what is not finite is too far.
/// @param start at step 0; its slope is negative.
/// @param slack by how much a value may rise, for rounding.
template <class Phi>
line_point search_line(Phi&& phi, const line_point& start, double first, double longest, double slack) {
  constexpr double decrease = 0.1, curvature = 0.9, infinite = std::numeric_limits<double>::infinity();
  line_point low = start, high{.step = infinite};
  double step = (min)(first, longest), before = infinite;
  for (int call = 0; call < 60; ++call) {
    const line_point at = phi(step);
    const bool finite = std::isfinite(at.value) && std::isfinite(at.slope);
    const bool level = finite && at.value <= start.value + slack;
    const bool lower = finite && at.value <= start.value + decrease * step * start.slope;
    if (at.slope >= curvature * start.slope && (lower || (level && at.slope <= (2 * decrease - 1) * start.slope)))
      return at;
    const bool falls = at.slope < 0 && level;
    if (falls && step >= longest) return at;
    (falls ? low : high) = at;
    if (!finite) high.slope = infinite;
    if (high.step == infinite) {
      step = (min)(10 * step, longest);
      if (step == infinite) break;
      continue;
    }
    const double width = high.step - low.step;
    if (high.slope == infinite) {
      step = low.step + 0.1 * width;
    } else if (high.slope > 0 && width <= 0.7 * before) {
      const double root = low.step - width * (low.slope / (high.slope - low.slope));
      step = (min)((max)(root, low.step + 1e-3 * width), high.step - 1e-3 * width);
    } else {
      step = low.step + width / 2;
    }
    before = width;
    if (!(step > low.step && step < high.step)) break;
  }
  return low.step > 0 && low.value < start.value ? phi(low.step) : line_point{};
}

}  // namespace HONE_NAMESPACE::linalg::detail
