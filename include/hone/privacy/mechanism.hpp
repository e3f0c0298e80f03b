// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a private two-stage fit will do, decided from public constants alone: which noise, where, of what scale.
///   output       theta-hat plus noise for Delta_2 = L S / (n ridge), S = 2 W + D1: on a lattice, or by its norm
///   objective    <b, theta> / n in the second stage's objective, |b| ~ Gamma(d, L S / epsilon'),
///                epsilon' = epsilon - d log(1 + c (W + D1) / (n ridge d))
///   composed     the first stage's parameters are released, with a share of the budget, and the second stage, whose
///                weights then depend on their own record alone, has S = 2 W; inside any of the above
///   worst case   D1 = (n - 1) W, the bound of who knows nothing of the weights: for comparison
/// What is continuous (noise by its norm, in the objective too) is private in exact arithmetic only, `ideal`. Gaussian
/// noise in the objective is missing on purpose: its known proofs need weights that do not move with the data.
/// Proofs: docs/privacy.md, "Mechanisms". [Chaudhuri, Monteleoni, Sarwate 2011; Kifer, Smith, Thakurta 2012]
#pragma once
#include "hone/privacy/erm.hpp"
#include "hone/privacy/vector_noise.hpp"

namespace HONE_NAMESPACE::privacy {

enum class mechanism { lattice, gamma_norm, objective };

struct mechanism_options {
  mechanism kind = mechanism::lattice;
  bool composed = false;
  double share = 0.25;  ///< of the budget, for the first stage's parameters
  bool worst_case = false;
  double curvature = 0;  ///< what `release_curvature` gave, which was paid for by itself; 0 for none
  certificate solver{};  ///< of both stages; kernel weights have `kernel_precision`
};

/// The constants of one fit. Everything in it is public.
struct plan {
  mechanism_options options{};
  domain limits{};
  double ridge = 0;
  stability weights{};
  sensitivity_bound fit{};    ///< of the second stage, given what is released before it
  vector_noise parameters{};  ///< composed: for beta
  vector_noise output{};      ///< for theta; with objective, what covers the solver's rest
  double tilt = 0;            ///< objective: L S / epsilon'
  double expected_norm = 0;   ///< of the noise in theta, of the objective's to first order
  loss_curve<replace_one> cost{};

