// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How well probabilities p foretell outcomes y in [0, 1]:
///   Brier score      mean (p - y)^2                                            [Brier 1950]
///   log loss         mean -y log p - (1 - y) log(1 - p)
///   expected error   sum over bins of n_b / n |mean p - mean y|                [Naeini et al. 2015, ECE]
///   largest error    the largest |mean p - mean y| of a bin                    [Naeini et al. 2015, MCE]
/// and what the Brier score is made of:
///   reliability - resolution + uncertainty                                     [Murphy 1973]
///     + within-bin variance - within-bin covariance                            [Stephenson, Coelho, Jolliffe 2008]
/// Of n finite samples a perfect p has an expected error above 0 too, the more so the more bins there are.
#pragma once
#include "hone/core/contract.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::statistics {

/// Where the bins begin and end. Edges are the quotients i / bins; a probability on one moves: say which it is.
enum class binning {
  left_closed,   ///< [a, b), of equal width; the last [a, 1]
  right_closed,  ///< (a, b], of equal width; the first [0, b]
  equal_mass  ///< adaptive: the r-th smallest of n (from 0) is in bin floor(r bins / n), equal ones with the first of
              ///< them; with n bins a bin for each value
};

struct calibration_options {
  index_t bins = 10;
  binning edges = binning::left_closed;
};

struct reliability_bin {
  index_t count = 0;
  double probability = 0;  ///< the mean; 0 of none
  double outcome = 0;      ///< the mean; 0 of none
};

/// NaN of nothing, and where any pair is invalid.
struct calibration {
  double brier = std::numeric_limits<double>::quiet_NaN();
  double log_loss = std::numeric_limits<double>::quiet_NaN();  ///< infinite where what happens was given p = 0
  double expected_error = std::numeric_limits<double>::quiet_NaN();
  double largest_error = std::numeric_limits<double>::quiet_NaN();
  double explained_variance = std::numeric_limits<double>::quiet_NaN();  ///< 1 - Var(y - p) / Var(y); 0 if all y agree
  double bias = std::numeric_limits<double>::quiet_NaN();                ///< mean p - mean y
  index_t count = 0;
  index_t invalid = 0;  ///< pairs of which p or y is not in [0, 1], or NaN
};

/// With m_b = n_b / n, bars means over a bin or over all. The terms sum to the Brier score, up to rounding, for any
/// bins; the last two are 0 where each bin has one probability. NaN of nothing, and where any pair is invalid.
struct brier_split {
  double brier = std::numeric_limits<double>::quiet_NaN();
  double reliability = std::numeric_limits<double>::quiet_NaN();  ///< sum m_b (p_b - y_b)^2; 0 is best
  double resolution = std::numeric_limits<double>::quiet_NaN();   ///< sum m_b (y_b - y)^2, of the uncertainty
  double uncertainty =
      std::numeric_limits<double>::quiet_NaN();  ///< y (1 - y) of outcomes 0 and 1; else mean (y_i - y)^2
  double within_variance = std::numeric_limits<double>::quiet_NaN();    ///< mean (p_i - p_b)^2
  double within_covariance = std::numeric_limits<double>::quiet_NaN();  ///< mean 2 (p_i - p_b) (y_i - y_b)
  index_t count = 0;
  index_t invalid = 0;  ///< pairs of which p or y is not in [0, 1], or NaN
};

namespace detail {

inline index_t count_invalid(std::span<const double> probabilities, std::span<const double> outcomes) {
  const auto inside = [](double x) { return x >= 0 && x <= 1; };
  index_t invalid = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) invalid += !(inside(probabilities[i]) && inside(outcomes[i]));
  return invalid;
}

/// The bin of equal width that p in [0, 1] is in.
inline index_t bin_of(double p, index_t bins, bool right_closed) {
  const auto edge = [&](index_t b) { return static_cast<double>(b) / static_cast<double>(bins); };
  auto bin = (min)(static_cast<index_t>(p * static_cast<double>(bins)), bins - 1);
  // What rounding did to the product is undone.
  while (bin > 0 && (right_closed ? p <= edge(bin) : p < edge(bin))) --bin;
  while (bin + 1 < bins && (right_closed ? p > edge(bin + 1) : p >= edge(bin + 1))) ++bin;
  return bin;
}

/// f(i, bin) of every pair, in the order in which they are added up.
template <class F>
void for_each_in_bins(std::span<const double> probabilities, std::span<const double> outcomes,
                      const calibration_options& options, F&& f) {
  if (options.edges != binning::equal_mass) {
    for (std::size_t i = 0; i < probabilities.size(); ++i)
      f(i, static_cast<std::size_t>(bin_of(probabilities[i], options.bins, options.edges == binning::right_closed)));
    return;
  }
  std::vector<std::size_t> order(probabilities.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Equal probabilities are one bin's; in which order they are added is their outcomes' and not the input's.
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    return probabilities[i] < probabilities[j] || (probabilities[i] == probabilities[j] && outcomes[i] < outcomes[j]);
  });
  std::size_t first = 0;
  for (std::size_t r = 0; r < order.size(); ++r) {
    if (probabilities[order[r]] != probabilities[order[first]]) first = r;
    f(order[r], first * static_cast<std::size_t>(options.bins) / order.size());
  }
}

