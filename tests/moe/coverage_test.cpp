// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/coverage.hpp"

#include "hone/core/thread_pool.hpp"
#include "moe/support.hpp"
#include "support/catch.hpp"
#include "support/gradient_error.hpp"

using namespace hone;
using namespace hone::moe;

namespace {

using mask = std::vector<std::uint8_t>;
const std::vector<index_t> one_pool;

template <class T>
constexpr matrix_view<T> no_gradient{};

/// By the formula, one pool [begin, end); logits token by token.
double naive(const std::vector<double>& z, index_t experts, const routing_plan<double>& plan, const mask& competes,
             double k, index_t begin, index_t end) {
  double sum = 0;
  for (index_t e = 0; e < experts; ++e) {
    std::vector<double> column;
    for (index_t t = begin; t < end; ++t)
      column.push_back(competes[static_cast<std::size_t>(t)] != 0 ? z[static_cast<std::size_t>(t * experts + e)]
                                                                  : -INFINITY);
    const auto q = finite_softmax(column);
    for (index_t t = begin; t < end; ++t)
      sum += q[static_cast<std::size_t>(t - begin)] * static_cast<double>(plan.experts_of(t));
  }
  return sum / (static_cast<double>(experts) * k);
}

/// Each token has up to 4 of 5 experts, a fifth of them none; padding has none.
std::vector<std::vector<std::int32_t>> uneven_sets(index_t tokens, const mask& competes) {
  std::vector<std::vector<std::int32_t>> sets(static_cast<std::size_t>(tokens));
  for (index_t t = 0; t < tokens; ++t)
    for (std::int32_t e = 0; e < t * 7 % 5; ++e)
      if (competes[static_cast<std::size_t>(t)] != 0)
        sets[static_cast<std::size_t>(t)].push_back((e + static_cast<std::int32_t>(t)) % 5);
  return sets;
}

}  // namespace

TEST_CASE("coverage gives the reference vectors (R.2, R.5)") {
  const auto plan = plan_of<double>(3, {{}, {}, {0, 2}, {0, 1}, {2}, {1}});
  CHECK(coverage_loss(by_expert(reference_logits, 3), plan, 1, one_pool, no_gradient<double>).sum ==
        Approx(1.238156179).epsilon(1e-9));
  const auto post = plan_of<double>(4, {{2}, {1, 3}, {0, 1}, {2, 3}, {0}});
  std::vector<double> gradient(20, 0.0);
  const auto loss = coverage_loss(by_expert(second_logits, 4), post, 2, one_pool, by_expert(gradient, 4));
  CHECK(loss.sum == Approx(0.8230222359).epsilon(1e-9));
  CHECK(loss.count == 1);
  const double expected[] = {-0.0134582682, -0.0055120679, -0.0256086195, -0.0097006006, 0.0031954604,
                             0.0140200369,  0.0090763366,  0.0065276245,  0.0213645106,  0.0069621443,
                             0.0036901631,  0.0008834179,  0.0045345741,  0.0028305966,  0.0182774974,
                             0.0160553656,  -0.0156362769, -0.0183007099, -0.0054353776, -0.0137658075};
  for (std::size_t i = 0; i < 20; ++i) CHECK(gradient[i] == Approx(expected[i]).margin(6e-11));
}

