// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/beta.hpp"

#include "core/golden/special.hpp"
#include "support/catch.hpp"

using namespace hone;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");
constexpr double shapes[] = {0.5, 1, 2.5, 30, 999, 1001, 2e4, 1e7};

/// To the digits that the documentation states.
void close(double value, double expected) {
  CHECK(std::abs(value - expected) <= (1e-14 + 6e-16 * std::abs(std::log(expected))) * expected);
}

}  // namespace

TEST_CASE("incomplete beta: mpmath's, for shapes to 1e15, down to 1e-300") {
  std::size_t smallest = 0;
  for (const golden_incomplete_beta_row& g : golden_incomplete_beta) {
    INFO(g.a << ", " << g.b << ", " << g.x);
    const tails t = incomplete_beta(g.a, g.b, g.x);
    close(t.lower, g.lower);
    close(t.upper, g.upper);
    smallest += g.lower < 1e-100 || g.upper < 1e-100;
  }
  CHECK(golden_incomplete_beta.size() > 150);
  CHECK(smallest > 5);
}

TEST_CASE("incomplete beta: closed forms") {
  for (const double x : {1e-200, 1e-9, 0.01, 0.3, 0.5, 0.75, 1 - 1e-9}) {
    INFO(x);
    for (const double a : {1e-300, 1e-5, 0.5, 1.0, 3.0, 800.0}) {
      const double expected = std::pow(x, a);
      if (expected > 1e-300) close(incomplete_beta(a, 1, x).lower, expected);
      const double other = std::exp(a * std::log1p(-x));
      if (a >= 0.5 && other > 1e-300) close(incomplete_beta(1, a, x).upper, other);
    }
    if (x <= 0.5) close(incomplete_beta(0.5, 0.5, x).lower, std::asin(std::sqrt(x)) / std::asin(1.0));
  }
}

TEST_CASE("incomplete beta: I_x(a, b) = 1 - I_{1-x}(b, a), rising in x, without a seam where methods meet") {
  for (const double a : shapes)
    for (const double b : shapes) {
      double before = 0;
      const double mean = a / (a + b), deviation = std::sqrt(a * b / (a + b) / (a + b) / (a + b + 1));
      for (const double z : {-30.0, -3.0, -1.0, -1e-6, 0.0, 1e-6, 1.0, 3.0, 30.0}) {
        const double x = mean + z * deviation;
        if (x <= 0 || x >= 1) continue;
        INFO(a << ", " << b << ", " << x);
        const tails t = incomplete_beta(a, b, x), mirrored = incomplete_beta(b, a, 1 - x, x);
        CHECK(mirrored.lower == Approx(t.upper).epsilon(1e-8).margin(1e-300));  // 1 - x has lost digits of x
        CHECK(mirrored.upper == Approx(t.lower).epsilon(1e-8).margin(1e-300));
        CHECK(t.lower + t.upper == Approx(1).epsilon(1e-15));
        CHECK(t.lower >= before);
        before = t.lower;
      }
      const double x = (a + 1) / (a + b + 2), y = (b + 1) / (a + b + 2);  // where the fraction changes sides
      const auto beside = [&](double by) {
        return x < y ? incomplete_beta(a, b, x * by, 1 - x * by) : incomplete_beta(a, b, 1 - y * by, y * by);
      };
      CHECK(beside(1 + 1e-13).lower == Approx(beside(1 - 1e-13).lower).epsilon(1e-9));
    }
}

TEST_CASE("incomplete beta: binomial tails, summed") {
  for (const double p : {0.03, 0.4, 0.9})
    for (const int n : {1, 6, 40})
      for (int k = 1; k <= n; ++k) {
        double sum = 0;  // P(X >= k) = I_p(k, n - k + 1)
        for (int i = k; i <= n; ++i) sum += std::exp(log_binomial(i, n - i, p, 1 - p));
        CHECK(incomplete_beta(k, n - k + 1, p).lower == Approx(sum).epsilon(1e-13));
      }
}

TEST_CASE("incomplete beta: ends and what is outside") {
  for (const double a : shapes) {
    CHECK(incomplete_beta(a, 2, 0).lower == 0);
    CHECK(incomplete_beta(a, 2, 1).lower == 1);
    CHECK(incomplete_beta(2, a, 1).upper == 0);
  }
  for (const auto& [a, b, x] : {std::tuple{0.0, 1.0, 0.5},
                                {1.0, 0.0, 0.5},
                                {-1.0, 1.0, 0.5},
                                {1.0, 1.0, -0.1},
                                {1.0, 1.0, 1.1},
                                {infinity, 1.0, 0.5},
                                {not_a_number, 1.0, 0.5},
                                {1.0, 1.0, not_a_number}}) {
    CHECK(std::isnan(incomplete_beta(a, b, x).lower));
    CHECK(std::isnan(beta_quantile(x, a, b)));
  }
}

TEST_CASE("beta quantiles go back to where they came from, and rise") {
  for (const double a : {1e-3, 0.5, 1.0, 7.0, 1001.0, 1e6, 1e12})
    for (const double b : {0.5, 1.0, 40.0, 2000.0, 1e9}) {
      double before = 0;
      for (const double p : {1e-300, 1e-30, 1e-5, 0.025, 0.3, 0.5, 0.7, 0.975, 1 - 1e-9}) {
        INFO(a << ", " << b << ", " << p);
        const double x = beta_quantile(p, a, b);
        CHECK(x >= before);
        before = x;
        if (x == 0 || x == 1 || x < 1e-300) continue;
        const tails t = incomplete_beta(a, b, x);
        // The distribution can be no nearer to p than the spacing of doubles at x allows.
        const double spacing = 2e-16 * x * std::exp(log_binomial(a, b, x, 1 - x)) * a * b / (a + b) / x / (1 - x);
        CHECK(std::abs(t.lower - p) <= 1e-12 * p + 4 * spacing);
        CHECK(std::abs(t.upper - (1 - p)) <= 1e-12 * (1 - p) + 4 * spacing);
      }
    }
  CHECK(beta_quantile(0, 2, 3) == 0);
  CHECK(beta_quantile(1, 2, 3) == 1);
  CHECK(beta_quantile(0.5, 4, 4) == Approx(0.5).epsilon(1e-15));
  CHECK(beta_quantile(1e-10, 1e-3, 1) == 0);  // 1e-10000
}

