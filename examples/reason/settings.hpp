// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `reason` can be told on its command line.
#pragma once
#include <thread>

#include "hone/gradient/descend.hpp"
#include "hone/policy/recipes.hpp"
#include "reason/streams.hpp"
#include "support/files.hpp"
#include "support/options.hpp"
#include "support/program.hpp"
#include "support/tasks/task.hpp"

namespace reason {

namespace policy = hone::policy;
using namespace tasks;

/// The recipe that the options name. @throws std::runtime_error, in the words of the command line.
inline policy::recipe recipe_of(const policy::recipe_options& o) try {
  return policy::make_recipe(o);
} catch (const std::invalid_argument& error) {
  const std::string reason = program::reason_of(error);
  constexpr const char* told[][2] = {
      {"lower: ", "--clip-low"}, {"upper: ", "--clip-high"}, {"delta: ", "--clip-high"}, {"low: ", "--cov-low"}};
  for (const auto& [argument, option] : told)
    if (reason.starts_with(argument))
      throw std::runtime_error(option + (" with --algorithm " + o.name) + ": " + reason);
  throw std::runtime_error("--algorithm " + (reason.starts_with(o.name) ? "" : o.name + ": ") + reason);
}

struct settings {
  std::string task = "chain";
  task_options options;
  long collapse = 0;          ///< of the bandit: steps of GRPO before the algorithm's own
  bool identifiable = false;  ///< the bandit says which strategy is right
  index_t width = 32, layers = 2, heads = 2;

  std::string model, tokenizer, prompts, form = "{}";
  index_t longest = 256;  ///< tokens of a response to --prompts

  long sft_steps = -1;  ///< -1: 600 for a model that is made here, 0 for one of a file
  index_t sft_batch = 64;
  double sft_rate = 3e-3;

