// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/bootstrap.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "statistics/golden/bca.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {
const std::vector<double> sample = {1, 2, 4};

double mean_of(std::span<const index_t> drawn) {
  double sum = 0;
  for (const index_t i : drawn) sum += sample[static_cast<std::size_t>(i)];
  return sum / static_cast<double>(drawn.size());
}
}  // namespace

TEST_CASE("the bootstrap of a mean comes to what enumerating all 27 resamples gives") {
  const auto b = bootstrap(3, mean_of, {.replicates = 20000, .seed = 1});
  CHECK(b.standard_error == Approx(0.7200822998).epsilon(0.02));
  CHECK(b.percentile.low == 1);  // both ends have a share of 1/27, more than 2.5 %
  CHECK(b.percentile.high == 4);
  CHECK(b.nonfinite == 0);
  const auto all = bootstrap(3, mean_of, {.replicates = 20000, .level = 0.5, .seed = 1});
  CHECK(all.percentile.low == Approx(5.0 / 3));
  CHECK(all.percentile.high == 3);
}

TEST_CASE("the error of the bootstrap is that of the mean, not over the square root of replicates") {
  std::vector<double> x;
  for (std::size_t i = 0; i < 200; ++i) x.push_back(philox{5, 0}.normal(i));
  const auto b = bootstrap(200, [&](std::span<const index_t> drawn) {
    double sum = 0;
    for (const index_t i : drawn) sum += x[static_cast<std::size_t>(i)];
    return sum / 200;
  });
  CHECK(b.standard_error == Approx(estimate_mean(x).standard_error).epsilon(0.1));
}

TEST_CASE("draws are addressed: the same for any workers, others for another seed") {
  thread_pool pool(3);
  const auto one = bootstrap(3, mean_of, {.replicates = 500, .seed = 7});
  const auto many = bootstrap(3, mean_of, {.replicates = 500, .seed = 7}, pool);
  const auto other = bootstrap(3, mean_of, {.replicates = 500, .seed = 8});
  CHECK(one.standard_error == many.standard_error);
  CHECK(one.percentile.low == many.percentile.low);
  CHECK(one.percentile.high == many.percentile.high);
  CHECK(one.standard_error != other.standard_error);
}

TEST_CASE("every item is drawn alike") {
  std::vector<index_t> drawn(7), counts(7, 0);
  for (index_t r = 0; r < 10000; ++r) {
    draw_items(drawn, 3, r);
    for (const index_t i : drawn) {
      REQUIRE((0 <= i && i < 7));
      ++counts[static_cast<std::size_t>(i)];
    }
  }
  for (const index_t count : counts) CHECK(std::abs(static_cast<double>(count) - 10000) < 500);
}

TEST_CASE("draws are those of the addresses, one by one; counts are how often each item is among them") {
  for (const std::size_t n : {1u, 3u, 31u, 32u, 33u, 1000u}) {
    std::vector<index_t> drawn(n);
    std::vector<std::uint32_t> counts(n, 99), expected(n, 0);
    for (const index_t replicate : {0, 5}) {
      draw_items(drawn, 9, replicate);
      count_items(counts, 9, replicate);
      std::fill(expected.begin(), expected.end(), 0u);
      for (std::size_t i = 0; i < n; ++i) {
        const double place = philox{9}.uniform(static_cast<std::uint64_t>(replicate) * n + i) * static_cast<double>(n);
        CHECK(drawn[i] == static_cast<index_t>(place));
        ++expected[static_cast<std::size_t>(drawn[i])];
      }
      CHECK(counts == expected);
    }
  }
  count_items({}, 1, 0);
  CHECK_THROWS_AS(count_items(std::span<std::uint32_t>(static_cast<std::uint32_t*>(nullptr), 3), 0, 0),
                  std::invalid_argument);
}

