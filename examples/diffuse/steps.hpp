// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One step of a run: sequences are drawn and masked, the model learns from them, and what its routers did is counted.
#pragma once
#include "diffuse/checkpoint.hpp"

namespace diffuse {

/// Step number state.step + 1 of @p l on @p text: a function of the present state and the number. Returns what was
/// learnt from; nothing where the gradient is not finite: then all is as it was.
/// @param budget of the text's length, or empty.
inline std::optional<transformer::masked_rows> take_step(learner& l, const corpus& text, const settings& s,
                                                         std::span<const index_t> budget, progress_state& state,
                                                         thread_pool& pool) {
  const long number = state.step + 1;
  const transformer::token_rows clean = text.draw(s.seed, number, s.batch);
  transformer::masked_rows rows = transformer::mask_by_time(
      clean.batch(), {.mask_token = l.shape().mask_token,
                      .weighting = s.weighting,
                      .least_time = s.weighting == diffusion::weighting::inverse ? s.least_time : 0,
                      .budget = budget,
                      .seed = seed_of(s.seed, stream::masks),
                      .step = static_cast<std::uint32_t>(number)});
  transformer::routing_statistics seen(l.shape());
  const transformer::masked_update update = transformer::learn_masked(
      l, rows, {.balance = s.balance_weight(), .coverage = s.coverage_weight(), .z = s.z}, s.step(), &seen, pool);
  if (!std::isfinite(update.length)) return {};
  state.step = number;
  const auto layers = seen.layers();
  if (s.router == "loss_free") transformer::update_biases(l.model(), l.trained(), layers, s.bias_rate, true);
  if (s.router == "threshold")
    transformer::follow_thresholds(l.model(), l.trained(), layers, number == 1 ? 0 : s.threshold_decay);
  for (const auto& layer : layers) state.padded += layer.load.padded_rows;
  const index_t executed = transformer::executed_slots(layers);
  state.executed += executed;
  state.flops += 3 * transformer::forward_flops(l.shape(), rows.offsets, executed);
  state.loss += update.loss;
  ++state.loss_steps;
  return rows;
}

}  // namespace diffuse
