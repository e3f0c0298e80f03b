// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `unlearn` can be told on its command line.
#pragma once
#include "hone/io/file.hpp"
#include "unlearn/adaptation.hpp"
#include "unlearn/combinations.hpp"
#include "unlearn/objectives.hpp"

#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace unlearn {

/// The row of @p table called @p name, which is one of them.
template <class Row, std::size_t N>
const Row& find(const Row (&table)[N], const std::string& name) {
  return *std::find_if(table, table + N, [&](const Row& row) { return row.name == name; });
}
template <class Row, std::size_t N>
std::vector<std::string> names(const Row (&table)[N]) {
  std::vector<std::string> result;
  for (const Row& row : table) result.emplace_back(row.name);
  return result;
}

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
    const auto& o = find(objectives, objective);
    if (beta == 0) beta = o.sums_tokens ? (std::min)(o.beta, 2 / tokens) : o.beta;
  }
  [[nodiscard]] index_t layer_of(const transformer::config& c) const {
    return layer >= 0 ? layer : (c.n_layers + 1) / 2;
  }
};

inline void declare(CLI::App& app, settings& s) {
  const auto positive = CLI::PositiveNumber, non_negative = CLI::NonNegativeNumber;
  const auto share = CLI::Range(0.0, 1.0);
  const auto files = "On files (without them it makes up its own facts)";
  CLI::Option* const needed[] = {
      app.add_option("--model,--checkpoint", s.model, "Hugging Face folder, GGUF file, or llama2.c checkpoint"),
      app.add_option("--forget", s.forget, "JSON lines of pairs to forget"),
      app.add_option("--retain", s.retain, "JSON lines of pairs to keep"),
  };
  for (auto* a : needed) {
    for (auto* b : needed)
      if (a != b) a->needs(b);
    a->group(files);
  }
  const auto on_files = [&](CLI::Option* option) { return option->group(files)->needs(needed[0]); };
  on_files(app.add_option("--tokenizer", s.tokenizer,
                          "its tokenizer.bin or tokenizer.json; else the one that the model brings along"));
  on_files(app.add_option("--retain-limit", s.retain_limit, "pairs to keep; those behind are held out"))
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  on_files(app.add_option("--holdout", s.holdout, "most pairs held out"))
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
  on_files(app.add_flag("--learn-first", s.learn_first, "teach the pairs to a model that does not know them"));
  on_files(app.add_option("--save", s.save, "where the model goes afterwards: a .bin of llama2.c, else a folder"));
  on_files(app.add_option("--save-adapter", s.save_adapter, "where the adapter goes: a .gguf, else a PEFT folder"));

  const auto tofu = "TOFU's measures, where its perturbed files are given";
  const auto measures = [&](CLI::Option* option) { return option->group(tofu)->needs(needed[0]); };
  measures(app.add_option("--forget-perturbed", s.forget_perturbed, "of what is to be forgotten"));
  measures(app.add_option("--retain-perturbed", s.retain_perturbed, "of what is to be kept"));
  measures(app.add_option("--real-authors", s.real_authors, "questions about real people"));
  measures(app.add_option("--world-facts", s.world_facts, "questions about the world"));
  measures(app.add_flag("--retrain", s.retrain,
                        "teach a second model only what is to be kept, and test forget quality against it"));

  const auto teaching = "Teaching";
  const auto taught = [&](CLI::Option* option) { option->group(teaching)->capture_default_str(); };
  taught(app.add_option("--learn-steps", s.learn_steps, "most steps")->check(positive));
  taught(app.add_option("--learn-rate", s.learn_rate, "learning rate")->check(positive));
  taught(app.add_option("--learn-until", s.learn_until, "until answers have this probability")->check(share));

  const auto forgetting = "Forgetting";
  const auto forgets = [&](CLI::Option* option) { return option->group(forgetting)->capture_default_str(); };
  forgets(app.add_option("--objective", s.objective, "loss on what is to be forgotten"))
      ->check(CLI::IsMember(names(objectives)));
  forgets(app.add_option("--combine", s.combine, "how the two gradients become one"))
      ->check(CLI::IsMember(names(combinations)))
      ->default_str("sago; made-up facts: each in turn");
  forgets(app.add_option("--retain-loss", s.retain_loss, "loss on what is to be kept"))
      ->check(CLI::IsMember(names(anchors)));
  forgets(app.add_option("--forget-weight", s.forget_weight, "factor on that loss")->check(non_negative))
      ->default_str("1; made-up facts: 1, 0.3, 0.1, 0.03");
  forgets(app.add_option("--retain-weight", s.retain_weight, "factor on that loss")->check(non_negative));
  forgets(app.add_option("--beta", s.beta, "of npo, dpo, simnpo, undial, wga")->check(positive))
      ->default_str("npo, dpo: 0.1, at most 2 / tokens of an answer; 4.5, 10, 1");
  forgets(app.add_option("--delta", s.delta, "of simnpo"));
  forgets(app.add_option("--steering", s.steering, "length of rmu's direction")->check(non_negative));
  forgets(app.add_option("--layer", s.layer, "hidden state of rmu and --retain-loss hidden")->check(non_negative))
      ->default_str("the middle");
  forgets(app.add_option("--steps", s.steps, "most steps")->check(positive));
  forgets(app.add_option("--batch", s.batch, "pairs of each kind a batch")->check(positive));
  forgets(app.add_option("--accumulation", s.accumulation, "batches a step")->check(positive));
  forgets(app.add_option("--rate", s.rate, "learning rate of AdamW")->check(positive));
  forgets(app.add_option("--warmup", s.warmup, "share of the steps in which the rate rises")->check(share));
  forgets(app.add_option("--weight-decay", s.weight_decay, "of AdamW")->check(non_negative));
  forgets(app.add_option("--clip", s.clip, "longest combined gradient; 0: any")->check(non_negative));
  forgets(app.add_option("--stop-at", s.stop_at, "stop once forgotten answers have this probability; 0: never"))
      ->check(share)
      ->default_str("that of pairs held out");
  forgets(app.add_option("--probe-every", s.probe_every, "steps between looks at it")->check(positive));

  const auto adapting = "Adapters";
  const auto adapts = [&](CLI::Option* option) { return option->group(adapting)->capture_default_str(); };
  adapts(app.add_option("--adapter", s.adapter, "train a low-rank adapter that starts so; none: all parameters"))
      ->check(CLI::IsMember(names(adapter_kinds)));
  adapts(app.add_option("--rank", s.rank, "of its matrices")->check(positive));
  adapts(app.add_option("--alpha", s.alpha, "its scale times its rank")->check(positive))
      ->default_str("twice the rank");
  adapts(app.add_option("--orthogonal", s.orthogonal, "weight of the loss that keeps it out of the retain subspace"))
      ->check(non_negative);
  adapts(app.add_flag("--project", s.project, "project it out of the retain subspace after every step"));
  adapts(app.add_option("--basis", s.basis, "directions of that subspace, at most a fourth of the outputs")
             ->check(positive));
  adapts(app.add_flag("--compare-adapters", s.compare_adapters,
                      "no adapter, LoRA and RILA, with and without --orthogonal (0.5), each in turn"));

  app.add_option("--seed", s.seed, "of every random choice")->capture_default_str();
  app.add_option("--seeds", s.seeds, "runs of the made-up facts, from --seed on")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--threads", s.threads, "results do not depend on them")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_flag("--mpi", s.mpi, "under mpirun: every process does a share of each batch, of at most 4");
  app.add_option("--json", s.json, "where the result goes, as one object");
}

