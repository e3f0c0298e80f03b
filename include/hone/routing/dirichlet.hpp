// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Dirichlet weights over layers and their gradients in the concentrations alpha (L), for any upstream gradient g of
/// the weights x [spec of ProbeDirichlet, arXiv 2602.11877; zhuchichi56/RouterXBench]:
///   form `beta`    dalpha_l = x_l dw_l/dalpha_l (g_l - sum_j x_j g_j), w_l the logit of x_l, Beta(alpha_l, rest)
///   form `gamma`   dalpha_l = x_l dv_l/dalpha_l (g_l - sum_j x_j g_j), v_l the logarithm of the gamma variate
/// Both are unbiased; the first, which torch has, is the second's mean given x, and so varies less. Weights are kept
/// as logarithms: at concentrations of 1e-30 too every draw is near one corner, not 0/0, and its gradient is finite.
///
/// Draws are addressed by (epoch, sample, draw, layer): no batch, cut or thread changes one.
#pragma once
#include "hone/core/implicit.hpp"
#include "hone/core/simd_random.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

/// By what a draw's gradient is computed.
enum class gradient_form : std::uint8_t { beta, gamma };

/// The random numbers of one epoch, streams and seeds apart from those of every other.
inline philox epoch_random(const philox& random, std::uint64_t epoch) {
  const auto words = random.bits(epoch);
  return {(std::uint64_t{words[0]} << 32) | words[1], random.stream};
}

/// The index of draw @p draw (below 65536) of sample @p sample, in what `philox::log_dirichlet` counts.
inline std::uint64_t draw_index(std::size_t sample, index_t draw) {
  return (static_cast<std::uint64_t>(sample) << 16) + static_cast<std::uint64_t>(draw);
}

/// What concentrations are drawn with at least: a weight that never comes.
inline constexpr double least_concentration = 1e-100;
inline constexpr double most_concentration = 1e6;  ///< of all layers together: hardly any noise is left

/// One draw: weights, and the logarithms of the gamma variates that they are made of.
class dirichlet_draw {
 public:
  /// From the draws of index @p index of @p random; the weights of `philox::log_dirichlet`.
  void sample(std::span<const double> concentrations, const philox& random, std::uint64_t index) {
    log_variates_.resize(concentrations.size());
    fill_log_gamma(random, concentrations, index * concentrations.size(), log_variates_);
    normalise();
  }
  /// From the logarithms of gamma variates; for form `beta` of the weights themselves will do.
  void set(std::span<const double> log_variates) {
    log_variates_.assign(log_variates.begin(), log_variates.end());
    normalise();
  }

  [[nodiscard]] std::size_t size() const { return log_variates_.size(); }
  [[nodiscard]] std::span<const double> weights() const { return weights_; }
  [[nodiscard]] double log_variate(std::size_t l) const { return log_variates_[l]; }
  [[nodiscard]] double log_weight(std::size_t l) const { return log_variates_[l] - log_total_; }
  /// 1 - x_l, of the largest weight as the sum of the others.
  [[nodiscard]] double rest(std::size_t l) const { return l == largest_ ? others_ : 1 - weights_[l]; }
  [[nodiscard]] std::size_t largest() const { return largest_; }

 private:
  void normalise() {
    const std::size_t n = size();
    weights_.resize(n);
    largest_ = 0;
    for (std::size_t l = 1; l < n; ++l)
      if (log_variates_[l] > log_variates_[largest_]) largest_ = l;
    double second = -std::numeric_limits<double>::infinity(), others = 0;
    for (std::size_t l = 0; l < n; ++l)
      if (l != largest_) second = (max)(second, log_variates_[l]);
    const bool alone = second == -std::numeric_limits<double>::infinity();
    for (std::size_t l = 0; l < n; ++l)
      if (l != largest_) others += weights_[l] = alone ? 0 : std::exp(log_variates_[l] - second);
    const double top = n == 0 ? 0 : log_variates_[largest_];
    log_total_ = top + (alone ? 0 : std::log1p(others * std::exp(second - top)));
    // One exponential a weight: the others are their shares of the largest of them.
    const double factor = std::exp(second - log_total_);
    others_ = others * factor;
    for (std::size_t l = 0; l < n; ++l) weights_[l] = l == largest_ ? std::exp(top - log_total_) : weights_[l] * factor;
  }

  std::vector<double> log_variates_, weights_;
  double log_total_ = 0, others_ = 0;
  std::size_t largest_ = 0;
};

/// The gradients of draws at given concentrations, of which what does not depend on the draw is computed once.
class dirichlet_gradient {
 public:
  /// @throws std::invalid_argument unless all @p concentrations are in [1e-100, 1e300).
  dirichlet_gradient(std::span<const double> concentrations, gradient_form form)
      : concentrations_(concentrations.begin(), concentrations.end()), form_(form) {
    for (const double a : concentrations)
      invalid_argument_unless(a >= least_concentration && a < 1e300, "hone::routing::dirichlet_gradient",
                              "concentrations", "must be in [1e-100, 1e300), one is %g", a);
    if (form == gradient_form::gamma || concentrations.size() < 2) return;
    slopes_.reserve(concentrations.size());
    for (std::size_t l = 0; l < concentrations.size(); ++l) {
      double rest = 0;  // not total - own, which would lose small others
      for (std::size_t j = 0; j < concentrations.size(); ++j) rest += j == l ? 0 : concentrations[j];
      slopes_.emplace_back(concentrations[l], rest);
    }
  }

