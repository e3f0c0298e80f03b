// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `unlearn` can be told on its command line.
#pragma once
#include "hone/lora/named_start.hpp"
#include "support/files.hpp"
#include "support/idle.hpp"
#include "support/options.hpp"
#include "unlearn/combinations.hpp"
#include "unlearn/objectives.hpp"

#include <thread>

namespace unlearn {

struct settings {
  /// TOFU's files with paraphrased and perturbed answers.
  std::string forget_perturbed, retain_perturbed, real_authors, world_facts;
  bool retrain = false;
  std::string model, tokenizer, forget, retain, save, save_adapter, json;
  std::size_t retain_limit = 400, holdout = 100;
  bool learn_first = false;
  long learn_steps = 1500;
  double learn_rate = 2e-3, learn_until = 0.98;

  std::string objective = "npo", combine = "sago", retain_loss = "nll";
  double forget_weight = 1, retain_weight = 1, beta = 0, delta = 0, steering = 10;
  index_t layer = -1;
  long steps = 150, batch = 16, accumulation = 1, probe_every = 5;
  std::string adapter = "none";
  index_t rank = 8, basis = 128;
  double alpha = 0, orthogonal = 0;
  bool project = false, compare_adapters = false;
  double rate = 5e-4, weight_decay = 0, clip = 1, warmup = 0.1, stop_at = -1;
  std::uint64_t seed = 1;
  std::size_t seeds = 3;
  bool mpi = false;
  long threads = static_cast<long>((std::max)(1u, std::thread::hardware_concurrency()));

