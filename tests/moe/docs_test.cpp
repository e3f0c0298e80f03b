// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/moe.md shows.
#include "hone/moe/load.hpp"
#include "hone/moe/schedule.hpp"
#include "hone/moe/update.hpp"

#include "moe/support.hpp"
#include "support/catch.hpp"

#include <numeric>

using namespace hone;

TEST_CASE("docs: a schedule and a budget") {
  const index_t k = moe::experts_per_token(moe::schedule::linear_reverse, 0.25, 2, 14);  // a quarter is masked
  const index_t taken = moe::capacity(2048, k, 64);                                      // tokens an expert takes
  const std::vector<index_t> by_masked =
      moe::budget(moe::schedule::linear_reverse, 512, {.mean = 64, .swing = 96});  // for 1 … 512 masked tokens
  CHECK(k == 11);
  CHECK(taken == 352);
  CHECK(std::accumulate(by_masked.begin(), by_masked.end(), index_t{0}) == 64 * 512);
}

TEST_CASE("docs: balance") {
  const index_t experts = 4, tokens = 6, k = 2;
  const std::vector<float> logits = router_logits<float>(tokens, experts, 1);
  const auto plan = plan_of<float>(experts, best_experts(logits, experts, k));
  const auto z = by_expert(logits, experts);  // experts x tokens
  std::vector<float> gradient(logits.size());
  const auto dlogits = by_expert(gradient, experts);
  const std::vector<std::uint8_t> competes(6, 1), is_masked = {1, 0, 0, 1, 1, 0};
  std::vector<float> bias(4);
  std::vector<index_t> counts(4);
  moe::expert_load load;

  const double each = 1 / 6.0;  // over the tokens that compete in all microbatches
  const moe::loss_sum even = moe::switch_loss(z, plan, dlogits, {.scale = 0.01 * each, .competes = competes});
  const moe::loss_sum small = moe::z_loss(z, dlogits, {.scale = 1e-3 * each, .competes = competes});
  moe::count_chosen(plan, counts);  // of every microbatch, then summed over ranks
  moe::update_bias(bias, counts);   // once a step, if there is one
  load.add(plan);                   // one a layer
  const moe::token_load masked = moe::count_experts(plan, is_masked);
  CHECK(even.count == 6);
  CHECK(even.mean() > 0.5);
  CHECK(small.mean() > 0);
  CHECK(load.total() == 12);
  CHECK(load.max_over_mean() >= 1);
  CHECK(masked.tokens == 3);
  CHECK(masked.mean() == 2);
  CHECK(*std::max_element(bias.begin(), bias.end()) <= 1e-3f);
}
