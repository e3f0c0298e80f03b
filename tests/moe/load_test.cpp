// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/load.hpp"

#include "hone/core/thread_pool.hpp"
#include "moe/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::moe;

TEST_CASE("loads of the reference plans (R.2)") {
  const auto chosen = plan_of<float>(3, {{0, 2}, {1, 0}, {0, 2}, {0, 1}, {0, 2}, {1, 0}});
  expert_load load;
  load.add(chosen);
  CHECK(load.taken == std::vector<index_t>{6, 3, 3});
  CHECK(load.max_over_mean() == 1.5);
  CHECK(load.variation() == Approx(std::sqrt(2.0) / 4));
  CHECK(load.dropped_share() == 0);
  CHECK(load.padded_rows == 18);
  // Capacity 4: two of expert 0 are dropped.
  auto cut = plan_of<float>(3, {{0, 2}, {1}, {0, 2}, {0, 1}, {0, 2}, {1}});
  cut.dropped = {{0, 1, 0.4f}, {0, 5, 0.35f}};
  expert_load of_cut;
  of_cut.add(cut);
  CHECK(of_cut.taken == std::vector<index_t>{4, 3, 3});
  CHECK(of_cut.dropped_share() == Approx(2.0 / 12));
  of_cut.add(chosen);
  CHECK(of_cut.dropped_share() == Approx(2.0 / 24));
  // Experts choose: k = 1, c = 2.
  const auto choosing = plan_of<float>(3, {{}, {}, {0, 2}, {0, 1}, {2}, {1}});
  expert_load even;
  even.add(choosing);
  CHECK(even.max_over_mean() == 1);
  CHECK(even.variation() == 0);
  CHECK(even.padded_rows == 6);
  const token_load tokens = count_experts(choosing);
  CHECK(tokens.tokens == 6);
  CHECK(tokens.uncovered == 2);
  CHECK(tokens.uncovered_share() == Approx(2.0 / 6));
  CHECK(tokens.mean() == 1);
  CHECK(tokens.least == 0);
  CHECK(tokens.most == 2);
  CHECK(tokens.deviation() == Approx(std::sqrt(4.0 / 6)));  // 0 0 2 2 1 1 about 1
}

TEST_CASE("uncovered tokens by class, padding left out") {
  const auto plan = plan_of<float>(3, {{}, {}, {0, 2}, {0, 1}, {2}, {1}});
  const std::vector<std::uint8_t> competes = {1, 1, 1, 1, 1, 0}, masked = {1, 0, 1, 0, 1, 0}, rest = {0, 1, 0, 1, 0, 0};
  const token_load all = count_experts(plan, competes);
  token_load both = count_experts(plan, masked);
  CHECK(all.tokens == 5);
  CHECK(both.tokens == 3);
  CHECK(both.uncovered == 1);
  CHECK(both.mean() == 1);
  CHECK(count_experts(plan, rest).uncovered_share() == 0.5);
  both += count_experts(plan, rest);
  CHECK(both.tokens == all.tokens);
  CHECK(both.uncovered == all.uncovered);
  CHECK(both.executed == all.executed);
  CHECK(both.squares == all.squares);
  CHECK(both.least == all.least);
  CHECK(both.most == all.most);
  CHECK(both.deviation() == all.deviation());
  // What was not counted has no least.
  token_load covered = count_experts(plan, std::vector<std::uint8_t>{0, 0, 0, 0, 1, 0});
  covered += count_experts(plan, std::vector<std::uint8_t>(6, 0));
  CHECK(covered.least == 1);
  token_load none_then_two;
  none_then_two += covered;
  CHECK(none_then_two.least == 1);
  none_then_two += count_experts(plan, std::vector<std::uint8_t>{0, 0, 0, 1, 0, 0});
  CHECK(none_then_two.least == 1);
  CHECK(none_then_two.most == 2);
  none_then_two += count_experts(plan, std::vector<std::uint8_t>{0, 9, 0, 0, 0, 1});
  CHECK(none_then_two.least == 0);
  CHECK(none_then_two.most == 2);
  CHECK(none_then_two.tokens == 4);
  CHECK(none_then_two.uncovered_share() == 0.25);
}

