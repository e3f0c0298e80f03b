// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/gamma.hpp"

#include "core/golden/special.hpp"
#include "support/catch.hpp"

#include <vector>

using namespace hone;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");
constexpr double shapes[] = {1e-300, 1e-10, 1e-3, 0.1, 0.5, 0.75, 1, 1.5, 2, 9.5, 100, 999, 1001, 1e5, 1e9, 1e15};

/// To the digits that the documentation states.
void close(double value, double expected) {
  CHECK(std::abs(value - expected) <= (1e-14 + 6e-16 * std::abs(std::log(expected))) * expected);
}

}  // namespace

TEST_CASE("log Gamma, digamma, trigamma: mpmath's, from 1e-300 to 1e300") {
  for (const golden_gamma_row& g : golden_gamma) {
    INFO(g.x);
    CHECK(log_gamma(g.x) == Approx(g.log_gamma).epsilon(2e-15).margin(0));
    CHECK(std::abs(digamma(g.x) - g.digamma) <= 1e-15 * (1 + std::abs(g.digamma)));
    if (g.x > 1e-150)
      CHECK(trigamma(g.x) == Approx(g.trigamma).epsilon(2e-15).margin(0));
    else
      CHECK(trigamma(g.x) == infinity);
  }
}

TEST_CASE("log Gamma and its derivatives: the reference vectors (R.2)") {
  const double rows[][4] = {{0.0823721766, 2.4543294070, -12.5893358419, 148.8469517362},
                            {0.5, 0.5723649429, -1.9635100260, 4.9348022005},
                            {2.5, 0.2846828705, 0.7031566406, 0.4903577561},
                            {10, 12.8018274801, 2.2517525891, 0.1051663357},
                            {100, 359.1342053696, 4.6001618527, 0.0100501667}};
  for (const auto& [x, log, first, second] : rows) {
    CHECK(log_gamma(x) == Approx(log).epsilon(1e-9));
    CHECK(digamma(x) == Approx(first).epsilon(1e-9));
    CHECK(trigamma(x) == Approx(second).epsilon(1e-8));
  }
}

TEST_CASE("log Gamma is 0 at 1 and 2, and the logarithm of factorials") {
  CHECK(log_gamma(1) == 0);
  CHECK(log_gamma(2) == 0);
  double factorial = 1;
  for (int n = 1; n < 171; ++n) {
    factorial *= n;
    CHECK(log_gamma(n + 1.0) == Approx(std::log(factorial)).epsilon(1e-14).margin(1e-15));
  }
}

TEST_CASE("the recurrences of log Gamma, digamma and trigamma") {
  for (double x = 1e-4; x < 40; x *= 1.07) {
    INFO(x);
    CHECK(log_gamma(x + 1) - log_gamma(x) == Approx(std::log(x)).epsilon(1e-14).margin(2e-14));
    CHECK(digamma(x + 1) == Approx(digamma(x) + 1 / x).epsilon(1e-13).margin(1e-15 / x));
    CHECK(trigamma(x + 1) == Approx(trigamma(x) - 1 / (x * x)).epsilon(1e-13).margin(1e-15 / (x * x)));
    const double h = 1e-5 * x;
    CHECK((log_gamma(x + h) - log_gamma(x - h)) / (2 * h) == Approx(digamma(x)).epsilon(1e-6).margin(1e-6));
    CHECK((digamma(x + h) - digamma(x - h)) / (2 * h) == Approx(trigamma(x)).epsilon(1e-6));
  }
}

