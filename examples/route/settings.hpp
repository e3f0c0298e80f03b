// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `route` can be told on its command line.
#pragma once
#include <thread>

#include "hone/core/thread_pool.hpp"
#include "hone/routing/probe_training.hpp"
#include "hone/routing/sink.hpp"
#include "hone/statistics/recalibration.hpp"
#include "support/files.hpp"
#include "support/idle.hpp"
#include "support/options.hpp"
#include "support/program.hpp"

namespace route {

namespace io = hone::io;
namespace routing = hone::routing;
namespace statistics = hone::statistics;
namespace transformer = hone::transformer;
using hone::index_t;
using hone::thread_pool;

/// What is trained: a pooling of the layers, or the chain of embedding, whose features are of neighbouring layers.
enum class probe_kind { fixed, last, mean, max, softmax, dirichlet, chain };
inline const std::map<std::string, probe_kind> probe_kinds = {
    {"fixed", probe_kind::fixed}, {"last", probe_kind::last},       {"mean", probe_kind::mean},
    {"max", probe_kind::max},     {"softmax", probe_kind::softmax}, {"dirichlet", probe_kind::dirichlet},
    {"chain", probe_kind::chain}};
inline const std::map<std::string, routing::weight_noise> noises = {{"sampled", routing::weight_noise::sampled},
                                                                    {"delta", routing::weight_noise::delta},
                                                                    {"mean", routing::weight_noise::mean}};
inline const std::map<std::string, routing::gradient_form> forms = {{"beta", routing::gradient_form::beta},
                                                                    {"gamma", routing::gradient_form::gamma}};
inline const std::map<std::string, routing::token_pooling> token_poolings = {{"mean", routing::token_pooling::mean},
                                                                             {"last", routing::token_pooling::last}};
inline const std::map<std::string, routing::last_state> conventions = {
    {"hugging_face", routing::last_state::after_norm}, {"vllm", routing::last_state::before_norm}};

/// Of the thresholds that a router is given.
inline constexpr double least_call_rate = 0.05;

struct settings {
  index_t width = 32, layers = 6, large_width = 64, heads = 4;
  long steps = 1500, large_steps = 3000;
  double teach_rate = 3e-3;
  index_t prompts = 500, test = 250;

  std::string states, labels;
  std::optional<routing::last_state> convention = {};
  std::vector<std::int32_t> state_of = {};  ///< --layers of --states
  double held_out = 0.2;
  bool chat_template = false;

  probe_kind pooling = probe_kind::dirichlet;
  std::optional<index_t> layer = {};  ///< of fixed; none: the middle one
  std::vector<index_t> hidden = {}, concentration_layers = {};
  std::optional<routing::token_pooling> tokens = {};
  bool standardise = false;
  routing::probe_objective objective = {};
  routing::probe_training_options training = {.rate = 3e-3, .batch = 32};

  std::string router, model, tokenizer, form = "{}";
  double call_rate = 0.3;
  bool accept_copy = false;

  std::string save, save_model, json;
  std::uint64_t seed = 1;
  std::size_t seeds = 1;
  std::vector<std::string> sweep;
  long threads = static_cast<long>((std::max)(1u, std::thread::hardware_concurrency()));

