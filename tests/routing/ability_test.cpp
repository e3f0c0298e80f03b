// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/ability.hpp"

#include "routing/support.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <cstdint>
#include <limits>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

TEST_CASE("ability: its parts are those of statistics, on the reference vector (routing, R.5)") {
  const table t = toy();
  const ability_report r = measure_ability(t.score, t.weak, {.replicates = 200, .seed = 3});
  const auto ranked = statistics::rank_by_outcome(t.score, t.weak);
  CHECK(r.auroc.value == Approx(0.9583333333).epsilon(1e-9));
  CHECK(r.auroc.interval.low == statistics::auc_interval(statistics::auc(ranked)).low);
  CHECK(r.auroc.interval.high == statistics::auc_interval(statistics::auc(ranked)).high);
  CHECK(r.auprc.value == statistics::average_precision(ranked).average_precision);
  const table more = drawn(1, 100, 1, 0.1);
  CHECK(measure_ability(more.score, more.weak, {.replicates = 200, .seed = 3}).auprc.interval.low ==
        statistics::bootstrap_average_precision(statistics::rank_by_outcome(more.score, more.weak),
                                                {.replicates = 200, .seed = 3})
            .percentile.low);
  CHECK(r.prevalence == 0.4);
  CHECK(r.youden_threshold == .55);
  CHECK(r.youden_index == Approx(1 - 1.0 / 6));
  CHECK(r.youden_accuracy.value == Approx(0.9));
  CHECK(r.youden_accuracy.interval.high == statistics::wilson_interval(9, 10).high);
  CHECK(r.count == 10);
  CHECK(r.why == absence::none);
}

TEST_CASE("ability: every interval is of the level that is asked for") {
  const table t = drawn(1, 100, 1, 0.1);
  const statistics::bootstrap_options options{.replicates = 300, .level = 0.8, .seed = 5};
  const ability_report r = measure_ability(t.score, t.weak, options);
  const auto ranked = statistics::rank_by_outcome(t.score, t.weak);
  const auto check = [](const statistics::interval& a, const statistics::interval& b) {
    CHECK(a.low == b.low);
    CHECK(a.high == b.high);
  };
  const statistics::youden_estimate best = statistics::youden(ranked);
  check(r.auroc.interval, statistics::auc_interval(statistics::auc(ranked), 0.8));
  check(r.auprc.interval, statistics::bootstrap_average_precision(ranked, options).percentile);
  check(r.youden_accuracy.interval, statistics::wilson_interval(best.right, best.count, 0.8));
  CHECK(r.nans == 0);
  CHECK(measure_ability(vector{1, std::nan("")}, vector{1, 0}).count == 2);
  CHECK(measure_ability(vector{1, 2}, vector{0, 0}).why == absence::one_class);
  CHECK(std::isnan(measure_ability(vector{1, 2}, vector{0, 0}).youden_index));
}

TEST_CASE("ability: graded answers have the label that the weak one is no worse") {
  CHECK(weak_suffices(vector{1, 7, 8}, vector{1, 9, 2}) == vector{1, 0, 1});
  CHECK_THROWS_WITH(weak_suffices(vector{1}, vector{}), "hone::routing::weak_suffices: weak: has 1, strong 0");
}

TEST_CASE("ability: the script's AUROC is one half of one class, and the same otherwise") {
  const std::vector<double> score = {.1, .2, .2, .9}, right(4, 1.0), wrong(4, 0.0), some = {0, 1, 0, 1};
  CHECK(reference_auroc(score, right) == 0.5);
  CHECK(reference_auroc(score, wrong) == 0.5);
  CHECK(reference_auroc(score, some) == measure_ability(score, some, {.replicates = 10}).auroc.value);
  CHECK(reference_auroc(score, some) == 0.875);
  CHECK(std::isnan(reference_auroc({}, {})));
  CHECK(std::isnan(reference_auroc(std::vector<double>{.1, std::nan(""), .2, .3}, right)));
}

TEST_CASE("ability: one class, NaN, nothing have a reason; equal and infinite scores have one half") {
  const vector s = {1, 2, 3, 4};
  const ability_report one = measure_ability(s, vector{1, 1, 1, 1});
  CHECK(one.why == absence::one_class);
  CHECK(std::isnan(one.auroc.value));
  CHECK(std::isnan(one.auprc.value));
  CHECK(std::isnan(one.youden_threshold));
  CHECK(one.prevalence == 1);
  const ability_report unordered = measure_ability(vector{1, std::nan(""), 3, std::nan("")}, vector{1, 0, 1, 0});
  CHECK(unordered.why == absence::nan_scores);
  CHECK(unordered.nans == 2);
  CHECK(std::isnan(unordered.auroc.value));
  CHECK(measure_ability({}, {}).why == absence::no_rows);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {0.0, infinity, -infinity}) {
    const ability_report equal = measure_ability(vector(4, value), vector{0, 0, 1, 1});
    CHECK(equal.auroc.value == 0.5);
    CHECK(equal.auprc.value == 0.5);
    CHECK(equal.youden_threshold == infinity);
    CHECK(equal.youden_accuracy.value == 0.5);
  }
  CHECK_THROWS(measure_ability(s, vector{1, 0, 1, 0.5}));
  CHECK_THROWS(measure_ability(s, vector{1}));
}

TEST_CASE("coverage: AUROC's and AUPRC's intervals, and accuracy's at the threshold that was chosen") {
  // The weak model is right with probability u, the score: the accuracy at a threshold is 1/2 + t - t^2.
  const double area = 5.0 / 6;  // of u^2 / 1 and (1 - u): P(u_1 > u_0) with densities 2 u and 2 (1 - u)
  double covered_area = 0, covered_precision = 0, covered_accuracy = 0;
  constexpr std::uint32_t repeats = 2000;
  // Average precision of the population: precision above t is (1 + t) / 2, recall 1 - t^2.
  const double precision = 1.0 / 2 + 1.0 / 3;
  for (std::uint32_t r = 0; r < repeats; ++r) {
    const table t = drawn(40000 + r, 200, 0, 1e-12);
    const ability_report a = measure_ability(t.score, t.weak, {.replicates = 200, .seed = r});
    const double accuracy = 0.5 + a.youden_threshold - a.youden_threshold * a.youden_threshold;
    const auto contains = [](const figure_with_interval& f, double truth) {
      return (f.interval.low <= truth && truth <= f.interval.high) / double{repeats};
    };
    covered_area += contains(a.auroc, area);
    covered_precision += contains(a.auprc, precision);
    covered_accuracy += contains(a.youden_accuracy, accuracy);
  }
  CAPTURE(covered_area, covered_precision, covered_accuracy);
  CHECK(covered_area == Approx(0.95).margin(0.02));
  CHECK(covered_precision == Approx(0.94).margin(0.025));
  CHECK(covered_accuracy == Approx(0.89).margin(0.05));  // the threshold was chosen here
}
