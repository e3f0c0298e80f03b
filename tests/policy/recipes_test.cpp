// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/recipes.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

TEST_CASE("recipes: what each needs") {
  const auto needs = [](const char* name) { return make_recipe({.name = name}).needs; };
  CHECK(needs("ppo").critic == critic_kind::token);
  CHECK(needs("sppo").critic == critic_kind::sequence);
  CHECK(needs("grpo").critic == critic_kind::none);
  CHECK(needs("remax").greedy);
  CHECK(needs("dapo").informative);
  for (const char* name : {"ppo", "vapo", "reinforce", "reinforce_pp", "remax", "sppo", "sppo_std"})
    CHECK(needs(name).group == 1);
  for (const char* name : {"grpo", "rloo", "reinforce_pp_baseline", "pass_k", "apo", "gspo"})
    CHECK((needs(name).group == 8 && needs(name).least_group == 2));
  CHECK_FALSE(needs("grpo").reference);
  CHECK(make_recipe({.name = "grpo", .kl = 0.1}).needs.reference);
  CHECK(make_recipe({.name = "grpo", .entropy = 0.1}).needs.entropy);
}

TEST_CASE("recipes: options that one does not have are refused") {
  using Catch::Contains;
  CHECK_THROWS_WITH(make_recipe({.name = "grop"}), Contains("grop") && Contains("dr_grpo"));
  CHECK_THROWS_WITH(make_recipe({.name = "+apo"}), Contains("is none of"));
  CHECK_THROWS_WITH(make_recipe({.name = "grpo", .gae_lambda = 0.9}), Contains("lambda"));
  CHECK_THROWS_WITH(make_recipe({.name = "gpg", .clip_low = 0.2}), Contains("clip"));
  CHECK_THROWS_WITH(make_recipe({.name = "cispo", .clip_dual = 3.0}), Contains("dual"));
  CHECK_THROWS_WITH(make_recipe({.name = "apo", .anchor_k = 0}), Contains("anchor_k"));
  CHECK_THROWS_WITH(make_recipe({.name = "pass_k+apo"}), Contains("punishes nothing"));
  CHECK_THROWS_WITH(make_recipe({.name = "grpo", .cov_share = 0.1}), Contains("chooses no tokens"));
  CHECK_THROWS_WITH(make_recipe({.name = "kl_cov", .cov_low = 2.0}), Contains("range of covariances"));
  CHECK_THROWS_WITH(make_recipe({.name = "clip_cov", .cov_kl = 2.0}), Contains("holds no tokens"));
  CHECK_THROWS_WITH(make_recipe({.name = "clip_cov", .cov_low = 9.0}), Contains("at most high"));
  for (const char* name : {"clip_cov", "kl_cov"})
    CHECK_THROWS_WITH(make_recipe({.name = name, .cov_share = 1.5}), Contains("share"));
  CHECK_THROWS_WITH(make_recipe({.name = "kl_cov", .cov_kl = -1.0}), Contains("coefficient"));
  CHECK_THROWS_WITH(make_recipe({.name = "apo", .anchor_beta = -1}), Contains("push and pull"));
  for (const char* name : {"grpo", "ppo"})
    CHECK_THROWS_WITH(make_recipe({.name = name, .kl = -0.1}), Contains("coefficient"));
  const auto bounded = make_recipe({.name = "cispo", .clip_low = 0.2, .clip_high = 0.28});
  const auto& f = std::get<objective<token_ratio, cispo>>(bounded.objective);
  CHECK(f.surrogate.lower == 0.8);
  CHECK(f.surrogate.upper == 1.28);
}

