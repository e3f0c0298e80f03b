// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/roc.hpp"

#include "hone/core/random.hpp"
#include "statistics/golden/scores.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// By all pairs, and DeLong's variance by its formula.
auc_estimate by_pairs(const vector& x, const vector& y) {
  const auto m = static_cast<double>(x.size()), n = static_cast<double>(y.size());
  const auto wins = [](double a, double b) { return a > b ? 1 : a == b ? 0.5 : 0; };
  double sum = 0;
  for (const double a : x)
    for (const double b : y) sum += wins(a, b);
  auc_estimate result;
  result.auc = sum / (m * n);
  double of_x = 0, of_y = 0;
  for (const double a : x) {
    double v = 0;
    for (const double b : y) v += wins(a, b) / n;
    of_x += (v - result.auc) * (v - result.auc);
  }
  for (const double b : y) {
    double v = 0;
    for (const double a : x) v += wins(a, b) / m;
    of_y += (v - result.auc) * (v - result.auc);
  }
  result.standard_error = std::sqrt(of_x / (m - 1) / m + of_y / (n - 1) / n);
  return result;
}

vector scores(std::uint32_t stream, std::size_t count, double shift, double grain) {
  vector x;
  for (std::size_t i = 0; i < count; ++i)
    x.push_back(std::round((philox{2, stream}.normal(i) + shift) / grain) * grain);
  return x;
}

/// By thresholds: precision and recall of every score, from the highest down.
double average_precision_by_thresholds(const vector& x, const vector& y) {
  vector thresholds = x;
  thresholds.insert(thresholds.end(), y.begin(), y.end());
  std::sort(thresholds.begin(), thresholds.end(), std::greater<>());
  const auto passing = [](const vector& s, double t) {
    return static_cast<double>(std::count_if(s.begin(), s.end(), [t](double v) { return v >= t; }));
  };
  double sum = 0, recall = 0;
  for (const double t : thresholds) {
    const double hits = passing(x, t), reached = hits / static_cast<double>(x.size());
    sum += (reached - recall) * hits / (hits + passing(y, t));
    recall = reached;
  }
  return sum;
}

const double not_a_number = std::nan("");

}  // namespace

TEST_CASE("AUC and DeLong's error are those of all pairs, with and without ties") {
  std::uint32_t stream = 0;
  for (const std::size_t n : {2u, 3u, 17u, 60u})
    for (const std::size_t m : {2u, 5u, 40u})
      for (const double grain : {1e-9, 0.5, 2.0}) {
        const vector x = scores(++stream, n, 0.7, grain), y = scores(++stream, m, 0, grain);
        const auto fast = auc(x, y), slow = by_pairs(x, y);
        CHECK(fast.auc == Approx(slow.auc).epsilon(1e-14));
        CHECK(average_precision(rank_scores(x, y)).average_precision ==
              Approx(average_precision_by_thresholds(x, y)).epsilon(1e-13));
        CHECK(fast.standard_error == Approx(slow.standard_error).epsilon(1e-12).margin(1e-15));
        CHECK(fast.positives == static_cast<index_t>(n));
        CHECK(fast.negatives == static_cast<index_t>(m));
      }
}

TEST_CASE("AUC and average precision: scikit-learn's") {
  for (const golden_scores_row& g : golden_scores) {
    const ranked_scores first = rank_by_outcome(g.first, g.outcomes);
    CHECK(auc(first).auc == Approx(g.auc).epsilon(1e-14));
    CHECK(average_precision(first).average_precision == Approx(g.average_precision).epsilon(1e-13));
    CHECK(auc(rank_by_outcome(g.second, g.outcomes)).auc == Approx(g.second_auc).epsilon(1e-14));
  }
  CHECK(golden_scores.size() == 6);
}

TEST_CASE("AUC: the reference vectors (routing, R.5)") {
  const vector small = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0}, large = {1, 1, 1, 0, 1, 1, 1, 1, 1, 0};
  const vector score = {.95, .15, .70, .55, .45, .30, .85, .60, .20, .40};
  const auto a = auc(rank_by_outcome(score, small));
  CHECK(a.auc == Approx(0.9583333333).epsilon(1e-9));
  CHECK(a.standard_error * a.standard_error == Approx(0.0034722222).epsilon(1e-8));
  vector needed, against;
  for (std::size_t i = 0; i < 10; ++i) {
    needed.push_back((1 - small[i]) * large[i]);
    against.push_back(1 - score[i]);
  }
  CHECK(auc(rank_by_outcome(against, needed)).auc == Approx(0.88).epsilon(1e-13));
  CHECK(
      auc(rank_by_outcome(vector{.9, .8, .8, .6, .6, .6, .4, .4, .3, .1}, vector{1, 0, 1, 1, 0, 0, 1, 0, 1, 0})).auc ==
      Approx(0.6).epsilon(1e-14));
}

