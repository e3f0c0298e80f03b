// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How many tokens an expert takes while a sequence is denoised: a share s(r) of the span between least and most, by
/// the ratio r of masked tokens.
///   constant               1/2                     cosine                 (1 - cos(pi r)) / 2
///   linear                 r                       cosine_reverse         (1 + cos(pi r)) / 2
///   linear_reverse         1 - r                   bell                   1 - 4 (r - 1/2)^2
///   bell_gaussian          (g - g0) / (1 - g0), g = exp(-(r - 1/2)^2 / (2 sigma^2)), g0 = g at 0
///   bell_gaussian_reverse  1 - bell_gaussian
/// [2026, Expert-choice routing enables adaptive computation in diffusion language models, arXiv
/// 2604.01622, and the authors' code; bell is in the code alone]
///
/// `experts_per_token` and `capacity` round as the code does, but in double where it has float: they part where the
/// real value is a half up to rounding. `budget` has what the code has not, a mean that is met.
#pragma once
#include "hone/core/contract.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::moe {

enum class schedule {
  constant,
  linear,
  linear_reverse,
  cosine,
  cosine_reverse,
  bell,
  bell_gaussian,
  bell_gaussian_reverse
};

/// s(@p mask_ratio), in [0, 1]. With @p sigma 0.22 the mean of the Gaussians over ratios is 0.501 and 0.499; with
/// 0.2192127 it is 1/2; the code's default is 0.2 (0.472).
/// @throws std::invalid_argument unless @p mask_ratio is in [0, 1] and @p sigma is positive and finite.
inline double share(schedule s, double mask_ratio, double sigma = 0.22) {
  const char* function = "hone::moe::share";
  invalid_argument_unless(mask_ratio >= 0 && mask_ratio <= 1, function, "mask_ratio", "must be in [0, 1], is %g",
                          mask_ratio);
  invalid_argument_unless(sigma > 0 && sigma < 1e300, function, "sigma", "must be positive and finite, is %g", sigma);
  const double from_middle = mask_ratio - 0.5;
  // By expm1, so that a wide bell is a parabola, not 0 / 0.
  const auto gaussian = [&] {
    const double width = (std::clamp)(sigma, 1e-150, 1e150);  // whose square is neither 0 nor infinite
    const double rise = -0.5 / width / width;
    return 1 - std::expm1(rise * from_middle * from_middle) / std::expm1(rise * 0.25);
  };
  switch (s) {
    case schedule::constant: return 0.5;
    case schedule::linear: return mask_ratio;
    case schedule::linear_reverse: return 1 - mask_ratio;
    case schedule::cosine: return (1 - std::cos(std::numbers::pi * mask_ratio)) / 2;
    case schedule::cosine_reverse: return (1 + std::cos(std::numbers::pi * mask_ratio)) / 2;
    case schedule::bell: return 1 - 4 * from_middle * from_middle;
    case schedule::bell_gaussian: return gaussian();
    case schedule::bell_gaussian_reverse: return 1 - gaussian();
  }
  return 0.5;
}

/// k(r): least + (most - least) s(r), rounded to the nearest whole number, halves to the even one.
/// @throws std::invalid_argument unless 0 <= @p least <= @p most, and as `share`.
inline index_t experts_per_token(schedule s, double mask_ratio, index_t least, index_t most, double sigma = 0.22) {
  invalid_argument_unless(least >= 0 && least <= most, "hone::moe::experts_per_token", "least",
                          "must be in [0, most], is %td of %td", least, most);
  const double real = static_cast<double>(least) + static_cast<double>(most - least) * share(s, mask_ratio, sigma);
  const double below = std::floor(real), rest = real - below;
  const auto whole = static_cast<index_t>(below);
  const bool up = rest > 0.5 || (rest == 0.5 && whole % 2 != 0);
  return (std::clamp)(whole + (up ? 1 : 0), least, most);
}

/// The tokens of @p tokens that each of @p experts takes if a token has @p per_token experts on average:
/// floor(tokens per_token / experts), at least 1 and at most all of them; 0 of none.
/// @throws std::invalid_argument unless @p tokens >= 0, @p per_token >= 0, @p experts >= 1 and the product fits.
inline index_t capacity(index_t tokens, index_t per_token, index_t experts) {
  const char* function = "hone::moe::capacity";
  invalid_argument_unless(tokens >= 0, function, "tokens", "must not be negative, is %td", tokens);
  invalid_argument_unless(experts >= 1, function, "experts", "must be at least 1, is %td", experts);
  invalid_argument_unless(
      per_token >= 0 && (tokens == 0 || per_token <= (std::numeric_limits<index_t>::max)() / tokens), function,
      "per_token", "must be in [0, 2^63 / tokens), is %td", per_token);
  return (std::min)(tokens, (std::max)(tokens * per_token / experts, index_t{1}));
}

