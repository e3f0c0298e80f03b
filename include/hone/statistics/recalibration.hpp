// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Maps from scores to probabilities, fitted to outcomes in [0, 1] by the least log loss, or square:
///   temperature   sigmoid(z / T) of logits z, T >= 0                           [Guo et al. 2017, arXiv 1706.04599]
///   Platt         sigmoid(a s + b) of any scores s; his targets (N_1 + 1) / (N_1 + 2) and 1 / (N_0 + 2) keep a finite
///                 minimum where the scores separate the outcomes    [Platt 1999; Lin, Lin, Weng 2007, Newton's method]
///   isotonic      the nearest function that never falls, by pooling neighbours in the wrong order
///                                                                   [Ayer et al. 1955; Zadrozny, Elkan 2002]
/// The first two keep the order of scores (if a > 0), and AUC; the third makes ties. Fit and judge on different items.
#pragma once
#include "hone/core/contract.hpp"
#include "hone/core/sigmoid.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::statistics {

struct temperature_scaling {
  double temperature = std::numeric_limits<double>::quiet_NaN();
  double log_loss = std::numeric_limits<double>::quiet_NaN();  ///< the mean, at this temperature
  index_t count = 0;
  index_t invalid = 0;  ///< pairs whose logit is not finite or whose outcome is not in [0, 1]

  /// The probability. At T = 0 it is 0, 1/2 or 1, at infinity 1/2.
  double operator()(double logit) const {
    return logit == 0 && !std::isnan(temperature) ? 0.5 : sigmoid(logit / temperature);
  }
};

struct platt_options {
  bool smooth_targets = true;  ///< Platt's; without, the outcomes themselves: logistic regression
};

struct platt_scaling {
  double slope = std::numeric_limits<double>::quiet_NaN();
  double intercept = std::numeric_limits<double>::quiet_NaN();
  double log_loss = std::numeric_limits<double>::quiet_NaN();  ///< the mean, of the outcomes and not the targets
  index_t count = 0;
  index_t invalid = 0;  ///< pairs whose score is not finite or whose outcome is not in [0, 1]

  double operator()(double score) const { return sigmoid(slope * score + intercept); }
};

/// Scores in [first, last] have this value; between blocks it goes in a straight line.
struct isotonic_block {
  double first = 0;
  double last = 0;
  double value = 0;
  index_t count = 0;
};

struct isotonic_scaling {
  std::vector<isotonic_block> blocks;  ///< ascending in scores and values; none of nothing and where a pair is invalid
  index_t count = 0;
  index_t invalid = 0;  ///< pairs whose score is NaN or whose outcome is not in [0, 1]

  /// The value at @p score, beyond the blocks that of the nearest one; NaN at NaN and without blocks.
  double operator()(double score) const {
    if (blocks.empty() || std::isnan(score)) return std::numeric_limits<double>::quiet_NaN();
    const auto above = std::lower_bound(blocks.begin(), blocks.end(), score,
                                        [](const isotonic_block& b, double s) { return b.last < s; });
    if (above == blocks.end()) return blocks.back().value;
    if (above == blocks.begin() || score >= above->first) return above->value;
    const isotonic_block& below = above[-1];
    // Halves do not overflow. What is between an infinite score and a finite one is nearer to that.
    const double from = below.last / 2, to = above->first / 2;
    const double share = std::isfinite(from) ? (score / 2 - from) / (to - from) : std::isfinite(to) ? 1 : 0.5;
    return below.value + share * (above->value - below.value);
  }
};

