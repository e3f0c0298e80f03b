// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bootstrap of whatever is read off a deferral curve: prompts are sorted once, a replicate is how often each was
/// drawn, and its curve is one pass over those counts. Scores stay as they are: what a router learned on these prompts
/// is not learned anew.
#pragma once
#include "hone/routing/deferral.hpp"
#include "hone/statistics/bootstrap.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

namespace detail {

/// The curve of rows in the order of their scores, each counts[i] times.
inline deferral_curve curve_of_counts(std::span<const double> scores, std::span<const double> weak,
                                      std::span<const double> strong, std::span<const std::uint32_t> counts, ties how) {
  deferral_curve result{.points = {}, .how = how};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    result.count += counts[i];
    result.weak_total += counts[i] * weak[i];
    result.strong_total += counts[i] * strong[i];
  }
  result.points.reserve(counts.size() + 1);
  double gain = 0;
  index_t calls = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    if (calls == 0 || how == ties::file_order || result.points.back().kept_from != scores[i])
      result.points.push_back({.kept_from = scores[i], .calls = calls, .total = result.weak_total + gain});
    calls += counts[i];
    gain += counts[i] * (strong[i] - weak[i]);
  }
  result.points.push_back(
      {.kept_from = std::numeric_limits<double>::infinity(), .calls = calls, .total = result.strong_total});
  return result;
}

}  // namespace detail

/// Replicates of the curve of @p scores: statistic(const deferral_curve&, std::span<double> values) writes @p count
/// values of one, NaN where there is none, and is called from any thread of @p pool.
/// @throws std::invalid_argument as `curve` and `statistics::bootstrap_counts_of`, and if a score is NaN.
/// @note One sort; replicates * (draws, a pass, a curve of 24 bytes a row, a statistic). Bitwise for any executor. The
/// items that are drawn are the rows by score, equal ones in the order of the file.
template <class Statistic, executor E = const serial>
std::vector<statistics::bootstrap_estimate> bootstrap_curve(
    std::span<const double> weak, std::span<const double> strong, std::span<const double> scores, ties how,
    index_t count, Statistic&& statistic, const statistics::bootstrap_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::routing::bootstrap_curve";
  const deferral_curve whole = curve(weak, strong, scores, how);  // looks at the arguments, too
  invalid_argument_unless(whole.nans == 0, function, "scores", "%td are NaN", whole.nans);
  std::vector<statistics::scored> order;
  order.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) order.push_back({scores[i], static_cast<double>(i)});
  statistics::sort_by_score(order);
  std::vector<double> by_score[3];
  for (std::vector<double>& column : by_score) column.reserve(order.size());
  for (const statistics::scored& row : order) {
    const auto i = static_cast<std::size_t>(row.value);
    by_score[0].push_back(scores[i]);
    by_score[1].push_back(weak[i]);
    by_score[2].push_back(strong[i]);
  }
  const auto of_counts = [&](std::span<const std::uint32_t> counts, std::span<double> values) {
    const deferral_curve c = detail::curve_of_counts(by_score[0], by_score[1], by_score[2], counts, how);
    statistic(c, values);
  };
  return statistics::bootstrap_counts_of(std::ssize(scores), count, of_counts, options, pool);
}

}  // namespace HONE_NAMESPACE::routing
