// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/records.hpp"

#include "hone/core/thread_pool.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

#include <limits>

using namespace hone::privacy;
using hone::index_t;

namespace {
double length(const records& data, index_t i) {
  long double sum = 0;
  for (index_t j = 0; j < data.columns(); ++j) sum += static_cast<long double>(data(i, j)) * data(i, j);
  return static_cast<double>(std::sqrt(sum));
}
}  // namespace

TEST_CASE("rows are clipped, the constant stays") {
  const raw_records raw =
      random_records({.rows = 203, .features = 5, .row_bound = 2, .outcome_bound = 3, .intercept = .75}, 1);
  const records data = raw.clipped();
  CHECK(data.columns() == 6);
  CHECK(data.held() == 203);
  CHECK(data.tiles() == 26);
  int clipped = 0;
  for (index_t i = 0; i < 203; ++i) {
    CHECK(length(data, i) <= 2);
    CHECK(data(i, 5) == .75);
    long double squared = 0;
    for (index_t j = 0; j < 5; ++j)
      squared += std::pow(static_cast<long double>(raw.x[static_cast<std::size_t>(i * 5 + j)]), 2);
    const bool longer = squared > 4 - .75 * .75;
    clipped += longer ? 1 : 0;
    for (index_t j = 0; j < 5; ++j) {
      const double own = raw.x[static_cast<std::size_t>(i * 5 + j)];
      if (longer)
        CHECK(data(i, j) == Approx(own * std::sqrt((4 - .5625) / static_cast<double>(squared))).epsilon(1e-12));
      else
        CHECK(data(i, j) == own);
    }
    if (longer) CHECK(length(data, i) > 2 - 1e-14);
    CHECK(data.valid()[i] == 1);
    CHECK(data.arm()[i] == raw.arm[static_cast<std::size_t>(i)]);
    CHECK(data.sign()[i] == (data.arm()[i] == 1 ? 1 : -1));
    CHECK(data.outcome()[i] == std::clamp(raw.outcome[static_cast<std::size_t>(i)], -3.0, 3.0));
  }
  CHECK(clipped > 20);
  CHECK(clipped < 180);
  for (index_t i = 203; i < 208; ++i) {  // the rest of the last tile
    CHECK(data.valid()[i] == 0);
    CHECK(data.sign()[i] == 0);
    CHECK(data.outcome()[i] == 0);
    CHECK(data.arm()[i] == -1);
    CHECK(length(data, i) == 0);
  }
}

TEST_CASE("every double is a row") {
  const double huge = std::numeric_limits<double>::max(), tiny = std::numeric_limits<double>::denorm_min();
  const std::vector<double> x{huge, huge, tiny, tiny, huge, -tiny, 0, -0.0, .6, .8, -.8, .6};
  const std::vector<index_t> arm(6, 1);
  const std::vector<double> outcome{huge, -huge, tiny, 0, 1, -1};
  const hone::serial alone;
  const records data({.rows = 6, .features = 2, .intercept = 0}, hone::matrix_view<const double>(x.data(), 6, 2), arm,
                     outcome, alone);
  CHECK(data(0, 0) == Approx(std::sqrt(.5)).epsilon(1e-14));
  CHECK(data(1, 0) == tiny);
  CHECK(data(2, 0) == Approx(1).epsilon(1e-14));
  CHECK(data(2, 1) == 0);
  CHECK(data(3, 0) == 0);
  for (index_t i = 0; i < 6; ++i) CHECK(length(data, i) <= 1);
  CHECK(data(4, 0) == Approx(.6).epsilon(1e-14));
  CHECK(data.outcome()[0] == 1);
  CHECK(data.outcome()[1] == -1);
  CHECK(data.valid()[3] == 1);
}

TEST_CASE("a record that is no record is a zero record") {
  const double nan = std::nan(""), inf = INFINITY;
  const std::vector<double> x{.1, nan, inf, .1, .1, .1, .1, -inf, .1};
  const std::vector<index_t> arm{0, 1, 1, -1, 3, 2, 1, 0, 0};
  const std::vector<double> outcome{1, 1, 1, 1, 1, nan, -inf, 1, .5};
  const hone::serial alone;
  const records data({.rows = 9, .features = 1, .arms = 3}, hone::matrix_view<const double>(x.data(), 9, 1), arm,
                     outcome, alone);
  for (index_t i = 0; i < 9; ++i) {
    const bool taken = i == 0 || i == 8;
    CHECK(data.valid()[i] == (taken ? 1 : 0));
    CHECK(data.arm()[i] == (taken ? 0 : -1));
    CHECK(data.sign()[i] == (taken ? -1 : 0));
    CHECK((length(data, i) > 0) == taken);
    CHECK((data.outcome()[i] != 0) == taken);
  }
}

TEST_CASE("memory of any type and stride, and any executor, make the same records") {
  const raw_records raw = random_records({.rows = 1100, .features = 3}, 5);
  const records data = raw.clipped();
  std::vector<double> turned(3300);
  std::vector<float> single(3300);
  for (std::size_t i = 0; i < 1100; ++i)
    for (std::size_t j = 0; j < 3; ++j) {
      turned[j * 1100 + i] = raw.x[i * 3 + j];
      single[i * 3 + j] = static_cast<float>(raw.x[i * 3 + j]);
    }
  hone::thread_pool pool(3);
  const records other(raw.limits, hone::matrix_view<const double>(turned.data(), 1100, 3, 1, 1100), raw.arm,
                      raw.outcome, pool);
  const records rounded(raw.limits, hone::matrix_view<const float>(single.data(), 1100, 3), raw.arm, raw.outcome, pool);
  for (index_t i = 0; i < 1100; ++i) {
    CHECK(length(rounded, i) <= 1);
    for (index_t j = 0; j < 4; ++j) {
      CHECK(other(i, j) == data(i, j));
      CHECK(rounded(i, j) == Approx(data(i, j)).epsilon(1e-6).margin(1e-6));
    }
  }
}

TEST_CASE("shapes that do not fit are refused") {
  const raw_records raw = random_records({.rows = 10, .features = 3}, 5);
  const hone::serial alone;
  const hone::matrix_view<const double> x(raw.x.data(), 10, 3);
  const std::span<const index_t> arm = raw.arm;
  const std::span<const double> outcome = raw.outcome;
  CHECK_NOTHROW(records(raw.limits, x, arm, outcome, alone));
  CHECK_THROWS_WITH(records(raw.limits, hone::matrix_view<const double>(raw.x.data(), 9, 3), arm, outcome, alone),
                    "hone::privacy::records: x: is 9 x 3, not 10 x 3");
  CHECK_THROWS_WITH(records(raw.limits, hone::matrix_view<const double>(raw.x.data(), 10, 2), arm, outcome, alone),
                    "hone::privacy::records: x: is 10 x 2, not 10 x 3");
  CHECK_THROWS_WITH(records(raw.limits, x, arm.first(9), outcome, alone),
                    "hone::privacy::records: arm: has 9 elements, there are 10 rows");
  CHECK_THROWS_WITH(records(raw.limits, x, arm, outcome.first(9), alone),
                    "hone::privacy::records: outcome: has 9 elements, there are 10 rows");
  CHECK_THROWS_WITH(records(raw.limits, x, arm, outcome, row_shards(9), alone),
                    "hone::privacy::records: shards: of 9 rows, the domain has 10");
  domain bad = raw.limits;
  bad.arms = 1;
  CHECK_THROWS_AS(records(bad, x, arm, outcome, alone), std::invalid_argument);
}
