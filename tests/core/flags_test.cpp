// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/flags.hpp"

#include "hone/core/blas.hpp"

#include "support/catch.hpp"

#include <limits>

// What is refused, tests/checks/fast_math.sh tries on every compiler.
TEST_CASE("this unit's arithmetic is IEEE 754's") {
  volatile float x = 1e30f, zero = 0;
  CHECK(x + 1.0f - x == 0);
  CHECK(std::signbit(-zero));
  const std::vector<float> bad = {zero / zero, 1 / zero, 1};
  CHECK(hone::count_nonfinite(bad) == 2);
}
