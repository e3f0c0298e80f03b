// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where a model begins, and a step of its optimiser.
#pragma once
#include "hone/core/random.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/clip.hpp"
#include "hone/transformer/config.hpp"

namespace program {

/// Matrices of variance 1 / columns, norms of 1.
inline std::vector<float> fresh_parameters(const hone::transformer::config& shape, std::uint64_t seed) {
  std::vector<float> result(static_cast<std::size_t>(hone::transformer::parameter_count(shape)), 1.0f);
  const hone::philox random{seed, 9};
  for (const auto& t : hone::transformer::tensor_table(shape))
    for (hone::index_t i = t.offset; t.kind != hone::transformer::tensor_kind::norm && i < t.offset + t.size(); ++i)
      result[static_cast<std::size_t>(i)] =
          static_cast<float>(random.normal(static_cast<std::uint64_t>(i)) / std::sqrt(static_cast<double>(t.cols)));
  return result;
}

/// AdamW's step number @p step of @p parameters along @p gradient, cut to length @p clip; 0: any length.
template <hone::executor E>
void descend(std::vector<float>& parameters, std::vector<float>& m, std::vector<float>& v,
             const std::vector<float>& gradient, long step, double clip, const hone::gradient::adamw_options& options,
             E& pool) {
  const double factor = clip > 0 ? hone::gradient::clip_factor(hone::squared_norm(gradient, pool), clip) : 1;
  hone::gradient::weighted_sum({factor}, hone::gradient::tasks(gradient),
                               hone::gradient::adamw(parameters, m, v, step, options), pool);
}

}  // namespace program
