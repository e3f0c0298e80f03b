// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/delong.hpp"

#include "hone/core/random.hpp"
#include "statistics/golden/scores.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

/// Two scores of the same items with something in common, and outcomes.
struct items {
  vector first, second, outcomes;
};

items draw(std::uint64_t seed, std::size_t count, double first_shift, double second_shift, double grain) {
  items x;
  for (std::size_t i = 0; i < count; ++i) {
    const double y = i % 5 < 2 ? 1 : 0, common = philox{seed, 1}.normal(i);
    const auto score = [&](std::uint32_t stream, double shift) {
      const double value = shift * y + common + philox{seed, stream}.normal(i);
      return grain > 0 ? std::round(value / grain) * grain : value;
    };
    x.outcomes.push_back(y);
    x.first.push_back(score(2, first_shift));
    x.second.push_back(score(3, second_shift));
  }
  return x;
}

/// The variance of the difference by all pairs, from DeLong's covariance matrices.
double variance_by_pairs(const items& x) {
  const auto wins = [](double a, double b) { return a > b ? 1 : a == b ? 0.5 : 0; };
  double variance = 0;
  for (const double kind : {1.0, 0.0}) {
    vector share[2];
    for (std::size_t i = 0; i < x.outcomes.size(); ++i) {
      if (x.outcomes[i] != kind) continue;
      double sum[2] = {0, 0}, others = 0;
      for (std::size_t j = 0; j < x.outcomes.size(); ++j) {
        if (x.outcomes[j] == kind) continue;
        ++others;
        sum[0] += kind == 1 ? wins(x.first[i], x.first[j]) : wins(x.first[j], x.first[i]);
        sum[1] += kind == 1 ? wins(x.second[i], x.second[j]) : wins(x.second[j], x.second[i]);
      }
      for (const std::size_t s : {0u, 1u}) share[s].push_back(sum[s] / others);
    }
    const auto n = static_cast<double>(share[0].size());
    double mean[2] = {0, 0}, covariance[2][2] = {{0, 0}, {0, 0}};
    for (const std::size_t s : {0u, 1u})
      for (const double value : share[s]) mean[s] += value / n;
    for (const std::size_t s : {0u, 1u})
      for (const std::size_t t : {0u, 1u})
        for (std::size_t i = 0; i < share[0].size(); ++i)
          covariance[s][t] += (share[s][i] - mean[s]) * (share[t][i] - mean[t]) / (n - 1);
    variance += (covariance[0][0] + covariance[1][1] - covariance[0][1] - covariance[1][0]) / n;
  }
  return variance;
}

}  // namespace

TEST_CASE("DeLong's test: the variance of all pairs, with and without ties") {
  std::uint64_t seed = 0;
  for (const std::size_t n : {5u, 12u, 60u})
    for (const double grain : {0.0, 0.5, 2.0}) {
      const items x = draw(++seed, n, 1, 0.5, grain);
      const auto c = delong_test(x.first, x.second, x.outcomes);
      CHECK(c.standard_error * c.standard_error == Approx(variance_by_pairs(x)).epsilon(1e-11).margin(1e-16));
      CHECK(c.difference == Approx(c.first.auc - c.second.auc).epsilon(1e-13).margin(1e-15));
      CHECK(c.first.auc == auc(rank_by_outcome(x.first, x.outcomes)).auc);
      CHECK(c.second.standard_error == auc(rank_by_outcome(x.second, x.outcomes)).standard_error);
    }
}

TEST_CASE("DeLong's test: another implementation's z and p") {
  for (const golden_scores_row& g : golden_scores) {
    const auto c = delong_test(g.first, g.second, g.outcomes);
    CHECK(std::abs(c.z) == Approx(std::abs(g.z)).epsilon(1e-10));
    CHECK(c.p_value == Approx(g.p).epsilon(1e-10));
    CHECK((c.z > 0) == (g.auc > g.second_auc));
  }
}

TEST_CASE("DeLong's test: turned round, and blind to increasing maps and the order of items") {
  const items x = draw(3, 40, 1, 0.3, 0.25);
  const auto c = delong_test(x.first, x.second, x.outcomes), turned = delong_test(x.second, x.first, x.outcomes);
  CHECK(turned.difference == -c.difference);
  CHECK(turned.standard_error == c.standard_error);
  CHECK(turned.p_value == c.p_value);
  items mapped = x;
  for (double& value : mapped.first) value = std::exp(value);
  for (double& value : mapped.second) value = value * value * value;
  for (vector* v : {&mapped.first, &mapped.second, &mapped.outcomes}) std::reverse(v->begin(), v->end());
  const auto same = delong_test(mapped.first, mapped.second, mapped.outcomes);
  CHECK(same.difference == c.difference);
  CHECK(same.standard_error == Approx(c.standard_error).epsilon(1e-14));
  const auto itself = delong_test(x.first, x.first, x.outcomes);
  CHECK(itself.difference == 0);
  CHECK(itself.standard_error == 0);
  CHECK(itself.z == 0);
  CHECK(itself.p_value == 1);
}

