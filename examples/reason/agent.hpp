// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One step of reinforcement learning: responses are drawn and checked, rewards become advantages, and the policy and
/// its critic, if it has one, learn from them in minibatches.
#pragma once
#include <optional>

#include "hone/statistics/calibration.hpp"
#include "hone/statistics/means.hpp"
#include "hone/transformer/critic.hpp"
#include "reason/measures.hpp"
#include "reason/settings.hpp"

namespace reason {

/// What happened since the last line of the table: sums over steps.
struct step_sums {
  double steps = 0, reward = 0, zero_variance = 0, entropy = 0, length = 0;
  double advantage_mean = 0, advantage_variance = 0;  ///< over tokens, before any whitening
  double negative = 0, negative_active = 0, inactive = 0, tokens = 0;
  std::vector<double> value, outcome;  ///< the critic's logits of success, before it learnt from the outcomes
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(step_sums, steps, reward, zero_variance, entropy, length, advantage_mean,
                                   advantage_variance, negative, negative_active, inactive, tokens, value, outcome)

/// The logit of a value, as far as it is a probability.
inline double logit_of_value(double value) {
  const double v = std::clamp(value, 1e-6, 1 - 1e-6);
  return std::log(v / (1 - v));
}

/// How well the @p logits of success foretell the @p outcomes.
inline statistics::calibration calibrate(std::span<const double> logits, std::span<const double> outcomes) {
  std::vector<double> probabilities;
  for (const double v : logits) probabilities.push_back(1 / (1 + std::exp(-v)));
  return statistics::calibrate(probabilities, outcomes);
}

class agent {
 public:
  using critic = transformer::critic<float>;

  agent(const task& t, const settings& s, const transformer::config& shape, std::vector<float> parameters,
        thread_pool& pool)
      : task_(t), settings_(s), pool_(pool), recipe_(recipe_of(s.algorithm)), group_(s.group_of(recipe_)),
        policy_(shape, std::move(parameters), network_options) {
    policy_.remember_reference();
    if (recipe_.needs.critic == policy::critic_kind::none) return;
    const auto critics = transformer::critic_shape(shape, s.critic_size);
    critic_.emplace(
        recipe_.needs.critic == policy::critic_kind::sequence, critics,
        transformer::initial_critic(critics, shape, policy_.parameters(), seed_of(s.seed, stream::parameters, 1)),
        network_options);
  }

  [[nodiscard]] network& policy() { return policy_; }
  [[nodiscard]] critic* value() { return critic_ ? &*critic_ : nullptr; }
  [[nodiscard]] index_t generated() const { return generated_; }
  void set_generated(index_t tokens) { generated_ = tokens; }

  /// Step number @p step, from 1 on: a function of the present state and the number.
  /// @throws std::runtime_error if the gradient of an update is not finite.
  void step(long step, step_sums& seen) {
    const rollout r = draw(step);
    const transformer::measured_responses m = measure(r);
    note(r, m, seen);
    if (critic_)
      for (long e = 0; e < settings_.epochs; ++e) teach_critic(r, m);
    for (long e = 0; e < settings_.epochs; ++e)
      for (long i = 0; i < settings_.minibatches; ++i) teach_policy(r, m, i, e == 0 ? &seen : nullptr);
  }

 private:
  rollout draw(long step) {
    const transformer::generator<float> generate(policy_.model(), policy_.parameters());
    const index_t prompts = settings_.batch / group_;
    const auto draw_round = [&](index_t round) {
      const auto first =
          static_cast<std::uint64_t>(rounds * (step - 1) + round) * static_cast<std::uint64_t>(settings_.batch);
      rollout r =
          draw_rollout(task_, generate, draw_problems(task_, seed_of(settings_.seed, stream::training), first, prompts),
                       policy_.shape().max_seq,
                       {.group = group_,
                        .temperature = settings_.temperature,
                        .seed = seed_of(settings_.seed, stream::drawing),
                        .first = first},
                       pool_);
      generated_ += r.tokens();
      return r;
    };
    return recipe_.needs.informative ? transformer::draw_informative(prompts, rounds, draw_round) : draw_round(0);
  }

