// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/balance.hpp"

#include "hone/core/thread_pool.hpp"
#include "moe/balance_batch.hpp"
#include "support/catch.hpp"
#include "support/gradient_error.hpp"

using namespace hone;
using namespace hone::moe;
using namespace moe_balance;

TEST_CASE("balance losses give the reference vectors (R.1, R.2, R.5)") {
  const auto z = by_expert(reference_logits, 3);
  const auto plan = plan_of<double>(3, {{0, 2}, {1, 0}, {0, 2}, {0, 1}, {0, 2}, {1, 0}});
  CHECK(best_experts(reference_logits, 3, 2) ==
        std::vector<std::vector<std::int32_t>>{{0, 2}, {1, 0}, {0, 2}, {0, 1}, {0, 2}, {1, 0}});
  CHECK(z_loss(z, no_gradient<double>).mean() == Approx(3.675829814).epsilon(1e-9));
  std::vector<double> gradient(18, 0.0);
  const auto loss = switch_loss(z, plan, by_expert(gradient, 3), {.scale = 1.0 / 6});
  CHECK(loss.mean() == Approx(1.129683815).epsilon(1e-9));
  CHECK(loss.count == 6);
  const double expected[] = {0.029398325, -0.009754724, -0.019643601, 0.029177404, -0.025699372, -0.003478032,
                             0.029636598, -0.010501542, -0.019135056, 0.030187370, -0.026588948, -0.003598423,
                             0.031144931, -0.005231776, -0.025913155, 0.026724347, -0.021849144, -0.004875203};
  for (std::size_t i = 0; i < 18; ++i) CHECK(gradient[i] == Approx(expected[i]).margin(6e-10));

  const std::vector<index_t> active = {6, 4, 3};
  CHECK(relu_loss(z, active, 12, no_gradient<double>).mean() == Approx(0.870833333).epsilon(1e-9));
  CHECK(relu_loss(z, {}, 0, no_gradient<double>).mean() == Approx(0.7).epsilon(1e-9));

  const auto second = by_expert(second_logits, 4);
  std::vector<double> of_z(20, 0.0), of_switch(20, 0.0);
  CHECK(z_loss(second, by_expert(of_z, 4), {.scale = 0.2}).mean() == Approx(4.0144768658).epsilon(1e-10));
  const double z_gradient[] = {0.1972775278, 0.0440185664, 0.4390492124, 0.1196548691, 0.0812913697,
                               0.3296527597, 0.1340268103, 0.2442127709, 0.5416221723, 0.1631334633,
                               0.0543024127, 0.0329360782, 0.0991217376, 0.0571882677, 0.2319098613,
                               0.5161248879, 0.2548284979, 0.1624858241, 0.1036055357, 0.1887815944};
  for (std::size_t i = 0; i < 20; ++i) CHECK(of_z[i] == Approx(z_gradient[i]).margin(6e-11));
  const auto top = plan_of<double>(4, best_experts(second_logits, 4, 2));
  CHECK(switch_loss(second, top, by_expert(of_switch, 4), {.scale = 0.2}).mean() ==
        Approx(1.0271574996).epsilon(1e-10));
  const double first[] = {0.0119122969, -0.0017438630, -0.0173936073, 0.0072251733};
  const double fourth[] = {0.0028030841, -0.0034417405, -0.0139569459, 0.0145956023};
  for (std::size_t e = 0; e < 4; ++e) {
    CHECK(of_switch[e] == Approx(first[e]).margin(6e-11));
    CHECK(of_switch[12 + e] == Approx(fourth[e]).margin(6e-11));
  }
}