TEMPLATE_TEST_CASE("coverage and its gradient are those of the formula, pool by pool", "", double, float) {
  using T = TestType;
  const double accuracy = std::is_same_v<T, double> ? 1e-12 : 2e-6;
  for (const index_t tokens : {1, 2, 15, 16, 17, 70, 300}) {
    CAPTURE(tokens);
    const auto logits = router_logits<T>(tokens, 5, 1);
    const std::vector<double> exact(logits.begin(), logits.end());
    mask competes;
    for (index_t t = 0; t < tokens; ++t) competes.push_back(t % 6 == 4 || (t >= 20 && t < 40) ? 0 : 1);
    const auto plan = plan_of<double>(5, uneven_sets(tokens, competes));
    std::vector<index_t> pools = {0};
    for (const index_t border : {1, 1, 20, 40, 64, 300}) pools.push_back((std::min)(index_t{border}, tokens));
    const auto loss_of = [&](const std::vector<double>& z, double* count) {
      double sum = 0;
      *count = 0;
      for (std::size_t i = 0; i + 1 < pools.size(); ++i) {
        bool any = false;
        for (index_t t = pools[i]; t < pools[i + 1]; ++t) any |= competes[static_cast<std::size_t>(t)] != 0;
        if (!any) continue;
        ++*count;
        sum += naive(z, 5, plan, competes, 1.5, pools[i], pools[i + 1]);
      }
      return sum;
    };
    double count = 0;
    const double expected = loss_of(exact, &count);
    const balance_options options{.scale = 0.5, .competes = competes};
    std::vector<T> gradient(logits.size(), T(0.25));
    const auto loss = coverage_loss(by_expert(logits, 5), plan, 1.5, pools, by_expert(gradient, 5), options);
    CHECK(loss.sum == Approx(expected).epsilon(accuracy));
    CHECK(static_cast<double>(loss.count) == count);
    CHECK(loss.nonfinite == 0);
    CHECK(coverage_loss(by_expert(logits, 5), plan, 1.5, pools, no_gradient<T>, options).sum == loss.sum);
    std::vector<double> exact_gradient(logits.size(), 0.0);
    coverage_loss(by_expert(exact, 5), plan, 1.5, pools, by_expert(exact_gradient, 5), options);
    for (std::size_t i = 0; i < logits.size(); ++i)
      REQUIRE(static_cast<double>(gradient[i]) == Approx(0.25 + exact_gradient[i]).epsilon(0).margin(accuracy));
    if (tokens > 2)  // pools of one token have no gradient
      CHECK(gradient_error(exact, exact_gradient,
                           [&](const std::vector<double>& z) { return 0.5 * loss_of(z, &count); }) < 1e-7);
    for (index_t t = 0; t < tokens; ++t)
      if (competes[static_cast<std::size_t>(t)] == 0)
        for (index_t e = 0; e < 5; ++e) REQUIRE(gradient[static_cast<std::size_t>(t * 5 + e)] == T(0.25));
  }
}

TEMPLATE_TEST_CASE("coverage of pools longer than a run, whose largest logit is in any of them", "", double, float) {
  using T = TestType;
  const index_t tokens = 3100;
  auto logits = router_logits<T>(tokens, 3, 7);
  const std::vector<index_t> pools = {0, 1025, tokens};
  mask competes(static_cast<std::size_t>(tokens), 1);
  competes[1024] = competes[2050] = 0;
  for (const index_t largest : {3, 1024, 1025, 2048, 2049, 2050, 3099})
    logits[static_cast<std::size_t>(largest * 3 + largest % 3)] = T(6);
  const auto plan = plan_of<double>(3, [&] {
    std::vector<std::vector<std::int32_t>> sets;
    for (index_t t = 0; t < tokens; ++t)
      sets.push_back(competes[static_cast<std::size_t>(t)] == 0 || t % 3 == 0 ? std::vector<std::int32_t>()
                                                                              : std::vector<std::int32_t>{0, 2});
    return sets;
  }());
  const std::vector<double> exact(logits.begin(), logits.end());
  const double accuracy = std::is_same_v<T, double> ? 1e-12 : 2e-6;
  std::vector<T> gradient(logits.size(), T(0));
  const auto loss = coverage_loss(by_expert(logits, 3), plan, 2, pools, by_expert(gradient, 3), {.competes = competes});
  CHECK(loss.sum ==
        Approx(naive(exact, 3, plan, competes, 2, 0, 1025) + naive(exact, 3, plan, competes, 2, 1025, tokens))
            .epsilon(accuracy));
  CHECK(loss.count == 2);
  for (index_t e = 0; e < 3; ++e)
    for (std::size_t i = 0; i < 2; ++i) {
      std::vector<double> column;
      for (index_t t = pools[i]; t < pools[i + 1]; ++t)
        column.push_back(competes[static_cast<std::size_t>(t)] != 0 ? exact[static_cast<std::size_t>(t * 3 + e)]
                                                                    : -INFINITY);
      const auto q = finite_softmax(column);
      double mean = 0;
      for (index_t t = pools[i]; t < pools[i + 1]; ++t)
        mean += q[static_cast<std::size_t>(t - pools[i])] * static_cast<double>(plan.experts_of(t));
      for (index_t t = pools[i]; t < pools[i + 1]; ++t)
        REQUIRE(static_cast<double>(gradient[static_cast<std::size_t>(t * 3 + e)]) ==
                Approx(q[static_cast<std::size_t>(t - pools[i])] * (static_cast<double>(plan.experts_of(t)) - mean) / 6)
                    .epsilon(0)
                    .margin(accuracy * 1e-1));
    }
}

