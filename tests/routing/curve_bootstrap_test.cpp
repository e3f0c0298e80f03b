// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/curve_bootstrap.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/routing/routellm.hpp"
#include "hone/routing/scenario.hpp"
#include "routing/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

namespace {

/// Some figures of a curve, in the order of the file and of averaged ties alike.
void some_figures(const deferral_curve& c, std::span<double> values) {
  const double nan = std::nan("");
  values[0] = apgr(c).value.value_or(nan);
  values[1] = call_threshold(c, 0.5).value.value_or(nan);
  values[2] = curve_area(c).value.value_or(nan);
  const scenario_report r = measure_scenarios(c);
  values[3] = r.cheap.figure.value.value_or(nan);
  values[4] = r.high_accuracy.figure.value.value_or(nan);
  values[5] = r.balanced.figure.value.value_or(nan);
  values[6] = c.at(37.25 * static_cast<double>(c.count) / 100);
}
constexpr index_t some = 7;

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

TEST_CASE("a replicate is the curve of the rows that were drawn, by sorting them anew") {
  for (const ties how : {ties::averaged, ties::file_order})
    for (const double grain : {1e-9, 0.1}) {
      table t = drawn(7, 90, 1, grain);
      // In the order of their scores, so that draws are rows.
      std::vector<std::size_t> order;
      for (std::size_t i = 0; i < 90; ++i) order.push_back(i);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t i, std::size_t j) { return t.score[i] < t.score[j]; });
      table sorted;
      for (const std::size_t i : order) {
        sorted.weak.push_back(t.weak[i]);
        sorted.strong.push_back(t.strong[i]);
        sorted.score.push_back(t.score[i]);
      }
      constexpr index_t replicates = 40;
      std::vector<vector> seen, expected;
      bootstrap_curve(t.weak, t.strong, t.score, how, some,
                      [&](const deferral_curve& c, std::span<double> values) {
                        some_figures(c, values);
                        seen.emplace_back(values.begin(), values.end());
                      },
                      {.replicates = replicates, .seed = 5});
      for (index_t r = 0; r < replicates; ++r) {
        std::vector<index_t> drawn_rows(90);
        statistics::draw_items(drawn_rows, 5, r);
        std::sort(drawn_rows.begin(), drawn_rows.end());
        table again;
        for (const index_t i : drawn_rows) {
          again.weak.push_back(sorted.weak[static_cast<std::size_t>(i)]);
          again.strong.push_back(sorted.strong[static_cast<std::size_t>(i)]);
          again.score.push_back(sorted.score[static_cast<std::size_t>(i)]);
        }
        vector values(some);
        some_figures(curve(again.weak, again.strong, again.score, how), values);
        expected.push_back(values);
      }
      REQUIRE(seen.size() == expected.size());
      for (std::size_t r = 0; r < seen.size(); ++r)
        for (std::size_t s = 0; s < some; ++s) {
          CAPTURE(r, s, seen[r][s], expected[r][s]);
          CHECK((same(seen[r][s], expected[r][s]) || seen[r][s] == Approx(expected[r][s]).epsilon(1e-13)));
        }
    }
}

TEST_CASE("the same bits for any workers; what is undefined in a replicate is counted") {
  const table t = drawn(8, 300, 1, 0.05);
  thread_pool pool(3);
  const auto one = bootstrap_curve(t.weak, t.strong, t.score, ties::averaged, some, some_figures, {.replicates = 50});
  const auto three =
      bootstrap_curve(t.weak, t.strong, t.score, ties::averaged, some, some_figures, {.replicates = 50}, pool);
  for (std::size_t s = 0; s < some; ++s) {
    CHECK(same(one[s].percentile.low, three[s].percentile.low));
    CHECK(same(one[s].percentile.high, three[s].percentile.high));
  }
  CHECK(one[0].nonfinite == 0);
  CHECK(one[0].percentile.low < *apgr(curve(t.weak, t.strong, t.score)).value);
  CHECK(one[0].percentile.high > *apgr(curve(t.weak, t.strong, t.score)).value);
  const table few = toy();
  const auto empty = bootstrap_curve(few.weak, few.strong, few.score, ties::averaged, some, some_figures);
  CHECK(empty[4].nonfinite > 0);
  CHECK(std::isnan(empty[4].percentile.low));
}

TEST_CASE("coverage: percentile intervals of APGR, call threshold, area, LPM, HCR, MPM and a point of the curve") {
  // Without noise phi(c) = 1/2 + (c - c^2 / 2) / 2, the recovery is 2 c - c^2.
  const auto phi = [](double c) { return 0.5 + (c - c * c / 2) / 2; };
  double cheap = 0, balanced = 0;
  for (int i = 25; i <= 30; ++i) cheap += phi(i / 100.0) / 6;
  for (int i = 31; i <= 61; ++i) balanced += phi(i / 100.0) / 31;
  const double truth[some] = {2.0 / 3,  1 - std::sqrt(0.5), 2.0 / 3, cheap, 1 - (0.62 + 0.77) / 2,
                              balanced, phi(0.3725)};
  double covered[some] = {}, with[some] = {};
  constexpr std::uint32_t repeats = 2000;
  for (std::uint32_t r = 0; r < repeats; ++r) {
    const table t = drawn(20000 + r, 500, 0, 1e-12);
    const auto e =
        bootstrap_curve(t.weak, t.strong, t.score, ties::averaged, some, some_figures, {.replicates = 200, .seed = r});
    for (std::size_t s = 0; s < some; ++s) {
      with[s] += e[s].nonfinite == 0;
      covered[s] += e[s].percentile.low <= truth[s] && truth[s] <= e[s].percentile.high;
    }
  }
  for (std::size_t s = 0; s < some; ++s) {
    CAPTURE(s, covered[s], with[s]);
    CHECK(with[s] >= (s == 4 || s == 5 ? 0.9 : 1) * repeats);  // a band may be empty in some replicate
    CHECK(covered[s] / with[s] >= 0.92);
    CHECK(covered[s] / with[s] <= 0.98);
  }
}

TEST_CASE("bootstrap of a curve: misuse") {
  table t = toy();
  CHECK_THROWS_WITH(bootstrap_curve(t.weak, t.strong, t.score, ties::averaged, 0, some_figures),
                    "hone::statistics::bootstrap_counts_of: statistics: must be positive, is 0");
  CHECK_THROWS(bootstrap_curve(t.weak, t.strong, vector{1}, ties::averaged, some, some_figures));
  CHECK_THROWS(bootstrap_curve({}, {}, {}, ties::averaged, some, some_figures));
  t.score[2] = std::nan("");
  CHECK_THROWS_WITH(bootstrap_curve(t.weak, t.strong, t.score, ties::averaged, some, some_figures),
                    "hone::routing::bootstrap_curve: scores: 1 are NaN");
}