TEST_CASE("balance is said layer by layer: layers that are wrong in turn are not balanced in one pot") {
  const std::vector<double> layers[] = {{2, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0},
                                        {0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 2, 0, 0, 2, 0, 0}};
  const double expected[] = {1.3074897295, 0.8462551353};
  std::vector<index_t> pot(4);
  for (int layer = 0; layer < 2; ++layer) {
    const auto plan = plan_of<double>(4, best_experts(layers[layer], 4, 2));
    CHECK(switch_loss(by_expert(layers[layer], 4), plan, no_gradient<double>).mean() ==
          Approx(expected[layer]).epsilon(1e-10));
    count_chosen<double>(plan, pot);
  }
  loss_sum together;
  for (const auto& z : layers) together += global_switch_loss(by_expert(z, 4), pot, 16, no_gradient<double>);
  CHECK(together.mean() == Approx(1).epsilon(1e-12));
}

TEMPLATE_TEST_CASE("balance losses and their gradients are those of the formulas", "", double, float) {
  using T = TestType;
  const double accuracy = std::is_same_v<T, double> ? 1e-12 : 3e-6;
  for (const auto& [tokens, experts, k] : {std::array<index_t, 3>{1, 1, 1}, {13, 3, 1}, {64, 5, 2}, {257, 7, 3}}) {
    CAPTURE(tokens, experts, k);
    const batch b = make_batch(tokens, experts, k, 1);
    const auto logits = cast<T>(b.logits);
    const std::vector<double> exact(logits.begin(), logits.end());
    index_t competing = 0, sequences = 0;
    for (const auto c : b.competes) competing += c;
    const double of_sequences = naive_sequences(b, exact, &sequences);
    const auto z = by_expert(logits, experts);
    const auto one = run(which::one, b, z, no_gradient<T>);
    CHECK(one.mean() == Approx(naive_switch(b, exact, 0, tokens)).epsilon(accuracy));
    CHECK(one.count == competing);
    const auto sequence = run(which::sequence, b, z, no_gradient<T>);
    CHECK(sequence.sum == Approx(of_sequences).epsilon(accuracy));
    CHECK(sequence.count == sequences);
    const auto of_z = run(which::z, b, z, no_gradient<T>);
    CHECK(of_z.sum == Approx(naive_z(b, exact)).epsilon(accuracy));
    CHECK(of_z.count == competing);
    for (const which w : all_losses) {
      CAPTURE(static_cast<int>(w));
      const auto own = [&](const std::vector<double>& x) {
        return run(w, b, by_expert(x, experts), no_gradient<double>).sum;
      };
      const auto x = exact;
      std::vector<double> reference(x.size(), 0.0);
      run(w, b, by_expert(x, experts), by_expert(reference, experts), 0.5);
      // One expert has probability 1.
      if (std::all_of(reference.begin(), reference.end(), [](double g) { return g == 0; }))
        CHECK(experts == 1);
      else
        CHECK(gradient_error(x, reference, [&](const std::vector<double>& y) { return 0.5 * own(y); }) < 1e-7);
      std::vector<T> gradient(logits.size(), T(0.25));
      const auto with = run(w, b, z, by_expert(gradient, experts), 0.5), without = run(w, b, z, no_gradient<T>);
      CHECK(with.sum == without.sum);
      CHECK(with.nonfinite == 0);
      for (std::size_t i = 0; i < gradient.size(); ++i)
        REQUIRE(static_cast<double>(gradient[i]) == Approx(0.25 + reference[i]).epsilon(0).margin(accuracy));
      for (index_t t = 0; t < tokens; ++t)
        for (index_t e = 0; e < experts; ++e)
          if (b.competes[static_cast<std::size_t>(t)] == 0)
            REQUIRE(gradient[static_cast<std::size_t>(t * experts + e)] == T(0.25));
    }
  }
}

