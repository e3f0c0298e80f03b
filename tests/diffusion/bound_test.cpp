// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The bound against enumeration of all masks, the 1 / t integral and all orders of revealing, on a table of losses.
#include "hone/diffusion/bound.hpp"

#include "support/catch.hpp"

#include <numeric>

using namespace hone;
using namespace hone::diffusion;

namespace {

/// CE_i(m) = (i + 1)(1 + |m|) / (1 + sum over m of (j + 1)), of bits m.
double loss_at(unsigned m, int i) {
  int size = 0, sum = 1;
  for (int j = 0; j < 3; ++j)
    if (m >> j & 1) ++size, sum += j + 1;
  return static_cast<double>((i + 1) * (1 + size)) / sum;
}
double masked_sum(unsigned m) {
  double sum = 0;
  for (int i = 0; i < 3; ++i)
    if (m >> i & 1) sum += loss_at(m, i);
  return sum;
}
constexpr double exact = 9103.0 / 7560;

bound estimate(bound_options options) {
  options.mask_token = 9;
  return likelihood_bound(std::vector<std::int32_t>{5, 6, 7}, options,
                          [&](std::span<const std::int32_t> noised, index_t n) {
                            unsigned m = 0;
                            for (unsigned i = 0; i < 3; ++i) m |= (noised[i] == 9 ? 1u : 0u) << i;
                            CHECK(n == __builtin_popcount(m));
                            return masked_sum(m) / static_cast<double>(n);
                          });
}

}  // namespace

TEST_CASE("counts, the 1 / t integral and orders of revealing give one bound") {
  double by_count = 0, per_count[4] = {}, sets[4] = {};
  for (unsigned m = 1; m < 8; ++m) {
    const int n = __builtin_popcount(m);
    per_count[n] += masked_sum(m) / n;
    sets[n] += 1;
  }
  const double table[] = {0, 23.0 / 18, 143.0 / 120, 8.0 / 7};
  for (int n = 1; n <= 3; ++n) {
    CHECK(per_count[n] / sets[n] == Approx(table[n]).epsilon(1e-14));
    by_count += per_count[n] / sets[n] / 3;
  }
  CHECK(by_count == Approx(exact).epsilon(1e-14));
  double integral = 0;
  constexpr int points = 200000;
  for (int k = 0; k < points; ++k) {
    const double t = (k + 0.5) / points;
    for (unsigned m = 1; m < 8; ++m) {
      const int n = __builtin_popcount(m);
      integral += masked_sum(m) * std::pow(t, n) * std::pow(1 - t, 3 - n) / (t * 3) / points;
    }
  }
  CHECK(integral == Approx(exact).epsilon(1e-8));
  int order[] = {0, 1, 2};
  double orders = 0;
  do {
    unsigned m = 7;
    for (const int i : order) orders += loss_at(m, i) / 18, m &= ~(1u << i);
  } while (std::next_permutation(order, order + 3));
  CHECK(orders == Approx(exact).epsilon(1e-14));
  CHECK((2 * table[1] + table[2] + table[3]) / 4 == Approx(12323.0 / 10080).epsilon(1e-14));
}

TEST_CASE("each sequence has counts of its own") {
  for (const counts how : {counts::stratified, counts::independent}) {
    index_t seen[4] = {};
    for (std::uint32_t sequence = 0; sequence < 60; ++sequence)
      likelihood_bound(std::vector<std::int32_t>{5, 6, 7},
                       {.draws = 1, .how = how, .mask_token = 9, .sequence = sequence},
                       [&](std::span<const std::int32_t>, index_t n) {
                         ++seen[n];
                         return 1.0;
                       });
    for (int n = 1; n <= 3; ++n) CHECK(seen[n] >= 8);
  }
}

TEST_CASE("the estimate is within its error of the bound, and the error is the estimates' own spread") {
  for (const counts how : {counts::independent, counts::stratified}) {
    double sum = 0, squares = 0, errors = 0;
    constexpr int estimates = 300;
    for (int i = 0; i < estimates; ++i) {
      const bound b = estimate({.draws = 12, .repeats = 6, .how = how, .seed = static_cast<std::uint64_t>(i)});
      CHECK(b.draws == 72);
      sum += b.nats_per_token - exact;
      squares += std::pow(b.nats_per_token - exact, 2);
      errors += b.standard_error * b.standard_error;
    }
    CAPTURE(static_cast<int>(how));
    const double spread = std::sqrt(squares / estimates);
    CHECK(std::abs(sum / estimates) < 4 * spread / std::sqrt(estimates));
    CHECK(std::sqrt(errors / estimates) == Approx(spread).epsilon(0.15));
  }
  CHECK(estimate({.draws = 20000, .seed = 3}).perplexity() == Approx(3.3337591098).epsilon(0.01));
}