namespace {

constexpr long double bernoulli[] = {1.0L / 6,  -1.0L / 30,     1.0L / 42, -1.0L / 30,
                                     5.0L / 66, -691.0L / 2730, 7.0L / 6,  -3617.0L / 510};

/// The asymptotic series from 40 on, where it has all of long double's digits; recurrences below.
long double naive_stirling(long double x) {
  long double sum = 0, power = 1 / x;
  for (; x < 40; x += 1, power = 1 / x) sum += (x + 0.5L) * std::log1p(1 / x) - 1;
  for (int k = 1; k <= 8; ++k, power /= x * x) sum += bernoulli[k - 1] / (2 * k * (2 * k - 1)) * power;
  return sum;
}
long double naive_digamma(long double x) {
  long double sum = 0, power = 1;
  for (; x < 40; x += 1) sum -= 1 / x;
  for (int k = 1; k <= 8; ++k) sum -= bernoulli[k - 1] / (2 * k) * (power /= x * x);
  return sum + std::log(x) - 0.5L / x;
}
long double naive_trigamma(long double x) {
  long double sum = 0, power = 1 / x;
  for (; x < 40; x += 1, power = 1 / x) sum += 1 / (x * x);
  sum += power + power * power / 2;
  for (int k = 1; k <= 8; ++k) sum += bernoulli[k - 1] * (power /= x * x);
  return sum;
}

/// The mean of f's relative error over 1000 x from @p begin to @p end: that of rounding alone is far below one digit.
template <class F, class G>
double bias(double begin, double end, F&& f, G&& naive) {
  long double sum = 0;
  for (int i = 0; i < 1000; ++i) {
    const double x = begin + (end - begin) * (i + 0.3) / 1000;
    const long double expected = naive(x);
    sum += (f(x) - expected) / std::abs(expected);
  }
  return static_cast<double>(sum / 1000);
}

}  // namespace

TEST_CASE("no term of a series is missing where it takes over from the recurrence") {
  for (const double begin : {9.0, 9.9, 10.0, 10.1, 11.0}) {
    INFO(begin);
    CHECK(std::abs(bias(begin, begin + 0.1, digamma, naive_digamma)) < 1e-16);
    CHECK(std::abs(bias(begin, begin + 0.1, trigamma, naive_trigamma)) < 2e-16);
  }
  for (const double begin : {1.1, 2.3, 12.0, 13.0, 15.9, 16.0, 16.1, 17.0}) {  // beside logarithms: absolute
    INFO(begin);
    CHECK(std::abs(bias(begin, begin + 0.1, detail::stirling_remainder, naive_stirling)) * 0.084 / begin < 2e-16);
  }
  for (int n = 1; n < 16; ++n) {
    INFO(n);
    CHECK(detail::stirling_remainder(n) == Approx(static_cast<double>(naive_stirling(n))).epsilon(4e-15).margin(0));
  }
}

TEST_CASE("log Gamma and its derivatives outside their domain") {
  for (const double x : {0.0, -1.0, -0.5, -infinity, not_a_number}) {
    CHECK(std::isnan(log_gamma(x)));
    CHECK(std::isnan(digamma(x)));
    CHECK(std::isnan(trigamma(x)));
  }
  CHECK(log_gamma(infinity) == infinity);
}

TEST_CASE("incomplete gamma: mpmath's, tiny and huge shapes, down to 1e-300") {
  std::size_t smallest = 0;
  for (const golden_incomplete_gamma_row& g : golden_incomplete_gamma) {
    INFO(g.a << ", " << g.x);
    const tails t = incomplete_gamma(g.a, g.x);
    close(t.lower, g.lower);
    close(t.upper, g.upper);
    smallest += g.lower < 1e-200 || g.upper < 1e-200;
  }
  CHECK(golden_incomplete_gamma.size() > 300);
  CHECK(smallest > 10);
}

TEST_CASE("incomplete gamma: closed forms") {
  for (double x = 1e-6; x < 700; x *= 1.3) {
    INFO(x);
    close(incomplete_gamma(1, x).upper, std::exp(-x));
    CHECK(incomplete_gamma(0.5, x * x / 100).lower == Approx(std::erf(x / 10)).epsilon(1e-13));
    double sum = 0, term = 1;  // of 5 or more events
    for (int k = 0; k < 5; ++k, term *= x / k) sum += term;
    CHECK(incomplete_gamma(5, x).upper == Approx(sum * std::exp(-x)).epsilon(1e-12).margin(1e-300));
  }
}

TEST_CASE("incomplete gamma: P + Q = 1, P rises in x and falls in a, without a seam where methods meet") {
  for (const double a : shapes) {
    double before = 0;
    for (const double z : {1e-3, 0.1, 0.5, 0.9, 0.99, 1 - 1e-6, 1.0, 1 + 1e-6, 1.01, 1.1, 2.0, 10.0}) {
      const tails t = incomplete_gamma(a, a * z);
      INFO(a << ", " << a * z);
      CHECK(t.lower + t.upper == Approx(1).epsilon(1e-15));
      CHECK(t.lower >= before);
      CHECK(t.lower >= 0);
      CHECK(t.upper >= 0);
      before = t.lower;
    }
  }
  for (const double x : {0.4, 0.5, 1.1, 3.0, 900.0, 1000.0, 1001.0, 1100.0})
    for (const double a : {0.3, 0.45, 1.0, 1.1, 1.21, 3.0, 1000.0}) {
      INFO(a << ", " << x);
      const tails t = incomplete_gamma(a, x), right = incomplete_gamma(a, x * (1 + 1e-13)),
                  more = incomplete_gamma(a * (1 + 1e-13), x);
      CHECK(right.lower == Approx(t.lower).epsilon(1e-10).margin(1e-300));
      CHECK(right.upper == Approx(t.upper).epsilon(1e-9).margin(1e-300));
      CHECK(more.lower == Approx(t.lower).epsilon(1e-9).margin(1e-300));
      CHECK(more.upper == Approx(t.upper).epsilon(1e-10).margin(1e-300));
    }
}

