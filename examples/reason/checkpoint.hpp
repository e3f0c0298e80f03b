// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A run on disk: parameters and moments of policy and critic, the reference, and, in the metadata, the options, the
/// step, and what was seen so far. Random numbers are functions of the step, so that a run goes on from there with the
/// bits of one that was never interrupted.
#pragma once
#include "reason/agent.hpp"
#include "support/checkpoint.hpp"

namespace reason {

/// What a run is at besides its networks.
struct progress_state {
  long step = 0;
  step_sums seen;         ///< since the last record
  nlohmann::json before;  ///< the exam before the first step
  nlohmann::json records = nlohmann::json::array();
  double cpu_seconds = 0;  ///< of processor time in the steps since the run began, or went on from a checkpoint
};

/// The tensors of a run, policy first.
inline std::vector<program::run_tensor> tensors_of(agent& a) {
  std::vector<program::run_tensor> tensors;
  const auto add = [&](const std::string& name, network& net) {
    const auto all = net.all();
    tensors.push_back({name, all.trained});
    tensors.push_back({name + ".m", all.m});
    tensors.push_back({name + ".v", all.v});
  };
  add("policy", a.policy());
  if (a.value() != nullptr) add("critic", a.value()->net());
  tensors.push_back({"reference", a.policy().all().reference});
  return tensors;
}

/// @throws std::system_error.
inline void write_checkpoint(const std::string& file, const nlohmann::json& options, agent& a,
                             const progress_state& state) {
  program::write_run(file, "reason",
                     {{"options", options},
                      {"step", state.step},
                      {"generated", a.generated()},
                      {"updates", {a.policy().updates(), a.value() != nullptr ? a.value()->net().updates() : 0}},
                      {"seen", state.seen},
                      {"before", state.before},
                      {"records", program::timeless(state.records, "cpu_seconds")}},
                     tensors_of(a));
}

/// Puts everything where it was.
/// @throws std::runtime_error if something is missing or does not fit.
inline void restore(const program::run_file& stored, agent& a, progress_state& state) {
  stored.restore(tensors_of(a));
  stored.read([&](const nlohmann::json& about) {
    a.set_generated(about.at("generated").get<index_t>());
    a.policy().all().updates = about.at("updates").at(0).get<index_t>();
    if (a.value() != nullptr) a.value()->net().all().updates = about.at("updates").at(1).get<index_t>();
    state = {about.at("step").get<long>(), about.at("seen").get<step_sums>(), about.at("before"), about.at("records")};
  });
}

}  // namespace reason