TEST_CASE("the error of few draws, and of few repeats, is that of their mean") {
  const auto of = [](const bound_options& o) {
    return likelihood_bound(std::vector<std::int32_t>{1, 2, 3}, o, [n = std::size_t{0}](auto, index_t) mutable {
      return std::vector<double>{1, 3, 8, 4}[n++ % 4];
    });
  };
  const bound two = of({.draws = 2, .mask_token = 9});  // 1, 3
  CHECK((two.nats_per_token == 2 && two.draws == 2));
  CHECK(two.standard_error == Approx(1));
  const bound three = of({.draws = 3, .mask_token = 9});  // 1, 3, 8
  CHECK(three.nats_per_token == Approx(4));
  CHECK(three.standard_error == Approx(std::sqrt(13.0 / 3)));
  CHECK(of({.draws = 1, .repeats = 3, .mask_token = 9}).standard_error == Approx(std::sqrt(13.0 / 3)));
  for (const counts how : {counts::stratified, counts::llada}) {
    const bound repeats = of({.draws = 2, .repeats = 2, .how = how, .mask_token = 9});  // 2, 6
    CHECK((repeats.nats_per_token == Approx(4) && repeats.draws == 4));
    CHECK(repeats.standard_error == Approx(2));
  }
}

TEST_CASE("LLaDA's counts") {
  // ((round(first + j length / draws) - 1) mod length) + 1, with numpy's rounding of halves to even.
  const auto all = [](index_t first, index_t draws, index_t length) {
    std::vector<index_t> n;
    for (index_t j = 0; j < draws; ++j) n.push_back(llada_count(first, j, draws, length));
    return n;
  };
  CHECK(all(3, 4, 10) == std::vector<index_t>{3, 6, 8, 10});
  CHECK(all(9, 4, 10) == std::vector<index_t>{9, 2, 4, 6});
  CHECK(all(1, 5, 5) == std::vector<index_t>{1, 2, 3, 4, 5});
  CHECK(all(2, 1, 1) == std::vector<index_t>{1});
  std::vector<index_t> seen;
  likelihood_bound(std::vector<std::int32_t>{1, 2, 3, 4, 5}, {.draws = 5, .how = counts::llada, .mask_token = 9},
                   [&](auto, index_t n) {
                     seen.push_back(n);
                     return 1.0;
                   });
  std::sort(seen.begin(), seen.end());
  CHECK(seen == std::vector<index_t>{1, 2, 3, 4, 5});
}

TEST_CASE("answers alone are masked; edges of the estimate") {
  const std::vector<std::uint8_t> may = {0, 1, 1};
  const bound b = likelihood_bound(std::vector<std::int32_t>{5, 6, 7}, {.draws = 50, .mask_token = 9, .may = may},
                                   [](std::span<const std::int32_t> noised, index_t n) {
                                     CHECK(noised[0] == 5);
                                     CHECK((n == 1 || n == 2));
                                     return 2.0;
                                   });
  CHECK((b.nats_per_token == 2 && b.standard_error == 0 && b.nonfinite == 0));
  CHECK(std::isnan(estimate({.draws = 1}).standard_error));
  CHECK(std::isnan(estimate({.draws = 5, .how = counts::stratified}).standard_error));
  const bound infinite = likelihood_bound(
      std::vector<std::int32_t>{1}, {.draws = 3, .mask_token = 9},
      [n = 0](auto, index_t) mutable { return ++n == 2 ? std::numeric_limits<double>::infinity() : 1.0; });
  CHECK((infinite.nonfinite == 1 && !std::isfinite(infinite.nats_per_token)));
  CHECK(std::isnan(infinite.standard_error));
  const auto loss = [](auto, index_t) { return 1.0; };
  CHECK_THROWS_WITH(likelihood_bound(std::vector<std::int32_t>{1}, {}, loss), Catch::Contains("mask_token"));
  CHECK_THROWS_WITH(likelihood_bound(std::vector<std::int32_t>{}, {.mask_token = 9}, loss),
                    Catch::Contains("has none that may be masked"));
  CHECK_THROWS_WITH(likelihood_bound(std::vector<std::int32_t>{1}, {.draws = 0, .mask_token = 9}, loss),
                    Catch::Contains("draws"));
  CHECK_THROWS_WITH(likelihood_bound(std::vector<std::int32_t>{1}, {.repeats = 0, .mask_token = 9}, loss),
                    Catch::Contains("repeats"));
}

