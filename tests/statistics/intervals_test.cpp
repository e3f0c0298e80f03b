// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/intervals.hpp"

#include "support/catch.hpp"

#include "hone/core/random.hpp"

#include <vector>

using namespace hone;
using namespace hone::statistics;

namespace {
using vector = std::vector<double>;
const double not_a_number = std::nan("");
[[maybe_unused]] constexpr double infinity = std::numeric_limits<double>::infinity();
}  // namespace

TEST_CASE("Wilson's interval: the reference vectors") {
  const auto check = [](index_t k, index_t n, double low, double high) {
    const interval i = wilson_interval(k, n);
    CHECK(i.low == Approx(low).epsilon(1e-9).margin(1e-15));
    CHECK(i.high == Approx(high).epsilon(1e-9));
  };
  check(0, 10, 0, 0.2775327999);
  check(1, 10, 0.0178762131, 0.4041500268);
  check(5, 10, 0.2365930905, 0.7634069095);
  check(10, 10, 0.7224672001, 1);
  check(81, 263, 0.2552885199, 0.3662095770);
  check(1161, 2610, 0.4258574769, 0.4639598649);
  CHECK_THROWS_AS(wilson_interval(0, 0), std::invalid_argument);
  CHECK_THROWS_AS(wilson_interval(3, 2), std::invalid_argument);
  CHECK_THROWS_AS(wilson_interval(1, 2, 1), std::invalid_argument);
}

TEST_CASE("Clopper-Pearson: the reference vectors") {
  const interval five = clopper_pearson_interval(5, 10);
  CHECK(five.low == Approx(0.1870860284).epsilon(1e-9));
  CHECK(five.high == Approx(0.8129139716).epsilon(1e-9));
  // One-sided 90 % upper bounds of the local error for the k queries kept local (R.8).
  const index_t wrong[] = {0, 0, 0, 1, 1, 2};
  const double bounds[] = {0.9, 0.6837722340, 0.5358411166, 0.6795394163, 0.5838903746, 0.6668056135};
  for (index_t k = 1; k <= 6; ++k)
    CHECK(clopper_pearson_upper(wrong[k - 1], k, 0.9) == Approx(bounds[k - 1]).epsilon(1e-9));
}

TEST_CASE("Clopper-Pearson: ends, closed forms, what is refused") {
  CHECK(clopper_pearson_interval(0, 7).low == 0);
  CHECK(clopper_pearson_interval(7, 7).high == 1);
  // None of n: (1 - p)^n = 1 - level.
  CHECK(clopper_pearson_upper(0, 40, 0.95) == Approx(1 - std::pow(0.05, 1.0 / 40)).epsilon(1e-13));
  CHECK(clopper_pearson_lower(40, 40, 0.95) == Approx(std::pow(0.05, 1.0 / 40)).epsilon(1e-13));
  CHECK(clopper_pearson_lower(1, 1, 0.975) == Approx(0.025).epsilon(1e-13));
  const interval one = clopper_pearson_interval(3, 11), other = clopper_pearson_interval(8, 11);
  CHECK(one.low == Approx(1 - other.high).epsilon(1e-13));
  CHECK(one.high == Approx(1 - other.low).epsilon(1e-13));
  const interval many = clopper_pearson_interval(400000000000, 1000000000000);
  CHECK(many.low == Approx(0.4 - 1.959963984540054 * std::sqrt(0.24e-12)).epsilon(1e-11));
  CHECK_THROWS_AS(clopper_pearson_interval(0, 0), std::invalid_argument);
  CHECK_THROWS_AS(clopper_pearson_interval(-1, 3), std::invalid_argument);
  CHECK_THROWS_AS(clopper_pearson_interval(4, 3), std::invalid_argument);
  CHECK_THROWS_WITH(clopper_pearson_upper(1, 3, 1),
                    "hone::statistics::clopper_pearson_upper: level: must be in (0, 1), is 1");
  CHECK_THROWS_AS(clopper_pearson_lower(1, 3, not_a_number), std::invalid_argument);
}

TEST_CASE("Clopper-Pearson covers at least its level whatever the proportion; Wilson about it on average") {
  for (const index_t n : {1, 5, 20}) {
    double wilson_mean = 0;
    for (int step = 1; step < 200; ++step) {
      const double p = step / 200.0;
      double exact = 0, wilson = 0;
      for (index_t k = 0; k <= n; ++k) {
        const double chance = std::exp(log_binomial(static_cast<double>(k), static_cast<double>(n - k), p, 1 - p));
        const auto covers = [p](const interval& i) { return i.low <= p && p <= i.high; };
        if (covers(clopper_pearson_interval(k, n, 0.9))) exact += chance;
        if (covers(wilson_interval(k, n, 0.9))) wilson += chance;
      }
      CHECK(exact >= 0.9 - 1e-12);
      wilson_mean += wilson / 199;
    }
    CHECK(wilson_mean == Approx(0.9).margin(0.03));
  }
}

