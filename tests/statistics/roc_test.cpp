// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/roc.hpp"

#include "hone/core/random.hpp"
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

}  // namespace

TEST_CASE("AUC and DeLong's error are those of all pairs, with and without ties") {
  std::uint32_t stream = 0;
  for (const std::size_t n : {2u, 3u, 17u, 60u})
    for (const std::size_t m : {2u, 5u, 40u})
      for (const double grain : {1e-9, 0.5, 2.0}) {
        const vector x = scores(++stream, n, 0.7, grain), y = scores(++stream, m, 0, grain);
        const auto fast = auc(x, y), slow = by_pairs(x, y);
        CHECK(fast.auc == Approx(slow.auc).epsilon(1e-14));
        CHECK(fast.standard_error == Approx(slow.standard_error).epsilon(1e-12).margin(1e-15));
        CHECK(fast.positives == static_cast<index_t>(n));
        CHECK(fast.negatives == static_cast<index_t>(m));
      }
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
  CHECK_THROWS_AS(auc(vector{1}, vector{}), std::invalid_argument);
}

TEST_CASE("DeLong's interval stays in [0, 1] and covers as it should") {
  const interval whole = delong_interval({.auc = 0.98, .standard_error = 0.1});
  CHECK(whole.high == 1);
  CHECK(whole.low == Approx(0.98 - 0.1 * 1.959963984540054).epsilon(1e-12));
  CHECK(delong_interval({.auc = 0.01, .standard_error = 0.1}).low == 0);
  CHECK_THROWS_AS(delong_interval({}, 0), std::invalid_argument);
  const double expected = 0.7602499389065234;  // Phi(1 / sqrt(2))
  int covered = 0;
  for (std::uint32_t run = 0; run < 400; ++run) {
    const interval i = delong_interval(auc(scores(2 * run, 60, 1, 1e-9), scores(2 * run + 1, 80, 0, 1e-9)));
    covered += i.low <= expected && expected <= i.high;
  }
  CHECK(covered > 360);
  CHECK(covered < 395);
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
  CHECK_THROWS_AS(true_positive_rate(x, y, 1.5), std::invalid_argument);
  CHECK_THROWS_AS(true_positive_rate(vector{}, y, 0.5), std::invalid_argument);
  CHECK_THROWS_AS(true_positive_rate(x, vector{}, 0.5), std::invalid_argument);
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
