// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/random.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <vector>

using hone::philox;

TEST_CASE("Philox4x32-10 gives its authors' known answers") {
  using word4 = std::array<std::uint32_t, 4>;
  CHECK(hone::philox4x32({0, 0, 0, 0}, {0, 0}) == word4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t all = 0xffffffff;
  CHECK(hone::philox4x32({all, all, all, all}, {all, all}) == word4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(hone::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        word4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

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

TEST_CASE("a draw is a function of seed, stream, index and draw") {
  CHECK(philox{1, 2}.uniform(3) == philox{1, 2}.uniform(3));
  CHECK(philox{1, 2}.uniform(3) != philox{1, 2}.uniform(4));
  CHECK(philox{1, 2}.uniform(3) != philox{1, 3}.uniform(3));
  CHECK(philox{1, 2}.uniform(3) != philox{2, 2}.uniform(3));
  CHECK(philox{1, 2}.uniform(3) != philox{1, 2}.uniform(3, 1));
  CHECK(philox{1, 2}.uniform(std::uint64_t{1} << 40) != philox{1, 2}.uniform(0));
}

TEST_CASE("gamma's shape is positive and finite") {
  CHECK_THROWS_AS(philox{}.gamma(0, 0), std::invalid_argument);
  CHECK_THROWS_AS(philox{}.gamma(std::nan(""), 0), std::invalid_argument);
  CHECK(philox{}.gamma(1e6, 0) == Approx(1e6).epsilon(0.01));
}