TEST_CASE("recipes: an anchor goes around any surrogate of a ratio, and around no other") {
  for (const std::string& name : recipe_names()) {
    INFO(name);
    bool goes = true;
    for (const char* without : {"reinforce", "gpg", "cispo", "vespo", "apo", "pass_k"}) goes = goes && name != without;
    if (goes)
      CHECK(make_recipe({.name = name + "+apo"}).needs.support == 8);
    else
      CHECK_THROWS_WITH(make_recipe({.name = name + "+apo"}), Catch::Contains(name + "+apo"));
  }
  CHECK(make_recipe({.name = "apo", .anchor_form = anchor_form::reference_likelihood}).needs.likelihood);
  CHECK(make_recipe({.name = "apo", .anchor_beta = 0}).needs.support == 0);
  for (const double beta : {0.0, 0.1}) {
    const recipe_options o{.name = "apo", .anchor_beta = beta, .anchor_form = anchor_form::reference_likelihood};
    CHECK(make_recipe(o).needs.likelihood == (beta > 0));
    CHECK_FALSE(make_recipe({.name = "apo", .anchor_beta = beta}).needs.likelihood);
  }
  CHECK(fires_at_start(make_recipe({.name = "apo"})));
  CHECK(fires_at_start(make_recipe({.name = "grpo"})));
  CHECK_FALSE(fires_at_start(make_recipe({.name = "apo", .anchor_beta = 0.3})));
}

TEST_CASE("recipes: what a user sets takes the place of the row's own, the rest stays") {
  const auto clip = [](const recipe_options& o) {
    return std::get<objective<token_ratio, ppo_clip>>(make_recipe(o).objective).surrogate;
  };
  CHECK(clip({.name = "dapo"}).low == 0.2);
  CHECK(clip({.name = "dapo"}).high == 0.28);
  CHECK(clip({.name = "dapo", .clip_low = 0.1}).low == 0.1);
  CHECK(clip({.name = "dapo", .clip_low = 0.1}).high == 0.28);
  CHECK(clip({.name = "sppo"}).dual == 3);
  CHECK(clip({.name = "sppo", .clip_dual = 5.0}).dual == 5);
  const auto bounds = std::get<objective<clipped_geometric_ratio, unclipped>>(
                          make_recipe({.name = "gmpo", .clip_low = 0.1, .clip_high = 0.3}).objective)
                          .ratio;
  CHECK(bounds.low == 0.1);
  CHECK(bounds.high == 0.3);
  const auto lambda = [](const recipe_options& o) {
    const auto value = std::get<token_value>(make_recipe(o).advantage);
    return std::tuple(value.options.lambda, value.options.length_adaptive, value.critic_lambda);
  };
  CHECK(lambda({.name = "ppo"}) == std::tuple(0.95, 0.0, 0.95));
  CHECK(lambda({.name = "vapo"}) == std::tuple(0.95, 0.05, 1.0));
  CHECK(lambda({.name = "vapo", .gae_lambda = 0.8}) == std::tuple(0.8, 0.0, 0.8));
  CHECK(std::get<clip_cov>(make_recipe({.name = "clip_cov", .cov_high = 7.0}).choice).high == 7);
  CHECK(std::get<held_by_covariance>(make_recipe({.name = "kl_cov", .cov_kl = 2.0}).choice).coefficient == 2);

  const recipe in_reward = make_recipe({.name = "ppo", .kl = 0.3}), in_loss = make_recipe({.name = "grpo", .kl = 0.3});
  const auto penalty = [](const recipe& r) { return std::visit([](const auto& f) { return f.kl; }, r.objective); };
  CHECK(in_reward.reward_kl == 0.3);
  CHECK(in_reward.reward_kl_estimator == kl_estimator::k1);
  CHECK(penalty(in_reward).coefficient == 0);
  CHECK(in_loss.reward_kl == 0);
  CHECK(penalty(in_loss).coefficient == 0.3);
  CHECK(penalty(in_loss).estimator == kl_estimator::k3);
  CHECK(penalty(make_recipe({.name = "grpo", .kl = 0.3, .kl_estimator = kl_estimator::k2})).estimator ==
        kl_estimator::k2);
}