TEST_CASE("the calibration vector's AUC") {
  CHECK(auc(vector{.93, .87, .74, .58, .91, .71}, vector{.66, .79, .62, .37}).auc ==
        Approx(0.7916666667).epsilon(1e-9));
}

TEST_CASE("AUC exchanges to its complement and does not see increasing maps") {
  const vector x = scores(1, 30, 1, 0.5), y = scores(2, 50, 0, 0.5);
  const auto a = auc(x, y);
  CHECK(auc(y, x).auc == Approx(1 - a.auc).epsilon(1e-14));
  CHECK(auc(y, x).standard_error == Approx(a.standard_error).epsilon(1e-13));
  vector u = x, v = y;
  for (vector* s : {&u, &v})
    for (double& value : *s) value = std::exp(3 * value);
  CHECK(auc(u, v).auc == a.auc);
  CHECK(auc(x, x).auc == Approx(0.5).epsilon(1e-15));
}

TEST_CASE("separated, infinite, single and unordered scores") {
  CHECK(auc(vector{2, 3}, vector{0, 1}).auc == 1);
  CHECK(auc(vector{2, 3}, vector{0, 1}).standard_error == 0);
  CHECK(auc(vector{infinity}, vector{-infinity}).auc == 1);
  CHECK(auc(vector{infinity}, vector{infinity}).auc == 0.5);
  CHECK(std::isnan(auc(vector{2}, vector{0, 1}).standard_error));
  const auto broken = auc(vector{2, std::nan("")}, vector{std::nan(""), 1});
  CHECK(broken.nans == 2);
  CHECK(std::isnan(broken.auc));
  CHECK_THROWS_WITH(auc(vector{}, vector{1}), "hone::statistics::auc: positives: is empty");
  CHECK_THROWS_WITH(auc(vector{1}, vector{}), "hone::statistics::auc: negatives: is empty");
  CHECK(broken.positives == 2);
  CHECK(auc(vector{1, 2, 3}, vector{0}).negatives == 1);
  CHECK(std::isnan(auc(vector{1, 2, 3}, vector{0}).standard_error));
  CHECK(std::isfinite(auc(vector{1, 2}, vector{0, 3}).standard_error));  // two of each
  const auto precision = average_precision(rank_scores(vector{1, 2, 3}, vector{0}));
  CHECK(precision.positives == 3);
  CHECK(precision.negatives == 1);
  CHECK(precision.prevalence == 0.75);
  CHECK(average_precision(rank_scores(vector{1}, vector{not_a_number})).nans == 1);
}

TEST_CASE("one kind alone, equal scores, infinite ones, NaN: what is undefined is NaN (routing, case 2)") {
  const vector outcomes = {0, 0, 1, 1}, all = {1, 1, 1, 1}, none = {0, 0, 0, 0}, s = {.1, .4, .35, .8};
  const auto of_all = auc(rank_by_outcome(s, all)), of_none = auc(rank_by_outcome(s, none));
  CHECK(std::isnan(of_all.auc));
  CHECK(std::isnan(of_none.auc));
  CHECK(std::isnan(of_none.standard_error));
  CHECK(of_all.positives == 4);
  CHECK(of_none.negatives == 4);
  CHECK(of_all.nans == 0);
  CHECK(average_precision(rank_by_outcome(s, all)).average_precision == 1);
  CHECK(average_precision(rank_by_outcome(s, all)).prevalence == 1);
  CHECK(std::isnan(average_precision(rank_by_outcome(s, none)).average_precision));
  CHECK(average_precision(rank_by_outcome(s, none)).prevalence == 0);
  for (const double constant : {0.0, 0.3, infinity, -infinity}) {
    const ranked_scores equal = rank_by_outcome(vector(4, constant), outcomes);
    CHECK(auc(equal).auc == 0.5);
    CHECK(auc(equal).standard_error == 0);
    CHECK(average_precision(equal).average_precision == 0.5);
  }
  const ranked_scores broken = rank_by_outcome(vector{not_a_number, 1, not_a_number, 2}, outcomes);
  CHECK(std::isnan(auc(broken).auc));
  CHECK(auc(broken).nans == 2);
  CHECK(auc(broken).positives == 2);
  CHECK(std::isnan(average_precision(broken).average_precision));
  CHECK(average_precision(broken).nans == 2);
  CHECK(average_precision(broken).prevalence == 0.5);
  const ranked_scores nothing = rank_by_outcome({}, {});
  CHECK(std::isnan(auc(nothing).auc));
  CHECK(std::isnan(average_precision(nothing).average_precision));
  CHECK(std::isnan(average_precision(nothing).prevalence));
  CHECK(average_precision(rank_by_outcome(vector{3}, vector{1})).average_precision == 1);
  CHECK(std::isnan(delong_interval(of_all).low));
  CHECK_THROWS_WITH(rank_by_outcome(vector{1, 2}, vector{1, 0.5}),
                    "hone::statistics::rank_by_outcome: outcomes: element 1 is neither 0 nor 1: 0.5");
  CHECK_THROWS_AS(rank_by_outcome(vector{1}, vector{not_a_number}), std::invalid_argument);
  CHECK_THROWS_WITH(rank_by_outcome(vector{1}, {}), "hone::statistics::rank_by_outcome: outcomes: has 0, scores 1");
}

