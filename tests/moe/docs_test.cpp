// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/moe.md shows.
#include "hone/moe/schedule.hpp"

#include "support/catch.hpp"

#include <numeric>

using namespace hone;

TEST_CASE("docs: a schedule and a budget") {
  const index_t k = moe::experts_per_token(moe::schedule::linear_reverse, 0.25, 2, 14);  // a quarter is masked
  const index_t taken = moe::capacity(2048, k, 64);                                      // tokens an expert takes
  const std::vector<index_t> by_masked =
      moe::budget(moe::schedule::linear_reverse, 512, {.mean = 64, .swing = 96});  // for 1 … 512 masked tokens
  CHECK(k == 11);
  CHECK(taken == 352);
  CHECK(std::accumulate(by_masked.begin(), by_masked.end(), index_t{0}) == 64 * 512);
}