TEST_CASE("a statistic of counts has the replicates of the statistic of items") {
  thread_pool pool(3);
  const auto by_counts = [](std::span<const std::uint32_t> counts) {
    double sum = 0, all = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      sum += counts[i] * sample[i];
      all += counts[i];
    }
    return sum / all;
  };
  const bootstrap_options options{.replicates = 300, .level = 0.9, .seed = 4};
  const auto items = bootstrap(3, mean_of, options), counts = bootstrap_counts(3, by_counts, options),
             many = bootstrap_counts(3, by_counts, options, pool);
  CHECK(counts.standard_error == Approx(items.standard_error).epsilon(1e-14));
  CHECK(counts.percentile.low == Approx(items.percentile.low).epsilon(1e-14));
  CHECK(counts.percentile.high == Approx(items.percentile.high).epsilon(1e-14));
  CHECK(many.standard_error == counts.standard_error);
  CHECK(bootstrap_counts(3, [](auto) { return std::nan(""); }, {.replicates = 9}).nonfinite == 9);
  CHECK_THROWS_WITH(bootstrap_counts(0, by_counts),
                    "hone::statistics::bootstrap_counts: items: must be positive, is 0");
  CHECK_THROWS_AS(bootstrap_counts(3, by_counts, {.replicates = 1}), std::invalid_argument);
}

TEST_CASE("several statistics of the same draws are what each is by itself") {
  const auto first = [](std::span<const std::uint32_t> counts) { return static_cast<double>(counts[0]); };
  const auto share = [](std::span<const std::uint32_t> counts) {
    return counts[2] == 0 ? std::nan("") : 1.0 / counts[2];
  };
  const auto both = [&](std::span<const std::uint32_t> counts, std::span<double> values) {
    values[0] = first(counts);
    values[1] = share(counts);
  };
  const bootstrap_options options{.replicates = 300, .seed = 4};
  thread_pool pool(3);
  const auto one = bootstrap_counts_of(40, 2, both, options), many = bootstrap_counts_of(40, 2, both, options, pool);
  const auto alone = bootstrap_counts(40, first, options), other = bootstrap_counts(40, share, options);
  REQUIRE(one.size() == 2);
  CHECK(one[0].standard_error == alone.standard_error);
  CHECK(one[0].percentile.high == alone.percentile.high);
  CHECK(many[0].percentile.high == alone.percentile.high);
  CHECK(one[1].nonfinite == other.nonfinite);
  CHECK(other.nonfinite > 0);
  CHECK(std::isnan(one[1].percentile.low));
  CHECK_THROWS_WITH(bootstrap_counts_of(3, 0, both),
                    "hone::statistics::bootstrap_counts_of: statistics: must be positive, is 0");
  CHECK_THROWS_WITH(bootstrap_counts_of(0, 2, both),
                    "hone::statistics::bootstrap_counts_of: items: must be positive, is 0");
}

TEST_CASE("replicates that are not finite are counted; misuse") {
  const auto b = bootstrap(3, [](auto) { return std::nan(""); }, {.replicates = 9});
  CHECK(b.nonfinite == 9);
  CHECK(std::isnan(b.standard_error));
  CHECK(std::isnan(b.percentile.low));
  CHECK_THROWS_AS(bootstrap(0, mean_of), std::invalid_argument);
  CHECK_THROWS_AS(bootstrap(3, mean_of, {.replicates = 1}), std::invalid_argument);
  CHECK_THROWS_AS(bootstrap(3, mean_of, {.level = 1}), std::invalid_argument);
  CHECK_THROWS_AS(draw_items(std::span<index_t>(static_cast<index_t*>(nullptr), 3), 0, 0), std::invalid_argument);
}

namespace {

double value_of(const std::string& statistic, std::span<const double> values) {
  if (statistic == "mean") return estimate_mean(values).mean;
  if (statistic == "variance") return variance(estimate_mean(values));
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted_quantile(sorted, 0.5);
}

auto of_items(const std::string& statistic, const std::vector<double>& items) {
  return [&items, statistic](std::span<const index_t> drawn) {
    std::vector<double> values;
    for (const index_t i : drawn) values.push_back(items[static_cast<std::size_t>(i)]);
    return value_of(statistic, values);
  };
}

}  // namespace

