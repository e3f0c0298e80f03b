// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/frontier.hpp"

#include "hone/core/philox.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using points = std::vector<cost_quality>;

/// The hull at a cost by its meaning: the best of all mixtures of two points that cost at most that.
double by_mixtures(const points& all, double cost) {
  double best = -std::numeric_limits<double>::infinity();
  for (const cost_quality& a : all)
    for (const cost_quality& b : all) {
      if (a.cost > cost) continue;
      const double share = b.cost <= cost ? 1 : (cost - a.cost) / (b.cost - a.cost);
      best = (std::max)(best, (std::max)(a.quality, (1 - share) * a.quality + share * b.quality));
    }
  return best;
}
double on_hull(const points& hull, double cost) {
  for (std::size_t i = 1; i < hull.size(); ++i)
    if (cost < hull[i].cost) {
      const double share = (cost - hull[i - 1].cost) / (hull[i].cost - hull[i - 1].cost);
      return (1 - share) * hull[i - 1].quality + share * hull[i].quality;
    }
  return hull.back().quality;
}

}  // namespace

TEST_CASE("AIQ: the reference vectors (routing, R.7), by both divisors") {
  const points p = {{3, .70}, {1, .40}, {6, .80}, {4, .68}, {2, .50}};
  const points hull = quality_hull(p);
  REQUIRE(hull.size() == 3);
  CHECK((hull[0].cost == 1 && hull[1].cost == 3 && hull[2].cost == 6));
  CHECK(*aiq(p, 8, aiq_divisor::maximum) == Approx(0.61875).epsilon(1e-14));
  CHECK(*aiq(p, 8) == Approx(0.7071428571).epsilon(1e-9));
  CHECK(pareto_points(p).size() == 4);
}

TEST_CASE("the hull is what mixtures of two points reach") {
  std::uint64_t at = 0;
  for (const std::size_t count : {1u, 2u, 5u, 12u})
    for (int repeat = 0; repeat < 20; ++repeat)
      for (const double grain : {1e-9, 0.25}) {
        points p;
        for (std::size_t i = 0; i < count; ++i, at += 2)
          p.push_back({std::round(philox{7}.uniform(at) / grain) * grain,
                       std::round(philox{7}.uniform(at + 1) / grain) * grain});
        const points hull = quality_hull(p);
        double area = 0;
        constexpr int steps = 400;
        const double first = hull.front().cost;
        for (int i = 0; i < steps; ++i) {
          const double cost = first + (1.5 - first) * (i + 0.5) / steps;
          CHECK(on_hull(hull, cost) == Approx(by_mixtures(p, cost)).margin(1e-12));
          area += by_mixtures(p, cost) / steps;
        }
        const double mean = *aiq(p, 1.5);
        CHECK(mean == Approx(area).margin(2e-3));
        std::reverse(p.begin(), p.end());
        CHECK(*aiq(p, 1.5) == mean);
        for (const cost_quality& corner : hull)
          CHECK(std::any_of(p.begin(), p.end(), [&](const cost_quality& one) {
            return one.cost == corner.cost && one.quality == corner.quality;
          }));
      }
}

