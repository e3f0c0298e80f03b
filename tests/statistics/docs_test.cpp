// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/statistics.md shows.
#include "hone/statistics.hpp"

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

TEST_CASE("docs: how well scores rank") {
  const std::vector<double> scores = {.95, .15, .70, .55, .45, .30, .85, .60, .20, .40};
  const std::vector<double> lengths = {.5, .2, .4, .3, .7, .4, .6, .1, .4, .6};
  const std::vector<double> right = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0};
  const auto ranked = statistics::rank_by_outcome(scores, right);  // one sort for all that follows
  const statistics::auc_estimate area = statistics::auc(ranked);   // 0.958, error 0.059
  const statistics::interval of_area = statistics::auc_interval(area);
  const auto precision = statistics::average_precision(ranked);  // 0.95; by chance its prevalence, 0.4
  const auto of_precision = statistics::bootstrap_average_precision(ranked, {.replicates = 2000, .seed = 1});
  const auto better = statistics::delong_test(scores, lengths, right);  // difference, standard_error, z, p_value
  CHECK(area.auc == Approx(0.958).margin(5e-4));
  CHECK(area.standard_error == Approx(0.059).margin(5e-4));
  CHECK(of_area.low > 0.5);
  CHECK(of_area.high < 1);
  CHECK(precision.average_precision == Approx(0.95));
  CHECK(precision.prevalence == 0.4);
  CHECK(of_precision.nonfinite == 11);  // some replicates have no positive
  CHECK(better.difference > 0);
  CHECK(better.p_value < 0.2);
}

TEST_CASE("docs: scores that become probabilities") {
  const std::vector<double> logits = {2.9, -1.7, 0.8, 0.2, -0.2, -0.8, 1.7, 0.4, -1.4, -0.4};
  const std::vector<double> right = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0};
  const auto temperature = statistics::fit_temperature(logits, right);  // temperature(z) = sigmoid(z / T)
  const auto platt = statistics::fit_platt(logits, right);              // platt(s) = sigmoid(a s + b)
  const auto isotonic = statistics::fit_isotonic(logits, right);        // isotonic(s), which never falls
  std::vector<double> p;
  for (const double z : logits) p.push_back(platt(z));
  const statistics::brier_split terms = statistics::split_brier(p, right, {.edges = statistics::binning::equal_mass});
  CHECK(temperature.temperature < 1);
  CHECK(platt(0.3) > 0.3);
  CHECK(isotonic(0.3) == 0.5);
  CHECK(terms.reliability - terms.resolution + terms.uncertainty + terms.within_variance - terms.within_covariance ==
        Approx(terms.brier));
}

TEST_CASE("docs: a threshold with a guarantee, and whether it still holds") {
  std::vector<double> past, wrong, today;
  for (int i = 0; i < 200; ++i) {
    past.push_back(i / 200.0);
    wrong.push_back(i % 20 == 0 || i < 60 ? 1 : 0);
    today.push_back(0.7 * i / 200.0);
  }
  const auto kept = statistics::control_risk(past, wrong, {.risk = 0.05});  // kept.keeps(score): score >= kept.value
  const auto drift = statistics::stability_index(past, today);              // index, p_value, without_drift
  const auto exact = statistics::ks_two_sample(past, today);                // statistic, p_value
  CHECK(kept.keeps(0.9));
  CHECK(!kept.keeps(0.1));
  CHECK(kept.bound <= 0.05);
  CHECK(drift.index > 0.25);
  CHECK(exact.p_value < 1e-3);
}
