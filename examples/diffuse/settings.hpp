// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `diffuse` can be told on its command line.
#pragma once
#include <numeric>
#include <thread>

#include "hone/core/thread_pool.hpp"
#include "hone/diffusion/objective.hpp"
#include "hone/diffusion/sampler.hpp"
#include "hone/gradient/descend.hpp"
#include "hone/moe/retrofit.hpp"
#include "hone/moe/schedule.hpp"
#include "hone/transformer/masked_training.hpp"
#include "support/files.hpp"
#include "support/idle.hpp"
#include "support/options.hpp"
#include "support/program.hpp"

namespace diffuse {

namespace diffusion = hone::diffusion;
namespace gradient = hone::gradient;
namespace moe = hone::moe;
namespace transformer = hone::transformer;
using hone::index_t;
using hone::thread_pool;

/// How tokens and experts find each other.
struct router_kind {
  const char* name;
  bool experts_choose = false;
  bool has_factor = false;   ///< of a capacity that drops tokens
  bool has_balance = false;  ///< a loss that evens loads out
  bool has_bias = false;     ///< that follows the loads
};
inline constexpr router_kind routers[] = {{"expert_choice", true},
                                          {"zhou", true},
                                          {"token_choice", false, true, true},
                                          {"switch", false, true, true},
                                          {"loss_free", false, false, false, true},
                                          {"threshold", false, false, false, true}};

/// What is done beside the swap of routers.
struct care_kind {
  const char* name;
  bool keeps = false;     ///< no swap: what more training alone does
  bool best = false;      ///< tokens without an expert keep their first choice
  bool homotopy = false;  ///< biases lead there for the first quarter of the steps, while tokens still choose

  [[nodiscard]] bool tokens_choose() const { return keeps || homotopy; }
};
inline constexpr care_kind cares[] = {
    {"none"}, {"keep", true}, {"top1", false, true}, {"homotopy", false, false, true}, {"both", false, true, true}};

struct schedule_kind {
  const char* name;
  moe::schedule is;
};
inline constexpr schedule_kind schedules[] = {{"static", moe::schedule::constant},
                                              {"linear", moe::schedule::linear},
                                              {"linear_reverse", moe::schedule::linear_reverse},
                                              {"cosine", moe::schedule::cosine},
                                              {"cosine_reverse", moe::schedule::cosine_reverse},
                                              {"bell", moe::schedule::bell},
                                              {"bell_gaussian", moe::schedule::bell_gaussian},
                                              {"bell_gaussian_reverse", moe::schedule::bell_gaussian_reverse}};

inline const std::map<std::string, diffusion::weighting> weightings = {
    {"exact_ratio", diffusion::weighting::exact_ratio},
    {"inverse", diffusion::weighting::inverse},
    {"unweighted", diffusion::weighting::unweighted},
    {"masked_mean", diffusion::weighting::masked_mean}};

struct order_kind {
  const char* name;
  diffusion::order is;
};
inline constexpr order_kind orders[] = {
    {"confidence", diffusion::order::confidence}, {"margin", diffusion::order::margin},
    {"entropy", diffusion::order::entropy},       {"random", diffusion::order::random},
    {"ancestral", diffusion::order::ancestral},   {"entropy_bound", diffusion::order::entropy_bound}};

struct settings {
  std::string text, tokenizer;
  index_t length = 64;

  std::string router = "expert_choice", schedule = "static";
  index_t experts = 16, k = 2, shared = 1, expert_width = 64;
  double swing = 3, sigma = 0.22;
  std::optional<double> capacity_factor, aux, coverage;
  double z = 1e-3, bias_rate = 1e-3, threshold_decay = 0.99;
  index_t width = 64, layers = 2, heads = 4;

  diffusion::weighting weighting = diffusion::weighting::exact_ratio;
  double least_time = 1e-3;
  index_t batch = 32;
  long steps = 600, warmup = 50;
  double rate = 4e-3, weight_decay = 0, clip = 1;

  index_t held_out = 128, bound_draws = 4;
  long report_every = 0;  ///< steps; 0: a twentieth of them

  std::string retrofit, care = "none";

  std::string sample, prompt, order = "confidence";
  std::optional<double> threshold, gamma;
  index_t block = 0, denoising_steps = 0, samples = 1;
  double guidance = 0, temperature = 0;
  std::optional<index_t> mask_token;

  std::uint64_t seed = 1;
  std::size_t seeds = 1;
  std::string checkpoint, resume, save, json;
  long checkpoint_every = 0;
  std::vector<std::string> sweep;
  long threads = static_cast<long>((std::max)(1u, std::thread::hardware_concurrency()));

