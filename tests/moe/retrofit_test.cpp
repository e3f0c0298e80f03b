// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/retrofit.hpp"

#include "moe/routed.hpp"

#include <limits>

using namespace hone;
using namespace moe_routed;

TEST_CASE("experts that choose have the gates of tokens that chose") {
  const moe::router softmax = moe::experts_choose(moe::top_k_then_softmax(3)),
                    llada = moe::experts_choose(moe::softmax_then_top_k(8), false),
                    sigmoid = moe::experts_choose(moe::loss_free(2));
  CHECK(softmax == covered(moe::expert_choice(3)));
  CHECK(llada == moe::zhou_expert_choice(8));
  CHECK(sigmoid == moe::router{.ranked_by = moe::ranking::sigmoid,
                               .gate = moe::activation::sigmoid,
                               .per_token = 2,
                               .best_if_none = true});
  CHECK(moe::experts_choose(moe::gshard()) == covered(moe::expert_choice(2)));  // neither limits nor chance
  for (const moe::router& r : {moe::expert_choice(2), moe::remoe(), moe::sinkhorn_balanced(2), moe::expert_race(1)})
    CHECK_THROWS_WITH(moe::experts_choose(r), Catch::Contains("is a router by which tokens choose"));
}

TEST_CASE("where tokens choose so that every expert has its share, the same pairs come of experts that choose") {
  const rows x = {{3, 1, 0, 0}, {0, 3, 1, 0}, {0, 0, 3, 1}, {1, 0, 0, 3}};
  for (const moe::router& from : {moe::top_k_then_softmax(2), moe::softmax_then_top_k(2), moe::loss_free(2)}) {
    routed<double> before(x), after(x);
    before(from, {});
    after(moe::experts_choose(from), {.causal = false});
    CHECK(after.plan.token == before.plan.token);
    CHECK(after.plan.gate == before.plan.gate);
  }
}

TEST_CASE("a capacity is rounded to the nearest") {
  CHECK(moe::nearest_capacity(10, 1, 4) == 3);  // 2.5
  CHECK(moe::nearest_capacity(9, 1, 4) == 2);
  CHECK(moe::nearest_capacity(11, 1, 4) == 3);
  CHECK(moe::nearest_capacity(12, 1, 4) == 3);
  CHECK(moe::nearest_capacity(3, 3, 2) == 3);  // 4.5: no more than there are
  CHECK(moe::nearest_capacity(1, 1, 8) == 1);
  CHECK(moe::nearest_capacity(6, 1, 8) == 1);  // 0.75: one in any case
  CHECK(moe::nearest_capacity(0, 1, 8) == 0);
  CHECK_THROWS_AS(moe::nearest_capacity(1, 1, 0), std::invalid_argument);
}

TEMPLATE_TEST_CASE("with the whole bias a token chooses by how far it is above what experts would take", "", float,
                   double) {
  using T = TestType;
  rows x = random_logits(40, 5, 7, false);
  for (auto& row : x)
    for (std::size_t e = 0; e < 5; ++e) row[e] += static_cast<double>(e) * 2;  // the last one is everybody's first
  routed<T> own(x);
  const auto by_expert = own.view();
  std::vector<double> mu(5);
  moe::column_thresholds(by_expert, 1, mu);
  std::vector<T> bias(5, T{9});
  moe::homotopy_bias(by_expert, 1, 0, bias);
  for (const T b : bias) CHECK(b == 0);
  moe::homotopy_bias(by_expert, 1, 0.25, bias);
  for (std::size_t e = 0; e < 5; ++e) CHECK(static_cast<double>(bias[e]) == Approx(-mu[e] / 4).epsilon(1e-6));
  moe::homotopy_bias(by_expert, 1, 1, bias);
  const auto most = [&](const moe::route_options<T>& options) {
    own(moe::top_k_then_softmax(1), options);
    index_t load = 0;
    for (index_t e = 0; e < 5; ++e) load = (std::max)(load, own.plan.load(e));
    return load;
  };
  CHECK(most({}) > 30);  // of 40; a share is 8
  CHECK(most({.bias = bias}) < 16);
  // A token that one expert alone would take chooses that one.
  routed<T> taken(x);
  taken(moe::expert_choice(1), {.causal = false});
  own(moe::top_k_then_softmax(1), {.bias = bias});
  index_t alone = 0;
  for (index_t t = 0; t < 40; ++t) {
    if (taken.plan.experts_of(t) != 1) continue;
    ++alone;
    const auto expert = [&](const moe::routing_plan<T>& plan) {
      const auto slot = plan.slot[static_cast<std::size_t>(plan.token_offsets[static_cast<std::size_t>(t)])];
      return std::upper_bound(plan.offsets.begin(), plan.offsets.end(), index_t{slot}) - plan.offsets.begin() - 1;
    };
    CHECK(expert(own.plan) == expert(taken.plan));
  }
  CHECK(alone > 5);
}

TEST_CASE("bad input to the bias is refused before it is written") {
  std::vector<double> logits(12), bias(4, 7.0), none;
  const matrix_view<const double> z(logits.data(), 4, 3);
  for (const double alpha : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_WITH(moe::homotopy_bias(z, 1, alpha, bias), Catch::Contains("alpha: must be in [0, 1]"));
  CHECK_THROWS_WITH(moe::homotopy_bias(z, 1, 1, none), Catch::Contains("bias: has 0 elements for 4 experts"));
  CHECK_THROWS_WITH(moe::homotopy_bias(z, 0, 1, bias), Catch::Contains("per_token"));
  CHECK(bias == std::vector<double>(4, 7.0));
  logits.assign(12, std::numeric_limits<double>::infinity());
  moe::homotopy_bias(z, 1, 1, bias);
  CHECK(bias == std::vector<double>(4, 0.0));
}