TEST_CASE("incomplete gamma: the recurrence in the shape") {
  for (const double a : {0.01, 0.5, 3.0, 77.0, 999.5, 5000.0})
    for (const double z : {-3.0, -0.5, 0.1, 1.0, 4.0}) {
      const double x = a + z * std::sqrt(a);
      if (x <= 0) continue;
      INFO(a << ", " << x);
      const double step = std::exp(log_poisson(a, x));
      const tails here = incomplete_gamma(a, x), next = incomplete_gamma(a + 1, x);
      CHECK((z < 0 ? here.lower - next.lower : next.upper - here.upper) == Approx(step).epsilon(1e-11));
    }
}

TEST_CASE("incomplete gamma: ends and what is outside") {
  for (const double a : shapes) {
    CHECK(incomplete_gamma(a, 0).lower == 0);
    CHECK(incomplete_gamma(a, 0).upper == 1);
    CHECK(incomplete_gamma(a, infinity).lower == 1);
    CHECK(incomplete_gamma(a, infinity).upper == 0);
    CHECK(incomplete_gamma(a, 1e300).upper == 0);
  }
  for (const auto& [a, x] :
       {std::pair{0.0, 1.0}, {-1.0, 1.0}, {1.0, -1.0}, {infinity, 1.0}, {not_a_number, 1.0}, {1.0, not_a_number}}) {
    CHECK(std::isnan(incomplete_gamma(a, x).lower));
    CHECK(std::isnan(incomplete_gamma(a, x).upper));
  }
}

TEST_CASE("Poisson probabilities of real counts: those of the formula, and of counts they sum to 1") {
  std::vector<double> counts = {1e-10, 0.3, 4.5, 15.5, 60, 9861};
  for (double a = 0; a <= 20; ++a) counts.push_back(a);  // of whole ones below 16 each has a constant of its own
  for (const double a : counts)
    for (const double x : {1e-5, 0.2, 1.0, 9.9, 11.9, 30.0, 3500.0}) {
      INFO(a << ", " << x);
      const long double mean = x, expected = a * std::log(mean) - mean - std::lgamma(a + 1.0L);
      CHECK(std::abs(log_poisson(a, x) - expected) <= 2e-15L * (1 + std::abs(expected)));
    }
  double sum = 0;
  for (int k = 0; k < 400; ++k) sum += std::exp(log_poisson(k, 123.4));
  CHECK(sum == Approx(1).epsilon(1e-14));
  CHECK(half_deviance(7, 7) == 0);
  CHECK(half_deviance(0, 3) == 3);
  CHECK(half_deviance(2, 5) == Approx(2 * std::log(2.0 / 5) + 3).epsilon(1e-15));
  CHECK(half_deviance(5, 2) == Approx(5 * std::log(5.0 / 2) - 3).epsilon(1e-15));
  CHECK(half_deviance(1e8, 1e8 + 1) == Approx(0.5e-8).epsilon(1e-7));
  CHECK(half_deviance(1e-300, 1e300) == 1e300);
}

TEST_CASE("incomplete gamma of large shapes far below the mean, and tails that the density's power is below") {
  for (const auto& [a, x] : {std::pair{1e4, 1e-308}, {1001.0, 5e-324}, {1e308, 1e-3}, {1e200, 1e100}}) {
    INFO(a << ", " << x);
    CHECK(incomplete_gamma(a, x).lower == 0);
    CHECK(incomplete_gamma(a, x).upper == 1);
  }
  const double a = 1e28, x = a + 37.4e14, z = (x - a) / 1e14;
  CHECK(incomplete_gamma(a, x).upper == Approx(0.5 * std::erfc(z / std::sqrt(2))).epsilon(1e-9));
}
