// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/private_curvature.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

using namespace hone::privacy;
using hone::index_t;

namespace {
const hone::serial alone;

double release_once(const curvature_plan& p, const raw_records& raw, std::uint64_t seed) {
  budget<replace_one> funds({1, .1});
  test_random random(seed);
  const hone::matrix_view<const double> x(raw.x.data(), raw.limits.rows, raw.limits.features);
  return release_curvature(p, funds, x, raw.arm, raw.outcome, random, alone, row_shards(raw.limits.rows))
      .simulated()[0];
}
}  // namespace

TEST_CASE("the noise, and how far the result is moved down") {
  const domain d{.rows = 1000, .features = 3, .row_bound = 2};
  const curvature_plan p = prepare_curvature(d, {.5, 1e-3});
  CHECK(p.noise.sensitivity == Approx(4 / 1000.).epsilon(1e-8));
  CHECK(p.noise.scale == Approx(4 / 1000. / .5).epsilon(1e-5));
  CHECK(p.shift == Approx(p.noise.scale * std::log(1 / (2 * 1e-3))).epsilon(1e-4));
  CHECK((p.cost.basic == epsilon_delta{.5, 1e-3}));
  CHECK_NOTHROW(prepare_curvature(d, {.5, .5}));
  for (const double bad : {0.0, -1.0, .51, static_cast<double>(NAN)})
    CHECK_THROWS_AS(prepare_curvature(d, {.5, bad}), std::invalid_argument);
  for (const double bad : {0.0, -1.0, static_cast<double>(NAN)})
    CHECK_THROWS_AS(prepare_curvature(d, {bad, .1}), std::invalid_argument);
}

TEST_CASE("too large with probability delta, on a diagonal of known eigenvalues") {
  raw_records raw{{}, {}, {}, {.rows = 100, .features = 2, .intercept = 0}};
  for (int i = 0; i < 100; ++i) {
    raw.x.push_back(i % 2 == 0 ? .9 : 0);
    raw.x.push_back(i % 2 == 0 ? 0 : .5);
    raw.arm.push_back(i % 3 == 0 ? 1 : 0);
    raw.outcome.push_back(1);
  }
  CHECK(detail::smallest_eigenvalue(raw.clipped(), alone) == Approx(.125).epsilon(1e-12));
  const curvature_plan p = prepare_curvature(raw.limits, {1, .05});
  int above = 0;
  double mean = 0;
  constexpr int draws = 4000;
  for (int k = 0; k < draws; ++k) {
    const double value = release_once(p, raw, static_cast<std::uint64_t>(k));
    above += value > .125 ? 1 : 0;
    mean += value / draws;
  }
  CHECK(above <= .05 * draws + 4 * std::sqrt(.05 * draws));
  CHECK(above >= .05 * draws - 4 * std::sqrt(.05 * draws));
  CHECK(mean == Approx(.125 - p.shift).margin(4 * std::sqrt(2. / draws) * p.noise.scale));
}

TEST_CASE("an exhausted budget does not read a record") {
  const curvature_plan p = prepare_curvature({.rows = 5, .features = 1}, {1, .05});
  budget<replace_one> funds({.5, .1});
  test_random random(1);
  CHECK_THROWS_AS(
      release_curvature(p, funds, hone::matrix_view<const double>(nullptr, 0, 0), {}, {}, random, alone, row_shards(5)),
      budget_exhausted);
}

TEST_CASE("a plan takes released curvature for weights that have use for it") {
  const domain d{.rows = 1000, .features = 2};
  const plan p = prepare(overlap{.ridge = .1}, owl_logistic{}, d, .05, {1, 0}, {.curvature = .2});
  CHECK(p.fit.sum ==
        Approx(2 * bound(overlap{.ridge = .1}, d).largest + bound(overlap{.ridge = .1}, d, .2).moved).epsilon(1e-8));
  CHECK_THROWS_AS(prepare(entropy_balancing{}, owl_logistic{}, d, .05, {1, 0}, {.curvature = .2}),
                  std::invalid_argument);
}