  [[nodiscard]] bool ideal() const {
    return !output.hardened() || options.kind == mechanism::objective || (options.composed && !parameters.hardened());
  }
};

namespace detail {

/// Of an objective's budget, what covers that its minimiser is not exact.
inline constexpr double rest_share = 0x1p-10;

template <class Loss>
double largest_parameter(const Loss& loss, const domain& d, double ridge, double largest) {
  const loss_bound l = bound(loss, d);
  return (min)(l.radius, rounded_up(l.gradient * largest / ridge));
}

/// Noise in the objective of the second stage, of loss @p epsilon; returns epsilon', of which nothing may be left.
template <class Loss>
double plan_objective(plan& p, const Loss& loss, double moved, double epsilon) {
  const loss_bound l = bound(loss, p.limits);
  invalid_argument_unless(!std::isfinite(l.radius), "hone::privacy::prepare", "loss",
                          "is constrained to a ball, and noise in the objective needs every theta");
  const index_t size = columns(p.limits) * l.products;
  const double d = static_cast<double>(size), n = static_cast<double>(p.limits.rows), rest = rest_share * epsilon,
               trace = l.curvature * (p.weights.largest + moved);
  const double left = epsilon - rest - rounded_up(d * std::log1p(trace / (n * p.ridge * d)));
  if (!(left > 0)) return left;
  p.tilt = rounded_up(l.gradient * p.fit.sum / left);
  // The exact minimiser is private; what is handed out lies within (tau + rounding) / ridge of it.
  const double apart = rounded_up(2 * (p.fit.tau + p.fit.rounding + p.tilt * 64 * d * 0x1p-52 / n) / p.ridge);
  p.output = gamma_norm_noise(apart, size, rest);
  p.expected_norm = d * p.tilt / (n * p.ridge) + p.output.expected_norm;
  p.cost = approximate_loss<replace_one>(epsilon);
  return left;
}

template <class Scheme, class Loss>
plan draft(const Scheme& scheme, const Loss& loss, const domain& limits, double ridge, epsilon_delta promise,
           const mechanism_options& options, double& left) {
  const char* function = "hone::privacy::prepare";
  positive(promise.epsilon, function, "epsilon");
  invalid_argument_unless(promise.delta >= 0 && promise.delta < 1, function, "delta", "is %g, not in [0, 1)",
                          promise.delta);
  const bool gaussian = options.kind == mechanism::lattice && promise.delta > 0;
  plan p{.options = options, .limits = limits, .ridge = ridge, .weights = bound(scheme, limits)};
  const double n = static_cast<double>(limits.rows);
  if constexpr (requires { bound(scheme, limits, options.curvature); })
    p.weights = bound(scheme, limits, options.curvature);
  else
    invalid_argument_unless(options.curvature == 0, function, "curvature", "does nothing for these weights");
  double moved = options.worst_case ? (n - 1) * p.weights.largest : p.weights.moved_solved(options.solver);
  double epsilon = promise.epsilon,
         rho = gaussian ? gaussian_rho(lattice_multiplier(promise.epsilon, promise.delta)) : 0;
  if (options.composed) {
    invalid_argument_unless(options.share > 0 && options.share < 1, function, "share", "is %g, not in (0, 1)",
                            options.share);
    invalid_argument_unless(!options.worst_case, function, "composed", "is not the worst case");
    invalid_argument_unless(std::isfinite(p.weights.moved_released) && p.weights.beta > 0, function, "composed",
                            "needs weights that are a function of released parameters and their own record");
    const index_t size = parameters(scheme, limits);
    const double parts = static_cast<double>(size / columns(limits)),
                 gradient = options.solver.tau * p.weights.start + p.weights.rounding_gradient;
    const double apart = rounded_up(p.weights.beta + 2 * std::sqrt(parts) * gradient / p.weights.curvature);
    if (gaussian) {
      p.parameters = lattice_gaussian(apart, size, p.weights.radius, options.share * rho, promise.delta);
      rho *= 1 - options.share;
    } else {
      p.parameters = options.kind == mechanism::lattice
                         ? lattice_laplace(apart, size, p.weights.radius, options.share * epsilon)
                         : gamma_norm_noise(apart, size, options.share * epsilon);
      epsilon *= 1 - options.share;
    }
    moved = rounded_up(p.weights.moved_released + 2 * n * p.weights.largest * p.weights.rounding_weight);
  }
  p.fit = bound_minimum(loss, limits, ridge, p.weights.largest, moved, options.solver);
  const index_t size = columns(limits) * bound(loss, limits).products;
  const double reach = largest_parameter(loss, limits, ridge, p.weights.largest);
  if (options.kind == mechanism::objective) {
    left = plan_objective(p, loss, moved, epsilon);
  } else {
    p.output = gaussian ? lattice_gaussian(p.fit.sensitivity, size, reach, rho, promise.delta)
               : options.kind == mechanism::lattice ? lattice_laplace(p.fit.sensitivity, size, reach, epsilon)
                                                    : gamma_norm_noise(p.fit.sensitivity, size, epsilon);
    p.expected_norm = p.output.expected_norm;
    p.cost = p.output.cost;
  }
  if (options.composed)
    p.cost = gaussian ? concentrated_loss<replace_one>(
                            rounded_up(p.output.cost.parameter + p.parameters.cost.parameter), promise.delta)
                      : approximate_loss<replace_one>(promise.epsilon);
  return p;
}

}  // namespace detail

/// The plan of a fit of @p loss with weights of @p scheme.
/// @param promise epsilon and, 0 for none, delta of the whole; only lattice noise makes use of a delta
/// @throws std::invalid_argument, before any data, for a bad domain, scheme, loss, ridge or promise; where the ridge is
///         too small for noise in the objective; and for a composition with weights that depend on all records still.
template <class Scheme, class Loss>
plan prepare(const Scheme& scheme, const Loss& loss, const domain& limits, double ridge, epsilon_delta promise,
             const mechanism_options& options = {}) {
  double left = unlimited;
  const plan p = detail::draft(scheme, loss, limits, ridge, promise, options, left);
  invalid_argument_unless(left > 0, "hone::privacy::prepare", "ridge",
                          "is %g, at which curvature alone costs %g more than the promised epsilon %g", ridge, -left,
                          promise.epsilon);
  return p;
}

/// The plan of the least expected noise in theta among hardened ones of the promise, joint and composed; with @p ideal
/// among all mechanisms, of equal ones the first.
/// @param options hold for all of them, but the kind, which is chosen; composed: those alone
/// @throws std::invalid_argument as `prepare` does where no mechanism fits.
template <class Scheme, class Loss>
plan choose(const Scheme& scheme, const Loss& loss, const domain& limits, double ridge, epsilon_delta promise,
            bool ideal = false, const mechanism_options& options = {}) {
  mechanism_options next = options;
  next.kind = mechanism::lattice;
  plan best = prepare(scheme, loss, limits, ridge, promise, next);
  const bool composes = std::isfinite(best.weights.moved_released) && best.weights.beta > 0 && !options.worst_case;
  for (const mechanism kind : {mechanism::lattice, mechanism::gamma_norm, mechanism::objective})
    for (const bool composed : {false, true}) {
      if ((kind != mechanism::lattice && !ideal) || (options.composed && !composed) || (composed && !composes))
        continue;
      if (kind == mechanism::objective && std::isfinite(bound(loss, limits).radius)) continue;
      next.kind = kind;
      next.composed = composed;
      double left = unlimited;
      const plan other = detail::draft(scheme, loss, limits, ridge, promise, next, left);
      if (left > 0 && other.expected_norm < best.expected_norm) best = other;
    }
  return best;
}

}  // namespace HONE_NAMESPACE::privacy
