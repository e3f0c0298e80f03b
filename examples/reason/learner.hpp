// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One step of reinforcement learning: responses are drawn and checked, rewards become advantages, and the policy and
/// its critic, if it has one, learn from them in minibatches. A minibatch's denominators are those of the whole of it,
/// however it is cut into microbatches.
#pragma once
#include <optional>

#include "hone/statistics/means.hpp"
#include "reason/critic.hpp"
#include "reason/measures.hpp"
#include "reason/settings.hpp"

namespace reason {

/// What happened since the last line of the table: sums over steps.
struct interval {
  double steps = 0, reward = 0, zero_variance = 0, entropy = 0, length = 0;
  double advantage_mean = 0, advantage_variance = 0;  ///< over tokens, before any whitening
  double negative = 0, negative_active = 0, inactive = 0, tokens = 0;
  std::vector<double> value, outcome;  ///< the critic's logits of success, before it learnt from the outcomes
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(interval, steps, reward, zero_variance, entropy, length, advantage_mean,
                                   advantage_variance, negative, negative_active, inactive, tokens, value, outcome)

class learner {
 public:
  learner(const task& t, const settings& s, const transformer::config& shape, std::vector<float> parameters,
          std::vector<float> reference, thread_pool& pool)
      : task_(t), settings_(s), pool_(pool), algorithm_(make_algorithm(s.algorithm)), group_(s.group_of(algorithm_)),
        policy_(shape, std::move(parameters)), reference_(std::move(reference)) {
    if (algorithm_.needs.critic == critic_kind::none) return;
    const auto critics = critic_shape(shape, s.critic_size);
    critic_.emplace(algorithm_.needs.critic == critic_kind::sequence, critics,
                    critic_start(critics, shape, reference_, seed_of(s.seed, stream::parameters, 1)));
  }

  [[nodiscard]] network& policy() { return policy_; }
  [[nodiscard]] std::vector<float>& reference() { return reference_; }
  [[nodiscard]] critic* value() { return critic_ ? &*critic_ : nullptr; }
  [[nodiscard]] index_t generated() const { return generated_; }
  void set_generated(index_t tokens) { generated_ = tokens; }
  [[nodiscard]] index_t group() const { return group_; }

  /// Step number @p step, from 1 on: a function of the present state and the number.
  void step(long step, interval& seen) {
    rollout r = draw(step);
    batch b = measure(r);
    note(r, b, seen);
    if (critic_)
      for (long e = 0; e < settings_.epochs; ++e) teach_critic(r, b);
    for (long e = 0; e < settings_.epochs; ++e)
      for (long i = 0; i < settings_.minibatches; ++i) teach_policy(r, b, i, e == 0 ? &seen : nullptr);
  }

 private:
  /// What is known of the rows of a rollout.
  struct batch {
    std::vector<double> old, entropy, values, advantage, returns, greedy;
    reference_rows reference;
  };

  rollout draw(long step) {
    const transformer::generator<float> generate(policy_.model(), policy_.parameters());
    const index_t prompts = settings_.batch / group_;
    rollout kept;
    for (long round = 0;; ++round) {
      const auto first =
          static_cast<std::uint64_t>(rounds * (step - 1) + round) * static_cast<std::uint64_t>(settings_.batch);
      rollout r = draw_responses(task_, generate,
                                 draw_problems(task_, seed_of(settings_.seed, stream::training), first, prompts),
                                 policy_.shape().max_seq,
                                 {.group = group_,
                                  .temperature = settings_.temperature,
                                  .seed = seed_of(settings_.seed, stream::drawing),
                                  .first = first},
                                 pool_);
      generated_ += r.tokens();
      if (!algorithm_.needs.informative) return r;
      std::vector<std::uint8_t> keep(r.problems.size());
      policy::informative_groups(r.rewards, r.groups, keep);
      auto wanted = static_cast<std::size_t>(prompts) - kept.problems.size();
      for (std::uint8_t& k : keep) k = k != 0 && wanted > 0 && wanted-- > 0;
      kept.take(r, keep);
      if (std::ssize(kept.problems) == prompts) return kept;
      if (round + 1 == rounds) return kept.problems.empty() ? r : kept;
    }
  }

