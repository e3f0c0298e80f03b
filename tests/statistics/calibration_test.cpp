// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/calibration.hpp"

#include "hone/core/philox.hpp"
#include "hone/core/sigmoid.hpp"
#include "statistics/golden/scores.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;
const double not_a_number = std::nan("");
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr binning all_edges[] = {binning::left_closed, binning::right_closed, binning::equal_mass};

const vector confidence = {.93, .87, .74, .66, .58, .91, .79, .71, .62, .37};
const vector correct = {1, 1, 1, 0, 1, 1, 0, 1, 0, 0};

}  // namespace

TEST_CASE("calibration: the reference vectors (evaluation)") {
  const auto right = [](index_t bins) { return calibration_options{.bins = bins, .edges = binning::right_closed}; };
  CHECK(calibrate(confidence, correct, right(5)).expected_error == Approx(0.26).epsilon(1e-13));
  CHECK(calibrate(confidence, correct, right(10)).expected_error == Approx(0.26).epsilon(1e-13));
  const calibration c = calibrate(confidence, correct, right(15));
  CHECK(c.expected_error == Approx(0.318).epsilon(1e-13));
  CHECK(c.brier == Approx(0.1939).epsilon(1e-13));
  CHECK(c.log_loss == Approx(0.5563542912).epsilon(1e-9));
  CHECK(c.bias == Approx(0.718 - 0.6).epsilon(1e-12));
  CHECK(c.count == 10);
  CHECK(c.invalid == 0);
}

TEST_CASE("calibration: which side of a bin is closed shows where probabilities lie on edges (routing, R.8)") {
  const vector p = {.1, .25, .25, .5, .5, .75, .9, 1}, y = {1, 0, 1, 0, 1, 0, 1, 1};
  CHECK(calibrate(p, y, {.bins = 4, .edges = binning::right_closed}).expected_error == Approx(0.28125).epsilon(1e-14));
  CHECK(calibrate(p, y, {.bins = 4, .edges = binning::left_closed}).expected_error == Approx(0.25625).epsilon(1e-14));
  const auto counts = [&](binning edges) {
    std::vector<index_t> result;
    for (const reliability_bin& b : reliability_table(p, y, {.bins = 4, .edges = edges})) result.push_back(b.count);
    return result;
  };
  CHECK(counts(binning::right_closed) == std::vector<index_t>{3, 2, 1, 2});
  CHECK(counts(binning::left_closed) == std::vector<index_t>{1, 2, 2, 3});
  CHECK(counts(binning::equal_mass) == std::vector<index_t>{3, 2, 1, 2});
}

TEST_CASE("calibration: edges are the quotients i / bins, however they round") {
  for (index_t bins = 1; bins <= 64; ++bins)
    for (index_t i = 0; i <= bins; ++i) {
      const double edge = static_cast<double>(i) / static_cast<double>(bins);
      const auto bin = [&](double p, binning edges) {
        const auto table = reliability_table(vector{p}, vector{0}, {.bins = bins, .edges = edges});
        for (std::size_t b = 0; b < table.size(); ++b)
          if (table[b].count == 1) return static_cast<index_t>(b);
        return index_t{-1};
      };
      CHECK(bin(edge, binning::left_closed) == (std::min)(i, bins - 1));
      CHECK(bin(edge, binning::right_closed) == (std::max)(i - 1, index_t{0}));
      if (i == 0 || i == bins) continue;
      CHECK(bin(std::nextafter(edge, 0.0), binning::left_closed) == i - 1);
      CHECK(bin(std::nextafter(edge, 1.0), binning::right_closed) == i);
    }
}