TEST_CASE("balance losses: any executor and any strides, the same bits") {
  const batch b = make_batch(1300, 6, 2, 2);
  const auto logits = cast<float>(b.logits);
  std::vector<float> rows(logits.size());  // experts x tokens
  for (index_t t = 0; t < b.tokens; ++t)
    for (index_t e = 0; e < b.experts; ++e)
      rows[static_cast<std::size_t>(e * b.tokens + t)] = logits[static_cast<std::size_t>(t * b.experts + e)];
  for (const which w : all_losses) {
    CAPTURE(static_cast<int>(w));
    std::vector<float> alone(logits.size(), 0.5f);
    const auto sum = run(w, b, by_expert(logits, b.experts), by_expert(alone, b.experts), 0.1);
    for (const index_t workers : {1, 2, 7}) {
      thread_pool pool(workers);
      std::vector<float> gradient(logits.size(), 0.5f);
      const auto other = run(w, b, matrix_view<const float>(rows.data(), b.experts, b.tokens),
                             matrix_view<float>(gradient.data(), b.experts, b.tokens), 0.1, pool);
      CHECK(other.sum == sum.sum);
      CHECK(other.count == sum.count);
      for (index_t t = 0; t < b.tokens; ++t)
        for (index_t e = 0; e < b.experts; ++e)
          REQUIRE(gradient[static_cast<std::size_t>(e * b.tokens + t)] ==
                  alone[static_cast<std::size_t>(t * b.experts + e)]);
    }
  }
}

TEST_CASE("sums over a batch that was cut are those of the whole, and a token's gradient keeps its bits") {
  const batch b = make_batch(200, 5, 2, 3);
  std::vector<index_t> counts(5);
  count_chosen<double>(b.plan, counts);
  index_t total = 0;
  for (const index_t n : counts) total += n;
  CHECK(total == b.plan.size() + std::ssize(b.plan.dropped));
  CHECK(std::ssize(b.plan.dropped) > 0);
  std::vector<double> whole(b.logits.size(), 0.0), parts(b.logits.size(), 0.0);
  const auto z = by_expert(b.logits, 5);
  const balance_options options{.scale = 0.01, .competes = b.competes};
  const auto expected = switch_loss(z, b.plan, by_expert(whole, 5), options);
  const auto z_expected = z_loss(z, by_expert(whole, 5), options);
  // Whatever is not 0 competes.
  std::vector<std::uint8_t> others = b.competes;
  for (std::uint8_t& c : others) c = c != 0 ? 255 : 0;
  std::vector<double> of_others(b.logits.size(), 0.0);
  CHECK(switch_loss(z, b.plan, by_expert(of_others, 5), {.scale = 0.01, .competes = others}).sum == expected.sum);
  loss_sum sum, z_sum;
  for (const auto& [begin, end] : {std::pair<index_t, index_t>{0, 7}, {7, 7}, {7, 90}, {90, 200}}) {
    const matrix_view<const double> part(b.logits.data() + begin * 5, 5, end - begin, 1, 5);
    const matrix_view<double> gradient(parts.data() + begin * 5, 5, end - begin, 1, 5);
    const balance_options own{
        .scale = 0.01,
        .competes =
            std::span(b.competes).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin))};
    // No tokens: an empty span would mean that all compete, of which there are none.
    sum += global_switch_loss(part, counts, total, gradient, own);
    z_sum += z_loss(part, gradient, own);
  }
  CHECK(sum.count == expected.count);
  CHECK(sum.sum == Approx(expected.sum).epsilon(1e-14));
  CHECK(z_sum.count == z_expected.count);
  CHECK(z_sum.sum == Approx(z_expected.sum).epsilon(1e-14));
  CHECK(parts == whole);
}

