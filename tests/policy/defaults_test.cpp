// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The values that options have where nobody sets them: those that sources publish. Those of surrogates are in the
/// page's table too (recipe_table_test.cpp).
#include "hone/policy/correction.hpp"
#include "hone/policy/recipes.hpp"
#include "hone/policy/rows.hpp"

#include "support/catch.hpp"

using namespace hone::policy;

TEST_CASE("defaults of advantages, penalties and choices") {
  CHECK(grpo{}.epsilon == 1e-4);
  CHECK(opo{}.lengths.empty());
  CHECK(!pass_k_best{}.scaled);
  CHECK(pass_k_best{}.epsilon == 1e-6);
  CHECK(gae_options{}.gamma == 1);
  CHECK(gae_options{}.lambda == 0.95);
  CHECK(gae_options{}.length_adaptive == 0);
  CHECK(kl_penalty{}.coefficient == 0);
  CHECK(adaptive_kl{}.coefficient == 0.2);
  CHECK(adaptive_kl{}.target == 6);
  CHECK(adaptive_kl{}.horizon == 10000);
  CHECK(sampler_correction{}.low == 0);
  CHECK(sampler_correction{}.high == 2);
  CHECK(clip_cov{}.share == 2e-4);
  CHECK(clip_cov{}.low == 1);
  CHECK(clip_cov{}.high == 5);
  CHECK(kl_cov{}.share == 2e-4);
  CHECK(!support_options{}.keep_target);
  CHECK(support_options{}.temperature == 1);
  CHECK(!loss_output{}.add);
}

TEST_CASE("defaults of recipes") {
  CHECK(recipe_options{}.name == "grpo");
  CHECK(recipe_options{}.kl == 0);
  CHECK(recipe_options{}.entropy == 0);
  CHECK(recipe_options{}.anchor_k == 8);
  CHECK(recipe_options{}.anchor_beta == 0.1);
  CHECK(recipe_options{}.anchor_lambda == 1.05);
  CHECK(support_anchor<ppo_clip>{}.push == 1.05);
  CHECK(support_anchor<ppo_clip>{}.pull == 0.1);
  CHECK(ppo_clip{}.low == 0.2);
  CHECK(ppo_clip{}.high == 0.2);
  CHECK(clipped_geometric_ratio{}.low == 0.4);
  CHECK(clipped_geometric_ratio{}.high == 0.4);
}
