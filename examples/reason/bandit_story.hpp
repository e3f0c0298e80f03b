// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The story of the aliased bandit: what is left of pass@k after 1500 steps of each algorithm, with the mean and the
/// 95 % interval over seeds.
///   reason --task bandit                                          the table of docs/examples/bandit.md: `bandit_table`
///   reason --task bandit --algorithm grpo --sweep kl=0,0.1,0.2    a case for each combination of the sweep
///   reason --task bandit --algorithm apo --anchor-beta 0.3        one case
/// with --steps (1500), --batch (128), --group-size, --minibatches (2), --rate and --critic-rate (0.5), --seed, --seeds
/// (5), --threads, --json, and two of its own: --collapse STEPS (of GRPO before the algorithm's own), --identifiable.
#pragma once
#include <nlohmann/json.hpp>

#include "hone/core/thread_pool.hpp"
#include "reason/bandit.hpp"
#include "support/program.hpp"
#include "support/table.hpp"

namespace reason {

/// A row of the table. @c run says how; its seed is the first one.
struct bandit_case {
  std::string name;
  policy::recipe_options algorithm;
  bandit_settings run{};
};

struct bandit_story_settings {
  std::vector<bandit_case> cases;
  std::size_t seeds = 5;
  long threads = 1;
};

/// The published cases, from @p run: 1500 steps of each algorithm, 800 from a collapsed start, 600 where the prompt
/// says which strategy is right. The KL penalties are k2, whose gradient is that of KL(pi || q); k3 is beside it.
inline std::vector<bandit_case> bandit_table(const bandit_settings& run = {}) {
  std::vector<bandit_case> cases;
  const auto add = [&](std::string name, const policy::recipe_options& a, bandit_settings own) {
    cases.push_back({std::move(name), a, own});
  };
  const auto kl = [](double coefficient, policy::kl_estimator by = policy::kl_estimator::k2) {
    return policy::recipe_options{.name = "grpo", .kl = coefficient, .kl_estimator = by};
  };
  const auto anchored = [](const char* name, double beta) {
    return policy::recipe_options{.name = name, .anchor_beta = beta};
  };
  policy::recipe_options by_log = anchored("apo", 0.3), tangent = by_log, free = anchored("apo", 0.2);
  by_log.anchor_form = policy::anchor_form::log_mass;
  tangent.anchor_form = policy::anchor_form::log_ratio;
  free.anchor_clip = policy::clip_placement::no_clip;

  add("GRPO", {.name = "grpo"}, run);
  add("Dr. GRPO", {.name = "dr_grpo"}, run);
  for (const double x : {0.05, 0.1, 0.2, 0.4}) add(program::text("GRPO + KL %g", x), kl(x), run);
  for (const double x : {0.05, 0.1, 0.2, 0.4})
    add(program::text("GRPO + KL %g, k3", x), kl(x, policy::kl_estimator::k3), run);
  for (const double x : {0.05, 0.1}) add(program::text("GRPO + entropy %g", x), {.name = "grpo", .entropy = x}, run);
  add("Clip-Cov", {.name = "clip_cov"}, run);
  for (const double x : {0.1, 0.2}) add(program::text("Clip-Cov %g", x), {.name = "clip_cov", .cov_share = x}, run);
  add("KL-Cov", {.name = "kl_cov"}, run);
  add("KL-Cov 0.2", {.name = "kl_cov", .cov_share = 0.2}, run);
  for (const double x : {0.1, 0.15, 0.2, 0.25, 0.3}) add(program::text("APO %g", x), anchored("apo", x), run);
  add("APO 0.3, log-mass", by_log, run);
  add("APO 0.3, log-ratio", tangent, run);
  add("APO 0.2, no clip", free, run);
  add("SPPO", {.name = "sppo"}, run);
  for (const double x : {0.2, 0.3}) add(program::text("SPPO + APO %g", x), anchored("sppo+apo", x), run);

  bandit_settings collapsed = run;
  collapsed.collapse = 400;
  collapsed.steps = 800;
  free.anchor_beta = 0.3;
  add("GRPO", {.name = "grpo"}, collapsed);
  add("GRPO + KL 0.2", kl(0.2), collapsed);
  for (const double x : {0.1, 0.3}) add(program::text("APO %g", x), anchored("apo", x), collapsed);
  add("APO 0.3, log-mass", by_log, collapsed);
  add("APO 0.3, log-ratio", tangent, collapsed);
  add("APO 0.3, no clip", free, collapsed);
  add("SPPO + APO 0.3", anchored("sppo+apo", 0.3), collapsed);

  bandit_settings identifiable = run;
  identifiable.identifiable = true;
  identifiable.steps = 600;
  add("GRPO", {.name = "grpo"}, identifiable);
  add("GRPO + KL 0.2", kl(0.2), identifiable);
  for (const double x : {0.25, 0.3}) add(program::text("APO %g", x), anchored("apo", x), identifiable);
  return cases;
}

namespace detail {

struct bandit_column {
  const char* key;
  const char* title;
  double bandit::metrics::* value;
  int digits;
};
inline constexpr bandit_column bandit_columns[] = {
    {"pass_1", "pass@1", &bandit::metrics::pass_1, 3},    {"pass_8", "pass@8", &bandit::metrics::pass_8, 3},
    {"pass_64", "pass@64", &bandit::metrics::pass_64, 3}, {"entropy", "entropy", &bandit::metrics::entropy, 3},
    {"kept", "kept", &bandit::metrics::kept, 1},          {"active", "active", &bandit::metrics::active, 3}};

inline nlohmann::json to_json(const bandit::metrics& m) {
  nlohmann::json j;
  for (const auto& c : bandit_columns) j[c.key] = m.*c.value;
  return j;
}

inline std::string conditions(const bandit_settings& s) {
  const std::string from = s.collapse > 0 ? program::text("after %ld steps of GRPO", s.collapse) : "from the reference";
  return program::text("%ld steps ", s.steps) + from + (s.identifiable ? ", the right strategy told" : "");
}

}  // namespace detail

/// Runs every case for every seed, prints a line for each case, and puts everything into @p result, if there is one:
/// `start` (measures of the reference) and `cases`, each with its conditions, `seeds` (the measures of each), `mean`
/// and `interval` (half of it). Returns the status that the program is to end with: 130 after Ctrl-C, which leaves out
/// the cases that were not begun.
/// @throws std::invalid_argument for a case that is none, before any is run.
inline int bandit_story(const bandit_story_settings& s, nlohmann::json* result) {
  for (const bandit_case& c : s.cases)
    bandit{{.responses = c.run.responses, .group = c.run.group, .minibatches = c.run.minibatches}, c.algorithm};
  hone::thread_pool pool(static_cast<hone::index_t>(s.threads));
  nlohmann::json cases = nlohmann::json::array();
  std::string conditions;
  bool silent = false;
  for (const bandit_case& c : s.cases) {
    if (program::interrupted()) break;
    std::vector<bandit::metrics> runs(s.seeds), starts(s.seeds);
    pool.parallel_for(static_cast<index_t>(s.seeds), index_t{1}, [&](index_t begin, index_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        bandit_settings own = c.run;
        own.seed += i;
        bandit run(own, c.algorithm);
        starts[i] = run.measure();
        for (long step = 0; step < own.steps; ++step) run.step();
        runs[i] = run.measure();
      }
    });
    const auto values_of = [](const std::vector<bandit::metrics>& of, const detail::bandit_column& column) {
      std::vector<double> values;
      for (const auto& m : of) values.push_back(m.*column.value);
      return values;
    };
    const auto print = [](const std::vector<double>& values, int digits) {
      std::printf("%s", program::right(program::mean_and_margin(values, digits), 14).c_str());
    };
    if (detail::conditions(c.run) != conditions) {
      std::printf("%s%s, %zu seeds\n%-21s", conditions.empty() ? "" : "\n", detail::conditions(c.run).c_str(), s.seeds,
                  "");
      for (const auto& column : detail::bandit_columns) std::printf("%14s", column.title);
      std::printf("\n%-21s", "start");
      for (const auto& column : detail::bandit_columns) {
        if (column.value != &bandit::metrics::active) print(values_of(starts, column), column.digits);
      }
      std::printf("\n");
      conditions = detail::conditions(c.run);
    }
    const bool fires = policy::fires_at_start(policy::make_recipe(c.algorithm));
    silent = silent || !fires;
    nlohmann::json mean, interval, seeds = nlohmann::json::array();
    for (const auto& m : runs) seeds.push_back(detail::to_json(m));
    std::printf("%-21s", (c.name + (fires ? "" : " *")).c_str());
    for (const auto& column : detail::bandit_columns) {
      const std::vector<double> values = values_of(runs, column);
      const auto m = hone::statistics::estimate_mean(values);
      mean[column.key] = m.mean;
      interval[column.key] = hone::statistics::student_margin(m);  // NaN of one seed: null in JSON
      print(values, column.digits);
    }
    std::printf("\n");
    std::fflush(stdout);
    cases.push_back({{"name", c.name},
                     {"algorithm", c.algorithm.name},
                     {"steps", c.run.steps},
                     {"collapse", c.run.collapse},
                     {"identifiable", c.run.identifiable},
                     {"fires_at_start", fires},
                     {"mean", mean},
                     {"interval", interval},
                     {"seeds", seeds}});
  }
  if (program::interrupted()) std::printf("\nInterrupted: %zu of %zu cases ended.\n", cases.size(), s.cases.size());
  if (silent) std::printf("* neither push nor pull has a gradient while policy and reference are one\n");
  if (result) *result = {{"start", detail::to_json(bandit({}, {.name = "grpo"}).measure())}, {"cases", cases}};
  return program::interrupted() ? 130 : 0;
}

}  // namespace reason