  [[nodiscard]] const router_kind& kind() const { return program::find(routers, router); }
  [[nodiscard]] const care_kind& retrofit_care() const { return program::find(cares, care); }
  [[nodiscard]] moe::schedule curve() const { return program::find(schedules, schedule).is; }
  [[nodiscard]] long report_steps() const { return report_every > 0 ? report_every : (std::max)(steps / 20, 1L); }
  [[nodiscard]] double balance_weight() const { return kind().has_balance ? aux.value_or(0.01) : 0; }
  [[nodiscard]] double coverage_weight() const { return kind().experts_choose ? coverage.value_or(0.01) : 0; }
  [[nodiscard]] double factor() const {
    return !kind().has_factor ? 0 : capacity_factor.value_or(router == "switch" ? 1.25 : 0);
  }
  /// Experts of a token in the mean; a Switch router has one.
  [[nodiscard]] index_t per_token() const { return router == "switch" ? 1 : k; }

  [[nodiscard]] moe::router make_router() const {
    const index_t parts = 10000, whole = std::lround(factor() * static_cast<double>(parts));
    const index_t common = std::gcd(whole, parts);
    const moe::capacity_factor capacity{whole / common, parts / common};
    if (router == "expert_choice") return moe::expert_choice(k);
    if (router == "zhou") return moe::zhou_expert_choice(k);
    if (router == "token_choice") return moe::top_k_then_softmax(k, capacity);
    if (router == "switch") return moe::switch_transformer(capacity);
    if (router == "loss_free") return moe::loss_free(k);
    return moe::expert_threshold(k);
  }
  /// Tokens that an expert takes of a sequence of @p tokens by how many are masked; empty where experts do not choose.
  /// Their mean is that of k experts a token for numbers of masks as they are drawn: 0 to all as often, and 1 for 0. Of
  /// `static` all are the same, the nearest to it.
  [[nodiscard]] std::vector<index_t> budget(index_t tokens) const {
    return kind().experts_choose ? budget_of(tokens, k, experts) : std::vector<index_t>();
  }
  /// The same of a model that has @p count experts, @p of_token of a token: what it was trained with.
  [[nodiscard]] std::vector<index_t> budget_of(index_t tokens, index_t of_token, index_t count) const {
    if (curve() == moe::schedule::constant)
      return std::vector<index_t>(static_cast<std::size_t>(tokens), moe::nearest_capacity(tokens, of_token, count));
    const double each = static_cast<double>(tokens) / static_cast<double>(count);
    std::vector<double> weights(static_cast<std::size_t>(tokens), 1.0);
    weights[0] = 2;
    return moe::budget(curve(), tokens,
                       {.mean = (std::max)(static_cast<double>(of_token) * each, 1.0),
                        .swing = swing * each,
                        .sigma = sigma,
                        .weights = weights});
  }
  [[nodiscard]] gradient::step_options step() const {
    return {
        .rate = rate,
        .weight_decay = weight_decay,
        .clip = clip,
        .schedule = {
            .steps = (std::max)(steps, warmup + 1), .warmup = warmup, .shape = gradient::decay::cosine, .floor = 0.1}};
  }
};

/// A row for every option.
inline program::options options_of(settings& s) {
  using namespace program;
  const auto share = between(0, 1), weight = at_least(0, most_weight), rate = above(0, most_rate);
  const auto count = at_least(1, most_count), items = at_least(1, most_items);
  const auto any_count = at_least(0, most_count);
  const bool training = s.sample.empty(), made = training && s.retrofit.empty();
  program::options row;
  row.group("The text");
  row("--text", s.text, "a file; without it sentences of a small grammar, whose entropy is known");
  row("--tokenizer", s.tokenizer, "tokenizer.json or tokenizer.bin; without it the folder's, or bytes");
  row("--length", s.length, "tokens of a sequence; of --sample those to be made", items);

  row.group("Experts");
  row("--router", s.router, CLI::detail::join(names(routers), ", "), CLI::IsMember(names(routers)));
  row("--schedule", s.schedule,
      "how many tokens experts take by the share that is masked: " + CLI::detail::join(names(schedules), ", "),
      CLI::IsMember(names(schedules)));
  row("--experts", s.experts, "of a layer", between(1, 65536));
  row("--k", s.k, "experts of a token, in the mean where experts choose", between(1, 65536));
  row("--swing", s.swing, "experts a token between the ends of a schedule", weight);
  row("--sigma", s.sigma, "of the Gaussian schedules", above(0, 1e3));
  row("--shared", s.shared, "experts that every token goes through", between(0, 1024)).reported(made);
  row("--expert-width", s.expert_width, "", between(1, 65536)).reported(made);
  row("--capacity-factor", s.capacity_factor, "of what an expert takes at most where tokens choose; 0: no limit",
      between(0, 100))
      .shown("1.25 of switch, else 0");
  row("--aux", s.aux, "coefficient of the balance loss where tokens choose", weight).shown("0.01");
  row("--coverage", s.coverage, "coefficient of the token-coverage loss where experts choose", weight).shown("0.01");
  row("--z", s.z, "coefficient of the squared log-normaliser of router logits", weight);
  row("--bias-rate", s.bias_rate, "of loss_free: how far biases move a step", rate);
  row("--threshold-decay", s.threshold_decay, "of threshold: what stays of thresholds each step", share);

  row.group("Learning", training);
  row("--width", s.width, "of the model", between(2, 4096)).reported(made);
  row("--layers", s.layers, "", between(1, 64)).reported(made);
  row("--heads", s.heads, "", between(1, 64)).reported(made);
  row.choice("--weighting", s.weighting, weightings,
             "of masked places: exact_ratio, inverse, unweighted or masked_mean")
      .shown("exact_ratio");
  row("--least-time", s.least_time, "least chance of a mask, with --weighting inverse", between(1e-6, 0.999));
  row("--batch", s.batch, "sequences of a step", items);
  row("--steps", s.steps, "of AdamW", any_count);
  row("--warmup", s.warmup, "steps in which the rate rises, before it falls to a tenth", any_count);
  row("--rate", s.rate, "learning rate", rate);
  row("--weight-decay", s.weight_decay, "of AdamW", weight);
  row("--clip", s.clip, "longest gradient: longer ones are cut; 0: none is", weight);

  row.group("Report", training);
  row("--held-out", s.held_out, "sequences of the reports, under the same masks each time", items);
  row("--bound-draws", s.bound_draws, "masks of each for the bound on the likelihood at the end", between(1, 4096));
  row("--report-every", s.report_every, "steps from one report to the next", count).shown("a twentieth of them");
  row("--json", s.json, "where the result goes, as one object").reported(false);

  row.group("Retrofit", !s.retrofit.empty());
  row("--retrofit", s.retrofit, "the folder of a model whose tokens choose: its experts do from here on");
  row("--care", s.care,
      "none, top1 (a token without an expert keeps its first choice), homotopy (biases lead there for a quarter of the "
      "steps), both, or keep (no swap)",
      CLI::IsMember(names(cares)));

  row.group("Text from a model", !training);
  row("--sample", s.sample, "the folder of a model, which writes; nothing is learnt");
  row("--prompt", s.prompt, "what its text begins with");
  row("--order", s.order, "in which masks become tokens: " + CLI::detail::join(names(orders), ", "),
      CLI::IsMember(names(orders)));
  row("--threshold", s.threshold, "of --order confidence: a step takes all that are at least so likely", share);
  row("--gamma", s.gamma, "of --order entropy_bound, in nats", between(0, 1e6)).shown("0.1");
  row("--block", s.block, "tokens that are made before those after them are begun; 0: all together", any_count);
  row("--denoising-steps", s.denoising_steps, "of all blocks together", count).shown("one a token");
  row("--guidance", s.guidance, "how much further from a model without the prompt", between(-most_weight, most_weight));
  row("--temperature", s.temperature, "0: the likeliest token", between(0, 1e3));
  row("--samples", s.samples, "texts to be made", items);
  row("--mask-token", s.mask_token, "the id of the mask in a model whose folder does not say it", any_count)
      .reported(!s.retrofit.empty());

  row.group("The run", false);
  row("--seed", s.seed, "of every random choice").reported(true);
  row("--seeds", s.seeds, "how many runs, with the seeds from --seed on", between(1, 1000));
  row("--sweep", s.sweep, "OPTION=VALUE,VALUE: a run for each; several: for each combination");
  row("--checkpoint", s.checkpoint, "where the run's state goes, at the end and at Ctrl-C");
  row("--checkpoint-every", s.checkpoint_every, "also writes it every so many steps", count);
  row("--resume", s.resume, "a checkpoint to go on from, under the options it was made with");
  row("--save", s.save, "folder that the model goes to afterwards");
  row("--threads", s.threads, "results do not depend on them", between(1, 256));
  return row;
}

/// What the options want, without which they change nothing.
inline std::vector<program::want> wants_of(const settings& s) {
  const bool training = s.sample.empty(), choose = s.kind().experts_choose && !s.retrofit_care().keeps;
  const bool moves = choose && s.curve() != moe::schedule::constant;
  const bool made = training && s.retrofit.empty();
  const bool gaussian = moves && s.schedule.starts_with("bell_gaussian");
  return {
      {"training, which --sample leaves out", training, {"--text",         "--retrofit",   "--aux",
                                                         "--coverage",     "--z",          "--weighting",
                                                         "--least-time",   "--batch",      "--steps",
                                                         "--warmup",       "--rate",       "--weight-decay",
                                                         "--clip",         "--held-out",   "--bound-draws",
                                                         "--report-every", "--json",       "--seeds",
                                                         "--sweep",        "--checkpoint", "--checkpoint-every",
                                                         "--resume",       "--save",       "--threads"}},
      {"a model that is made: --retrofit and --sample have one",
       made,
       {"--router", "--experts", "--k", "--shared", "--expert-width", "--capacity-factor", "--bias-rate",
        "--threshold-decay", "--width", "--layers", "--heads"}},
      {"--retrofit", !s.retrofit.empty(), {"--care"}},
      {"--sample",
       !training,
       {"--prompt", "--order", "--threshold", "--gamma", "--block", "--denoising-steps", "--guidance", "--temperature",
        "--samples"}},
      {"a model of a folder: --retrofit or --sample", !made, {"--mask-token"}},
      {"--text: the grammar's tokens are its words", !s.text.empty() || !made, {"--tokenizer"}},
      {"experts that choose: --router expert_choice or zhou, --care another than keep",
       choose || !training,
       {"--schedule", "--coverage"}},
      {"a --schedule that is not static", moves, {"--swing"}},
      {"a Gaussian --schedule", gaussian, {"--sigma"}},
      {"tokens that choose: --router token_choice or switch", s.kind().has_factor, {"--capacity-factor"}},
      {"tokens that choose: --router token_choice or switch, --care keep, homotopy or both",
       made ? s.kind().has_balance : s.retrofit_care().tokens_choose(),
       {"--aux"}},
      {"another --router: a token of switch has one expert", s.router != "switch", {"--k"}},
      {"--router loss_free", s.router == "loss_free", {"--bias-rate"}},
      {"--router threshold", s.router == "threshold", {"--threshold-decay"}},
      {"--weighting inverse", s.weighting == diffusion::weighting::inverse, {"--least-time"}},
      {"--order confidence", s.order == "confidence", {"--threshold"}},
      {"--order entropy_bound", s.order == "entropy_bound", {"--gamma"}},
      {"an order of so many a step: entropy_bound and --threshold take as many as they need",
       s.order != "entropy_bound" && !s.threshold,
       {"--denoising-steps"}},
      {"--prompt", !s.prompt.empty(), {"--guidance"}},
      {"candidates that are drawn: --temperature, --order random or ancestral",
       training || s.temperature > 0 || s.order == "random" || s.order == "ancestral",
       {"--seed", "--samples"}},
      {"--checkpoint", !s.checkpoint.empty(), {"--checkpoint-every"}},
  };
}

/// @throws std::runtime_error where experts that choose have less than a token each of a sequence of @p tokens.
inline void require_tokens_for_experts(index_t tokens, index_t per_token, index_t experts) {
  program::require(per_token * tokens >= experts,
                   "--length %td: %td of %td experts a token are less than one token an expert", tokens, per_token,
                   experts);
}

/// Refuses what would only fail later. @throws std::runtime_error, std::invalid_argument, std::system_error.
inline void complete(const settings& s) {
  program::require_outputs({{"--json", s.json},
                            {"--save", s.save, ".bin", {"config.json", "model.safetensors", "tokenizer.json"}},
                            {"--checkpoint", s.checkpoint}},
                           {s.text, s.tokenizer, s.retrofit, s.sample, s.resume == s.checkpoint ? "" : s.resume});
  const bool several = s.seeds > 1 || !s.sweep.empty();
  program::require(!several || (s.checkpoint.empty() && s.resume.empty() && s.save.empty()), "%s",
                   "--checkpoint, --resume and --save are of one run: without --sweep and --seeds");
  if (!s.sample.empty()) return;
  program::require(!s.retrofit_care().homotopy || s.steps >= 4, "--care %s: a quarter of --steps %ld is no step",
                   s.care.c_str(), s.steps);
  if (!s.retrofit.empty()) return;
  program::require(s.width % (2 * s.heads) == 0,
                   "--width %td with --heads %td: the width must be a multiple of twice the heads", s.width, s.heads);
  program::require(s.per_token() <= s.experts, "--k %td: there are %td experts", s.k, s.experts);
  if (s.kind().experts_choose) require_tokens_for_experts(s.length, s.k, s.experts);
}

/// What a result says of how it came about; the options that the numbers depend on.
inline nlohmann::json describe(settings s) {
  nlohmann::json result = options_of(s).report();
  result["report_every"] = s.report_steps();
  result["k"] = s.per_token();
  result["aux"] = s.balance_weight();
  result["coverage"] = s.coverage_weight();
  result["capacity_factor"] = s.factor();
  return result;
}

}  // namespace diffuse