TEST_CASE("calibration: by the formulas, over bins of every kind") {
  vector p, y;
  for (std::uint64_t i = 0; i < 500; ++i) {
    p.push_back(std::floor(philox{4, 1}.uniform(i) * 40) / 40);  // with ties
    y.push_back(philox{4, 2}.uniform(i) < p.back() * p.back() ? 1 : i % 5 == 0 ? 0.25 : 0);
  }
  for (const binning edges : all_edges)
    for (const index_t bins : {1, 7, 10, 600}) {
      const calibration_options options{.bins = bins, .edges = edges};
      double expected = 0, largest = 0, sum_p = 0, sum_y = 0;
      index_t count = 0;
      for (const reliability_bin& b : reliability_table(p, y, options)) {
        const auto n = static_cast<double>(b.count);
        expected += n / 500 * std::abs(b.probability - b.outcome);
        largest = (std::max)(largest, std::abs(b.probability - b.outcome));
        sum_p += n * b.probability;
        sum_y += n * b.outcome;
        count += b.count;
      }
      double brier = 0, of_p = 0, of_y = 0;
      for (std::size_t i = 0; i < 500; ++i) {
        brier += (p[i] - y[i]) * (p[i] - y[i]) / 500;
        of_p += p[i];
        of_y += y[i];
      }
      double residual = 0, variance = 0;
      for (std::size_t i = 0; i < 500; ++i) {
        residual += std::pow(p[i] - y[i] - (of_p - of_y) / 500, 2);
        variance += std::pow(y[i] - of_y / 500, 2);
      }
      const calibration c = calibrate(p, y, options);
      CHECK(count == 500);
      CHECK(sum_p == Approx(of_p));
      CHECK(sum_y == Approx(of_y));
      CHECK(c.expected_error == Approx(expected).epsilon(1e-13));
      CHECK(c.largest_error == largest);
      CHECK(c.largest_error >= c.expected_error);
      CHECK(c.expected_error >= std::abs(c.bias) - 1e-14);
      CHECK(c.brier == Approx(brier).epsilon(1e-13));
      CHECK(c.explained_variance == Approx(1 - residual / variance).epsilon(1e-12));
      if (bins == 1) CHECK(c.expected_error == Approx(std::abs(c.bias)).epsilon(1e-13));
      vector q(p.rbegin(), p.rend()), z(y.rbegin(), y.rend());
      CHECK(calibrate(q, z, options).expected_error == Approx(c.expected_error).epsilon(1e-13));
    }
}

TEST_CASE("calibration: certain, indifferent, wrong") {
  const vector outcome = {0, 1, 0, 1};
  const calibration certain = calibrate(outcome, outcome);
  CHECK(certain.brier == 0);
  CHECK(certain.log_loss == 0);
  CHECK(certain.expected_error == 0);
  CHECK(certain.explained_variance == 1);
  const calibration half = calibrate(vector(4, 0.5), outcome);
  CHECK(half.brier == 0.25);
  CHECK(half.log_loss == Approx(std::log(2.0)));
  CHECK(half.expected_error == 0);
  CHECK(half.explained_variance == 0);
  CHECK(half.bias == 0);
  CHECK(calibrate(vector{0, 1, 0.5}, vector{0, 0, 1}).log_loss == infinity);
  CHECK(calibrate(vector{0.2, 0.4}, vector{1, 1}).explained_variance == 0);
}

TEST_CASE("calibration: nothing, one pair, pairs that are none; misuse") {
  const calibration nothing = calibrate({}, {});
  CHECK(nothing.count == 0);
  CHECK(std::isnan(nothing.brier));
  CHECK(std::isnan(nothing.expected_error));
  CHECK(calibrate(vector{0.3}, vector{1}).expected_error == Approx(0.7));
  for (const double bad : {not_a_number, infinity, -0.1, 1.1}) {
    for (const calibration& c :
         {calibrate(vector{0.5, bad, 0.5}, vector{1, 0, 1}), calibrate(vector{0.5, 1, 1}, vector{1, bad, 1})}) {
      CHECK(c.invalid == 1);
      CHECK(c.count == 3);
      CHECK(std::isnan(c.brier));
      CHECK(std::isnan(c.expected_error));
      CHECK(std::isnan(c.explained_variance));
    }
    CHECK_THROWS_WITH(reliability_table(vector{bad}, vector{1}),
                      "hone::statistics::reliability_table: probabilities: 1 pairs are not in [0, 1]");
  }
  CHECK_THROWS_WITH(calibrate(vector{1}, vector{}), "hone::statistics::calibrate: outcomes: has 0, probabilities 1");
  CHECK_THROWS_WITH(calibrate(vector{1}, vector{1}, {.bins = 0}),
                    "hone::statistics::calibrate: bins: must be positive, is 0");
  CHECK_THROWS_AS(reliability_table(vector{1}, vector{1, 1}), std::invalid_argument);
}

TEST_CASE("calibration: ten bins, the left end theirs, unless said otherwise") {
  CHECK(calibration_options{}.bins == 10);
  CHECK(calibration_options{}.edges == binning::left_closed);
  const vector p = {.1, .25, .5, .9}, y = {0, 1, 1, 0};
  CHECK(reliability_table(p, y).size() == 10);
  CHECK(calibrate(p, y).expected_error == Approx(0.5625).epsilon(1e-14));
  CHECK(calibrate(p, y, {.edges = binning::right_closed}).expected_error == Approx(0.5625).epsilon(1e-14));
  CHECK(reliability_table(p, y)[2].outcome == 1);
  CHECK(reliability_table(p, y)[0].count == 0);
}

TEST_CASE("calibration: the reference vectors (routing, R.8)") {
  const vector p = {.95, .15, .70, .55, .45, .30, .85, .60, .20, .40}, y = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0};
  for (const index_t bins : {10, 5}) {
    const calibration c = calibrate(p, y, {.bins = bins, .edges = binning::right_closed});
    CHECK(c.expected_error == Approx(0.215).epsilon(1e-13));
    CHECK(c.brier == Approx(0.11925).epsilon(1e-13));
    CHECK(c.log_loss == Approx(0.3935614950).epsilon(1e-9));
  }
}

