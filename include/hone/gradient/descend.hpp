// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One step of a training: AdamW along a gradient that is cut to a length, at the rate of a schedule.
#pragma once
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/clip.hpp"
#include "hone/gradient/schedule.hpp"

#include <cmath>
#include <span>

namespace HONE_NAMESPACE::gradient {

/// A step of AdamW: its learning rate, over time, and how long a gradient may be.
struct step_options {
  double rate = 1e-3;
  double weight_decay = 0;
  double clip = 0;                ///< longest gradient; 0: any
  gradient::schedule schedule{};  ///< the factor on the rate at each step; all steps alike unless told
};

/// Step number @p step (from 1) of @p parameters with moments @p m, @p v (n each, zero before the first) along
/// @p g (n), cut to @c clip. Returns the length of @p g before it was cut; if that is not finite, nothing is changed.
/// @throws std::invalid_argument as `adamw` and `rate_factor`, or if clip is negative.
/// @note A read of g, then 28 bytes a float parameter. Bitwise for any executor.
template <scalar T, executor E = const serial>
double descend(std::span<T> parameters, std::span<T> m, std::span<T> v, std::span<const std::type_identity_t<T>> g,
               index_t step, const step_options& how, E&& pool = serial{}) {
  invalid_argument_unless(how.clip >= 0, "hone::gradient::descend", "clip", "must be at least 0, is %g", how.clip);
  const auto sink =
      adamw(parameters, m, v, step,
            {.learning_rate = how.rate * rate_factor(how.schedule, step), .weight_decay = how.weight_decay});
  const auto squares = static_cast<double>(squared_norm(g, pool));
  if (!std::isfinite(squares)) return std::sqrt(squares);
  const double factor = how.clip > 0 ? clip_factor(squares, how.clip) : 1;
  weighted_sum({factor}, tasks(g), sink, pool);
  return std::sqrt(squares);
}

}  // namespace HONE_NAMESPACE::gradient
