// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/random.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <vector>

using hone::philox;

TEST_CASE("normal quantiles") {
  CHECK(hone::normal_quantile(0.5) == 0);
  CHECK(hone::normal_quantile(0.975) == Approx(1.959963984540054).epsilon(1e-15));
  CHECK(hone::normal_quantile(1e-10) == Approx(-6.361340902404056).epsilon(1e-15));
  CHECK(hone::normal_quantile(1e-300) == Approx(-37.0471).epsilon(1e-6));
}

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