TEST_CASE("Wilson's interval of none and of all ends at 0 and at 1, without rounding") {
  for (index_t n = 1; n < 300; ++n) {
    CHECK(wilson_interval(0, n, 0.9).low == 0);
    CHECK(wilson_interval(n, n, 0.9).high == 1);
    CHECK(wilson_interval(0, n, 0.9).high == Approx(1 - wilson_interval(n, n, 0.9).low).epsilon(1e-13));
  }
}

TEST_CASE("Clopper-Pearson's ends are where the tails have their shares") {
  for (const index_t n : {3, 50, 2000})
    for (const index_t k : {index_t{1}, n / 2, n - 1}) {
      const interval i = clopper_pearson_interval(k, n, 0.9);
      const auto x = static_cast<double>(k), rest = static_cast<double>(n - k);
      CHECK(incomplete_beta(x, rest + 1, i.low).lower == Approx(0.05).epsilon(1e-11));   // k or more
      CHECK(incomplete_beta(x + 1, rest, i.high).upper == Approx(0.05).epsilon(1e-11));  // k or fewer
    }
}

TEST_CASE("Student's interval of a mean") {
  // mean 7/3, s^2 = 7/3, t = 4.302652729911275
  const interval i = student_interval(estimate_mean(vector{1, 2, 4}));
  CHECK(i.low == Approx(-1.46124970026342786).epsilon(1e-13));
  CHECK(i.high == Approx(6.12791636693009452).epsilon(1e-13));
  CHECK(student_margin(estimate_mean(vector{1, 2, 4})) == Approx((i.high - i.low) / 2).epsilon(1e-14));
  // Of many values it is the normal one.
  CHECK(student_margin({.mean = 0, .standard_error = 2, .count = 100000000}, 0.9) ==
        Approx(2 * 1.6448536269514722).epsilon(1e-7));
  CHECK(student_margin(estimate_mean(vector{3, 3, 3})) == 0);
  CHECK(std::isnan(student_margin(estimate_mean(vector{3}))));
  CHECK(std::isnan(student_margin(estimate_mean({}))));
  CHECK(std::isnan(student_interval(estimate_mean(vector{1, infinity})).low));
  CHECK_THROWS_WITH(student_interval(estimate_mean(vector{1, 2}), 0),
                    "hone::statistics::student_margin: level: must be in (0, 1), is 0");
  for (const double level : {0.0, 1.0, 1.5, -0.5, not_a_number}) {
    CHECK_THROWS_AS(student_margin(estimate_mean(vector{1, 2}), level), std::invalid_argument);
    CHECK_THROWS_AS(wilson_interval(1, 2, level), std::invalid_argument);
    CHECK_THROWS_AS(clopper_pearson_interval(1, 2, level), std::invalid_argument);
    CHECK_THROWS_AS(clopper_pearson_upper(1, 2, level), std::invalid_argument);
    CHECK_THROWS_AS(clopper_pearson_lower(1, 2, level), std::invalid_argument);
  }
  CHECK(student_margin(estimate_mean(vector{1, 2})) == student_margin(estimate_mean(vector{1, 2}), 0.95));
  CHECK(wilson_interval(1, 2).low == wilson_interval(1, 2, 0.95).low);
  CHECK(clopper_pearson_interval(1, 2).low == clopper_pearson_interval(1, 2, 0.95).low);
}

TEST_CASE("Student's interval covers a normal mean as often as it says, of two values too") {
  for (const std::size_t n : {2u, 5u, 30u}) {
    int covered = 0;
    for (std::uint64_t run = 0; run < 4000; ++run) {
      vector x;
      for (std::size_t i = 0; i < n; ++i) x.push_back(philox{9, static_cast<std::uint32_t>(n)}.normal(run * n + i));
      const interval i = student_interval(estimate_mean(x), 0.9);
      covered += i.low <= 0 && 0 <= i.high;
    }
    CHECK(std::abs(covered - 3600) < 76);  // four standard deviations
  }
}

TEST_CASE("Clopper and Pearson's interval has any level below 1") {
  const interval i = clopper_pearson_interval(3, 5, 1 - 0x1p-53);
  const double tail = 0x1p-54;
  CHECK(incomplete_beta(3, 3, i.low).lower == Approx(tail).epsilon(1e-9));
  CHECK(incomplete_beta(2, 4, 1 - i.high).lower == Approx(tail).epsilon(1e-6));  // of what 1 - high has left
  CHECK(i.low < clopper_pearson_interval(3, 5, 1 - 1e-12).low);
  CHECK(i.high > clopper_pearson_interval(3, 5, 1 - 1e-12).high);
}
