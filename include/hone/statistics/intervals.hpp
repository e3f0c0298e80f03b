// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Confidence intervals of means and of proportions. What a level promises:
///   student_interval           exactly that, of values from a normal distribution; of others as their number grows
///   clopper_pearson_interval   at least that, of any proportion and count: a guarantee, on average too wide
///   wilson_interval            about that on average over proportions; shorter
/// All functions here allocate nothing and take constant time: of the normal quantile, or, where they say Student or
/// Clopper and Pearson, of inverting the incomplete beta function, some ten evaluations.
#pragma once
#include "hone/core/beta.hpp"
#include "hone/statistics/means.hpp"

namespace HONE_NAMESPACE::statistics {

struct interval {
  double low = 0;
  double high = 0;
};

/// Half of the interval of a mean, t s / sqrt(n) with Student's t of n - 1 degrees of freedom; follows +-.
/// NaN below two values, and where the standard error is.
/// @throws std::invalid_argument unless level is in (0, 1).
inline double student_margin(const mean_estimate& m, double level = 0.95) {
  invalid_argument_unless(level > 0 && level < 1, "hone::statistics::student_margin", "level",
                          "must be in (0, 1), is %g", level);
  const double tail = (1 - level) / 2;
  return -student_quantile(tail, static_cast<double>(m.count - 1)) * m.standard_error;
}

/// mean +- student_margin. [Student 1908] @throws std::invalid_argument unless level is in (0, 1).
inline interval student_interval(const mean_estimate& m, double level = 0.95) {
  const double margin = student_margin(m, level);
  return {m.mean - margin, m.mean + margin};
}

namespace detail {
inline void check_proportion(index_t successes, index_t count, double level, const char* function) {
  invalid_argument_unless(count > 0, function, "count", "must be positive, is %td", count);
  invalid_argument_unless(0 <= successes && successes <= count, function, "successes", "must be in [0, %td], is %td",
                          count, successes);
  invalid_argument_unless(level > 0 && level < 1, function, "level", "must be in (0, 1), is %g", level);
}
}  // namespace detail

/// The proportion p at which @p successes of @p count or fewer have probability 1 - level: whatever the true proportion
/// is, it is above p with probability at most 1 - level. [Clopper, Pearson 1934]
/// @throws std::invalid_argument unless 0 <= successes <= count, count > 0 and level is in (0, 1).
inline double clopper_pearson_upper(index_t successes, index_t count, double level) {
  detail::check_proportion(successes, count, level, "hone::statistics::clopper_pearson_upper");
  if (successes == count) return 1;
  return beta_quantile(level, static_cast<double>(successes + 1), static_cast<double>(count - successes));
}

/// The same from below. @throws as clopper_pearson_upper.
inline double clopper_pearson_lower(index_t successes, index_t count, double level) {
  detail::check_proportion(successes, count, level, "hone::statistics::clopper_pearson_lower");
  if (successes == 0) return 0;
  return beta_quantile(1 - level, static_cast<double>(successes), static_cast<double>(count - successes + 1));
}

/// Both, each with half of what @p level leaves. @throws as clopper_pearson_upper.
inline interval clopper_pearson_interval(index_t successes, index_t count, double level = 0.95) {
  detail::check_proportion(successes, count, level, "hone::statistics::clopper_pearson_interval");
  const double tail = (1 - level) / 2, hits = static_cast<double>(successes),
               misses = static_cast<double>(count) - hits;
  return {successes == 0 ? 0 : beta_quantile(tail, hits, misses + 1),
          successes == count ? 1 : 1 - beta_quantile(tail, misses, hits + 1)};
}

/// Wilson's score interval of a proportion, @p successes of @p count. [Wilson 1927]
/// @throws std::invalid_argument unless 0 <= successes <= count, count > 0 and level is in (0, 1).
inline interval wilson_interval(index_t successes, index_t count, double level = 0.95) {
  detail::check_proportion(successes, count, level, "hone::statistics::wilson_interval");
  const double z = -normal_quantile((1 - level) / 2), n = static_cast<double>(count);
  const double p = static_cast<double>(successes) / n, shrink = 1 / (1 + z * z / n);
  const double middle = shrink * (p + z * z / (2 * n));
  const double half = shrink * z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {successes == 0 ? 0 : middle - half, successes == count ? 1 : middle + half};
}

}  // namespace HONE_NAMESPACE::statistics
