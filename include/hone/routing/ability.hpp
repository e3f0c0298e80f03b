// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The ability of a router, RouterXBench's first dimension: how its scores separate prompts that the weak model can
/// answer from the others. Ability is not use: where the strong model fails as well, a call gains nothing; the deferral
/// curve speaks of that.
#pragma once
#include "hone/routing/deferral.hpp"
#include "hone/statistics/ranked_bootstrap.hpp"

#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

/// An estimate and its interval; NaN, all three, where there is none.
struct figure_with_interval {
  double value = std::numeric_limits<double>::quiet_NaN();
  statistics::interval interval = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
};

struct ability_report {
  figure_with_interval auroc;  ///< `statistics::auc_interval`
  figure_with_interval auprc;  ///< percentiles of the bootstrap; beside it `prevalence`, which is chance
  figure_with_interval
      youden_accuracy;  ///< Wilson's, of the threshold as it is: chosen here, it promises a little much
  double youden_threshold = std::numeric_limits<double>::quiet_NaN();
  double youden_index = std::numeric_limits<double>::quiet_NaN();
  double prevalence = std::numeric_limits<double>::quiet_NaN();
  index_t count = 0;
  index_t nans = 0;
  absence why = absence::none;  ///< if there are none but prevalence
};

/// The labels of RouterXBench: whether the weak model's answer is no worse than the strong one's, for graded answers.
/// @throws std::invalid_argument if the sizes differ.
inline std::vector<double> weak_suffices(std::span<const double> weak, std::span<const double> strong) {
  invalid_argument_unless(weak.size() == strong.size(), "hone::routing::weak_suffices", "weak", "has %zu, strong %zu",
                          weak.size(), strong.size());
  std::vector<double> labels;
  labels.reserve(weak.size());
  for (std::size_t i = 0; i < weak.size(); ++i) labels.push_back(weak[i] >= strong[i] ? 1 : 0);
  return labels;
}

/// The AUROC of RouterXBench's script, which takes 0.5 where all labels are of one class; `measure_ability` has none.
/// NaN of no rows and where a score is NaN.
/// @throws std::invalid_argument if the sizes differ or a label is neither 0 nor 1. @note One sort.
inline double reference_auroc(std::span<const double> scores, std::span<const double> labels) {
  const statistics::ranked_scores ranked = statistics::rank_by_outcome(scores, labels);
  const statistics::auc_estimate area = statistics::auc(ranked);
  const bool one_class = area.positives == 0 || area.negatives == 0;
  return one_class && !scores.empty() && ranked.nans == 0 ? 0.5 : area.auc;
}

/// The report of @p scores against @p labels, 1 where the weak model is right (or `weak_suffices`), else 0.
/// @throws std::invalid_argument if the sizes differ, a label is neither 0 nor 1, and as `statistics::bootstrap`.
/// @note One sort, and the bootstrap of average precision. Bitwise for any executor.
template <executor E = const serial>
ability_report measure_ability(std::span<const double> scores, std::span<const double> labels,
                               const statistics::bootstrap_options& options = {}, E&& pool = serial{}) {
  const statistics::ranked_scores ranked = statistics::rank_by_outcome(scores, labels);
  const statistics::auc_estimate area = statistics::auc(ranked);
  const statistics::precision_estimate precision = statistics::average_precision(ranked);
  ability_report result;
  result.prevalence = precision.prevalence;
  result.count = std::ssize(scores);
  result.nans = ranked.nans;
  result.why = result.count == 0                            ? absence::no_rows
               : result.nans > 0                            ? absence::nan_scores
               : area.positives == 0 || area.negatives == 0 ? absence::one_class
                                                            : absence::none;
  if (result.why != absence::none) return result;
  const statistics::youden_estimate best = statistics::youden(ranked);
  result.auroc = {area.auc, statistics::auc_interval(area, options.level)};
  result.auprc = {precision.average_precision,
                  statistics::bootstrap_average_precision(ranked, options, pool).percentile};
  result.youden_accuracy = {best.accuracy(), statistics::wilson_interval(best.right, best.count, options.level)};
  result.youden_threshold = best.threshold;
  result.youden_index = best.index;
  return result;
}

}  // namespace HONE_NAMESPACE::routing
