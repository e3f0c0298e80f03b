// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the words of core/philox.hpp are made into: normal, gamma and Dirichlet variates.
#pragma once
#include "hone/core/normal.hpp"
#include "hone/core/philox.hpp"

#include <limits>

namespace HONE_NAMESPACE {

namespace detail {

inline double normal_of(double uniform) {
  return normal_quantile((min)(uniform + 0x1p-54, 1 - 0x1p-53));  // the largest would round to 1
}

}  // namespace detail

inline double philox::normal(std::uint64_t index, std::uint32_t draw) const {
  return detail::normal_of(uniform(index, draw));
}

namespace detail {

/// Whether the attempt of a normal @p x and a uniform @p u gives a variate, d v, with c = 1 / sqrt(9 d).
inline bool gamma_attempt(double d, double c, double x, double u, double& v) {
  const double t = 1 + c * x, square = x * x;
  if (t <= 0) return false;
  v = t * t * t;
  // The first implies the second, without a logarithm.
  return u < 1 - 0.0331 * square * square || std::log(u) < 0.5 * square + d * (1 - v + std::log(v));
}

/// A gamma variate of shape @p shape, or of shape + 1 below 1; attempts from @p attempt on.
inline double gamma_from_one(const philox& random, double shape, std::uint64_t index, const char* function,
                             std::uint32_t attempt = 0) {
  invalid_argument_unless(shape > 0 && shape < 1e300, function, "shape", "must be positive and finite, is %g", shape);
  const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  double v;
  for (;; ++attempt)
    if (gamma_attempt(d, c, random.normal(index, 2 * attempt), random.uniform(index, 2 * attempt + 1) + 0x1p-54, v))
      return d * v;
}

/// The uniform u of which u^(1 / shape) takes a variate of shape + 1 to shape.
inline double gamma_boost(const philox& random, std::uint64_t index) {
  return random.uniform(index, 0xffffffffu) + 0x1p-54;
}

}  // namespace detail

inline double philox::gamma(double shape, std::uint64_t index) const {
  const double from_one = detail::gamma_from_one(*this, shape, index, "hone::philox::gamma");
  return shape < 1 ? from_one * std::pow(detail::gamma_boost(*this, index), 1 / shape) : from_one;
}

inline double philox::log_gamma(double shape, std::uint64_t index) const {
  invalid_argument_unless(shape >= 1e-300, "hone::philox::log_gamma", "shape", "must be at least 1e-300, is %g", shape);
  const double log_from_one = std::log(detail::gamma_from_one(*this, shape, index, "hone::philox::log_gamma"));
  return shape < 1 ? log_from_one + std::log(detail::gamma_boost(*this, index)) / shape : log_from_one;
}

inline void philox::log_dirichlet(std::span<const double> shapes, std::uint64_t index, std::span<double> logs) const {
  invalid_argument_unless(logs.size() == shapes.size(), "hone::philox::log_dirichlet", "logs", "has %zu, shapes %zu",
                          logs.size(), shapes.size());
  invalid_argument_unless(logs.data() != nullptr || logs.empty(), "hone::philox::log_dirichlet", "logs",
                          "has %zu elements and no memory", logs.size());
  for (const double shape : shapes)
    invalid_argument_unless(shape >= 1e-300 && shape < 1e300, "hone::philox::log_dirichlet", "shapes",
                            "must be in [1e-300, 1e300), one is %g", shape);
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    logs[i] = log_gamma(shapes[i], index * shapes.size() + i);
    largest = (max)(largest, logs[i]);
  }
  for (const double log : logs) sum += std::exp(log - largest);
  for (double& log : logs) log = (log - largest) - std::log(sum);
}

inline void philox::dirichlet(std::span<const double> shapes, std::uint64_t index, std::span<double> weights) const {
  log_dirichlet(shapes, index, weights);
  for (double& weight : weights) weight = std::exp(weight);
}

}  // namespace HONE_NAMESPACE
