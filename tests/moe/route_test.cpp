// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans of random logits against sorts, what holds for every plan, and bad input.
#include "hone/moe/route.hpp"

#include "hone/core/thread_pool.hpp"
#include "moe/routed.hpp"

using namespace hone;
using namespace moe_routed;

TEMPLATE_TEST_CASE("every router's plan is that of the formulas, for any executor", "", float, double) {
  const double scale[] = {0, 1, 1.5, 2, 2.25, 2.5, 2.75, 3, 3.25};
  thread_pool three(3);
  for (const auto& [name, r] : all_routers())
    for (const index_t tokens : {1, 7, 40})
      for (const bool wild : {false, true})
        for (const bool masked : {false, true}) {
          constexpr index_t experts = 8;
          CAPTURE(name, tokens, wild, masked);
          if (wild && r.ranked_by == moe::ranking::sinkhorn) continue;  // its own test
          const rows x = random_logits(tokens, experts, static_cast<std::uint32_t>(tokens), wild);
          const std::vector<index_t> offsets = {0, tokens / 3, tokens / 3, tokens};
          std::vector<std::uint8_t> competes;
          for (index_t t = 0; masked && t < tokens; ++t) competes.push_back(t % 5 != 1 && t >= tokens / 6);
          const std::vector<TestType> bias = {0, TestType(0.25), -1, 0, TestType(0.5), 0, 0, TestType(-0.125)};
          const std::vector<TestType> thresholds = {0, TestType(0.5), TestType(0.625), 0, -1, 0, TestType(0.75), 0};
          const moe::route_options<TestType> options{
              .offsets = offsets,
              .competes = competes,
              .bias = r.ranked_by == moe::ranking::sinkhorn ? std::span<const TestType>() : bias,
              .thresholds = r.chosen == moe::selection::threshold ? thresholds : std::span<const TestType>(),
              .scale = scale,
              .causal = false,
              .seed = 3,
              .step = 5,
              .first_token = 100};
          routed<TestType> own(x), pooled(x);
          own(r, options);
          pooled(r, options, three);
          check_plan(own.plan);
          CHECK(own.plan.token == pooled.plan.token);
          CHECK(std::memcmp(own.plan.gate.data(), pooled.plan.gate.data(), own.plan.gate.size() * sizeof(TestType)) ==
                0);
          if (r.ranked_by != moe::ranking::sinkhorn)
            check_against(moe_reference::route<TestType>(r, x, options), own.plan,
                          sizeof(TestType) == 4 ? 2e-6 : 1e-13);
        }
}

TEST_CASE("a token that no expert took goes to its best one, with the gate of one alone, and is counted in its load") {
  const rows x = {{1.2, -0.4, 0.3}, {0.5, 0.9, -1.1}, {1.7, 0.2, 0.8},
                  {2.0, 1.5, -0.5}, {0.9, -1.0, 0.6}, {0.7, 1.3, -0.2}};
  routed<double> plain(x), all(x);
  plain(moe::expert_choice(1), {.causal = false});
  all(covered(moe::expert_choice(1)), {.causal = false});
  CHECK(plain.plan.offsets == std::vector<index_t>{0, 2, 4, 6});
  CHECK(all.plan.offsets == std::vector<index_t>{0, 3, 6, 8});  // beyond its capacity of 2, by as many as had none
  CHECK(all.plan.token == std::vector<std::int32_t>{0, 2, 3, 1, 3, 5, 2, 4});
  CHECK((all.plan.gate[0] == 1 && all.plan.gate[3] == 1));
  for (index_t t = 0; t < 6; ++t) CHECK(all.plan.experts_of(t) == (std::max)(plain.plan.experts_of(t), index_t{1}));
}

TEST_CASE("sinkhorn ranks by the balanced transport plan, whatever a token's logits have in common") {
  const rows x = random_logits(24, 5, 3, false);
  rows plan = x;
  std::vector<double> d0(24, 1), d1(5, 1);
  for (int round = 0; round < 2000; ++round) {  // far beyond the tolerance
    for (std::size_t t = 0; t < 24; ++t) {
      double sum = 0;
      for (std::size_t e = 0; e < 5; ++e) sum += d1[e] * std::exp(x[t][e]);
      d0[t] = 1 / (24 * sum);
    }
    for (std::size_t e = 0; e < 5; ++e) {
      double sum = 0;
      for (std::size_t t = 0; t < 24; ++t) sum += d0[t] * std::exp(x[t][e]);
      d1[e] = 1 / (5 * sum);
    }
  }
  std::vector<double> scores;  // experts x tokens
  for (std::size_t e = 0; e < 5; ++e)
    for (std::size_t t = 0; t < 24; ++t) scores.push_back(x[t][e] + (t % 2 ? 700.0 : -700.0));
  moe::detail::sinkhorn(scores.data(), index_t{5}, index_t{24}, index_t{0}, index_t{24});
  double error = 0, share = 0;
  for (std::size_t e = 0; e < 5; ++e) {
    double sum = 0;
    for (std::size_t t = 0; t < 24; ++t) {
      error = worst(error, std::abs(scores[e * 24 + t] / (d0[t] * std::exp(x[t][e]) * d1[e]) - 1));
      sum += scores[e * 24 + t];
    }
    share = worst(share, std::abs(sum * 5 - 1));
  }
  CHECK(error < 1e-3);
  CHECK(share < 1e-6);
  // What is not finite stays as it is, and leaves the others' plan finite.
  scores = {1, NAN, -INFINITY, 2, 0, INFINITY};
  moe::detail::sinkhorn(scores.data(), index_t{2}, index_t{3}, index_t{0}, index_t{3});
  CHECK((std::isnan(scores[1]) && scores[2] == -INFINITY && scores[5] == INFINITY));
  CHECK((std::isfinite(scores[0]) && std::isfinite(scores[3]) && std::isfinite(scores[4])));
}

