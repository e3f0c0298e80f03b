// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How far estimated weights move when one record is replaced. Each method of weights is a strongly convex problem in
/// beta over all records, of ridge lambda1; a record's weight is a function of beta and of the record. From the public
/// constants of the domain follow, for every data set,
///   R    |beta| is no longer                                  W    no weight is larger
///   D1   the weights of the other records move by no more than this in sum, for every pair of neighbours
///   beta |beta - beta'| for neighbours, for a release of beta itself (`composition`)
/// D1 does not grow with the number of records. Proofs: docs/privacy.md, "Bounds". With sigma the logistic function:
///   known propensities   W = 1 / least, D1 = 0
///   ipw, two arms        lambda1 R = max_s s sigma(-R s), W = 1 + e^(B R), D1 = 2 (W - 1) sigma(B R) B^2 / lambda1
///   ipw, K arms          R = B sqrt((K - 1) / K) / lambda1, W = 1 + (K - 1) e^(sqrt 2 B R),
///                        D1 = 4 (W - 1) B^2 / lambda1
///   overlap              R as ipw, W = sigma(B R), D1 = sigma(B R) B^2 / (2 lambda1)
///   covariate balancing  lambda1 R = B (1 + e^(-B R)), W = 1 + e^(B R), D1 = 2 W (W - 1) B^2 / lambda1
///   entropy balancing    R = B / lambda1, W = e^(B R), D1 = 2 W max(1, W - 1) B^2 / lambda1
///     by softmax, arms of at least a records: R = 2 B / lambda1, W = n / a e^(2 B R),
///                        D1 = (2 + 4 B^2 / lambda1) W + 2 K B^2 / lambda1
///   kernel balancing     k(x, x) <= kappa^2, weights in [0, W]: D1 = 2 kappa^2 max(1, W - 1) / lambda1
///   normalised by arm    of weights with W and D1, floor tau: W / tau, (2 D1 + 2 W) / tau
#pragma once
#include "hone/core/sigmoid.hpp"
#include "hone/privacy/domain.hpp"

#include <concepts>
#include <cstdint>

namespace HONE_NAMESPACE::privacy {

inline constexpr double unlimited = std::numeric_limits<double>::infinity();

/// Propensities that are known, as in a randomised trial: weight 1 / propensity of the record's arm.
struct known {
  double least = 0;  ///< public floor: smaller ones are raised to it; no number or outside (0, 1]: a zero record
};
/// Inverse probability weights of a (multinomial) logistic model of the arms.
struct ipw {
  double ridge = 1;           ///< lambda1
  double clip = unlimited;    ///< weights are cut here
  double radius = unlimited;  ///< of a ball in which beta is sought, where it is smaller than R
};
/// Weights sigma(-t <x, beta>): the overlap population; two arms.
struct overlap {
  double ridge = 1;
  double radius = unlimited;
};
/// Covariate-balancing propensity score, just identified, for the average effect; two arms.
struct covariate_balancing {
  double ridge = 1;
  double clip = unlimited;
  double radius = unlimited;
};
/// Entropy balancing of every arm towards all records, dual problem without normalisation.
struct entropy_balancing {
  double ridge = 1;
  double clip = unlimited;
  double radius = unlimited;
};
/// The same by softmax; private only where it is public that no arm ever has fewer than @c least_arm records.
struct softmax_balancing {
  index_t least_arm = 0;
  double ridge = 1;
  double radius = unlimited;
};
enum class kernel { gaussian, energy, linear };
/// Weights in [0, largest] whose weighted kernel means of every arm are near those of all records: maximum mean
/// discrepancy (gaussian), energy distance, stable balancing weights (linear).
struct kernel_balancing {
  kernel kind = kernel::gaussian;
  double bandwidth = 1;  ///< h of exp(-|x - y|^2 / (2 h^2))
  double ridge = 1;
  double largest = 5;
  index_t features = 0;    ///< cosines and sines of random directions in place of the matrix of n^2 products; gaussian
  std::uint64_t seed = 0;  ///< of these directions, public
};
/// Weights of another method over the larger of the arm's mean sum and a floor: arms then sum to at most n.
template <class Scheme>
struct normalised {
  Scheme scheme;
  double floor = 0.25;  ///< tau, of sum_arm / n
};

/// What is known of the weights before the data. In the notation above.
struct stability {
  double radius = 0;
  double largest = 1;  ///< W
  double moved = 0;    ///< D1
  double moved_released =
      0;  ///< D1 where beta is released, and the others' weights depend on nothing else of them; else infinite
  double beta = 0;                ///< of an exact solver
  double curvature = 0;           ///< lambda1: the least curvature of the problem
  double smoothness = 0;          ///< its largest, where the solver goes
  double gradient = 0;            ///< the largest of one record's
  double start = 0;               ///< the largest gradient of the problem where the solver starts
  double moved_per_gradient = 0;  ///< what D1 grows by for each unit of gradient that the solver leaves
  double rounding_gradient = 0;   ///< what rounding leaves of a gradient
  double rounding_weight = 0;     ///< of a weight, relative
  double moved_by_rounding = 0;   ///< what D1 grows by for it