TEST_CASE("points: none, one, equal, dominated; misuse") {
  CHECK(quality_hull({}).empty());
  CHECK(!aiq({}, 1));
  const points one = {{2, .5}};
  CHECK(!aiq(one, 2));  // a range of no length
  CHECK(*aiq(one, 2, aiq_divisor::maximum) == 0);
  CHECK(*aiq(one, 4) == .5);
  CHECK(!aiq(points{{0, .5}}, 0, aiq_divisor::maximum));
  CHECK(quality_hull(points{{1, .5}, {1, .7}, {1, .6}}).size() == 1);
  CHECK(quality_hull(points{{1, .7}, {2, .6}, {3, .7}}).size() == 1);
  CHECK(quality_hull(points{{1, 1}, {2, 2}, {3, 3}}).size() == 2);  // in one line
  CHECK_THROWS_WITH(aiq(points{{1, .1}, {2, .2}}, 1), "hone::routing::aiq: max_cost: is 1, the hull ends at 2");
  CHECK_THROWS(aiq(one, std::nan("")));
  CHECK_THROWS_WITH(pareto_points(points{{1, 1}, {std::nan(""), 1}}),
                    "hone::routing::pareto_points: points: element 1 is not finite: nan, 1");
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {std::nan(""), infinity, -infinity}) {
    CHECK_THROWS_AS(quality_hull(points{{1, bad}}), std::invalid_argument);
    CHECK_THROWS_AS(aiq(points{{bad, 1}, {1, 1}}, 1), std::invalid_argument);
  }
  CHECK_THROWS_WITH(aiq(one, infinity), "hone::routing::aiq: max_cost: is inf, the hull ends at 2");
  CHECK(*aiq(points{{1, .5}}, 1.5) == .5);
  CHECK(*aiq(points{{0, .5}, {.5, 1}}, .5, aiq_divisor::maximum) == .75);
  // Costs below 0, and far from it.
  for (const double moved : {-40.0, 1000.0}) {
    const points three = {{moved, 0}, {moved + 1, 2}, {moved + 2, 3}, {moved + 3, 3.5}, {moved + 2.5, 3.1}};
    const points corners = quality_hull(three);
    REQUIRE(corners.size() == 4);
    CHECK(corners[2].quality == 3);
    CHECK(*aiq(three, moved + 3) == Approx((1 + 2.5 + 3.25) / 3).epsilon(1e-12));
  }
}

TEST_CASE("RouterArena's score: the reference vector (routing, R.9), the ends, misuse") {
  const arena_score s = score_arena(.7, 1);
  CHECK(s.cheapness == Approx(0.4940401067).epsilon(1e-9));
  CHECK(s.score == Approx(0.6744394195).epsilon(1e-9));
  CHECK(score_arena(.7, 200).score == 0);
  CHECK(score_arena(0, 200).score == 0);
  CHECK(score_arena(1, 0.0044).score == Approx(1).epsilon(1e-14));
  CHECK(score_arena(.7, 400).cheapness < 0);
  CHECK_THROWS_WITH(score_arena(1.1, 1), "hone::routing::score_arena: accuracy: must be in [0, 1], is 1.1");
  CHECK_THROWS_WITH(score_arena(.5, 0), "hone::routing::score_arena: cost: must be positive and finite, is 0");
  CHECK_THROWS(score_arena(.5, 1, {.max_cost = 1, .min_cost = 2}));
  CHECK_THROWS(score_arena(.5, 1, {.beta = 0}));
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(score_arena(-.1, 1), "hone::routing::score_arena: accuracy: must be in [0, 1], is -0.1");
  for (const double bad : {-1.0, infinity, std::nan("")}) {
    CHECK_THROWS_AS(score_arena(.5, bad), std::invalid_argument);
    CHECK_THROWS_AS(score_arena(.5, 1, {.beta = bad}), std::invalid_argument);
    CHECK_THROWS_AS(score_arena(.5, 1, {.max_cost = bad}), std::invalid_argument);
    CHECK_THROWS_AS(score_arena(.5, 1, {.min_cost = bad}), std::invalid_argument);
  }
  CHECK_THROWS_AS(score_arena(.5, 1, {.min_cost = 0}), std::invalid_argument);
  CHECK_THROWS_AS(score_arena(.5, 1, {.max_cost = 1, .min_cost = 1}), std::invalid_argument);
  const arena_score other = score_arena(.25, 2, {.max_cost = 16, .min_cost = 1, .beta = 2});
  CHECK(other.cheapness == .75);
  CHECK(other.score == Approx(3 * .25 * .75 / (2 * .25 + .75)).epsilon(1e-14));
}