  transformer::measured_responses measure(const rollout& r) {
    transformer::measure_options how{.temperature = settings_.temperature};
    if (critic_) how.values = critic_->values(r, pool_);
    if (recipe_.needs.greedy) {
      const transformer::generator<float> generate(policy_.model(), policy_.parameters());
      const rollout best =
          draw_rollout(task_, generate, r.problems, policy_.shape().max_seq, {.temperature = 0}, pool_);
      generated_ += best.tokens();
      how.greedy = best.rewards;
    }
    return transformer::measure_responses(policy_, recipe_, r, std::move(how), pool_);
  }

  void teach_critic(const rollout& r, const transformer::measured_responses& m) {
    const auto how = settings_.step_at(settings_.critic_rate);
    require_finite(critic_->of_prompts()
                       ? critic_->learn_rewards(r, settings_.minibatches, how, pool_)
                       : critic_->learn_returns(r, m.values, m.returns, 0.5, settings_.minibatches, how, pool_));
  }

  void teach_policy(const rollout& r, const transformer::measured_responses& m, long i, step_sums* seen) {
    const auto [first, last] = transformer::part_of(r.group_count(), i, settings_.minibatches);
    if (first == last) return;
    const auto seed = seed_of(settings_.seed, stream::choice, static_cast<std::uint64_t>(policy_.updates()));
    const auto [sum, length] = transformer::update_policy(policy_, recipe_, r, m, first, last,
                                                          {.temperature = settings_.temperature,
                                                           .longest = task_.longest_response(),
                                                           .seed = seed,
                                                           .step = settings_.step_at(settings_.rate)},
                                                          pool_);
    require_finite(length);
    if (seen == nullptr) return;
    seen->negative += static_cast<double>(sum.negative);
    seen->negative_active += static_cast<double>(sum.negative_active);
    seen->inactive += static_cast<double>(sum.inactive);
    seen->tokens += static_cast<double>(sum.tokens);
  }

  void note(const rollout& r, const transformer::measured_responses& m, step_sums& seen) {
    const statistics::mean_estimate raw = raw_advantage(r, m);
    seen.steps += 1;
    seen.reward += statistics::estimate_mean(r.rewards).mean;
    seen.zero_variance += policy::share_groups(r.rewards, r.groups).zero_variance;
    seen.entropy += policy::mean_over_tokens(m.entropy, {}, r.rows.targets, [](double x) { return x; }).all;
    seen.length += static_cast<double>(r.tokens()) / static_cast<double>(r.count());
    seen.advantage_mean += raw.mean;
    if (raw.count > 1) seen.advantage_variance += statistics::variance(raw);
    if (!critic_) return;
    for (index_t b = 0; b < r.count(); ++b) {
      const auto at = static_cast<std::size_t>(b), row = static_cast<std::size_t>(r.rows.prompt_end(b));
      seen.outcome.push_back(r.rewards[at]);
      seen.value.push_back(critic_->of_prompts() ? m.values[at] : logit_of_value(m.values[row]));
    }
  }

  /// The mean of the tokens' advantages as they are before they are whitened.
  statistics::mean_estimate raw_advantage(const rollout& r, const transformer::measured_responses& m) {
    std::vector<double> raw(m.advantage), of_tokens;
    if (recipe_.whitens) {
      policy::recipe plain = recipe_;
      plain.whitens = false;
      policy::token_advantages(plain, m.view(r), raw, {}, pool_);
    }
    for (std::size_t t = 0; t < raw.size(); ++t)
      if (r.rows.targets[t] >= 0) of_tokens.push_back(raw[t]);
    return statistics::estimate_mean(of_tokens);
  }

  static constexpr long rounds = 4;  ///< of drawing, at most, where groups must be informative

  const task& task_;
  const settings& settings_;
  thread_pool& pool_;
  policy::recipe recipe_;
  index_t group_;
  network policy_;
  std::optional<critic> critic_;
  index_t generated_ = 0;
};

}  // namespace reason
