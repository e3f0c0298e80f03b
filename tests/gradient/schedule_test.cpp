// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/schedule.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEST_CASE("the rate warms up, falls in its shape, and stays at its floor") {
  const schedule constant{.steps = 10, .warmup = 4};
  CHECK(rate_factor(constant, 1) == 0.25);
  CHECK(rate_factor(constant, 4) == 1);
  CHECK(rate_factor(constant, 99) == 1);
  const schedule linear{.steps = 10, .warmup = 2, .shape = decay::linear, .floor = 0.2};
  CHECK(rate_factor(linear, 6) == Approx(0.6));
  CHECK(rate_factor(linear, 10) == Approx(0.2));
  CHECK(rate_factor(linear, 50) == Approx(0.2));
  const schedule cosine{.steps = 8, .shape = decay::cosine};
  CHECK(rate_factor(cosine, 4) == Approx(0.5));
  CHECK(rate_factor(cosine, 8) == Approx(0).margin(1e-15));
  CHECK(rate_factor({.steps = 0, .shape = decay::linear}, 1) == 0);
  CHECK_THROWS_WITH(rate_factor(constant, 0), Catch::Contains("t"));
  CHECK_THROWS_WITH(rate_factor({.steps = 1, .warmup = 2}, 1), Catch::Contains("warmup"));
  CHECK_THROWS_WITH(rate_factor({.floor = 2}, 1), Catch::Contains("floor"));
}