TEST_CASE("deviations of tokens about a mean that is not 1; what has not counted anything") {
  const token_load loads = count_experts(plan_of<float>(3, {{0, 1, 2}, {0, 1}, {0, 1}, {2}}));
  CHECK(loads.mean() == 2);
  CHECK(loads.deviation() == Approx(std::sqrt(0.5)).epsilon(1e-14));
  CHECK(loads.squares == 18);
  CHECK(token_load{}.least == 0);
  CHECK(token_load{}.most == 0);
  std::vector<double> logits = {NAN, 1, 2, 3, 5, 1, 4, 2, 7, 0, 9, 1};
  const auto found = column_correlation(by_expert(logits, 3));
  CHECK(found.tokens == 3);
  CHECK(found.pairs == 3);
}

TEST_CASE("layers that are full and empty in turn are not even: their loads are not pooled") {
  const auto first = plan_of<float>(4, {{0, 1}, {0, 1}, {1, 0}, {2, 0}});
  const auto second = plan_of<float>(4, {{3, 0}, {3, 0}, {2, 0}, {1, 0}});
  expert_load a, b;
  a.add(first);
  b.add(second);
  CHECK(a.max_over_mean() == 2);
  CHECK(b.max_over_mean() == 2);
  CHECK(a.variation() == Approx(std::sqrt((4. + 1 + 1 + 4) / 4) / 2));
  // One layer's plans of two microbatches are: its counts add up, but each call pads its own.
  expert_load whole, halves;
  whole.add(plan_of<float>(2, {{0}, {0}, {1}, {1}}));
  halves.add(plan_of<float>(2, {{0}, {0}}));
  halves.add(plan_of<float>(2, {{1}, {1}}));
  CHECK(halves.taken == whole.taken);
  CHECK(halves.max_over_mean() == whole.max_over_mean());
  CHECK(whole.padded_rows == 4);
  CHECK(halves.padded_rows == 8);
}

TEST_CASE("loads of nothing are 0") {
  expert_load load;
  CHECK(load.max_over_mean() == 0);
  CHECK(load.variation() == 0);
  CHECK(load.dropped_share() == 0);
  load.add(plan_of<float>(3, {}));
  load.add(plan_of<float>(3, {{}, {}}));
  CHECK(load.total() == 0);
  CHECK(load.max_over_mean() == 0);
  CHECK(load.variation() == 0);
  CHECK(load.padded_rows == 0);
  const token_load none = count_experts(plan_of<float>(3, {}));
  CHECK(none.uncovered_share() == 0);
  CHECK(none.mean() == 0);
  CHECK(none.deviation() == 0);
  expert_load one;
  one.add(plan_of<float>(1, {{0}, {0}}));
  CHECK(one.max_over_mean() == 1);
  CHECK_THROWS_WITH(one.add(plan_of<float>(2, {{0}})), Catch::Contains("expert_load::add: plan"));
  CHECK(one.taken == std::vector<index_t>{2});
  const std::vector<std::uint8_t> mask(3, 1);
  CHECK_THROWS_WITH(count_experts(plan_of<float>(2, {{0}}), mask), Catch::Contains("count_experts: counted"));
  CHECK_THROWS_WITH(count_experts(plan_of<float>(2, {{0}, {1}, {0}, {1}}), mask),
                    Catch::Contains("count_experts: counted: has 3 elements, there are 4 tokens"));
  auto cut = plan_of<float>(2, {{0}});
  cut.slot.clear();
  CHECK_THROWS_WITH(count_experts(cut), Catch::Contains("count_experts: plan"));
  CHECK_THROWS_WITH(load.add(cut), Catch::Contains("expert_load::add: plan"));
  auto borders = plan_of<float>(2, {{0}}), transposed = borders;
  borders.offsets.push_back(1);
  transposed.token_offsets.push_back(1);
  CHECK_THROWS_WITH(count_experts(borders), Catch::Contains("plan: has 4 and 2 borders for 2 experts and 1 tokens"));
  CHECK_THROWS_WITH(count_experts(transposed), Catch::Contains("plan: has 3 and 3 borders"));
  CHECK(expert_flops(16384, 512, 384) == 6.0 * 16384 * 512 * 384);  // a layer of 512 experts, 32 a token: 19.3 GFLOP
  CHECK(expert_flops(16384, 512, 384) == Approx(19.3e9).epsilon(2e-3));
}

