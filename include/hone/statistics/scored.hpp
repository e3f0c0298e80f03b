// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Values in the order of their scores, for whatever is read off a ranking by running sums.
#pragma once
#include "hone/core/contract.hpp"
#include "hone/statistics/detail/sort.hpp"

#include <algorithm>
#include <vector>

namespace HONE_NAMESPACE::statistics {

struct scored {
  double score;
  double value;
};

/// Sorts @p items by their scores, the lowest first; equal scores, both zeros too, stay in their order.
/// @pre no score is NaN. @note Of many items linear, digit by digit, with a second array of their size; infinite scores
/// are ordered like others.
inline void sort_by_score(std::vector<scored>& items) {
  if (items.size() < detail::few)
    std::stable_sort(items.begin(), items.end(), [](const scored& a, const scored& b) { return a.score < b.score; });
  else
    detail::sort_by_digits(items, [](const scored& item) { return item.score; });
}

}  // namespace HONE_NAMESPACE::statistics
