// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The logistic function, its logarithm and its inverse, with all digits at both ends.
#pragma once
#include "hone/core/flags.hpp"

#include <cmath>

namespace HONE_NAMESPACE {

/// 1 / (1 + e^-x), exact at both ends.
inline double sigmoid(double x) {
  const double tail = std::exp(-std::abs(x));
  return x < 0 ? tail / (1 + tail) : 1 / (1 + tail);
}

/// log sigmoid(x), without overflow or cancellation.
inline double log_sigmoid(double x) {
  const double tail = std::log1p(std::exp(-std::abs(x)));
  return x < 0 ? x - tail : -tail;
}

/// log(p / (1 - p)): -infinity at 0, infinity at 1, outside NaN. Of p near 1/2 too with all digits.
inline double logit(double p) {
  // Between 1/4 and 3/4 the two logarithms would cancel.
  return p >= 0.25 && p <= 0.75 ? 2 * std::atanh(2 * p - 1) : std::log(p) - std::log1p(-p);
}

}  // namespace HONE_NAMESPACE
