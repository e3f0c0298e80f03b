// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How the risk of what is kept falls with how little is kept, the items of the highest scores:
///   AURC = (1/n) sum over k = 1 ... n of the mean loss of the k items of highest score
/// Of equal scores the mean over all their orders. [Geifman, Uziel, El-Yaniv 2019, Bias-reduced uncertainty estimation,
/// arXiv 1805.08206]
#pragma once
#include "hone/statistics/scored.hpp"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::statistics {

struct risk_coverage {
  double area = std::numeric_limits<double>::quiet_NaN();  ///< AURC; NaN of nothing and with any NaN score
  double risk = std::numeric_limits<double>::quiet_NaN();  ///< the mean loss of all items, what equal scores have
  index_t count = 0;
  index_t nans = 0;  ///< scores that have no order
};

/// The area of @p scores with the @p losses that keeping them has. Infinite scores are ordered like others.
/// @throws std::invalid_argument if the sizes differ or a loss is not finite.
/// @note Linear for many items, 32 bytes an item.
inline risk_coverage measure_risk_coverage(std::span<const double> scores, std::span<const double> losses) {
  const char* function = "hone::statistics::measure_risk_coverage";
  invalid_argument_unless(losses.size() == scores.size(), function, "losses", "has %zu, scores %zu", losses.size(),
                          scores.size());
  risk_coverage result{.count = std::ssize(scores)};
  double sum = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    invalid_argument_unless(std::isfinite(losses[i]), function, "losses", "element %zu is %g", i, losses[i]);
    sum += losses[i];
    result.nans += std::isnan(scores[i]);
  }
  const auto n = static_cast<double>(result.count);
  result.risk = sum / n;
  if (result.nans > 0 || result.count == 0) return result;
  std::vector<scored> items;
  items.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) items.push_back({-scores[i], losses[i]});
  sort_by_score(items);
  double area = 0, before = 0;
  for (std::size_t begin = 0, end = 0; begin < items.size(); begin = end) {
    double here = 0;
    for (; end < items.size() && items[end].score == items[begin].score; ++end) here += items[end].value;
    const double each = here / static_cast<double>(end - begin);
    for (std::size_t i = begin; i < end; ++i)
      area += (before + static_cast<double>(i + 1 - begin) * each) / static_cast<double>(i + 1);
    before += here;
  }
  result.area = area / n;
  return result;
}

}  // namespace HONE_NAMESPACE::statistics
