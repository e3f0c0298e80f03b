// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/ranked_bootstrap.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;

ranked_scores draw(std::uint64_t seed, std::size_t positives, std::size_t negatives, double shift, double grain) {
  const auto scores = [&](std::uint32_t stream, std::size_t count, double mean) {
    vector x;
    for (std::size_t i = 0; i < count; ++i) {
      const double value = philox{seed, stream}.normal(i) + mean;
      x.push_back(grain > 0 ? std::round(value / grain) * grain : value);
    }
    return x;
  };
  return rank_scores(scores(1, positives, shift), scores(2, negatives, 0));
}

/// From the highest score down, positives first among equals: what the items of the bootstrap are.
struct item {
  double score, outcome;
};
std::vector<item> items_of(const ranked_scores& scores) {
  std::vector<item> items;
  for (const double s : scores.positives) items.push_back({s, 1});
  for (const double s : scores.negatives) items.push_back({s, 0});
  std::sort(items.begin(), items.end(), [](const item& a, const item& b) {
    return a.score > b.score || (a.score == b.score && a.outcome > b.outcome);
  });
  return items;
}

template <class Measure>
bootstrap_estimate by_items(const ranked_scores& scores, const bootstrap_options& options, Measure&& measure) {
  const auto items = items_of(scores);
  return bootstrap(
      std::ssize(items),
      [&](std::span<const index_t> drawn) {
        vector s, y;
        for (const index_t i : drawn) {
          s.push_back(items[static_cast<std::size_t>(i)].score);
          y.push_back(items[static_cast<std::size_t>(i)].outcome);
        }
        return measure(rank_by_outcome(s, y));
      },
      options);
}

}  // namespace

TEST_CASE("the bootstrap of an order is the bootstrap of its items, bit for bit, with and without ties") {
  thread_pool pool(3);
  for (const double grain : {0.0, 0.5, 3.0}) {
    const ranked_scores scores = draw(1, 37, 60, 0.8, grain);
    const bootstrap_options options{.replicates = 200, .level = 0.9, .seed = 5};
    const auto same = [](const bootstrap_estimate& a, const bootstrap_estimate& b) {
      CHECK(a.standard_error == b.standard_error);
      CHECK(a.percentile.low == b.percentile.low);
      CHECK(a.percentile.high == b.percentile.high);
      CHECK(a.nonfinite == b.nonfinite);
    };
    same(bootstrap_auc(scores, options), by_items(scores, options, [](const auto& s) { return auc(s).auc; }));
    same(bootstrap_auc(scores, options, pool), bootstrap_auc(scores, options));
    same(bootstrap_average_precision(scores, options),
         by_items(scores, options, [](const auto& s) { return average_precision(s).average_precision; }));
    same(bootstrap_average_precision(scores, options, pool), bootstrap_average_precision(scores, options));
  }
}

TEST_CASE("the bootstrap's error of AUC is DeLong's where there are many") {
  const ranked_scores scores = draw(2, 800, 1200, 1, 0);
  CHECK(bootstrap_auc(scores, {.replicates = 4000}).standard_error == Approx(auc(scores).standard_error).epsilon(0.05));
}

TEST_CASE("the bootstrap of an order: one kind, equal scores, NaN, one score, nothing") {
  const vector s = {.1, .4, .35, .8};
  const auto all = rank_by_outcome(s, vector{1, 1, 1, 1}), none = rank_by_outcome(s, vector{0, 0, 0, 0});
  CHECK(bootstrap_auc(all).nonfinite == 1000);
  CHECK(std::isnan(bootstrap_auc(all).percentile.low));
  CHECK(bootstrap_auc(none).nonfinite == 1000);
  CHECK(bootstrap_average_precision(all).percentile.low == 1);
  CHECK(bootstrap_average_precision(none).nonfinite == 1000);
  const auto rare = bootstrap_auc(rank_by_outcome(s, vector{0, 0, 1, 0}));
  CHECK(rare.nonfinite == Approx(1000 * std::pow(0.75, 4)).margin(70));  // replicates without the positive
  CHECK(std::isnan(rare.standard_error));
  const auto equal = bootstrap_auc(rank_scores(vector(50, 1.0), vector(50, 1.0)));
  CHECK(equal.standard_error == 0);
  CHECK(equal.percentile.high == 0.5);
  CHECK(bootstrap_auc(rank_scores(vector{1, std::nan("")}, vector{0})).nonfinite == 1000);
  CHECK(bootstrap_average_precision(rank_by_outcome(vector{3}, vector{1})).percentile.high == 1);
  CHECK_THROWS_WITH(bootstrap_auc(ranked_scores{}), "hone::statistics::bootstrap_auc: items: must be positive, is 0");
  CHECK_THROWS_WITH(bootstrap_average_precision(all, {.level = 2}),
                    "hone::statistics::bootstrap_average_precision: level: must be in (0, 1), is 2");
}

TEST_CASE("coverage: how often the bootstrap's intervals at 0.95 contain AUC and average precision") {
  // Average precision of many: the mean over positives of the precision at their score.
  const auto expected_precision = [](double prevalence, double shift) {
    double sum = 0;
    constexpr int steps = 20000;
    for (int i = 0; i < steps; ++i) {
      const double recall = (i + 0.5) / steps, t = shift - normal_quantile(recall);
      const double hits = prevalence * recall;
      sum += hits / (hits + (1 - prevalence) * normal_cdf(-t)) / steps;
    }
    return sum;
  };
  struct row {
    std::size_t positives, negatives;
    double shift, of_auc, of_precision;  // the table of docs/statistics.md
  };
  for (const row& r : {row{20, 44, 1, .94, .95}, {16, 16, 2, .88, .87}}) {
    const double expected_auc = normal_cdf(r.shift / std::sqrt(2.0));
    const double prevalence = static_cast<double>(r.positives) / static_cast<double>(r.positives + r.negatives);
    const double precision = expected_precision(prevalence, r.shift);
    constexpr std::uint64_t runs = 2000;
    double of_auc = 0, of_precision = 0;
    for (std::uint64_t run = 0; run < runs; ++run) {
      const ranked_scores scores = draw(run + 10, r.positives, r.negatives, r.shift, 0);
      const bootstrap_options options{.replicates = 200, .seed = run};
      const auto contains = [](const interval& i, double x) { return (i.low <= x && x <= i.high ? 1.0 : 0.0) / runs; };
      of_auc += contains(bootstrap_auc(scores, options).percentile, expected_auc);
      of_precision += contains(bootstrap_average_precision(scores, options).percentile, precision);
    }
    INFO(r.positives << ", " << r.negatives);
    CHECK(of_auc == Approx(r.of_auc).margin(0.0051));
    CHECK(of_precision == Approx(r.of_precision).margin(0.0051));
  }
}
