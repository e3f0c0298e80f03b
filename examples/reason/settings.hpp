// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `reason` can be told on its command line.
#pragma once
#include "hone/io/file.hpp"
#include "reason/algorithms.hpp"
#include "reason/tasks.hpp"

#include <filesystem>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace reason {

struct settings {
  std::string task = "chain";
  std::vector<index_t> horizon;  ///< empty: the task's own
  double error = -1, aliasing = 0.5;
  index_t width = 32, layers = 2, heads = 2;

  std::string model, tokenizer, prompts;
  index_t longest = 256;  ///< tokens of a response to --prompts

  long sft_steps = -1;  ///< -1: 600 for a model that is made here, 0 for one of a file
  index_t sft_batch = 64;
  double sft_rate = 3e-3;

  algorithm_settings algorithm{.name = "grpo"};
  index_t group_size = 0;  ///< 0: the algorithm's own
  index_t batch = 128;     ///< responses of a step
  long minibatches = 2, epochs = 1;
  double rate = 1e-3, critic_rate = 1e-3, weight_decay = 0, clip = 1, critic_size = 1, temperature = 1;
  long warmup = 0, steps = 60;
  index_t tokens = 0;  ///< the most generated, 0: as many as the steps take

  index_t held_out = 64, samples = 64, probe_samples = 8;
  long report_every = 0;  ///< steps; 0: a tenth of them
  std::uint64_t seed = 1;
  std::size_t seeds = 1;

  std::string checkpoint, resume, save, json;
  long checkpoint_every = 0;  ///< steps; 0: at the end alone
  std::vector<std::string> sweep;
  long threads = static_cast<long>((std::max)(1u, std::thread::hardware_concurrency()));

  [[nodiscard]] bool on_files() const { return !model.empty(); }
  [[nodiscard]] long report_steps() const { return report_every > 0 ? report_every : (std::max)(steps / 10, 1L); }
  [[nodiscard]] long teaching_steps() const { return sft_steps >= 0 ? sft_steps : on_files() ? 0 : 600; }
  [[nodiscard]] index_t prompts_of_step(index_t group) const { return batch / group; }
};

}  // namespace reason