  [[nodiscard]] bool on_files() const { return !model.empty(); }
  [[nodiscard]] bool adapts() const { return adapter != "none"; }
  /// Whether the adapter needs the directions of what is kept.
  [[nodiscard]] bool keeps_out() const { return orthogonal > 0 || project; }
  /// Gradient ascent is the one loss that has nothing beside it.
  [[nodiscard]] bool retains() const { return objective != "grad_ascent"; }
  /// The beta of the objective for answers of @p tokens on average, where the command line says none.
  void settle_beta(double tokens) {
    const auto& o = program::find(objectives, objective);
    if (beta == 0) beta = o.sums_tokens ? (std::min)(o.beta, 2 / tokens) : o.beta;
  }
  [[nodiscard]] index_t layer_of(const transformer::config& c) const {
    return layer >= 0 ? layer : (c.n_layers + 1) / 2;
  }
};

/// A row for every option.
inline program::options options_of(settings& s) {
  using namespace program;
  const auto share = between(0, 1), weight = at_least(0, most_weight), some = above(0, most_weight);
  const auto rate = above(0, most_rate), count = at_least(1, most_count), items = at_least(1, most_items);
  const auto one_of = [](const auto& table) { return CLI::IsMember(names(table)); };
  std::vector<std::string> adapters = names(lora::named_starts);
  adapters.insert(adapters.begin(), "none");
  program::options row;
  row.group("On files (without them it makes up its own facts)", s.on_files());
  row("--model,--checkpoint", s.model, "Hugging Face folder, GGUF file, or llama2.c checkpoint")
      .needs({"--forget", "--retain"});
  row("--forget", s.forget, "pairs to forget, JSON lines with question and answer").needs({"--model", "--retain"});
  row("--retain", s.retain, "pairs to keep, of the same form").needs({"--model", "--forget"});
  row("--tokenizer", s.tokenizer, "its tokenizer.bin or tokenizer.json; else the one that the model brings along")
      .needs({"--model"});
  row("--retain-limit", s.retain_limit, "most pairs to keep; those after them in the file are held out", count)
      .needs({"--model"});
  row("--holdout", s.holdout, "most pairs held out, which show what not knowing looks like", at_least(0, most_count))
      .needs({"--model"});
  row("--learn-first", s.learn_first, "teach the pairs to a model that does not know them").needs({"--model"});
  row("--save", s.save, "where the model goes afterwards: a .bin of llama2.c, else a folder")
      .needs({"--model"})
      .reported(false);
  row("--save-adapter", s.save_adapter, "where the adapter goes: a .gguf, else a PEFT folder")
      .needs({"--model"})
      .reported(false);

  row.group("TOFU's measures, where its perturbed files are given", s.on_files());
  row("--forget-perturbed", s.forget_perturbed, "of what is to be forgotten").needs({"--model"});
  row("--retain-perturbed", s.retain_perturbed, "of what is to be kept").needs({"--model"});
  row("--real-authors", s.real_authors, "questions about real people").needs({"--model"});
  row("--world-facts", s.world_facts, "questions about the world").needs({"--model"});
  row("--retrain", s.retrain, "teach a second model only what is to be kept, and test forget quality against it")
      .needs({"--model"});

  row.group("Teaching");
  row("--learn-steps", s.learn_steps, "most steps", count);
  row("--learn-rate", s.learn_rate, "learning rate of AdamW", rate);
  row("--learn-until", s.learn_until, "ends once answers have this probability, in the mean", share);

  row.group("Forgetting");
  row("--objective", s.objective, "loss on what is to be forgotten", one_of(objectives));
  row("--combine", s.combine, "how the two gradients become one", one_of(combinations))
      .shown("sago; made-up facts: each in turn");
  row("--retain-loss", s.retain_loss, "loss on what is to be kept", one_of(anchors));
  row("--forget-weight", s.forget_weight, "factor on the forget loss", weight)
      .shown("1; made-up facts: 1, 0.3, 0.1, 0.03");
  row("--retain-weight", s.retain_weight, "factor on the retain loss", weight);
  row("--beta", s.beta, "of --objective npo, dpo, simnpo, undial, wga", some)
      .shown("npo, dpo 0.1 or 2 / tokens of an answer; simnpo 4.5; undial 10; wga 1");
  row("--delta", s.delta, "of --objective simnpo, its margin", between(-most_weight, most_weight));
  row("--steering", s.steering, "of --objective rmu: how long the direction is that it pushes towards", weight);
  row("--layer", s.layer, "hidden state of --objective rmu and --retain-loss hidden; 0: the embedding",
      at_least(0, most_count))
      .shown("the middle");
  row("--steps", s.steps, "most steps", count);
  row("--batch", s.batch, "pairs of each kind in a batch", items);
  row("--accumulation", s.accumulation, "batches whose gradients make a step", items);
  row("--rate", s.rate, "learning rate of AdamW", rate);
  row("--warmup", s.warmup, "share of the steps in which the rate rises", share);
  row("--weight-decay", s.weight_decay, "of AdamW", weight);
  row("--clip", s.clip, "longest gradient of a step: longer ones are cut; 0: none is", weight);
  row("--stop-at", s.stop_at, "stop once forgotten answers have this probability; 0: never", share)
      .shown("that of pairs held out");
  row("--probe-every", s.probe_every, "steps from one look at that probability to the next", count).reported(false);

  row.group("Adapters", s.adapts());
  row("--adapter", s.adapter, "train a low-rank adapter that starts so; none: all parameters", CLI::IsMember(adapters))
      .reported(true);
  row("--rank", s.rank, "of the adapter", count);
  row("--alpha", s.alpha, "scale of the adapter times its rank", some).shown("twice the rank");
  row("--orthogonal", s.orthogonal, "weight of the loss that keeps it out of the retain subspace", weight);
  row("--project", s.project, "project it out of the retain subspace after every step");
  row("--basis", s.basis, "directions of the retain subspace, at most a fourth of the outputs", count);
  row("--compare-adapters", s.compare_adapters,
      "no adapter, LoRA and RILA, with and without --orthogonal (0.5), each in turn")
      .reported(false);

  row.group("");
  row("--seed", s.seed, "of every random choice");
  row("--seeds", s.seeds, "how many runs of the made-up facts, with the seeds from --seed on", between(1, 1000))
      .reported(false);
  row("--threads", s.threads, "results do not depend on them", between(1, 256));
  row("--mpi", s.mpi, "under mpirun: every process does a share of each batch, of at most 4").reported(false);
  row("--json", s.json, "where the result goes, as one object").reported(false);
  return row;
}

/// What options want, without which they change nothing.
inline std::vector<program::want> wants_of(const settings& s) {
  const bool adapter = s.adapts() || s.compare_adapters;
  return {
      {"made-up facts: of files there is one run, of --seed", !s.on_files(), {"--seeds"}},
      {"--learn-first", !s.on_files() || s.learn_first, {"--learn-steps", "--learn-rate", "--learn-until"}},
      {"an --objective that has one: npo, dpo, simnpo, undial, wga",
       program::find(objectives, s.objective).beta > 0,
       {"--beta"}},
      {"--objective simnpo", s.objective == "simnpo", {"--delta"}},
      {"--objective rmu", s.objective == "rmu", {"--steering"}},
      {"--objective rmu or --retain-loss hidden", s.objective == "rmu" || s.retain_loss == "hidden", {"--layer"}},
      {"a loss on what is to be kept: --objective grad_ascent has none, grad_diff has",
       s.retains(),
       {"--retain-loss", "--retain-weight", "--combine"}},
      {"an --adapter", adapter, {"--rank", "--alpha", "--orthogonal", "--project", "--basis"}},
      {"an --adapter", s.adapts(), {"--save-adapter"}},
      {"--orthogonal or --project", s.compare_adapters || s.keeps_out(), {"--basis"}},
  };
}

/// Fills in what depends on other options and refuses what would only fail after the teaching.
/// @throws std::runtime_error, std::system_error.
inline void complete(const CLI::App& app, settings& s) {
  if (s.retrain && (s.forget_perturbed.empty() || !s.learn_first))
    throw std::runtime_error("--retrain needs --learn-first and --forget-perturbed");
  if (s.compare_adapters && (s.adapts() || s.project))
    throw std::runtime_error("--compare-adapters chooses the adapters itself");
  if (s.compare_adapters && !(s.save.empty() && s.save_adapter.empty()))
    throw std::runtime_error("--compare-adapters ends with several models: it saves none");
  program::refuse_idle_on(app, wants_of(s));
  if (!s.retains()) s.combine = "sum";
  if (s.alpha == 0) s.alpha = 2 * static_cast<double>(s.rank);
  program::require_tokenizer(s.model, s.tokenizer);
  if (program::same_file(s.forget, s.retain))
    throw std::runtime_error("--forget and --retain name the same file: what is to be forgotten cannot be kept");
  program::require_outputs(
      {{"--json", s.json},
       {"--save", s.save, ".bin"},
       {"--save-adapter", s.save_adapter, ".gguf", {"adapter_config.json", "adapter_model.safetensors"}}},
      {s.model, s.tokenizer, s.forget, s.retain, s.forget_perturbed, s.retain_perturbed, s.real_authors,
       s.world_facts});
}

/// @throws std::runtime_error if @p c has no such hidden state, or an adapter would have a larger rank than one of its
/// matrices lets it.
inline void require_fit(const settings& s, const transformer::config& c) {
  program::require(s.layer <= c.n_layers, "--layer %td: the model has hidden states 0 to %td", s.layer, c.n_layers);
  if (!s.adapts() && !s.compare_adapters) return;
  const index_t least = (std::min)({c.d_model, c.d_ff, c.q_width(), c.kv_width()});
  const index_t most = s.adapter == "lora_ga" ? least / 2 : least;  // the two ends of a gradient's singular vectors
  program::require(s.rank <= most, "--rank %td: the smallest matrix has one of %td, --adapter %s takes at most %td",
                   s.rank, least, s.compare_adapters ? "rila" : s.adapter.c_str(), most);
}

/// One of several ways to forget that are compared.
struct way {
  std::string name;
  settings options;
};

/// All parameters, LoRA and ReGLU's RILA, with what keeps them out of the retain subspace and without.
inline std::vector<way> adapter_ways(const settings& s) {
  const double lambda = s.orthogonal > 0 ? s.orthogonal : 0.5;
  struct row {
    const char *name, *adapter;
    double orthogonal;
    bool project;
  };
  std::vector<way> ways;
  for (const row& r : {row{"all parameters", "none", 0, false}, row{"lora", "lora", 0, false},
                       row{"lora, orthogonal", "lora", lambda, false}, row{"rila", "rila", 0, false},
                       row{"rila, orthogonal", "rila", lambda, false}, row{"rila, projected", "rila", 0, true}}) {
    way& w = ways.emplace_back(way{r.name, s});
    w.options.adapter = r.adapter;
    w.options.orthogonal = r.orthogonal;
    w.options.project = r.project;
  }
  return ways;
}

/// Each combination of gradients in turn.
inline std::vector<way> combination_ways(const settings& s, const std::vector<std::string>& chosen) {
  std::vector<way> ways;
  for (const std::string& combination : chosen) {
    ways.push_back({combination, s});
    ways.back().options.combine = combination;
  }
  return ways;
}

/// What the result says about itself.
inline nlohmann::json describe(settings s) { return options_of(s).report(); }

}  // namespace unlearn
