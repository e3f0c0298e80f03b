// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/moe.md shows.
#include "hone/moe/balance.hpp"
#include "hone/moe/load.hpp"
#include "hone/moe/route.hpp"
#include "hone/moe/schedule.hpp"
#include "hone/moe/update.hpp"

#include "moe/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
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

TEST_CASE("docs: a router, and back") {
  std::vector<float> logits(6 * 4), dlogits(6 * 4), slope;  // a row a token
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7 % 11);
  moe::routing_plan<float> plan;
  moe::route_memory<float> memory;
  const moe::router r = moe::expert_choice(2);     // two experts a token on average
  const std::vector<index_t> offsets = {0, 4, 6};  // two sequences
  const moe::route_options<float> options{.offsets = offsets, .causal = false};
  const matrix_view<const float> by_expert(logits.data(), 4, 6, 1, 4);  // experts x tokens, any strides
  moe::route(r, by_expert, options, plan, memory);
  for (index_t e = 0; e < plan.experts; ++e)
    for (index_t s = plan.offsets[static_cast<std::size_t>(e)]; s < plan.offsets[static_cast<std::size_t>(e) + 1]; ++s)
      slope.push_back(plan.gate[static_cast<std::size_t>(s)] - 1);  // of your loss, by the gate of token[s] at e
  moe::route_backward(r, by_expert, options, plan, slope, matrix_view<float>(dlogits.data(), 4, 6, 1, 4), memory);
  CHECK(plan.size() == 4 * (2 + 1));
}