TEST_CASE("average precision: the best order has 1, the worst and the random what is known of them") {
  CHECK(average_precision(rank_scores(vector{2, 3}, vector{0, 1})).average_precision == 1);
  CHECK(average_precision(rank_scores(vector{0, 1}, vector{2, 3})).average_precision == Approx((1 / 3. + 2 / 4.) / 2));
  const vector x = scores(1, 30, 1, 0.5), y = scores(2, 50, 0, 0.5);
  vector u = x, v = y;
  for (vector* s : {&u, &v})
    for (double& value : *s) value = std::exp(3 * value);
  CHECK(average_precision(rank_scores(u, v)).average_precision ==
        average_precision(rank_scores(x, y)).average_precision);
  const double random =
      average_precision(rank_scores(scores(3, 3000, 0, 1e-9), scores(4, 9000, 0, 1e-9))).average_precision;
  CHECK(random == Approx(0.25).margin(0.02));
}

TEST_CASE("order: as by comparing, of any values and sizes around the change of method") {
  for (const std::size_t n : {0u, 1u, 2u, 4999u, 5000u, 5001u, 20000u})
    for (const double grain : {0.0, 1e-3, 1.0}) {
      vector x;
      for (std::size_t i = 0; i < n; ++i) {
        const double value = philox{7}.normal(i) * std::pow(10.0, static_cast<double>(i % 600) - 300);
        x.push_back(i % 17 == 0   ? (i % 2 ? infinity : -infinity)
                    : i % 19 == 0 ? (i % 2 ? 0.0 : -0.0)
                    : grain > 0   ? std::round(philox{7}.normal(i) / grain) * grain
                                  : value);
      }
      vector sorted = x;
      std::sort(sorted.begin(), sorted.end());
      statistics::detail::sort_ascending(x);
      CHECK(x == sorted);
    }
  vector equal(6000, -3.5);
  statistics::detail::sort_ascending(equal);
  CHECK(equal == vector(6000, -3.5));
}

TEST_CASE("AUC and average precision take at most twice the memory of their scores") {
  for (const std::size_t positives : {1000u, 100000u, 190000u}) {
    const vector x = scores(1, positives, 1, 1e-9), y = scores(2, 200000 - positives, 0, 1e-9);
    const std::size_t before = allocations::in_use;
    allocations::most_in_use = before;
    const ranked_scores ranked = rank_scores(x, y);
    CHECK(auc(ranked).auc > 0.7);
    CHECK(average_precision(ranked).average_precision > 0.005);
    CHECK(allocations::most_in_use - before <= 2 * 200000 * sizeof(double) + 65536);
    CHECK(allocations::most_in_use - before >= 200000 * sizeof(double));
  }
}

TEST_CASE("DeLong's interval stays in [0, 1]") {
  const interval whole = delong_interval(auc_estimate{.auc = 0.98, .standard_error = 0.1});
  CHECK(whole.high == 1);
  CHECK(whole.low == Approx(0.98 - 0.1 * 1.959963984540054).epsilon(1e-12));
  CHECK(delong_interval(auc_estimate{.auc = 0.01, .standard_error = 0.1}).low == 0);
  CHECK(delong_interval(auc_estimate{.auc = 0.5, .standard_error = 0.1}, 0.5).high ==
        Approx(0.5 + 0.1 * 0.6744897501960817).epsilon(1e-12));
  for (const double level : {0.0, 1.0, -0.5, 1.5, not_a_number}) {
    CHECK_THROWS_AS(delong_interval(auc_estimate{}, level), std::invalid_argument);
    CHECK_THROWS_AS(auc_interval(auc_estimate{}, level), std::invalid_argument);
  }
  CHECK_THROWS_WITH(delong_interval(auc_estimate{}, 1),
                    "hone::statistics::delong_interval: level: must be in (0, 1), is 1");
}

