// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Losses of critics, each with its derivative by the critic's output, and how good a critic of success is.
///   sequence_critic_loss   -R log V - (1 - R) log(1 - V), V = sigmoid(v) of the prompt; slope V - R
///                                                                   [SPPO, arXiv 2604.08865; no clipping there]
///   token_critic_loss      1/2 max((v - G)^2, (clip(v, v_old +- range) - G)^2)     (PPO's value loss, verl, TRL)
///   probability_critic_loss   max of the binary cross-entropies of V and of clip(V, V_old +- range) to the return
///                                                                   (PPO's clip for a critic of success at each token)
/// The critic may be any model, smaller than the policy: it only hands over its outputs.
#pragma once
#include "hone/policy/advantage.hpp"

#include <cmath>

namespace HONE_NAMESPACE::policy {

namespace detail {

/// Binary cross-entropy of sigmoid(v) to the share @p r, without overflow; at v = +-inf 0 where r is its side, else
/// infinite.
inline double cross_entropy_of_logit(double r, double v) {
  if (std::isinf(v)) {
    const double miss = v > 0 ? 1 - r : r;
    return miss == 0 ? 0 : miss * std::abs(v);
  }
  return (v > 0 ? v : v == v ? 0 : v) - r * v + std::log1p(std::exp(-std::abs(v)));
}

inline void check_critic(std::span<const double> value, std::span<const double> old, std::span<const double> returns,
                         label_view targets, std::size_t tokens, double range, const char* function) {
  check_tokens(value.size(), tokens, false, function, "value");
  check_tokens(old.size(), tokens, false, function, "old");
  check_tokens(returns.size(), tokens, false, function, "returns");
  check_tokens(targets.size(), tokens, true, function, "targets");
  invalid_argument_unless(range > 0, function, "range", "must be positive, is %g", range);
}

/// Sums w_b f(t) over the tokens that count, f writing slope[t] unscaled; slopes become those of the divided loss.
template <class F, executor E>
loss::loss_sum token_losses(std::span<const index_t> offsets, label_view targets, const aggregation& mode,
                            std::span<double> slope, std::span<double> losses, const char* function, F&& f, E& pool) {
  check_layout(offsets, targets, slope.size(), function);
  check_output(slope, function, "slope");
  check_output(losses, function, "losses");
  mode.check();
  invalid_argument_unless(losses.empty() || losses.size() + 1 == offsets.size(), function, "losses",
                          "has %zu sequences, offsets %zu", losses.size(), offsets.size() - 1);
  double sums[3];
  sum_sequences<3>(
      offsets, sums,
      [&](std::size_t b, std::size_t begin, std::size_t end, double* partial) {
        const index_t count = count_tokens(targets, begin, end);
        const double share = mode.mean_of_tokens && count > 0 ? 1 / static_cast<double>(count) : 1;
        for (std::size_t t = begin; t < end; ++t) {
          slope[t] = 0;
          if (!targets.empty() && targets[t] < 0) continue;
          const double loss = f(t);
          slope[t] *= share / mode.denominator;
          partial[0] += loss;
          partial[2] += !std::isfinite(loss);
        }
        partial[0] *= share;
        partial[1] = static_cast<double>(count);
        if (!losses.empty()) losses[b] = partial[0];
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

}  // namespace detail

/// The sum over B prompts; slope[b] = scale (V - R) is the derivative by the logit v_b of scale times the sum.
/// @param value (B) logits; @param rewards (B) in [0, 1], success or its share; @param slope (B), which may be the
///        memory of either.
/// @throws std::invalid_argument if sizes differ, a reward is outside [0, 1] (a NaN is not misuse: its loss is NaN, and
///         counted), or scale is not finite.
/// @note Bitwise for any executor. V - R is minus the policy's advantage: both learn from one residual.
template <executor E = const serial>
loss::loss_sum sequence_critic_loss(std::span<const double> value, std::span<const double> rewards,
                                    std::span<double> slope, double scale = 1, E&& pool = serial{}) {
  const char* function = "hone::policy::sequence_critic_loss";
  detail::check_tokens(rewards.size(), value.size(), false, function, "rewards");
  detail::check_tokens(slope.size(), value.size(), false, function, "slope");
  check_output(slope, function, "slope");
  invalid_argument_unless(std::abs(scale) < 1e300, function, "scale", "must be finite, is %g", scale);
  for (std::size_t b = 0; b < rewards.size(); ++b)
    invalid_argument_unless(!(rewards[b] < 0 || rewards[b] > 1), function, "rewards",
                            "reward %zu must be in [0, 1], is %g", b, rewards[b]);
  double sums[3];
  blocked_sum<3, 1>(
      static_cast<index_t>(value.size()), sums,
      [&](index_t i, index_t, double* partial) {
        const auto b = static_cast<std::size_t>(i);
        const double r = rewards[b], v = value[b], loss = detail::cross_entropy_of_logit(r, v);
        slope[b] = -scale * detail::success_residual(r, v);
        partial[0] = loss;
        partial[1] = 1;
        partial[2] = !std::isfinite(loss);
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

/// PPO's clipped value loss over the tokens that count, aggregated by @p mode; slope[t] is the derivative of the
/// divided loss by value[t], 0 where the clipped term is larger and has none, and where nothing counts. @p range =
/// infinity: plain half squares. verl's and TRL's range is 0.5 or 0.2.
/// @param value, old, returns, slope (T); @param losses (B) undivided, for `total`, or none.
/// @throws std::invalid_argument if sizes do not fit, range or the denominator is not positive.
/// @note Allocates nothing; bitwise for any executor and any cut between responses.
template <executor E = const serial>
loss::loss_sum token_critic_loss(std::span<const double> value, std::span<const double> old,
                                 std::span<const double> returns, std::span<const index_t> offsets, label_view targets,
                                 const aggregation& mode, std::span<double> slope, double range = 0.5,
                                 std::span<double> losses = {}, E&& pool = serial{}) {
  const char* function = "hone::policy::token_critic_loss";
  detail::check_critic(value, old, returns, targets, slope.size(), range, function);
  const auto token = [&](std::size_t t) {
    const double clipped = detail::clamp(value[t], old[t] - range, old[t] + range);
    const double error = value[t] - returns[t], other = clipped - returns[t];
    const bool takes_clipped = other * other > error * error;
    slope[t] = takes_clipped ? 0 : error;
    return 0.5 * (takes_clipped ? other * other : error * error);
  };
  return detail::token_losses(offsets, targets, mode, slope, losses, function, token, pool);
}

/// The same for logits v of a success probability at each token: binary cross-entropy to returns in [0, 1], the clip on
/// probabilities, V_old +- range.
/// @throws std::invalid_argument as `token_critic_loss`, or if a return that counts is outside [0, 1].
template <executor E = const serial>
loss::loss_sum probability_critic_loss(std::span<const double> value, std::span<const double> old,
                                       std::span<const double> returns, std::span<const index_t> offsets,
                                       label_view targets, const aggregation& mode, std::span<double> slope,
                                       double range = 0.5, std::span<double> losses = {}, E&& pool = serial{}) {
  const char* function = "hone::policy::probability_critic_loss";
  detail::check_critic(value, old, returns, targets, slope.size(), range, function);
  for (std::size_t t = 0; t < returns.size(); ++t)
    invalid_argument_unless((!targets.empty() && targets[t] < 0) || !(returns[t] < 0 || returns[t] > 1), function,
                            "returns", "return %zu must be in [0, 1], is %g", t, returns[t]);
  const auto token = [&](std::size_t t) {
    const double v = sigmoid(value[t]), before = sigmoid(old[t]), r = returns[t];
    const double free = detail::cross_entropy_of_logit(r, value[t]);
    slope[t] = -detail::success_residual(r, value[t]);
    const double edge = detail::clamp(v, before - range, before + range);
    if (!(edge < v || edge > v)) return free;
    const double bound = -(r > 0 ? r * std::log(edge) : 0) - (r < 1 ? (1 - r) * std::log1p(-edge) : 0);
    if (bound > free) slope[t] = 0;
    return bound > free ? bound : free;
  };
  return detail::token_losses(offsets, targets, mode, slope, losses, function, token, pool);
}

}  // namespace HONE_NAMESPACE::policy
