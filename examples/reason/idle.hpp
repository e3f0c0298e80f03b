// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the options of `reason` want, without which they change nothing.
#pragma once
#include "reason/settings.hpp"
#include "support/idle.hpp"

namespace reason {

using program::told_options;

/// @param table whether the bandit's whole table is to be run, whose algorithms are its own.
/// @throws std::runtime_error as `recipe_of`.
inline std::vector<program::want> wants_of(const settings& s, bool table) {
  const policy::recipe a = recipe_of(s.algorithm);
  const bool bandit = s.task == "bandit", model = !bandit, made = model && !s.on_files();
  const bool anchor = std::visit([](const auto& f) { return requires { f.surrogate.push; }; }, a.objective);
  const bool pull = anchor && s.algorithm.anchor_beta != 0, critic = a.needs.critic != policy::critic_kind::none;
  return {
      {"problems that are made up: --prompts are not", !s.on_files(), {"--task"}},
      {"problems that are made up: --task chain, tree or countdown", made, {"--horizon", "--error"}},
      {"--task chain", made && s.task == "chain", {"--moduli"}},
      {"--task tree", made && s.task == "tree", {"--aliasing"}},
      {"--task bandit", bandit, {"--collapse", "--identifiable"}},
      {"a model that is made", made, {"--width", "--layers", "--heads"}},
      {"a model, which the bandit has not",
       model,
       {"--sft-steps", "--epochs", "--weight-decay", "--clip", "--warmup", "--temperature", "--tokens", "--held-out",
        "--samples", "--probe-samples", "--report-every"}},
      {"responses of more than one token", model, {"--gae-lambda"}},
      {"a supervised start", model && s.teaching_steps() > 0, {"--sft-batch", "--sft-rate"}},
      {"--algorithm: the bandit's table has its own",
       !table,
       {"--kl", "--kl-estimator", "--kl-gradient", "--entropy", "--clip-low", "--clip-high", "--clip-dual"}},
      {"--kl", s.algorithm.kl != 0, {"--kl-estimator", "--kl-gradient"}},
      {"a KL in the loss: this algorithm has it in the reward", a.reward_kl == 0, {"--kl-gradient"}},
      {"an algorithm with an anchor: apo, or one with +apo",
       anchor,
       {"--anchor-beta", "--anchor-lambda", "--anchor-clip"}},
      {"an algorithm with an anchor, and --anchor-beta", pull, {"--anchor-k", "--anchor-form"}},
      {"an algorithm with a critic", critic || table, {"--critic-rate"}},
      {"an algorithm with a critic, and a model", critic && model, {"--critic-size"}},
  };
}

/// @param runs each with `settings options` and `told_options told`.
/// @throws std::runtime_error as `program::refuse_idle` and `recipe_of`.
template <class Runs>
void refuse_idle(const Runs& runs) {
  program::refuse_idle(runs, [](const auto& run) {
    const bool table = run.options.task == "bandit" && run.options.sweep.empty() && !run.told.contains("--algorithm");
    return program::idle_options(wants_of(run.options, table));
  });
}

}  // namespace reason
