// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/gaussian.hpp"

#include <vector>

#include "golden/accounting.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

namespace {

/// P(L > epsilon) - e^epsilon Q(L > epsilon) by the integral of the densities' excess, in long double.
long double integrated_delta(long double epsilon, long double mu) {
  const long double begin = epsilon / mu + mu / 2, step = 1e-4L;  // where the ratio of the densities is e^epsilon
  long double sum = 0;
  for (int i = 0; i < 120000; ++i) {
    const long double x = begin + (static_cast<long double>(i) + 0.5L) * step;
    sum += std::exp(-(x - mu) * (x - mu) / 2) * -std::expm1(epsilon - mu * x + mu * mu / 2);
  }
  return sum * step / std::sqrt(2 * 3.14159265358979323846264338327950288L);
}

}  // namespace

TEST_CASE("delta of Gaussian noise has the values of the literature, from above") {
  const double rows[][3] = {{1, 1, 0.126936737506644}, {0, 1, 0.382924922548026}, {2, 3.5, 1.35377728326777e-13}};
  for (const auto& [epsilon, sigma, delta] : rows) {
    CHECK(gaussian_delta(epsilon, 1 / sigma) == Approx(delta).epsilon(1e-11));
    CHECK(gaussian_delta(epsilon, 1 / sigma) > delta * (1 - 1e-14));
  }
  for (const auto& row : golden_gaussian_delta) {
    INFO(row.epsilon << " " << row.sigma);
    CHECK(gaussian_delta(row.epsilon, 1 / row.sigma) == Approx(row.delta).epsilon(1e-9).margin(1e-15));
  }
}

TEST_CASE("delta is the integral of what the densities differ by, and never below it") {
  for (const double mu : {0.05, 0.5, 1.0, 3.0})
    for (const double epsilon : {0.0, 0.01, 1.0, 5.0}) {
      const auto expected = static_cast<double>(integrated_delta(epsilon, mu));
      INFO(epsilon << " " << mu << " " << expected);
      CHECK(gaussian_delta(epsilon, mu) == Approx(expected).epsilon(1e-6).margin(1e-300));
    }
  // Where everything over- and underflows but the result: Mills' ratio by its series.
  const double mu = 0.5, epsilon = 18, a = epsilon / mu - mu / 2, b = epsilon / mu + mu / 2;
  const auto mills = [](double x) { return (1 - 1 / x / x + 3 / std::pow(x, 4) - 15 / std::pow(x, 6)) / x; };
  const double tail = std::exp(-0.5 * a * a) * 0.3989422804014327 * (mills(a) - mills(b));
  CHECK(gaussian_delta(epsilon, mu) == Approx(tail).epsilon(1e-4));
  CHECK(gaussian_delta(900, 40) > 0);
  CHECK(gaussian_delta(1e6, 1e4) == Approx(1));
  CHECK(gaussian_delta(1e300, 1) == std::numeric_limits<double>::denorm_min());  // an upper bound
  CHECK(gaussian_delta(800, 1) == std::numeric_limits<double>::denorm_min());
  CHECK(gaussian_delta(0, 1e9) == 1);
}

TEST_CASE("the analytic multiplier has the values of the literature") {
  const double rows[][4] = {
      {0.1, 30.749566132, 36.3046904262, 45.937360185},  {0.5, 7.03182667558, 8.05761848073, 9.86353379617},
      {1, 3.73063163482, 4.22467888933, 5.10030878753},  {2, 1.99381244564, 2.23047627119, 2.65292676806},
      {5, 0.891868264952, 0.980049000309, 1.1390127816}, {10, 0.499888619709, 0.541086831818, 0.61584635576}};
  for (const auto& [epsilon, five, six, eight] : rows) {
    CHECK(analytic_gaussian_multiplier(epsilon, 1e-5) == Approx(five).epsilon(1e-9));
    CHECK(analytic_gaussian_multiplier(epsilon, 1e-6) == Approx(six).epsilon(1e-9));
    CHECK(analytic_gaussian_multiplier(epsilon, 1e-8) == Approx(eight).epsilon(1e-9));
  }
  CHECK(1.2 * analytic_gaussian_multiplier(std::log(3), 1e-7) == Approx(5.13985030862).epsilon(1e-9));
  // The classic formula is too much at 1 and too little at 10.
  const double classic = std::sqrt(2 * std::log(1.25e5));
  CHECK(analytic_gaussian_multiplier(1, 1e-5) < classic);
  CHECK(analytic_gaussian_multiplier(10, 1e-5) > classic / 10);
}

