// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `unlearn` can be told on its command line.
#pragma once
#include <nlohmann/json.hpp>

#include <CLI/CLI.hpp>

#include <string>
#include <thread>
#include <vector>

namespace unlearn {

struct settings {
  std::string checkpoint, tokenizer, forget, retain, save, json;
  std::size_t retain_limit = 400, holdout = 100;
  bool learn_first = false;
  long learn_steps = 2500;
  double learn_rate = 2e-3, learn_until = 0.9;

  std::string objective = "npo", combine = "sago", retain_loss = "nll";
  double forget_weight = 1, retain_weight = 1, beta = -1, delta = 0;
  double steering = 10;
  long layer = -1;
  long steps = 60, batch = 16, accumulation = 1, probe_every = 5;
  double rate = 5e-4, weight_decay = 0, clip = 1, warmup = 0.1, stop_at = 0;
  std::uint64_t seed = 1;
  std::size_t seeds = 3;
  long threads = static_cast<long>((std::max)(1u, std::thread::hardware_concurrency()));

  [[nodiscard]] bool on_files() const { return !checkpoint.empty(); }
  /// What the losses' authors use, where the command line says nothing.
  [[nodiscard]] double beta_or_default() const {
    if (beta >= 0) return beta;
    if (objective == "simnpo") return 4.5;
    if (objective == "undial") return 10;
    if (objective == "wga") return 1;
    return 0.1;
  }
};

inline const std::vector<std::string> objectives = {"grad_ascent", "grad_diff", "npo", "simnpo", "dpo", "idk",
                                                    "ihl", "rmu", "undial", "wga", "satimp"};
inline const std::vector<std::string> combinations = {"sum", "pcgrad", "pcgrad_global", "sago", "sago_prefer_retain",
                                                      "blur", "a_gem", "mgda", "cagrad"};

inline void declare(CLI::App& app, settings& s) {
  const auto files = "On files (without them it makes up its own facts)";
  auto* checkpoint = app.add_option("--checkpoint", s.checkpoint, "llama2.c checkpoint")->group(files);
  auto* forget = app.add_option("--forget", s.forget, "JSON lines of pairs to forget")->group(files);
  auto* retain = app.add_option("--retain", s.retain, "JSON lines of pairs to keep")->group(files);
  auto* tokenizer = app.add_option("--tokenizer", s.tokenizer, "tokenizer.bin")->group(files);
  for (auto* a : {checkpoint, forget, retain, tokenizer})
    for (auto* b : {checkpoint, forget, retain, tokenizer})
      if (a != b) a->needs(b);
  app.add_option("--retain-limit", s.retain_limit, "pairs to keep; those behind are held out")->group(files)->capture_default_str();
  app.add_option("--holdout", s.holdout, "most pairs held out")->group(files)->capture_default_str();
  app.add_flag("--learn-first", s.learn_first, "teach the pairs before")->group(files);
  app.add_option("--save", s.save, "where the checkpoint goes afterwards")->group(files);
  const auto positive = CLI::PositiveNumber;
  app.add_option("--learn-steps", s.learn_steps, "most steps of teaching")->check(positive)->capture_default_str();
  app.add_option("--learn-rate", s.learn_rate, "learning rate of teaching")->check(positive)->capture_default_str();
  app.add_option("--learn-until", s.learn_until, "teach until answers have this probability")->check(CLI::Range(0.0, 1.0))->capture_default_str();

  app.add_option("--objective", s.objective, "loss on what is to be forgotten")->check(CLI::IsMember(objectives))->capture_default_str();
  auto* combine = app.add_option("--combine", s.combine, "how the two gradients become one")->check(CLI::IsMember(combinations));
  app.add_option("--retain-loss", s.retain_loss, "loss on what is to be kept")->check(CLI::IsMember({"nll", "kl", "hidden"}))->capture_default_str();
  app.add_option("--forget-weight", s.forget_weight)->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--retain-weight", s.retain_weight)->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--beta", s.beta, "of npo, dpo (0.1), simnpo (4.5), undial (10), wga (1)")->check(CLI::NonNegativeNumber);
  app.add_option("--delta", s.delta, "of simnpo")->capture_default_str();
  app.add_option("--steering", s.steering, "length of rmu's direction")->capture_default_str();
  app.add_option("--layer", s.layer, "hidden state of rmu and --retain-loss hidden (default: the middle)");

  app.add_option("--steps", s.steps)->check(positive)->capture_default_str();
  app.add_option("--batch", s.batch, "pairs of each kind a step")->check(positive)->capture_default_str();
  app.add_option("--accumulation", s.accumulation, "batches a step")->check(positive)->capture_default_str();
  app.add_option("--rate", s.rate, "learning rate of AdamW")->check(positive)->capture_default_str();
  app.add_option("--warmup", s.warmup, "share of the steps in which the rate rises")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--weight-decay", s.weight_decay)->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--clip", s.clip, "longest combined gradient; 0: any")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--stop-at", s.stop_at, "stop once forgotten answers have this probability; 0: never")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--probe-every", s.probe_every, "steps between looks at the answers' probabilities")->check(positive)->capture_default_str();
  app.add_option("--seed", s.seed)->capture_default_str();
  app.add_option("--seeds", s.seeds, "runs of the made-up facts, from --seed on")->check(positive)->capture_default_str();
  app.add_option("--threads", s.threads)->check(CLI::Range(1, 256))->capture_default_str();
  app.add_option("--json", s.json, "where the result goes, as one object");
  combine->default_str("sago; made-up facts: each in turn");
}

/// What the result says about itself.
inline nlohmann::json describe(const settings& s) {
  nlohmann::json j = {{"objective", s.objective},
                      {"combine", s.combine},
                      {"retain_loss", s.retain_loss},
                      {"forget_weight", s.forget_weight},
                      {"retain_weight", s.retain_weight},
                      {"beta", s.beta_or_default()},
                      {"delta", s.delta},
                      {"steps", s.steps},
                      {"batch", s.batch},
                      {"accumulation", s.accumulation},
                      {"rate", s.rate},
                      {"warmup", s.warmup},
                      {"weight_decay", s.weight_decay},
                      {"clip", s.clip},
                      {"stop_at", s.stop_at},
                      {"seed", s.seed},
                      {"threads", s.threads},
                      {"learn_rate", s.learn_rate},
                      {"learn_steps", s.learn_steps},
                      {"learn_until", s.learn_until}};
  if (s.on_files()) {
    j.update({{"checkpoint", s.checkpoint}, {"tokenizer", s.tokenizer}, {"forget", s.forget}, {"retain", s.retain},
              {"retain_limit", s.retain_limit}, {"holdout", s.holdout}, {"learn_first", s.learn_first}});
  }
  return j;
}

}  // namespace unlearn