TEST_CASE("DeLong's test: separated, constant, infinite, NaN, one kind, few") {
  const vector y = {0, 0, 1, 1}, up = {1, 2, 3, 4}, down = {4, 3, 2, 1}, equal = {5, 5, 5, 5};
  const auto opposite = delong_test(up, down, y);
  CHECK(opposite.difference == 1);
  CHECK(opposite.standard_error == 0);
  CHECK(std::isnan(opposite.z));
  CHECK(std::isnan(opposite.p_value));
  CHECK(delong_test(equal, equal, y).p_value == 1);
  CHECK(delong_test(equal, up, y).difference == -0.5);
  CHECK(std::isnan(delong_test(equal, up, y).p_value));
  const auto ends = delong_test(vector{-infinity, 1, infinity, 0}, up, y);
  CHECK(ends.first.auc == 0.75);
  CHECK(ends.p_value < 1);
  const auto broken = delong_test(vector{1, not_a_number, 3, 4}, up, y);
  CHECK(broken.first.nans == 1);
  CHECK(broken.second.nans == 0);
  CHECK(broken.second.auc == 1);
  for (const auto& none : {broken, delong_test(up, down, vector{1, 1, 1, 1}), delong_test({}, {}, {})}) {
    CHECK(std::isnan(none.difference));
    CHECK(std::isnan(none.standard_error));
    CHECK(std::isnan(none.p_value));
  }
  const auto few = delong_test(vector{1, 2, 3}, vector{3, 2, 1}, vector{0, 0, 1});
  CHECK(few.difference == 1);
  CHECK(std::isnan(few.standard_error));
  CHECK(std::isnan(few.p_value));
  CHECK(std::isnan(delong_interval(few).low));
  CHECK_THROWS_WITH(delong_test(up, vector{1}, y), "hone::statistics::delong_test: second: has 1, outcomes 4");
  CHECK_THROWS_WITH(delong_test(vector{1}, up, y), "hone::statistics::delong_test: first: has 1, outcomes 4");
  CHECK_THROWS_AS(delong_test(up, up, vector{0, 0, 1, 2}), std::invalid_argument);
  const std::span<const double> many(up.data(), (std::size_t{1} << 30) + 1);  // refused unread
  CHECK_THROWS_WITH(delong_test(many, many, many),
                    "hone::statistics::delong_test: outcomes: has 1073741825, at most 2^30");
}

TEST_CASE("DeLong's test: a NaN in the second score alone, one item of a kind") {
  const vector y = {0, 0, 1, 1}, up = {1, 2, 3, 4};
  const auto broken = delong_test(up, vector{1, not_a_number, 3, 4}, y);
  CHECK(broken.first.nans == 0);
  CHECK(broken.second.nans == 1);
  CHECK(std::isnan(broken.difference));
  const auto both = delong_test(vector{not_a_number, 1, 2, 3}, vector{1, not_a_number, 3, 4}, y);
  CHECK(std::isnan(both.difference));
  const auto negatives = delong_test(up, up, vector{0, 0, 0, 0});
  CHECK(std::isnan(negatives.difference));
  const auto one_negative = delong_test(vector{1, 2, 3}, vector{3, 2, 1}, vector{0, 1, 1});
  CHECK(one_negative.difference == 1);
  CHECK(std::isnan(one_negative.standard_error));
  CHECK(std::isnan(one_negative.z));
  const auto one_each = delong_test(vector{1, 2}, vector{2, 1}, vector{0, 1});
  CHECK(one_each.difference == 1);
  CHECK(std::isnan(one_each.standard_error));
  CHECK(std::isfinite(delong_test(up, vector{1, 3, 2, 4}, y).standard_error));  // two of each
}

TEST_CASE("DeLong's interval: the normal quantile of its level, 0.95 unless said otherwise") {
  const items x = draw(3, 40, 1, 0.3, 0.25);
  const auto c = delong_test(x.first, x.second, x.outcomes);
  for (const auto& [level, quantile] : {std::pair{0.95, 1.959963984540054}, {0.5, 0.6744897501960817}}) {
    const interval i = delong_interval(c, level);
    CHECK(i.low == Approx(c.difference - quantile * c.standard_error).epsilon(1e-12));
    CHECK(i.high == Approx(c.difference + quantile * c.standard_error).epsilon(1e-12));
  }
  CHECK(delong_interval(c).low == delong_interval(c, 0.95).low);
  CHECK(delong_interval(c, 1e-9).high > delong_interval(c, 1e-9).low);
  for (const double level : {0.0, 1.0, -0.5, 1.5, not_a_number})
    CHECK_THROWS_AS(delong_interval(c, level), std::invalid_argument);
  CHECK_THROWS_WITH(delong_interval(c, 1), "hone::statistics::delong_interval: level: must be in (0, 1), is 1");
}

TEST_CASE("coverage: DeLong's interval of the difference, and how often the test rejects what is equal") {
  constexpr std::uint64_t runs = 2000;
  double covered = 0, rejected = 0;
  const double difference = normal_cdf(1.4 / 2) - normal_cdf(0.8 / 2);  // each score has variance 2, a difference 4
  for (std::uint64_t run = 0; run < runs; ++run) {
    const items x = draw(run + 100, 100, 1.4, 0.8, 0), same = draw(run + 5000, 100, 1, 1, 0);
    const interval i = delong_interval(delong_test(x.first, x.second, x.outcomes));
    covered += (i.low <= difference && difference <= i.high ? 1.0 : 0.0) / runs;
    rejected += (delong_test(same.first, same.second, same.outcomes).p_value < 0.05 ? 1.0 : 0.0) / runs;
  }
  CHECK(covered == Approx(0.95).margin(0.016));  // three standard deviations
  CHECK(rejected == Approx(0.05).margin(0.016));
}
