// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a router makes of two models. Each prompt has a quality of the weak model's answer, s, one of the strong
/// model's, g (0 and 1, or any scale), and the router's score: the higher, the likelier the weak model's answer does.
/// Prompts of the lowest scores are called: answered by the strong model. The curve is the mean quality over calls,
///   phi(k) = (sum of g over the k prompts of lowest score + sum of s over the others) / n,   k = 0 ... n
/// from one sort. Figures of it:
///   recovery (PGR)   (phi - phi(0)) / (phi(n) - phi(0))                  [Ong et al. 2024, RouteLLM, arXiv 2406.18665]
///   APGR             the mean recovery over calls, by trapezoids
///   CPT              the share of calls at which a recovery is first reached
/// A random router has the straight line between the two models, APGR 1/2; the best possible, `oracle_curve`, calls
/// those first that gain most.
#pragma once
#include "hone/statistics/scored.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

/// Why a figure has no value.
enum class absence : std::uint8_t {
  none,
  no_rows,
  nan_scores,        ///< scores without an order; `nans` of a curve says how many
  strong_no_better,  ///< nothing can be recovered
  empty_band,        ///< no point of the curve lies in it
  equal_edges,       ///< two quantiles of the scores coincide
  one_class,         ///< all outcomes agree
  no_probability     ///< scores that are not in [0, 1]
};

constexpr const char* text_of(absence a) {
  constexpr const char* texts[] = {"",
                                   "there are no rows",
                                   "scores are NaN",
                                   "the strong model is no better than the weak one",
                                   "no point of the curve is in the band",
                                   "quantiles of the scores coincide",
                                   "all outcomes are the same",
                                   "scores are not all in [0, 1]"};
  return texts[static_cast<std::size_t>(a)];
}

/// A figure, or why there is none.
struct measure {
  std::optional<double> value = {};
  absence why = absence::none;
};

/// The order of prompts of equal scores.
enum class ties : std::uint8_t {
  averaged,   ///< a straight line over each block of them: the mean over all orders
  file_order  ///< as they come, which is what most scripts do: depends on the file
};

struct deferral_point {
  double kept_from;  ///< the lowest score that is not called; infinity where all are
  index_t calls;     ///< prompts that are answered by the strong model
  double total;      ///< the sum of the qualities
};

struct deferral_curve {
  /// From no calls to all; between them the curve is straight. None of no rows, and where a score is NaN.
  std::vector<deferral_point> points;
  index_t count = 0;
  index_t nans = 0;
  double weak_total = 0;    ///< the sum of qualities without calls
  double strong_total = 0;  ///< where all prompts are called
  ties how = ties::averaged;

  [[nodiscard]] absence why() const {
    return nans > 0 ? absence::nan_scores : count == 0 ? absence::no_rows : absence::none;
  }
  /// Why nothing is recovered, too.
  [[nodiscard]] absence why_no_recovery() const {
    return why() != absence::none ? why() : strong_total > weak_total ? absence::none : absence::strong_no_better;
  }
  [[nodiscard]] double weak() const { return weak_total / static_cast<double>(count); }
  [[nodiscard]] double strong() const { return strong_total / static_cast<double>(count); }
  /// By how much rounding may have moved a total: what lies within it is met.
  [[nodiscard]] double slack() const { return 1e-12 * (std::abs(weak_total) + std::abs(strong_total)); }
  /// The mean quality of a random router.
  [[nodiscard]] double random(double calls) const {
    return weak() + (strong() - weak()) * calls / static_cast<double>(count);
  }
  /// The mean quality; NaN without points. @p calls in [0, count], whole or not. @note O(log points).
  [[nodiscard]] double at(double calls) const {
    if (points.empty()) return std::numeric_limits<double>::quiet_NaN();
    const auto above = std::lower_bound(points.begin(), points.end(), calls, [](const deferral_point& p, double k) {
      return static_cast<double>(p.calls) < k;
    });
    const deferral_point& high = above == points.end() ? points.back() : *above;
    double total = high.total;
    if (above != points.end() && static_cast<double>(high.calls) > calls && above != points.begin()) {
      const deferral_point& low = above[-1];
      const double share = (calls - static_cast<double>(low.calls)) / static_cast<double>(high.calls - low.calls);
      total = low.total + share * (high.total - low.total);
    }
    return total / static_cast<double>(count);
  }
};

