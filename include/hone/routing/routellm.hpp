// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The figures of RouteLLM as its script makes them: not the curve, but the eleven points at which the win rates of the
/// strong model, 1 - score, are cut at their deciles as pd.qcut cuts them, each with all equal win rates; APGR by
/// trapezoids over these, call thresholds by np.interp, which takes qualities for rising. Where two deciles coincide,
/// as those of a score of few values, pd.qcut throws: there are no points, and a reason. Deciles are exact; where n - 1
/// is a multiple of 10 they are scores themselves, and pandas' rounding, another one in each version, may lose a call.
/// [Ong et al. 2024, RouteLLM, arXiv 2406.18665; routellm/evals of lm-sys/RouteLLM]
#pragma once
#include "hone/routing/deferral.hpp"
#include "hone/statistics/quantile.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace HONE_NAMESPACE::routing {

struct quantile_point {
  double call_rate = 0;
  double quality = 0;
};

struct quantile_curve {
  std::array<quantile_point, 11> points = {};  ///< by call rate, from 0 to 1
  absence why = absence::none;                 ///< if there are none
  absence why_no_recovery = absence::none;
};

/// The eleven points of a curve with averaged ties or in the order of the file, which are the same ones.
/// @note Eleven look-ups; allocates nothing. Deciles next to an infinite score are none.
inline quantile_curve routellm_points(const deferral_curve& c) {
  quantile_curve result{.why = c.why(), .why_no_recovery = c.why_no_recovery()};
  if (result.why != absence::none) return result;
  // Win rates ascend where scores descend: rank r of them is the score of rank count - 1 - r.
  const auto win = [&](index_t rank) {
    const index_t calls = c.count - 1 - rank;
    const auto next = std::upper_bound(c.points.begin(), c.points.end(), calls,
                                       [](index_t k, const deferral_point& p) { return k < p.calls; });
    return -next[-1].kept_from;
  };
  std::array<double, 11> edges{};
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const index_t tenths = static_cast<index_t>(i) * (c.count - 1), below = tenths / 10;
    const double part = static_cast<double>(tenths % 10) / 10;
    const double low = win(below), high = win((min)(below + 1, c.count - 1));
    edges[i] = low == high || part == 0 ? low : low + part * (high - low);
    if (i > 0 && !(edges[i - 1] < edges[i])) {
      result.why = result.why_no_recovery = absence::equal_edges;
      return result;
    }
  }
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const auto end = std::upper_bound(c.points.begin(), c.points.end(), -edges[i],
                                      [](double score, const deferral_point& p) { return score < p.kept_from; });
    // The last threshold is not reached, it has to be exceeded.
    const deferral_point& p = i + 1 == edges.size() ? c.points.front() : end == c.points.end() ? c.points.back() : *end;
    const auto n = static_cast<double>(c.count);
    result.points[edges.size() - 1 - i] = {static_cast<double>(p.calls) / n, p.total / n};
  }
  return result;
}

/// The mean recovery over call rates, by trapezoids between the eleven points.
inline measure apgr(const quantile_curve& c) {
  if (c.why_no_recovery != absence::none) return {.why = c.why_no_recovery};
  const double weak = c.points.front().quality, gain = c.points.back().quality - weak;
  double twice = 0;
  for (std::size_t i = 1; i < c.points.size(); ++i)
    twice += (c.points[i].call_rate - c.points[i - 1].call_rate) *
             (c.points[i].quality - weak + (c.points[i - 1].quality - weak));
  return {.value = twice / (2 * gain)};
}

/// The share of calls of a recovery as np.interp finds it between the eleven points: right where qualities rise; where
/// they do not, on whichever of the crossings its search ends (as NumPy 1.24 and 2 search, for one value).
/// @throws std::invalid_argument unless share is in [0, 1].
inline measure call_threshold(const quantile_curve& c, double share) {
  invalid_argument_unless(share >= 0 && share <= 1, "hone::routing::call_threshold", "share",
                          "must be in [0, 1], is %g", share);
  if (c.why_no_recovery != absence::none) return {.why = c.why_no_recovery};
  const auto& at = c.points;
  const double wanted = at.front().quality + share * (at.back().quality - at.front().quality);
  const auto reached = [&](std::size_t i) { return wanted >= at[i].quality; };
  std::size_t low = 0;  // the last that is reached, as NumPy looks for it
  while (low < 3 && reached(low + 1)) ++low;
  if (low == 3) {
    std::size_t high = wanted < at[9].quality ? 9 : at.size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (reached(middle))
        low = middle + 1;
      else
        high = middle;
    }
    --low;
  }
  if (low + 1 >= at.size() || at[low].quality == wanted) return {.value = at[(min)(low, at.size() - 1)].call_rate};
  const double slope = (at[low + 1].call_rate - at[low].call_rate) / (at[low + 1].quality - at[low].quality);
  return {.value = slope * (wanted - at[low].quality) + at[low].call_rate};
}

/// RouteLLM's threshold for a share @p rate of calls: the quantile (type 7) of @p scores, ascending, at and below which
/// prompts are called; 1 - it is the threshold on win rates. Of other prompts it promises nothing, unlike
/// `threshold_by_call_rate`. @throws as statistics::sorted_quantile.
inline double routellm_threshold(std::span<const double> sorted_scores, double rate) {
  return statistics::sorted_quantile(sorted_scores, rate);
}

}  // namespace HONE_NAMESPACE::routing
