// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One step of a run: sequences are drawn and masked, the model learns from them, and what its routers did is counted.
#pragma once
#include "diffuse/checkpoint.hpp"

namespace diffuse {

/// A text, its mask, and the model that begins.
struct ground {
  const corpus& text;
  std::int32_t mask;
  transformer::config shape;
  std::vector<float> parameters;
};

/// Step number state.step + 1 of @p l: a function of the present state and the number. Returns what was learnt from.
/// @param budget of the text's length, or empty. @throws std::runtime_error if the gradient is not finite.
inline transformer::masked_rows take_step(learner& l, const ground& g, const settings& s,
                                          std::span<const index_t> budget, progress_state& state, thread_pool& pool) {
  const long number = ++state.step;
  const transformer::token_rows clean = g.text.draw(s.seed, number, s.batch);
  transformer::masked_rows rows = transformer::mask_by_time(
      clean.batch(), {.mask_token = g.mask,
                      .weighting = s.weighting,
                      .least_time = s.weighting == diffusion::weighting::inverse ? s.least_time : 0,
                      .budget = budget,
                      .seed = seed_of(s.seed, stream::masks),
                      .step = static_cast<std::uint32_t>(number)});
  transformer::routing_statistics seen(l.shape());
  const transformer::masked_update update = transformer::learn_masked(
      l, rows, {.balance = s.balance_weight(), .coverage = s.coverage_weight(), .z = s.z}, s.step(), &seen, pool);
  program::require(std::isfinite(update.length), "step %ld: the gradient is not finite; a lower --rate may help",
                   number);
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
