// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The table of algorithms (algorithms.hpp): how rewards become advantages, the objective, the aggregation.
#pragma once
#include <string_view>
#include <variant>

#include "hone/policy/advantage.hpp"
#include "hone/policy/anchor.hpp"
#include "hone/policy/covariance.hpp"
#include "hone/policy/gae.hpp"
#include "hone/policy/objective.hpp"

namespace reason {

namespace policy = hone::policy;
using hone::index_t;

/// Advantages from a sequence critic: of the residual, or that over the critic's own deviation.
struct sequence_value {};
struct sequence_deviation {};
/// From a token critic, which learns returns of a lambda of its own.
struct token_value {
  policy::gae_options options{};
  double critic_lambda = 0.95;
};
/// The rewards from each token on.
struct reward_to_go {};

using estimator =
    std::variant<policy::reward_itself, policy::grpo, policy::dr_grpo, policy::rloo, policy::remax, policy::opo,
                 policy::gpg, policy::pass_k_best, sequence_value, sequence_deviation, token_value, reward_to_go>;

/// KL-Cov: the tokens chosen are held to pi_old.
struct held_by_covariance {
  policy::kl_cov choice{};
  double coefficient = 1;
};

/// Tokens that an update treats in another way, chosen among all that it learns from (covariance.hpp).
using token_choice = std::variant<std::monostate, policy::clip_cov, held_by_covariance>;

using any_objective = std::variant<
    policy::objective<policy::token_ratio, policy::ppo_clip>, policy::objective<policy::token_ratio, policy::unclipped>,
    policy::objective<policy::token_ratio, policy::reinforce>, policy::objective<policy::token_ratio, policy::cispo>,
    policy::objective<policy::token_ratio, policy::sapo>, policy::objective<policy::sequence_ratio, policy::ppo_clip>,
    policy::objective<policy::sequence_ratio, policy::vespo>,
    policy::objective<policy::geometric_ratio, policy::ppo_clip>,
    policy::objective<policy::clipped_geometric_ratio, policy::unclipped>,
    policy::objective<policy::token_ratio, policy::support_anchor<policy::ppo_clip>>,
    policy::objective<policy::token_ratio, policy::support_anchor<policy::unclipped>>,
    policy::objective<policy::token_ratio, policy::support_anchor<policy::sapo>>,
    policy::objective<policy::sequence_ratio, policy::support_anchor<policy::ppo_clip>>,
    policy::objective<policy::geometric_ratio, policy::support_anchor<policy::ppo_clip>>,
    policy::objective<policy::clipped_geometric_ratio, policy::support_anchor<policy::unclipped>>>;

/// The denominator of a batch whose responses have at most @c longest tokens.
using aggregate = policy::aggregation (*)(const policy::batch_counts& counts, double longest);

namespace detail {

inline constexpr aggregate by_token = [](const policy::batch_counts& c, double) { return policy::token_mean(c); };
inline constexpr aggregate by_sequence = [](const policy::batch_counts& c, double) {
  return policy::sequence_token_mean(c);
};
inline constexpr aggregate by_all_sequences = [](const policy::batch_counts& c, double) {
  return policy::sequence_token_mean(c, true);
};
inline constexpr aggregate by_token_sum = [](const policy::batch_counts& c, double) {
  return policy::sequence_token_sum(c);
};
inline constexpr aggregate by_longest = [](const policy::batch_counts& c, double longest) {
  return policy::constant_mean(c, longest);
};

inline constexpr policy::objective ppo{policy::token_ratio{}, policy::ppo_clip{}};
inline constexpr policy::objective dual{policy::token_ratio{}, policy::ppo_clip{.dual = 3}};
inline constexpr policy::objective decoupled{policy::token_ratio{}, policy::ppo_clip{.low = 0.2, .high = 0.28}};

}  // namespace detail

struct algorithm_row {
  std::string_view name;
  estimator advantage;
  any_objective objective;
  aggregate denominator;
  bool whitens = false;      ///< advantages, over the tokens of the batch
  bool anchored = false;     ///< without a "+apo"
  bool informative = false;  ///< draws other groups for those whose rewards are all equal
  double imitation = 0;      ///< weight of the likelihood of right answers
  token_choice choice{};
};

/// As in docs/policy.md; where TRL and verl differ, TRL's.
inline constexpr algorithm_row algorithm_table[] = {
    {"ppo", token_value{}, detail::ppo, detail::by_token, true},
    {.name = "vapo",
     .advantage = token_value{{.length_adaptive = 0.05}, 1},
     .objective = detail::decoupled,
     .denominator = detail::by_token,
     .whitens = true,
     .imitation = 0.1},
    {"reinforce", policy::reward_itself{}, policy::objective{policy::token_ratio{}, policy::reinforce{}},
     detail::by_token},
    {"reinforce_pp", reward_to_go{}, detail::ppo, detail::by_token, true},
    {"reinforce_pp_baseline", policy::dr_grpo{}, detail::ppo, detail::by_token, true},
    {"grpo", policy::grpo{}, detail::ppo, detail::by_all_sequences},
    {"dr_grpo", policy::dr_grpo{}, detail::ppo, detail::by_longest},
    {.name = "dapo",
     .advantage = policy::grpo{},
     .objective = detail::decoupled,
     .denominator = detail::by_token,
     .informative = true},
    {"rloo", policy::rloo{}, policy::objective{policy::sequence_ratio{}, policy::ppo_clip{}}, detail::by_sequence},
    {"remax", policy::remax{}, detail::ppo, detail::by_token},
    {"opo", policy::opo{}, detail::ppo, detail::by_token},
    {"gpg", policy::gpg{}, policy::objective{policy::token_ratio{}, policy::reinforce{}}, detail::by_token},
    {"pass_k", policy::pass_k_best{}, detail::ppo, detail::by_token},
    {"gspo", policy::grpo{}, policy::objective{policy::geometric_ratio{}, policy::ppo_clip{.low = 3e-4, .high = 4e-4}},
     detail::by_sequence},
    {"gmpo", policy::grpo{}, policy::objective{policy::clipped_geometric_ratio{}, policy::unclipped{}},
     detail::by_sequence},
    {"luspo", policy::grpo{}, policy::objective{policy::geometric_ratio{}, policy::ppo_clip{}}, detail::by_token_sum},
    {"cispo", policy::grpo{}, policy::objective{policy::token_ratio{}, policy::cispo{}}, detail::by_token},
    {"sapo", policy::grpo{}, policy::objective{policy::token_ratio{}, policy::sapo{}}, detail::by_sequence},
    {"vespo", policy::grpo{}, policy::objective{policy::sequence_ratio{}, policy::vespo{}}, detail::by_token},
    {.name = "clip_cov",
     .advantage = policy::grpo{},
     .objective = detail::ppo,
     .denominator = detail::by_token,
     .choice = policy::clip_cov{}},
    {.name = "kl_cov",
     .advantage = policy::grpo{},
     .objective = policy::objective{policy::token_ratio{}, policy::unclipped{}},
     .denominator = detail::by_token,
     .choice = held_by_covariance{}},
    {"sppo", sequence_value{}, detail::dual, detail::by_sequence},
    {"sppo_std", sequence_deviation{}, detail::dual, detail::by_sequence},
    {"apo", policy::grpo{}, detail::dual, detail::by_token, false, true},
};

}  // namespace reason
