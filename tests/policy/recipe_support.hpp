// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One small batch, and a step of a recipe on it: what the tests of recipes share.
#pragma once
#include "hone/policy/recipe_loss.hpp"

namespace hone::policy {

/// Two prompts with two responses each, of 3, 1, 2 and 0 tokens that count, and one that does not.
struct sample {
  std::vector<double> rewards = {1, 0, 0, 1};
  std::vector<index_t> groups = {0, 2, 4}, offsets = {0, 3, 4, 7, 7};
  std::vector<std::int32_t> targets = {1, 2, 3, 4, 5, -1, 6};
  std::vector<double> log_p = {-1, -0.4, -2, -0.7, -1.1, -3, -0.2};
  std::vector<double> old = {-1.1, -0.4, -1.8, -0.9, -1.1, -3, -0.3};
  std::vector<double> reference = {-1.2, -0.5, -1.5, -0.6, -1, -2, -0.4};
  std::vector<double> entropy = {1, 0.8, 0.9, 0.7, 1.2, 1, 0.3};
  std::vector<double> log_mass = {-0.5, -0.9, -0.3, -1.2, -0.4, 0, -0.8};
  std::vector<double> mass = {0.7, 0.5, 0.6, 0.4, 0.8, 0, 0.3};
  std::vector<double> likelihood = {-1, -1.5, -1.2, -2, -0.9, 0, -1.4};
  std::vector<double> of_prompts = {0.3, -0.2, 0.3, -0.2}, of_tokens = {0.4, 0.6, 0.7, 0.2, 0.1, 0.9, 0.3};
  std::vector<double> greedy = {1, 0};

  [[nodiscard]] drawn_batch rollout(const recipe& a) const {
    return {.rewards = rewards,
            .groups = groups,
            .offsets = offsets,
            .targets = targets,
            .value = a.needs.critic == critic_kind::token ? of_tokens : of_prompts,
            .old = old,
            .reference = reference,
            .greedy = greedy};
  }
  [[nodiscard]] token_batch batch(const std::vector<double>& advantage) const {
    return {.offsets = offsets,
            .targets = targets,
            .log_probability = log_p,
            .old = old,
            .advantage = advantage,
            .reference = reference,
            .entropy = entropy,
            .log_mass = log_mass,
            .reference_mass = mass,
            .reference_likelihood = likelihood};
  }
};

struct outcome {
  std::vector<double> advantage, returns, weight;
  policy_sum sum;
  std::vector<loss::row_terms> terms;
};

/// Farther from where the tokens were drawn, so that clips are reached.
inline sample shifted(double by) {
  sample s;
  for (double& x : s.log_p) x += by;
  return s;
}

inline outcome step(const recipe_options& settings, const sample& s = {}) {
  const recipe a = make_recipe(settings);
  outcome o{std::vector<double>(7), std::vector<double>(7), {}, {}, std::vector<loss::row_terms>(7)};
  token_advantages(a, s.rollout(a), o.advantage, o.returns);
  token_batch batch = s.batch(o.advantage);
  o.weight = token_weights(a, batch, 5);
  batch.weight = o.weight;
  o.sum = recipe_loss(a, batch, s.rewards, count_totals(s.offsets, s.targets, s.rewards), 4, {o.terms});
  return o;
}

}  // namespace hone::policy