  [[nodiscard]] bool serves() const { return !router.empty(); }
  [[nodiscard]] bool on_files() const { return !states.empty(); }
  [[nodiscard]] bool makes_models() const { return !serves() && !on_files(); }
  [[nodiscard]] routing::token_pooling pooled_tokens() const { return tokens.value_or(routing::token_pooling::mean); }
  [[nodiscard]] bool is_dirichlet() const { return pooling == probe_kind::dirichlet; }
  /// Whether the router is one vector a layer, which a sink and a file can take.
  [[nodiscard]] bool folds() const {
    return pooling != probe_kind::max && pooling != probe_kind::chain && hidden.empty() && concentration_layers.empty();
  }
  /// Whether the story ends with lines that are answered.
  [[nodiscard]] bool answers() const { return makes_models() && folds() && seeds == 1 && sweep.empty(); }
  [[nodiscard]] bool draws_weights() const {
    return is_dirichlet() && objective.noise == routing::weight_noise::sampled;
  }
};

/// A row for every option.
inline program::options options_of(settings& s) {
  using namespace program;
  const auto share = between(0, 1), weight = at_least(0, most_weight);
  const auto rate = above(0, most_rate), count = at_least(1, most_count), items = at_least(1, most_items);
  routing::probe_objective& o = s.objective;
  routing::probe_training_options& t = s.training;
  program::options row;
  row.group("The models", s.makes_models());
  row("--width", s.width, "of the small model", between(2, 4096));
  row("--large-width", s.large_width, "of the large one", between(2, 4096));
  row("--model-layers", s.layers, "of both", between(1, 64));
  row("--heads", s.heads, "of both", between(1, 64));
  row("--steps", s.steps, "of teaching the small model, 64 traces each", count);
  row("--large-steps", s.large_steps, "of teaching the large one", count);
  row("--teach-rate", s.teach_rate, "learning rate of both", rate);
  row("--prompts", s.prompts, "of each domain that routers are trained on, a fifth of them to choose an epoch by",
      between(10, most_items));
  row("--test", s.test, "prompts of each domain that routers are judged by", between(10, most_items));

  row.group("States of an engine", s.on_files());
  row("--states", s.states,
      "safetensors with hidden_states (prompts x layers x width) and ids, or a folder of vLLM's files, one a prompt")
      .needs({"--labels"});
  row("--labels", s.labels, "JSON lines: id, and small and large, how good either model's answer is")
      .needs({"--states"});
  row.choice("--convention", s.convention, conventions,
             "the last state: hugging_face (after the norm) or vllm (before)")
      .shown("what the file says; of a folder vllm's");
  row("--layers", s.state_of, "which of the model's states the file has, 0 the embedding").shown("all, in order");
  row("--held-out", s.held_out, "share of the prompts that the router is judged by", between(0.01, 0.9));
  row("--chat-template", s.chat_template, "prompts went through the model's chat template: the router file says so");

  row.group("The router", !s.serves());
  row.choice("--pooling", s.pooling, probe_kinds, "of layers: dirichlet, softmax, mean, max, last, fixed; or chain");
  row("--layer", s.layer, "of --pooling fixed, 0 the embedding", at_least(0, 1e6)).shown("the middle one");
  row("--hidden", s.hidden, "widths of the head's hidden layers", items).shown("none: it is linear");
  row("--concentration-layers", s.concentration_layers,
      "widths of the hidden layers that make the concentrations of dirichlet from the input", items)
      .shown("none: they are the same for all inputs");
  row.choice("--tokens", s.tokens, token_poolings, "whose states count: mean of all, or the last one's").shown("mean");
  row("--standardise", s.standardise, "z-scores of the states, folded into the router");
  row.choice("--noise", o.noise, noises, "of dirichlet in training: sampled, delta (its second order) or mean (none)")
      .shown("sampled");
  row("--draws", o.draws, "of the layers' weights, a prompt", between(1, 65535));
  row.choice("--gradient", o.form, forms, "of the concentrations in a draw: beta or gamma").shown("beta");
  row("--kl", o.kl, "coefficient of the divergence of the layers' weights from Dirichlet(--prior)", weight);
  row("--prior", o.prior, "concentration of each layer there", above(0, most_weight));
  row("--entropy", o.entropy, "coefficient of the entropy of the layers' weights", weight);
  row("--dropout", o.dropout, "in hidden layers", between(0, 0.99));
  row("--positive-weight", o.positive_weight, "of prompts that the small model answers", weight);
  row("--negative-weight", o.negative_weight, "of the others", weight);
  row("--rate", t.rate, "learning rate; RouterXBench has 1e-4 at 4,131 parameters", rate);
  row("--batch", t.batch, "prompts of a step", items);
  row("--epochs", t.epochs, "at most; the best one on a part of the prompts is kept", count);

  row.group("Serving", s.serves());
  row("--router", s.router, "a file of --save: for each line of standard input says who is to answer")
      .needs({"--model"});
  row("--model", s.model, "Hugging Face folder, GGUF file or llama2.c checkpoint that the states are of");
  row("--tokenizer", s.tokenizer, "its tokenizer.bin or tokenizer.json; else the one the model brings along")
      .needs({"--router"});
  row("--form", s.form, "what a line is put into, in place of {}").needs({"--router"});
  row("--call-rate", s.call_rate, "share of prompts that the large model may be called for", share);
  row("--accept-copy", s.accept_copy, "serve a copy of the model in another type or format").needs({"--router"});

  row.group("The run", false);
  row("--save", s.save, "where the router goes, a safetensors file; of the first seed");
  row("--save-model", s.save_model,
      "folder that the small model goes to, of the first seed, with its words as a tokenizer.json");
  row("--json", s.json, "where the result goes, as one object");
  row("--seed", s.seed, "of every random choice").reported(true);
  row("--seeds", s.seeds, "how many runs, with the seeds from --seed on", between(1, 1000));
  row("--sweep", s.sweep, "OPTION=VALUE,VALUE: a router for each; several: for each combination");
  row("--threads", s.threads, "results do not depend on them", between(1, 256));
  return row;
}

/// What a result says of how it came about.
inline nlohmann::json describe(settings s) { return options_of(s).report(); }

/// What the options want, without which they change nothing.
inline std::vector<program::want> wants_of(const settings& s) {
  const bool trains = !s.serves(), dirichlet = s.is_dirichlet(), global = s.concentration_layers.empty();
  return {
      {"models that are made: --states and --router have theirs",
       s.makes_models(),
       {"--width", "--large-width", "--model-layers", "--heads", "--steps", "--large-steps", "--teach-rate",
        "--prompts", "--test", "--save-model"}},
      {"a router that is trained: --router has been",
       trains,
       {"--pooling",
        "--layer",
        "--hidden",
        "--concentration-layers",
        "--tokens",
        "--standardise",
        "--noise",
        "--draws",
        "--gradient",
        "--kl",
        "--prior",
        "--entropy",
        "--dropout",
        "--positive-weight",
        "--negative-weight",
        "--rate",
        "--batch",
        "--epochs",
        "--save",
        "--json",
        "--seed",
        "--seeds",
        "--sweep"}},
      {"--states", s.on_files(), {"--convention", "--layers", "--held-out", "--chat-template"}},
      {"--router or --states", !s.makes_models(), {"--model"}},
      {"a router that decides: --router, or one that folds, of one run", s.serves() || s.answers(), {"--call-rate"}},
      {"work to share: --router reads a line at a time", !s.serves(), {"--threads"}},
      {"--pooling fixed", s.pooling == probe_kind::fixed || !trains, {"--layer"}},
      {"--pooling dirichlet",
       dirichlet || !trains,
       {"--noise", "--draws", "--gradient", "--kl", "--prior", "--entropy", "--concentration-layers"}},
      {"--noise sampled", s.draws_weights() || !trains, {"--draws", "--gradient"}},
      {"--kl", s.objective.kl > 0 || !trains, {"--prior"}},
      {"concentrations that are the same for all inputs", global || !trains, {"--kl", "--prior", "--entropy"}},
      {"hidden layers: --hidden or --concentration-layers", !s.hidden.empty() || !global || !trains, {"--dropout"}},
      {"another --pooling: chain is standardised", s.pooling != probe_kind::chain || !trains, {"--standardise"}},
  };
}

/// Refuses what would only fail later. @throws std::runtime_error, std::invalid_argument, std::system_error.
inline void complete(const settings& s) {
  using program::require;
  require(!(s.serves() && s.on_files()), "%s", "--router and --states exclude each other");
  if (s.serves()) program::require_tokenizer(s.model, s.tokenizer);
  require(s.form.find("{}") != std::string::npos, "%s", "--form: has no {}, where the line goes");
  if (s.makes_models()) {
    for (const auto& [option, width] : {std::pair{"--width", s.width}, std::pair{"--large-width", s.large_width}})
      require(width % (2 * s.heads) == 0, "%s %td with --heads %td: the width must be a multiple of twice the heads",
              option, width, s.heads);
    require(!s.layer || *s.layer <= s.layers, "--layer %td: the model has the states 0 to %td", s.layer.value_or(0),
            s.layers);
  } else {
    require(s.seeds == 1, "%s", "--seeds: the states of --states are what they are, intervals are a bootstrap's");
  }
  require(!s.answers() || s.call_rate >= least_call_rate, "--call-rate %g: a router's thresholds begin at %g",
          s.call_rate, least_call_rate);
  require(s.save_model.empty() || s.sweep.empty(), "%s", "--save-model is of one model: without --sweep");
  require(!s.save_model.ends_with(".bin"), "%s", "--save-model: is a folder");
  require(!s.is_dirichlet() || s.hidden.empty() || s.objective.noise != routing::weight_noise::delta, "%s",
          "--noise delta is of a linear head: without --hidden");
  require(s.save.empty() || s.sweep.empty(), "%s", "--save is of one router: without --sweep");
  require(s.save.empty() || !s.on_files() || !s.model.empty(), "%s",
          "--save wants --model: a router's file says which model its states are of");
  if (!s.save.empty()) {
    require(s.folds(), "%s",
            "--save: only a linear head on weighted layers folds to the one vector a layer that a router's file has");
    require(s.save.ends_with(".safetensors"), "--save %s: must end in .safetensors", s.save.c_str());
  }
  program::require_outputs({{"--json", s.json}, {"--save", s.save}, {"--save-model", s.save_model, ".bin"}},
                           {s.states, s.labels, s.router, s.model, s.tokenizer});
}

}  // namespace route
