// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a learner calls with a recipe (recipes.hpp), from a batch that was drawn and measured to the coefficients of
/// the gradient:
///   token_advantages   of the tokens of a whole batch, from its rewards
///   token_weights      of the tokens of an update, which some recipes choose by their covariance
///   recipe_loss        of a part of an update, with the denominators of the whole
#pragma once
#include "hone/loss/sequence.hpp"
#include "hone/policy/recipes.hpp"
#include "hone/policy/reward.hpp"

namespace HONE_NAMESPACE::policy {

/// A whole batch of responses as they were drawn, groups of responses to one prompt side by side.
struct drawn_batch {
  std::span<const double> rewards;   ///< B
  std::span<const index_t> groups;   ///< G + 1
  std::span<const index_t> offsets;  ///< B + 1
  label_view targets = {};
  std::span<const double> value = {};      ///< the critic's: B logits, or T returns
  std::span<const double> old = {};        ///< log pi(y) when they were drawn, with a KL in the reward
  std::span<const double> reference = {};  ///< log q(y), with a KL in the reward
  std::span<const double> greedy = {};     ///< G rewards, for remax
};

/// The advantages of T tokens into @p out; with a critic of tokens the returns that it is to learn into @p returns
/// (T, or none).
/// @throws std::invalid_argument if sizes do not fit.
/// @note Whitened advantages need the whole batch: this is no function of parts. Bitwise for any executor.
template <executor E = const serial>
void token_advantages(const recipe& r, const drawn_batch& batch, std::span<double> out, std::span<double> returns = {},
                      E&& pool = serial{}) {
  const char* function = "hone::policy::token_advantages";
  check_output(out, function, "out");
  check_output(returns, function, "returns");
  const auto of_token_rewards = [&](auto&& f) {
    std::vector<double> rewards(out.size());
    place_outcomes(batch.rewards, batch.offsets, batch.targets, rewards);
    if (r.reward_kl != 0)
      subtract_kl(batch.old, batch.reference, batch.targets, r.reward_kl, rewards, r.reward_kl_estimator, pool);
    f(rewards);
  };
  std::vector<double> of_response(batch.rewards.size());
  const auto spread = [&] { loss::spread(of_response, batch.offsets, out); };
  std::visit(
      [&](auto method) {
        using M = decltype(method);
        if constexpr (std::is_same_v<M, token_value>) {
          of_token_rewards([&](const std::vector<double>& rewards) {
            gae_options of_critic = method.options;
            of_critic.lambda = method.critic_lambda;
            of_critic.length_adaptive = 0;
            if (!returns.empty())
              gae(rewards, batch.value, batch.offsets, batch.targets, out, returns, of_critic, pool);
            gae(rewards, batch.value, batch.offsets, batch.targets, out, {}, method.options, pool);
          });
        } else if constexpr (std::is_same_v<M, reward_to_go>) {
          of_token_rewards([&](const std::vector<double>& rewards) {
            returns_to_go(rewards, batch.offsets, batch.targets, out, 1, pool);
          });
        } else if constexpr (std::is_same_v<M, sequence_value>) {
          sequence_value_advantage(batch.rewards, batch.value, of_response);
          spread();
        } else if constexpr (std::is_same_v<M, sequence_deviation>) {
          sequence_deviation_advantage(batch.rewards, batch.value, of_response);
          spread();
        } else {
          std::vector<index_t> lengths;
          if constexpr (std::is_same_v<M, remax>) method.greedy = batch.greedy;
          if constexpr (std::is_same_v<M, opo>) {
            for (std::size_t b = 0; b + 1 < batch.offsets.size(); ++b)
              lengths.push_back(count_tokens(batch.targets, static_cast<std::size_t>(batch.offsets[b]),
                                             static_cast<std::size_t>(batch.offsets[b + 1])));
            method.lengths = lengths;
          }
          group_advantages(method, batch.rewards, batch.groups, of_response, pool);
          spread();
        }
      },
      r.advantage);
  if (r.whitens) whiten(out, batch.targets, 1e-8, false, pool);
}

/// What the denominators of a batch are made of; parts add up.
struct batch_totals {
  batch_counts counts{};
  index_t right = 0;  ///< tokens of responses with a reward above 1/2

