// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/composition.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

namespace {

/// delta of k randomised responses, over all 2^k outcomes, in long double.
double of_all_outcomes(int k, double epsilon0, double epsilon) {
  const long double e = epsilon0, truth = std::exp(e) / (1 + std::exp(e));
  long double delta = 0;
  for (int outcome = 0; outcome < 1 << k; ++outcome) {
    long double p = 1, q = 1;
    for (int i = 0; i < k; ++i) {
      p *= (outcome >> i & 1) != 0 ? truth : 1 - truth;
      q *= (outcome >> i & 1) != 0 ? 1 - truth : truth;
    }
    delta += (std::max)(0.0L, p - std::exp(static_cast<long double>(epsilon)) * q);
  }
  return static_cast<double>(delta);
}

}  // namespace

TEST_CASE("basic composition is the sums, rounded up") {
  const std::vector<epsilon_delta> releases = {{0.1, 1e-6}, {0.2, 0}, {0.3, 1e-7}};
  const epsilon_delta sum = compose_basic(releases);
  CHECK(sum.epsilon >= 0.6);
  CHECK(sum.epsilon == Approx(0.6).epsilon(1e-14));
  CHECK(sum.delta == Approx(1.1e-6).epsilon(1e-14));
  CHECK(compose_basic({}) == epsilon_delta{0, 0});
  CHECK(compose_basic(std::vector<epsilon_delta>{{0, 0.9}, {0, 0.9}}).delta == 1);
}

TEST_CASE("advanced and optimal composition have the values of the literature") {
  CHECK(compose_advanced(100, {.1, 0}, 1e-6).epsilon == Approx(6.308230951).epsilon(1e-9));
  CHECK(compose_advanced(500, {.05, 0}, 1e-5).epsilon == Approx(6.646692475).epsilon(1e-9));
  CHECK(compose_advanced(10, {.5, 0}, 1e-6).epsilon == Approx(11.55489703).epsilon(1e-9));  // worse than basic, 5
  CHECK(compose_advanced(10, {.5, 1e-8}, 1e-6).delta == Approx(1.1e-6).epsilon(1e-12));
  CHECK(compose_advanced(0, {.5, 1e-8}, 1e-6).epsilon == 0);
  // The published grid of epsilons, (k - 2 i) epsilon; the optimum itself is between two of its points.
  const struct {
    index_t k;
    double each, delta, grid;
  } rows[] = {{100, .1, 1e-6, 4.8}, {500, .05, 1e-5, 5}, {10, .5, 1e-6, 5}};
  for (const auto& row : rows) {
    CHECK(optimal_delta(row.k, {row.each, 0}, row.grid) <= row.delta);
    CHECK(optimal_delta(row.k, {row.each, 0}, row.grid - 2 * row.each) > row.delta);
    const double epsilon = optimal_epsilon(row.k, {row.each, 0}, row.delta);
    CHECK(epsilon <= row.grid);
    CHECK(epsilon > row.grid - 2 * row.each);
    CHECK(optimal_delta(row.k, {row.each, 0}, epsilon) <= row.delta);
    CHECK(optimal_delta(row.k, {row.each, 0}, epsilon * (1 - 1e-9)) > row.delta);
  }
}

TEST_CASE("optimal composition is that of randomised responses, counted outcome by outcome") {
  for (const int k : {1, 2, 5, 10})
    for (const double each : {0.01, 0.3, 2.0})
      for (const double share : {0.0, 0.1, 0.5, 0.77, 0.99}) {
        const double epsilon = share * k * each, expected = of_all_outcomes(k, each, epsilon);
        INFO(k << " " << each << " " << epsilon);
        CHECK(optimal_delta(k, {each, 0}, epsilon) == Approx(expected).epsilon(1e-11).margin(1e-15));
        CHECK(optimal_delta(k, {each, 0}, epsilon) >= expected * (1 - 1e-14));
      }
  CHECK(optimal_delta(7, {0.3, 0}, 2.1) < 1e-15);
  CHECK(optimal_delta(0, {0.3, 0}, 0) == 0);
  CHECK(optimal_epsilon(0, {0.3, 0}, 1e-9) == 0);
  CHECK(optimal_epsilon(3, {0, 0}, 1e-9) == 0);
  CHECK(optimal_epsilon(1, {1e-4, 0}, 0.4) == 0);
  CHECK(optimal_delta(100000, {1e-3, 0}, 1.5) == Approx(optimal_delta(1000, {1e-2, 0}, 1.5)).epsilon(0.07));
}

TEST_CASE("deltas of the releases join that of the composition") {
  const double own = 1 - std::pow(1 - 1e-3, 5);
  CHECK(optimal_delta(5, {0.3, 1e-3}, 1.5) == Approx(own).epsilon(1e-10));
  const double inside = of_all_outcomes(5, 0.3, 0.7);
  CHECK(optimal_delta(5, {0.3, 1e-3}, 0.7) == Approx(1 - (1 - own) * (1 - inside)).epsilon(1e-10));
  CHECK(optimal_epsilon(5, {0.3, 1e-3}, 0.9 * own) == privacy::detail::infinite);
  CHECK(optimal_epsilon(5, {0.3, 1e-3}, 1.1 * own) <= 1.5);
}

TEST_CASE("what is no count, epsilon, delta is refused") {
  for (const double bad : {-1e-9, privacy::detail::infinite, std::nan("")}) {
    CHECK_THROWS_AS(compose_basic(std::vector<epsilon_delta>{{bad, 0}}), std::invalid_argument);
    CHECK_THROWS_AS(compose_basic(std::vector<epsilon_delta>{{0, bad}}), std::invalid_argument);
    CHECK_THROWS_AS(compose_advanced(1, {bad, 0}, 1e-6), std::invalid_argument);
    CHECK_THROWS_AS(compose_advanced(1, {0, 0}, bad), std::invalid_argument);
    CHECK_THROWS_AS(optimal_delta(1, {bad, 0}, 1), std::invalid_argument);
    CHECK_THROWS_AS(optimal_delta(1, {1, 0}, bad), std::invalid_argument);
    CHECK_THROWS_AS(optimal_epsilon(1, {bad, 0}, 1e-6), std::invalid_argument);
    CHECK_THROWS_AS(optimal_epsilon(1, {1, bad}, 1e-6), std::invalid_argument);
  }
  CHECK_THROWS_AS(compose_advanced(-1, {1, 0}, 1e-6), std::invalid_argument);
  CHECK_THROWS_AS(compose_advanced(1, {1, 0}, 0), std::invalid_argument);
  CHECK_THROWS_AS(compose_basic(std::vector<epsilon_delta>{{0, 1}}), std::invalid_argument);
  CHECK_THROWS_AS(optimal_delta(-1, {1, 0}, 1), std::invalid_argument);
  CHECK_THROWS_AS(optimal_epsilon(1, {1, 0}, 1), std::invalid_argument);
}