TEST_CASE("the interval of an AUC: on the scale of logits, exact where the sets are separated") {
  const interval some = auc_interval({.auc = 0.8, .standard_error = 0.05, .positives = 9, .negatives = 9}, 0.9);
  const double half = 1.6448536269514722 * 0.05 / 0.16;
  CHECK(some.low == Approx(1 / (1 + std::exp(half) / 4)).epsilon(1e-12));
  CHECK(some.high == Approx(1 / (1 + std::exp(-half) / 4)).epsilon(1e-12));
  const interval one = auc_interval(auc(vector{2, 3, 4}, vector{0, 1}));
  CHECK(one.low == Approx(std::pow(0.025, 0.5)).epsilon(1e-12));
  CHECK(one.high == 1);
  const interval zero = auc_interval(auc(vector{0, 1}, vector{2, 3, 4}));
  CHECK(zero.low == 0);
  CHECK(zero.high == Approx(1 - one.low).epsilon(1e-12));
  CHECK(auc_interval(auc(vector{1, 1}, vector{1, 1})).low == 0.5);
  for (const auto& none : {auc(vector{2}, vector{0, 1}), auc(vector{2, not_a_number}, vector{0, 1}), auc_estimate{}}) {
    CHECK(std::isnan(auc_interval(none).low));
    CHECK(std::isnan(auc_interval(none).high));
  }
  CHECK_THROWS_WITH(auc_interval({}, 1), "hone::statistics::auc_interval: level: must be in (0, 1), is 1");
  CHECK(auc_interval(auc(vector{2, 3, 4}, vector{0, 1}), 0.5).low == Approx(std::pow(0.25, 0.5)).epsilon(1e-12));
  CHECK(std::isnan(auc_interval({.auc = 1, .standard_error = 0}).low));  // of no items
}

TEST_CASE("coverage: how often intervals at 0.95 contain the AUC") {
  struct row {
    std::size_t positives, negatives;
    double shift, of_delong, of_logit;  // the table of docs/statistics.md
  };
  for (const row& r : {row{60, 80, 1, .94, .95},
                       {20, 20, 1, .93, .95},
                       {200, 200, 2.5, .93, .95},
                       {20, 20, 2.5, .81, .97},
                       {10, 200, 1.5, .86, .90},
                       {20, 20, 4, .34, .97}}) {
    const double expected = normal_cdf(r.shift / std::sqrt(2.0));
    constexpr std::uint32_t runs = 4000;
    double of_delong = 0, of_logit = 0;
    for (std::uint32_t run = 0; run < runs; ++run) {
      const auto a = auc(scores(2 * run, r.positives, r.shift, 1e-9), scores(2 * run + 1, r.negatives, 0, 1e-9));
      const auto contains = [&](const interval& i) {
        return (i.low <= expected && expected <= i.high ? 1.0 : 0.0) / runs;
      };
      of_delong += contains(delong_interval(a));
      of_logit += contains(auc_interval(a));
    }
    INFO(r.positives << ", " << r.negatives << ", AUC " << expected);
    CHECK(of_delong == Approx(r.of_delong).margin(0.0051));
    CHECK(of_logit == Approx(r.of_logit).margin(0.0051));
  }
}

