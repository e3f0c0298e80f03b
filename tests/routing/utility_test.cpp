// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/utility.hpp"

#include "routing/support.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

matrix_view<const double> matrix(const vector& x, index_t cols) { return {x.data(), std::ssize(x) / cols, cols}; }
matrix_view<const double> for_all(const vector& row, index_t rows) { return {row.data(), rows, std::ssize(row), 0, 1}; }

}  // namespace

TEST_CASE("the best number of calls: the reference vectors (routing, R.5)") {
  const table t = toy();
  const deferral_curve c = curve(t.weak, t.strong, t.score);
  const vector utility = {.38, .462, .544, .626, .608, .690, .572, .654, .636, .618, .600};
  for (std::size_t k = 0; k <= 10; ++k) {
    const auto calls = static_cast<double>(k);
    CHECK(c.at(calls) - 0.02 * (1 + 9 * calls / 10) == Approx(utility[k]).epsilon(1e-12));
  }
  const best_calls best = maximise_utility(c, 1, 10, 0.02);
  CHECK(best.calls == 5);
  CHECK(best.utility == Approx(.690).epsilon(1e-12));
  CHECK(best.quality == Approx(.8));
  CHECK(best.cost == Approx(5.5));
  CHECK(best.kept_from == .55);
  CHECK(maximise_utility(c, 1, 10, 0).calls == 5);  // the fewest of the best
  CHECK(maximise_utility(c, 1, 10, 1).calls == 0);
  CHECK(maximise_utility(c, 10, 1, 1).calls == 10);
  CHECK(maximise_utility(c, 10, 1, 1).kept_from == infinity);
  const best_calls none = maximise_utility(curve({}, {}, {}), 1, 10, 1);
  CHECK(none.why == absence::no_rows);
  CHECK(std::isnan(none.utility));
  CHECK_THROWS_WITH(maximise_utility(c, infinity, 1, 1),
                    "hone::routing::maximise_utility: weak_cost: must be finite, is inf");
  CHECK_THROWS(maximise_utility(c, 1, infinity, 1));
  CHECK_THROWS(maximise_utility(c, 1, 1, infinity));
}

TEST_CASE("of numbers of calls that are equally good the fewest, whatever rounding does") {
  for (int right = 0; right <= 50;
       ++right) {  // of 100; 50 calls gain 9 and cost as much: 9 / 100 = 0.02 * 9 * 50 / 100
    table t;
    for (int i = 0; i < 100; ++i) {
      t.weak.push_back(i >= 100 - right);
      t.strong.push_back(i >= 100 - right || (i > 40 && i < 50));
      t.score.push_back(i);
    }
    CHECK(maximise_utility(curve(t.weak, t.strong, t.score), 1, 10, 0.02).calls == 0);
  }
}

TEST_CASE("the model of highest predicted utility, by trying all; what two models' utility chooses is a cut") {
  const philox random{19};
  vector predicted, quality, costs;
  for (std::uint64_t i = 0; i < 300; ++i) {
    predicted.push_back(std::round(4 * random.uniform(i)) / 4);
    quality.push_back(random.uniform(1000 + i) < predicted.back());
    costs.push_back(std::round(2 * random.uniform(2000 + i)) / 2);
  }
  for (const double lambda : {0.0, 0.3, 2.0}) {
    const model_choices chosen = choose_by_utility(matrix(predicted, 3), matrix(costs, 3), lambda);
    REQUIRE(chosen.model.size() == 100);
    double q = 0, c = 0;
    for (std::size_t i = 0; i < 100; ++i) {
      const auto m = static_cast<std::size_t>(chosen.model[i]);
      const auto utility = [&](std::size_t j) { return predicted[3 * i + j] - lambda * costs[3 * i + j]; };
      for (std::size_t j = 0; j < 3; ++j) {
        CHECK(utility(m) >= utility(j));
        if (utility(m) != utility(j)) continue;
        CHECK(costs[3 * i + m] <= costs[3 * i + j]);
        if (costs[3 * i + m] == costs[3 * i + j]) CHECK(m <= j);
      }
      q += quality[3 * i + m];
      c += costs[3 * i + m];
    }
    const cost_quality mean = evaluate_choices(chosen.model, matrix(quality, 3), matrix(costs, 3));
    CHECK(mean.quality == Approx(q / 100));
    CHECK(mean.cost == Approx(c / 100));
  }
  const table t = drawn(3, 200, 1, 1e-9);
  vector two;
  for (const double s : t.score) {
    two.push_back(s);
    two.push_back(0.75);
  }
  const vector prices = {1, 10};
  const auto chosen = choose_by_utility(matrix(two, 2), for_all(prices, 200), 0.05);
  for (std::size_t i = 0; i < 200; ++i) CHECK((chosen.model[i] == 1) == (t.score[i] < 0.75 - 0.45));
}