/// Fills in what depends on other options and refuses what would only fail after the teaching.
/// @throws std::runtime_error, std::system_error.
inline void complete(const CLI::App& app, settings& s) {
  for (const double x : {s.learn_rate, s.learn_until, s.forget_weight, s.retain_weight, s.beta, s.delta, s.steering,
                         s.rate, s.warmup, s.weight_decay, s.clip, s.stop_at, s.alpha, s.orthogonal})
    if (!std::isfinite(x)) throw std::runtime_error("an option's value is not a finite number");
  if (!s.retains() && app.count("--combine") > 0 && s.combine != "sum")
    throw std::runtime_error("--objective grad_ascent has no retain gradient to combine with; use grad_diff");
  if (!s.retains()) s.combine = "sum";
  if (s.alpha == 0) s.alpha = 2 * static_cast<double>(s.rank);
  if (s.retrain && (s.forget_perturbed.empty() || !s.learn_first))
    throw std::runtime_error("--retrain needs --learn-first and --forget-perturbed");
  if (s.compare_adapters && (s.adapts() || s.project))
    throw std::runtime_error("--compare-adapters chooses the adapters itself");
  if (!s.adapts() && !s.compare_adapters)
    for (const char* option : {"--rank", "--alpha", "--orthogonal", "--project", "--basis", "--save-adapter"})
      if (app.count(option) > 0) throw std::runtime_error(std::string(option) + " needs an --adapter");
  if (s.compare_adapters && !(s.save.empty() && s.save_adapter.empty()))
    throw std::runtime_error("--compare-adapters ends with several models: it saves none");
  if (s.on_files() && s.tokenizer.empty() && s.model.ends_with(".bin"))
    throw std::runtime_error("--tokenizer: a checkpoint of llama2.c brings none along");
  for (const auto& [one, other, text] : {std::tuple(&s.json, &s.save, "--json and --save"),
                                         std::tuple(&s.json, &s.save_adapter, "--json and --save-adapter"),
                                         std::tuple(&s.save, &s.save_adapter, "--save and --save-adapter")})
    if (!one->empty() && *one == *other) throw std::runtime_error(std::string(text) + " name the same file");
  for (const std::string& file :
       {s.json, s.save.ends_with(".bin") ? s.save : "", s.save_adapter.ends_with(".gguf") ? s.save_adapter : ""})
    if (!file.empty()) io::atomic_file{file};
  for (const std::string& folder :
       {s.save.ends_with(".bin") ? "" : s.save, s.save_adapter.ends_with(".gguf") ? "" : s.save_adapter})
    if (!folder.empty()) std::filesystem::create_directories(folder);
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
inline nlohmann::json describe(const settings& s) {
  nlohmann::json j = {{"objective", s.objective},
                      {"combine", s.combine},
                      {"retain_loss", s.retain_loss},
                      {"forget_weight", s.forget_weight},
                      {"retain_weight", s.retain_weight},
                      {"beta", s.beta},
                      {"delta", s.delta},
                      {"steering", s.steering},
                      {"layer", s.layer},
                      {"steps", s.steps},
                      {"batch", s.batch},
                      {"accumulation", s.accumulation},
                      {"adapter", s.adapter},
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
  if (s.adapts())
    j.update({{"rank", s.rank},
              {"alpha", s.alpha},
              {"orthogonal", s.orthogonal},
              {"project", s.project},
              {"basis", s.basis}});
  if (s.on_files()) {
    j.update({{"model", s.model},
              {"tokenizer", s.tokenizer},
              {"forget", s.forget},
              {"retain", s.retain},
              {"retain_limit", s.retain_limit},
              {"holdout", s.holdout},
              {"learn_first", s.learn_first}});
  }
  return j;
}

}  // namespace unlearn