TEST_CASE("counts are those of their draws' addresses, and repeats have draws of their own") {
  const bound_options base{.draws = 4, .repeats = 3, .mask_token = 9, .seed = 6, .sequence = 2};
  for (const std::uint32_t sequence : {0u, 2u, 7u})
    for (const index_t length : {1, 5, 1000})
      for (index_t draw = 0; draw < 12; ++draw) {
        CAPTURE(sequence, length, draw);
        bound_options o = base;
        const auto uniform = [&](index_t at) {
          return philox{6, static_cast<std::uint32_t>(at)}.uniform(std::uint64_t{sequence} << 32, 2);
        };
        const auto at = [&](double u) { return 1 + static_cast<index_t>(std::floor(u * static_cast<double>(length))); };
        CHECK(drawn_count(o, draw, sequence, length) == at(uniform(draw)));
        const double first = uniform(draw / 4 * 4), turned = first + static_cast<double>(draw % 4) / 4;
        o.how = counts::stratified;
        CHECK(drawn_count(o, draw, sequence, length) == at(turned - std::floor(turned)));
        o.how = counts::llada;
        CHECK(drawn_count(o, draw, sequence, length) == llada_count(at(first), draw % 4, 4, length));
      }
}

TEST_CASE("masks of draws are those of mask_exactly at seed, draw and sequence, all of them different") {
  const std::vector<std::int32_t> tokens(40, 1);
  const auto all = [&](std::uint64_t seed, std::uint32_t sequence) {
    std::vector<std::vector<std::int32_t>> seen;
    const bound b = likelihood_bound(
        tokens, {.draws = 3, .repeats = 2, .how = counts::llada, .mask_token = 9, .seed = seed, .sequence = sequence},
        [&](std::span<const std::int32_t> noised, index_t n) {
          std::vector<std::int32_t> own(40);
          std::vector<index_t> count = {n};
          const draw_address address{seed, static_cast<std::uint32_t>(seen.size()), sequence};
          mask_exactly(tokens, std::vector<index_t>{0, 40}, count, {.mask_token = 9, .address = address}, own);
          CHECK(std::equal(own.begin(), own.end(), noised.begin()));
          seen.push_back(own);
          return static_cast<double>(n);
        });
    CHECK((b.draws == 6 && seen.size() == 6));
    return seen;
  };
  const auto one = all(4, 3);
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(one[i] != one[j]);
  CHECK(all(5, 3) != one);
  CHECK(all(4, 2) != one);
  CHECK(all(4, 3) == one);
}

TEST_CASE("the last numbers of draws and repeats that are taken, the first that are not") {
  CHECK_NOTHROW(validate(bound_options{.draws = (1 << 24) - 1, .repeats = 255}));
  CHECK_NOTHROW(validate(bound_options{.draws = 1, .repeats = 1}));
  CHECK_THROWS_WITH(validate({.draws = 1 << 24}),
                    "hone::diffusion::validate: draws: must be in [1, 2^24), is 16777216");
  CHECK_THROWS_WITH(validate({.draws = -1}), Catch::Contains("draws: must be in [1, 2^24), is -1"));
  CHECK_THROWS_WITH(validate({.repeats = 256}, "f"), "f: repeats: must be in [1, 256), is 256");
  CHECK_THROWS_WITH(validate({.repeats = 0}, "f"), Catch::Contains("repeats"));
  CHECK((bound_options{}.draws == 128 && bound_options{}.repeats == 1 && bound_options{}.mask_token == -1));
  CHECK((bound_options{}.how == counts::independent && bound_options{}.sequence == 0 && bound_options{}.seed == 0));
}

TEST_CASE("a spread about a far mean keeps its digits; infinities are counted, each") {
  bound_estimate far({.draws = 4});
  for (const double x : {1e9, 1e9 + 1, 1e9 + 2, 1e9 + 5}) far.add(x);
  CHECK(far.result().nats_per_token == 1e9 + 2);
  CHECK(far.result().standard_error == Approx(std::sqrt(14.0 / 3 / 4)).epsilon(1e-12));
  bound_estimate bad({.draws = 2, .how = counts::stratified});
  for (const double x : {1.0, double(INFINITY), double(NAN), 2.0}) bad.add(x);
  CHECK((bad.result().nonfinite == 2 && bad.result().draws == 4 && std::isnan(bad.result().standard_error)));
  CHECK(bound{.nats_per_token = 2}.perplexity() == Approx(std::exp(2.0)).epsilon(1e-14));
}