TEST_CASE("recipes: every option reaches the part that it is named after") {
  const recipe r = make_recipe({.name = "gmpo+apo",
                                .kl = 0.3,
                                .kl_estimator = kl_estimator::k2,
                                .kl_gradient = kl_gradient::importance,
                                .entropy = 0.07,
                                .anchor_k = 5,
                                .anchor_beta = 0.2,
                                .anchor_lambda = 1.5,
                                .anchor_form = anchor_form::log_mass,
                                .anchor_clip = clip_placement::no_clip,
                                .clip_low = 0.1,
                                .clip_high = 0.3});
  const auto& f = std::get<objective<clipped_geometric_ratio, support_anchor<unclipped>>>(r.objective);
  CHECK((f.ratio.low == 0.1 && f.ratio.high == 0.3));
  CHECK((f.surrogate.push == 1.5 && f.surrogate.pull == 0.2));
  CHECK((f.surrogate.form == anchor_form::log_mass && f.surrogate.placement == clip_placement::no_clip));
  CHECK((f.kl.coefficient == 0.3 && f.kl.estimator == kl_estimator::k2 && f.kl.gradient == kl_gradient::importance));
  CHECK(f.entropy == 0.07);
  CHECK((r.needs.support == 5 && r.needs.reference && r.needs.entropy && !r.needs.likelihood && !r.needs.choice));
  CHECK((r.name == "gmpo+apo" && r.average == averaging::sequence_token_mean && r.reward_kl == 0));
  const recipe clipped = make_recipe({.name = "sppo+apo", .clip_low = 0.15, .clip_high = 0.35, .clip_dual = 4.0});
  const auto& base = std::get<objective<token_ratio, support_anchor<ppo_clip>>>(clipped.objective).surrogate.base;
  CHECK((base.low == 0.15 && base.high == 0.35 && base.dual == 4));
  CHECK(clipped.needs.critic == critic_kind::sequence);
  const recipe geometric = make_recipe({.name = "gspo", .clip_high = 0.01});
  const auto& g = std::get<objective<geometric_ratio, ppo_clip>>(geometric.objective).surrogate;
  CHECK((g.low == 3e-4 && g.high == 0.01));
  const recipe low = make_recipe({.name = "cispo", .clip_low = 0.25}),
               high = make_recipe({.name = "cispo", .clip_high = 0.5});
  const auto bounds = [](const recipe& x) { return std::get<objective<token_ratio, cispo>>(x.objective).surrogate; };
  CHECK((bounds(low).lower == 0.75 && bounds(low).upper == cispo{}.upper));
  CHECK((bounds(high).lower == cispo{}.lower && bounds(high).upper == 1.5));
  const auto clip =
      std::get<clip_cov>(make_recipe({.name = "clip_cov", .cov_share = 0.3, .cov_low = 0.5, .cov_high = 7.0}).choice);
  CHECK((clip.share == 0.3 && clip.low == 0.5 && clip.high == 7));
  const auto held =
      std::get<held_by_covariance>(make_recipe({.name = "kl_cov", .cov_share = 0.4, .cov_kl = 2.0}).choice);
  CHECK((held.choice.share == 0.4 && held.coefficient == 2));
}

TEST_CASE("recipes: a KL in the reward has its own estimator, k1 where nobody says, and none beside the loss") {
  for (const char* name : {"ppo", "vapo", "reinforce_pp"}) {
    const recipe r = make_recipe({.name = name, .kl = 0.3, .kl_estimator = kl_estimator::k3});
    CHECK((r.reward_kl == 0.3 && r.reward_kl_estimator == kl_estimator::k3 && r.needs.reference));
    CHECK(make_recipe({.name = name, .kl = 0.3}).reward_kl_estimator == kl_estimator::k1);
    CHECK(std::visit([](const auto& f) { return f.kl.coefficient; }, r.objective) == 0);
  }
  for (const char* name : {"reinforce", "reinforce_pp_baseline", "sppo", "remax"}) {
    const recipe r = make_recipe({.name = name, .kl = 0.3});
    CHECK((r.reward_kl == 0 && std::visit([](const auto& f) { return f.kl.coefficient; }, r.objective) == 0.3));
  }
}

