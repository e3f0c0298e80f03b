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

TEST_CASE("published routers are what their papers say") {
  using namespace hone::moe;
  const router choice = expert_choice(3), zhou = zhou_expert_choice(3, pool::batch), race = expert_race(3, pool::batch);
  CHECK((choice.over == pool::sequence && choice.chosen == selection::column_top && choice.per_token == 3));
  CHECK((choice.gate == activation::softmax && choice.renormalised && choice.ranked_by == ranking::logit));
  CHECK((expert_choice_sigmoid(3).gate == activation::sigmoid && expert_choice_sigmoid(3).per_token == 3));
  CHECK((zhou.ranked_by == ranking::softmax && !zhou.renormalised && zhou.per_token == 3 && zhou.over == pool::batch));
  CHECK((race.chosen == selection::global_top && race.per_token == 3 && race.over == pool::batch));
  CHECK(expert_race(3).over == pool::sequence);
  CHECK(zhou_expert_choice(3).over == pool::sequence);
  const router mixtral = top_k_then_softmax(3, {7, 5}), switched = switch_transformer(), pairs = gshard();
  CHECK((mixtral.over == pool::batch && mixtral.chosen == selection::row_top && mixtral.per_token == 3));
  CHECK((mixtral.renormalised && mixtral.gate == activation::softmax && mixtral.dropped == drop_policy::gate));
  CHECK((mixtral.capacity_numerator == 7 && mixtral.capacity_denominator == 5));
  CHECK(top_k_then_softmax(3).capacity_numerator == 0);
  CHECK((!softmax_then_top_k(3, {7, 5}).renormalised && softmax_then_top_k(3, {7, 5}).capacity_numerator == 7));
  CHECK((switched.per_token == 1 && switched.capacity_numerator == 5 && switched.capacity_denominator == 4));
  CHECK((switched.dropped == drop_policy::position && !switched.renormalised && !switched.second_at_random));
  CHECK((pairs.per_token == 2 && pairs.second_at_random && pairs.renormalised && pairs.dropped == drop_policy::choice));
  CHECK((pairs.capacity_numerator == 1 && pairs.capacity_denominator == 1));
  CHECK((loss_free(3).ranked_by == ranking::sigmoid && loss_free(3).gate == activation::sigmoid));
  CHECK((loss_free(3).renormalised && loss_free(3).per_token == 3 && loss_free(3).chosen == selection::row_top));
  CHECK((sinkhorn_balanced(3).ranked_by == ranking::sinkhorn && !sinkhorn_balanced(3).renormalised));
  CHECK((remoe().over == pool::batch && remoe().chosen == selection::threshold && remoe().gate == activation::relu));
  CHECK((expert_threshold(3).over == pool::batch && expert_threshold(3).chosen == selection::threshold));
  CHECK((expert_threshold(3).gate == activation::sigmoid && !expert_threshold(3).renormalised));
  CHECK(expert_threshold(3).per_token == 3);
}

TEST_CASE("the last good values hold together; Sinkhorn and drops by choice see the future") {
  moe::router r = moe::top_k_then_softmax(2, {5, 4}, moe::drop_policy::position);
  CHECK(!moe::sees_the_future(r));
  r.per_token = r.capacity_numerator = r.capacity_denominator = (1 << 20) - 1;
  CHECK_NOTHROW(moe::validate(r));
  r.per_token = r.capacity_denominator = 1;
  r.capacity_numerator = 0;
  r.dropped = moe::drop_policy::choice;
  CHECK_NOTHROW(moe::validate(r));
  CHECK(!moe::sees_the_future(r));  // nothing is dropped
  r.capacity_numerator = 1;
  CHECK(moe::sees_the_future(r));
  moe::router threshold = moe::expert_threshold(1);
  threshold.best_if_none = true;
  CHECK_NOTHROW(moe::validate(threshold));
  threshold.ranked_by = moe::ranking::sinkhorn;
  CHECK(moe::sees_the_future(threshold));
  moe::router relu = moe::remoe();
  relu.renormalised = true;
  CHECK_THROWS_WITH(moe::validate(relu), Catch::Contains("renormalised"));
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
  refused([](auto& r) { r.per_token = -1; }, "per_token: must be in [1, 2^20), is -1");
  refused([](auto& r) { r.capacity_denominator = -1; }, "capacity_denominator: must be in [1, 2^20), is -1");
  refused([](auto& r) { r.second_at_random = true, r.per_token = 1; }, "second_at_random");
  refused([](auto& r) { r.chosen = moe::selection::threshold; }, "limits experts that tokens choose");
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
