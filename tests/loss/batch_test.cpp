// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/batch.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

TEST_CASE("loss sums add up, and their mean is that of the whole") {
  loss_sum total = {.sum = 6, .count = 2, .nonfinite = 0};
  total += {.sum = 4, .count = 3, .nonfinite = 1};
  CHECK(total.sum == 10);
  CHECK(total.count == 5);
  CHECK(total.nonfinite == 1);
  CHECK(total.mean() == 2);
}
