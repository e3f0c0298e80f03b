// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `reason` can be told on its command line.
#pragma once
#include <thread>

#include "hone/gradient/descend.hpp"
#include "hone/policy/recipes.hpp"
#include "reason/task.hpp"
#include "support/files.hpp"
#include "support/options.hpp"
#include "support/program.hpp"

namespace reason {

namespace policy = hone::policy;

/// The recipe that the options name. @throws std::runtime_error, in the words of the command line.
inline policy::recipe recipe_of(const policy::recipe_options& o) try {
  return policy::make_recipe(o);
} catch (const std::invalid_argument& error) {
  const std::string reason = program::reason_of(error);
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
  const auto positive = CLI::PositiveNumber, non_negative = CLI::NonNegativeNumber;
  const auto share = CLI::Range(0.0, 1.0);
  policy::recipe_options& a = s.algorithm;
  program::options row;
  row.group("The task");
  row("--task", s.task, "bandit, chain, countdown or tree", CLI::IsMember({"bandit", "chain", "countdown", "tree"}));
  row("--horizon", s.options.horizons,
      "lengths that problems are drawn from: operations of the chain, actions of the tree, numbers of countdown")
      .shown("the task's own");
  row("--error", s.options.error, "of a step of the traces", share).shown("the task's own");
  row("--moduli", s.options.moduli, "of the chain, that problems are drawn from").shown("7");
  row("--aliasing", s.options.aliasing, "share of the tree's prompts that hide which paths are valid", share);
  row("--collapse", s.collapse, "steps of GRPO before the algorithm's own, on the bandit", non_negative)
      .reported(false);
  row("--identifiable", s.identifiable, "the bandit says which strategy is right").reported(false);
  row("--width", s.width, "of the model that is made", CLI::Range(2, 4096)).reported(!s.on_files());
  row("--layers", s.layers, "its layers", CLI::Range(1, 64)).reported(!s.on_files());
  row("--heads", s.heads, "its heads", CLI::Range(1, 64)).reported(!s.on_files());

  row.group("On files", s.on_files());
  row("--model", s.model, "Hugging Face folder, GGUF file, or llama2.c checkpoint").needs({"--prompts"});
  row("--prompts", s.prompts, "JSON lines with prompt or question, and answer").needs({"--model"});
  row("--tokenizer", s.tokenizer, "its tokenizer.bin or tokenizer.json; else the one the model brings along")
      .needs({"--model"});
  row("--form", s.form, "what a prompt is put into, in place of {}").needs({"--model"});
  row("--longest", s.longest, "tokens of a response", CLI::Range(1, 1 << 20)).needs({"--model"});
  row("--save", s.save, "where the model goes afterwards: a .bin of llama2.c, else a folder").reported(false);

  row.group("Supervised start");
  row("--sft-steps", s.sft_steps, "steps on traces", CLI::Range(0, 1'000'000'000))
      .shown("600; 0 for a model of a file");
  row("--sft-batch", s.sft_batch, "traces of a step", positive);
  row("--sft-rate", s.sft_rate, "learning rate", positive);

  row.group("The algorithm");
  row("--algorithm", a.name, CLI::detail::join(policy::recipe_names(), ", ") + ", or one with +apo");
  row("--kl", a.kl, "coefficient of the KL to the model after its supervised start", non_negative);
  row.choice("--kl-estimator", a.kl_estimator, kl_estimators, "k1, k2 or k3").shown("k1 in the reward, k3 in the loss");
  row.choice("--kl-gradient", a.kl_gradient, kl_gradients, "own, straight_through or importance").shown("own");
  row("--entropy", a.entropy, "coefficient of the bonus");
  row("--anchor-k", a.anchor_k, "tokens of the reference's support", positive);
  row("--anchor-beta", a.anchor_beta, "pull into it", non_negative);
  row("--anchor-lambda", a.anchor_lambda, "push on punished tokens", non_negative);
  row.choice("--anchor-form", a.anchor_form, anchor_forms, "mass, log_mass, log_ratio or reference_likelihood")
      .shown("mass");
  row.choice("--anchor-clip", a.anchor_clip, clip_placements, "clip_rectified, clip_raw_then_pull or no_clip")
      .shown("clip_rectified");
  row("--clip-low", a.clip_low, "of the ratio, below 1", non_negative).shown("the algorithm's own");
  row("--clip-high", a.clip_high, "above 1", non_negative).shown("the algorithm's own");
  row("--clip-dual", a.clip_dual, "the dual clip's c", non_negative).shown("the algorithm's own");
  row("--gae-lambda", a.gae_lambda, "of PPO and VAPO", share).shown("0.95; by length");
  row("--cov-share", a.cov_share, "of tokens that Clip-Cov and KL-Cov choose", share).shown("0.0002");
  row("--cov-low", a.cov_low, "covariances that Clip-Cov draws from, above").shown("1");
  row("--cov-high", a.cov_high, "and below").shown("5");
  row("--cov-kl", a.cov_kl, "coefficient of KL-Cov's distance", non_negative).shown("1");

  row.group("Learning");
  row("--group-size", s.group_size, "responses to a prompt", positive).shown("the algorithm's own, 1 or 8");
  row("--batch", s.batch, "responses of a step", positive);
  row("--minibatches", s.minibatches, "updates from each batch", positive);
  row("--epochs", s.epochs, "times that a batch is learnt from", positive);
  row("--rate", s.rate, "learning rate", positive);
  row("--critic-rate", s.critic_rate, "of the critic", positive);
  row("--critic-size", s.critic_size, "share of the policy's width and layers", CLI::Range(1e-3, 1.0));
  row("--weight-decay", s.weight_decay, "of AdamW", non_negative);
  row("--clip", s.clip, "longest gradient; 0: any", non_negative);
  row("--warmup", s.warmup, "updates until the full rate", non_negative);
  row("--temperature", s.temperature, "of drawing and of the policy that learns", positive);
  row("--steps", s.steps, "of reinforcement learning, at most", non_negative);
  row("--tokens", s.tokens, "generated, at most; 0: any number", non_negative);

  row.group("Report");
  row("--held-out", s.held_out, "problems that nobody learns from", positive);
  row("--samples", s.samples, "responses to each, before and after", CLI::Range(8, 1 << 20));
  row("--probe-samples", s.probe_samples, "and in between", CLI::Range(8, 1 << 20));
  row("--report-every", s.report_every, "steps", positive).shown("a tenth of them");
  row("--json", s.json, "where the result goes, as one object").reported(false);

  row.group("The run", false);
  row("--seed", s.seed, "of every random choice").reported(true);
  row("--seeds", s.seeds, "runs, from --seed on", CLI::Range(1, 1000));
  row("--sweep", s.sweep, "OPTION=VALUE,VALUE: a run for each; several: for each combination");
  row("--checkpoint", s.checkpoint, "where the run's state goes, at the end and at Ctrl-C");
  row("--checkpoint-every", s.checkpoint_every, "and every so many steps", positive);
  row("--resume", s.resume, "a checkpoint to go on from, under the options it was made with");
  row("--threads", s.threads, "results do not depend on them", CLI::Range(1, 256));
  return row;
}

/// Refuses what would only fail later.
/// @throws std::runtime_error, std::invalid_argument, std::system_error.
inline void complete(settings s) {
  program::require_tokenizer(s.model, s.tokenizer);
  options_of(s).require_finite();
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
    program::require(s.width % s.heads == 0 && s.width / s.heads % 2 == 0,
                     "--heads %td: must divide --width %td into an even size", s.heads, s.width);
  const bool several = s.seeds > 1 || !s.sweep.empty();
  if (several && !(s.checkpoint.empty() && s.resume.empty() && s.save.empty()))
    throw std::runtime_error("--checkpoint, --resume and --save are of one run: without --sweep and --seeds");
  if (s.checkpoint_every > 0 && s.checkpoint.empty()) throw std::runtime_error("--checkpoint-every needs --checkpoint");
  if (s.task == "bandit" && !(s.checkpoint.empty() && s.resume.empty() && s.save.empty()))
    throw std::runtime_error("--task bandit has no model: nothing for --checkpoint, --resume or --save");
  program::require_outputs({{"--json", s.json}, {"--save", s.save, ".bin"}, {"--checkpoint", s.checkpoint}});
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
