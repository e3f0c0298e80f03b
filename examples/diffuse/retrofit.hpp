// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a model whose tokens choose their experts to one whose experts choose their tokens.
#pragma once
#include "diffuse/measures.hpp"
#include "diffuse/model.hpp"
#include "hone/transformer/retrofit.hpp"

namespace diffuse {

/// Refuses @p c unless it is a model whose tokens choose, of masked diffusion, and sets its mask where it is told.
/// @throws std::runtime_error, in words.
inline void require_retrofits(const std::string& folder, transformer::config& c, std::optional<index_t> mask) {
  const auto refuse = [&](bool ok, const char* what) { program::require(ok, "%s: %s", folder.c_str(), what); };
  refuse(c.experts.count > 0, "dense: has no experts that could choose");
  require_masked_diffusion(folder, c, mask);
  refuse(c.experts.router.chosen == moe::selection::row_top,
         "its tokens do not choose experts: there is nothing to swap");
  refuse(c.block == 0, "sees in blocks: experts would choose within each, which nothing here counts");
}

/// The options of a run on the model of a folder.
inline settings on_model(settings s, const transformer::config& c) {
  s.k = c.experts.router.per_token;
  s.experts = c.experts.count;
  s.router = s.retrofit_care().keeps ? "token_choice" : "expert_choice";
  return s;
}

/// A model and its parameters.
struct model_view {
  const transformer::config& shape;
  std::span<const float> parameters;
};

/// KL(before || after) a masked place of held-out sequences of @p length tokens; NaN if it is not finite at one.
inline double divergence(const model_view& before, const model_view& after, const transformer::masked_rows& rows,
                         index_t length) {
  const transformer::decoder<float> old_model(before.shape), new_model(after.shape);
  transformer::workspace<float> old_memory(before.shape, length), new_memory(after.shape, length);
  hone::loss::loss_sum sum;
  for (index_t s = 0; s < rows.sequences(); ++s) {
    const transformer::batch_slice part(rows.batch(), s, s + 1);
    const std::span<const std::int32_t> labels =
        std::span(rows.labels)
            .subspan(static_cast<std::size_t>(part.first_row()), static_cast<std::size_t>(part.rows()));
    sum += transformer::measure_retrofit(old_model, before.parameters, old_memory, new_model, after.parameters,
                                         new_memory, part.batch(), labels)
               .divergence;
  }
  return sum.nonfinite > 0 ? NAN : sum.mean();
}

}  // namespace diffuse
