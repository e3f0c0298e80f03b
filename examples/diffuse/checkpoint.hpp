// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A run on disk: parameters and moments and, in the metadata, the options, the step, and what was counted so far.
/// Random numbers are functions of the step, so that a run goes on from there with the bits of one that was never
/// interrupted.
#pragma once
#include "diffuse/measures.hpp"
#include "support/checkpoint.hpp"

namespace diffuse {

/// What a run is at besides its model.
struct progress_state {
  long step = 0;
  index_t executed = 0, padded = 0;  ///< slots of all layers, and rows of products as long for each expert
  double flops = 0;                  ///< of all steps
  double loss = 0;                   ///< sum over the steps since the last record
  long loss_steps = 0;
  std::optional<double> kl_at_swap = {};  ///< of routers that were swapped
  nlohmann::json records = nlohmann::json::array();
  double seconds = 0;  ///< of steps, since the run began or went on from a checkpoint
};

inline std::vector<program::run_tensor> tensors_of(learner& l) {
  const auto all = l.all();
  return {{"parameters", all.trained}, {"m", all.m}, {"v", all.v}};
}

/// @param text its fingerprint. @throws std::system_error.
inline void write_checkpoint(const std::string& file, const nlohmann::json& options, const std::string& text,
                             learner& l, const progress_state& state) {
  nlohmann::json about = {{"options", options},
                          {"text", text},
                          {"step", state.step},
                          {"updates", l.updates()},
                          {"executed", state.executed},
                          {"padded", state.padded},
                          {"flops", state.flops},
                          {"loss", state.loss},
                          {"loss_steps", state.loss_steps},
                          {"records", program::timeless(state.records, "tokens_per_second")}};
  if (state.kl_at_swap) about["kl_at_swap"] = *state.kl_at_swap;
  program::write_run(file, "diffuse", about, tensors_of(l));
}

/// What a checkpoint says beside its tensors. @throws std::runtime_error if something is missing.
inline progress_state progress_of(const program::run_file& stored) {
  return stored.read([](const nlohmann::json& about) {
    progress_state state{.step = about.at("step").get<long>(),
                         .executed = about.at("executed").get<index_t>(),
                         .padded = about.at("padded").get<index_t>(),
                         .flops = about.at("flops").get<double>(),
                         .loss = about.at("loss").get<double>(),
                         .loss_steps = about.at("loss_steps").get<long>(),
                         .records = about.at("records")};
    if (about.contains("kl_at_swap"))
      state.kl_at_swap = about["kl_at_swap"].is_number() ? about["kl_at_swap"].get<double>() : NAN;
    return state;
  });
}

/// The tensors of a checkpoint. @throws std::runtime_error if one is missing or has another size.
inline void restore(const program::run_file& stored, learner& l) {
  stored.restore(tensors_of(l));
  l.all().updates = stored.read([](const nlohmann::json& about) { return about.at("updates").get<index_t>(); });
}

}  // namespace diffuse