TEST_CASE("what is missing goes to the last model and is counted") {
  const vector predicted = {.9, .1, std::nan(""), .1, .2, .8};
  const vector prices = {0, 1};
  const auto chosen = choose_by_utility(matrix(predicted, 2), for_all(prices, 3), 0);
  CHECK(chosen.model == std::vector<index_t>{0, 1, 1});
  CHECK(chosen.nans == 1);
  const vector unknown = {-infinity, -infinity};
  CHECK(choose_by_utility(matrix(unknown, 2), for_all(prices, 1), 1).model[0] == 0);
  CHECK(std::isnan(evaluate_choices({}, for_all(prices, 0), for_all(prices, 0)).cost));
  CHECK_THROWS_WITH(choose_by_utility(matrix(predicted, 2), for_all(prices, 2), 0),
                    "hone::routing::choose_by_utility: costs: is 2 x 2, not 3 x 2");
  CHECK_THROWS_WITH(choose_by_utility(matrix_view<const double>(), {}, 0),
                    "hone::routing::choose_by_utility: models: must be at least one, are 0");
  CHECK_THROWS(choose_by_utility(matrix(predicted, 2), for_all(prices, 3), infinity));
  const std::vector<index_t> bad = {0, 2, 1};
  CHECK_THROWS_WITH(evaluate_choices(bad, matrix(predicted, 2), for_all(prices, 3)),
                    "hone::routing::evaluate_choices: model: element 1 is 2 of 2");
  CHECK_THROWS_WITH(evaluate_choices(std::vector<index_t>{0}, matrix(predicted, 2), for_all(prices, 3)),
                    "hone::routing::evaluate_choices: model: has 1, quality 3 rows");
}

TEST_CASE("a cascade takes the first answer whose score exceeds its threshold, and pays all that were asked") {
  const vector scores = {.9, .2, 0, .5, .7, 0, .1, .3, 0, std::nan(""), .8, 0};
  const vector quality = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1}, prices = {1, 3, 20}, thresholds = {.5, .6};
  const cascade_result r = run_cascade(matrix(scores, 3), thresholds, matrix(quality, 3), for_all(prices, 4));
  CHECK(r.answered == std::vector<index_t>{1, 2, 1});  // .5 does not exceed .5
  CHECK(r.mean.quality == Approx(3 / 4.0));
  CHECK(r.mean.cost == Approx((1 + 4 + 24 + 4) / 4.0));
  CHECK(r.nans == 1);
  const vector all = {-infinity, -infinity}, none = {infinity, infinity};
  CHECK(run_cascade(matrix(quality, 3), all, matrix(quality, 3), for_all(prices, 4)).mean.cost == 1);
  CHECK(run_cascade(matrix(quality, 3), none, matrix(quality, 3), for_all(prices, 4)).mean.cost == 24);
  CHECK(std::isnan(run_cascade({nullptr, 0, 3}, all, {nullptr, 0, 3}, {nullptr, 0, 3}).mean.cost));
  CHECK_THROWS_WITH(run_cascade(matrix(scores, 3), vector{1}, matrix(quality, 3), for_all(prices, 4)),
                    "hone::routing::run_cascade: thresholds: has 1, models 3");
  CHECK_THROWS_WITH(run_cascade(matrix(scores, 3), vector{1, std::nan("")}, matrix(quality, 3), for_all(prices, 4)),
                    "hone::routing::run_cascade: thresholds: element 1 is NaN");
  CHECK_THROWS(run_cascade(matrix(scores, 4), thresholds, matrix(quality, 3), for_all(prices, 4)));
  CHECK_THROWS(run_cascade(matrix(scores, 3), thresholds, matrix(quality, 3), for_all(prices, 3)));
}

TEST_CASE("of two models a cascade over the router's score is a point of the deferral curve") {
  const table t = drawn(5, 400, 1, 0.05);
  const deferral_curve c = curve(t.weak, t.strong, t.score);
  vector quality, scores;
  for (std::size_t i = 0; i < 400; ++i) {
    quality.push_back(t.weak[i]);
    quality.push_back(t.strong[i]);
    scores.push_back(t.score[i]);
    scores.push_back(0);
  }
  const vector prices = {1, 10};
  for (const deferral_point& p : c.points) {
    if (p.calls == 400) continue;
    const vector threshold = {std::nextafter(p.kept_from, -infinity)};
    const auto r = run_cascade(matrix(scores, 2), threshold, matrix(quality, 2), for_all(prices, 400));
    CHECK(r.mean.quality == Approx(p.total / 400).epsilon(1e-13));
    CHECK(r.answered[1] == p.calls);
    CHECK(r.mean.cost == Approx(1 + static_cast<double>(p.calls) / 40));
  }
}
