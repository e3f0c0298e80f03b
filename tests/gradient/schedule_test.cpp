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
}

TEST_CASE("shapes between their ends, after a warmup, above a floor") {
  const schedule cosine{.steps = 11, .warmup = 3, .shape = decay::cosine, .floor = 0.2};
  CHECK(rate_factor(cosine, 2) == Approx(2.0 / 3).epsilon(1e-15));
  CHECK(rate_factor(cosine, 3) == 1);
  CHECK(rate_factor(cosine, 5) == Approx(0.2 + 0.8 * 0.85355339059327376220).epsilon(1e-14));  // (1 + sqrt(1/2)) / 2
  CHECK(rate_factor(cosine, 10) == Approx(0.2 + 0.8 * 0.03806023374435662).epsilon(1e-14));
  CHECK(rate_factor(cosine, 11) == Approx(0.2).epsilon(1e-15));
  CHECK(rate_factor(cosine, 12) == Approx(0.2).epsilon(1e-15));
  const schedule linear{.steps = 11, .warmup = 3, .shape = decay::linear, .floor = 0.25};
  CHECK(rate_factor(linear, 4) == Approx(0.25 + 0.75 * 7 / 8).epsilon(1e-15));
  CHECK(rate_factor(linear, 10) == Approx(0.25 + 0.75 / 8).epsilon(1e-15));
  const schedule warm{.steps = 2, .warmup = 2, .shape = decay::cosine, .floor = 0.5};
  CHECK((rate_factor(warm, 1) == 0.5 && rate_factor(warm, 2) == 1 && rate_factor(warm, 3) == 0.5));
  CHECK(rate_factor({.steps = 4, .warmup = 2, .floor = 0.3}, 9) == 1);
}

TEST_CASE("schedules out of range are refused by name; their ends are not") {
  const std::string name = "hone::gradient::rate_factor: ";
  for (const index_t t : {0, -1})
    CHECK_THROWS_WITH(rate_factor({}, t), Catch::StartsWith(name + "t: steps are counted"));
  CHECK_THROWS_WITH(rate_factor({.steps = 1, .warmup = 2}, 1), name + "warmup: must be in [0, 1], is 2");
  CHECK_THROWS_WITH(rate_factor({.warmup = -1}, 1), Catch::StartsWith(name + "warmup"));
  CHECK_NOTHROW(rate_factor({.steps = 1, .warmup = 1}, 1));
  for (const double floor : {2.0, 1.0000001, -1e-9, double(NAN)})
    CHECK_THROWS_WITH(rate_factor({.floor = floor}, 1), Catch::StartsWith(name + "floor: must be in [0, 1]"));
  CHECK(rate_factor({.steps = 3, .shape = decay::linear, .floor = 1}, 2) == 1);
}