/// What `budget` holds to.
struct budget_options {
  double mean = 1;     ///< C, of the capacities: in [1, tokens]
  double swing = 0;    ///< A, between s = 0 and s = 1: what a schedule from least to most has
  index_t tokens = 0;  ///< that compete, which no capacity exceeds; 0: the length
  double sigma = 0.22;
  /// p_n, how often n of the tokens are masked, n = 1 ... length, to any sum; empty: each as often.
  std::span<const double> weights{};
};

/// One capacity c_n in [1, tokens] for each number n = 1 ... @p length of masked tokens: c_n follows
///   x_n = C + A (s(n / length) - sum_n p_n s(n / length))
/// moved and cut so that its mean is C, then rounded by largest remainders (equal ones: the smaller n first) up to
/// where the next would bring the mean above C. With equal weights sum c_n = floor(C length), exactly; else the mean is
/// below C by less than the largest weight. Rounding and cutting each c_n alone misses C by several percent.
/// @throws std::invalid_argument unless @p length >= 1, C is in [1, tokens], |A| at most 1e9, the weights are @p length
///         finite numbers >= 0 with a positive sum, and as `share`.
/// @note length log length; allocates.
inline std::vector<index_t> budget(schedule s, index_t length, const budget_options& options) {
  const char* function = "hone::moe::budget";
  invalid_argument_unless(length >= 1, function, "length", "must be at least 1, is %td", length);
  invalid_argument_unless(options.tokens >= 0, function, "tokens", "must not be negative, is %td", options.tokens);
  const auto l = static_cast<std::size_t>(length);
  const double most = static_cast<double>(options.tokens == 0 ? length : options.tokens);
  invalid_argument_unless(options.mean >= 1 && options.mean <= most, function, "mean", "must be in [1, %g], is %g",
                          most, options.mean);
  invalid_argument_unless(std::abs(options.swing) <= 1e9, function, "swing", "must be within 1e9, is %g",
                          options.swing);
  invalid_argument_unless(options.weights.empty() || options.weights.size() == l, function, "weights",
                          "has %zu elements for %td numbers of masked tokens", options.weights.size(), length);
  std::vector<double> p(l, 1.0), x(l);
  double total = static_cast<double>(length), middle = 0, largest = 1;
  if (!options.weights.empty()) {
    total = largest = 0;
    for (std::size_t i = 0; i < l; ++i) {
      p[i] = options.weights[i];
      invalid_argument_unless(p[i] >= 0 && p[i] < 1e300, function, "weights",
                              "must be finite and not negative, that of %zu is %g", i + 1, p[i]);
      total += p[i];
      largest = (max)(largest, p[i]);
    }
    invalid_argument_unless(total > 0 && total < 1e300, function, "weights", "must have a positive, finite sum, is %g",
                            total);
  }
  for (std::size_t i = 0; i < l; ++i) {
    x[i] = share(s, static_cast<double>(i + 1) / static_cast<double>(length), options.sigma);
    middle += p[i] * x[i];
  }
  for (double& v : x) v = options.mean + options.swing * (v - middle / total);
  // sum_n p_n clamp(x_n + d, 1, most) rises with d from total to most total. Halved until no double lies between.
  const auto [least_x, most_x] = std::minmax_element(x.begin(), x.end());
  const bool cut = *least_x < 1 || *most_x > most;
  double low = 1 - *most_x, high = most - *least_x, d = 0;
  const auto sum_at = [&](double moved) {
    double sum = 0;
    for (std::size_t i = 0; i < l; ++i) sum += p[i] * (std::clamp)(x[i] + moved, 1.0, most);
    return sum;
  };
  if (cut) {
    for (int step = 0; step < 200 && low < high; ++step) {
      d = low + (high - low) / 2;
      (sum_at(d) < options.mean * total ? low : high) = d;
    }
  }
  // To a multiple of 2^-30, so that ties do not depend on a last bit.
  std::vector<index_t> capacities(l);
  std::vector<double> remainder(l);
  double reached = 0;
  for (std::size_t i = 0; i < l; ++i) {
    const double y = std::floor((std::clamp)(x[i] + d, 1.0, most) * 0x1p30 + 0.5) * 0x1p-30;
    capacities[i] = static_cast<index_t>(y);
    remainder[i] = y - std::floor(y);
    reached += p[i] * std::floor(y);
  }
  std::vector<std::size_t> order(l);
  for (std::size_t i = 0; i < l; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return remainder[i] > remainder[j]; });
  // Rounding of the sum must not stop the last one, nor let one more through.
  const double target = options.mean * total, allowed = target + (min)(1e-12 * target, 0.5 * largest);
  for (const std::size_t i : order) {
    if (reached + p[i] > allowed || capacities[i] >= static_cast<index_t>(most)) break;
    reached += p[i];
    ++capacities[i];
  }
  return capacities;
}

}  // namespace HONE_NAMESPACE::moe
