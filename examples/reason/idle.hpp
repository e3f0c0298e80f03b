// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Options that were told and change nothing: `reason` refuses them, as somebody who tells one expects that it does.
#pragma once
#include "reason/settings.hpp"

namespace reason {

/// What was told, by option: nothing for one of the command line, else the value of a sweep that brought it along.
using told_options = std::map<std::string, std::string>;

struct idle_option {
  const char* name;
  const char* wants;  ///< without which it changes nothing
};

/// Those that change nothing under @p s, told or not.
/// @param table whether the bandit's whole table is to be run, whose algorithms are its own.
/// @throws std::runtime_error as `recipe_of`.
inline std::vector<idle_option> idle_options(const settings& s, bool table) {
  const policy::recipe a = recipe_of(s.algorithm);
  const bool bandit = s.task == "bandit", model = !bandit, made = model && !s.on_files();
  const bool anchor = std::visit([](const auto& f) { return requires { f.surrogate.push; }; }, a.objective);
  const bool pull = anchor && s.algorithm.anchor_beta != 0, critic = a.needs.critic != policy::critic_kind::none;
  const struct {
    const char* wants;
    bool there;
    std::vector<const char*> names;
  } rows[] = {
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
  std::vector<idle_option> idle;
  for (const auto& row : rows)
    if (!row.there)
      for (const char* name : row.names) idle.push_back({name, row.wants});
  return idle;
}

/// Refuses what was told and changes nothing in any of @p runs that it was told for, each with `settings options` and
/// `told_options told`.
/// @throws std::runtime_error then, and as `recipe_of`.
template <class Runs>
void refuse_idle(const Runs& runs) {
  std::map<std::pair<std::string, std::string>, const char*> idle;  // an option by its source; null: it does something
  for (const auto& run : runs) {
    const bool table = run.options.task == "bandit" && run.options.sweep.empty() && !run.told.contains("--algorithm");
    const std::vector<idle_option> here = idle_options(run.options, table);
    for (const auto& told : run.told) {
      const auto found = std::find_if(here.begin(), here.end(), [&](const auto& i) { return told.first == i.name; });
      if (found == here.end())
        idle[told] = nullptr;
      else
        idle.emplace(told, found->wants);
    }
  }
  for (const auto& [told, wants] : idle)
    if (wants)
      throw std::runtime_error((told.second.empty() ? "" : "--sweep " + told.second + ": ") + told.first +
                               " changes nothing without " + wants);
}

}  // namespace reason
