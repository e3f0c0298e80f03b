// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/sigmoid.hpp"

#include "support/catch.hpp"

using namespace hone;

TEST_CASE("the sigmoid and its logarithm are exact at both ends") {
  CHECK(sigmoid(-INFINITY) == 0);
  CHECK(sigmoid(INFINITY) == 1);
  CHECK(sigmoid(-800) == Approx(std::exp(-800.0)).margin(0));
  CHECK(sigmoid(0) == 0.5);
  CHECK(log_sigmoid(-1000) == -1000);
  CHECK(log_sigmoid(40) == Approx(-std::exp(-40.0)).epsilon(1e-14).margin(0));
  CHECK(log_sigmoid(0) == Approx(-std::log(2.0)).epsilon(1e-15));
}

TEST_CASE("the logit inverts the sigmoid, with all digits near 1/2 and at both ends") {
  CHECK(logit(0) == -INFINITY);
  CHECK(logit(1) == INFINITY);
  CHECK(logit(0.5) == 0);
  CHECK(std::isnan(logit(-0.1)));
  CHECK(std::isnan(logit(1.1)));
  CHECK(std::isnan(logit(std::nan(""))));
  CHECK(logit(0.5 + 0x1p-52) == Approx(4 * 0x1p-52).epsilon(1e-15));
  CHECK(logit(1e-300) == Approx(-300 * std::log(10.0)).epsilon(1e-15));
  for (const double x : {-40.0, -3.0, -1.1, -1.0986122886681098, -0.2, 1e-9, 0.9, 1.2, 5.0})
    CHECK(logit(sigmoid(x)) == Approx(x).epsilon(1e-13).margin(1e-15));
  for (const double p : {0.1, 0.2499999, 0.25, 0.3, 0.75, 0.7500001})
    CHECK(logit(p) == Approx(std::log(p / (1 - p))).epsilon(1e-14));
}

TEST_CASE("the sigmoid and its logarithm, to the last digits on both sides of 0") {
  CHECK(sigmoid(1) == Approx(0.73105857863000487).epsilon(1e-15));
  CHECK(sigmoid(-2) == Approx(0.11920292202211756).epsilon(1e-15));
  CHECK(log_sigmoid(2) == Approx(-0.12692801104297250).epsilon(1e-14));
  CHECK(log_sigmoid(-2) == Approx(-2.1269280110429725).epsilon(1e-15));
  CHECK(std::isnan(sigmoid(std::nan(""))));
  CHECK(std::isnan(log_sigmoid(std::nan(""))));
}
