// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the minimisers ask of a function, and what they answer.
///
/// An objective is called with a point and writes its gradient there; it must be deterministic, and it may be called
/// anywhere (on a ball, inside it). A value or gradient that is not finite says that a point is too far: the minimisers
/// step back from it. Points, gradients and steps are spans of n doubles; sums over coordinates are those of
/// core/blas.hpp, so that a minimiser gives the same bits wherever the objective does.
#pragma once
#include "hone/core/contract.hpp"

#include <concepts>
#include <limits>
#include <span>

namespace HONE_NAMESPACE::linalg {

/// f(x, gradient) returns the value at x (n) and writes the gradient (n).
template <class F>
concept smooth_objective = requires(F& f, std::span<const double> x, std::span<double> g) {
  { f(x, g) } -> std::same_as<double>;
};

/// Also f.hessian(x, h) writes the second derivatives, row by row, n * n; what is right of the diagonal is not read.
template <class F>
concept curved_objective =
    smooth_objective<F> && requires(F& f, std::span<const double> x, std::span<double> h) { f.hessian(x, h); };

struct minimum {
  double value = 0;  ///< at the x handed back; NaN where the objective is nowhere finite
  /// The x handed back has a gradient of this length. On a set (a ball, a box) it has a gradient g and a vector v
  /// normal to the set, |g + v| <= certificate. So x lies within certificate / lambda of the minimiser of a function
  /// that is lambda-strongly convex. Infinite where the gradient is not finite. Rounding of the objective is not in it.
  double certificate = std::numeric_limits<double>::infinity();
  int evaluations = 0;     ///< of value and gradient
  bool converged = false;  ///< certificate <= tolerance
};

}  // namespace HONE_NAMESPACE::linalg
