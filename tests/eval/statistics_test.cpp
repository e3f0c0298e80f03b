// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/statistics.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::eval;

namespace {
using vector = std::vector<double>;
const double not_a_number = std::nan("");
constexpr double infinity = std::numeric_limits<double>::infinity();
}  // namespace

TEST_CASE("mean and standard error") {
  const mean_estimate m = estimate_mean(vector{1, 0, 1, 1, 0, 1, 1, 0, 1, 1});
  CHECK(m.mean == Approx(0.7).epsilon(1e-15));
  CHECK(m.standard_error == Approx(0.1527525232).epsilon(1e-9));
  CHECK(m.count == 10);
  CHECK(m.nonfinite == 0);
  // Two passes: no cancellation.
  CHECK(estimate_mean(vector{1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16}).standard_error ==
        Approx(std::sqrt(30.0 / 4)).epsilon(1e-12));
}

TEST_CASE("means of nothing, of one, of values that are not finite") {
  CHECK(std::isnan(estimate_mean({}).mean));
  CHECK(estimate_mean({}).count == 0);
  CHECK(estimate_mean(vector{3}).mean == 3);
  CHECK(std::isnan(estimate_mean(vector{3}).standard_error));
  const mean_estimate m = estimate_mean(vector{1, not_a_number, infinity});
  CHECK(m.nonfinite == 2);
  CHECK(std::isnan(m.mean));
  CHECK(estimate_mean(vector{1, infinity}).mean == infinity);
}

TEST_CASE("groups weighted by items, with the pooled error of lm-evaluation-harness") {
  const std::vector<mean_estimate> groups = {{.5, .02, 400, 0}, {.6, .03, 250, 0}, {.8, .05, 100, 1}};
  const mean_estimate m = pool_items(groups);
  CHECK(m.standard_error == Approx(0.016066295051).epsilon(1e-10));
  CHECK(m.mean == Approx((.5 * 400 + .6 * 250 + .8 * 100) / 750).epsilon(1e-15));
  CHECK(m.count == 750);
  CHECK(m.nonfinite == 1);
  const mean_estimate alike = average_groups(groups);
  CHECK(alike.mean == Approx((.5 + .6 + .8) / 3).epsilon(1e-15));
  CHECK(alike.standard_error == Approx(std::sqrt(.0004 + .0009 + .0025) / 3).epsilon(1e-14));
}

TEST_CASE("pooling the parts of a sample gives its mean; one group its error too") {
  const vector x = {3, 1, 4, 1, 5, 9, 2, 6};
  const auto part = [&](std::size_t begin, std::size_t count) {
    return estimate_mean(std::span(x).subspan(begin, count));
  };
  const std::vector<mean_estimate> parts = {part(0, 3), part(3, 0), part(3, 1), part(4, 4)};
  CHECK(pool_items(parts).mean == Approx(part(0, 8).mean).epsilon(1e-15));
  CHECK(pool_items(parts).count == 8);
  const std::vector<mean_estimate> whole = {part(0, 8)};
  CHECK(pool_items(whole).standard_error == Approx(part(0, 8).standard_error).epsilon(1e-15));
  CHECK(average_groups(whole).standard_error == part(0, 8).standard_error);
  CHECK(average_groups(parts).mean == Approx((part(0, 3).mean + 1 + part(4, 4).mean) / 3).epsilon(1e-15));
  const std::vector<mean_estimate> singles = {part(0, 1), part(1, 1)};
  CHECK(pool_items(singles).mean == 2);
  CHECK(std::isnan(pool_items(singles).standard_error));
  CHECK(std::isnan(pool_items({}).mean));
  CHECK(std::isnan(average_groups({}).mean));
}

TEST_CASE("harmonic mean") {
  CHECK(harmonic_mean(vector{.9, .8, .5, .4, .4, .45, .5, .7, .6}) == Approx(.539614561028).epsilon(1e-12));
  CHECK(harmonic_mean(vector{.3}) == Approx(.3).epsilon(1e-15));
  CHECK(harmonic_mean(vector{.5, 0, 1}) == 0);
  CHECK(harmonic_mean(vector{-0.0, 0, 1}) == 0);
  CHECK(std::isnan(harmonic_mean({})));
  CHECK(std::isnan(harmonic_mean(vector{1, not_a_number})));
  CHECK_THROWS_WITH(harmonic_mean(vector{1, -2}), "hone::eval::harmonic_mean: x: number 1 is negative: -2");
}

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

TEST_CASE("quantiles of type 7") {
  const vector x = {1, 2, 4};
  CHECK(sorted_quantile(x, 0) == 1);
  CHECK(sorted_quantile(x, .5) == 2);
  CHECK(sorted_quantile(x, .75) == 3);
  CHECK(sorted_quantile(x, 1) == 4);
  // The means of all 27 resamples of {1, 2, 4}.
  vector means;
  for (const double a : x)
    for (const double b : x)
      for (const double c : x) means.push_back((a + b + c) / 3);
  std::sort(means.begin(), means.end());
  CHECK(sorted_quantile(means, .025) == Approx(1.2166666667).epsilon(1e-9));
  CHECK(sorted_quantile(means, .975) == Approx(3.5666666667).epsilon(1e-9));
  CHECK(sorted_quantile(vector{7}, .3) == 7);
  CHECK(std::isnan(sorted_quantile({}, .3)));
  CHECK_THROWS_AS(sorted_quantile(x, 1.1), std::invalid_argument);
}
