// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The second stage: theta = argmin (1/n) sum_i w_i loss(theta; record i) + (ridge / 2) |theta|^2 + <tilt, theta> / n,
/// in the loss's ball if it has one. With weights in [0, W] that move by no more than D1 the minimisers of neighbours
/// are
///   Delta_2 = L S / (n ridge) + 2 tau / ridge,   S = 2 W + D1
/// apart, tau the gradient that the solver and rounding leave. Total: every data set has an answer.
#pragma once
#include "hone/linalg/certified_minimum.hpp"
#include "hone/privacy/bounds.hpp"
#include "hone/privacy/detail/ridge_objective.hpp"
#include "hone/privacy/losses.hpp"

namespace HONE_NAMESPACE::privacy {

/// What is known of the second stage before the data.
struct sensitivity_bound {
  double sum = 0;          ///< S
  double sensitivity = 0;  ///< Delta_2, of what the solver hands back
  double exact = 0;        ///< Delta_2 of the exact minimiser
  double tau = 0;          ///< the gradient that the solver reaches; what rounding hides comes on top
  double rounding = 0;
};

/// Sensitivity of `minimise` with weights of at most @p largest, of which the others' move by at most @p moved.
/// @throws std::invalid_argument unless the ridge is positive and finite.
template <class Loss>
sensitivity_bound bound_minimum(const Loss& loss, const domain& d, double ridge, double largest, double moved,
                                const certificate& solver = {}) {
  const char* function = "hone::privacy::bound_minimum";
  detail::positive(ridge, function, "ridge");
  detail::positive(solver.tau, function, "tau");
  invalid_argument_unless(largest > 0 && std::isfinite(largest) && moved >= 0, function, "largest",
                          "weights of up to %g that move by %g", largest, moved);
  const loss_bound l = bound(loss, d);
  const double n = static_cast<double>(d.rows), roundoff = std::numeric_limits<double>::epsilon() / 2,
               terms = static_cast<double>((columns(d) + 2) * l.products), depth = detail::sum_depth(n);
  const double slope = l.gradient * largest, reach = (min)(l.radius, rounded_up(slope / ridge));
  sensitivity_bound result{.sum = rounded_up(2 * largest + moved), .tau = rounded_up(solver.tau * slope)};
  result.exact = rounded_up(l.gradient * result.sum / (n * ridge));
  result.rounding =
      rounded_up(roundoff * (slope * depth + l.curvature * largest * terms * reach + ridge * reach * terms));
  result.sensitivity = rounded_up(result.exact + 2 * (result.tau + result.rounding) / ridge);
  return result;
}

/// theta (products * d, overwritten) <- the minimiser, to the certificate.
/// @param weight of the held rows, each in [0, @p largest]; @param tilt none, or of theta's size
/// @return how the solver got there: private, like theta.
/// @throws std::invalid_argument for sizes, and unless ridge, largest and tau are positive and finite; never for a
///         value of a record or a weight.
/// @note Some ten reads of the records; one Hessian at the end where the loss has one product and few columns. Bitwise
///       for any executor and number of ranks.
template <class Loss>
linalg::minimum minimise(const Loss& loss, const records& data, std::span<const double> weight, double ridge,
                         double largest, std::span<double> theta, executor_reference pool,
                         const certificate& solver = {}, std::span<const double> tilt = {}) {
  const char* function = "hone::privacy::minimise";
  const loss_bound l = bound(loss, data.limits());
  invalid_argument_unless(std::ssize(weight) == data.held(), function, "weight", "has %td elements, there are %td rows",
                          std::ssize(weight), data.held());
  invalid_argument_unless(std::ssize(theta) == l.products * data.columns(), function, "theta",
                          "has %td elements, not %td", std::ssize(theta), l.products * data.columns());
  invalid_argument_unless(tilt.empty() || tilt.size() == theta.size(), function, "tilt", "has %zu elements, theta %zu",
                          tilt.size(), theta.size());
  const sensitivity_bound b = bound_minimum(loss, data.limits(), ridge, largest, 0, solver);
  double push = 0;
  for (const double value : tilt) push += value * value;
  const detail::loss_rows<Loss> rows(loss, data, weight);
  constexpr std::size_t products = std::same_as<Loss, ad_learning> ? most_arms - 1 : 1;
  detail::ridge_objective<products, detail::loss_rows<Loss>> objective{data, rows, ridge, tilt, pool};
  for (double& value : theta) value = 0;
  return linalg::minimise_certified(
      objective, theta,
      {.tolerance = b.tau,
       .bounds = {.least = ridge, .largest = rounded_up(l.curvature * largest + ridge)},
       .gradient_at_start =
           rounded_up(l.gradient * largest + std::sqrt(push) / static_cast<double>(data.limits().rows)),
       .radius = l.radius});
}

}  // namespace HONE_NAMESPACE::privacy
