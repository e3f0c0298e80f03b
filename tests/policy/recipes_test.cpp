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