  policy::recipe_options algorithm;
  index_t group_size = 0;  ///< 0: the algorithm's own
  index_t batch = 128;     ///< responses of a step
  long minibatches = 2, epochs = 1;
  double rate = 1e-3, critic_rate = 1e-3, weight_decay = 0, clip = 1, critic_size = 1, temperature = 1;
  long warmup = 0, steps = 60;
  index_t tokens = 0;  ///< generated in steps, at most; 0: as many as the steps take

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
  [[nodiscard]] index_t group_of(const policy::recipe& r) const { return group_size > 0 ? group_size : r.needs.group; }
  /// A step of a network whose full rate is @p full.
  [[nodiscard]] hone::gradient::step_options step_at(double full) const {
    return {
        .rate = full, .weight_decay = weight_decay, .clip = clip, .schedule = {.steps = warmup + 1, .warmup = warmup}};
  }
};

inline const std::map<std::string, policy::kl_estimator> kl_estimators = {
    {"k1", policy::kl_estimator::k1}, {"k2", policy::kl_estimator::k2}, {"k3", policy::kl_estimator::k3}};
inline const std::map<std::string, policy::kl_gradient> kl_gradients = {
    {"own", policy::kl_gradient::own},
    {"straight_through", policy::kl_gradient::straight_through},
    {"importance", policy::kl_gradient::importance}};
inline const std::map<std::string, policy::anchor_form> anchor_forms = {
    {"mass", policy::anchor_form::mass},
    {"log_mass", policy::anchor_form::log_mass},
    {"log_ratio", policy::anchor_form::log_ratio},
    {"reference_likelihood", policy::anchor_form::reference_likelihood}};
inline const std::map<std::string, policy::clip_placement> clip_placements = {
    {"clip_rectified", policy::clip_placement::clip_rectified},
    {"clip_raw_then_pull", policy::clip_placement::clip_raw_then_pull},
    {"no_clip", policy::clip_placement::no_clip}};

/// A row for every option.
inline program::options options_of(settings& s) {
  using namespace program;
  const auto share = between(0, 1), weight = at_least(0, most_weight), any = between(-most_weight, most_weight);
  const auto rate = above(0, most_rate), count = at_least(1, most_count), items = at_least(1, most_items);
  const auto any_count = at_least(0, most_count);
  policy::recipe_options& a = s.algorithm;
  program::options row;
  row.group("The task");
  row("--task", s.task, "bandit, chain, countdown or tree", CLI::IsMember({"bandit", "chain", "countdown", "tree"}));
  row("--horizon", s.options.horizons,
      "lengths that problems are drawn from: operations of the chain, actions of the tree, numbers of countdown")
      .shown("the task's own");
  row("--error", s.options.error, "chance of an error in a step of the traces that the model is taught", share)
      .shown("the task's own");
  row("--moduli", s.options.moduli, "that the chain's problems are drawn from").shown("7");
  row("--aliasing", s.options.aliasing, "share of the tree's prompts that hide which paths are valid", share);
  row("--collapse", s.collapse, "steps of GRPO before the algorithm's own, on the bandit", any_count).reported(false);
  row("--identifiable", s.identifiable, "the bandit says which strategy is right").reported(false);
  row("--width", s.width, "of the model that is made", between(2, 4096)).reported(!s.on_files());
  row("--layers", s.layers, "of the model that is made", between(1, 64)).reported(!s.on_files());
  row("--heads", s.heads, "of the model that is made", between(1, 64)).reported(!s.on_files());

  row.group("On files", s.on_files());
  row("--model", s.model, "Hugging Face folder, GGUF file, or llama2.c checkpoint").needs({"--prompts"});
  row("--prompts", s.prompts, "JSON lines with prompt or question, and answer").needs({"--model"});
  row("--tokenizer", s.tokenizer, "its tokenizer.bin or tokenizer.json; else the one the model brings along")
      .needs({"--model"});
  row("--form", s.form, "what a prompt is put into, in place of {}").needs({"--model"});
  row("--longest", s.longest, "most tokens of a response", items).needs({"--model"});
  row("--save", s.save, "where the model goes afterwards: a .bin of llama2.c, else a folder").reported(false);

  row.group("Supervised start");
  row("--sft-steps", s.sft_steps, "steps on traces", any_count).shown("600; 0 for a model of a file");
  row("--sft-batch", s.sft_batch, "traces of a step", items);
  row("--sft-rate", s.sft_rate, "learning rate", rate);

  row.group("The algorithm");
  row("--algorithm", a.name, CLI::detail::join(policy::recipe_names(), ", ") + ", or one with +apo");
  row("--kl", a.kl, "coefficient of the KL to the model after its supervised start", weight);
  row.choice("--kl-estimator", a.kl_estimator, kl_estimators, "k1, k2 or k3").shown("k1 in the reward, k3 in the loss");
  row.choice("--kl-gradient", a.kl_gradient, kl_gradients, "own, straight_through or importance").shown("own");
  row("--entropy", a.entropy, "coefficient of the entropy bonus", any);
  row("--anchor-k", a.anchor_k, "of APO: how many of the reference's likeliest tokens are its support", count);
  row("--anchor-beta", a.anchor_beta, "of APO: pull into the support", weight);
  row("--anchor-lambda", a.anchor_lambda, "of APO: push on punished tokens", weight);
  row.choice("--anchor-form", a.anchor_form, anchor_forms, "of APO: mass, log_mass, log_ratio or reference_likelihood")
      .shown("mass");
  row.choice("--anchor-clip", a.anchor_clip, clip_placements, "of APO: clip_rectified, clip_raw_then_pull or no_clip")
      .shown("clip_rectified");
  row("--clip-low", a.clip_low, "how far the policy's ratio to what drew may fall below 1", weight)
      .shown("the algorithm's own");
  row("--clip-high", a.clip_high, "how far it may rise above 1", weight).shown("the algorithm's own");
  row("--clip-dual", a.clip_dual, "the dual clip's limit on the ratio of punished tokens", above(1, most_weight))
      .shown("the algorithm's own");
  row("--gae-lambda", a.gae_lambda, "of the advantages of ppo and vapo", share).shown("0.95; by length");
  row("--cov-share", a.cov_share, "share of the tokens that clip_cov and kl_cov choose by covariance", share)
      .shown("0.0002");
  row("--cov-low", a.cov_low, "clip_cov draws tokens of a covariance above this", any).shown("1");
  row("--cov-high", a.cov_high, "and below this", any).shown("5");
  row("--cov-kl", a.cov_kl, "coefficient of kl_cov's distance", weight).shown("1");

  row.group("Learning");
  row("--group-size", s.group_size, "responses to a prompt", items).shown("the algorithm's own, 1 or 8");
  row("--batch", s.batch, "responses of a step", items);
  row("--minibatches", s.minibatches, "updates from each batch", items);
  row("--epochs", s.epochs, "times that a batch is learnt from", count);
  row("--rate", s.rate, "learning rate of the policy", rate);
  row("--critic-rate", s.critic_rate, "learning rate of the critic", rate);
  row("--critic-size", s.critic_size, "share of the policy's width and layers", between(1e-3, 1));
  row("--weight-decay", s.weight_decay, "of AdamW", weight);
  row("--clip", s.clip, "longest gradient: longer ones are cut; 0: none is", weight);
  row("--warmup", s.warmup, "updates in which the learning rates rise", any_count);
  row("--temperature", s.temperature, "of drawing and of the policy that learns", between(1e-3, 1e3));
  row("--steps", s.steps, "of reinforcement learning, at most", any_count);
  row("--tokens", s.tokens, "generated, at most; 0: any number", at_least(0, 1e15));

  row.group("Report");
  row("--held-out", s.held_out, "problems of the reports, which are never learnt from", items);
  row("--samples", s.samples, "responses to each held-out problem, before and after", at_least(8, most_items));
  row("--probe-samples", s.probe_samples, "responses to each, in the reports in between", at_least(8, most_items));
  row("--report-every", s.report_every, "steps from one report to the next", count).shown("a tenth of them");
  row("--json", s.json, "where the result goes, as one object").reported(false);

  row.group("The run", false);
  row("--seed", s.seed, "of every random choice").reported(true);
  row("--seeds", s.seeds, "how many runs, with the seeds from --seed on", between(1, 1000));
  row("--sweep", s.sweep, "OPTION=VALUE,VALUE: a run for each; several: for each combination");
  row("--checkpoint", s.checkpoint, "where the run's state goes, at the end and at Ctrl-C");
  row("--checkpoint-every", s.checkpoint_every, "also writes it every so many steps", count);
  row("--resume", s.resume, "a checkpoint to go on from, under the options it was made with");
  row("--threads", s.threads, "results do not depend on them", between(1, 256));
  return row;
}

/// Refuses what would only fail later.
/// @throws std::runtime_error, std::invalid_argument, std::system_error.
inline void complete(settings s) {
  program::require_tokenizer(s.model, s.tokenizer);
  const policy::recipe r = recipe_of(s.algorithm);
  const index_t group = s.group_of(r);
  if (group < r.needs.least_group)
    throw std::runtime_error("--group-size " + std::to_string(group) + ": " + s.algorithm.name +
                             " compares responses, it needs 2");
  if (s.batch % group != 0 || s.batch / group < s.minibatches)
    throw std::runtime_error(program::text(
        "--batch %td: must be a multiple of the group's size %td, with a group for each of %ld minibatches", s.batch,
        group, s.minibatches));
  if (s.task != "bandit" && !s.on_files())
    program::require(s.width % (2 * s.heads) == 0,
                     "--width %td with --heads %td: the width must be a multiple of twice the heads", s.width, s.heads);
  const bool several = s.seeds > 1 || !s.sweep.empty();
  if (several && !(s.checkpoint.empty() && s.resume.empty() && s.save.empty()))
    throw std::runtime_error("--checkpoint, --resume and --save are of one run: without --sweep and --seeds");
  if (s.checkpoint_every > 0 && s.checkpoint.empty()) throw std::runtime_error("--checkpoint-every needs --checkpoint");
  if (s.task == "bandit" && !(s.checkpoint.empty() && s.resume.empty() && s.save.empty()))
    throw std::runtime_error("--task bandit has no model: nothing for --checkpoint, --resume or --save");
  if (s.form.find("{}") == std::string::npos) throw std::runtime_error("--form: has no {}, where the prompt goes");
  program::require_outputs({{"--json", s.json}, {"--save", s.save, ".bin"}, {"--checkpoint", s.checkpoint}},
                           {s.model, s.tokenizer, s.prompts, s.resume == s.checkpoint ? "" : s.resume});
}

/// What a result says of how it came about; the options that the numbers depend on.
inline nlohmann::json describe(settings s) {
  nlohmann::json result = options_of(s).report();
  result["sft_steps"] = s.teaching_steps();
  result["report_every"] = s.report_steps();
  result["group_size"] = s.group_of(recipe_of(s.algorithm));
  return result;
}

}  // namespace reason