  batch measure(rollout& r) {
    const requirements& needs = algorithm_.needs;
    const std::size_t rows = r.rows.tokens.size();
    batch b;
    b.old.resize(rows);
    b.entropy.resize(rows);
    policy_.evaluate(
        r.rows.batch(),
        [&](microbatch<float>& part) {
          const index_t first = part.first_row, n = part.tokens.rows();
          policy::measure(part.activations.logits(), rows_of(r.rows.targets, first, n), {},
                          {.log_probability = rows_of(b.old, first, n), .entropy = rows_of(b.entropy, first, n)},
                          settings_.temperature);
        },
        pool_);
    if (needs.reference || needs.support > 0)
      b.reference = measure_reference(policy_, reference_, r.rows, needs.support, false, settings_.temperature, pool_);
    if (critic_) b.values = critic_->values(r, pool_);
    if (needs.greedy) {
      const transformer::generator<float> generate(policy_.model(), policy_.parameters());
      const rollout best =
          draw_responses(task_, generate, r.problems, policy_.shape().max_seq, {.temperature = 0}, pool_);
      generated_ += best.tokens();
      b.greedy = best.rewards;
    }
    b.advantage.resize(rows);
    b.returns.resize(rows);
    advantages(algorithm_, view(r, b), b.advantage, b.returns, pool_);
    return b;
  }

  void teach_critic(const rollout& r, const batch& b) {
    const optimiser_settings how{settings_.critic_rate, settings_.weight_decay, settings_.clip, settings_.warmup};
    if (critic_->of_sequences())
      critic_->learn_rewards(r, settings_.minibatches, how, pool_);
    else
      critic_->learn_returns(r, b.values, b.returns, 0.5, settings_.minibatches, how, pool_);
  }

  void teach_policy(rollout& r, batch& b, long i, interval* seen) {
    const auto [first_group, last_group] = part_of(r.problems.size(), i, settings_.minibatches);
    if (first_group == last_group) return;
    const index_t first = r.groups[static_cast<std::size_t>(first_group)];
    const batch_slice slice(r.rows.tokens, r.rows.offsets, first, r.groups[static_cast<std::size_t>(last_group)]);
    const index_t rows = slice.batch().rows();
    const batch_totals totals = count_totals(slice.batch().offsets, rows_of(r.rows.targets, slice.first_row, rows),
                                             rows_of(r.rewards, first, slice.batch().sequences()));
    const auto n = static_cast<std::size_t>(rows);
    const requirements& needs = algorithm_.needs;
    std::vector<double> log_p(n), entropy(needs.entropy ? n : 0), log_mass(needs.support > 0 ? n : 0),
        likelihood(needs.likelihood ? n : 0);
    std::vector<double> weight;
    std::vector<loss::row_terms> terms(n);
    std::vector<policy::policy_sum> sums(static_cast<std::size_t>(slice.batch().sequences()));
    const auto read = [&](microbatch<float>& part) {
      const index_t row = part.first_row, count = part.tokens.rows(), whole = slice.first_row + row;
      policy::measure(part.activations.logits(), rows_of(r.rows.targets, whole, count),
                      b.reference.support(whole, count),
                      {.log_probability = rows_of(log_p, row, count),
                       .entropy = rows_of(entropy, row, count),
                       .log_mass = rows_of(log_mass, row, count),
                       .reference_likelihood = rows_of(likelihood, row, count)},
                      settings_.temperature);
    };
    const auto tokens = [&](std::span<const index_t> offsets, index_t row, index_t count) {
      const index_t whole = slice.first_row + row;
      return policy::token_batch{.offsets = offsets,
                                 .targets = rows_of(r.rows.targets, whole, count),
                                 .log_probability = rows_of(log_p, row, count),
                                 .old = rows_of(b.old, whole, count),
                                 .advantage = rows_of(b.advantage, whole, count),
                                 .weight = rows_of(weight, row, count),
                                 .reference = rows_of(b.reference.log_probability, whole, count),
                                 .entropy = rows_of(entropy, row, count),
                                 .log_mass = rows_of(log_mass, row, count),
                                 .reference_mass = rows_of(b.reference.mass, whole, count),
                                 .reference_likelihood = rows_of(likelihood, row, count)};
    };
    if (needs.choice) {
      policy_.evaluate(slice.batch(), read, pool_);
      weight = weights(algorithm_, tokens(slice.batch().offsets, 0, rows),
                       seed_of(settings_.seed, stream::choice, static_cast<std::uint64_t>(policy_.updates())), pool_);
    }
    policy_.learn(
        slice.batch(),
        [&](microbatch<float>& part) {
          const index_t row = part.first_row, count = part.tokens.rows(), whole = slice.first_row + row;
          read(part);
          sums[static_cast<std::size_t>(part.first_sequence)] =
              loss(algorithm_, tokens(part.tokens.offsets, row, count),
                   rows_of(r.rewards, first + part.first_sequence, part.tokens.sequences()), totals,
                   task_.longest_response(), {rows_of(terms, row, count)});
          policy::write_gradient(part.activations.logits(), rows_of(r.rows.targets, whole, count),
                                 rows_of(terms, row, count), b.reference.support(whole, count), settings_.temperature);
        },
        {settings_.rate, settings_.weight_decay, settings_.clip, settings_.warmup}, pool_);
    if (seen == nullptr) return;
    for (const policy::policy_sum& sum : sums) {
      seen->negative += static_cast<double>(sum.negative);
      seen->negative_active += static_cast<double>(sum.negative_active);
      seen->inactive += static_cast<double>(sum.inactive);
      seen->tokens += static_cast<double>(sum.tokens);
    }
  }