namespace detail {

inline void check_recalibration(std::span<const double> scores, std::span<const double> outcomes,
                                const char* function) {
  invalid_argument_unless(outcomes.size() == scores.size(), function, "outcomes", "has %zu, scores %zu",
                          outcomes.size(), scores.size());
}

template <class Valid>
index_t count_unfit(std::span<const double> scores, std::span<const double> outcomes, Valid&& valid) {
  index_t invalid = 0;
  for (std::size_t i = 0; i < scores.size(); ++i)
    invalid += !(valid(scores[i]) && outcomes[i] >= 0 && outcomes[i] <= 1);
  return invalid;
}

/// -y log sigmoid(x) - (1 - y) log(1 - sigmoid(x)); 0 infinity is 0.
inline double logistic_loss(double x, double y) {
  return (y > 0 ? -y * log_sigmoid(x) : 0) + (y < 1 ? -(1 - y) * log_sigmoid(-x) : 0);
}

/// The x > 0 with f(x) = 0 of an increasing f, f(0) < 0 and f > 0 far out; f returns {value, slope}. To the last bits,
/// by Newton's method, and by halves where that leaves what is known.
template <class F>
double increasing_root(F&& f) {
  double low = 0, high = 1;
  for (; f(high).value < 0; high *= 2) low = high;
  double x = high;
  for (int step = 0; step < 200 && high - low > 4e-16 * high; ++step) {
    const auto at = f(x);
    if (at.value == 0) break;
    (at.value < 0 ? low : high) = x;
    const double next = x - at.value / at.slope;
    const bool inside = next > low && next < high;
    if (inside && std::abs(next - x) <= 1e-15 * x) return next;
    x = inside ? next : low + (high - low) / 2;
  }
  return x;
}

struct line {
  double slope = 0;
  double intercept = 0;
};

/// The slope and intercept of least mean log loss of x(i) in [-1, 1] against target(i), from slope 0 on, by Newton's
/// method with halved steps. NaN where that does not arrive.
template <class X, class Target>
line fit_line(index_t count, double intercept, X&& x_of, Target&& target_of) {
  const auto size = static_cast<std::size_t>(count);
  const auto n = static_cast<double>(count);
  const auto loss_at = [&](const line& l) {
    double sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum += logistic_loss(l.slope * x_of(i) + l.intercept, target_of(i));
    return sum / n;
  };
  line at{.intercept = intercept};
  double loss = loss_at(at);
  for (int step = 0; step < 200; ++step) {
    double a = 0, b = 0, aa = 1e-15, ab = 0, bb = 1e-15;  // gradient and curvature; equal scores have none in the slope
    for (std::size_t i = 0; i < size; ++i) {
      const double x = x_of(i), t = target_of(i), z = at.slope * x + at.intercept, p = sigmoid(z), q = sigmoid(-z);
      const double error = ((1 - t) * p - t * q) / n, weight = p * q / n;
      a += error * x;
      b += error;
      aa += weight * x * x;
      ab += weight * x;
      bb += weight;
    }
    const double determinant = aa * bb - ab * ab;
    const line move{.slope = (ab * b - bb * a) / determinant, .intercept = (ab * a - aa * b) / determinant};
    const double gain = -(a * move.slope + b * move.intercept);  // twice what the loss should fall by
    if (gain <= 1e-26) return at;
    double part = 1;
    const auto moved = [&] { return line{at.slope + part * move.slope, at.intercept + part * move.intercept}; };
    double next = loss_at(moved());
    // A gain below 1e-10 drowns in the loss's rounding, and the step is right.
    for (; gain > 1e-10 && !(next <= loss - 1e-4 * part * gain) && part > 1e-12; next = loss_at(moved())) part /= 2;
    at = moved();
    loss = next;
  }
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  return {nan, nan};
}

}  // namespace detail

/// The temperature of least log loss of @p logits (`logit(p)` of probabilities) against @p outcomes in [0, 1].
///   0          where every logit has its outcome's sign, so that only certainty is certain enough
///   infinity   where they tell nothing, or the contrary
///   NaN        of nothing, where all logits are 0, and where any pair is invalid: clip p = 0 and 1 first
/// @throws std::invalid_argument if the sizes differ.
/// @note Some ten to a hundred passes; allocates nothing; in order. The loss is convex in 1 / T.
inline temperature_scaling fit_temperature(std::span<const double> logits, std::span<const double> outcomes) {
  detail::check_recalibration(logits, outcomes, "hone::statistics::fit_temperature");
  temperature_scaling result{.count = std::ssize(logits)};
  result.invalid = detail::count_unfit(logits, outcomes, [](double z) { return std::isfinite(z); });
  if (result.count == 0 || result.invalid > 0) return result;
  double scale = 0;
  for (const double z : logits) scale = (max)(scale, std::abs(z));
  if (scale > 0) {
    struct slope_and_curvature {
      double value = 0, slope = 0;
    };
    const auto of_loss = [&](double inverse) {
      slope_and_curvature sum;
      for (std::size_t i = 0; i < logits.size(); ++i) {
        const double z = logits[i] / scale, p = sigmoid(inverse * z), q = sigmoid(-inverse * z), y = outcomes[i];
        sum.value += z * ((1 - y) * p - y * q);
        sum.slope += z * z * p * q;
      }
      return sum;
    };
    double against = 0;  // what stays of the slope at T = 0
    for (std::size_t i = 0; i < logits.size(); ++i)
      against += std::abs(logits[i] / scale) * (logits[i] > 0 ? 1 - outcomes[i] : outcomes[i]);
    if (!(of_loss(0).value < 0)) {
      result.temperature = std::numeric_limits<double>::infinity();
    } else if (against == 0) {
      result.temperature = 0;
    } else {
      result.temperature = scale / detail::increasing_root(of_loss);
    }
  }
  double loss = 0;
  for (std::size_t i = 0; i < logits.size(); ++i)
    loss += detail::logistic_loss(logits[i] == 0 ? 0 : logits[i] / result.temperature, outcomes[i]);
  result.log_loss = loss / static_cast<double>(result.count);
  return result;
}

