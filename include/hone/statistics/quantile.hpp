// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Quantiles of samples. [Hyndman, Fan 1996, Sample quantiles in statistical packages; type 7 is NumPy's and R's
/// default]
#pragma once
#include "hone/core/contract.hpp"

#include <limits>
#include <span>

namespace HONE_NAMESPACE::statistics {

/// The type-7 quantile of @p sorted (ascending): between the two values around share (n - 1), linearly. NaN of nothing.
/// @pre no value is NaN. @throws std::invalid_argument unless share is in [0, 1]. @note Constant time.
inline double sorted_quantile(std::span<const double> sorted, double share) {
  invalid_argument_unless(share >= 0 && share <= 1, "hone::statistics::sorted_quantile", "share",
                          "must be in [0, 1], is %g", share);
  if (sorted.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double part = place - static_cast<double>(below);
  if (part == 0) return sorted[below];  // where the next may be infinite, or none
  return sorted[below] + part * (sorted[(min)(below + 1, sorted.size() - 1)] - sorted[below]);
}

}  // namespace HONE_NAMESPACE::statistics