  void note(const rollout& r, const batch& b, interval& seen) {
    const statistics::mean_estimate raw = raw_advantage(r, b);
    seen.steps += 1;
    seen.reward += statistics::estimate_mean(r.rewards).mean;
    seen.zero_variance += policy::share_groups(r.rewards, r.groups).zero_variance;
    seen.entropy += policy::mean_over_tokens(b.entropy, {}, r.rows.targets, [](double x) { return x; }).all;
    seen.length += static_cast<double>(r.tokens()) / static_cast<double>(r.responses());
    seen.advantage_mean += raw.mean;
    if (raw.count > 1) seen.advantage_variance += statistics::variance(raw);
    if (!critic_) return;
    for (std::size_t s = 0; s < r.responses(); ++s) {
      seen.outcome.push_back(r.rewards[s]);
      auto t = static_cast<std::size_t>(r.rows.offsets[s]);
      while (r.rows.targets[t] < 0) ++t;
      seen.value.push_back(critic_->of_sequences() ? b.values[s] : logit_of_value(b.values[t]));
    }
  }

  /// The mean of the tokens' advantages as they are before they are whitened.
  statistics::mean_estimate raw_advantage(const rollout& r, const batch& b) {
    std::vector<double> raw(b.advantage), of_tokens;
    if (algorithm_.whitens) {
      algorithm plain = algorithm_;
      plain.whitens = false;
      advantages(plain, view(r, b), raw, {}, pool_);
    }
    for (std::size_t t = 0; t < raw.size(); ++t)
      if (r.rows.targets[t] >= 0) of_tokens.push_back(raw[t]);
    return statistics::estimate_mean(of_tokens);
  }

  static rollout_batch view(const rollout& r, const batch& b) {
    return {.rewards = r.rewards,
            .groups = r.groups,
            .offsets = r.rows.offsets,
            .targets = r.rows.targets,
            .value = b.values,
            .old = b.old,
            .reference = b.reference.log_probability,
            .greedy = b.greedy};
  }

  static constexpr long rounds = 4;  ///< of drawing, at most, where groups must be informative

  const task& task_;
  const settings& settings_;
  thread_pool& pool_;
  algorithm algorithm_;
  index_t group_;
  network policy_;
  std::vector<float> reference_;
  std::optional<critic> critic_;
  index_t generated_ = 0;
};

}  // namespace reason
