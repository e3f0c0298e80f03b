// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/quantile.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <vector>

using namespace hone;
using namespace hone::statistics;

namespace {
using vector = std::vector<double>;
const double not_a_number = std::nan("");
constexpr double infinity = std::numeric_limits<double>::infinity();
}  // namespace

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

TEST_CASE("quantiles: equal, infinite and NaN values") {
  CHECK(sorted_quantile(vector{2, 2, 2}, .4) == 2);
  CHECK(sorted_quantile(vector{-infinity, 1, infinity}, .5) == 1);
  CHECK(sorted_quantile(vector{1, 2, infinity}, .5) == 2);
  CHECK(sorted_quantile(vector{1, 2, infinity}, .75) == infinity);
  CHECK(std::isnan(sorted_quantile(vector{1, not_a_number}, .5)));
  CHECK_THROWS_AS(sorted_quantile(vector{1}, not_a_number), std::invalid_argument);
  CHECK_THROWS_WITH(sorted_quantile(vector{1}, -0.1),
                    "hone::statistics::sorted_quantile: share: must be in [0, 1], is -0.1");
}