TEST_CASE("Student's t: mpmath's, from a tenth of a degree to 1e10, to the far tail") {
  for (const golden_student_row& g : golden_student) {
    INFO(g.freedom << ", " << g.t);
    close(student_cdf(g.t, g.freedom), g.probability);
    if (g.probability < 0.45) CHECK(student_quantile(g.probability, g.freedom) == Approx(g.t).epsilon(2e-13));
  }
  CHECK(golden_student.size() > 150);
}

TEST_CASE("Student's t: tables, closed forms, its limit") {
  CHECK(student_quantile(0.975, 1) == Approx(12.706204736174705).epsilon(1e-14));
  CHECK(student_quantile(0.975, 4) == Approx(2.7764451051977987).epsilon(1e-14));
  CHECK(student_quantile(0.975, 29) == Approx(2.045229642132703).epsilon(1e-14));
  for (const double p : {1e-250, 1e-9, 0.1, 0.4, 0.6, 0.999}) {
    INFO(p);
    CHECK(student_quantile(p, 1) ==
          Approx(p < 0.25 ? -1 / std::tan(p * 2 * std::asin(1.0)) : std::tan((p - 0.5) * 2 * std::asin(1.0)))
              .epsilon(1e-12));
    CHECK(student_quantile(p, 2) == Approx((2 * p - 1) / std::sqrt(2 * p * (1 - p))).epsilon(1e-12));
    CHECK(student_quantile(p, infinity) == normal_quantile(p));
    CHECK(student_quantile(p, 1e15) == Approx(normal_quantile(p)).epsilon(2e-12));
    CHECK(student_cdf(student_quantile(p, 7), 7) == Approx(p).epsilon(1e-12).margin(0));
  }
}

TEST_CASE("Student's t: symmetry, ends, what is outside") {
  for (const double freedom : {0.5, 3.0, 100.0, infinity}) {
    for (const double t : {0.0, 1e-9, 0.7, 4.0}) {
      CHECK(student_cdf(t, freedom) + student_cdf(-t, freedom) == Approx(1).epsilon(1e-15));
      CHECK(student_quantile(student_cdf(-t, freedom), freedom) == Approx(-t).epsilon(1e-12).margin(1e-15));
    }
    CHECK(student_cdf(-infinity, freedom) == 0);
    CHECK(student_cdf(infinity, freedom) == 1);
    CHECK(student_quantile(0, freedom) == -infinity);
    CHECK(student_quantile(1, freedom) == infinity);
    CHECK(student_quantile(0.5, freedom) == 0);
    CHECK(std::isnan(student_quantile(1.5, freedom)));
    CHECK(std::isnan(student_cdf(not_a_number, freedom)));
  }
  for (const double freedom : {0.0, -1.0, not_a_number}) {
    CHECK(std::isnan(student_cdf(1, freedom)));
    CHECK(std::isnan(student_quantile(0.3, freedom)));
  }
}

TEST_CASE("incomplete beta of large shapes at x whose square underflows") {
  for (const double x : {1e-150, 1e-305, 5e-324}) {
    INFO(x);
    CHECK(incomplete_beta(1e4, 1e4, x).lower == 0);
    CHECK(incomplete_beta(1e4, 1e4, x).upper == 1);
    CHECK(incomplete_beta(1e4, 1e4, 1, x).lower == 1);
    CHECK(incomplete_beta(1e4, 1e4, 1, x).upper == 0);
  }
  for (const double mean : {1800.0, 2000.0, 2300.0}) {  // where b is large a gamma variate over b
    INFO(mean);
    const tails of_beta = incomplete_beta(2000, 1e170, mean * 1e-170), of_gamma = incomplete_gamma(2000, mean);
    CHECK(of_beta.lower == Approx(of_gamma.lower).epsilon(1e-10));
    CHECK(of_beta.upper == Approx(of_gamma.upper).epsilon(1e-10));
    CHECK(incomplete_beta(1e170, 2000, 1, mean * 1e-170).lower == Approx(of_gamma.upper).epsilon(1e-10));
  }
}

TEST_CASE("Student's distribution where the square of t overflows") {
  for (const double t : {1e149, 1e155, 1e200, 1e290}) {
    INFO(t);
    CHECK(student_cdf(-t, 1) == Approx(1 / (3.14159265358979323846 * t)).epsilon(1e-12));
    CHECK(student_cdf(t, 1) == 1);
    CHECK(student_cdf(-t, 1e10) == 0);
    CHECK(student_cdf(-t, 1e299) == 0);
  }
  for (const double freedom : {0.01, 0.5, 1.5, 2.0}) {
    INFO(freedom);
    CHECK(student_cdf(-1.0001e150, freedom) / student_cdf(-0.9999e150, freedom) ==
          Approx(std::pow(0.9999 / 1.0001, freedom)).epsilon(1e-9));
  }
  CHECK(student_cdf(-infinity, 3) == 0);
  CHECK(student_cdf(infinity, 3) == 1);
  CHECK(student_cdf(-infinity, 1e-300) == 0);
}