/// The curve of @p scores over the qualities @p weak and @p strong of the two models' answers. Infinite scores are
/// ordered like others.
/// @throws std::invalid_argument if the sizes differ or a quality is not finite.
/// @note Linear for many rows: 16 bytes a row, twice, while they are sorted, then 24 a point. Totals are added up in
/// order: exact, and the same for any order of the rows if ties are averaged, of whole numbers.
inline deferral_curve curve(std::span<const double> weak, std::span<const double> strong,
                            std::span<const double> scores, ties how = ties::averaged) {
  const char* function = "hone::routing::curve";
  invalid_argument_unless(weak.size() == scores.size(), function, "weak", "has %zu, scores %zu", weak.size(),
                          scores.size());
  invalid_argument_unless(strong.size() == scores.size(), function, "strong", "has %zu, scores %zu", strong.size(),
                          scores.size());
  deferral_curve result{.points = {}, .count = std::ssize(scores), .how = how};
  for (std::size_t i = 0; i < scores.size(); ++i) {
    invalid_argument_unless(std::isfinite(weak[i]), function, "weak", "element %zu is %g", i, weak[i]);
    invalid_argument_unless(std::isfinite(strong[i]), function, "strong", "element %zu is %g", i, strong[i]);
    result.weak_total += weak[i];
    result.strong_total += strong[i];
    result.nans += std::isnan(scores[i]);
  }
  if (result.why() != absence::none) return result;
  std::vector<statistics::scored> rows;
  rows.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) rows.push_back({scores[i], strong[i] - weak[i]});
  statistics::sort_by_score(rows);
  const auto ends = [&](std::size_t i) {
    return i + 1 == rows.size() || how == ties::file_order || rows[i + 1].score != rows[i].score;
  };
  std::size_t count = 1;
  for (std::size_t i = 0; i < rows.size(); ++i) count += ends(i);
  result.points.reserve(count);
  result.points.push_back({rows[0].score, 0, result.weak_total});
  double gain = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    gain += rows[i].value;
    if (ends(i))
      result.points.push_back({i + 1 < rows.size() ? rows[i + 1].score : std::numeric_limits<double>::infinity(),
                               static_cast<index_t>(i + 1), result.weak_total + gain});
  }
  result.points.back().total = result.strong_total;
  return result;
}

/// The curve of the best order: those that gain most from the strong model first. It lies on or above every other.
/// @throws and @note as curve; 8 bytes a row more.
inline deferral_curve oracle_curve(std::span<const double> weak, std::span<const double> strong) {
  invalid_argument_unless(weak.size() == strong.size(), "hone::routing::oracle_curve", "weak", "has %zu, strong %zu",
                          weak.size(), strong.size());
  std::vector<double> losses(weak.size());
  for (std::size_t i = 0; i < losses.size(); ++i) losses[i] = weak[i] - strong[i];
  return curve(weak, strong, losses);
}

/// The area under the curve, over shares of calls from 0 to 1: the mean quality over all numbers of calls.
/// @note One pass over the points.
inline measure curve_area(const deferral_curve& c) {
  if (c.why() != absence::none) return {.why = c.why()};
  double twice = 0;
  for (std::size_t i = 1; i < c.points.size(); ++i)
    twice +=
        static_cast<double>(c.points[i].calls - c.points[i - 1].calls) * (c.points[i].total + c.points[i - 1].total);
  const auto n = static_cast<double>(c.count);
  return {.value = twice / (2 * n * n)};
}

/// The share of the way from the weak model to the strong one at @p calls in [0, count]: PGR.
inline measure recovery(const deferral_curve& c, double calls) {
  if (c.why_no_recovery() != absence::none) return {.why = c.why_no_recovery()};
  return {.value = (c.at(calls) - c.weak()) / (c.strong() - c.weak())};
}

/// The mean recovery over all shares of calls.
/// @note One pass over the points; of whole numbers exact up to one rounding.
inline measure apgr(const deferral_curve& c) {
  if (c.why_no_recovery() != absence::none) return {.why = c.why_no_recovery()};
  double twice = 0;
  for (std::size_t i = 1; i < c.points.size(); ++i) {
    const deferral_point &from = c.points[i - 1], &to = c.points[i];
    twice += static_cast<double>(to.calls - from.calls) * ((from.total - c.weak_total) + (to.total - c.weak_total));
  }
  return {.value = twice / (2 * static_cast<double>(c.count) * (c.strong_total - c.weak_total))};
}

/// The share of calls, in [0, 1], at which the recovery is first @p share: CPT. Of a curve of `ties::averaged`, as
/// hone says it; between calls linear.
/// @throws std::invalid_argument unless share is in [0, 1]. @note One pass over the points.
inline measure call_threshold(const deferral_curve& c, double share) {
  invalid_argument_unless(share >= 0 && share <= 1, "hone::routing::call_threshold", "share",
                          "must be in [0, 1], is %g", share);
  if (c.why_no_recovery() != absence::none) return {.why = c.why_no_recovery()};
  const double exact = share * (c.strong_total - c.weak_total), wanted = exact - c.slack();
  const auto gain = [&](const deferral_point& p) { return p.total - c.weak_total; };
  auto to = c.points.begin();
  while (to + 1 != c.points.end() && gain(*to) < wanted) ++to;
  double calls = static_cast<double>(to->calls);
  if (to != c.points.begin() && gain(*to) > exact)
    calls -= (gain(*to) - exact) / (gain(*to) - gain(to[-1])) * static_cast<double>(to->calls - to[-1].calls);
  return {.value = calls / static_cast<double>(c.count)};
}

}  // namespace HONE_NAMESPACE::routing
