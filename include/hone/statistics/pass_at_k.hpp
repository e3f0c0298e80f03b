// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Pass at k: the probability that at least one of k responses is correct.
///   1 - C(n - c, k) / C(n, k) = 1 - prod_{i = n-c+1}^{n} (1 - k / i), 1 if n - c < k
///                                                         [Chen et al. 2021, Codex, arXiv 2107.03374, Eq. 1]
#pragma once
#include "hone/core/contract.hpp"

#include <cmath>

namespace HONE_NAMESPACE::statistics {

/// The unbiased estimate of pass at k from @p correct of @p samples responses to one prompt, by a sum of logarithms;
/// samples >= 2 k is better. Without a correct one +0.
/// @throws std::invalid_argument unless 0 <= correct <= samples and 1 <= k <= samples.
/// @note A sum of @p correct terms; allocates nothing.
inline double pass_at_k(index_t samples, index_t correct, index_t k) {
  const char* function = "hone::statistics::pass_at_k";
  invalid_argument_unless(correct >= 0 && correct <= samples, function, "correct",
                          "must be in [0, %td], the samples, is %td", samples, correct);
  invalid_argument_unless(k >= 1 && k <= samples, function, "k", "must be in [1, %td], is %td", samples, k);
  if (samples - correct < k) return 1;
  double log_miss = 0;
  for (index_t i = samples - correct + 1; i <= samples; ++i)
    log_miss += std::log1p(-static_cast<double>(k) / static_cast<double>(i));
  return 0 - std::expm1(log_miss);
}

}  // namespace HONE_NAMESPACE::statistics
