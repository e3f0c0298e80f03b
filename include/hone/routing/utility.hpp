// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Routing by what answers cost:
///   utility    U = Q - lambda C, lambda the quality that a unit of cost has to bring; of two models the best number of
///              calls on the deferral curve, of N the model of highest predicted utility
///   cascade    models one after the other, each answer scored, the first whose score exceeds its threshold is taken;
///              all that were asked are paid     [Chen, Zaharia, Zou 2023, FrugalGPT, arXiv 2305.05176]
/// Tables have a row a prompt and a column a model.
#pragma once
#include "hone/core/view.hpp"
#include "hone/routing/deferral.hpp"
#include "hone/routing/frontier.hpp"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

struct best_calls {
  index_t calls = 0;
  double kept_from = 0;  ///< the lowest score that is kept; infinity where none is
  double quality = std::numeric_limits<double>::quiet_NaN();
  double cost = std::numeric_limits<double>::quiet_NaN();  ///< the mean of a prompt
  double utility = std::numeric_limits<double>::quiet_NaN();
  absence why = absence::none;  ///< if the three above are NaN
};

/// The fewest calls of highest utility, where an answer of the weak model costs @p weak_cost, one of the strong model
/// @p strong_cost. Of a curve with averaged ties prompts of one score go together; found on these prompts, the utility
/// promises too much of others.
/// @throws std::invalid_argument unless costs and lambda are finite. @note One pass over the points.
inline best_calls maximise_utility(const deferral_curve& c, double weak_cost, double strong_cost, double lambda) {
  const char* function = "hone::routing::maximise_utility";
  invalid_argument_unless(std::isfinite(weak_cost), function, "weak_cost", "must be finite, is %g", weak_cost);
  invalid_argument_unless(std::isfinite(strong_cost), function, "strong_cost", "must be finite, is %g", strong_cost);
  invalid_argument_unless(std::isfinite(lambda), function, "lambda", "must be finite, is %g", lambda);
  best_calls best{.why = c.why()};
  const auto n = static_cast<double>(c.count);
  for (const deferral_point& p : c.points) {
    const double quality = p.total / n, cost = weak_cost + (strong_cost - weak_cost) * static_cast<double>(p.calls) / n;
    const double utility = quality - lambda * cost;
    // Of utilities that only rounding parts the first.
    if (!(p.calls == 0 || utility > best.utility + 1e-12 * (std::abs(quality) + std::abs(lambda * cost)))) continue;
    best = {.calls = p.calls, .kept_from = p.kept_from, .quality = quality, .cost = cost, .utility = utility};
  }
  return best;
}

struct model_choices {
  std::vector<index_t> model;  ///< of each prompt
  index_t nans = 0;            ///< prompts with a prediction or a cost that is NaN: they go to the last model
};

namespace detail {

inline void check_tables(matrix_view<const double> first, matrix_view<const double> second, const char* argument,
                         const char* function) {
  invalid_argument_unless(first.cols() >= 1, function, "models", "must be at least one, are %td", first.cols());
  invalid_argument_unless(second.rows() == first.rows() && second.cols() == first.cols(), function, argument,
                          "is %td x %td, not %td x %td", second.rows(), second.cols(), first.rows(), first.cols());
}

}  // namespace detail

