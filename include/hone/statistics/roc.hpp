// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How well a score separates two sets: the area under the receiver operating characteristic, which is the probability
/// that a positive scores above a negative, ties counting one half; its error by DeLong; and points of the curve.
/// [DeLong, DeLong, Clarke-Pearson 1988; midranks as Sun, Xu 2014]
#pragma once
#include "hone/statistics/intervals.hpp"

#include <algorithm>
#include <vector>

namespace HONE_NAMESPACE::statistics {

struct auc_estimate {
  double auc = std::numeric_limits<double>::quiet_NaN();
  double standard_error = std::numeric_limits<double>::quiet_NaN();  ///< NaN below two of either kind
  index_t positives = 0;
  index_t negatives = 0;
  index_t nans = 0;  ///< scores that have no order; with any of them the two above are NaN
};

namespace detail {

inline index_t count_nans(std::span<const double> x) {
  return std::count_if(x.begin(), x.end(), [](double v) { return std::isnan(v); });
}

/// For each of @p x the share of @p y that lies below it, equals counting one half; their mean and variance. Both
/// ascend.
inline mean_estimate shares_below(std::span<const double> x, std::span<const double> y) {
  std::vector<double> shares;
  shares.reserve(x.size());
  std::size_t below = 0, not_above = 0;
  for (const double value : x) {
    while (below < y.size() && y[below] < value) ++below;
    while (not_above < y.size() && y[not_above] <= value) ++not_above;
    shares.push_back(static_cast<double>(below + not_above) / (2 * static_cast<double>(y.size())));
  }
  return estimate_mean(shares);
}

}  // namespace detail

/// The area under the curve of @p positives against @p negatives, scores of any sign and scale.
/// @throws std::invalid_argument if either is empty.
/// @note Sorts copies; infinite scores are ordered like others; invariant under increasing maps.
inline auc_estimate auc(std::span<const double> positives, std::span<const double> negatives) {
  const char* function = "hone::statistics::auc";
  invalid_argument_unless(!positives.empty(), function, "positives", "is empty");
  invalid_argument_unless(!negatives.empty(), function, "negatives", "is empty");
  auc_estimate result{.positives = std::ssize(positives), .negatives = std::ssize(negatives)};
  result.nans = detail::count_nans(positives) + detail::count_nans(negatives);
  if (result.nans > 0) return result;
  std::vector<double> above(positives.begin(), positives.end()), below(negatives.begin(), negatives.end());
  std::sort(above.begin(), above.end());
  std::sort(below.begin(), below.end());
  const mean_estimate up = detail::shares_below(above, below), down = detail::shares_below(below, above);
  result.auc = up.mean;
  result.standard_error = std::hypot(up.standard_error, down.standard_error);
  return result;
}

/// auc +- z standard_error, cut to [0, 1]. Where the two sets are separated the error is 0: then only more items help.
/// @throws std::invalid_argument unless level is in (0, 1).
inline interval delong_interval(const auc_estimate& a, double level = 0.95) {
  invalid_argument_unless(level > 0 && level < 1, "hone::statistics::delong_interval", "level",
                          "must be in (0, 1), is %g", level);
  const double half = -normal_quantile((1 - level) / 2) * a.standard_error;
  const auto cut = [](double x) { return x < 0 ? 0.0 : x > 1 ? 1.0 : x; };
  return {cut(a.auc - half), cut(a.auc + half)};
}

/// The largest share of positives at or above a threshold at which at most the share @p fpr of the negatives is: the
/// curve itself, nothing between its points. NaN with any NaN score.
/// @throws std::invalid_argument if either is empty, or fpr is not in [0, 1].
/// @note Linear: a copy of the negatives is partitioned.
inline double true_positive_rate(std::span<const double> positives, std::span<const double> negatives, double fpr) {
  const char* function = "hone::statistics::true_positive_rate";
  invalid_argument_unless(!positives.empty(), function, "positives", "is empty");
  invalid_argument_unless(!negatives.empty(), function, "negatives", "is empty");
  invalid_argument_unless(fpr >= 0 && fpr <= 1, function, "fpr", "must be in [0, 1], is %g", fpr);
  if (detail::count_nans(positives) + detail::count_nans(negatives) > 0)
    return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> below(negatives.begin(), negatives.end());
  const auto n = static_cast<double>(below.size());
  // fpr = k / n means k of the negatives, whatever the rounding of the division did.
  const auto allowed = static_cast<std::size_t>(fpr * n * (1 + 4e-16));
  if (allowed >= below.size()) return 1;
  // The threshold lies just above the first negative that may not be passed.
  std::nth_element(below.begin(), below.begin() + static_cast<index_t>(allowed), below.end(),
                   [](double a, double b) { return a > b; });
  const double barred = below[allowed];
  const auto passed = std::count_if(positives.begin(), positives.end(), [&](double p) { return p > barred; });
  return static_cast<double>(passed) / static_cast<double>(positives.size());
}

}  // namespace HONE_NAMESPACE::statistics