TEMPLATE_TEST_CASE("column correlations are those of the formula", "", double, float) {
  using T = TestType;
  const index_t tokens = 90, experts = 6;
  auto logits = router_logits<T>(tokens, experts, 1);
  std::vector<std::uint8_t> competes;
  for (index_t t = 0; t < tokens; ++t) competes.push_back(t % 5 == 3 ? 0 : 1);
  const auto at = [&](index_t t, index_t e) { return static_cast<std::size_t>(t * experts + e); };
  for (index_t t = 0; t < tokens; ++t) {
    logits[at(t, 1)] = T(-3) * logits[at(t, 0)] + T(7);  // correlation -1
    logits[at(t, 5)] = T(0.1);                           // none
  }
  logits[at(3, 0)] = std::numeric_limits<T>::quiet_NaN();  // padding
  logits[at(10, 2)] = std::numeric_limits<T>::infinity();
  double expected = 0;
  for (index_t a = 0; a < 5; ++a)
    for (index_t b = 0; b < a; ++b) {
      double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
      for (index_t t = 0; t < tokens; ++t) {
        if (competes[static_cast<std::size_t>(t)] == 0 || t == 10) continue;
        const auto u = static_cast<double>(logits[at(t, a)]), v = static_cast<double>(logits[at(t, b)]);
        n += 1, x += u, y += v, xx += u * u, yy += v * v, xy += u * v;
      }
      expected += std::abs(xy - x * y / n) / std::sqrt((xx - x * x / n) * (yy - y * y / n));
    }
  const auto found = column_correlation(by_expert(logits, experts), competes);
  CHECK(found.sum == Approx(expected).epsilon(1e-11));
  CHECK(found.pairs == 10);
  CHECK(found.tokens == 71);
  for (const index_t workers : {2, 7}) {
    thread_pool pool(workers);
    CHECK(column_correlation(by_expert(logits, experts), competes, pool).sum == found.sum);
  }
}

TEST_CASE("column correlations do not depend on the unit, whose squares may be 0 or infinite") {
  const auto logits = router_logits<double>(40, 4, 6);
  const auto expected = column_correlation(by_expert(logits, 4));
  for (const int exponent : {-1000, -600, 600, 1020}) {
    CAPTURE(exponent);
    std::vector<double> moved;
    for (const double z : logits) moved.push_back(std::ldexp(z, exponent));
    const auto found = column_correlation(by_expert(moved, 4));
    CHECK(found.pairs == 6);
    CHECK(found.sum == Approx(expected.sum).epsilon(1e-12));
  }
}

TEST_CASE("column correlations: collinear columns, constants, nothing") {
  std::vector<float> logits;
  for (int t = 0; t < 50; ++t)
    for (int e = 0; e < 4; ++e) logits.push_back(0.3f * static_cast<float>(t * t % 17) * static_cast<float>(e + 1));
  CHECK(column_correlation(by_expert(logits, 4)).mean() == Approx(1).epsilon(1e-6));
  CHECK(column_correlation(by_expert(logits, 4)).mean() <= 1);
  const std::vector<float> constant(60, 0.1f);
  CHECK(column_correlation(by_expert(constant, 4)).pairs == 0);
  CHECK(column_correlation(by_expert(constant, 4)).mean() == 0);
  CHECK(column_correlation(by_expert(constant, 1)).mean() == 0);
  CHECK(column_correlation(matrix_view<const float>(nullptr, 4, 0)).mean() == 0);
  const std::vector<std::uint8_t> padding(50, 0), few(49, 1);
  CHECK(column_correlation(by_expert(logits, 4), padding).tokens == 0);
  CHECK_THROWS_WITH(column_correlation(by_expert(logits, 4), few), Catch::Contains("column_correlation: competes"));
}
