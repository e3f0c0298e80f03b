// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// GradNorm: weights w_i, summing to K, that are learned so that tasks train at one rate. With n_i = w_i |g_i|, their
/// mean n and the relative inverse training rate r_i = (L_i / L_i(0)) / mean_j (L_j / L_j(0)),
///   w_i <- w_i - rate d/dw_i sum_i |n_i - n r_i^alpha|   (the target n r_i^alpha held constant),
/// then
///   w <- w K / sum w
/// [Chen et al. 2018, GradNorm, arXiv 1711.02257, Eq. 2, Alg. 1]
///
/// The derivative is sign(n_i - target_i) |g_i|; here it is divided by the mean |g_j|, so that the learning rate does
/// not depend on the gradients' scale. The paper takes |g_i| at the last shared layer: any Gram matrix will do. LibMTL
/// learns the logits of a softmax with the model's optimiser, from the second epoch on, against the first epoch's mean
/// losses.
#pragma once
#include "hone/gradient/tasks.hpp"

namespace HONE_NAMESPACE::gradient {

struct gradnorm_options {
  double alpha = 1.5;  ///< 0 equalises the lengths; larger pulls harder towards one training rate
  double learning_rate = 0.025;
};

/// The weights, for `weighted_sum` and the next update; belongs to the caller.
template <std::size_t K>
struct gradnorm_state {
  std::array<double, K> weight = detail::filled<K>(1);
  std::array<double, K> initial_loss{};  ///< of the first step, positive
};

template <std::size_t K>
struct gradnorm_report {
  std::array<double, K> length{};  ///< n_i before the update
  std::array<double, K> target{};
  double loss = 0;  ///< sum_i |n_i - target_i|
  /// False: a loss or the Gram matrix is non-finite, a loss negative, or all are zero; nothing is done.
  bool updated = false;
};

/// One update of the weights from the losses @p loss and inner products @p g of a step. Weights stay at or above 0.
/// @throws std::invalid_argument if an option is negative or non-finite, or an initial loss not positive and finite.
template <std::size_t K>
gradnorm_report<K> update_gradnorm(gradnorm_state<K>& state, const std::array<double, K>& loss, const gram_matrix<K>& g,
                                   const gradnorm_options& options = {}) {
  const char* function = "hone::gradient::update_gradnorm";
  detail::check_weight(options.alpha, function, "alpha");
  detail::check_weight(options.learning_rate, function, "learning_rate");
  gradnorm_report<K> report;
  double mean_rate = 0, mean_length = 0, mean_gradient = 0;
  std::array<double, K> rate{}, gradient{};
  for (std::size_t i = 0; i < K; ++i) {
    invalid_argument_unless(state.initial_loss[i] > 0 && std::isfinite(state.initial_loss[i]), function, "state",
                            "initial loss %zu must be positive and finite, is %g", i, state.initial_loss[i]);
    if (!(loss[i] >= 0)) return report;
    rate[i] = loss[i] / state.initial_loss[i];
    gradient[i] = std::sqrt((max)(g(i, i), 0.0));
    report.length[i] = state.weight[i] * gradient[i];
    mean_rate += rate[i] / K;
    mean_length += report.length[i] / K;
    mean_gradient += gradient[i] / K;
  }
  if (!g.finite() || !(mean_rate > 0 && std::isfinite(mean_rate) && mean_gradient > 0)) return report;
  std::array<double, K> next = state.weight;
  double sum = 0;
  for (std::size_t i = 0; i < K; ++i) {
    report.target[i] = mean_length * std::pow(rate[i] / mean_rate, options.alpha);
    const double excess = report.length[i] - report.target[i];
    report.loss += std::abs(excess);
    const double sign = excess > 0 ? 1 : excess < 0 ? -1 : 0;
    next[i] = (max)(next[i] - options.learning_rate * sign * gradient[i] / mean_gradient, 0.0);
    sum += next[i];
  }
  if (!(sum > 0)) return report;
  for (std::size_t i = 0; i < K; ++i) state.weight[i] = next[i] * (K / sum);
  report.updated = true;
  return report;
}

}  // namespace HONE_NAMESPACE::gradient
