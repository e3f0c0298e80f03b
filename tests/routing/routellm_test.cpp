// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Golden file: what pandas' qcut and NumPy's interp make of rows that are drawn (golden/routellm.py).
#include "hone/routing/routellm.hpp"

#include "routing/golden/routellm.hpp"
#include "routing/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

namespace {

quantile_curve points_of(const table& t, ties how = ties::averaged) {
  return routellm_points(curve(t.weak, t.strong, t.score, how));
}

}  // namespace

TEST_CASE("RouteLLM's points, APGR and call thresholds: the script's") {
  std::size_t with_points = 0;
  for (const golden_routellm_row& g : golden_routellm) {
    const quantile_curve ours = points_of({g.weak, g.strong, g.scores});
    if (g.points.empty()) {
      CHECK(ours.why == absence::equal_edges);
      CHECK(!apgr(ours).value);
      continue;
    }
    ++with_points;
    REQUIRE(ours.why == absence::none);
    for (std::size_t i = 0; i < 11; ++i) {
      CHECK(ours.points[i].call_rate == Approx(g.points[2 * i]).epsilon(1e-14));
      CHECK(ours.points[i].quality == Approx(g.points[2 * i + 1]).epsilon(1e-14));
    }
    if (g.strong == g.weak || ours.points[10].quality <= ours.points[0].quality) {
      CHECK(apgr(ours).why == absence::strong_no_better);
      continue;
    }
    CHECK(*apgr(ours).value == Approx(g.apgr).epsilon(1e-12));
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(*call_threshold(ours, 0.2 + 0.3 * static_cast<double>(i)).value == Approx(g.cpt[i]).margin(1e-9));
  }
  CHECK(with_points >= 8);
  CHECK(golden_routellm.size() > with_points);
}

TEST_CASE("the reference vectors (routing, R.5): the same points, and a crossing that np.interp misses") {
  const table t = toy();
  for (const ties how : {ties::averaged, ties::file_order}) {
    const quantile_curve c = points_of(t, how);
    const vector phi = {.4, .5, .6, .7, .7, .8, .7, .8, .8, .8, .8};
    for (std::size_t i = 0; i < 11; ++i) {
      CHECK(c.points[i].call_rate == Approx(static_cast<double>(i) / 10).margin(1e-15));
      CHECK(c.points[i].quality == Approx(phi[i]).epsilon(1e-15));
    }
    CHECK(*apgr(c).value == Approx(0.75).epsilon(1e-14));
    CHECK(*call_threshold(c, 0.2).value == Approx(0.08).epsilon(1e-12));
    CHECK(*call_threshold(c, 0.5).value == Approx(0.20).epsilon(1e-12));
    CHECK(*call_threshold(c, 0.8).value == Approx(0.62).epsilon(1e-12));
  }
  vector sorted = t.score;
  std::sort(sorted.begin(), sorted.end());
  CHECK(1 - routellm_threshold(sorted, 0.3) == Approx(0.63).epsilon(1e-14));
}

TEST_CASE("deciles that coincide, or lie next to an infinite score, are no report; a reason is") {
  table t = toy();
  for (double& s : t.score) s = s > 0.5 ? 1 : 0;
  CHECK(points_of(t).why == absence::equal_edges);
  CHECK(apgr(points_of(t)).why == absence::equal_edges);
  CHECK(call_threshold(points_of(t), 0.5).why == absence::equal_edges);
  t = toy();
  t.score[0] = std::numeric_limits<double>::infinity();
  CHECK(points_of(t).why == absence::equal_edges);
  t.score[0] = std::nan("");
  CHECK(points_of(t).why == absence::nan_scores);
  CHECK(points_of({}).why == absence::no_rows);
  t = toy();
  std::swap(t.weak, t.strong);
  CHECK(points_of(t).why == absence::none);
  CHECK(apgr(points_of(t)).why == absence::strong_no_better);
  CHECK_THROWS_WITH(call_threshold(points_of(toy()), -1.0),
                    "hone::routing::call_threshold: share: must be in [0, 1], is -1");
}