TEST_CASE("a sequence's loss does not depend on those beside it") {
  const batch b = make_batch(120, 4, 2, 4);
  std::vector<double> together(b.logits.size(), 0.0);
  const auto all = run(which::sequence, b, by_expert(b.logits, 4), by_expert(together, 4));
  double sum = 0;
  for (std::size_t i = 0; i + 1 < b.sequences.size(); ++i) {
    const index_t begin = b.sequences[i], n = b.sequences[i + 1] - begin;
    std::vector<std::vector<std::int32_t>> sets(static_cast<std::size_t>(n));
    std::vector<dropped_slot<double>> dropped;
    for (std::int32_t e = 0; e < 4; ++e)
      for (index_t s = b.plan.offsets[static_cast<std::size_t>(e)]; s < b.plan.offsets[static_cast<std::size_t>(e) + 1];
           ++s)
        if (const index_t t = b.plan.token[static_cast<std::size_t>(s)] - begin; t >= 0 && t < n)
          sets[static_cast<std::size_t>(t)].push_back(e);
    for (auto d : b.plan.dropped)
      if (d.token >= begin && d.token < begin + n) {
        d.token -= static_cast<std::int32_t>(begin);
        dropped.push_back(d);
      }
    auto plan = plan_of<double>(4, sets);
    plan.dropped = dropped;
    std::vector<double> alone(static_cast<std::size_t>(4 * n), 0.0);
    const std::vector<index_t> borders = {0, n};
    const auto own = sequence_loss(
        matrix_view<const double>(b.logits.data() + begin * 4, 4, n, 1, 4), plan, borders, by_expert(alone, 4),
        {.competes = std::span(b.competes).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n))});
    sum += own.sum;
    for (std::size_t j = 0; j < alone.size(); ++j)
      REQUIRE(alone[j] == together[static_cast<std::size_t>(begin * 4) + j]);
  }
  CHECK(all.sum == Approx(sum).epsilon(1e-14));
}