TEST_CASE("a sequence's plan does not depend on the others, nor a token's gates on other tokens' logits") {
  const rows x = random_logits(30, 6, 9, false);
  const std::vector<index_t> offsets = {0, 11, 30};
  for (const auto& [name, r] : all_routers()) {
    if (r.over != moe::pool::sequence) continue;
    CAPTURE(name);
    routed<double> whole(x), part(rows(x.begin() + 11, x.end()));
    whole(r, {.offsets = offsets, .causal = false});
    part(r, {.causal = false});
    std::vector<std::int32_t> tokens;
    std::vector<double> gates;
    for (std::size_t s = 0; s < whole.plan.token.size(); ++s)
      if (whole.plan.token[s] >= 11) tokens.push_back(whole.plan.token[s] - 11), gates.push_back(whole.plan.gate[s]);
    CHECK(tokens == part.plan.token);
    CHECK(gates == part.plan.gate);
  }
}

TEST_CASE(
    "tokens in another order are the same plan in another order; what is added to a token's logits changes no gate") {
  const rows x = random_logits(21, 5, 4, false);
  rows turned(x.rbegin(), x.rend()), shifted = x;
  for (double& v : shifted[3]) v += 0.25;
  for (const auto& [name, r] : all_routers()) {
    if (r.second_at_random || (r.capacity_numerator > 0 && r.dropped != moe::drop_policy::gate)) continue;
    CAPTURE(name);
    const auto gates = [&](const rows& logits) {
      routed<double> own(logits);
      own(r, {.causal = false});
      std::map<std::pair<index_t, index_t>, double> result;
      for (index_t t = 0; t < own.plan.tokens; ++t)
        for (const std::int32_t s : moe::detail::slots_of(own.plan, t))
          result[{own.memory.expert[static_cast<std::size_t>(s)], t}] = own.plan.gate[static_cast<std::size_t>(s)];
      return result;
    };
    if (r.capacity_numerator > 0) continue;  // expert of slot is not kept beyond drops
    const auto a = gates(x), b = gates(turned);
    REQUIRE(a.size() == b.size());
    for (const auto& [pair, gate] : a) {
      REQUIRE(b.count({pair.first, 20 - pair.second}) == 1);
      CHECK(b.at({pair.first, 20 - pair.second}) == Approx(gate).epsilon(1e-13));
    }
    if (r.chosen == moe::selection::row_top && r.gate == moe::activation::softmax && r.ranked_by == moe::ranking::logit)
      for (const auto& [pair, gate] : gates(shifted)) CHECK(a.at(pair) == Approx(gate).epsilon(1e-12));
  }
}

TEST_CASE("expert choice is balanced to the slot; its capacity grows with k and is cut to the tokens") {
  const rows x = random_logits(50, 8, 2, false);
  index_t before = 0;
  for (const index_t k : {1, 2, 3, 7, 8, 20}) {
    routed<float> own(x);
    own(moe::expert_choice(k), {.causal = false});
    for (index_t e = 0; e < 8; ++e) CHECK(own.plan.load(e) == std::min<index_t>(50, 50 * k / 8));
    CHECK(own.plan.load(0) >= before);
    before = own.plan.load(0);
  }
  routed<float> own(x);
  const std::vector<index_t> offsets = {0, 20, 20, 50}, capacities = {7, 3, 99};
  own(moe::expert_choice(1), {.offsets = offsets, .capacities = capacities, .causal = false});
  for (index_t e = 0; e < 8; ++e) CHECK(own.plan.load(e) == 7 + 30);
  const std::vector<index_t> none = {0, 0, 0};
  own(moe::expert_choice(1), {.offsets = offsets, .capacities = none, .causal = false});
  CHECK(own.plan.size() == 0);
}

TEST_CASE("memory grows and never shrinks, and a plan keeps to 24 bytes a slot and 16 a token") {
  routed<float> own(random_logits(64, 8, 1, false));
  own(moe::top_k_then_softmax(4), {});
  const auto* before = own.plan.token.data();
  const auto* scores = own.memory.scores.data();
  own.plan.tokens = 3;
  own(moe::top_k_then_softmax(2), {});
  own.plan.tokens = 64;
  own(moe::top_k_then_softmax(4), {});
  CHECK((own.plan.token.data() == before && own.memory.scores.data() == scores));
  const std::size_t bytes = own.plan.token.capacity() * 4 + own.plan.gate.capacity() * 4 +
                            own.plan.slot.capacity() * 4 + own.plan.token_offsets.capacity() * 8 +
                            own.plan.offsets.capacity() * 8;
  CHECK(bytes <= 24 * 64 * 4 + 16 * 64);
}

