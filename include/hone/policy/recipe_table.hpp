// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What is meant by "GRPO", "DAPO" or "VAPO", as data: how rewards become advantages, the objective with its published
/// constants, the aggregation, and what goes with them. recipes.hpp makes a recipe of a row and a user's own values,
/// recipe_loss.hpp runs one. The table of docs/policy.md is made from this one.
#pragma once
#include "hone/policy/advantage.hpp"
#include "hone/policy/anchor.hpp"
#include "hone/policy/covariance.hpp"
#include "hone/policy/gae.hpp"
#include "hone/policy/objective.hpp"

#include <string_view>
#include <variant>

namespace HONE_NAMESPACE::policy {

/// Advantages from a critic of responses: `sequence_value_advantage`, `sequence_deviation_advantage`.
struct sequence_value {};
struct sequence_deviation {};
/// From a critic of tokens, which learns returns of a lambda of its own: `gae`.
struct token_value {
  gae_options options{};
  double critic_lambda = 0.95;
};
/// The rewards from each token on: `returns_to_go`.
struct reward_to_go {};

using any_advantage = std::variant<reward_itself, grpo, dr_grpo, rloo, remax, opo, gpg, pass_k_best, sequence_value,
                                   sequence_deviation, token_value, reward_to_go>;

using any_objective =
    std::variant<objective<token_ratio, ppo_clip>, objective<token_ratio, unclipped>, objective<token_ratio, reinforce>,
                 objective<token_ratio, cispo>, objective<token_ratio, sapo>, objective<sequence_ratio, ppo_clip>,
                 objective<sequence_ratio, vespo>, objective<geometric_ratio, ppo_clip>,
                 objective<clipped_geometric_ratio, unclipped>, objective<token_ratio, support_anchor<ppo_clip>>,
                 objective<token_ratio, support_anchor<unclipped>>, objective<token_ratio, support_anchor<sapo>>,
                 objective<sequence_ratio, support_anchor<ppo_clip>>,
                 objective<geometric_ratio, support_anchor<ppo_clip>>,
                 objective<clipped_geometric_ratio, support_anchor<unclipped>>>;

/// KL-Cov: the tokens chosen are held to pi_old.
struct held_by_covariance {
  kl_cov choice{};
  double coefficient = 1;
};

/// Tokens that an update treats in another way, chosen among all that it learns from (covariance.hpp).
using token_choice = std::variant<std::monostate, clip_cov, held_by_covariance>;

/// The aggregations of batch.hpp by name.
enum class averaging {
  token_mean,
  sequence_token_mean,
  sequence_token_mean_with_empty,  ///< that of TRL: responses without a token that counts are in the denominator
  sequence_token_sum,
  constant_mean
};

/// The aggregation of a batch with these counts, whose responses have at most @p longest tokens. Constant time; what is
/// out of range `policy_loss` refuses.
inline aggregation aggregation_of(averaging a, const batch_counts& counts, double longest) {
  switch (a) {
    case averaging::token_mean: return token_mean(counts);
    case averaging::sequence_token_mean: return sequence_token_mean(counts);
    case averaging::sequence_token_mean_with_empty: return sequence_token_mean(counts, true);
    case averaging::sequence_token_sum: return sequence_token_sum(counts);
    case averaging::constant_mean: break;
  }
  return constant_mean(counts, longest);
}

struct recipe_row {
  std::string_view name;
  std::string_view source;  ///< of its formula and its constants
  any_advantage advantage;
  any_objective objective;
  averaging average;
  bool whitens = false;      ///< advantages, over the tokens of the batch
  bool anchored = false;     ///< without a "+apo"
  bool informative = false;  ///< draws other groups for those whose rewards are all equal
  double imitation = 0;      ///< weight of the likelihood of right answers
  token_choice choice{};
};

/// Constants are those of the sources; where TRL and verl differ, TRL's.
inline constexpr recipe_row recipe_table[] = {
    {.name = "ppo",
     .source = "Schulman et al. 2017, arXiv 1707.06347",
     .advantage = token_value{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::token_mean,
     .whitens = true},
    {.name = "vapo",
     .source = "arXiv 2504.05118",
     .advantage = token_value{{.length_adaptive = 0.05}, 1},
     .objective = objective{token_ratio{}, ppo_clip{.high = 0.28}},
     .average = averaging::token_mean,
     .whitens = true,
     .imitation = 0.1},
    {.name = "reinforce",
     .source = "Williams 1992, Machine Learning 8",
     .advantage = reward_itself{},
     .objective = objective{token_ratio{}, reinforce{}},
     .average = averaging::token_mean},
    {.name = "reinforce_pp",
     .source = "Hu 2025, arXiv 2501.03262",
     .advantage = reward_to_go{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::token_mean,
     .whitens = true},
    {.name = "reinforce_pp_baseline",
     .source = "Hu 2025, arXiv 2501.03262",
     .advantage = dr_grpo{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::token_mean,
     .whitens = true},
    {.name = "grpo",
     .source = "Shao et al. 2024, arXiv 2402.03300",
     .advantage = grpo{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::sequence_token_mean_with_empty},
    {.name = "dr_grpo",
     .source = "Liu et al. 2025, arXiv 2503.20783",
     .advantage = dr_grpo{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::constant_mean},
    {.name = "dapo",
     .source = "Yu et al. 2025, arXiv 2503.14476",
     .advantage = grpo{},
     .objective = objective{token_ratio{}, ppo_clip{.high = 0.28}},
     .average = averaging::token_mean,
     .informative = true},
    {.name = "rloo",
     .source = "Ahmadian et al. 2024, arXiv 2402.14740",
     .advantage = rloo{},
     .objective = objective{sequence_ratio{}, ppo_clip{}},
     .average = averaging::sequence_token_mean},
    {.name = "remax",
     .source = "Li et al. 2023, arXiv 2310.10505",
     .advantage = remax{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::token_mean},
    {.name = "opo",
     .source = "Hao et al. 2025, arXiv 2505.23585",
     .advantage = opo{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::token_mean},
    {.name = "gpg",
     .source = "Chu et al. 2025, arXiv 2504.02546",
     .advantage = gpg{},
     .objective = objective{token_ratio{}, reinforce{}},
     .average = averaging::token_mean},
    {.name = "pass_k",
     .source = "verl grpo_passk, arXiv 2503.19595",
     .advantage = pass_k_best{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::token_mean},
    {.name = "gspo",
     .source = "Zheng et al. 2025, arXiv 2507.18071",
     .advantage = grpo{},
     .objective = objective{geometric_ratio{}, ppo_clip{.low = 3e-4, .high = 4e-4}},
     .average = averaging::sequence_token_mean},
    {.name = "gmpo",
     .source = "Zhao et al. 2025, arXiv 2507.20673",
     .advantage = grpo{},
     .objective = objective{clipped_geometric_ratio{}, unclipped{}},
     .average = averaging::sequence_token_mean},
    {.name = "luspo",
     .source = "TRL luspo",
     .advantage = grpo{},
     .objective = objective{geometric_ratio{}, ppo_clip{}},
     .average = averaging::sequence_token_sum},
    {.name = "cispo",
     .source = "MiniMax-M1 2025, arXiv 2506.13585",
     .advantage = grpo{},
     .objective = objective{token_ratio{}, cispo{}},
     .average = averaging::token_mean},
    {.name = "sapo",
     .source = "Gao et al. 2025, arXiv 2511.20347",
     .advantage = grpo{},
     .objective = objective{token_ratio{}, sapo{}},
     .average = averaging::sequence_token_mean},
    {.name = "vespo",
     .source = "TRL vespo",
     .advantage = grpo{},
     .objective = objective{sequence_ratio{}, vespo{}},
     .average = averaging::token_mean},
    {.name = "clip_cov",
     .source = "Cui et al. 2025, arXiv 2505.22617",
     .advantage = grpo{},
     .objective = objective{token_ratio{}, ppo_clip{}},
     .average = averaging::token_mean,
     .choice = clip_cov{}},
    {.name = "kl_cov",
     .source = "Cui et al. 2025, arXiv 2505.22617",
     .advantage = grpo{},
     .objective = objective{token_ratio{}, unclipped{}},
     .average = averaging::token_mean,
     .choice = held_by_covariance{}},
    {.name = "sppo",
     .source = "arXiv 2604.08865",
     .advantage = sequence_value{},
     .objective = objective{token_ratio{}, ppo_clip{.dual = 3}},
     .average = averaging::sequence_token_mean},
    {.name = "sppo_std",
     .source = "arXiv 2604.08865, its code",
     .advantage = sequence_deviation{},
     .objective = objective{token_ratio{}, ppo_clip{.dual = 3}},
     .average = averaging::sequence_token_mean},
    {.name = "apo",
     .source = "arXiv 2602.05717",
     .advantage = grpo{},
     .objective = objective{token_ratio{}, ppo_clip{.dual = 3}},
     .average = averaging::token_mean,
     .anchored = true},
};

}  // namespace HONE_NAMESPACE::policy