TEST_CASE("BCa: SciPy's interval and acceleration from the same replicates") {
  for (const golden_bca_row& g : golden_bca) {
    INFO(g.statistic << " of " << g.sample.size());
    const bca_estimate b = bca_interval(g.replicates, g.whole, g.left_out, g.level);
    CHECK(b.acceleration == Approx(g.acceleration).epsilon(1e-12).margin(1e-14));
    CHECK(b.bca.low == Approx(g.low).epsilon(1e-12));
    CHECK(b.bca.high == Approx(g.high).epsilon(1e-12));
    CHECK(b.nonfinite == 0);
    const auto statistic = of_items(g.statistic, g.sample);
    const bca_estimate drawn = bootstrap_bca(std::ssize(g.sample), statistic, {.replicates = 40000, .level = g.level});
    CHECK(drawn.acceleration == Approx(g.acceleration).epsilon(1e-10).margin(1e-13));
    const double margin = 0.02 * (g.drawn_high - g.drawn_low);
    CHECK(drawn.bca.low == Approx(g.drawn_low).margin(margin));
    CHECK(drawn.bca.high == Approx(g.drawn_high).margin(margin));
    const bootstrap_estimate plain = bootstrap(std::ssize(g.sample), statistic, {.replicates = 40000});
    CHECK(drawn.standard_error == Approx(plain.standard_error).epsilon(1e-12));
  }
  CHECK(golden_bca.size() == 9);
}

TEST_CASE("BCa: without bias and skewness it is the percentile interval") {
  std::vector<double> replicates;
  for (int i = -50; i <= 50; ++i) replicates.push_back(i);
  const bca_estimate b = bca_interval(replicates, 0, std::vector<double>{-1, 1}, 0.9);
  CHECK(b.bias == 0);
  CHECK(b.acceleration == 0);
  CHECK(b.bca.low == Approx(sorted_quantile(replicates, 0.05)).epsilon(1e-13));
  CHECK(b.bca.high == Approx(sorted_quantile(replicates, 0.95)).epsilon(1e-13));
}

TEST_CASE(
    "BCa: what is added to the statistic and multiplied with it is with the interval; a negative factor mirrors it") {
  const std::vector<double> items = {0.2, 1.5, 0.9, 3.1, 0.4, 2.2, 0.8};
  const auto median = of_items("median", items);  // equal replicates stay equal, others apart
  const bca_estimate plain = bootstrap_bca(7, median);
  for (const double factor : {1e-150, 2.0, -3.0, 1e150}) {
    INFO(factor);
    const double shift = 5 * factor;
    const bca_estimate mapped = bootstrap_bca(7, [&](auto drawn) { return factor * median(drawn) + shift; });
    const auto ends = factor > 0 ? mapped.bca : interval{mapped.bca.high, mapped.bca.low};
    CHECK(ends.low == Approx(factor * plain.bca.low + shift).epsilon(1e-12).margin(0));
    CHECK(ends.high == Approx(factor * plain.bca.high + shift).epsilon(1e-12).margin(0));
    CHECK(mapped.acceleration == Approx(factor > 0 ? plain.acceleration : -plain.acceleration).epsilon(1e-10));
    CHECK(mapped.bias == Approx(factor > 0 ? plain.bias : -plain.bias).epsilon(1e-13));
  }
}

TEST_CASE("BCa: the same bits for any workers") {
  const std::vector<double> items = {0.2, 1.5, 0.9, 3.1, 0.4, 2.2, 0.8, 5, 7, 1};
  thread_pool pool(3);
  const auto one = bootstrap_bca(10, of_items("variance", items)),
             many = bootstrap_bca(10, of_items("variance", items), {}, pool);
  CHECK(one.bca.low == many.bca.low);
  CHECK(one.bca.high == many.bca.high);
  CHECK(one.acceleration == many.acceleration);
}

