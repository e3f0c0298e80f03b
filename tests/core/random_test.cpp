// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/random.hpp"

#include "hone/core/beta.hpp"
#include "hone/core/gamma.hpp"
#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

using hone::philox;

namespace {
// The Kolmogorov-Smirnov distance of a sample to a distribution; below 1.95 / sqrt(n) with probability 0.999.
template <class F>
double distance(std::vector<double> sample, F&& cdf) {
  std::sort(sample.begin(), sample.end());
  double d = 0;
  const auto n = static_cast<double>(sample.size());
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double p = cdf(sample[i]);
    d = std::max({d, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
  }
  return d * std::sqrt(n);
}
}  // namespace

TEST_CASE("draws follow their distributions") {
  const philox random{42, 7};
  std::vector<double> uniform, normal, exponential, small_shape;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    uniform.push_back(random.uniform(i));
    normal.push_back(random.normal(i));
    exponential.push_back(random.gamma(1, i));
    small_shape.push_back(random.gamma(0.5, i));  // half a squared normal
  }
  CHECK(distance(uniform, [](double x) { return x; }) < 1.95);
  CHECK(distance(normal, [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }) < 1.95);
  CHECK(distance(exponential, [](double x) { return 1 - std::exp(-x); }) < 1.95);
  CHECK(distance(small_shape, [](double x) { return std::erf(std::sqrt(x)); }) < 1.95);
}

TEST_CASE("gamma's shape is positive and finite") {
  CHECK_THROWS_AS(philox{}.gamma(0, 0), std::invalid_argument);
  CHECK_THROWS_AS(philox{}.gamma(std::nan(""), 0), std::invalid_argument);
  CHECK(philox{}.gamma(1e6, 0) == Approx(1e6).epsilon(0.01));
}

TEST_CASE("the normal draw of the largest uniform is finite") {
  // 1 - 2^-53 + 2^-54 rounds to 1.
  CHECK(hone::normal_quantile((std::min)(1 - 0x1p-53 + 0x1p-54, 1 - 0x1p-53)) < 9);
  for (std::uint64_t i = 0; i < 2000; ++i)
    REQUIRE(philox{}.normal(i) == hone::normal_quantile((std::min)(philox{}.uniform(i) + 0x1p-54, 1 - 0x1p-53)));
}

TEST_CASE("logarithms of gamma draws follow the incomplete gamma function, from shape 1e-8 to 1e8") {
  std::uint32_t stream = 0;
  for (const double shape : {1e-8, 1e-3, 0.01, 0.0824, 0.3, 0.99, 1.0, 4.0, 500.0, 1e8}) {
    INFO(shape);
    const philox random{11, ++stream};
    std::vector<double> logs;
    for (std::uint64_t i = 0; i < 10000; ++i) logs.push_back(random.log_gamma(shape, i));
    CHECK(std::all_of(logs.begin(), logs.end(), [](double log) { return std::isfinite(log); }));
    // P(a, y) is y^a / Gamma(1 + a) where y is nothing.
    CHECK(distance(logs, [&](double log) {
            return log < -300 ? std::exp(shape * log - hone::log_gamma(1 + shape))
                              : hone::incomplete_gamma(shape, std::exp(log)).lower;
          }) < 1.95);
    double mean = 0;
    for (const double log : logs) mean += log / 10000;
    CHECK(std::abs(mean - hone::digamma(shape)) < 4 * std::sqrt(hone::trigamma(shape) / 10000));
  }
}

TEST_CASE("a gamma draw and its logarithm are one variate; only the logarithm survives small shapes") {
  const philox random{3, 1};
  int zeros = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    for (const double shape : {0.3, 1.0, 30.0})
      CHECK(random.log_gamma(shape, i) == Approx(std::log(random.gamma(shape, i))).epsilon(1e-12).margin(1e-13));
    zeros += random.gamma(0.01, i) == 0;
    CHECK(std::isfinite(random.log_gamma(0.01, i)));
    CHECK(std::isfinite(random.log_gamma(1e-300, i)));
  }
  CHECK(zeros > 0);
  CHECK(zeros < 40);  // 5.8e-4 of them
}

TEST_CASE("Dirichlet weights: moments, marginal beta distributions, sums") {
  const std::vector<double> shapes = {0.5, 2, 0.05, 1.3};
  const double total = 3.85;
  const philox random{5, 9};
  constexpr std::size_t draws = 20000;
  std::vector<double> weights(4), first, mean(4, 0.0), square(4, 0.0);
  double product = 0;
  for (std::uint64_t i = 0; i < draws; ++i) {
    random.dirichlet(shapes, i, weights);
    CHECK(std::accumulate(weights.begin(), weights.end(), 0.0) == Approx(1).epsilon(1e-15));
    first.push_back(weights[0]);
    for (std::size_t l = 0; l < 4; ++l) {
      mean[l] += weights[l] / draws;
      square[l] += weights[l] * weights[l] / draws;
    }
    product += weights[0] * weights[1] / draws;
  }
  for (std::size_t l = 0; l < 4; ++l) {
    const double share = shapes[l] / total, variance = share * (1 - share) / (total + 1);
    CHECK(std::abs(mean[l] - share) < 4 * std::sqrt(variance / draws));
    // Of a shape of 0.05 few draws make the variance.
    CHECK(square[l] - mean[l] * mean[l] == Approx(variance).epsilon(shapes[l] < 0.1 ? 0.25 : 0.05));
  }
  CHECK(product - mean[0] * mean[1] == Approx(-0.5 * 2 / total / total / (total + 1)).epsilon(0.1));
  CHECK(distance(first, [&](double x) { return hone::incomplete_beta(0.5, total - 0.5, x).lower; }) < 1.95);
}

