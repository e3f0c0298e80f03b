// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Conformal risk control of a threshold: what is kept is what scores at or above it, keeping costs a loss in
/// [0, largest], leaving nothing. Of n past items with losses l, the threshold is the lowest score s with
///   (sum over scores >= s of l + largest) / (n + 1) <= risk
/// and then the expected loss of the next item, if it is exchangeable with those n, is at most the risk: whatever the
/// distribution and however good the score, with n finite. It is the mean over draws of all n + 1 items, not a promise
/// for each set of past items, and it is of all items, not of those that are kept. Equal scores are kept or left
/// together. The threshold is a past score, a little above the lowest that the theorem allows: it wastes some 3 / n.
/// [Angelopoulos, Bates, Fisch, Lei, Schuster 2022, Conformal risk control, arXiv 2208.02814, Thm. 1, 2]
#pragma once
#include "hone/core/contract.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::statistics {

struct conformal_options {
  double risk = 0.1;   ///< the most that the expected loss of an item may be, positive
  double largest = 1;  ///< what no loss exceeds, positive
};

struct conformal_threshold {
  /// Keep where score >= value. infinity: too few items for this risk, nothing is kept, infinite scores neither;
  /// -infinity: everything may be. NaN, with which nothing is kept either, where any score is.
  double value = std::numeric_limits<double>::quiet_NaN();
  double bound = std::numeric_limits<double>::quiet_NaN();  ///< on the expected loss; 0 where nothing is kept
  index_t kept = 0;                                         ///< of the past items
  index_t count = 0;
  index_t nans = 0;  ///< scores that have no order

  /// Whether an item with this @p score is kept; NaN is not.
  [[nodiscard]] bool keeps(double score) const { return score >= value && bound > 0; }
};

/// The threshold above of @p scores with the @p losses that keeping them had.
/// @throws std::invalid_argument if the sizes differ, a loss is not in [0, largest], or risk or largest is not positive
/// and finite.
/// @note O(n log n), 8 bytes an item; losses are added up from the highest score down. Of no items at all everything is
/// kept where risk >= largest, else nothing.
inline conformal_threshold control_risk(std::span<const double> scores, std::span<const double> losses,
                                        const conformal_options& options = {}) {
  const char* function = "hone::statistics::control_risk";
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto positive = [](double x) { return x > 0 && x < infinity; };
  invalid_argument_unless(losses.size() == scores.size(), function, "losses", "has %zu, scores %zu", losses.size(),
                          scores.size());
  invalid_argument_unless(positive(options.risk), function, "risk", "must be positive and finite, is %g", options.risk);
  invalid_argument_unless(positive(options.largest), function, "largest", "must be positive and finite, is %g",
                          options.largest);
  conformal_threshold result{.count = std::ssize(scores)};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    invalid_argument_unless(losses[i] >= 0 && losses[i] <= options.largest, function, "losses",
                            "element %zu is not in [0, %g]: %g", i, options.largest, losses[i]);
    result.nans += std::isnan(scores[i]);
  }
  if (result.nans > 0) return result;
  std::vector<std::size_t> order(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return scores[i] > scores[j]; });
  const double places = static_cast<double>(scores.size()) + 1;
  // risk = k / (n + 1) means k, whatever the rounding of the division did.
  const auto allowed = [&](double sum) { return sum + options.largest <= options.risk * places * (1 + 4e-16); };
  double sum = 0;
  std::size_t end = 0;
  result.value = infinity;
  result.bound = 0;
  while (end < order.size()) {
    const double score = scores[order[end]];
    std::size_t next = end;
    double with = sum;
    for (; next < order.size() && scores[order[next]] == score; ++next) with += losses[order[next]];
    if (!allowed(with)) break;
    sum = with;
    end = next;
    result.value = score;
  }
  if (end == order.size() && allowed(sum)) result.value = -infinity;
  if (result.value < infinity || end > 0) result.bound = (sum + options.largest) / places;
  result.kept = static_cast<index_t>(end);
  return result;
}

}  // namespace HONE_NAMESPACE::statistics
