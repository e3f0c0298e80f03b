// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bootstrap of what is read off an order of scores, AUC and average precision: scores are sorted once, a replicate
/// is how often each was drawn, and one pass over those counts is its value.
#pragma once
#include "hone/statistics/bootstrap.hpp"
#include "hone/statistics/roc.hpp"

namespace HONE_NAMESPACE::statistics {

namespace detail {

/// What each item is, from the highest score down, positives first among equals.
enum class ranked_item : std::uint8_t { negative = 0, positive = 1, last_negative = 2, last_positive = 3 };

inline std::vector<ranked_item> ranked_items(const ranked_scores& scores) {
  std::vector<ranked_item> items;
  items.reserve(scores.positives.size() + scores.negatives.size());
  for_each_tie(scores, [&](index_t p, index_t n) {
    items.insert(items.end(), static_cast<std::size_t>(p), ranked_item::positive);
    items.insert(items.end(), static_cast<std::size_t>(n), ranked_item::negative);
    items.back() = n > 0 ? ranked_item::last_negative : ranked_item::last_positive;
  });
  return items;
}

/// The bootstrap of Sum, which add(positives, negatives) of each group of equal scores makes, by value(sum).
template <class Sum, class Value, class E>
bootstrap_estimate bootstrap_ranked(const ranked_scores& scores, Value&& value, const bootstrap_options& options,
                                    E& pool, const char* function) {
  const index_t count = std::ssize(scores.positives) + std::ssize(scores.negatives);
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<ranked_item> items;
  if (scores.nans == 0) items = ranked_items(scores);
  const auto statistic = [&](std::span<const std::uint32_t> counts) {
    if (items.empty()) return nan;
    Sum sum;
    index_t drawn[2] = {0, 0};
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const auto item = static_cast<unsigned>(items[i]);
      const index_t positives = counts[i] & (0 - (item & 1));
      drawn[1] += positives;
      drawn[0] += counts[i] - positives;
      if (item < 2) continue;
      sum.add(drawn[1], drawn[0]);
      drawn[0] = drawn[1] = 0;
    }
    return value(sum);
  };
  return estimate_of_replicates(replicate<std::uint32_t>(count, count_items, statistic, options, pool, function),
                                options.level);
}

}  // namespace detail

/// The bootstrap of `auc`: items are drawn, not positives and negatives apart, so that their shares vary too.
/// Replicates without either kind are NaN and counted; any NaN score makes all of them so.
/// @throws std::invalid_argument unless there are 1 to 2^32 - 1 scores, replicates > 1 and level is in (0, 1).
/// @note One pass over the scores; replicates * (as many draws and a pass over their counts); an item 1 byte, and 4 a
/// worker. Bitwise for any executor. The items, numbered from the highest score down, positives first among equals, are
/// those that `bootstrap` draws.
template <executor E = const serial>
bootstrap_estimate bootstrap_auc(const ranked_scores& scores, const bootstrap_options& options = {},
                                 E&& pool = serial{}) {
  return detail::bootstrap_ranked<detail::pair_count>(
      scores, [](const detail::pair_count& pairs) { return pairs.auc(); }, options, pool,
      "hone::statistics::bootstrap_auc");
}

/// The same of `average_precision`. Replicates without positives are NaN.
/// @throws and @note as bootstrap_auc.
template <executor E = const serial>
bootstrap_estimate bootstrap_average_precision(const ranked_scores& scores, const bootstrap_options& options = {},
                                               E&& pool = serial{}) {
  return detail::bootstrap_ranked<detail::precision_sum>(
      scores, [](const detail::precision_sum& precisions) { return precisions.average(); }, options, pool,
      "hone::statistics::bootstrap_average_precision");
}

}  // namespace HONE_NAMESPACE::statistics
