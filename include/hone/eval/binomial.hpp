// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Logarithms of the probabilities of counts, to the last digits however small they are. The large parts of log n!
/// cancel on paper: what is computed is Stirling's remainder and the deviance of the count from its mean. [Loader 2000,
/// Fast and accurate computation of binomial probabilities]
#pragma once
#include "hone/core/contract.hpp"

#include <cmath>
#include <limits>

namespace hone::eval {

namespace detail {

/// log n! - log(sqrt(2 pi n) (n / e)^n); 0 for n = 0, where it is never asked for.
inline double stirling_remainder(double n) {
  constexpr double exact[] = {0.0,
                              0.0810614667953272582,
                              0.0413406959554092941,
                              0.0276779256849983391,
                              0.0207906721037650931,
                              0.0166446911898211922,
                              0.0138761288230707480,
                              0.0118967099458917701,
                              0.0104112652619720965,
                              0.0092554621827127329,
                              0.0083305634333631407,
                              0.0075736754879518407,
                              0.0069428401072295299,
                              0.0064089941880042071,
                              0.0059513701127588476,
                              0.0055547335519628014};
  if (n < 16) return exact[static_cast<unsigned>(n) % 16];
  const double s = 1 / (n * n);
  return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 * s) * s) * s) * s) / n;
}

/// x log(x / mean) + mean - x for x > 0 and mean > 0: twice it is the deviance.
inline double half_deviance(double x, double mean) {
  const double difference = x - mean;
  if (std::abs(difference) > 0.1 * (x + mean)) return x * std::log(x / mean) - difference;
  // log(x / mean) = 2 artanh(v); the terms of first order cancel.
  const double v = difference / (x + mean), square = v * v;
  double term = 2 * x * v, sum = difference * v;
  for (int k = 3; k < 1000; k += 2) {
    term *= square;
    const double next = sum + term / k;
    if (next == sum) break;
    sum = next;
  }
  return sum;
}

}  // namespace detail

/// log C(n, k) p^k (1 - p)^(n - k), -infinity where that is 0.
/// @throws std::invalid_argument unless 0 <= k <= n and 0 <= p <= 1.
/// @note Absolute error some 1e-15 of 1 + |result|, for n up to 2^53; constant time.
inline double log_binomial_probability(index_t k, index_t n, double p) {
  const char* function = "hone::eval::log_binomial_probability";
  invalid_argument_unless(0 <= k && k <= n, function, "k", "must be in [0, %td], is %td", n, k);
  invalid_argument_unless(p >= 0 && p <= 1, function, "p", "must be in [0, 1], is %g", p);
  constexpr double never = -std::numeric_limits<double>::infinity();
  const auto x = static_cast<double>(k), size = static_cast<double>(n), rest = static_cast<double>(n - k);
  if (k == 0) return n == 0 ? 0 : p == 1 ? never : size * std::log1p(-p);
  if (k == n) return p == 0 ? never : size * std::log(p);
  if (p == 0 || p == 1) return never;
  constexpr double log_two_pi = 1.8378770664093454836;
  return detail::stirling_remainder(size) - detail::stirling_remainder(x) - detail::stirling_remainder(rest) -
         detail::half_deviance(x, size * p) - detail::half_deviance(rest, size * (1 - p)) +
         0.5 * (std::log(size / x / rest) - log_two_pi);
}

/// log of the probability that @p drawn draws without replacement from @p total things, @p marked of them marked, give
/// k marked ones: C(marked, k) C(total - marked, drawn - k) / C(total, drawn).
/// @throws std::invalid_argument unless marked and drawn are in [0, total] and k is possible.
/// @note As `log_binomial_probability`, of which it is a ratio.
inline double log_hypergeometric_probability(index_t k, index_t marked, index_t drawn, index_t total) {
  const char* function = "hone::eval::log_hypergeometric_probability";
  invalid_argument_unless(0 <= marked && marked <= total, function, "marked", "must be in [0, %td], is %td", total,
                          marked);
  invalid_argument_unless(0 <= drawn && drawn <= total, function, "drawn", "must be in [0, %td], is %td", total, drawn);
  invalid_argument_unless(0 <= k && k <= marked && k <= drawn && drawn - k <= total - marked, function, "k",
                          "%td of %td draws cannot be among the %td marked of %td", k, drawn, marked, total);
  if (marked == 0 || marked == total) return 0;
  const double p = static_cast<double>(marked) / static_cast<double>(total);
  return log_binomial_probability(k, drawn, p) + log_binomial_probability(marked - k, total - drawn, p) -
         log_binomial_probability(marked, total, p);
}

}  // namespace hone::eval