TEST_CASE("no tokens, padding alone, one expert: plans that are empty or whole") {
  for (const auto& [name, r] : all_routers()) {
    CAPTURE(name);
    if (r.per_token > 1 && r.chosen == moe::selection::row_top) continue;
    routed<double> none(rows{}), padding(random_logits(4, 1, 1, false)), one(random_logits(4, 1, 1, false));
    none(r, {.causal = false});
    check_plan(none.plan);
    CHECK(none.plan.size() == 0);
    const std::vector<std::uint8_t> nobody(4, 0);
    padding(r, {.competes = nobody, .causal = false});
    check_plan(padding.plan);
    CHECK((padding.plan.size() == 0 && padding.plan.nonfinite == 0));
    one(r, {.causal = false});
    check_plan(one.plan);
    if (r.chosen != moe::selection::threshold && r.capacity_numerator == 0) CHECK(one.plan.size() == 4);
    for (const double g : one.plan.gate)
      if (r.gate == moe::activation::softmax) CHECK(g == 1);
  }
}

TEST_CASE("a plan of what does not fit is refused before anything is written") {
  routed<double> own(random_logits(6, 3, 1, false));
  own(moe::top_k_then_softmax(2), {});
  const auto token = own.plan.token;
  const auto refused = [&](const moe::router& r, const moe::route_options<double>& options, const char* part) {
    CAPTURE(part);
    CHECK_THROWS_WITH(own(r, options), Catch::Contains(part));
    CHECK(own.plan.token == token);
  };
  const moe::router k2 = moe::top_k_then_softmax(2);
  const std::vector<index_t> falls = {0, 4, 3, 6}, late = {1, 6}, early = {0, 5}, good = {0, 2, 6}, negative = {-1, 2};
  const std::vector<double> two = {1, 2}, nan = {0, NAN, 0}, infinite = {0, INFINITY, 0}, a = {1, NAN, 1, 1};
  const std::vector<std::uint8_t> mask = {1, 1};
  refused(moe::top_k_then_softmax(4), {}, "each token chooses 4 experts, there are 3");
  refused(moe::top_k_then_softmax(0), {}, "per_token: must be in [1");
  refused(k2, {.offsets = falls}, "offsets: fall after sequence 1");
  refused(k2, {.offsets = late}, "offsets: must begin with 0");
  refused(k2, {.offsets = early}, "end with the number of tokens, 6");
  refused(k2, {.competes = mask}, "competes: has 2 elements, must have 6");
  refused(k2, {.bias = two}, "bias: has 2 elements, must have 3");
  refused(k2, {.bias = nan}, "bias: must be below infinity");
  refused(k2, {.bias = infinite}, "bias: must be below infinity");
  refused(k2, {.thresholds = two}, "thresholds: has 2");
  refused(k2, {.scale = two}, "scale: has 2 elements, must have 4");
  refused(k2, {.scale = a}, "scale: must be finite");
  refused(moe::expert_choice(1), {}, "sees tokens that a causal model is to predict");
  refused(moe::expert_race(1), {}, "sees tokens");
  const std::vector<index_t> whole = {2};
  refused(k2, {.capacities = whole}, "capacities: are of experts that choose");
  const std::vector<double> three = {1, 2, 3};
  refused(k2, {.thresholds = three}, "thresholds: are of a router that chooses by them");
  refused(moe::sinkhorn_balanced(1), {}, "sees tokens");
  refused(moe::top_k_then_softmax(2, {1, 1}), {}, "drop_policy::position does not");
  refused(moe::expert_choice(1), {.offsets = good, .capacities = falls, .causal = false}, "capacities: has 4");
  refused(moe::expert_choice(1), {.offsets = good, .capacities = negative, .causal = false}, "must not be negative");
  CHECK_NOTHROW(own(moe::switch_transformer(), {}));
  CHECK_THROWS_WITH(moe::route(k2, matrix_view<const double>(nullptr, 0, 3), {}, own.plan, own.memory),
                    Catch::Contains("of at least 1"));
  CHECK_THROWS_WITH(moe::route(k2, matrix_view<const double>(nullptr, 3, -1), {}, own.plan, own.memory),
                    Catch::Contains("3 experts x -1 tokens"));
  CHECK(own.plan.tokens == 6);
  const std::vector<double> wide = {1e200};  // infinite where gates are floats, and NaN times a gate of 0
  routed<float> narrow({{1, NAN}});
  CHECK_THROWS_WITH(narrow(k2, {.scale = wide}), Catch::Contains("scale: must be finite"));
  CHECK_NOTHROW(own(k2, {.scale = wide}));
}