  /// D1 of weights that a solver reaches to its certificate, in the machine's arithmetic.
  [[nodiscard]] double moved_solved(const certificate& solver) const {
    return rounded_up(moved + moved_per_gradient * (solver.tau * start + rounding_gradient) + moved_by_rounding);
  }
};

namespace detail {

template <class Scheme>
inline constexpr bool is_normalised = false;
template <class Scheme>
inline constexpr bool is_normalised<normalised<Scheme>> = true;

inline double above_zero(double x) { return x > 0 ? x : 0; }

inline double limit(double x, const char* function, const char* argument) {
  invalid_argument_unless(x > 0, function, argument, "is %g, not positive", x);
  return x;
}
inline void two_arms(const domain& d, const char* function) {
  invalid_argument_unless(d.arms == 2, function, "arms", "are %td, and this method knows two", d.arms);
}

/// The root of lambda1 R = max_{0 <= s <= B} s sigma(-R s), from above.
inline double logistic_radius(double ridge, double b) {
  // s sigma(-R s) rises up to the root of 1 = R s sigma(R s) (1.2784645427610738 in R s), then falls.
  constexpr double top = 1.2784645427610738;
  return least_that_holds(0, b / ridge, [&](double r) {
    const double s = r * b > top ? top / r : b;
    return ridge * r >= s * sigmoid(-r * s);
  });
}

/// Fills in what follows for a problem whose gradient of one record is no longer than @p gradient and whose weights
/// move by at most slope * B for a unit of beta.
inline stability of_parameters(const domain& d, double ridge, double radius, double largest, double gradient,
                               double slope, double smoothness, double start, double parts) {
  const double b = d.row_bound, n = static_cast<double>(d.rows), roundoff = std::numeric_limits<double>::epsilon() / 2;
  const double terms = static_cast<double>(columns(d) + 2);
  // A product with a row is rounded by terms * roundoff of B R.
  const double depth = sum_depth(n);
  stability s{.radius = radius,
              .largest = largest,
              .moved = rounded_up(2 * slope * b * gradient / ridge),
              .beta = rounded_up(2 * gradient / (n * ridge) * parts),
              .curvature = ridge,
              .smoothness = rounded_up(smoothness + ridge),
              .gradient = rounded_up(gradient),
              .start = rounded_up(start)};
  s.moved_per_gradient = rounded_up(2 * n * slope * b / ridge);
  s.rounding_gradient =
      rounded_up(roundoff * (gradient * depth + smoothness * terms * radius + ridge * radius * terms));
  s.rounding_weight = rounded_up(roundoff * (2 * terms * b * radius + static_cast<double>(d.arms) + 8));
  s.moved_by_rounding = rounded_up(2 * n * s.largest * s.rounding_weight);
  return s;
}

inline void check_finite(const stability& s, const char* function) {
  invalid_argument_unless(std::isfinite(s.largest) && std::isfinite(s.moved), function, "ridge",
                          "is so small that weights of up to %g may move by %g", s.largest, s.moved);
}

}  // namespace detail

/// How many parameters a method has.
template <class Scheme>
index_t parameters(const Scheme&, const domain& d) {
  if constexpr (detail::is_normalised<Scheme>)
    return parameters(decltype(Scheme::scheme){}, d);
  else if constexpr (std::same_as<Scheme, known> || std::same_as<Scheme, kernel_balancing>)
    return 0;
  else if constexpr (std::same_as<Scheme, entropy_balancing> || std::same_as<Scheme, softmax_balancing>)
    return d.arms * columns(d);
  else
    return (d.arms == 2 ? 1 : d.arms) * columns(d);
}

/// What is known of the weights of a method on every data set of a domain, rounded up.
/// @throws std::invalid_argument for a bad domain or scheme, among them a ridge so small that a bound is infinite.
inline stability bound(const known& scheme, const domain& d) {
  const char* function = "hone::privacy::bound(known)";
  check(d, function);
  invalid_argument_unless(scheme.least > 0 && scheme.least <= 1, function, "least", "is %g, not in (0, 1]",
                          scheme.least);
  return {.largest = rounded_up(1 / scheme.least), .rounding_weight = std::numeric_limits<double>::epsilon()};
}

inline stability bound(const ipw& scheme, const domain& d) {
  const char* function = "hone::privacy::bound(ipw)";
  check(d, function);
  const double ridge = detail::positive(scheme.ridge, function, "ridge");
  const double clip = detail::limit(scheme.clip, function, "clip");
  const double ball = detail::limit(scheme.radius, function, "radius");
  const double b = d.row_bound;
  stability s;
  if (d.arms == 2) {
    const double r = (min)(ball, detail::logistic_radius(ridge, b)),
                 largest = (min)(clip, rounded_up(1 + std::exp(b * r)));
    s = detail::of_parameters(d, ridge, r, largest, sigmoid(b * r) * b, detail::above_zero(largest - 1), b * b / 4,
                              b / 2, 1);
  } else {
    const auto k = static_cast<double>(d.arms);
    const double r = (min)(ball, b * std::sqrt((k - 1) / k) / ridge), root = std::sqrt(2.0),
                 largest = (min)(clip, rounded_up(1 + (k - 1) * std::exp(root * b * r)));
    s = detail::of_parameters(d, ridge, r, largest, root * b, root * detail::above_zero(largest - 1), b * b / 2,
                              b * std::sqrt((k - 1) / k), 1);
  }
  detail::check_finite(s, function);
  return s;
}

inline stability bound(const overlap& scheme, const domain& d) {
  const char* function = "hone::privacy::bound(overlap)";
  check(d, function);
  detail::two_arms(d, function);
  const double ridge = detail::positive(scheme.ridge, function, "ridge");
  const double ball = detail::limit(scheme.radius, function, "radius");
  const double b = d.row_bound, r = (min)(ball, detail::logistic_radius(ridge, b)),
               largest = rounded_up(sigmoid(b * r));
  const stability s = detail::of_parameters(d, ridge, r, largest, largest * b, 0.25, b * b / 4, b / 2, 1);
  detail::check_finite(s, function);
  return s;
}

inline stability bound(const covariate_balancing& scheme, const domain& d) {
  const char* function = "hone::privacy::bound(covariate_balancing)";
  check(d, function);
  detail::two_arms(d, function);
  const double ridge = detail::positive(scheme.ridge, function, "ridge");
  const double clip = detail::limit(scheme.clip, function, "clip");
  const double ball = detail::limit(scheme.radius, function, "radius");
  const double b = d.row_bound;
  const double r = (min)(ball, detail::least_that_holds(0, 2 * b / ridge, [&](double x) {
                           return ridge * x >= b * (1 + std::exp(-b * x));
                         }));
  const double odds = std::exp(b * r), largest = (min)(clip, rounded_up(1 + odds));
  const stability s = detail::of_parameters(d, ridge, r, largest, (1 + odds) * b, detail::above_zero(largest - 1),
                                            odds * b * b, 2 * b, 1);
  detail::check_finite(s, function);
  return s;
}

inline stability bound(const entropy_balancing& scheme, const domain& d) {
  const char* function = "hone::privacy::bound(entropy_balancing)";
  check(d, function);
  const double ridge = detail::positive(scheme.ridge, function, "ridge");
  const double clip = detail::limit(scheme.clip, function, "clip");
  const double ball = detail::limit(scheme.radius, function, "radius");
  const double b = d.row_bound, r = (min)(ball, b / ridge), odds = std::exp(b * r),
               largest = (min)(clip, rounded_up(odds));
  const stability s = detail::of_parameters(d, ridge, r, largest, b * (max)(1.0, odds - 1), largest, odds * b * b, b,
                                            std::sqrt(static_cast<double>(d.arms)));
  detail::check_finite(s, function);
  return s;
}

inline stability bound(const softmax_balancing& scheme, const domain& d) {
  const char* function = "hone::privacy::bound(softmax_balancing)";
  check(d, function);
  const double ridge = detail::positive(scheme.ridge, function, "ridge");
  const double ball = detail::limit(scheme.radius, function, "radius");
  invalid_argument_unless(scheme.least_arm > 0 && scheme.least_arm * d.arms <= d.rows, function, "least_arm",
                          "is %td, with %td arms and %td rows", scheme.least_arm, d.arms, d.rows);
  const double b = d.row_bound, r = (min)(ball, 2 * b / ridge), k = static_cast<double>(d.arms),
               n = static_cast<double>(d.rows);
  const double largest = n / static_cast<double>(scheme.least_arm) * std::exp(2 * b * r) * (1 + 0x1p-40);
  stability s = detail::of_parameters(d, ridge, r, largest, 2 * b, 0, b * b, 2 * b, 1);
  s.rounding_weight =
      rounded_up(s.rounding_weight + std::numeric_limits<double>::epsilon() / 2 * detail::sum_depth(n, 1));
  s.moved_by_rounding = rounded_up(2 * n * s.largest * s.rounding_weight);
  s.moved = rounded_up((2 + 4 * b * b / ridge) * largest + 2 * k * b * b / ridge);
  s.moved_per_gradient = rounded_up(2 * k * n * b / ridge);
  s.moved_released = s.beta = unlimited;
  detail::check_finite(s, function);
  return s;
}

/// kappa^2: the largest of k(x, x).
inline double kernel_bound(const kernel_balancing& scheme, const domain& d) {
  if (scheme.kind == kernel::gaussian) return 1;
  return scheme.kind == kernel::energy ? d.row_bound : d.row_bound * d.row_bound;
}

/// The most rows of which a matrix of products is made: 8 bytes a pair within an arm, 2 GiB of one arm.
inline constexpr index_t most_kernel_rows = 16384;

/// Whether kernel weights are made of features of the rows, with work and memory that grow with their number.
constexpr bool has_features(const kernel_balancing& scheme) {
  return scheme.features > 0 || scheme.kind == kernel::linear;
}

/// How near the solver of kernel weights comes: each weight to 2^-40 W in the mean.
inline constexpr double kernel_precision = 0x1p-40;

inline stability bound(const kernel_balancing& scheme, const domain& d) {
  const char* function = "hone::privacy::bound(kernel_balancing)";
  check(d, function);
  const double ridge = detail::positive(scheme.ridge, function, "ridge");
  const double largest = detail::positive(scheme.largest, function, "largest");
  detail::positive(scheme.bandwidth, function, "bandwidth");
  invalid_argument_unless(scheme.features >= 0 && (scheme.features == 0 || scheme.kind == kernel::gaussian), function,
                          "features", "%td random ones, of a kernel that is %s", scheme.features,
                          scheme.kind == kernel::gaussian ? "gaussian" : "not a function of x - y");
  invalid_argument_unless(has_features(scheme) || d.rows <= most_kernel_rows, function, "features",
                          "are 0, and a matrix of %td rows would be too large (most: %td)", d.rows, most_kernel_rows);
  const double kappa = kernel_bound(scheme, d), n = static_cast<double>(d.rows);
  stability s{.largest = largest,
              .moved = rounded_up(2 * kappa * (max)(1.0, largest - 1) / ridge),
              .moved_released = unlimited,
              .beta = unlimited,
              .curvature = 2 * ridge / n,
              .smoothness = rounded_up(2 * (kappa + ridge) / n)};
  // Rounded sums of n products, or of a tree of them, over the curvature.
  const double roundoff = std::numeric_limits<double>::epsilon() / 2,
               depth = has_features(scheme) ? detail::sum_depth(n, 1) : n;
  s.moved_by_rounding = rounded_up(2 * n * largest * (kernel_precision + roundoff * depth * (kappa + ridge) / ridge));
  detail::check_finite(s, function);
  return s;
}

template <class Scheme>
stability bound(const normalised<Scheme>& scheme, const domain& d) {
  stability s = bound(scheme.scheme, d);
  const double floor = detail::positive(scheme.floor, "hone::privacy::bound(normalised)", "floor");
  s.moved = rounded_up((2 * s.moved + 2 * s.largest) / floor);
  // The weights of an arm move with its sum, of which the replaced record is a part, though beta be public.
  s.moved_released = rounded_up((2 * s.moved_released + 2 * s.largest) / floor);
  s.moved_per_gradient = rounded_up(2 * s.moved_per_gradient / floor);
  s.largest = rounded_up(s.largest / floor);
  // The arms' sums are rounded, too.
  const double n = static_cast<double>(d.rows),
               sums = std::numeric_limits<double>::epsilon() / 2 * detail::sum_depth(n, 1);
  s.rounding_weight = rounded_up(s.rounding_weight + sums);
  s.moved_by_rounding = rounded_up(2 * s.moved_by_rounding / floor + 2 * n * s.largest * sums);
  return s;
}

/// The bounds where @p curvature was released (`private_curvature.hpp`); what the solver leaves is charged as before.
/// @throws std::invalid_argument for a NaN, and, of a curvature above 0, for more than two arms.
template <class Scheme>
  requires(std::same_as<Scheme, ipw> || std::same_as<Scheme, overlap> || std::same_as<Scheme, covariate_balancing>)
stability bound(const Scheme& scheme, const domain& d, double curvature) {
  stability s = bound(scheme, d);
  const char* function = "hone::privacy::bound";
  invalid_argument_unless(!std::isnan(curvature), function, "curvature", "is no number");
  if (curvature <= 0) return s;
  invalid_argument_unless(d.arms == 2, function, "arms", "are %td, and released curvature is for two", d.arms);
  const double reach = d.row_bound * s.radius, slope = sigmoid(reach);
  const double least = std::same_as<Scheme, covariate_balancing> ? std::exp(-reach) : slope * (1 - slope);
  const double share = rounded_up(s.curvature / (s.curvature + least * curvature * (1 - 0x1p-40)));
  s.moved = rounded_up(s.moved * (min)(share, 1.0));
  s.beta = rounded_up(s.beta * (min)(share, 1.0));
  return s;
}

}  // namespace HONE_NAMESPACE::privacy