/// For each prompt the model of highest predicted utility; of equals the cheapest, then the first. The last model
/// answers where a number is missing: let it be the strongest.
/// @param predicted qualities (n x N). @param costs (n x N), or one row for all prompts by a row stride of 0.
/// @throws std::invalid_argument if the shapes differ, there is no model, or lambda is not finite.
/// @note One pass; 8 bytes a prompt.
inline model_choices choose_by_utility(matrix_view<const double> predicted, matrix_view<const double> costs,
                                       double lambda) {
  const char* function = "hone::routing::choose_by_utility";
  detail::check_tables(predicted, costs, "costs", function);
  invalid_argument_unless(std::isfinite(lambda), function, "lambda", "must be finite, is %g", lambda);
  model_choices result;
  result.model.reserve(static_cast<std::size_t>(predicted.rows()));
  for (index_t i = 0; i < predicted.rows(); ++i) {
    index_t best = 0;
    double highest = -std::numeric_limits<double>::infinity();
    bool missing = false;
    for (index_t m = 0; m < predicted.cols(); ++m) {
      const double utility = predicted(i, m) - lambda * costs(i, m);
      missing = missing || std::isnan(utility);
      if (!(utility > highest || (utility == highest && costs(i, m) < costs(i, best)))) continue;
      highest = utility;
      best = m;
    }
    result.model.push_back(missing ? predicted.cols() - 1 : best);
    result.nans += missing;
  }
  return result;
}

/// Mean cost and quality of answering each prompt by the model that was chosen for it; NaN of no prompts.
/// @throws std::invalid_argument if the shapes differ or a choice is no model. @note One pass; allocates nothing.
inline cost_quality evaluate_choices(std::span<const index_t> model, matrix_view<const double> quality,
                                     matrix_view<const double> costs) {
  const char* function = "hone::routing::evaluate_choices";
  detail::check_tables(quality, costs, "costs", function);
  invalid_argument_unless(std::ssize(model) == quality.rows(), function, "model", "has %zu, quality %td rows",
                          model.size(), quality.rows());
  cost_quality sum;
  for (std::size_t i = 0; i < model.size(); ++i) {
    const index_t m = model[i], row = static_cast<index_t>(i);
    invalid_argument_unless(0 <= m && m < quality.cols(), function, "model", "element %zu is %td of %td", i, m,
                            quality.cols());
    sum.quality += quality(row, m);
    sum.cost += costs(row, m);
  }
  const auto n = static_cast<double>(model.size());
  return {.cost = sum.cost / n, .quality = sum.quality / n};
}

struct cascade_result {
  cost_quality mean;              ///< NaN of no prompts
  std::vector<index_t> answered;  ///< by each model
  index_t nans = 0;               ///< scores that were looked at and are NaN: such answers are not taken
};

/// A cascade over models from the cheapest on, the columns: the answer of model m is taken if its score exceeds
/// thresholds[m]; the last model's is taken in any case.
/// @param scores of the answers (n x N); the last column is not read. @param quality, costs (n x N); a row stride of 0
///        is one row for all. @param thresholds N - 1.
/// @throws std::invalid_argument if the shapes differ, or a threshold is NaN.
/// @note One pass, over what is asked.
inline cascade_result run_cascade(matrix_view<const double> scores, std::span<const double> thresholds,
                                  matrix_view<const double> quality, matrix_view<const double> costs) {
  const char* function = "hone::routing::run_cascade";
  detail::check_tables(quality, scores, "scores", function);
  detail::check_tables(quality, costs, "costs", function);
  const index_t models = quality.cols();
  invalid_argument_unless(std::ssize(thresholds) == models - 1, function, "thresholds", "has %zu, models %td",
                          thresholds.size(), models);
  for (std::size_t m = 0; m < thresholds.size(); ++m)
    invalid_argument_unless(!std::isnan(thresholds[m]), function, "thresholds", "element %zu is NaN", m);
  cascade_result result{.mean = {}, .answered = std::vector<index_t>(static_cast<std::size_t>(models))};
  for (index_t i = 0; i < quality.rows(); ++i) {
    index_t m = 0;
    for (;; ++m) {
      result.mean.cost += costs(i, m);
      if (m + 1 == models || scores(i, m) > thresholds[static_cast<std::size_t>(m)]) break;
      result.nans += std::isnan(scores(i, m));
    }
    result.mean.quality += quality(i, m);
    ++result.answered[static_cast<std::size_t>(m)];
  }
  const auto n = static_cast<double>(quality.rows());
  result.mean = {.cost = result.mean.cost / n, .quality = result.mean.quality / n};
  return result;
}

}  // namespace HONE_NAMESPACE::routing