/// Platt's line of least log loss of finite @p scores against @p outcomes: 0 or 1 for his targets, else in [0, 1].
/// Equal scores and one kind of outcome alone have slope 0 and the mean target as their probability. NaN of nothing,
/// where any pair is invalid, and, without his targets, where there is no finite minimum: scores that separate the
/// outcomes, one outcome alone.
/// @throws std::invalid_argument if the sizes differ, or with smooth_targets an outcome is neither 0 nor 1.
/// @note Some 20 passes, two for each of Newton's steps; allocates nothing; in order.
inline platt_scaling fit_platt(std::span<const double> scores, std::span<const double> outcomes,
                               const platt_options& options = {}) {
  const char* function = "hone::statistics::fit_platt";
  detail::check_recalibration(scores, outcomes, function);
  platt_scaling result{.count = std::ssize(scores)};
  result.invalid = detail::count_unfit(scores, outcomes, [](double s) { return std::isfinite(s); });
  if (result.count == 0 || result.invalid > 0) return result;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  double low[2] = {infinity, infinity}, high[2] = {-infinity, -infinity};  // of scores with a share of outcome 0, of 1
  double positives = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double y = outcomes[i];
    invalid_argument_unless(!options.smooth_targets || y == 0 || y == 1, function, "outcomes",
                            "element %zu is neither 0 nor 1: %g", i, y);
    positives += y;
    for (const int kind : {0, 1}) {
      if (y == 1 - kind) continue;
      low[kind] = (min)(low[kind], scores[i]);
      high[kind] = (max)(high[kind], scores[i]);
    }
  }
  const double lowest = (min)(low[0], low[1]), highest = (max)(high[0], high[1]);
  const double negatives = static_cast<double>(result.count) - positives;
  const bool one_kind = positives == 0 || negatives == 0, separated = high[0] <= low[1] || high[1] <= low[0];
  if (!options.smooth_targets && (one_kind || (separated && lowest < highest))) return result;
  const double of_0 = options.smooth_targets ? 1 / (negatives + 2) : 0;
  const double of_1 = options.smooth_targets ? (positives + 1) / (positives + 2) : 1;
  const double middle = lowest / 2 + highest / 2, half = highest / 2 - lowest / 2;
  const detail::line fitted = detail::fit_line(
      result.count, logit((negatives * of_0 + positives * of_1) / static_cast<double>(result.count)),
      [&](std::size_t i) { return half > 0 ? (scores[i] - middle) / half : 0; },
      [&](std::size_t i) { return (1 - outcomes[i]) * of_0 + outcomes[i] * of_1; });
  result.slope = half > 0 ? fitted.slope / half : 0;
  result.intercept = fitted.intercept - result.slope * middle;
  double loss = 0;
  for (std::size_t i = 0; i < scores.size(); ++i)
    loss += detail::logistic_loss(result.slope * scores[i] + result.intercept, outcomes[i]);
  result.log_loss = loss / static_cast<double>(result.count);
  return result;
}

/// The function that never falls and is nearest to @p outcomes in [0, 1] at @p scores, in squares; equal scores are one
/// point, at their mean. Infinite scores are ordered like others.
/// @throws std::invalid_argument if the sizes differ.
/// @note O(n log n), 8 bytes an item beside the blocks; outcomes 0 and 1 are compared exactly.
inline isotonic_scaling fit_isotonic(std::span<const double> scores, std::span<const double> outcomes) {
  detail::check_recalibration(scores, outcomes, "hone::statistics::fit_isotonic");
  isotonic_scaling result{.blocks = {}, .count = std::ssize(scores)};
  result.invalid = detail::count_unfit(scores, outcomes, [](double s) { return !std::isnan(s); });
  if (result.invalid > 0) return result;
  std::vector<std::size_t> order(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Among equal scores by outcome, so that sums do not depend on the input's order.
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    return scores[i] < scores[j] || (scores[i] == scores[j] && outcomes[i] < outcomes[j]);
  });
  auto& blocks = result.blocks;  // their values are sums until the end
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    isotonic_block block{.first = scores[order[begin]], .last = scores[order[begin]]};
    for (; end < order.size() && scores[order[end]] == block.first; ++end, ++block.count)
      block.value += outcomes[order[end]];
    while (!blocks.empty() && blocks.back().value * static_cast<double>(block.count) >=
                                  block.value * static_cast<double>(blocks.back().count)) {
      block.first = blocks.back().first;
      block.value += blocks.back().value;
      block.count += blocks.back().count;
      blocks.pop_back();
    }
    blocks.push_back(block);
  }
  for (isotonic_block& block : blocks) block.value /= static_cast<double>(block.count);
  return result;
}

}  // namespace HONE_NAMESPACE::statistics
