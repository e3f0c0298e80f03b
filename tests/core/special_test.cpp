// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/special.hpp"

#include "support/catch.hpp"

using namespace hone;

TEST_CASE("the distributions agree where they meet") {
  for (const double x : {0.1, 1.0, 2.5, 6.0}) {
    // Z^2 / 2 is a gamma variate of shape 1/2; Student's t without limit of its freedom is Z; a beta variate of shapes
    // (a, b) times b is a gamma variate as b grows.
    CHECK(incomplete_gamma(0.5, x * x / 2).upper == Approx(2 * normal_cdf(-x)).epsilon(1e-13));
    CHECK(student_cdf(-x, 1e14) == Approx(normal_cdf(-x)).epsilon(1e-11));
    CHECK(incomplete_beta(3, 1e14, x / 1e14).upper == Approx(incomplete_gamma(3, x).upper).epsilon(1e-11));
  }
}
