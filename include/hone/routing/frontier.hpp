// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Routers, or models, as points (cost, quality), and one number for a set of them:
///   hull     the least concave function that never falls above the points: what mixing them at random reaches
///   AIQ      the mean of the hull over costs, its last quality kept up to a common largest cost
///                                                           [Hu et al. 2024, RouterBench, arXiv 2403.12031]
///   arena    S = (1 + beta) A C / (beta A + C), C the cost's place between two fixed ones, in logarithms
///                                                           [RouterArena, scores of RouteWorks/RouterArena]
#pragma once
#include "hone/core/contract.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

struct cost_quality {
  double cost = 0;
  double quality = 0;
};

namespace detail {

/// By cost; of equal ones the best first.
inline std::vector<cost_quality> by_cost(std::span<const cost_quality> points, const char* function) {
  for (std::size_t i = 0; i < points.size(); ++i)
    invalid_argument_unless(std::isfinite(points[i].cost) && std::isfinite(points[i].quality), function, "points",
                            "element %zu is not finite: %g, %g", i, points[i].cost, points[i].quality);
  std::vector<cost_quality> sorted(points.begin(), points.end());
  std::sort(sorted.begin(), sorted.end(), [](const cost_quality& a, const cost_quality& b) {
    return a.cost < b.cost || (a.cost == b.cost && a.quality > b.quality);
  });
  return sorted;
}

}  // namespace detail

/// The points that no other beats in cost and quality, by cost. @throws std::invalid_argument if one is not finite.
/// @note O(n log n).
inline std::vector<cost_quality> pareto_points(std::span<const cost_quality> points) {
  std::vector<cost_quality> result;
  for (const cost_quality& p : detail::by_cost(points, "hone::routing::pareto_points"))
    if (result.empty() || p.quality > result.back().quality) result.push_back(p);
  return result;
}

/// The corners of the hull, by cost, from the cheapest point to the best. @throws and @note as pareto_points.
inline std::vector<cost_quality> quality_hull(std::span<const cost_quality> points) {
  std::vector<cost_quality> hull;
  for (const cost_quality& p : pareto_points(points)) {
    const auto below = [&](const cost_quality& a, const cost_quality& b) {  // b is not above the line from a to p
      return (b.quality - a.quality) * (p.cost - a.cost) <= (p.quality - a.quality) * (b.cost - a.cost);
    };
    while (hull.size() > 1 && below(hull[hull.size() - 2], hull.back())) hull.pop_back();
    hull.push_back(p);
  }
  return hull;
}

/// What the area is divided by.
enum class aiq_divisor : std::uint8_t {
  range,   ///< the paper's: from the hull's smallest cost to the largest
  maximum  ///< the largest cost alone, as RouterBench's code does: free models make it 1 at best, dear ones less
};

/// AIQ of @p points up to @p max_cost. None of no points, and where the divisor is not positive.
/// @throws std::invalid_argument if a point is not finite, or max_cost is, or lies below the cost of the hull's last
/// corner. @note As quality_hull.
inline std::optional<double> aiq(std::span<const cost_quality> points, double max_cost,
                                 aiq_divisor divisor = aiq_divisor::range) {
  const std::vector<cost_quality> hull = quality_hull(points);
  if (hull.empty()) return std::nullopt;
  invalid_argument_unless(std::isfinite(max_cost) && max_cost >= hull.back().cost, "hone::routing::aiq", "max_cost",
                          "is %g, the hull ends at %g", max_cost, hull.back().cost);
  double area = (max_cost - hull.back().cost) * hull.back().quality;
  for (std::size_t i = 1; i < hull.size(); ++i)
    area += (hull[i].cost - hull[i - 1].cost) * (hull[i].quality + hull[i - 1].quality) / 2;
  const double by = divisor == aiq_divisor::range ? max_cost - hull.front().cost : max_cost;
  if (!(by > 0)) return std::nullopt;
  return area / by;
}

struct arena_options {
  double max_cost = 200;     ///< of a thousand queries, in dollars: C is 0 there
  double min_cost = 0.0044;  ///< C is 1 there
  double beta = 0.1;         ///< below 1 accuracy counts more
};

struct arena_score {
  double cheapness = 0;  ///< C; beyond [0, 1] where the cost is beyond the two
  double score = 0;      ///< S; 0 of 0 / 0
};

/// RouterArena's score of an @p accuracy in [0, 1] at a @p cost of a thousand queries.
/// @throws std::invalid_argument unless accuracy is in [0, 1], cost is positive and finite, 0 < min_cost < max_cost,
/// and beta is positive.
inline arena_score score_arena(double accuracy, double cost, const arena_options& options = {}) {
  const char* function = "hone::routing::score_arena";
  invalid_argument_unless(accuracy >= 0 && accuracy <= 1, function, "accuracy", "must be in [0, 1], is %g", accuracy);
  invalid_argument_unless(cost > 0 && std::isfinite(cost), function, "cost", "must be positive and finite, is %g",
                          cost);
  invalid_argument_unless(
      0 < options.min_cost && options.min_cost < options.max_cost && std::isfinite(options.max_cost), function,
      "options", "costs must be 0 < min < max, are %g and %g", options.min_cost, options.max_cost);
  invalid_argument_unless(options.beta > 0 && std::isfinite(options.beta), function, "beta",
                          "must be positive and finite, is %g", options.beta);
  const double top = std::log2(options.max_cost);
  const double c = (top - std::log2(cost)) / (top - std::log2(options.min_cost));
  const double divisor = options.beta * accuracy + c;
  return {.cheapness = c, .score = divisor == 0 ? 0 : (1 + options.beta) * accuracy * c / divisor};
}

}  // namespace HONE_NAMESPACE::routing
