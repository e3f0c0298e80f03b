// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Learning rates over time.
#pragma once
#include "hone/core/contract.hpp"

#include <cmath>

namespace HONE_NAMESPACE::gradient {

enum class decay { constant, linear, cosine };

/// The rate rises linearly over @c warmup steps to 1, then falls over the rest of @c steps to @c floor.
struct schedule {
  index_t steps = 1000;
  index_t warmup = 0;
  decay shape = decay::constant;
  double floor = 0;  ///< share of the full rate that is left at the end; unused by a constant schedule
};

/// The factor on the learning rate at step t = 1 … steps; the last factor holds afterwards.
/// @throws std::invalid_argument unless t >= 1, 0 <= warmup <= steps and floor is in [0, 1].
inline double rate_factor(const schedule& s, index_t t) {
  const char* function = "hone::gradient::rate_factor";
  invalid_argument_unless(t >= 1, function, "t", "steps are counted from 1, is %td", t);
  invalid_argument_unless(s.warmup >= 0 && s.warmup <= s.steps, function, "warmup", "must be in [0, %td], is %td",
                          s.steps, s.warmup);
  invalid_argument_unless(s.floor >= 0 && s.floor <= 1, function, "floor", "must be in [0, 1], is %g", s.floor);
  if (t <= s.warmup) return static_cast<double>(t) / static_cast<double>(s.warmup);
  if (s.shape == decay::constant) return 1;
  const double rest = static_cast<double>(s.steps - s.warmup);
  const double done = t >= s.steps ? 1 : static_cast<double>(t - s.warmup) / rest;
  const double left = s.shape == decay::linear ? 1 - done : 0.5 * (1 + std::cos(3.14159265358979323846 * done));
  return s.floor + (1 - s.floor) * left;
}

}  // namespace HONE_NAMESPACE::gradient