TEST_CASE("coverage is 1 where all tokens have k experts, c E / (T k) where all have the same number") {
  const auto logits = router_logits<double>(12, 4, 2);
  std::vector<std::vector<std::int32_t>> sets;
  for (std::int32_t t = 0; t < 12; ++t) sets.push_back({t % 4, (t + 1) % 4});
  const auto plan = plan_of<double>(4, sets);
  std::vector<double> gradient(48, 0.0);
  CHECK(coverage_loss(by_expert(logits, 4), plan, 2, one_pool, by_expert(gradient, 4)).sum == Approx(1));
  CHECK(coverage_loss(by_expert(logits, 4), plan, 2.5, one_pool, by_expert(gradient, 4)).sum == Approx(0.8));
  for (const double g : gradient) CHECK(std::abs(g) < 1e-15);
}

TEST_CASE("coverage: any executor and any strides, the same bits; pools do not touch each other") {
  const index_t tokens = 500;
  const auto logits = router_logits<float>(tokens, 5, 3);
  std::vector<float> rows(logits.size());
  for (index_t t = 0; t < tokens; ++t)
    for (index_t e = 0; e < 5; ++e)
      rows[static_cast<std::size_t>(e * tokens + t)] = logits[static_cast<std::size_t>(t * 5 + e)];
  const mask all(static_cast<std::size_t>(tokens), 1);
  const auto sets = uneven_sets(tokens, all);
  const auto plan = plan_of<float>(5, sets);
  const std::vector<index_t> pools = {0, 123, 300, 500};
  std::vector<float> alone(logits.size(), 0.5f);
  const auto sum = coverage_loss(by_expert(logits, 5), plan, 2, pools, by_expert(alone, 5));
  for (const index_t workers : {1, 2, 7}) {
    thread_pool pool(workers);
    std::vector<float> gradient(logits.size(), 0.5f);
    const auto other = coverage_loss(matrix_view<const float>(rows.data(), 5, tokens), plan, 2, pools,
                                     matrix_view<float>(gradient.data(), 5, tokens), {.competes = all}, pool);
    CHECK(other.sum == sum.sum);
    for (index_t t = 0; t < tokens; ++t)
      for (index_t e = 0; e < 5; ++e)
        REQUIRE(gradient[static_cast<std::size_t>(e * tokens + t)] == alone[static_cast<std::size_t>(t * 5 + e)]);
  }
  const auto second = plan_of<float>(5, {sets.begin() + 123, sets.begin() + 300});
  std::vector<float> part(177 * 5, 0.5f);
  coverage_loss(matrix_view<const float>(logits.data() + 123 * 5, 5, 177, 1, 5), second, 2, one_pool,
                by_expert(part, 5));
  CHECK(std::equal(part.begin(), part.end(), alone.begin() + 123 * 5));
}