  batch_totals& operator+=(const batch_totals& other) {
    counts += other.counts;
    right += other.right;
    return *this;
  }
};

/// The totals of B responses: @p offsets (B + 1), @p targets of their T tokens, or none, @p rewards (B).
/// @throws std::invalid_argument if sizes do not fit.
/// @note Two passes over the targets; allocates nothing.
inline batch_totals count_totals(std::span<const index_t> offsets, label_view targets,
                                 std::span<const double> rewards) {
  batch_totals totals{count(offsets, targets)};
  invalid_argument_unless(rewards.size() + 1 == offsets.size(), "hone::policy::count_totals", "rewards",
                          "has %zu responses, offsets %zu", rewards.size(), offsets.size() - 1);
  for (std::size_t b = 0; b < rewards.size(); ++b)
    if (rewards[b] > 0.5)
      totals.right +=
          count_tokens(targets, static_cast<std::size_t>(offsets[b]), static_cast<std::size_t>(offsets[b + 1]));
  return totals;
}

/// `token_batch::weight` of all tokens that an update learns from: with Clip-Cov 0 for those that lose their surrogate,
/// with KL-Cov 1 for those that are held to pi_old, 0 for the others; empty where a recipe chooses none.
/// @param batch the whole of the update: this is no function of its parts; @param seed another one each update.
/// @throws std::invalid_argument if sizes do not fit.
template <executor E = const serial>
std::vector<double> token_weights(const recipe& r, const token_batch& batch, std::uint64_t seed, E&& pool = serial{}) {
  if (!r.needs.choice) return {};
  std::vector<double> result(batch.log_probability.size(), 1.0), covariance(result.size());
  token_covariance(batch.log_probability, batch.advantage, batch.targets, covariance, pool);
  if (const auto* held = std::get_if<held_by_covariance>(&r.choice)) {
    held->choice(covariance, batch.targets, result);
    return result;
  }
  // The surrogate's own gradient says which tokens PPO's clip has taken already.
  std::vector<loss::row_terms> terms(result.size());
  std::visit(
      [&](auto f) {
        f.kl = {};
        f.entropy = 0;
        policy_loss(f, batch, {}, {terms}, pool);
      },
      r.objective);
  clip_cov choice = *std::get_if<clip_cov>(&r.choice);
  choice.seed = seed;
  choice(covariance, batch.targets, terms, result);
  return result;
}

/// The loss of a part of a batch, and the coefficients of its gradient (`policy_loss`).
/// @param batch with the part's share of `token_weights`; @param rewards of the part's responses; @param totals of the
///        whole batch; @param longest response allowed, in tokens.
/// @return the sums of the objective; what is beside it, VAPO's likelihood of right answers and KL-Cov's distance, is
///         in the gradient alone.
/// @throws std::invalid_argument as `policy_loss`.
/// @note Bitwise for any executor, and for any cut of the batch between responses.
template <executor E = const serial>
policy_sum recipe_loss(const recipe& r, const token_batch& batch, std::span<const double> rewards,
                       const batch_totals& totals, index_t longest, const loss_output& out, E&& pool = serial{}) {
  const aggregation mode = aggregation_of(r.average, totals.counts, static_cast<double>(longest));
  const auto* held = std::get_if<held_by_covariance>(&r.choice);
  token_batch own = batch;
  if (held) own.weight = {};
  const policy_sum sum = std::visit([&](const auto& f) { return policy_loss(f, own, mode, out, pool); }, r.objective);
  if (held) {
    const objective distance{token_ratio{}, log_ratio_distance{held->coefficient}};
    policy_loss(distance, batch, mode, {.terms = out.terms, .add = true}, pool);
  }
  if (r.imitation == 0 || totals.right == 0) return sum;
  std::vector<double> of_response, right(batch.log_probability.size());
  for (const double x : rewards) of_response.push_back(x > 0.5 ? 1 : 0);
  loss::spread(of_response, batch.offsets, right);
  const objective likelihood{token_ratio{}, reinforce{}};
  policy_loss(likelihood,
              {.offsets = batch.offsets,
               .targets = batch.targets,
               .log_probability = batch.log_probability,
               .advantage = right},
              {.denominator = static_cast<double>(totals.right) / r.imitation}, {.terms = out.terms, .add = true},
              pool);
  return sum;
}

}  // namespace HONE_NAMESPACE::policy
