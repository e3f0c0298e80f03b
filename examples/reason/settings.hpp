// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `reason` can be told on its command line.
#pragma once
#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "hone/io/file.hpp"
#include "reason/algorithms.hpp"
#include "reason/task.hpp"
#include "support/program.hpp"

namespace reason {

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

  algorithm_settings algorithm;
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
  [[nodiscard]] index_t group_of(const reason::algorithm& a) const {
    return group_size > 0 ? group_size : a.needs.group;
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

/// The name of @p value in one of the tables above.
template <class E>
std::string name_in(const std::map<std::string, E>& table, E value) {
  return std::find_if(table.begin(), table.end(), [&](const auto& row) { return row.second == value; })->first;
}

inline void declare(CLI::App& app, settings& s) {
  const auto positive = CLI::PositiveNumber, non_negative = CLI::NonNegativeNumber;
  const auto group = [](const char* name) {
    return [name](CLI::Option* option) { return option->group(name)->capture_default_str(); };
  };
  const auto one_of = [](const auto& table) {
    return CLI::CheckedTransformer(&table, CLI::ignore_case).description("");
  };

  const auto of_task = group("The task");
  of_task(app.add_option("--task", s.task, "bandit, chain, countdown or tree"))
      ->check(CLI::IsMember({"bandit", "chain", "countdown", "tree"}));
  of_task(app.add_option("--horizon", s.options.horizons,
                         "lengths that problems are drawn from: operations of the "
                         "chain, actions of the tree, numbers of countdown"))
      ->delimiter(',')
      ->default_str("the task's own");
  of_task(app.add_option("--error", s.options.error, "of a step of the traces"))
      ->check(CLI::Range(0.0, 1.0))
      ->default_str("the task's own");
  of_task(
      app.add_option("--aliasing", s.options.aliasing, "share of the tree's prompts that hide which paths are valid"))
      ->check(CLI::Range(0.0, 1.0));
  of_task(app.add_option("--collapse", s.collapse, "steps of GRPO before the algorithm's own, on the bandit"))
      ->check(non_negative);
  app.add_flag("--identifiable", s.identifiable, "the bandit says which strategy is right")->group("The task");
  of_task(app.add_option("--width", s.width, "of the model that is made"))->check(CLI::Range(2, 4096));
  of_task(app.add_option("--layers", s.layers, "its layers"))->check(CLI::Range(1, 64));
  of_task(app.add_option("--heads", s.heads, "its heads"))->check(CLI::Range(1, 64));

  const auto of_files = group("On files");
  CLI::Option* const model =
      of_files(app.add_option("--model", s.model, "Hugging Face folder, GGUF file, or llama2.c checkpoint"));
  CLI::Option* const prompts =
      of_files(app.add_option("--prompts", s.prompts, "JSON lines with prompt or question, and answer"));
  model->needs(prompts);
  prompts->needs(model);
  of_files(app.add_option("--tokenizer", s.tokenizer,
                          "its tokenizer.bin or tokenizer.json; else the one the model brings along"))
      ->needs(model);
  of_files(app.add_option("--form", s.form, "what a prompt is put into, in place of {}"))->needs(model);
  of_files(app.add_option("--longest", s.longest, "tokens of a response"))->needs(model)->check(CLI::Range(1, 1 << 20));
  of_files(app.add_option("--save", s.save, "where the model goes afterwards: a .bin of llama2.c, else a folder"));

  const auto of_teaching = group("Supervised start");
  of_teaching(app.add_option("--sft-steps", s.sft_steps, "steps on traces"))
      ->check(CLI::Range(0, 1'000'000'000))
      ->default_str("600; 0 for a model of a file");
  of_teaching(app.add_option("--sft-batch", s.sft_batch, "traces of a step"))->check(positive);
  of_teaching(app.add_option("--sft-rate", s.sft_rate, "learning rate"))->check(positive);

  const auto of_algorithm = group("The algorithm");
  algorithm_settings& a = s.algorithm;
  of_algorithm(app.add_option("--algorithm", a.name, "a name of docs/examples/reason.md, or one with +apo"));
  of_algorithm(app.add_option("--kl", a.kl, "coefficient of the KL to the model after its supervised start"))
      ->check(non_negative);
  of_algorithm(app.add_option("--kl-estimator", a.kl_estimator, "k1, k2 or k3"))
      ->transform(one_of(kl_estimators))
      ->default_str("k1 in the reward, k3 in the loss");
  of_algorithm(app.add_option("--kl-gradient", a.kl_gradient, "own, straight_through or importance"))
      ->transform(one_of(kl_gradients))
      ->default_str("own");
  of_algorithm(app.add_option("--entropy", a.entropy, "coefficient of the bonus"));
  of_algorithm(app.add_option("--anchor-k", a.anchor_k, "tokens of the reference's support"))->check(positive);
  of_algorithm(app.add_option("--anchor-beta", a.anchor_beta, "pull into it"))->check(non_negative);
  of_algorithm(app.add_option("--anchor-lambda", a.anchor_lambda, "push on punished tokens"))->check(non_negative);
  of_algorithm(app.add_option("--anchor-form", a.anchor_form, "mass, log_mass, log_ratio or reference_likelihood"))
      ->transform(one_of(anchor_forms))
      ->default_str("mass");
  of_algorithm(app.add_option("--anchor-clip", a.anchor_clip, "clip_rectified, clip_raw_then_pull or no_clip"))
      ->transform(one_of(clip_placements))
      ->default_str("clip_rectified");
  of_algorithm(app.add_option("--clip-low", a.clip_low, "of the ratio, below 1"))
      ->check(non_negative)
      ->default_str("the algorithm's own");
  of_algorithm(app.add_option("--clip-high", a.clip_high, "above 1"))
      ->check(non_negative)
      ->default_str("the algorithm's own");
  of_algorithm(app.add_option("--clip-dual", a.clip_dual, "the dual clip's c"))
      ->check(non_negative)
      ->default_str("the algorithm's own");
  of_algorithm(app.add_option("--gae-lambda", a.gae_lambda, "of PPO and VAPO"))
      ->check(CLI::Range(0.0, 1.0))
      ->default_str("0.95; by length");

  of_algorithm(app.add_option("--cov-share", a.cov_share, "of tokens that Clip-Cov and KL-Cov choose"))
      ->check(CLI::Range(0.0, 1.0))
      ->default_str("0.0002");
  of_algorithm(app.add_option("--cov-low", a.cov_low, "covariances that Clip-Cov draws from, above"))->default_str("1");
  of_algorithm(app.add_option("--cov-high", a.cov_high, "and below"))->default_str("5");
  of_algorithm(app.add_option("--cov-kl", a.cov_kl, "coefficient of KL-Cov's distance"))
      ->check(non_negative)
      ->default_str("1");

  const auto of_learning = group("Learning");
  of_learning(app.add_option("--group-size", s.group_size, "responses to a prompt"))
      ->check(positive)
      ->default_str("the algorithm's own, 1 or 8");
  of_learning(app.add_option("--batch", s.batch, "responses of a step"))->check(positive);
  of_learning(app.add_option("--minibatches", s.minibatches, "updates from each batch"))->check(positive);
  of_learning(app.add_option("--epochs", s.epochs, "times that a batch is learnt from"))->check(positive);
  of_learning(app.add_option("--rate", s.rate, "learning rate"))->check(positive);
  of_learning(app.add_option("--critic-rate", s.critic_rate, "of the critic"))->check(positive);
  of_learning(app.add_option("--critic-size", s.critic_size, "share of the policy's width and layers"))
      ->check(CLI::Range(1e-3, 1.0));
  of_learning(app.add_option("--weight-decay", s.weight_decay, "of AdamW"))->check(non_negative);
  of_learning(app.add_option("--clip", s.clip, "longest gradient; 0: any"))->check(non_negative);
  of_learning(app.add_option("--warmup", s.warmup, "updates until the full rate"))->check(non_negative);
  of_learning(app.add_option("--temperature", s.temperature, "of drawing and of the policy that learns"))
      ->check(positive);
  of_learning(app.add_option("--steps", s.steps, "of reinforcement learning, at most"))->check(non_negative);
  of_learning(app.add_option("--tokens", s.tokens, "generated, at most; 0: any number"))->check(non_negative);

  const auto of_report = group("Report");
  of_report(app.add_option("--held-out", s.held_out, "problems that nobody learns from"))->check(positive);
  of_report(app.add_option("--samples", s.samples, "responses to each, before and after"))
      ->check(CLI::Range(8, 1 << 20));
  of_report(app.add_option("--probe-samples", s.probe_samples, "and in between"))->check(CLI::Range(8, 1 << 20));
  of_report(app.add_option("--report-every", s.report_every, "steps"))->check(positive)->default_str("a tenth of them");
  of_report(app.add_option("--json", s.json, "where the result goes, as one object"));

  const auto of_run = group("The run");
  of_run(app.add_option("--seed", s.seed, "of every random choice"));
  of_run(app.add_option("--seeds", s.seeds, "runs, from --seed on"))->check(CLI::Range(1, 1000));
  of_run(app.add_option("--sweep", s.sweep, "OPTION=VALUE,VALUE: a run for each; several: for each combination"))
      ->delimiter('\0');
  of_run(app.add_option("--checkpoint", s.checkpoint, "where the run's state goes, at the end and at Ctrl-C"));
  of_run(app.add_option("--checkpoint-every", s.checkpoint_every, "and every so many steps"))->check(positive);
  of_run(app.add_option("--resume", s.resume, "a checkpoint to go on from, under the options it was made with"));
  of_run(app.add_option("--threads", s.threads, "results do not depend on them"))->check(CLI::Range(1, 256));
}

/// Refuses what would only fail later.
/// @throws std::runtime_error, std::invalid_argument, std::system_error.
inline void complete(const settings& s) {
  if (s.on_files() && s.tokenizer.empty() && s.model.ends_with(".bin"))
    throw std::runtime_error("--tokenizer: a checkpoint of llama2.c brings none along");
  for (const double x : {s.sft_rate, s.rate, s.critic_rate, s.weight_decay, s.clip, s.temperature, s.algorithm.kl,
                         s.algorithm.entropy, s.algorithm.anchor_beta, s.algorithm.anchor_lambda})
    if (!std::isfinite(x)) throw std::runtime_error("an option's value is not a finite number");
  const algorithm a = make_algorithm(s.algorithm);
  const index_t group = s.group_of(a);
  if (group < a.needs.least_group)
    throw std::runtime_error("--group-size " + std::to_string(group) + ": " + s.algorithm.name +
                             " compares responses, it needs 2");
  if (s.batch % group != 0 || s.batch / group < s.minibatches)
    throw std::runtime_error(program::text(
        "--batch %td: must be a multiple of the group's size %td, with a group for each of %ld minibatches", s.batch,
        group, s.minibatches));
  const bool several = s.seeds > 1 || !s.sweep.empty();
  if (several && !(s.checkpoint.empty() && s.resume.empty() && s.save.empty()))
    throw std::runtime_error("--checkpoint, --resume and --save are of one run: without --sweep and --seeds");
  if (s.checkpoint_every > 0 && s.checkpoint.empty()) throw std::runtime_error("--checkpoint-every needs --checkpoint");
  const std::pair<const char*, const std::string*> files[] = {
      {"--json", &s.json}, {"--save", &s.save}, {"--checkpoint", &s.checkpoint}};
  for (const auto& one : files)
    for (const auto& other : files)
      if (&one < &other && !one.second->empty() && *one.second == *other.second)
        throw std::runtime_error(std::string(one.first) + " and " + other.first + " name the same file");
  if (s.task == "bandit" && !(s.checkpoint.empty() && s.resume.empty() && s.save.empty()))
    throw std::runtime_error("--task bandit has no model: nothing for --checkpoint, --resume or --save");
  for (const std::string& file : {s.json, s.checkpoint, s.save.ends_with(".bin") ? s.save : ""})
    if (!file.empty()) hone::io::atomic_file{file};
  if (!s.save.empty() && !s.save.ends_with(".bin")) std::filesystem::create_directories(s.save);
}

/// What a result says of how it came about; the options that the numbers depend on.
inline nlohmann::json describe(const settings& s) {
  const algorithm_settings& a = s.algorithm;
  const auto own = [](const std::optional<double>& x) { return x ? nlohmann::json(*x) : nlohmann::json(); };
  nlohmann::json j = {
      {"task", s.task},
      {"horizon", s.options.horizons},
      {"error", s.options.error},
      {"aliasing", s.options.aliasing},
      {"sft_steps", s.teaching_steps()},
      {"sft_batch", s.sft_batch},
      {"sft_rate", s.sft_rate},
      {"algorithm", a.name},
      {"kl", a.kl},
      {"kl_estimator", a.kl_estimator ? nlohmann::json(name_in(kl_estimators, *a.kl_estimator)) : nlohmann::json()},
      {"kl_gradient", name_in(kl_gradients, a.kl_gradient)},
      {"entropy", a.entropy},
      {"anchor_k", a.anchor_k},
      {"anchor_beta", a.anchor_beta},
      {"anchor_lambda", a.anchor_lambda},
      {"anchor_form", name_in(anchor_forms, a.anchor_form)},
      {"anchor_clip", name_in(clip_placements, a.anchor_clip)},
      {"clip_low", own(a.clip_low)},
      {"clip_high", own(a.clip_high)},
      {"clip_dual", own(a.clip_dual)},
      {"gae_lambda", own(a.gae_lambda)},
      {"cov_share", own(a.cov_share)},
      {"cov_low", own(a.cov_low)},
      {"cov_high", own(a.cov_high)},
      {"cov_kl", own(a.cov_kl)},
      {"group_size", s.group_of(make_algorithm(a))},
      {"batch", s.batch},
      {"minibatches", s.minibatches},
      {"epochs", s.epochs},
      {"rate", s.rate},
      {"critic_rate", s.critic_rate},
      {"critic_size", s.critic_size},
      {"weight_decay", s.weight_decay},
      {"clip", s.clip},
      {"warmup", s.warmup},
      {"temperature", s.temperature},
      {"held_out", s.held_out},
      {"samples", s.samples},
      {"probe_samples", s.probe_samples},
      {"report_every", s.report_steps()},
      {"seed", s.seed}};
  if (s.on_files())
    j.update({{"model", s.model},
              {"tokenizer", s.tokenizer},
              {"prompts", s.prompts},
              {"form", s.form},
              {"longest", s.longest}});
  else
    j.update({{"width", s.width}, {"layers", s.layers}, {"heads", s.heads}});
  return j;
}

}  // namespace reason
