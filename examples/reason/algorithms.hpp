// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Algorithms by name: each is a row of a table (algorithm_table.hpp), and what a learner calls:
///   needs        what it must be given
///   advantages   of the tokens of a whole batch, from its rewards
///   weights      of the tokens of an update, which some choose by their covariance
///   loss         of a part of an update, with the denominators of the whole
/// "NAME+apo" is NAME with APO's support anchor around its surrogate.
#pragma once
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "hone/loss/sequence.hpp"
#include "hone/policy/reward.hpp"
#include "reason/algorithm_table.hpp"

namespace reason {

/// Where an option is empty the algorithm's own value stands.
struct algorithm_settings {
  std::string name = "grpo";
  double kl = 0;  ///< coefficient: in the reward of ppo, vapo and reinforce_pp, in the loss of the others
  std::optional<policy::kl_estimator> kl_estimator = {};  ///< k1 in the reward, k3 in the loss
  policy::kl_gradient kl_gradient = policy::kl_gradient::own;
  double entropy = 0;
  index_t anchor_k = 8;
  double anchor_beta = 0.1;
  double anchor_lambda = 1.05;
  policy::anchor_form anchor_form = policy::anchor_form::mass;
  policy::clip_placement anchor_clip = policy::clip_placement::clip_rectified;
  /// Below and above a ratio of 1, of CISPO too; of log-ratios for GMPO.
  std::optional<double> clip_low = {}, clip_high = {};
  std::optional<double> clip_dual = {};
  std::optional<double> gae_lambda = {};
  /// Of Clip-Cov and KL-Cov: share of the tokens; the covariances it draws from; coefficient of the distance to pi_old.
  std::optional<double> cov_share = {};
  std::optional<double> cov_low = {}, cov_high = {};
  std::optional<double> cov_kl = {};
};

enum class critic_kind {
  none,
  sequence,  ///< the logit of success, a prompt
  token      ///< the return to come, a token
};

/// What a learner hands to `advantages` and `loss`.
struct requirements {
  critic_kind critic = critic_kind::none;
  bool reference = false;    ///< log q of the tokens drawn
  index_t support = 0;       ///< width of the reference's top k without the token drawn: log M and Z
  bool likelihood = false;   ///< of the support: sum q / Z log pi beside them
  bool entropy = false;      ///< of the policy
  bool greedy = false;       ///< rewards of the prompts' greedy responses
  bool informative = false;  ///< groups with equal rewards are to be replaced
  bool choice = false;       ///< `weights`, of the whole of an update
  index_t group = 1;         ///< responses to a prompt, unless told otherwise
  index_t least_group = 1;   ///< below which it learns nothing, or refuses
};

struct algorithm {
  std::string name;
  estimator advantage;
  any_objective objective;
  aggregate denominator;
  bool whitens = false;
  double imitation = 0;
  double reward_kl = 0;  ///< coefficient of the KL in the reward
  policy::kl_estimator reward_kl_estimator = policy::kl_estimator::k1;
  token_choice choice{};
  requirements needs{};
};

/// The names of the table; each also goes with "+apo" but those without a ratio, pass_k and apo itself.
inline std::vector<std::string> algorithm_names() {
  std::vector<std::string> names;
  for (const auto& row : algorithm_table) names.emplace_back(row.name);
  return names;
}

namespace detail {

[[noreturn]] inline void refuse(const std::string& name, const std::string& why) {
  throw std::invalid_argument("--algorithm " + name + ": " + why);
}

inline void replace(double& own, const std::optional<double>& x) { own = x.value_or(own); }

/// @throws std::invalid_argument if a clip is set that the objective does not have.
template <class R, class S>
void set_clip(policy::objective<R, S>& f, const algorithm_settings& s) {
  bool clips = false, has_dual = false;
  if constexpr (std::is_same_v<R, policy::clipped_geometric_ratio>) {
    replace(f.ratio.low, s.clip_low);
    replace(f.ratio.high, s.clip_high);
    clips = true;
  } else if constexpr (std::is_same_v<S, policy::ppo_clip>) {
    replace(f.surrogate.low, s.clip_low);
    replace(f.surrogate.high, s.clip_high);
    replace(f.surrogate.dual, s.clip_dual);
    clips = has_dual = true;
  } else if constexpr (std::is_same_v<S, policy::cispo>) {
    if (s.clip_low) f.surrogate.lower = 1 - *s.clip_low;
    if (s.clip_high) f.surrogate.upper = 1 + *s.clip_high;
    clips = true;
  }
  if (!clips && (s.clip_low || s.clip_high)) refuse(s.name, "has no clip to set");
  if (!has_dual && s.clip_dual) refuse(s.name, "has no dual clip to set");
}

/// @throws std::invalid_argument if something is set that the choice does not have.
inline void set_choice(token_choice& choice, const algorithm_settings& s) {
  auto* clip = std::get_if<policy::clip_cov>(&choice);
  auto* held = std::get_if<held_by_covariance>(&choice);
  if (!clip && !held && s.cov_share) refuse(s.name, "chooses no tokens by their covariance");
  if (!clip && (s.cov_low || s.cov_high)) refuse(s.name, "has no range of covariances to set");
  if (!held && s.cov_kl) refuse(s.name, "holds no tokens to where they were");
  if (clip) {
    replace(clip->share, s.cov_share);
    replace(clip->low, s.cov_low);
    replace(clip->high, s.cov_high);
    clip->check();
  }
  if (held) {
    replace(held->choice.share, s.cov_share);
    replace(held->coefficient, s.cov_kl);
    held->choice.check();
    policy::log_ratio_distance{held->coefficient}.check();
  }
}

/// @throws std::invalid_argument if its gradient goes through no ratio.
template <class R, class S>
any_objective anchor(const policy::objective<R, S>& f, const algorithm_settings& s) {
  if constexpr (policy::ratio_surrogate<S>)
    return policy::objective<R, policy::support_anchor<S>>{
        f.ratio, {f.surrogate, s.anchor_lambda, s.anchor_beta, s.anchor_form, s.anchor_clip}, f.kl, f.entropy};
  refuse(s.name, "its gradient goes through no ratio that could be anchored");
}

}  // namespace detail

/// @throws std::invalid_argument for a name that is none, an option that the algorithm does not have, or a parameter
///         out of range.
inline algorithm make_algorithm(const algorithm_settings& s) {
  const std::string_view suffix = "+apo";
  std::string_view base = s.name;
  if (base.ends_with(suffix)) base.remove_suffix(suffix.size());
  const auto* row = std::find_if(std::begin(algorithm_table), std::end(algorithm_table),
                                 [&](const algorithm_row& r) { return r.name == base; });
  if (row == std::end(algorithm_table)) {
    std::string names;
    for (const auto& r : algorithm_table) names.append(" ").append(r.name);
    detail::refuse(s.name, "is none of" + names + ", or one of them with +apo");
  }
  const bool wants_anchor = base.size() != s.name.size();
  if (wants_anchor && row->anchored) detail::refuse(s.name, "is anchored without +apo");
  if (wants_anchor && std::holds_alternative<policy::pass_k_best>(row->advantage))
    detail::refuse(s.name, "punishes nothing that could be anchored");
  const bool anchored = wants_anchor || row->anchored;

  algorithm a{.name = s.name,
              .advantage = row->advantage,
              .objective = row->objective,
              .denominator = row->denominator,
              .whitens = row->whitens,
              .imitation = row->imitation,
              .choice = row->choice};
  detail::set_choice(a.choice, s);
  requirements& needs = a.needs;
  needs.informative = row->informative;
  needs.choice = !std::holds_alternative<std::monostate>(row->choice);
  needs.entropy = s.entropy != 0;
  needs.reference = s.kl != 0;
  bool kl_in_reward = false;
  std::visit(
      [&](auto& method) {
        using M = std::decay_t<decltype(method)>;
        constexpr bool of_token_critic = std::is_same_v<M, token_value>;
        if constexpr (std::is_same_v<M, sequence_value> || std::is_same_v<M, sequence_deviation>)
          needs.critic = critic_kind::sequence;
        if constexpr (of_token_critic) {
          needs.critic = critic_kind::token;
          if (s.gae_lambda) method = {{.lambda = *s.gae_lambda}, *s.gae_lambda};
        }
        if (!of_token_critic && s.gae_lambda) detail::refuse(s.name, "has no lambda of advantages to set");
        kl_in_reward = of_token_critic || std::is_same_v<M, reward_to_go>;
        needs.greedy = std::is_same_v<M, policy::remax>;
        const bool alone = needs.critic != critic_kind::none || needs.greedy || kl_in_reward ||
                           std::is_same_v<M, policy::reward_itself>;
        needs.group = alone ? 1 : 8;
        needs.least_group = alone ? 1 : 2;
      },
      a.advantage);
  policy::kl_penalty{.coefficient = s.kl}.check();
  if (kl_in_reward) {
    a.reward_kl = s.kl;
    a.reward_kl_estimator = s.kl_estimator.value_or(policy::kl_estimator::k1);
  }
  std::visit(
      [&](auto& f) {
        detail::set_clip(f, s);
        if (!kl_in_reward) f.kl = {s.kl, s.kl_estimator.value_or(policy::kl_estimator::k3), s.kl_gradient};
        f.entropy = s.entropy;
      },
      a.objective);
  if (anchored) {
    if (s.anchor_k < 1) detail::refuse(s.name, "--anchor-k must be at least 1");
    a.objective = std::visit([&](const auto& f) { return detail::anchor(f, s); }, a.objective);
    if (s.anchor_beta != 0) needs.support = s.anchor_k;
    needs.likelihood = needs.support > 0 && s.anchor_form == policy::anchor_form::reference_likelihood;
  }
  std::visit([](const auto& f) { f.check(); }, a.objective);
  return a;
}

/// Whether a punished token has a gradient at all while policy, behaviour and reference are one (`support_anchor`);
/// true where there is no anchor.
inline bool fires_at_start(const algorithm& a) {
  return std::visit(
      [](const auto& f) {
        if constexpr (requires { f.surrogate.fires_at_start(); }) return f.surrogate.fires_at_start();
        return true;
      },
      a.objective);
}

/// A whole batch of responses as they were drawn, groups of responses to one prompt side by side.
struct rollout_batch {
  std::span<const double> rewards;   ///< B
  std::span<const index_t> groups;   ///< G + 1
  std::span<const index_t> offsets;  ///< B + 1
  std::span<const std::int32_t> targets = {};
  std::span<const double> value = {};      ///< the critic's: B logits, or T returns
  std::span<const double> old = {};        ///< log pi(y) when they were drawn, with a KL in the reward
  std::span<const double> reference = {};  ///< log q(y), with a KL in the reward
  std::span<const double> greedy = {};     ///< G rewards, for remax
};

/// The advantages of T tokens into @p out; with a token critic the returns that it is to learn into @p returns (T).
/// @throws std::invalid_argument if sizes do not fit.
template <hone::executor E = const hone::serial>
void advantages(const algorithm& a, const rollout_batch& batch, std::span<double> out, std::span<double> returns = {},
                E&& pool = hone::serial{}) {
  const auto of_token_rewards = [&](auto&& f) {
    std::vector<double> rewards(out.size());
    policy::place_outcomes(batch.rewards, batch.offsets, batch.targets, rewards);
    if (a.reward_kl != 0)
      policy::subtract_kl(batch.old, batch.reference, batch.targets, a.reward_kl, rewards, a.reward_kl_estimator, pool);
    f(rewards);
  };
  std::vector<double> of_response(batch.rewards.size());
  const auto spread = [&] { hone::loss::spread(of_response, batch.offsets, out); };
  std::visit(
      [&](auto method) {
        using M = decltype(method);
        if constexpr (std::is_same_v<M, token_value>) {
          of_token_rewards([&](const std::vector<double>& rewards) {
            auto of_critic = method.options;
            of_critic.lambda = method.critic_lambda;
            of_critic.length_adaptive = 0;
            if (!returns.empty())
              policy::gae(rewards, batch.value, batch.offsets, batch.targets, out, returns, of_critic, pool);
            policy::gae(rewards, batch.value, batch.offsets, batch.targets, out, {}, method.options, pool);
          });
        } else if constexpr (std::is_same_v<M, reward_to_go>) {
          of_token_rewards([&](const std::vector<double>& rewards) {
            policy::returns_to_go(rewards, batch.offsets, batch.targets, out, 1, pool);
          });
        } else if constexpr (std::is_same_v<M, sequence_value>) {
          policy::sequence_value_advantage(batch.rewards, batch.value, of_response);
          spread();
        } else if constexpr (std::is_same_v<M, sequence_deviation>) {
          policy::sequence_deviation_advantage(batch.rewards, batch.value, of_response);
          spread();
        } else {
          std::vector<index_t> lengths;
          if constexpr (std::is_same_v<M, policy::remax>) method.greedy = batch.greedy;
          if constexpr (std::is_same_v<M, policy::opo>) {
            for (std::size_t b = 0; b + 1 < batch.offsets.size(); ++b)
              lengths.push_back(policy::count_tokens(batch.targets, static_cast<std::size_t>(batch.offsets[b]),
                                                     static_cast<std::size_t>(batch.offsets[b + 1])));
            method.lengths = lengths;
          }
          policy::group_advantages(method, batch.rewards, batch.groups, of_response, pool);
          spread();
        }
      },
      a.advantage);
  if (a.whitens) policy::whiten(out, batch.targets, 1e-8, false, pool);
}

/// What the denominators of a batch are made of; parts add up.
struct batch_totals {
  policy::batch_counts counts{};
  index_t right = 0;  ///< tokens of responses with a reward above 1/2

