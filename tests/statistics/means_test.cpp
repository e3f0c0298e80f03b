// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/means.hpp"

#include "support/catch.hpp"

#include <vector>

using namespace hone;
using namespace hone::statistics;

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
  CHECK(variance(m) == Approx(7.0 / 30).epsilon(1e-14));
  CHECK(std::isnan(variance(estimate_mean(vector{3}))));
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
  CHECK(alike.count == 750);
  CHECK(alike.nonfinite == 1);
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
  const std::vector<mean_estimate> whole = {part(0, 8)}, with_empty = {part(0, 0), part(0, 5), part(5, 0), part(5, 3)},
                                   without = {part(0, 5), part(5, 3)};
  CHECK(pool_items(with_empty).standard_error == pool_items(without).standard_error);
  CHECK(pool_items(whole).standard_error == Approx(part(0, 8).standard_error).epsilon(1e-15));
  CHECK(average_groups(whole).standard_error == part(0, 8).standard_error);
  CHECK(average_groups(parts).mean == Approx((part(0, 3).mean + 1 + part(4, 4).mean) / 3).epsilon(1e-15));
  const std::vector<mean_estimate> singles = {part(0, 1), part(1, 1)};
  CHECK(pool_items(singles).mean == 2);
  CHECK(std::isnan(pool_items(singles).standard_error));
  CHECK(std::isnan(pool_items({}).mean));
  CHECK(std::isnan(average_groups({}).mean));
}

TEST_CASE("two values have an error, groups of two too; what is not finite is counted in all groups") {
  CHECK(estimate_mean(vector{1, 4}).standard_error == Approx(1.5).epsilon(1e-15));
  const std::vector<mean_estimate> groups = {estimate_mean(vector{1, 4}), estimate_mean(vector{2})};
  CHECK(pool_items(groups).standard_error == Approx(std::sqrt(4.5 / 3)).epsilon(1e-15));
  const std::vector<mean_estimate> broken = {{.5, .02, 400, 2}, {.6, .03, 250, 0}, {.8, .05, 100, 3}};
  CHECK(pool_items(broken).nonfinite == 5);
  CHECK(average_groups(broken).nonfinite == 5);
}

TEST_CASE("harmonic mean") {
  CHECK(harmonic_mean(vector{.9, .8, .5, .4, .4, .45, .5, .7, .6}) == Approx(.539614561028).epsilon(1e-12));
  CHECK(harmonic_mean(vector{.3}) == Approx(.3).epsilon(1e-15));
  CHECK(harmonic_mean(vector{.5, 0, 1}) == 0);
  CHECK(harmonic_mean(vector{-0.0, 0, 1}) == 0);
  CHECK(std::isnan(harmonic_mean({})));
  CHECK(std::isnan(harmonic_mean(vector{1, not_a_number})));
  CHECK_THROWS_WITH(harmonic_mean(vector{1, -2}), "hone::statistics::harmonic_mean: x: element 1 is negative: -2");
}