TEST_CASE("multiplier and epsilon are upper ends: they hold, and nothing below them does") {
  for (const double delta : {1e-12, 1e-5, 0.3, 0.999})
    for (const double epsilon : {1e-3, 0.5, 8.0, 40.0, 700.0, 5000.0}) {
      const double sigma = analytic_gaussian_multiplier(epsilon, delta);
      INFO(epsilon << " " << delta << " " << sigma);
      CHECK(gaussian_delta(epsilon, 1 / sigma) <= delta);
      CHECK(gaussian_delta(epsilon, 1 / (sigma * (1 - 1e-9))) > delta);
      const double back = gaussian_epsilon(1 / sigma, delta);
      CHECK(gaussian_delta(back, 1 / sigma) <= delta);
      CHECK(back == Approx(epsilon).epsilon(1e-8));
    }
  const double rows[][4] = {{1, 1, 1e-5, 4.37717809568},
                            {4, 10, 1e-5, 3.34140946924},
                            {10, 100, 1e-6, 4.88655411746},
                            {2, 1, 1e-6, 2.25408465022}};
  for (const auto& [sigma, k, delta, epsilon] : rows)
    CHECK(gaussian_epsilon(std::sqrt(k) / sigma, delta) == Approx(epsilon).epsilon(1e-9));
  CHECK(gaussian_epsilon(std::sqrt(0.2), 0.9) == 0);  // delta(0) = 0.177
  CHECK(gaussian_delta(0, std::sqrt(0.2)) == Approx(0.17693673).epsilon(1e-7));
}

TEST_CASE("more noise and more delta never cost more") {
  double before = 1e9;
  for (double sigma = 0.2; sigma < 50; sigma *= 1.3) {
    const double epsilon = gaussian_epsilon(1 / sigma, 1e-6);
    CHECK(epsilon < before);
    before = epsilon;
  }
  before = 1e9;
  for (double delta = 1e-300; delta < 1; delta = delta < 0.1 ? 10 * delta : delta + 0.07) {
    const double epsilon = gaussian_epsilon(1, delta);
    CHECK((epsilon < before || epsilon == 0));
    before = epsilon;
  }
}

TEST_CASE("what is no epsilon, delta, mu is refused") {
  for (const double bad : {-1e-9, privacy::detail::infinite, std::nan("")}) {
    CHECK_THROWS_AS(gaussian_delta(bad, 1), std::invalid_argument);
    CHECK_THROWS_AS(gaussian_delta(1, bad), std::invalid_argument);
    CHECK_THROWS_AS(gaussian_epsilon(bad, 1e-5), std::invalid_argument);
    CHECK_THROWS_AS(analytic_gaussian_multiplier(bad, 1e-5), std::invalid_argument);
    CHECK_THROWS_AS(analytic_gaussian_multiplier(1, bad), std::invalid_argument);
  }
  for (const double bad : {0.0, 1.0, 1.5, -1e-6}) {
    CHECK_THROWS_AS(gaussian_epsilon(1, bad), std::invalid_argument);
    CHECK_THROWS_AS(analytic_gaussian_multiplier(1, bad), std::invalid_argument);
  }
  CHECK_THROWS_AS(gaussian_delta(1, 0), std::invalid_argument);
  CHECK_THROWS_AS(gaussian_epsilon(2e100, 1e-5), std::invalid_argument);
  CHECK_THROWS_AS(analytic_gaussian_multiplier(0, 1e-5), std::invalid_argument);
  CHECK_THROWS_WITH(gaussian_epsilon(1, 1), "hone::privacy::gaussian_epsilon: delta: must be in (0, 1), is 1");
}
