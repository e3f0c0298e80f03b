// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What one release costs, under every accounting at once: which mechanism it is and its parameters, from which
/// (epsilon, delta), rho and r(alpha) follow. A curve belongs to one relation of neighbours; curves of two cannot meet.
#pragma once
#include "hone/privacy/zero_concentrated.hpp"

namespace HONE_NAMESPACE::privacy {

enum class loss_family {
  approximate,       ///< (epsilon, delta) and nothing else is known; without delta it has a rho, too
  concentrated,      ///< rho: Gaussian noise on a lattice, or what was accounted so
  gaussian,          ///< continuous Gaussian noise, whose loss is known exactly
  laplace,           ///< continuous Laplace noise
  sampled_gaussian,  ///< continuous Gaussian noise on a Poisson sample
};

/// One release; made by the functions below, which check.
template <adjacency Adjacency>
struct loss_curve {
  loss_family family = loss_family::approximate;
  epsilon_delta basic;   ///< what a basic sum charges; epsilon is infinite without a delta to charge it at
  double parameter = 0;  ///< rho, or the scale of the noise at a sensitivity of 1
  double rate = 1;       ///< of the sample

  friend bool operator==(const loss_curve&, const loss_curve&) = default;
};

namespace detail {

inline void check_charge(double delta, const char* function) {
  invalid_argument_unless(delta >= 0 && delta < 1, function, "delta", "must be in [0, 1), is %g", delta);
}

}  // namespace detail

/// A release that is (@p epsilon, @p delta)-private; 0 is without delta.
/// @throws std::invalid_argument unless epsilon is finite and not negative, delta in [0, 1).
template <adjacency Adjacency>
loss_curve<Adjacency> approximate_loss(double epsilon, double delta = 0) {
  detail::check_epsilon(epsilon, "hone::privacy::approximate_loss");
  detail::check_charge(delta, "hone::privacy::approximate_loss");
  return {loss_family::approximate, {epsilon, delta}};
}

/// A release of zero-concentrated loss @p rho, which a basic sum charges at @p delta.
/// @throws std::invalid_argument unless rho is finite and not negative, delta in [0, 1).
template <adjacency Adjacency>
loss_curve<Adjacency> concentrated_loss(double rho, double delta = 0) {
  detail::check_rho(rho, "hone::privacy::concentrated_loss");
  detail::check_charge(delta, "hone::privacy::concentrated_loss");
  const double epsilon = delta > 0 ? concentrated_epsilon(rho, delta) : rho == 0 ? 0 : detail::infinite;
  return {loss_family::concentrated, {epsilon, delta}, rho};
}

/// Continuous Gaussian noise of @p sigma sensitivities. @throws std::invalid_argument as the others.
template <adjacency Adjacency>
loss_curve<Adjacency> gaussian_loss(double sigma, double delta = 0) {
  loss_curve<Adjacency> curve = concentrated_loss<Adjacency>(gaussian_rho(sigma), delta);
  curve.family = loss_family::gaussian;
  curve.parameter = sigma;
  return curve;
}

/// Continuous Laplace noise of @p scale L1 sensitivities. @throws std::invalid_argument unless it is positive.
template <adjacency Adjacency>
loss_curve<Adjacency> laplace_loss(double scale) {
  detail::check_positive(scale, "hone::privacy::laplace_loss", "scale");
  return {loss_family::laplace, {detail::outward(1 / scale, 0), 0}, scale};
}

/// r(@p alpha) of @p curve; infinite where it has none.
template <adjacency Adjacency>
double renyi(const loss_curve<Adjacency>& curve, double alpha) {
  detail::check_order(alpha, "hone::privacy::renyi");
  const double epsilon = curve.basic.epsilon;
  switch (curve.family) {
    case loss_family::approximate: {
      if (curve.basic.delta > 0) return detail::infinite;
      const double r = alpha * pure_rho(epsilon);
      return (min)(epsilon, detail::outward(r, detail::unit * r));
    }
    case loss_family::concentrated: {
      const double r = alpha * curve.parameter;
      return detail::outward(r, detail::unit * r);
    }
    case loss_family::gaussian: return gaussian_renyi(alpha, curve.parameter);
    case loss_family::laplace: return laplace_renyi(alpha, curve.parameter);
    case loss_family::sampled_gaussian: break;
  }
  return sampled_gaussian_renyi(alpha, curve.rate, curve.parameter);
}

/// epsilon at @p delta of releases whose losses at each order add up to @p sum(alpha), the best of `each_order`.
template <class Sum>
double best_order_epsilon(Sum&& sum, double delta) {
  double best = detail::infinite;
  each_order([&](double alpha) { best = (min)(best, renyi_epsilon(alpha, sum(alpha), delta)); });
  return best;
}

/// Continuous Gaussian noise of @p sigma sensitivities on a batch in which each record is with probability @p rate by
/// itself: Poisson sampling, for records that are added or removed.
/// @throws std::invalid_argument unless rate is in [0, 1], sigma positive, delta in [0, 1).
inline loss_curve<add_or_remove> sampled_gaussian_loss(double rate, double sigma, double delta = 0) {
  detail::check_charge(delta, "hone::privacy::sampled_gaussian_loss");
  sampled_gaussian_renyi(2, rate, sigma);  // checks
  loss_curve<add_or_remove> curve{loss_family::sampled_gaussian, {detail::infinite, delta}, sigma, rate};
  if (rate == 0) curve.basic.epsilon = 0;
  if (rate > 0 && delta > 0)
    curve.basic.epsilon = best_order_epsilon([&](double alpha) { return renyi(curve, alpha); }, delta);
  return curve;
}

/// rho of @p curve, infinite where it has none.
template <adjacency Adjacency>
double concentrated(const loss_curve<Adjacency>& curve) {
  switch (curve.family) {
    case loss_family::approximate: return curve.basic.delta > 0 ? detail::infinite : pure_rho(curve.basic.epsilon);
    case loss_family::concentrated: return curve.parameter;
    case loss_family::laplace: return pure_rho(curve.basic.epsilon);
    case loss_family::gaussian: return gaussian_rho(curve.parameter);
    case loss_family::sampled_gaussian: break;
  }
  return curve.rate == 0 ? 0 : gaussian_rho(curve.parameter);  // sampling never costs
}

}  // namespace HONE_NAMESPACE::privacy
