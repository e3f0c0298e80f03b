// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/sufficient_statistics.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

using namespace hone::privacy;
using hone::index_t;

namespace {
const hone::serial alone;
}

TEST_CASE("sensitivities take the largest magnitudes, wherever the features lie") {
  // Known propensities of 1/2: W = 2, D1 = 0, S = 4.
  const domain d{.rows = 4, .features = 1, .row_bound = 100, .intercept = 0};
  const statistics_plan p = prepare_statistics(known{.least = .5}, d, {1, 0});
  CHECK(p.squares == Approx(40000).epsilon(1e-9));
  CHECK(p.products == Approx(400).epsilon(1e-9));
  CHECK(p.noise.sensitivity == Approx(std::sqrt(40000. * 40000 + 400 * 400)).epsilon(1e-9));
  CHECK(p.noise.family == noise_family::lattice_laplace);
  CHECK(p.noise.scale == Approx(std::sqrt(2.) * p.noise.sensitivity).epsilon(1e-4));  // two elements
  const statistics_plan g = prepare_statistics(
      ipw{}, {.rows = 50, .features = 2, .row_bound = 2, .outcome_bound = 3, .intercept = 1}, {1, 1e-5});
  const double sum = 2 * bound(ipw{}, g.limits).largest + bound(ipw{}, g.limits).moved;
  CHECK(g.squares == Approx(4 * sum).epsilon(1e-8));
  CHECK(g.products == Approx(6 * sum).epsilon(1e-8));
  CHECK(g.noise.family == noise_family::lattice_gaussian);
  CHECK(g.noise.cost.basic.epsilon <= 1);
  CHECK(g.noise.cost.basic.epsilon > .9999);
  CHECK_THROWS_AS(prepare_statistics(ipw{}, {.rows = 50, .features = 2, .arms = 3}, {1, 0}), std::invalid_argument);
  CHECK_THROWS_AS(prepare_statistics(ipw{}, {.rows = 50, .features = 2}, {0, 0}), std::invalid_argument);
  CHECK_THROWS_AS(prepare_statistics(ipw{.ridge = -1}, {.rows = 50, .features = 2}, {1, 0}), std::invalid_argument);
}

TEST_CASE("sums beside the formula, and the fit of exact sums is that of the loss") {
  const raw_records raw = random_records({.rows = 90, .features = 2}, 41, true);
  const records data = raw.clipped();
  std::vector<double> w(90), theta(3);
  weigh(ipw{.ridge = .5}, data, w, alone);
  const std::vector<double> stacked = detail::stacked_sums(data, w, alone);
  REQUIRE(stacked.size() == 9);
  std::size_t at = 0;
  for (index_t i = 0; i < 3; ++i)
    for (index_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (index_t r = 0; r < 90; ++r) sum += w[static_cast<std::size_t>(r)] * data(r, i) * data(r, j);
      CHECK(stacked[at++] == Approx(sum * (i == j ? 1 : std::sqrt(2.))).epsilon(1e-12));
    }
  for (index_t i = 0; i < 3; ++i) {
    double sum = 0;
    for (index_t r = 0; r < 90; ++r)
      sum += w[static_cast<std::size_t>(r)] * data.sign()[r] * data.outcome()[r] * data(r, i);
    CHECK(stacked[at++] == Approx(sum).epsilon(1e-12));
  }
  minimise(a_learning{.radius = 100}, data, w, .05, 8, theta, alone, {1e-13});
  const std::vector<double> fit = fit_statistics(stacked, 90, .05, 100), cut = fit_statistics(stacked, 90, .05, 1e-3);
  double length = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(fit[i] == Approx(theta[i]).epsilon(1e-8));
    length += cut[i] * cut[i];
  }
  CHECK(std::sqrt(length) == Approx(1e-3).epsilon(1e-9));
}

TEST_CASE("sums that noise made indefinite have a fit") {
  const std::vector<double> stacked{-50, 0, 20, 7, -9};
  const std::vector<double> theta = fit_statistics(stacked, 10, .1, 1000);
  REQUIRE(theta.size() == 2);
  CHECK(theta[0] == Approx(7 * 2 / 10. / .1).epsilon(1e-12));
  CHECK(theta[1] == Approx(-9 * 2 / 10. / (20 * 2 / 10. + .1)).epsilon(1e-12));
  CHECK_THROWS_AS(fit_statistics(std::vector<double>(4), 10, .1, 1), std::invalid_argument);
  CHECK_THROWS_AS(fit_statistics(stacked, 10, 0, 1), std::invalid_argument);
  CHECK_THROWS_AS(fit_statistics(stacked, 10, .1, 0), std::invalid_argument);
}

TEST_CASE("a release of sums, within budget and with noise that vanishes") {
  const raw_records raw = random_records({.rows = 300, .features = 2}, 43, true);
  const records data = raw.clipped();
  const statistics_plan p = prepare_statistics(overlap{}, raw.limits, {1e6, 0});
  budget<replace_one> funds({1.5e6, 0});
  test_random random(1);
  const hone::matrix_view<const double> x(raw.x.data(), 300, 2);
  const row_shards shards(300);
  const auto sums =
      release_statistics(p, overlap{}, funds, x, raw.arm, raw.outcome, {}, random, alone, shards).simulated();
  std::vector<double> w(300);
  weigh(overlap{}, data, w, alone);
  const std::vector<double> exact = detail::stacked_sums(data, w, alone);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CHECK(sums[i] == Approx(exact[i]).margin(1e-3));
    CHECK(sums[i] != exact[i]);
  }
  CHECK_THROWS_AS(release_statistics(p, overlap{}, funds, hone::matrix_view<const double>(nullptr, 0, 0), raw.arm,
                                     raw.outcome, {}, random, alone, shards),
                  budget_exhausted);
  budget<replace_one> fresh({1.5e6, 0});
  const std::vector<double> half(299, .5);
  const statistics_plan of_known = prepare_statistics(known{.least = .5}, raw.limits, {1e6, 0});
  CHECK_THROWS_WITH(
      release_statistics(of_known, known{.least = .5}, fresh, x, raw.arm, raw.outcome, half, random, alone, shards),
      "hone::privacy::release_statistics: propensity: has 299 elements, not 300");
  CHECK(fresh.reserved().epsilon == 0);
}
