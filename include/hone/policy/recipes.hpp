// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// An algorithm by its name and what a user changes of it: a row of recipe_table.hpp with its constants replaced, and
/// what a learner must hand to it. "NAME+apo" is NAME with the support anchor (anchor.hpp) around its surrogate.
///   recipe r = make_recipe({.name = "grpo", .kl = 0.04});
///   token_advantages, token_weights, recipe_loss       (recipe_loss.hpp) of a batch that was drawn and measured
#pragma once
#include "hone/policy/recipe_table.hpp"

#include <optional>
#include <string>
#include <vector>

namespace HONE_NAMESPACE::policy {

/// Where an option is empty the recipe's own value is taken.
struct recipe_options {
  std::string name = "grpo";
  double kl = 0;  ///< coefficient: in the reward of ppo, vapo and reinforce_pp, in the loss of the others
  std::optional<policy::kl_estimator> kl_estimator = {};  ///< k1 in the reward, k3 in the loss
  policy::kl_gradient kl_gradient = policy::kl_gradient::own;
  double entropy = 0;
  index_t anchor_k = 8;  ///< width of the reference's support
  double anchor_beta = 0.1;
  double anchor_lambda = 1.05;
  policy::anchor_form anchor_form = policy::anchor_form::mass;
  clip_placement anchor_clip = clip_placement::clip_rectified;
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

/// What a learner hands to `token_advantages` and `recipe_loss`.
struct requirements {
  critic_kind critic = critic_kind::none;
  bool reference = false;    ///< log q of the tokens drawn
  index_t support = 0;       ///< width of the reference's top k without the token drawn: log M and Z
  bool likelihood = false;   ///< of the support: sum q / Z log pi beside them
  bool entropy = false;      ///< of the policy
  bool greedy = false;       ///< rewards of the prompts' greedy responses
  bool informative = false;  ///< groups with equal rewards are to be replaced
  bool choice = false;       ///< `token_weights`, of the whole of an update
  index_t group = 1;         ///< responses to a prompt, unless told otherwise
  index_t least_group = 1;   ///< below which it learns nothing, or refuses
};

struct recipe {
  std::string name;
  any_advantage advantage;
  any_objective objective;
  averaging average;
  bool whitens = false;
  double imitation = 0;
  double reward_kl = 0;  ///< coefficient of the KL in the reward
  policy::kl_estimator reward_kl_estimator = policy::kl_estimator::k1;
  token_choice choice{};
  requirements needs{};
};

/// The names of the table; each also goes with "+apo" but those without a ratio, pass_k and apo itself.
inline std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const recipe_row& row : recipe_table) names.emplace_back(row.name);
  return names;
}

namespace detail {

[[noreturn]] inline void refuse_recipe(const std::string& name, const std::string& why) {
  HONE_THROW(std::invalid_argument("hone::policy::make_recipe: " + name + ": " + why));
}

inline void replace(double& own, const std::optional<double>& x) { own = x.value_or(own); }

/// @throws std::invalid_argument if a clip is set that the objective does not have.
template <class R, class S>
void set_clip(objective<R, S>& f, const recipe_options& o) {
  bool clips = false, has_dual = false;
  if constexpr (std::is_same_v<R, clipped_geometric_ratio>) {
    replace(f.ratio.low, o.clip_low);
    replace(f.ratio.high, o.clip_high);
    clips = true;
  } else if constexpr (std::is_same_v<S, ppo_clip>) {
    replace(f.surrogate.low, o.clip_low);
    replace(f.surrogate.high, o.clip_high);
    replace(f.surrogate.dual, o.clip_dual);
    clips = has_dual = true;
  } else if constexpr (std::is_same_v<S, cispo>) {
    if (o.clip_low) f.surrogate.lower = 1 - *o.clip_low;
    if (o.clip_high) f.surrogate.upper = 1 + *o.clip_high;
    clips = true;
  }
  if (!clips && (o.clip_low || o.clip_high)) refuse_recipe(o.name, "has no clip to set");
  if (!has_dual && o.clip_dual) refuse_recipe(o.name, "has no dual clip to set");
}

/// @throws std::invalid_argument if something is set that the choice does not have.
inline void set_choice(token_choice& choice, const recipe_options& o) {
  auto* clip = std::get_if<clip_cov>(&choice);
  auto* held = std::get_if<held_by_covariance>(&choice);
  if (!clip && !held && o.cov_share) refuse_recipe(o.name, "chooses no tokens by their covariance");
  if (!clip && (o.cov_low || o.cov_high)) refuse_recipe(o.name, "has no range of covariances to set");
  if (!held && o.cov_kl) refuse_recipe(o.name, "holds no tokens to where they were");
  if (clip) {
    replace(clip->share, o.cov_share);
    replace(clip->low, o.cov_low);
    replace(clip->high, o.cov_high);
    clip->check();
  }
  if (held) {
    replace(held->choice.share, o.cov_share);
    replace(held->coefficient, o.cov_kl);
    held->choice.check();
    log_ratio_distance{held->coefficient}.check();
  }
}

/// @throws std::invalid_argument if its gradient goes through no ratio.
template <class R, class S>
any_objective anchored(const objective<R, S>& f, const recipe_options& o) {
  if constexpr (ratio_surrogate<S>)
    return objective<R, support_anchor<S>>{
        f.ratio, {f.surrogate, o.anchor_lambda, o.anchor_beta, o.anchor_form, o.anchor_clip}, f.kl, f.entropy};
  refuse_recipe(o.name, "its gradient goes through no ratio that could be anchored");
}

}  // namespace detail

