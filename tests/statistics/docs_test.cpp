// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/statistics.md shows.
#include "hone/statistics/bootstrap.hpp"
#include "hone/statistics/calibration.hpp"
#include "hone/statistics/intervals.hpp"
#include "hone/statistics/pass_at_k.hpp"

#include "support/catch.hpp"

using namespace hone;

TEST_CASE("docs: means and proportions with their intervals") {
  const std::vector<double> scores = {0.2, 0.9, 0.4, 0.4, 1.0};
  const statistics::mean_estimate m = statistics::estimate_mean(scores);  // mean, standard_error, count, nonfinite
  const statistics::interval of_mean = statistics::student_interval(m, 0.95);
  const statistics::interval of_share = statistics::wilson_interval(81, 263);
  const double at_most = statistics::clopper_pearson_upper(0, 100, 0.95);  // none wrong of 100: still up to 3 %
  CHECK(of_mean.low < 0.58);
  CHECK(of_mean.high > 0.58);
  CHECK(of_share.low > 0.25);
  CHECK(at_most == Approx(0.0295).epsilon(1e-2));
  CHECK(m.count == 5);
}

TEST_CASE("docs: the error of any statistic") {
  const std::vector<double> recalls = {0.2, 0.9, 0.4, 0.4, 1.0};
  const auto median = [&](std::span<const index_t> drawn) {
    std::vector<double> x;
    for (const index_t item : drawn) x.push_back(recalls[static_cast<std::size_t>(item)]);
    std::sort(x.begin(), x.end());
    return statistics::sorted_quantile(x, 0.5);
  };
  const statistics::bootstrap_estimate b = statistics::bootstrap(5, median, {.replicates = 2000, .seed = 1});
  const statistics::bca_estimate corrected = statistics::bootstrap_bca(5, median, {.replicates = 2000, .seed = 1});
  CHECK(b.percentile.low >= 0.2);
  CHECK(b.standard_error > 0);
  CHECK(corrected.bca.high <= 1);
}

TEST_CASE("docs: probabilities that are to be believed") {
  const std::vector<double> confidence = {.93, .87, .74, .66, .58, .91, .79, .71, .62, .37};
  const std::vector<double> correct = {1, 1, 1, 0, 1, 1, 0, 1, 0, 0};
  const auto c = statistics::calibrate(confidence, correct, {.bins = 5, .edges = statistics::binning::right_closed});
  // c.brier 0.1939, c.log_loss 0.5564, c.expected_error 0.26, c.largest_error, c.bias
  const double best_of_5 = statistics::pass_at_k(10, 3, 5);  // of 10 responses 3 were right
  CHECK(c.expected_error == Approx(0.26));
  CHECK(best_of_5 == Approx(11.0 / 12));
}