TEST_CASE("Dirichlet weights of the smallest and largest shapes: never NaN, always a sum of 1") {
  for (const double shape : {1e-300, 1e-100, 1e-4, 0.08, 1e4, 1e100, 1e299}) {
    INFO(shape);
    std::vector<double> weights(33), logs(33), sums(33);
    double hardest = 0;
    for (std::uint64_t i = 0; i < 500; ++i) {
      philox{7}.dirichlet(std::vector<double>(33, shape), i, weights);
      philox{7}.log_dirichlet(std::vector<double>(33, shape), i, logs);
      CHECK(std::accumulate(weights.begin(), weights.end(), 0.0) == Approx(1).epsilon(1e-13));
      for (std::size_t l = 0; l < 33; ++l) {
        CHECK(std::isfinite(logs[l]));
        CHECK(weights[l] == std::exp(logs[l]));
        sums[l] += weights[l];
      }
      hardest = (std::max)(hardest, *std::max_element(weights.begin(), weights.end()));
    }
    if (shape <= 1e-100) CHECK(hardest == 1);
    if (shape >= 1e100) CHECK(hardest == Approx(1.0 / 33).epsilon(1e-12));
    CHECK(*std::max_element(sums.begin(), sums.end()) < 60);  // none is preferred: 15 of 500
  }
}

TEST_CASE("draws do not depend on batches or threads; misuse writes nothing") {
  const std::vector<double> shapes = {0.1, 3, 0.7};
  std::vector<double> one(300), other(300);
  for (std::uint64_t i = 0; i < 100; ++i) philox{2, 1}.dirichlet(shapes, i, std::span(one).subspan(3 * i, 3));
  hone::thread_pool pool(3);
  pool.parallel_for(100, hone::index_t{1}, [&](hone::index_t begin, hone::index_t end) {
    for (auto i = static_cast<std::uint64_t>(end); i-- > static_cast<std::uint64_t>(begin);)
      philox{2, 1}.dirichlet(shapes, i, std::span(other).subspan(3 * i, 3));
  });
  CHECK(one == other);
  CHECK(one[5] == Approx(std::exp(philox{2, 1}.log_gamma(0.7, 5)) /
                         (std::exp(philox{2, 1}.log_gamma(0.1, 3)) + std::exp(philox{2, 1}.log_gamma(3, 4)) +
                          std::exp(philox{2, 1}.log_gamma(0.7, 5)))));
  std::vector<double> weights = {7, 7};
  CHECK_THROWS_WITH(philox{}.dirichlet(shapes, 0, weights), "hone::philox::log_dirichlet: logs: has 2, shapes 3");
  for (const double bad : {0.0, -1.0, 1e-301, 1e300, std::nan("")}) {
    CHECK_THROWS_AS(philox{}.dirichlet(std::vector<double>{1, bad}, 0, weights), std::invalid_argument);
    CHECK_THROWS_AS(philox{}.log_gamma(bad, 0), std::invalid_argument);
  }
  CHECK(weights == std::vector<double>{7, 7});
  philox{}.dirichlet(std::span<const double>(), 0, std::span<double>());
  philox{}.dirichlet(std::vector<double>{0.2}, 0, std::span(weights).first(1));
  CHECK(weights[0] == 1);
}

TEST_CASE("gamma draws are Marsaglia and Tsang's, from the draws that they name") {
  const philox random{0x500000003u, 9};
  for (const double shape : {0.2, 0.999, 1.0, 1.7, 60.0}) {
    const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3;
    for (std::uint64_t index = 1; index < 4000; ++index) {
      double variate = 0;
      for (std::uint32_t attempt = 0; variate == 0; ++attempt) {
        const double x = random.normal(index, 2 * attempt), u = random.uniform(index, 2 * attempt + 1) + 0x1p-54;
        const double t = 1 + x / std::sqrt(9 * d), v = t * t * t;
        if (t > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) variate = d * v;
      }
      if (shape < 1) variate *= std::pow(random.uniform(index, 0xffffffffu) + 0x1p-54, 1 / shape);
      REQUIRE(random.gamma(shape, index) == Approx(variate).epsilon(1e-12));
      REQUIRE(random.log_gamma(shape, index) == Approx(std::log(variate)).epsilon(1e-11).margin(1e-12));
    }
  }
}

TEST_CASE("shapes are refused by name and value, the last good ones are taken") {
  CHECK_THROWS_WITH(philox{}.gamma(-2, 0), "hone::philox::gamma: shape: must be positive and finite, is -2");
  CHECK_THROWS_WITH(philox{}.gamma(1e300, 0), "hone::philox::gamma: shape: must be positive and finite, is 1e+300");
  CHECK_THROWS_WITH(philox{}.log_gamma(0, 0), "hone::philox::log_gamma: shape: must be at least 1e-300, is 0");
  CHECK_THROWS_WITH(philox{}.log_gamma(1e300, 0),
                    "hone::philox::log_gamma: shape: must be positive and finite, is 1e+300");
  CHECK(philox{}.gamma(5e-324, 0) == 0);
  CHECK(philox{}.gamma(9e299, 0) == Approx(9e299));
  CHECK(std::isfinite(philox{}.log_gamma(9e299, 0)));
  std::vector<double> logs(2);
  CHECK_THROWS_WITH(philox{}.log_dirichlet(std::vector<double>{1, 1e300}, 0, logs),
                    "hone::philox::log_dirichlet: shapes: must be in [1e-300, 1e300), one is 1e+300");
  CHECK_THROWS_WITH(philox{}.log_dirichlet(std::vector<double>{0, 1}, 0, logs),
                    "hone::philox::log_dirichlet: shapes: must be in [1e-300, 1e300), one is 0");
}
