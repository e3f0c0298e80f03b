// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Whether scores still come from where they came from. The population stability index of counts over bins,
///   sum over bins of (q_b - p_b) log(q_b / p_b),   p of the reference, q of now
/// is the symmetric divergence of the two histograms. Without any drift it is about (bins - 1) (1 / n + 1 / m), times a
/// chi-square variate over its degrees: the usual limits 0.1 and 0.25 mean little below some hundred scores.
/// [Yurdakul 2018, Statistical properties of population stability index] Of the scores themselves the two-sample
/// Kolmogorov-Smirnov test (ks.hpp) says how probable they are.
#pragma once
#include "hone/core/contract.hpp"
#include "hone/core/gamma.hpp"
#include "hone/statistics/detail/sort.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::statistics {

struct stability_options {
  index_t bins = 10;
  /// Added to every count, so that a bin without scores is not infinite; 0 is the plain formula: a bin that only one
  /// side has is infinite, one that neither has is 0.
  double pseudo_count = 0.5;
};

struct stability_estimate {
  double index = std::numeric_limits<double>::quiet_NaN();          ///< NaN of one bin, and with any NaN score
  double without_drift = std::numeric_limits<double>::quiet_NaN();  ///< what it is about where nothing has changed
  double p_value = std::numeric_limits<double>::quiet_NaN();  ///< of the index or more without drift, by its limit
  index_t bins = 0;                                           ///< fewer than asked for where scores are equal
  index_t nans = 0;                                           ///< scores that have no order
};

/// Where bins of equal mass of @p reference begin, but for the first: at most bins - 1 scores, ascending, no two the
/// same, none the lowest. A bin holds its own beginning and not its end.
/// @throws std::invalid_argument if reference is empty or has a NaN, or bins < 1. @note Sorts a copy.
inline std::vector<double> equal_mass_edges(std::span<const double> reference, index_t bins) {
  const char* function = "hone::statistics::equal_mass_edges";
  invalid_argument_unless(!reference.empty(), function, "reference", "is empty");
  invalid_argument_unless(bins >= 1, function, "bins", "must be positive, is %td", bins);
  const auto nan = std::find_if(reference.begin(), reference.end(), [](double v) { return std::isnan(v); });
  invalid_argument_unless(nan == reference.end(), function, "reference", "element %td is NaN", nan - reference.begin());
  std::vector<double> sorted(reference.begin(), reference.end()), edges;
  detail::sort_ascending(sorted);
  double last = sorted[0];
  for (index_t b = 1; b < bins; ++b) {
    const double edge = sorted[static_cast<std::size_t>(b) * sorted.size() / static_cast<std::size_t>(bins)];
    if (edge > last) edges.push_back(edge);
    last = edge;
  }
  return edges;
}

/// How many @p scores are in each of edges.size() + 1 bins: below @p edges[0], from there to below edges[1], …, from
/// the last on. NaN is in none.
/// @pre edges ascend. @note O(n log bins).
inline std::vector<index_t> count_in_bins(std::span<const double> scores, std::span<const double> edges) {
  std::vector<index_t> counts(edges.size() + 1);
  for (const double score : scores)
    if (!std::isnan(score))
      ++counts[static_cast<std::size_t>(std::upper_bound(edges.begin(), edges.end(), score) - edges.begin())];
  return counts;
}

/// The index of @p counts against @p reference, bin by bin: what a monitor keeps are edges and two rows of counts.
/// @throws std::invalid_argument if the sizes differ or are 0, a count is negative, either has none at all, or
/// pseudo_count is negative or not finite. @note One pass; allocates nothing.
inline stability_estimate stability_index(std::span<const index_t> reference, std::span<const index_t> counts,
                                          double pseudo_count = stability_options{}.pseudo_count) {
  const char* function = "hone::statistics::stability_index";
  invalid_argument_unless(reference.size() == counts.size() && !counts.empty(), function, "counts",
                          "has %zu bins, reference %zu", counts.size(), reference.size());
  invalid_argument_unless(pseudo_count >= 0 && std::isfinite(pseudo_count), function, "pseudo_count",
                          "must be finite and not negative, is %g", pseudo_count);
  double n = 0, m = 0;
  for (std::size_t b = 0; b < counts.size(); ++b) {
    invalid_argument_unless(reference[b] >= 0, function, "reference", "bin %zu has %td", b, reference[b]);
    invalid_argument_unless(counts[b] >= 0, function, "counts", "bin %zu has %td", b, counts[b]);
    n += static_cast<double>(reference[b]);
    m += static_cast<double>(counts[b]);
  }
  invalid_argument_unless(n > 0, function, "reference", "has no scores");
  invalid_argument_unless(m > 0, function, "counts", "has no scores");
  stability_estimate result{.bins = std::ssize(counts)};
  if (result.bins == 1) return result;
  const double freedom = static_cast<double>(result.bins - 1), added = pseudo_count * static_cast<double>(result.bins);
  result.index = 0;
  for (std::size_t b = 0; b < counts.size(); ++b) {
    const double p = (static_cast<double>(reference[b]) + pseudo_count) / (n + added);
    const double q = (static_cast<double>(counts[b]) + pseudo_count) / (m + added);
    if (p != q) result.index += (q - p) * std::log(q / p);
  }
  result.without_drift = freedom * (1 / n + 1 / m);
  result.p_value =
      std::isinf(result.index) ? 0 : incomplete_gamma(freedom / 2, result.index / (1 / n + 1 / m) / 2).upper;
  return result;
}

/// The index of @p scores against @p reference, over bins of equal mass of the reference. Equal scores of the reference
/// may leave fewer bins; where all agree there is one, and no index: the Kolmogorov-Smirnov test sees such drift too.
/// @throws std::invalid_argument if either is empty, bins < 1, or pseudo_count is negative or not finite.
/// @note Sorts a copy of the reference; O(n log bins). Infinite scores are ordered like others; with NaN there is no
/// index, and they are counted.
inline stability_estimate stability_index(std::span<const double> reference, std::span<const double> scores,
                                          const stability_options& options = {}) {
  const char* function = "hone::statistics::stability_index";
  invalid_argument_unless(!reference.empty(), function, "reference", "is empty");
  invalid_argument_unless(!scores.empty(), function, "scores", "is empty");
  stability_estimate none;
  for (const auto& sample : {reference, scores})
    none.nans += std::count_if(sample.begin(), sample.end(), [](double v) { return std::isnan(v); });
  if (none.nans > 0) return none;
  const std::vector<double> edges = equal_mass_edges(reference, options.bins);
  return stability_index(count_in_bins(reference, edges), count_in_bins(scores, edges), options.pseudo_count);
}

}  // namespace HONE_NAMESPACE::statistics