TEST_CASE("coverage: logits that are not finite, no tokens, padding alone") {
  auto logits = router_logits<float>(40, 3, 4);
  auto clean = logits;
  mask competes(40, 1);
  competes[7] = 0;
  std::vector<std::vector<std::int32_t>> sets(40);
  for (std::size_t t = 0; t < 40; t += 2) sets[t] = {0, 1, 2};
  const auto plan = plan_of<float>(3, sets);
  const std::vector<index_t> pools = {0, 20, 40};
  logits[3 * 3 + 1] = std::nanf("");
  logits[5 * 3 + 1] = INFINITY;
  logits[7 * 3 + 1] = std::nanf("");                                // padding
  for (std::size_t t = 20; t < 40; ++t) logits[t * 3] = -INFINITY;  // an expert without a finite one in pool 1
  std::vector<float> gradient(120, 0.0f), expected(120, 0.0f);
  const auto loss = coverage_loss(by_expert(logits, 3), plan, 1, pools, by_expert(gradient, 3), {.competes = competes});
  coverage_loss(by_expert(clean, 3), plan, 1, pools, by_expert(expected, 3), {.competes = competes});
  CHECK(loss.nonfinite == 22);
  CHECK(loss.count == 2);
  CHECK(std::isfinite(loss.sum));
  for (std::size_t i = 0; i < 120; ++i) {
    REQUIRE(std::isfinite(gradient[i]));
    if (!std::isfinite(logits[i])) REQUIRE(gradient[i] == 0);
    if (i % 3 == 2 || (i % 3 == 0 && i < 60) || (i % 3 == 1 && i >= 60)) REQUIRE(gradient[i] == expected[i]);
  }
  std::vector<float> untouched(120, 3.0f);
  const mask padding(40, 0);
  const auto nothing =
      coverage_loss(by_expert(logits, 3), plan, 1, pools, by_expert(untouched, 3), {.competes = padding});
  CHECK(nothing.sum == 0);
  CHECK(nothing.count == 0);
  CHECK(nothing.nonfinite == 0);
  CHECK(nothing.mean() == 0);
  CHECK(untouched == std::vector<float>(120, 3.0f));
  const auto none = coverage_loss(matrix_view<const float>(nullptr, 3, 0), plan_of<float>(3, {}), 1, one_pool,
                                  matrix_view<float>(nullptr, 3, 0));
  CHECK(none.sum == 0);
  CHECK(none.count == 0);
}

TEST_CASE("coverage refuses what does not fit") {
  const auto logits = router_logits<double>(6, 3, 5);
  const auto z = by_expert(logits, 3);
  std::vector<double> memory(18, 1.0);
  const auto g = by_expert(memory, 3);
  const auto plan = plan_of<double>(3, std::vector<std::vector<std::int32_t>>(6));
  const mask five(5, 1);
  for (const double k : {0.0, -1.0, std::nan(""), 1e301})
    CHECK_THROWS_WITH(coverage_loss(z, plan, k, one_pool, g), Catch::Contains("coverage_loss: per_token"));
  for (const double k : {1e300, double{INFINITY}})
    CHECK_THROWS_WITH(coverage_loss(z, plan, k, one_pool, g), Catch::Contains("coverage_loss: per_token"));
  for (const std::vector<index_t>& bad : {std::vector<index_t>{0}, {0, 5}, {1, 6}, {0, 4, 3, 6}})
    CHECK_THROWS_WITH(coverage_loss(z, plan, 1, bad, g), Catch::Contains("coverage_loss: pools"));
  CHECK_THROWS_WITH(coverage_loss(z, plan_of<double>(3, std::vector<std::vector<std::int32_t>>(5)), 1, one_pool, g),
                    Catch::Contains("coverage_loss: plan"));
  CHECK_THROWS_WITH(coverage_loss(z, plan, 1, one_pool, g, {.competes = five}), Catch::Contains("competes"));
  CHECK_THROWS_WITH(coverage_loss(z, plan, 1, one_pool, g, {.scale = INFINITY}), Catch::Contains("scale"));
  CHECK_THROWS_WITH(coverage_loss(z, plan, 1, one_pool, matrix_view<double>(memory.data(), 3, 5)),
                    Catch::Contains("dlogits"));
  CHECK(memory == std::vector<double>(18, 1.0));
}
