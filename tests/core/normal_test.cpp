// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/normal.hpp"

#include "core/golden/special.hpp"
#include "support/catch.hpp"

using namespace hone;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");
}  // namespace

TEST_CASE("normal probabilities and their logarithms: mpmath's, into the tails") {
  for (const golden_normal_row& g : golden_normal) {
    INFO(g.x);
    if (g.probability > 0) CHECK(normal_cdf(g.x) == Approx(g.probability).epsilon(2e-15).margin(0));
    CHECK(log_normal_cdf(g.x) == Approx(g.logarithm).epsilon(4e-15).margin(0));
  }
}

TEST_CASE("normal probabilities: symmetry, ends, NaN") {
  CHECK(normal_cdf(0) == 0.5);
  for (const double x : {1e-300, 0.1, 0.9, 3.0, 8.0}) {
    CHECK(normal_cdf(x) + normal_cdf(-x) == Approx(1).epsilon(1e-15));
    CHECK(normal_cdf(-x) <= normal_cdf(x));
  }
  CHECK(normal_cdf(-infinity) == 0);
  CHECK(normal_cdf(infinity) == 1);
  CHECK(normal_cdf(-1e10) == 0);
  CHECK(log_normal_cdf(infinity) == 0);
  CHECK(log_normal_cdf(-infinity) == -infinity);
  CHECK(log_normal_cdf(-1e200) == -infinity);
  CHECK(std::isnan(normal_cdf(not_a_number)));
  CHECK(std::isnan(log_normal_cdf(not_a_number)));
}

TEST_CASE("log_normal_cdf has no seam where its formulas meet, and rises") {
  for (const double at : {0.0, -20.0})
    CHECK(log_normal_cdf(std::nextafter(at, -infinity)) ==
          Approx(log_normal_cdf(std::nextafter(at, 1))).epsilon(1e-13));
  double before = -infinity;
  for (double x = -60; x < 9; x += 0.125) {
    CHECK(log_normal_cdf(x) > before);
    before = log_normal_cdf(x);
  }
}

TEST_CASE("normal quantiles") {
  CHECK(normal_quantile(0.5) == 0);
  CHECK(normal_quantile(0.975) == Approx(1.959963984540054).epsilon(1e-15));
  CHECK(normal_quantile(1e-10) == Approx(-6.361340902404056).epsilon(1e-15));
  CHECK(normal_quantile(1e-300) == Approx(-37.0471).epsilon(1e-6));
  CHECK(normal_quantile(0) == -infinity);
  CHECK(normal_quantile(1) == infinity);
  CHECK(std::isnan(normal_quantile(-1e-9)));
  CHECK(std::isnan(normal_quantile(1 + 1e-9)));
  CHECK(std::isnan(normal_quantile(not_a_number)));
}

TEST_CASE("normal quantiles invert the probabilities") {
  for (const double p : {1e-300, 1e-100, 1e-20, 1e-5, 0.01, 0.0749, 0.0751, 0.3, 0.5, 0.7, 0.9249, 0.9251, 0.99}) {
    INFO(p);
    // A relative error of x moves a small probability by x^2 times as much.
    const double x = normal_quantile(p);
    CHECK(normal_cdf(x) == Approx(p).epsilon(2e-15 * (1 + x * x)).margin(0));
    if (p > 1e-3) CHECK(normal_quantile(1 - p) == Approx(-x).epsilon(1e-13).margin(1e-15));
  }
}