TEST_CASE("recipes: needs of each, by name") {
  for (const std::string& name : recipe_names()) {
    INFO(name);
    const recipe r = make_recipe({.name = name});
    const auto is = [&](std::initializer_list<const char*> names) {
      bool found = false;
      for (const char* x : names) found = found || name == x;
      return found;
    };
    CHECK((r.needs.critic == critic_kind::token) == is({"ppo", "vapo"}));
    CHECK((r.needs.critic == critic_kind::sequence) == is({"sppo", "sppo_std"}));
    CHECK(r.needs.greedy == is({"remax"}));
    CHECK(r.needs.informative == is({"dapo"}));
    CHECK(r.needs.choice == is({"clip_cov", "kl_cov"}));
    CHECK(r.needs.support == (is({"apo"}) ? 8 : 0));
    CHECK((!r.needs.reference && !r.needs.entropy && !r.needs.likelihood));
    const bool alone = is({"ppo", "vapo", "reinforce", "reinforce_pp", "remax", "sppo", "sppo_std"});
    CHECK((r.needs.group == (alone ? 1 : 8) && r.needs.least_group == (alone ? 1 : 2)));
    CHECK(r.whitens == is({"ppo", "vapo", "reinforce_pp", "reinforce_pp_baseline"}));
    CHECK(r.imitation == (is({"vapo"}) ? 0.1 : 0));
    CHECK((r.reward_kl == 0 && r.name == name));
  }
}

TEST_CASE("recipes: each option that a name does not have is refused for itself") {
  using Catch::Contains;
  for (const char* name : {"gpg", "sapo", "vespo", "kl_cov", "reinforce"}) {
    CHECK_THROWS_WITH(make_recipe({.name = name, .clip_low = 0.2}), Contains("has no clip to set"));
    CHECK_THROWS_WITH(make_recipe({.name = name, .clip_high = 0.2}), Contains("has no clip to set"));
  }
  for (const char* name : {"gmpo", "cispo", "gpg"})
    CHECK_THROWS_WITH(make_recipe({.name = name, .clip_dual = 3.0}), Contains("has no dual clip to set"));
  for (const char* name : {"kl_cov", "grpo"}) {
    CHECK_THROWS_WITH(make_recipe({.name = name, .cov_low = 2.0}), Contains("range of covariances"));
    CHECK_THROWS_WITH(make_recipe({.name = name, .cov_high = 2.0}), Contains("range of covariances"));
  }
  for (const char* name : {"clip_cov", "grpo"})
    CHECK_THROWS_WITH(make_recipe({.name = name, .cov_kl = 2.0}), Contains("holds no tokens"));
  for (const char* name : {"sppo", "reinforce_pp", "grpo"})
    CHECK_THROWS_WITH(make_recipe({.name = name, .gae_lambda = 0.5}), Contains("has no lambda"));
  CHECK_THROWS_WITH(make_recipe({.name = "grpo", .clip_low = -0.1}), Contains("low"));
  CHECK_THROWS_WITH(make_recipe({.name = "grpo", .entropy = NAN}), Contains("entropy"));
  CHECK_THROWS_WITH(make_recipe({.name = "apo+apo"}), Contains("is anchored without +apo"));
  CHECK_THROWS_WITH(make_recipe({.name = "grpo+apo", .anchor_k = -1}), Contains("anchor_k"));
  CHECK(make_recipe({.name = "apo", .anchor_k = 1}).needs.support == 1);
  CHECK_NOTHROW(make_recipe({.name = "kl_cov", .cov_share = 1.0, .cov_kl = 0.0}));
}
