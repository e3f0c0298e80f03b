// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/binomial.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {

/// log C(n, k) by Pascal's triangle in long double, exact to its digits up to n = 1000.
long double log_choose(index_t n, index_t k) {
  long double c = 1;
  for (index_t i = 1; i <= k; ++i) c = c * static_cast<long double>(n - k + i) / static_cast<long double>(i);
  return std::log(c);
}

void close(double value, long double expected, long double error) {
  CHECK(std::abs(value - expected) <= error * (1 + std::abs(expected)));
}

}  // namespace

TEST_CASE("binomial probabilities are those of the formula, in logarithms") {
  for (const index_t n : {1, 2, 3, 15, 16, 17, 40, 199, 1000})
    for (const double p : {1e-300, 1e-9, 0.001, 0.3, 0.5, 0.75, 1 - 1e-9}) {
      const index_t step = n > 100 ? 37 : 1;
      for (index_t k = 0; k <= n; k += step) {
        const auto q = static_cast<long double>(p);
        INFO(k << " of " << n << " at " << p);
        close(log_binomial_probability(k, n, p),
              log_choose(n, k) + static_cast<long double>(k) * std::log(q) +
                  static_cast<long double>(n - k) * std::log1p(-q),
              2e-15L);
      }
    }
}

TEST_CASE("binomial probabilities sum to 1, of many and of very many") {
  for (const double p : {0.02, 0.5, 0.9}) {
    const index_t n = 20000;
    double sum = 0;
    for (index_t k = 0; k <= n; ++k) sum += std::exp(log_binomial_probability(k, n, p));
    CHECK(sum == Approx(1).epsilon(1e-13));
  }
  // The middle of 2^40 throws: 1 / sqrt(pi n / 2), up to 1 / (4 n).
  const index_t n = index_t{1} << 40;
  CHECK(log_binomial_probability(n / 2, n, 0.5) ==
        Approx(-0.5 * std::log(1.5707963267948966 * static_cast<double>(n))).epsilon(1e-13));
}

TEST_CASE("certain and impossible counts") {
  for (const double p : {0.0, 0.3, 1.0}) {
    CHECK(log_binomial_probability(0, 0, p) == 0);
    CHECK(!std::signbit(log_binomial_probability(0, 0, p)));
  }
  CHECK(log_binomial_probability(0, 5, 0) == 0);
  CHECK(log_binomial_probability(5, 5, 1) == 0);
  CHECK(std::isinf(log_binomial_probability(1, 5, 0)));
  CHECK(std::isinf(log_binomial_probability(5, 5, 0)));
  CHECK(std::isinf(log_binomial_probability(0, 5, 1)));
  CHECK(std::isinf(log_binomial_probability(4, 5, 1)));
  CHECK_THROWS_AS(log_binomial_probability(-1, 5, 0.5), std::invalid_argument);
  CHECK_THROWS_AS(log_binomial_probability(6, 5, 0.5), std::invalid_argument);
  CHECK_THROWS_AS(log_binomial_probability(1, 5, std::nan("")), std::invalid_argument);
  CHECK_THROWS_WITH(log_binomial_probability(1, 5, -0.5),
                    "hone::statistics::log_binomial_probability: p: must be in [0, 1], is -0.5");
  CHECK_THROWS_AS(log_binomial_probability(1, 5, 1.5), std::invalid_argument);
  CHECK_THROWS_WITH(log_binomial_probability(6, 5, 0.5),
                    "hone::statistics::log_binomial_probability: k: must be in [0, 5], is 6");
  for (const double p : {0.0, 1.0}) {
    CHECK(log_binomial_probability(2, 5, p) == -std::numeric_limits<double>::infinity());
    CHECK(log_binomial_probability(p == 0 ? 5 : 0, 5, p) == -std::numeric_limits<double>::infinity());
  }
}

TEST_CASE("hypergeometric probabilities are ratios of binomial coefficients, and sum to 1") {
  for (const index_t total : {1, 2, 9, 30, 400})
    for (const index_t marked : {index_t{0}, total / 3, total / 2, total})
      for (const index_t drawn : {index_t{0}, index_t{1}, total / 4, total}) {
        double sum = 0;
        for (index_t k = (std::max)(index_t{0}, drawn - (total - marked)); k <= (std::min)(marked, drawn); ++k) {
          const double log_p = log_hypergeometric_probability(k, marked, drawn, total);
          INFO(k << " of " << marked << " among " << drawn << " of " << total);
          close(log_p, log_choose(marked, k) + log_choose(total - marked, drawn - k) - log_choose(total, drawn),
                1e-14L);
          sum += std::exp(log_p);
        }
        CHECK(sum == Approx(1).epsilon(1e-12));
      }
  CHECK_THROWS_AS(log_hypergeometric_probability(1, 0, 1, 5), std::invalid_argument);
  CHECK_THROWS_AS(log_hypergeometric_probability(0, 4, 3, 5), std::invalid_argument);
  CHECK_THROWS_AS(log_hypergeometric_probability(0, 6, 3, 5), std::invalid_argument);
  CHECK_THROWS_AS(log_hypergeometric_probability(0, 2, 6, 5), std::invalid_argument);
  const std::string function = "hone::statistics::log_hypergeometric_probability: ";
  CHECK_THROWS_WITH(log_hypergeometric_probability(0, 6, 3, 5), function + "marked: must be in [0, 5], is 6");
  CHECK_THROWS_WITH(log_hypergeometric_probability(0, -1, 3, 5), function + "marked: must be in [0, 5], is -1");
  CHECK_THROWS_WITH(log_hypergeometric_probability(0, 2, 6, 5), function + "drawn: must be in [0, 5], is 6");
  CHECK_THROWS_WITH(log_hypergeometric_probability(0, 2, -1, 5), function + "drawn: must be in [0, 5], is -1");
  for (const index_t k : {-1, 0, 3})  // below 0, more unmarked than there are, more than there are marked
    CHECK_THROWS_WITH(log_hypergeometric_probability(k, 2, 4, 5),
                      function + "k: " + std::to_string(k) + " of 4 draws cannot be among the 2 marked of 5");
  CHECK_THROWS_WITH(log_hypergeometric_probability(2, 4, 1, 5),
                    function + "k: 2 of 1 draws cannot be among the 4 marked of 5");
  CHECK(log_hypergeometric_probability(1, 2, 4, 5) == Approx(std::log(0.4)).epsilon(1e-13));
  CHECK(log_hypergeometric_probability(2, 2, 4, 5) == Approx(std::log(0.6)).epsilon(1e-13));
  for (const index_t marked : {0, 5}) CHECK(log_hypergeometric_probability(marked == 0 ? 0 : 3, marked, 3, 5) == 0);
}