/// The recipe that @p o names, with the values that it gives.
/// @throws std::invalid_argument for a name that is none, an option that the recipe does not have, or a parameter out
///         of range.
/// @note A search of the table; allocates texts and vectors of a few elements.
inline recipe make_recipe(const recipe_options& o) {
  const std::string_view suffix = "+apo";
  std::string_view base = o.name;
  if (base.ends_with(suffix)) base.remove_suffix(suffix.size());
  const recipe_row* row = nullptr;
  for (const recipe_row& candidate : recipe_table)
    if (candidate.name == base) row = &candidate;
  if (row == nullptr) {
    std::string names;
    for (const std::string& known : recipe_names()) names.append(" ").append(known);
    detail::refuse_recipe(o.name, "is none of" + names + ", or one of them with +apo");
  }
  const bool wants_anchor = base.size() != o.name.size();
  if (wants_anchor && row->anchored) detail::refuse_recipe(o.name, "is anchored without +apo");
  if (wants_anchor && std::holds_alternative<pass_k_best>(row->advantage))
    detail::refuse_recipe(o.name, "punishes nothing that could be anchored");

  recipe r{.name = o.name,
           .advantage = row->advantage,
           .objective = row->objective,
           .average = row->average,
           .whitens = row->whitens,
           .imitation = row->imitation,
           .choice = row->choice};
  detail::set_choice(r.choice, o);
  requirements& needs = r.needs;
  needs.informative = row->informative;
  needs.choice = !std::holds_alternative<std::monostate>(row->choice);
  needs.entropy = o.entropy != 0;
  needs.reference = o.kl != 0;
  bool kl_in_reward = false;
  std::visit(
      [&](auto& method) {
        using M = std::decay_t<decltype(method)>;
        constexpr bool of_token_critic = std::is_same_v<M, token_value>;
        if constexpr (std::is_same_v<M, sequence_value> || std::is_same_v<M, sequence_deviation>)
          needs.critic = critic_kind::sequence;
        if constexpr (of_token_critic) {
          needs.critic = critic_kind::token;
          if (o.gae_lambda) method = {{.lambda = *o.gae_lambda}, *o.gae_lambda};
        }
        if (!of_token_critic && o.gae_lambda) detail::refuse_recipe(o.name, "has no lambda of advantages to set");
        kl_in_reward = of_token_critic || std::is_same_v<M, reward_to_go>;
        needs.greedy = std::is_same_v<M, remax>;
        const bool alone =
            needs.critic != critic_kind::none || needs.greedy || kl_in_reward || std::is_same_v<M, reward_itself>;
        needs.group = alone ? 1 : 8;
        needs.least_group = alone ? 1 : 2;
      },
      r.advantage);
  kl_penalty{.coefficient = o.kl}.check();
  if (kl_in_reward) {
    r.reward_kl = o.kl;
    r.reward_kl_estimator = o.kl_estimator.value_or(kl_estimator::k1);
  }
  std::visit(
      [&](auto& f) {
        detail::set_clip(f, o);
        if (!kl_in_reward) f.kl = {o.kl, o.kl_estimator.value_or(kl_estimator::k3), o.kl_gradient};
        f.entropy = o.entropy;
      },
      r.objective);
  if (wants_anchor || row->anchored) {
    if (o.anchor_k < 1) detail::refuse_recipe(o.name, "a support of anchor_k = 0 tokens or fewer anchors nothing");
    r.objective = std::visit([&](const auto& f) { return detail::anchored(f, o); }, r.objective);
    if (o.anchor_beta != 0) needs.support = o.anchor_k;
    needs.likelihood = needs.support > 0 && o.anchor_form == anchor_form::reference_likelihood;
  }
  std::visit([](const auto& f) { f.check(); }, r.objective);
  return r;
}

/// Whether a punished token has a gradient at all while policy, behaviour and reference are one (`support_anchor`);
/// true where there is no anchor.
inline bool fires_at_start(const recipe& r) {
  return std::visit(
      [](const auto& f) {
        if constexpr (requires { f.surrogate.fires_at_start(); }) return f.surrogate.fires_at_start();
        return true;
      },
      r.objective);
}

}  // namespace HONE_NAMESPACE::policy
