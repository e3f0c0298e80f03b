// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/pass_at_k.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

TEST_CASE("pass@k: the reference vectors (evaluation, G7)") {
  CHECK(pass_at_k(10, 3, 1) == Approx(0.3).epsilon(1e-14));
  CHECK(pass_at_k(10, 3, 5) == Approx(0.916666666667).epsilon(1e-11));
  CHECK(pass_at_k(200, 1, 100) == Approx(0.5).epsilon(1e-13));
  CHECK(pass_at_k(200, 13, 10) == Approx(0.497551114731).epsilon(1e-11));
  CHECK(pass_at_k(4, 2, 3) == 1);
  CHECK(pass_at_k(16, 3, 1) == Approx(.1875));
  CHECK(pass_at_k(16, 3, 4) == Approx(.607142857).epsilon(1e-8));
  CHECK(pass_at_k(16, 3, 8) == Approx(.9));
  CHECK(pass_at_k(256, 5, 64) == Approx(0.765807531).epsilon(1e-8));
}

TEST_CASE("pass@k without a correct response is +0") {
  for (const index_t k : {1, 3, 5}) {
    CHECK(pass_at_k(5, 0, k) == 0);
    CHECK(!std::signbit(pass_at_k(5, 0, k)));
  }
}

TEST_CASE("pass@k is the share of subsets with a correct response, and holds at its ends") {
  for (index_t n = 1; n <= 9; ++n)
    for (index_t c = 0; c <= n; ++c)
      for (index_t k = 1; k <= n; ++k) {
        index_t hits = 0, subsets = 0;
        for (unsigned set = 0; set < 1u << n; ++set) {
          if (__builtin_popcount(set) != k) continue;
          ++subsets;
          hits += (set & ((1u << c) - 1)) != 0;  // the first c are correct
        }
        REQUIRE(pass_at_k(n, c, k) ==
                Approx(static_cast<double>(hits) / static_cast<double>(subsets)).epsilon(1e-12).margin(1e-15));
      }
  CHECK(pass_at_k(10, 0, 10) == 0);
  CHECK(pass_at_k(10, 1, 10) == 1);
  CHECK(pass_at_k(1000000, 1, 1000) == Approx(1e-3).epsilon(1e-12));
  const std::string function = "hone::statistics::pass_at_k: ";
  CHECK_THROWS_WITH(pass_at_k(4, 5, 1), function + "correct: must be in [0, 4], the samples, is 5");
  CHECK_THROWS_WITH(pass_at_k(4, -1, 1), function + "correct: must be in [0, 4], the samples, is -1");
  CHECK_THROWS_WITH(pass_at_k(4, 1, 5), function + "k: must be in [1, 4], is 5");
  CHECK_THROWS_WITH(pass_at_k(4, 1, 0), function + "k: must be in [1, 4], is 0");
}
