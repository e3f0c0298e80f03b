// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The aliased bandit: one prompt, 16 actions, of which 8 are strategies. Each problem draws the strategy that is right
/// from a prior w, and does not say which: the best that a policy can do for pass@1 is to know nothing but the
/// likeliest, for pass@k to keep them all. The policy is one row of logits, so that a run takes a fraction of a second
/// and its measures are exact:
///   pass@k = sum_i w_i (1 - (1 - pi_i)^k)
#pragma once
#include "hone/policy/critic.hpp"
#include "hone/policy/recipe_loss.hpp"
#include "hone/policy/rows.hpp"
#include "reason/streams.hpp"
#include "support/tasks/task.hpp"

namespace reason {

namespace policy = hone::policy;
using namespace tasks;

struct bandit_settings {
  index_t responses = 128;  ///< of a step, to responses / group prompts
  index_t group = 0;        ///< 0: the algorithm's own
  index_t minibatches = 2;  ///< updates of a step
  double rate = 0.5, critic_rate = 0.5;
  long steps = 1500;
  long collapse = 0;          ///< steps of GRPO before the algorithm's own, from the same seed
  bool identifiable = false;  ///< the first strategy is always the right one
  std::uint64_t seed = 1;
};

class bandit {
 public:
  static constexpr index_t actions = 16, strategies = 8;
  static constexpr auto& prior = strategy_prior;

  /// The reference: 94 % on the strategies, between the prior and equal shares, 6 % on the other actions.
  static std::array<double, actions> reference() {
    std::array<double, actions> q;
    q.fill(0.06 / (actions - strategies));
    for (std::size_t i = 0; i < strategies; ++i) q[i] = 0.94 * (0.6 * prior[i] + 0.4 / strategies);
    return q;
  }

  struct metrics {
    double pass_1 = 0, pass_8 = 0, pass_64 = 0;
    double entropy = 0;
    double kept = 0;    ///< strategies with a probability above 1e-3
    double active = 0;  ///< share of the punished tokens that had a gradient, in all updates so far
  };

  /// @throws std::invalid_argument for an algorithm that is none; std::runtime_error for sizes that do not fit.
  bandit(const bandit_settings& s, const policy::recipe_options& algorithm)
      : settings_(s), recipe_(policy::make_recipe(algorithm)) {
    group_ = s.group > 0 ? s.group : recipe_.needs.group;
    program::require(group_ >= recipe_.needs.least_group, "--group-size %td: %s compares %td responses", group_,
                     recipe_.name.c_str(), recipe_.needs.least_group);
    program::require(s.responses >= 1 && s.responses % group_ == 0,
                     "--batch %td: must be a multiple of the group's size %td", s.responses, group_);
    const index_t groups = s.responses / group_;
    program::require(s.minibatches >= 1 && groups % s.minibatches == 0,
                     "--minibatches %td: must divide the %td groups of a step", s.minibatches, groups);
    program::require(recipe_.needs.support <= actions, "--anchor-k %td: there are %td actions", recipe_.needs.support,
                     actions);
    const auto q = reference();
    for (std::size_t i = 0; i < q.size(); ++i) logits_[i] = reference_[i] = std::log(q[i]);
    for (index_t t = 0; t <= s.responses; ++t) offsets_.push_back(t);
    for (index_t t = 0; t <= s.responses; t += group_) groups_.push_back(t);
    if (s.collapse > 0) {
      bandit_settings before = s;
      before.collapse = before.group = 0;
      bandit first(before, {.name = "grpo"});
      for (long i = 0; i < s.collapse; ++i) first.step();
      logits_ = first.logits_;
    }
  }

  /// Draws a batch and learns from it.
  void step() {
    const auto n = static_cast<std::size_t>(settings_.responses), prompts = groups_.size() - 1;
    const auto pi = probabilities();
    const auto best = static_cast<std::size_t>(std::max_element(pi.begin(), pi.end()) - pi.begin());
    const hone::philox of_prompts{settings_.seed, 1}, of_responses{settings_.seed, 2};
    std::vector<double> rewards(n), old(n), q(n), greedy(prompts);
    std::vector<std::int32_t> targets(n);
    for (std::size_t g = 0; g < prompts; ++g) {
      const std::size_t right = settings_.identifiable ? 0 : pick(prior, of_prompts.uniform(steps_ * prompts + g));
      greedy[g] = best == right;
      for (auto t = static_cast<std::size_t>(groups_[g]); t < static_cast<std::size_t>(groups_[g + 1]); ++t) {
        const std::size_t action = pick(pi, of_responses.uniform(steps_ * n + t));
        targets[t] = static_cast<std::int32_t>(action);
        rewards[t] = action == right;
        old[t] = std::log(pi[action]);
        q[t] = reference_[action];
      }
    }
    ++steps_;
    const std::vector<double> value(n, value_);
    std::vector<double> advantage(n), returns(n);
    policy::token_advantages(recipe_,
                             {.rewards = rewards,
                              .groups = groups_,
                              .offsets = offsets_,
                              .targets = targets,
                              .value = value,
                              .old = old,
                              .reference = q,
                              .greedy = greedy},
                             advantage, returns);
    const std::size_t part = n / static_cast<std::size_t>(settings_.minibatches);
    for (std::size_t first = 0; first < n; first += part) {
      const auto of = [&](const auto& x) { return std::span(x).subspan(first, part); };
      update(of(targets), of(rewards), of(old), of(q), of(advantage));
      learn_value(of(rewards), of(returns));
    }
  }