TEST_CASE("calibration: scikit-learn's Brier score, and its error over quantiles where those are no ties") {
  int without_ties = 0;
  for (const golden_scores_row& g : golden_scores) {
    vector p;
    for (const double score : g.first) p.push_back(sigmoid(score));
    const calibration c = calibrate(p, g.outcomes, {.bins = 5, .edges = binning::equal_mass});
    CHECK(c.brier == Approx(g.brier).epsilon(1e-13));
    if (std::isnan(g.quantile_error)) continue;
    CHECK(c.expected_error == Approx(g.quantile_error).epsilon(1e-12));
    ++without_ties;
  }
  CHECK(without_ties == 2);
}

TEST_CASE("Brier split: the terms are their formulas and sum to the score, for bins of any kind, graded outcomes too") {
  for (const bool graded : {false, true}) {
    vector p, y;
    for (std::uint64_t i = 0; i < 400; ++i) {
      p.push_back(std::floor(philox{5, 1}.uniform(i) * 30) / 30);
      y.push_back(philox{5, 2}.uniform(i) < p.back() ? 1 : graded && i % 3 == 0 ? 0.25 : 0);
    }
    double mean = 0;
    for (const double outcome : y) mean += outcome / 400;
    for (const binning edges : all_edges)
      for (const index_t bins : {1, 4, 10, 400}) {
        const calibration_options options{.bins = bins, .edges = edges};
        const brier_split s = split_brier(p, y, options);
        double reliability = 0, resolution = 0;
        for (const reliability_bin& b : reliability_table(p, y, options)) {
          if (b.count == 0) continue;
          reliability += static_cast<double>(b.count) / 400 * std::pow(b.probability - b.outcome, 2);
          resolution += static_cast<double>(b.count) / 400 * std::pow(b.outcome - mean, 2);
        }
        CHECK(s.brier == Approx(calibrate(p, y, options).brier).epsilon(1e-14));
        CHECK(s.reliability == Approx(reliability).epsilon(1e-12));
        CHECK(s.resolution == Approx(resolution).epsilon(1e-12).margin(1e-16));
        CHECK(s.reliability - s.resolution + s.uncertainty + s.within_variance - s.within_covariance ==
              Approx(s.brier).epsilon(1e-13));
        CHECK(s.resolution <= s.uncertainty + 1e-15);
        if (!graded) CHECK(s.uncertainty == Approx(mean * (1 - mean)).epsilon(1e-12));
        if (bins == 1) CHECK(s.resolution == Approx(0).margin(1e-16));
        if (bins == 400 && edges == binning::equal_mass) {  // a bin for each value: Murphy's own three terms
          CHECK(s.within_variance == Approx(0).margin(1e-28));
          CHECK(s.within_covariance == Approx(0).margin(1e-17));
        }
        CHECK(s.count == 400);
      }
  }
}

TEST_CASE("Brier split: certain, constant, one outcome, one pair, nothing, invalid") {
  const vector y = {0, 1, 0, 1};
  const brier_split certain = split_brier(y, y);
  CHECK(certain.brier == 0);
  CHECK(certain.reliability == 0);
  CHECK(certain.resolution == 0.25);
  CHECK(certain.uncertainty == 0.25);
  const brier_split constant = split_brier(vector(4, 0.5), y);
  CHECK(constant.resolution == 0);
  CHECK(constant.reliability == 0);
  CHECK(constant.uncertainty == 0.25);
  const brier_split one = split_brier(vector{0.3, 0.6}, vector{1, 1});
  CHECK(one.uncertainty == 0);
  CHECK(one.resolution == 0);
  CHECK(one.brier == Approx(one.reliability).epsilon(1e-14));
  CHECK(split_brier(vector{0.3}, vector{1}).reliability == Approx(0.49));
  for (const brier_split& none :
       {split_brier({}, {}), split_brier(vector{0.5, not_a_number}, vector{1, 0}),
        split_brier(vector{0.5, infinity}, vector{1, 0}), split_brier(vector{1, 1}, vector{2, 0})}) {
    CHECK(std::isnan(none.brier));
    CHECK(std::isnan(none.reliability));
    CHECK(std::isnan(none.uncertainty));
    CHECK(none.invalid == (none.count > 0 ? 1 : 0));
  }
  CHECK_THROWS_WITH(split_brier(vector{1}, {}), "hone::statistics::split_brier: outcomes: has 0, probabilities 1");
  CHECK_THROWS_AS(split_brier(vector{1}, vector{1}, {.bins = 0}), std::invalid_argument);
}