  /// gradient[l] += dalpha_l of @p draw and @p scale times @p upstream (L), the loss's gradient in the weights.
  /// @note 0.1 us a layer at the concentrations of a trained probe.
  void add(const dirichlet_draw& draw, std::span<const double> upstream, double scale,
           std::span<double> gradient) const {
    const std::size_t n = concentrations_.size(), top = draw.largest();
    if (n < 2) return;
    const auto x = draw.weights();
    // g_l - sum_j x_j g_j from the largest weight's g, so that nothing cancels where that weight is nearly 1.
    double sum = 0;
    for (std::size_t l = 0; l < n; ++l) sum += x[l] * (upstream[l] - upstream[top]);
    for (std::size_t l = 0; l < n; ++l) {
      const double force = (upstream[l] - upstream[top]) - sum;
      if (x[l] == 0 || force == 0) continue;
      const double slope = form_ == gradient_form::beta ? slopes_[l](x[l], draw.log_weight(l), draw.rest(l))
                                                        : log_gamma_slope(concentrations_[l], draw.log_variate(l));
      gradient[l] += x[l] * slope * (scale * force);
    }
  }

  [[nodiscard]] std::span<const double> concentrations() const { return concentrations_; }

 private:
  std::vector<double> concentrations_;
  std::vector<beta_slope> slopes_;
  gradient_form form_;
};

/// KL(Dir(@p alpha) || Dir(@p prior)), each (L); its gradient in alpha times @p scale is added to @p gradient (L, or
/// none).
inline double dirichlet_kl(std::span<const double> alpha, std::span<const double> prior,
                           std::span<double> gradient = {}, double scale = 1) {
  double total = 0, other = 0, kl = 0;
  for (std::size_t l = 0; l < alpha.size(); ++l) {
    total += alpha[l];
    other += prior[l];
  }
  const double common = digamma(total), curvature = trigamma(total);
  kl = log_gamma(total) - log_gamma(other);
  for (std::size_t l = 0; l < alpha.size(); ++l) {
    kl += log_gamma(prior[l]) - log_gamma(alpha[l]) + (alpha[l] - prior[l]) * (digamma(alpha[l]) - common);
    if (!gradient.empty())
      gradient[l] += scale * ((alpha[l] - prior[l]) * trigamma(alpha[l]) - (total - other) * curvature);
  }
  return kl;
}

/// The entropy of Dir(@p alpha), in nats; its gradient times @p scale is added to @p gradient (L, or none).
inline double dirichlet_entropy(std::span<const double> alpha, std::span<double> gradient = {}, double scale = 1) {
  double total = 0;
  for (const double a : alpha) total += a;
  const double excess = total - static_cast<double>(alpha.size()), curvature = trigamma(total);
  double entropy = excess * digamma(total) - log_gamma(total);
  for (std::size_t l = 0; l < alpha.size(); ++l) {
    entropy += log_gamma(alpha[l]) - (alpha[l] - 1) * digamma(alpha[l]);
    if (!gradient.empty()) gradient[l] += scale * (excess * curvature - (alpha[l] - 1) * trigamma(alpha[l]));
  }
  return entropy;
}

/// The logarithm of Dir(@p alpha)'s density at weights with logarithms @p log_weights (L); its gradient in alpha times
/// @p scale is added to @p gradient (L, or none).
/// @throws std::invalid_argument unless there are as many weights as concentrations.
inline double dirichlet_log_density(std::span<const double> alpha, std::span<const double> log_weights,
                                    std::span<double> gradient = {}, double scale = 1) {
  invalid_argument_unless(log_weights.size() == alpha.size(), "hone::routing::dirichlet_log_density", "log_weights",
                          "has %zu elements, alpha %zu", log_weights.size(), alpha.size());
  double total = 0;
  for (const double a : alpha) total += a;
  const double common = digamma(total);
  double density = log_gamma(total);
  for (std::size_t l = 0; l < alpha.size(); ++l) {
    density += (alpha[l] - 1) * log_weights[l] - log_gamma(alpha[l]);
    if (!gradient.empty()) gradient[l] += scale * (common - digamma(alpha[l]) + log_weights[l]);
  }
  return density;
}

/// How many layers share a draw: 1 / E[sum of squared weights].
inline double effective_layers(std::span<const double> alpha) {
  double total = 0, squares = 0;
  for (const double a : alpha) total += a;
  for (const double a : alpha) squares += (a / total) * (a / total);
  return (1 + total) / (1 + total * squares);
}

}  // namespace HONE_NAMESPACE::routing