TEST_CASE("even loads and even probabilities have a Switch loss of 1") {
  const std::vector<double> equal(12 * 4, 0.3);
  std::vector<std::vector<std::int32_t>> sets;
  for (std::int32_t t = 0; t < 12; ++t) sets.push_back({t % 4, (t + 1) % 4});
  const auto plan = plan_of<double>(4, sets);
  std::vector<double> gradient(equal.size(), 0.0);
  CHECK(switch_loss(by_expert(equal, 4), plan, by_expert(gradient, 4)).mean() == Approx(1).epsilon(1e-14));
  for (const double g : gradient) CHECK(std::abs(g) < 1e-15);
  const std::vector<index_t> one = {0, 12};
  CHECK(sequence_loss(by_expert(equal, 4), plan, one, by_expert(gradient, 4)).mean() == Approx(1).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("a logit that is not finite is counted, and touches nothing else", "", double, float) {
  using T = TestType;
  const T bad = std::numeric_limits<T>::quiet_NaN(), inf = std::numeric_limits<T>::infinity();
  batch b = make_batch(75, 4, 2, 5);
  auto clean = cast<T>(b.logits), dirty = clean;
  const auto at = [](index_t t, index_t e) { return static_cast<std::size_t>(t * 4 + e); };
  dirty[at(2, 1)] = bad;
  dirty[at(3, 0)] = inf;
  dirty[at(4, 3)] = -inf;
  for (index_t e = 0; e < 4; ++e) dirty[at(70, e)] = e == 2 ? inf : -inf;  // a token without a finite one
  for (index_t e = 0; e < 4; ++e) dirty[at(8, e)] = bad;                   // padding
  REQUIRE(b.competes[8] == 0);
  REQUIRE(b.competes[70] == 1);
  for (const which w : all_losses) {
    CAPTURE(static_cast<int>(w));
    std::vector<T> gradient(clean.size(), T(0)), expected(clean.size(), T(0));
    const auto sum = run(w, b, by_expert(dirty, 4), by_expert(gradient, 4));
    const auto before = run(w, b, by_expert(clean, 4), by_expert(expected, 4));
    CHECK(sum.nonfinite == 7);
    CHECK(sum.count == before.count);
    CHECK(std::isfinite(sum.sum));
    for (index_t t = 0; t < 75; ++t)
      for (index_t e = 0; e < 4; ++e) {
        CAPTURE(t, e);
        REQUIRE(std::isfinite(gradient[at(t, e)]));
        if (!std::isfinite(dirty[at(t, e)])) REQUIRE(gradient[at(t, e)] == 0);
        if (t != 2 && t != 3 && t != 4 && t != 70) REQUIRE(gradient[at(t, e)] == expected[at(t, e)]);
      }
  }
  // The softmax over what is finite.
  const std::vector<T> token = {T(1), bad, T(2)};
  std::vector<T> gradient(3, T(0));
  CHECK(z_loss(by_expert(token, 3), by_expert(gradient, 3)).sum ==
        Approx(std::pow(std::log(std::exp(1) + std::exp(2)), 2)).epsilon(1e-6));
  CHECK(gradient[1] == 0);
}

TEST_CASE("logits far apart and large do not overflow") {
  for (const double large : {1e4, 1e30, 3e38}) {
    const std::vector<float> z = {static_cast<float>(large), static_cast<float>(-large), 0, 0};
    std::vector<float> gradient(4, 0.0f);
    const auto plan = plan_of<float>(2, {{0}, {1}});
    const auto loss = switch_loss(by_expert(z, 2), plan, by_expert(gradient, 2));
    CHECK(loss.sum == Approx(2).epsilon(1e-6));
    CHECK(loss.nonfinite == 0);
    for (const float g : gradient) CHECK(g == 0);
    const auto squares = z_loss(by_expert(z, 2), by_expert(gradient, 2), {.scale = 1e-3 / 2});
    CHECK(squares.sum == Approx(large * large).epsilon(1e-6));
    CHECK(squares.nonfinite == 0);
    CHECK(gradient[0] == Approx(1e-3 * large).epsilon(1e-6));
    CHECK(gradient[1] == 0);
  }
  const std::vector<double> z = {1e200, 0};
  CHECK(z_loss(by_expert(z, 2), no_gradient<double>).nonfinite == 1);
}

TEST_CASE("no tokens, padding alone, one expert, an expert without tokens: defined") {
  const std::vector<double> none;
  const auto empty = plan_of<double>(3, {});
  const matrix_view<const double> no_logits(nullptr, 3, 0);
  const matrix_view<double> nothing(nullptr, 3, 0);
  const std::vector<index_t> counts = {0, 0, 0}, borders = {0};
  for (const loss_sum& s : {switch_loss(no_logits, empty, nothing), sequence_loss(no_logits, empty, borders, nothing),
                            z_loss(no_logits, nothing), global_switch_loss(no_logits, counts, 0, nothing),
                            relu_loss(no_logits, counts, 0, nothing), relu_loss(no_logits, {}, 0, nothing)}) {
    CHECK(s.sum == 0);
    CHECK(s.count == 0);
    CHECK(s.mean() == 0);
  }
  batch b = make_batch(30, 3, 1, 6);
  b.competes.assign(30, 0);
  b.plan = plan_of<double>(3, std::vector<std::vector<std::int32_t>>(30));
  std::vector<double> gradient(90, 2.0);
  for (const which w : all_losses) {
    const auto s = run(w, b, by_expert(b.logits, 3), by_expert(gradient, 3));
    CHECK(s.sum == 0);
    CHECK(s.count == 0);
  }
  CHECK(gradient == std::vector<double>(90, 2.0));
  // Tokens that compete, of which nobody took any.
  b.competes.assign(30, 1);
  CHECK(run(which::one, b, by_expert(b.logits, 3), by_expert(gradient, 3)).sum == 0);
  CHECK(run(which::sequence, b, by_expert(b.logits, 3), by_expert(gradient, 3)).sum == 0);
  CHECK(gradient == std::vector<double>(90, 2.0));

  const std::vector<double> single = {0.3, -2, 5};
  std::vector<double> of_single(3, 0.0);
  CHECK(switch_loss(by_expert(single, 1), plan_of<double>(1, {{0}, {0}, {0}}), by_expert(of_single, 1)).mean() == 1);
  CHECK(of_single == std::vector<double>(3, 0.0));
  // All take expert 0: E times its probability.
  const std::vector<double> z = {1, 0, 1, 0};
  CHECK(switch_loss(by_expert(z, 2), plan_of<double>(2, {{0}, {0}}), no_gradient<double>).mean() ==
        Approx(2 / (1 + std::exp(-1.0))));
}

TEST_CASE("what does not fit is refused before anything is written") {
  const batch b = make_batch(12, 3, 1, 7);
  const auto z = by_expert(b.logits, 3);
  std::vector<double> memory(36, 1.0);
  const auto g = by_expert(memory, 3);
  const std::vector<index_t> counts = {1, 2, 3}, two = {1, 2}, negative = {1, -2, 3}, borders = {0, 5, 12};
  const auto other = plan_of<double>(3, std::vector<std::vector<std::int32_t>>(11));
  const mask short_mask(11, 1);
  CHECK_THROWS_WITH(switch_loss(z, other, g), Catch::Contains("switch_loss: plan"));
  CHECK_THROWS_WITH(switch_loss(z, plan_of<double>(2, std::vector<std::vector<std::int32_t>>(12)), g),
                    Catch::Contains("switch_loss: plan"));
  CHECK_THROWS_WITH(sequence_loss(z, other, borders, g), Catch::Contains("sequence_loss: plan"));
  auto not_transposed = b.plan;
  not_transposed.token_offsets.clear();
  CHECK_THROWS_WITH(switch_loss(z, not_transposed, g), Catch::Contains("plan"));
  for (const std::vector<index_t>& bad : {std::vector<index_t>{}, {0, 5, 11}, {1, 5, 12}, {0, 7, 5, 12}, {0, 13, 12}})
    CHECK_THROWS_WITH(sequence_loss(z, b.plan, bad, g), Catch::Contains("sequence_loss: sequences"));
  CHECK_THROWS_WITH(global_switch_loss(z, two, 6, g), Catch::Contains("global_switch_loss: counts"));
  CHECK_THROWS_WITH(global_switch_loss(z, negative, 6, g), Catch::Contains("counts: that of expert 1"));
  CHECK_THROWS_WITH(global_switch_loss(z, counts, -1, g), Catch::Contains("total"));
  CHECK_THROWS_WITH(relu_loss(z, two, 6, g), Catch::Contains("relu_loss: counts"));
  CHECK_THROWS_WITH(relu_loss(z, counts, -6, g), Catch::Contains("relu_loss: total"));
  CHECK_THROWS_WITH(relu_loss(z, negative, 6, g), Catch::Contains("counts: that of expert 1"));
  CHECK_THROWS_WITH(z_loss(z, matrix_view<double>(memory.data(), 2, 12, 1, 3)), Catch::Contains("is 2 x 12"));
  CHECK_THROWS_WITH(z_loss(z, g, {.competes = mask(13, 1)}), Catch::Contains("competes: has 13 elements"));
  CHECK_THROWS_AS(z_loss(z, g, {.scale = -1e300}), std::invalid_argument);
  std::vector<index_t> few(2);
  CHECK_THROWS_WITH(count_chosen<double>(b.plan, few), Catch::Contains("count_chosen: counts"));
  const matrix_view<double> narrow(memory.data(), 3, 11, 1, 3);
  const std::vector<balance_options> bad_options = {
      {.scale = undefined}, {.scale = infinite}, {.competes = short_mask}};
  for (const balance_options& options : bad_options) {
    CHECK_THROWS_AS(z_loss(z, g, options), std::invalid_argument);
    CHECK_THROWS_AS(switch_loss(z, b.plan, g, options), std::invalid_argument);
    CHECK_THROWS_AS(sequence_loss(z, b.plan, borders, g, options), std::invalid_argument);
    CHECK_THROWS_AS(relu_loss(z, counts, 6, g, options), std::invalid_argument);
  }
  CHECK_THROWS_WITH(z_loss(z, narrow), Catch::Contains("z_loss: dlogits"));
  CHECK_THROWS_WITH(switch_loss(z, b.plan, narrow), Catch::Contains("dlogits"));
  CHECK_THROWS_WITH(z_loss(z, matrix_view<double>(memory.data(), 3, 12, 0, 1)), Catch::Contains("dlogits"));
  CHECK_THROWS_WITH(z_loss(z, matrix_view<double>(nullptr, 3, 12)), Catch::Contains("dlogits"));
  CHECK(memory == std::vector<double>(36, 1.0));
}