TEST_CASE("the true positive rate at a false positive rate is a point of the curve") {
  const vector x = {5, 4, 3, 1}, y = {4.5, 3, 2, 0};
  CHECK(true_positive_rate(x, y, 0) == 0.25);
  CHECK(true_positive_rate(x, y, 0.2) == 0.25);
  CHECK(true_positive_rate(x, y, 0.25) == 0.5);  // 3 would let the tied negative pass
  CHECK(true_positive_rate(x, y, 0.5) == 0.75);
  CHECK(true_positive_rate(x, y, 0.75) == 1);
  CHECK(true_positive_rate(x, y, 1) == 1);
  CHECK(true_positive_rate(vector{1, 1}, vector{1, 1}, 0.9) == 0);
  vector many(100);
  for (std::size_t i = 0; i < 100; ++i) many[i] = static_cast<double>(i);
  CHECK(true_positive_rate(vector{71}, many, 0.29) == 1);  // 29 of 100, though 0.29 * 100 < 29
  CHECK(true_positive_rate(vector{71}, many, 0.28) == 0);
  CHECK(std::isnan(true_positive_rate(vector{std::nan("")}, many, 0.5)));
  CHECK(std::isnan(true_positive_rate(many, vector{1, not_a_number}, 1)));
  const std::string function = "hone::statistics::true_positive_rate: ";
  CHECK_THROWS_WITH(true_positive_rate(x, y, 1.5), function + "fpr: must be in [0, 1], is 1.5");
  CHECK_THROWS_WITH(true_positive_rate(x, y, -0.5), function + "fpr: must be in [0, 1], is -0.5");
  CHECK_THROWS_AS(true_positive_rate(x, y, not_a_number), std::invalid_argument);
  CHECK_THROWS_WITH(true_positive_rate(vector{}, y, 0.5), function + "positives: is empty");
  CHECK_THROWS_WITH(true_positive_rate(x, vector{}, 0.5), function + "negatives: is empty");
}

TEST_CASE("the true positive rate is the best over all thresholds") {
  const vector x = scores(1, 40, 1, 0.25), y = scores(2, 30, 0, 0.25);
  for (int percent = 0; percent <= 100; ++percent) {
    const double fpr = percent / 100.0;
    double best = 0;
    vector thresholds = x;
    thresholds.insert(thresholds.end(), y.begin(), y.end());
    for (const double t : thresholds) {
      const auto passing = [&](const vector& s) {
        return static_cast<double>(std::count_if(s.begin(), s.end(), [&](double v) { return v >= t; }));
      };
      if (passing(y) <= fpr * 30 + 1e-9) best = (std::max)(best, passing(x) / 40);
    }
    CHECK(true_positive_rate(x, y, fpr) == best);
  }
}

TEST_CASE("Youden's threshold: the reference vector (routing, R.5), and by trying all thresholds") {
  const auto best =
      youden(rank_by_outcome(vector{.9, .8, .8, .6, .6, .6, .4, .4, .3, .1}, vector{1, 0, 1, 1, 0, 0, 1, 0, 1, 0}));
  CHECK(best.threshold == 0.9);
  CHECK(best.index == Approx(0.2).epsilon(1e-14));
  CHECK(best.accuracy() == Approx(0.6).epsilon(1e-14));
  std::uint32_t stream = 500;
  for (const double grain : {1e-9, 0.5, 2.0})
    for (int repeat = 0; repeat < 20; ++repeat) {
      const vector x = scores(++stream, 13, 0.5, grain), y = scores(++stream, 21, 0, grain);
      vector thresholds = {infinity};
      for (const vector* v : {&x, &y}) thresholds.insert(thresholds.end(), v->begin(), v->end());
      std::sort(thresholds.begin(), thresholds.end(), std::greater<>());
      double most = -1, threshold = 0;
      index_t right = 0;
      for (const double t : thresholds) {
        const auto above = [t](double v) { return v >= t; };
        const auto hits = std::count_if(x.begin(), x.end(), above), wrong = std::count_if(y.begin(), y.end(), above);
        const double j = static_cast<double>(hits) / 13 - static_cast<double>(wrong) / 21;
        if (j <= most + 1e-12) continue;
        most = j;
        threshold = t;
        right = hits + 21 - wrong;
      }
      const auto found = youden(rank_scores(x, y));
      CHECK(found.threshold == threshold);
      CHECK(found.index == Approx(most).margin(1e-14));
      CHECK(found.right == right);
    }
  CHECK(youden(rank_scores(vector{1, 1}, vector{1})).threshold == infinity);
  CHECK(youden(rank_scores(vector{0}, vector{1})).index == 0);
  CHECK(youden(rank_scores(vector{0}, vector{1})).accuracy() == 0.5);
  CHECK(std::isnan(youden(rank_scores(vector{1}, {})).threshold));
  CHECK(std::isnan(youden(rank_scores(vector{1}, {})).accuracy()));
  CHECK(youden(rank_scores(vector{not_a_number}, vector{1})).nans == 1);
  CHECK(youden(rank_scores(vector{1}, vector{not_a_number})).nans == 1);
  CHECK(std::isnan(youden(rank_scores(vector{1, 2}, vector{not_a_number})).threshold));
  CHECK(youden(rank_scores(vector{1, 2}, vector{3})).count == 3);
  CHECK(std::isnan(youden(rank_scores({}, vector{1})).index));
}
