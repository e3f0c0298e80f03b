// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DeLong's test of two scores of the same items: whether one separates positives from negatives better. Each item has
/// a share in the area under either curve, of a positive the share of negatives that it beats, of a negative the share
/// of positives that beat it, ties counting one half; the error of the difference is that of the mean of the items'
/// differences, in which what both scores find easy cancels. Shares come from midranks.
/// [DeLong, DeLong, Clarke-Pearson 1988; midranks as Sun, Xu 2014, Fast implementation of DeLong's algorithm]
#pragma once
#include "hone/core/normal.hpp"
#include "hone/statistics/roc.hpp"

namespace HONE_NAMESPACE::statistics {

struct auc_comparison {
  auc_estimate first;
  auc_estimate second;
  double difference = std::numeric_limits<double>::quiet_NaN();  ///< first - second
  double standard_error =
      std::numeric_limits<double>::quiet_NaN();               ///< of the difference; NaN below two of either kind
  double z = std::numeric_limits<double>::quiet_NaN();        ///< difference / standard_error; 0 of 0 / 0
  double p_value = std::numeric_limits<double>::quiet_NaN();  ///< two-sided; NaN for a difference without an error
};

namespace detail {

/// Twice the items of the other kind that are below, equal ones counted once, for each item. @p scores have an order.
inline std::vector<index_t> beaten_items(std::span<const double> scores, std::span<const double> outcomes) {
  std::vector<std::size_t> order(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return scores[i] < scores[j]; });
  std::vector<index_t> beaten(scores.size());
  index_t below[2] = {0, 0};  // negatives, positives
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    index_t here[2] = {0, 0};
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end) ++here[outcomes[order[end]] == 1];
    for (std::size_t i = begin; i < end; ++i) {
      const int other = outcomes[order[i]] == 0;
      beaten[order[i]] = 2 * below[other] + here[other];
    }
    for (const int kind : {0, 1}) below[kind] += here[kind];
  }
  return beaten;
}

}  // namespace detail

/// Compares the scores @p first and @p second of the same items, of which @p outcomes are 1 (positive) or 0. Where the
/// two order all pairs alike the difference is 0 and p is 1; where they differ and the error is 0 (each separates, in
/// its way) there is no test.
/// @throws std::invalid_argument if the sizes differ, an outcome is neither 0 nor 1, or there are more than 2^30.
/// @note O(n log n), 24 bytes an item beside `rank_by_outcome`; differences of shares are added up in integers. With a
/// NaN score, one kind alone, or nothing, all but the counts is NaN.
inline auc_comparison delong_test(std::span<const double> first, std::span<const double> second,
                                  std::span<const double> outcomes) {
  const char* function = "hone::statistics::delong_test";
  invalid_argument_unless(first.size() == outcomes.size(), function, "first", "has %zu, outcomes %zu", first.size(),
                          outcomes.size());
  invalid_argument_unless(second.size() == outcomes.size(), function, "second", "has %zu, outcomes %zu", second.size(),
                          outcomes.size());
  invalid_argument_unless(outcomes.size() <= std::size_t{1} << 30, function, "outcomes", "has %zu, at most 2^30",
                          outcomes.size());
  auc_comparison result{.first = auc(rank_by_outcome(first, outcomes)),
                        .second = auc(rank_by_outcome(second, outcomes))};
  const index_t count[2] = {result.first.negatives, result.first.positives};
  if (result.first.nans + result.second.nans > 0 || count[0] == 0 || count[1] == 0) return result;
  std::vector<index_t> beaten = detail::beaten_items(first, outcomes);
  const std::vector<index_t> by_second = detail::beaten_items(second, outcomes);
  index_t sum[2] = {0, 0};
  for (std::size_t i = 0; i < beaten.size(); ++i) {
    beaten[i] -= by_second[i];
    sum[outcomes[i] == 1] += beaten[i];
  }
  const double size[2] = {static_cast<double>(count[0]), static_cast<double>(count[1])};
  const double unit = 2 * size[0] * size[1];
  result.difference = static_cast<double>(sum[1]) / unit;
  if (count[0] < 2 || count[1] < 2) return result;
  double squares[2] = {0, 0};
  for (std::size_t i = 0; i < beaten.size(); ++i) {
    const bool kind = outcomes[i] == 1;
    const auto deviation = static_cast<double>(count[kind] * beaten[i] - sum[kind]);
    squares[kind] += deviation * deviation;
  }
  result.standard_error = std::sqrt(squares[0] / (size[0] - 1) / size[0] + squares[1] / (size[1] - 1) / size[1]) / unit;
  if (result.standard_error == 0 && result.difference != 0) return result;
  result.z = result.difference == 0 ? 0 : result.difference / result.standard_error;
  result.p_value = 2 * normal_cdf(-std::abs(result.z));
  return result;
}

/// difference +- z standard_error, NaN where the error is.
/// @throws std::invalid_argument unless level is in (0, 1).
inline interval delong_interval(const auc_comparison& c, double level = 0.95) {
  invalid_argument_unless(level > 0 && level < 1, "hone::statistics::delong_interval", "level",
                          "must be in (0, 1), is %g", level);
  const double half = -normal_quantile((1 - level) / 2) * c.standard_error;
  return {c.difference - half, c.difference + half};
}

}  // namespace HONE_NAMESPACE::statistics
