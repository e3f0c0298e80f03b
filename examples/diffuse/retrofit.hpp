// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a model whose tokens choose their experts to one whose experts choose their tokens, with more or less care.
#pragma once
#include "diffuse/steps.hpp"
#include "hone/transformer/retrofit.hpp"

namespace diffuse {

/// What is done beside the swap.
struct care_kind {
  const char* name;
  bool keeps = false;     ///< no swap: what more training alone does
  bool best = false;      ///< tokens without an expert keep their first choice
  bool homotopy = false;  ///< biases lead there for the first quarter of the steps, while tokens still choose
};
inline constexpr care_kind cares[] = {
    {"none"}, {"keep", true}, {"top1", false, true}, {"homotopy", false, false, true}, {"both", false, true, true}};

/// @throws std::runtime_error, in words, unless @p c is a model whose tokens choose, of masked diffusion.
inline void require_retrofits(const std::string& folder, const transformer::config& c) {
  const auto refuse = [&](bool ok, const char* what) { program::require(ok, "%s: %s", folder.c_str(), what); };
  refuse(c.experts.count > 0, "dense: has no experts that could choose");
  refuse(!c.causal, "a model that writes from left to right, not one of masked diffusion");
  refuse(c.experts.router.chosen == moe::selection::row_top,
         "its tokens do not choose experts: there is nothing to swap");
  program::require(c.mask_token >= 0, "%s: does not say which token is the mask (--mask-token does)", folder.c_str());
}

/// The options of a run on the model of a folder.
inline settings on_model(settings s, const transformer::config& c) {
  s.k = c.experts.router.per_token;
  s.experts = c.experts.count;
  s.router = program::find(cares, s.care).keeps ? "token_choice" : "expert_choice";
  return s;
}

/// Parameters of @p from, a model like @p to but for biases of its routers' selections, without these.
inline std::vector<float> without_biases(const transformer::config& from, const transformer::config& to,
                                         std::span<const float> parameters) {
  const transformer::parameter_layout before(from), after(to);
  std::vector<float> result(static_cast<std::size_t>(after.size()));
  for (const transformer::tensor& t : after.table())
    std::copy_n(parameters.data() + before[before.index(t.id)].offset, t.size(), result.data() + t.offset);
  return result;
}

/// What begins after the swap, and the steps that led there.
struct swapped {
  ground start;
  progress_state state;
};

/// @param g the model as it was. @param s of `on_model`.
inline swapped swap_routers(const ground& g, const settings& s, thread_pool& pool) {
  const care_kind& care = program::find(cares, s.care);
  swapped result{g, {}};
  if (care.keeps) return result;
  if (care.homotopy) {
    settings still = s;
    still.router = "token_choice";
    const transformer::config biased = transformer::with_selection_bias(g.shape);
    learner l(biased, transformer::with_selection_bias<float>(g.shape, g.parameters));
    transformer::workspace<float> memory(biased, s.batch * g.text.length());
    const long steps = s.steps / 4;
    program::progress bar("homotopy", (std::max)(steps, 1L));
    while (result.state.step < steps && !program::interrupted()) {
      const auto rows = take_step(l, g, still, {}, result.state, pool);
      transformer::set_homotopy_bias(l.model(), l.trained(), rows.batch(), memory,
                                     static_cast<double>(result.state.step) / static_cast<double>(steps));
      bar.step(result.state.step, "");
    }
    result.state.loss = 0;
    result.state.loss_steps = 0;
    // What an expert ranks tokens by is the same with its bias and without.
    result.start.parameters = without_biases(biased, g.shape, l.parameters());
  }
  result.start.shape = transformer::experts_choose(result.start.shape, care.best);
  return result;
}

/// KL(old || new) a masked place of held-out sequences, where the swap has just been made.
inline double divergence(const ground& before, const ground& after, const transformer::masked_rows& rows) {
  const transformer::decoder<float> old_model(before.shape), new_model(after.shape);
  const index_t length = before.text.length();
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
  return sum.mean();
}

}  // namespace diffuse
