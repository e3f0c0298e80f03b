// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/router.hpp"

#include "support/catch.hpp"

using namespace hone;

TEST_CASE("published routers hold together, and say whether they see the future") {
  struct {
    moe::router router;
    bool future;
  } const all[] = {{moe::expert_choice(2), true},
                   {moe::expert_choice_sigmoid(2), true},
                   {moe::zhou_expert_choice(2), true},
                   {moe::top_k_then_softmax(2), false},
                   {moe::top_k_then_softmax(2, {5, 4}), true},  // whose gates are higher may come later
                   {moe::top_k_then_softmax(2, {5, 4}, moe::drop_policy::position), false},
                   {moe::top_k_then_softmax(2, {5, 4}, moe::drop_policy::choice), true},
                   {moe::softmax_then_top_k(2), false},
                   {moe::switch_transformer(), false},
                   {moe::gshard(), true},
                   {moe::loss_free(2), false},
                   {moe::sinkhorn_balanced(2), true},
                   {moe::remoe(), false},
                   {moe::expert_threshold(2), false},
                   {moe::expert_race(2), true}};
  for (const auto& [r, future] : all) {
    CHECK_NOTHROW(moe::validate(r));
    CHECK(moe::sees_the_future(r) == future);
  }
  CHECK(moe::sinkhorn_balanced(1).gate == moe::activation::sigmoid);
  CHECK(moe::sinkhorn_balanced(2).gate == moe::activation::softmax);
  CHECK(moe::expert_choice(2) == moe::expert_choice(2));
  CHECK(!(moe::expert_choice(2) == moe::expert_choice(2, moe::pool::batch)));
}

TEST_CASE("a router that does not hold together is refused by its member") {
  const auto refused = [](auto change, const char* part) {
    moe::router r = moe::top_k_then_softmax(2, {5, 4});
    change(r);
    CAPTURE(part);
    CHECK_THROWS_WITH(moe::validate(r), Catch::Contains(part));
  };
  refused([](auto& r) { r.per_token = 0; }, "per_token: must be in [1, 2^20), is 0");
  refused([](auto& r) { r.per_token = 1 << 20; }, "per_token");
  refused([](auto& r) { r.capacity_numerator = -1; }, "capacity_numerator: must be in [0");
  refused([](auto& r) { r.capacity_numerator = 1 << 20; }, "capacity_numerator");
  refused([](auto& r) { r.capacity_denominator = 0; }, "capacity_denominator: must be in [1");
  refused([](auto& r) { r.capacity_denominator = 1 << 20; }, "capacity_denominator");
  refused([](auto& r) { r.chosen = moe::selection::column_top; }, "limits experts that tokens choose");
  refused([](auto& r) { r.best_if_none = true; }, "best_if_none: is of experts that choose");
  refused([](auto& r) { r.gate = moe::activation::relu; }, "renormalised: relu's gates");
  refused([](auto& r) { r.second_at_random = true, r.per_token = 3; }, "second_at_random");
  refused([](auto& r) { r.second_at_random = true, r.renormalised = false; }, "second_at_random");
  refused([](auto& r) { r.second_at_random = true, r.capacity_numerator = 0, r.chosen = moe::selection::column_top; },
          "second_at_random");
}