TEST_CASE("BCa: equal items, one item, a whole outside its replicates, NaN") {
  const bca_estimate equal = bootstrap_bca(4, of_items("mean", std::vector<double>(4, 0.1)));
  CHECK(equal.bca.low == 0.1);
  CHECK(equal.bca.high == 0.1);
  CHECK(equal.acceleration == 0);
  CHECK(equal.standard_error == Approx(0).margin(1e-14));
  CHECK_THROWS_WITH(bootstrap_bca(1, mean_of), "hone::statistics::bootstrap_bca: items: must be at least 2, is 1");
  CHECK(bootstrap(1, mean_of).standard_error == 0);
  CHECK(bootstrap(1, mean_of).percentile.high == 1);
  const bca_estimate outside = bca_interval(std::vector<double>{1, 2, 3}, 4, std::vector<double>{3, 4});
  CHECK(outside.nonfinite == 0);
  CHECK(std::isnan(outside.bca.low));
  CHECK(std::isnan(outside.bca.high));
  CHECK(outside.standard_error == Approx(1));
  const bca_estimate broken = bootstrap_bca(3, [](auto drawn) { return drawn.size() < 3 ? std::nan("") : 1.0; });
  CHECK(broken.nonfinite == 3);
  CHECK(std::isnan(broken.bca.low));
  CHECK(std::isnan(broken.standard_error));
  CHECK(bootstrap_bca(3, [](auto) { return std::nan(""); }, {.replicates = 9}).nonfinite == 9 + 3 + 1);
  CHECK_THROWS_AS(bca_interval({}, 1, std::vector<double>{1}), std::invalid_argument);
  CHECK_THROWS_AS(bca_interval(std::vector<double>{1}, 1, {}), std::invalid_argument);
  CHECK_THROWS_AS(bca_interval(std::vector<double>{1}, 1, std::vector<double>{1}, 1), std::invalid_argument);
}

TEST_CASE("coverage: how often intervals at 0.95 contain the mean") {
  struct shares {
    double percentile = 0, bca = 0, student = 0;
  };
  const auto cover = [](std::size_t n, bool skewed) {
    constexpr int runs = 2000;
    shares result;
    for (std::uint32_t run = 0; run < runs; ++run) {
      std::vector<double> x;
      for (std::size_t i = 0; i < n; ++i) {
        const philox random{17, static_cast<std::uint32_t>(n)};
        x.push_back(skewed ? random.gamma(1, run * n + i) - 1 : random.normal(run * n + i));
      }
      const auto mean = of_items("mean", x);
      const auto contains = [](const interval& i) { return (i.low <= 0 && 0 <= i.high ? 1.0 : 0.0) / runs; };
      const bootstrap_options options{.replicates = 500, .seed = run};
      result.percentile += contains(bootstrap(std::ssize(x), mean, options).percentile);
      result.bca += contains(bootstrap_bca(std::ssize(x), mean, options).bca);
      result.student += contains(student_interval(estimate_mean(x)));
    }
    return result;
  };
  struct row {
    std::size_t n;
    bool skewed;
    shares stated;  // the table of hone/statistics/bootstrap.hpp
  };
  for (const row& r : {row{5, false, {.84, .84, .95}},
                       {5, true, {.78, .80, .89}},
                       {20, false, {.93, .92, .95}},
                       {20, true, {.91, .91, .92}},
                       {80, false, {.94, .94, .95}},
                       {80, true, {.93, .94, .94}}}) {
    INFO(r.n << (r.skewed ? ", exponential" : ", normal"));
    const shares s = cover(r.n, r.skewed);
    CHECK(s.percentile == Approx(r.stated.percentile).margin(0.0051));
    CHECK(s.bca == Approx(r.stated.bca).margin(0.0051));
    CHECK(s.student == Approx(r.stated.student).margin(0.0051));
  }
}

TEST_CASE("bootstrap: what nobody sets") {
  CHECK(bootstrap_options{}.replicates == 1000);
  CHECK(bootstrap_options{}.level == 0.95);
  CHECK(bootstrap_options{}.seed == 0);
}