  batch_totals& operator+=(const batch_totals& other) {
    counts += other.counts;
    right += other.right;
    return *this;
  }
};

/// @throws std::invalid_argument if sizes do not fit.
inline batch_totals count_totals(std::span<const index_t> offsets, std::span<const std::int32_t> targets,
                                 std::span<const double> rewards) {
  batch_totals totals{policy::count(offsets, targets)};
  hone::invalid_argument_unless(rewards.size() + 1 == offsets.size(), "reason::count_totals", "rewards",
                                "has %zu responses, offsets %zu", rewards.size(), offsets.size() - 1);
  for (std::size_t b = 0; b < rewards.size(); ++b)
    if (rewards[b] > 0.5)
      totals.right +=
          policy::count_tokens(targets, static_cast<std::size_t>(offsets[b]), static_cast<std::size_t>(offsets[b + 1]));
  return totals;
}

/// `token_batch::weight` of all tokens that an update learns from: with Clip-Cov 0 for those that lose their surrogate,
/// with KL-Cov 1 for those that are held to pi_old, 0 for the others; empty where an algorithm chooses none.
/// @param batch the whole of the update: this is no function of its parts; @param seed another one each update.
/// @throws std::invalid_argument if sizes do not fit.
template <hone::executor E = const hone::serial>
std::vector<double> weights(const algorithm& a, const policy::token_batch& batch, std::uint64_t seed,
                            E&& pool = hone::serial{}) {
  if (!a.needs.choice) return {};
  std::vector<double> result(batch.log_probability.size(), 1.0), covariance(result.size());
  policy::token_covariance(batch.log_probability, batch.advantage, batch.targets, covariance, pool);
  if (const auto* held = std::get_if<held_by_covariance>(&a.choice)) {
    held->choice(covariance, batch.targets, result);
    return result;
  }
  // The surrogate's own gradient says which tokens PPO's clip has taken already.
  std::vector<hone::loss::row_terms> terms(result.size());
  std::visit(
      [&](auto f) {
        f.kl = {};
        f.entropy = 0;
        policy::policy_loss(f, batch, {}, {terms}, pool);
      },
      a.objective);
  policy::clip_cov choice = std::get<policy::clip_cov>(a.choice);
  choice.seed = seed;
  choice(covariance, batch.targets, terms, result);
  return result;
}

/// The loss of a part of a batch, and the coefficients of its gradient (`policy_loss`).
/// @param batch with the part's share of `weights`; @param rewards of the part's responses; @param totals of the whole
///        batch; @param longest response allowed, in tokens.
/// @return the sums of the objective; what stands beside it, vapo's likelihood of right answers and KL-Cov's distance,
///         is in the gradient alone.
template <hone::executor E = const hone::serial>
policy::policy_sum loss(const algorithm& a, const policy::token_batch& batch, std::span<const double> rewards,
                        const batch_totals& totals, index_t longest, const policy::loss_output& out,
                        E&& pool = hone::serial{}) {
  const policy::aggregation mode = a.denominator(totals.counts, static_cast<double>(longest));
  const auto* held = std::get_if<held_by_covariance>(&a.choice);
  policy::token_batch own = batch;
  if (held) own.weight = {};
  const policy::policy_sum sum =
      std::visit([&](const auto& f) { return policy::policy_loss(f, own, mode, out, pool); }, a.objective);
  if (held) {
    const policy::objective distance{policy::token_ratio{}, policy::log_ratio_distance{held->coefficient}};
    policy::policy_loss(distance, batch, mode, {.terms = out.terms, .add = true}, pool);
  }
  if (a.imitation == 0 || totals.right == 0) return sum;
  std::vector<double> of_response, right(batch.log_probability.size());
  for (const double r : rewards) of_response.push_back(r > 0.5 ? 1 : 0);
  hone::loss::spread(of_response, batch.offsets, right);
  const policy::objective likelihood{policy::token_ratio{}, policy::reinforce{}};
  policy::policy_loss(likelihood,
                      {.offsets = batch.offsets,
                       .targets = batch.targets,
                       .log_probability = batch.log_probability,
                       .advantage = right},
                      {.denominator = static_cast<double>(totals.right) / a.imitation},
                      {.terms = out.terms, .add = true}, pool);
  return sum;
}

}  // namespace reason