  [[nodiscard]] metrics measure() const {
    metrics m;
    const auto pi = probabilities();
    for (std::size_t i = 0; i < prior.size(); ++i) {
      const double w = settings_.identifiable ? i == 0 : prior[i], miss = std::log1p(-pi[i]);
      m.pass_1 += w * pi[i];
      m.pass_8 -= w * std::expm1(8 * miss);
      m.pass_64 -= w * std::expm1(64 * miss);
      m.kept += pi[i] > 1e-3;
    }
    for (const double p : pi) m.entropy -= p > 0 ? p * std::log(p) : 0;
    m.active = negative_ > 0 ? static_cast<double>(negative_active_) / static_cast<double>(negative_) : 0;
    return m;
  }
  [[nodiscard]] std::array<double, actions> probabilities() const {
    const auto normalizer = hone::loss::summarize(hone::as_vector(logits_), 1.0).normalizer;
    std::array<double, actions> pi;
    for (std::size_t i = 0; i < pi.size(); ++i) pi[i] = std::exp(normalizer.log_probability(logits_[i]));
    return pi;
  }
  /// The critic's: a logit of success, or a return.
  [[nodiscard]] double value() const { return value_; }

 private:
  void update(std::span<const std::int32_t> targets, std::span<const double> rewards, std::span<const double> old,
              std::span<const double> q, std::span<const double> advantage) {
    const std::size_t n = targets.size();
    const auto rows = static_cast<index_t>(n);
    const policy::requirements& needs = recipe_.needs;
    std::vector<std::int32_t> ids(n * static_cast<std::size_t>(needs.support));
    std::vector<double> of_ids(ids.size()), mass(n), log_p(n), entropy(n), log_mass(n), likelihood(n);
    const hone::matrix_view<const double> reference(reference_.data(), rows, actions, 0, 1);
    const policy::support_view support{ids, of_ids, needs.support};
    if (needs.support > 0) policy::top_k_support(reference, targets, needs.support, {ids, of_ids, mass});
    std::vector<double> logits(n * actions);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = logits_[i % actions];
    const hone::matrix_view<double> z(logits.data(), rows, actions);
    policy::row_measures measures{.log_probability = log_p, .entropy = entropy};
    if (needs.support > 0) measures.log_mass = log_mass;
    if (needs.likelihood) measures.reference_likelihood = likelihood;
    policy::measure(z, targets, support, measures);
    const auto offsets = std::span(offsets_).first(n + 1);
    policy::token_batch batch{.offsets = offsets,
                              .targets = targets,
                              .log_probability = log_p,
                              .old = old,
                              .advantage = advantage,
                              .reference = q,
                              .entropy = entropy,
                              .log_mass = log_mass,
                              .reference_mass = mass,
                              .reference_likelihood = likelihood};
    const std::vector<double> weight =
        policy::token_weights(recipe_, batch, seed_of(settings_.seed, stream::choice, updates_++));
    batch.weight = weight;
    std::vector<hone::loss::row_terms> terms(n);
    const auto sum =
        policy::recipe_loss(recipe_, batch, rewards, policy::count_totals(offsets, targets, rewards), 1, {terms});
    negative_ += sum.negative;
    negative_active_ += sum.negative_active;
    policy::write_gradient(z, targets, terms, support);
    std::array<double, actions> gradient{};
    for (std::size_t i = 0; i < logits.size(); ++i) gradient[i % actions] += logits[i];
    for (std::size_t i = 0; i < gradient.size(); ++i) logits_[i] -= settings_.rate * gradient[i];
  }

  void learn_value(std::span<const double> rewards, std::span<const double> returns) {
    const policy::critic_kind kind = recipe_.needs.critic;
    if (kind == policy::critic_kind::none) return;
    const std::vector<double> value(rewards.size(), value_);
    std::vector<double> slope(rewards.size());
    const double share = 1 / static_cast<double>(rewards.size());
    if (kind == policy::critic_kind::sequence)
      policy::sequence_critic_loss(value, rewards, slope, share);
    else
      policy::token_critic_loss(value, value, returns, std::span(offsets_).first(rewards.size() + 1), {},
                                {.denominator = 1 / share}, slope);
    for (const double x : slope) value_ -= settings_.critic_rate * x;
  }

  bandit_settings settings_;
  policy::recipe recipe_;
  index_t group_;
  std::vector<index_t> offsets_, groups_;
  std::array<double, actions> logits_{}, reference_{};  // the reference's log-probabilities
  double value_ = 0;
  std::uint64_t steps_ = 0, updates_ = 0;
  index_t negative_ = 0, negative_active_ = 0;
};

}  // namespace reason