inline void check_calibration(std::span<const double> probabilities, std::span<const double> outcomes,
                              const calibration_options& options, const char* function) {
  invalid_argument_unless(outcomes.size() == probabilities.size(), function, "outcomes", "has %zu, probabilities %zu",
                          outcomes.size(), probabilities.size());
  invalid_argument_unless(options.bins >= 1, function, "bins", "must be positive, is %td", options.bins);
}

}  // namespace detail

/// The reliability table: for each bin how many pairs it has, their mean probability and their mean outcome.
/// @throws std::invalid_argument if the sizes differ, a value is not in [0, 1], or bins < 1.
/// @note One pass, in order; allocates the bins. `equal_mass` sorts indices.
inline std::vector<reliability_bin> reliability_table(std::span<const double> probabilities,
                                                      std::span<const double> outcomes,
                                                      const calibration_options& options = {}) {
  const char* function = "hone::statistics::reliability_table";
  detail::check_calibration(probabilities, outcomes, options, function);
  const index_t invalid = detail::count_invalid(probabilities, outcomes);
  invalid_argument_unless(invalid == 0, function, "probabilities", "%td pairs are not in [0, 1]", invalid);
  std::vector<reliability_bin> table(static_cast<std::size_t>(options.bins));
  detail::for_each_in_bins(probabilities, outcomes, options, [&](std::size_t i, std::size_t bin) {
    reliability_bin& b = table[bin];
    ++b.count;
    b.probability += probabilities[i];
    b.outcome += outcomes[i];
  });
  for (reliability_bin& b : table) {
    if (b.count == 0) continue;
    b.probability /= static_cast<double>(b.count);
    b.outcome /= static_cast<double>(b.count);
  }
  return table;
}

/// The measures above of @p probabilities against @p outcomes, pair by pair.
/// @throws std::invalid_argument if the sizes differ or bins < 1.
/// @note Three passes and `reliability_table`'s.
inline calibration calibrate(std::span<const double> probabilities, std::span<const double> outcomes,
                             const calibration_options& options = {}) {
  detail::check_calibration(probabilities, outcomes, options, "hone::statistics::calibrate");
  calibration result{.count = std::ssize(outcomes), .invalid = detail::count_invalid(probabilities, outcomes)};
  if (result.count == 0 || result.invalid > 0) return result;
  const auto n = static_cast<double>(outcomes.size());
  double mean = 0, bias = 0, squares = 0, loss = 0, variance = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const double p = probabilities[i], y = outcomes[i];
    mean += y;
    bias += p - y;
    squares += (p - y) * (p - y);
    if (y > 0) loss -= y * std::log(p);
    if (y < 1) loss -= (1 - y) * std::log1p(-p);
  }
  mean /= n;
  for (const double y : outcomes) variance += (y - mean) * (y - mean);
  result.brier = squares / n;
  result.log_loss = loss / n;
  result.bias = bias / n;
  result.explained_variance = variance > 0 ? 1 - (squares - n * result.bias * result.bias) / variance : 0;
  result.expected_error = result.largest_error = 0;
  for (const reliability_bin& b : reliability_table(probabilities, outcomes, options)) {
    const double gap = std::abs(b.probability - b.outcome);
    result.expected_error += static_cast<double>(b.count) / n * gap;
    result.largest_error = (max)(result.largest_error, gap);
  }
  return result;
}

/// The terms of the Brier score of @p probabilities against @p outcomes.
/// @throws std::invalid_argument if the sizes differ or bins < 1.
/// @note Three passes and `reliability_table`'s twice.
inline brier_split split_brier(std::span<const double> probabilities, std::span<const double> outcomes,
                               const calibration_options& options = {}) {
  detail::check_calibration(probabilities, outcomes, options, "hone::statistics::split_brier");
  brier_split result{.count = std::ssize(outcomes), .invalid = detail::count_invalid(probabilities, outcomes)};
  if (result.count == 0 || result.invalid > 0) return result;
  const std::vector<reliability_bin> table = reliability_table(probabilities, outcomes, options);
  const auto n = static_cast<double>(outcomes.size());
  double mean = 0, squares = 0, uncertainty = 0, reliability = 0, resolution = 0, variance = 0, covariance = 0;
  for (const double y : outcomes) mean += y / n;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    squares += (probabilities[i] - outcomes[i]) * (probabilities[i] - outcomes[i]);
    uncertainty += (outcomes[i] - mean) * (outcomes[i] - mean);
  }
  for (const reliability_bin& b : table) {
    const auto count = static_cast<double>(b.count);
    reliability += count * (b.probability - b.outcome) * (b.probability - b.outcome);
    resolution += b.count == 0 ? 0 : count * (b.outcome - mean) * (b.outcome - mean);
  }
  detail::for_each_in_bins(probabilities, outcomes, options, [&](std::size_t i, std::size_t bin) {
    const double p = probabilities[i] - table[bin].probability;
    variance += p * p;
    covariance += 2 * p * (outcomes[i] - table[bin].outcome);
  });
  result.brier = squares / n;
  result.reliability = reliability / n;
  result.resolution = resolution / n;
  result.uncertainty = uncertainty / n;
  result.within_variance = variance / n;
  result.within_covariance = covariance / n;
  return result;
}

}  // namespace HONE_NAMESPACE::statistics
