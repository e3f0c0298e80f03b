// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a probe is trained to: the log loss of its logits against labels in [0, 1], over the noise of Dirichlet
/// weights W ~ Dir(alpha), mean a = alpha / alpha_0:
///   sampled   the mean over K draws of loss(sum_l W_l u_l + b)                         [arXiv 2602.11877]
///   delta     loss(m) + 1/2 V loss''(m), m = sum_l a_l u_l + b, V = (sum a u^2 - (sum a u)^2) / (alpha_0 + 1):
///             the same to second order without draws
///   mean      loss(m)
/// plus kl KL(Dir(alpha) || Dir(prior, ...)) - entropy H(Dir(alpha)) a sample, which the authors do not have. For a
/// linear head all of it is a function of the L numbers u_l = <w, z_l>.
#pragma once
#include "hone/core/sigmoid.hpp"
#include "hone/routing/dirichlet.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

enum class weight_noise : std::uint8_t { sampled, delta, mean };

/// The published objective unless told.
struct probe_objective {
  weight_noise noise = weight_noise::sampled;  ///< of Dirichlet weights; others have none
  index_t draws = 1;                           ///< a sample, at most 65535
  gradient_form form = gradient_form::beta;
  double kl = 0;
  double prior = 1;  ///< concentration of each layer
  double entropy = 0;
  double positive_weight = 1;  ///< of the part of the loss that is y's
  double negative_weight = 1;  ///< of that of 1 - y
  double dropout = 0;          ///< in hidden layers of the head and of the concentrations
};

namespace detail {

inline void check_objective(const probe_objective& o, const char* function) {
  invalid_argument_unless(o.draws >= 1 && o.draws <= 65535, function, "draws", "must be in [1, 65535], is %td",
                          o.draws);
  const auto not_negative = [&](double value, const char* name) {
    invalid_argument_unless(value >= 0 && value < 1e300, function, name, "must not be negative, is %g", value);
  };
  not_negative(o.kl, "kl");
  not_negative(o.entropy, "entropy");
  not_negative(o.positive_weight, "positive_weight");
  not_negative(o.negative_weight, "negative_weight");
  invalid_argument_unless(o.prior > 0 && o.prior < 1e300, function, "prior", "must be positive, is %g", o.prior);
  invalid_argument_unless(o.dropout >= 0 && o.dropout < 1, function, "dropout", "must be in [0, 1), is %g", o.dropout);
}

}  // namespace detail

/// A loss and its derivatives in the logit.
struct logit_terms {
  double loss = 0, slope = 0, curvature = 0, third = 0;
};

/// -w1 y log sigmoid(z) - w0 (1 - y) log sigmoid(-z).
inline logit_terms binary_loss(double y, double z, double positive_weight = 1, double negative_weight = 1) {
  const double yes = positive_weight * y, no = negative_weight * (1 - y), p = sigmoid(z), q = sigmoid(-z);
  const double curvature = (yes + no) * p * q;
  return {-yes * log_sigmoid(z) - no * log_sigmoid(-z), no * p - yes * q, curvature, curvature * (q - p)};
}

/// What one sample of a linear head adds, and how that moves.
struct sample_terms {
  double loss = 0;
  double bias = 0;             ///< the loss's derivative in b
  std::vector<double> layers;  ///< in u_l, L
  std::vector<double> alpha;   ///< in the concentrations, L

  void clear(std::size_t size) {
    loss = bias = 0;
    layers.assign(size, 0);
    alpha.assign(size, 0);
  }
};

/// Adds to @p terms the loss of the weights of @p draw, times @p share.
/// @param u the layers' logits (L)
/// @return the logit.
inline double add_drawn_terms(std::span<const double> u, double bias, double label, const probe_objective& objective,
                              const dirichlet_draw& draw, const dirichlet_gradient& gradient, double share,
                              sample_terms& terms) {
  const auto x = draw.weights();
  double logit = bias;
  for (std::size_t l = 0; l < u.size(); ++l) logit += x[l] * u[l];
  const logit_terms t = binary_loss(label, logit, objective.positive_weight, objective.negative_weight);
  terms.loss += share * t.loss;
  terms.bias += share * t.slope;
  for (std::size_t l = 0; l < u.size(); ++l) terms.layers[l] += share * t.slope * x[l];
  gradient.add(draw, u, share * t.slope, terms.alpha);
  return logit;
}

/// Adds to @p terms the loss of the mean weights @p a (L), of concentrations that add up to @p total; with @p delta
/// half the logit's variance times its curvature too.
/// @return the logit.
inline double add_mean_terms(std::span<const double> u, double bias, double label, const probe_objective& objective,
                             std::span<const double> a, double total, bool delta, sample_terms& terms) {
  double mean = 0, variance = 0;
  for (std::size_t l = 0; l < u.size(); ++l) mean += a[l] * u[l];
  for (std::size_t l = 0; l < u.size(); ++l) variance += a[l] * (u[l] - mean) * (u[l] - mean);
  variance /= total + 1;
  const logit_terms t = binary_loss(label, mean + bias, objective.positive_weight, objective.negative_weight);
  const double half = delta ? 0.5 : 0, slope = t.slope + half * variance * t.third, spread = half * t.curvature;
  terms.loss += t.loss + spread * variance;
  terms.bias += slope;
  for (std::size_t l = 0; l < u.size(); ++l) {
    const double distance = u[l] - mean;
    terms.layers[l] += slope * a[l] + spread * 2 * a[l] * distance / (total + 1);
    // In alpha_l: of the mean distance / alpha_0, of V (distance^2 / (alpha_0 + 1) - V) / alpha_0 - V / (1 + alpha_0).
    terms.alpha[l] += slope * distance / total +
                      spread * ((distance * distance / (total + 1) - variance) / total - variance / (total + 1));
  }
  return mean + bias;
}

/// Adds the regularisers' values and their gradients.
inline void add_regularisers(std::span<const double> alpha, const probe_objective& objective, double& loss,
                             std::span<double> gradient) {
  if (objective.kl != 0) {
    const std::vector<double> prior(alpha.size(), objective.prior);
    loss += objective.kl * dirichlet_kl(alpha, prior, gradient, objective.kl);
  }
  if (objective.entropy != 0) loss -= objective.entropy * dirichlet_entropy(alpha, gradient, -objective.entropy);
}

}  // namespace HONE_NAMESPACE::routing
