// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/scale.hpp"

#include "support/catch.hpp"

#include <numeric>

using namespace hone;
using namespace hone::moe;

TEST_CASE("scaling tables are those of the reference within Monte-Carlo error (R.2)") {
  const double expected[] = {1, 1.414213562, 1.797190070, 2.080894469, 2.320632473};
  const double error[] = {0, 0, 0.0017, 0.0023, 0.0028};
  const double together = std::sqrt(2.0);  // both sides are drawn
  const auto table = expert_choice_scales(4, {.shared = 2});
  REQUIRE(table.size() == 5);
  for (std::size_t n = 0; n < 5; ++n) {
    CAPTURE(n);
    CHECK(table[n] == Approx(expected[n]).epsilon(0).margin(4 * together * error[n] + 1e-9));
  }
  CHECK(token_choice_scale(4, 2, {.shared = 2}) == Approx(1.875565396).epsilon(0).margin(4 * together * 0.0013));
}

TEST_CASE("scaling tables of larger layers are the measured ones") {
  // Printed with two digits, of 4,000 draws.
  const auto wide = expert_choice_scales(512, {.shared = 2, .draws = 4000, .seed = 1});
  CHECK(wide[8] == Approx(3.03).margin(0.02));
  CHECK(wide[20] == Approx(4.44).margin(0.03));
  CHECK(wide[32] == Approx(5.43).margin(0.03));
  CHECK(token_choice_scale(512, 20, {.shared = 2, .draws = 1000}) == Approx(5.78).margin(0.02));
  CHECK(token_choice_scale(64, 8, {.shared = 2, .draws = 4000}) == Approx(3.64).margin(0.02));
  CHECK(expert_choice_scales(16)[2] == Approx(1.27).margin(0.01));
  CHECK(expert_choice_scales(16)[4] == Approx(1.64).margin(0.01));
}

TEST_CASE("a scaling table is the mean of its draws, by the formula") {
  const philox random{9};
  double sum[4] = {}, best = 0;
  for (std::uint64_t draw = 0; draw < 50; ++draw) {
    std::vector<double> p;
    for (std::uint64_t e = 0; e < 3; ++e) p.push_back(std::exp(random.normal(draw * 3 + e)));
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& x : p) x /= total;
    for (std::size_t n = 1; n <= 3; ++n) {
      double part = 0, squares = 0;
      for (std::size_t e = 0; e < n; ++e) part += p[e];
      for (std::size_t e = 0; e < n; ++e) squares += p[e] / part * (p[e] / part);
      sum[n] += std::sqrt(3.0) / std::sqrt(squares);
    }
    std::sort(p.begin(), p.end());
    const double pair = p[2] + p[1];
    best += std::sqrt(3.0) / std::sqrt((p[2] * p[2] + p[1] * p[1]) / (pair * pair));
  }
  const scale_options options{.shared = 3, .draws = 50, .seed = 9};
  const auto table = expert_choice_scales(3, options);
  CHECK(table[0] == 1);
  for (std::size_t n = 1; n <= 3; ++n) CHECK(table[n] == Approx(sum[n] / 50).epsilon(1e-13));
  CHECK(token_choice_scale(3, 2, options) == Approx(best / 50).epsilon(1e-13));
}

TEST_CASE("scaling factors: one expert, more than there are, order, seeds") {
  const scale_options options{.shared = 1, .draws = 200};
  CHECK(expert_choice_scales(1, options) == std::vector<double>{1, 1});
  CHECK(token_choice_scale(1, 1, options) == 1);
  CHECK(token_choice_scale(5, 9, options) == token_choice_scale(5, 5, options));
  CHECK(token_choice_scale(5, 5, options) == Approx(expert_choice_scales(5, options)[5]));
  const auto table = expert_choice_scales(32, options);
  for (std::size_t n = 1; n < 32; ++n) CHECK(table[n] < table[n + 1]);
  CHECK(expert_choice_scales(8, options) == expert_choice_scales(8, options));
  CHECK(expert_choice_scales(8, options) != expert_choice_scales(8, {.shared = 1, .draws = 200, .seed = 43}));
}

TEST_CASE("scaling factors of nothing are refused") {
  CHECK_THROWS_WITH(expert_choice_scales(0), Catch::Contains("experts"));
  CHECK_THROWS_WITH(expert_choice_scales(-3), Catch::Contains("experts"));
  CHECK_THROWS_WITH(expert_choice_scales(4, {.shared = 0}), Catch::Contains("shared"));
  CHECK_THROWS_WITH(expert_choice_scales(4, {.draws = 0}), Catch::Contains("draws"));
  CHECK_THROWS_WITH(token_choice_scale(4, 0), Catch::Contains("per_token"));
  CHECK_THROWS_WITH(token_choice_scale(0, 1), Catch::Contains("experts"));
}
