// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Logarithms of the probabilities of counts, to the last digits however small they are. The large parts of log n!
/// cancel on paper: what is computed is Stirling's remainder and the deviance of the count from its mean. [Loader 2000,
/// Fast and accurate computation of binomial probabilities]
#pragma once
#include "hone/core/beta.hpp"
#include "hone/core/contract.hpp"

namespace HONE_NAMESPACE::statistics {

/// log C(n, k) p^k (1 - p)^(n - k), -infinity where that is 0.
/// @throws std::invalid_argument unless 0 <= k <= n and 0 <= p <= 1.
/// @note Error 2e-15 of 1 + |result|, for n up to 2^53; constant time.
inline double log_binomial_probability(index_t k, index_t n, double p) {
  const char* function = "hone::statistics::log_binomial_probability";
  invalid_argument_unless(0 <= k && k <= n, function, "k", "must be in [0, %td], is %td", n, k);
  invalid_argument_unless(p >= 0 && p <= 1, function, "p", "must be in [0, 1], is %g", p);
  constexpr double never = -std::numeric_limits<double>::infinity();
  const auto x = static_cast<double>(k), size = static_cast<double>(n), rest = static_cast<double>(n - k);
  if (k == 0) return n == 0 ? 0 : p == 1 ? never : size * std::log1p(-p);
  if (k == n) return p == 0 ? never : size * std::log(p);
  if (p == 0 || p == 1) return never;
  return log_binomial(x, rest, p, 1 - p);
}

/// log of the probability that @p drawn draws without replacement from @p total things, @p marked of them marked, give
/// k marked ones: C(marked, k) C(total - marked, drawn - k) / C(total, drawn).
/// @throws std::invalid_argument unless marked and drawn are in [0, total] and k is possible.
/// @note As `log_binomial_probability`, of which it is a ratio.
inline double log_hypergeometric_probability(index_t k, index_t marked, index_t drawn, index_t total) {
  const char* function = "hone::statistics::log_hypergeometric_probability";
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

}  // namespace HONE_NAMESPACE::statistics
