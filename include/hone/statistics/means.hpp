// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Means with their errors, and what is made of several of them. A score without an error and a count says little.
/// All functions here add up in double and in order, in one pass unless they say two, and allocate nothing.
#pragma once
#include "hone/core/contract.hpp"

#include <cmath>
#include <limits>
#include <span>

namespace HONE_NAMESPACE::statistics {

struct mean_estimate {
  double mean = std::numeric_limits<double>::quiet_NaN();            ///< NaN of nothing
  double standard_error = std::numeric_limits<double>::quiet_NaN();  ///< s / sqrt(count), s with count - 1; NaN below 2
  index_t count = 0;
  index_t nonfinite = 0;  ///< infinite or NaN values, which make the two above what they are
};

/// The mean of @p x and its standard error, in two passes.
inline mean_estimate estimate_mean(std::span<const double> x) {
  mean_estimate result{.count = std::ssize(x)};
  if (x.empty()) return result;
  const auto n = static_cast<double>(x.size());
  double sum = 0;
  for (const double value : x) {
    sum += value;
    if (!std::isfinite(value)) ++result.nonfinite;
  }
  result.mean = sum / n;
  if (x.size() < 2) return result;
  double squares = 0;
  for (const double value : x) squares += (value - result.mean) * (value - result.mean);
  result.standard_error = std::sqrt(squares / (n - 1) / n);
  return result;
}

/// The variance of the values (with count - 1) that @p m is the mean of; NaN below 2.
inline double variance(const mean_estimate& m) {
  return m.standard_error * m.standard_error * static_cast<double>(m.count);
}

/// The mean over the items of all @p groups (large groups weigh more), with the error that treats the groups as strata:
/// the pooled variance of lm-evaluation-harness, sum (n_g - 1) s_g^2 / (N - G), over N. Groups of one item have no
/// variance of their own and add nothing to it; without any larger one the error is NaN.
inline mean_estimate pool_items(std::span<const mean_estimate> groups) {
  mean_estimate result;
  double sum = 0, squares = 0;
  index_t freedom = 0;
  for (const mean_estimate& g : groups) {
    result.count += g.count;
    result.nonfinite += g.nonfinite;
    const auto n = static_cast<double>(g.count);
    if (g.count > 0) sum += n * g.mean;
    if (g.count > 1) squares += (n - 1) * n * g.standard_error * g.standard_error;
    freedom += (max)(index_t{0}, g.count - 1);
  }
  if (result.count == 0) return result;
  const auto n = static_cast<double>(result.count);
  result.mean = sum / n;
  if (freedom > 0) result.standard_error = std::sqrt(squares / static_cast<double>(freedom) / n);
  return result;
}

/// The unweighted mean of the means of @p groups (each weighs the same); groups without items are left out.
inline mean_estimate average_groups(std::span<const mean_estimate> groups) {
  mean_estimate result;
  double sum = 0, variances = 0;
  index_t taken = 0;
  for (const mean_estimate& g : groups) {
    result.count += g.count;
    result.nonfinite += g.nonfinite;
    if (g.count == 0) continue;
    sum += g.mean;
    variances += g.standard_error * g.standard_error;
    ++taken;
  }
  if (taken == 0) return result;
  result.mean = sum / static_cast<double>(taken);
  result.standard_error = std::sqrt(variances) / static_cast<double>(taken);
  return result;
}

/// n / sum 1 / x_i; 0 where any x_i is 0, NaN of nothing and where any is NaN.
/// @throws std::invalid_argument where one is negative.
inline double harmonic_mean(std::span<const double> x) {
  double inverse = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    invalid_argument_unless(!(x[i] < 0), "hone::statistics::harmonic_mean", "x", "element %zu is negative: %g", i,
                            x[i]);
    inverse += 1 / std::abs(x[i]);  // 1 / -0 must not cancel
  }
  return static_cast<double>(x.size()) / inverse;
}

}  // namespace HONE_NAMESPACE::statistics
