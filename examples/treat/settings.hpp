// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `treat` can be told on its command line.
#pragma once
#include <limits>
#include <thread>

#include "hone/core/thread_pool.hpp"
#include "support/files.hpp"
#include "support/idle.hpp"
#include "support/options.hpp"
#include "support/program.hpp"

namespace treat {

using hone::index_t;

enum class weights_kind { known, ipw, overlap, cbps, entropy, mmd };
inline const std::map<std::string, weights_kind> weights_kinds = {
    {"known", weights_kind::known}, {"ipw", weights_kind::ipw},         {"overlap", weights_kind::overlap},
    {"cbps", weights_kind::cbps},   {"entropy", weights_kind::entropy}, {"mmd", weights_kind::mmd}};
enum class mechanism_kind { automatic, lattice, gamma, objective, composition };
inline const std::map<std::string, mechanism_kind> mechanism_kinds = {{"auto", mechanism_kind::automatic},
                                                                      {"lattice", mechanism_kind::lattice},
                                                                      {"gamma", mechanism_kind::gamma},
                                                                      {"objective", mechanism_kind::objective},
                                                                      {"composition", mechanism_kind::composition}};
enum class loss_kind { logistic, huber, a_learning };
inline const std::map<std::string, loss_kind> loss_kinds = {
    {"logistic", loss_kind::logistic}, {"huber", loss_kind::huber}, {"a_learning", loss_kind::a_learning}};

struct settings {
  std::string data, treatment, outcome, features, arms, propensity;
  double outcome_scale = 1;
  std::optional<double> least_propensity, row_bound, outcome_bound;
  weights_kind weights = weights_kind::ipw;
  loss_kind loss = loss_kind::logistic;
  mechanism_kind mechanism = mechanism_kind::automatic;
  double ridge_weights = 1, ridge = 0.05, radius = 1;
  index_t kernel_features = 0;
  std::string epsilon;
  double delta = 0;
  std::string ledger;
  std::vector<double> total;
  bool ideal = false;

  std::vector<index_t> rows = {2000};
  std::vector<double> epsilons = {0.5, 2}, ridges = {1};
  index_t repetitions = 500;
  std::uint64_t seed = 1;

  std::string json;
  long threads = static_cast<long>((std::max)(1u, std::thread::hardware_concurrency()));

  [[nodiscard]] bool simulates() const { return data.empty(); }
  [[nodiscard]] double promised() const {
    return epsilon == "inf" ? std::numeric_limits<double>::infinity() : std::strtod(epsilon.c_str(), nullptr);
  }
};

/// What lies between commas.
inline std::vector<std::string> parts(const std::string& text) {
  return text.empty() ? std::vector<std::string>{} : CLI::detail::split(text, ',');
}

inline CLI::Validator epsilon_text() {
  return {[](std::string& text) -> std::string {
            if (text == "inf") return {};
            std::string copy = text;
            const std::string refused = program::number<double>()(copy);
            if (!refused.empty()) return refused;
            return std::strtod(text.c_str(), nullptr) > 0 ? "" : "must be above 0, or inf, is " + text;
          },
          "above 0, or inf"};
}

inline void declare(program::options& row, settings& s) {
  using namespace program;
  row.group("Records");
  row("--data", s.data, "a CSV file with a header; without it the simulation is run");
  row("--treatment", s.treatment, "the column of what was done");
  row("--outcome", s.outcome, "the column of the outcome, larger is better");
  row("--outcome-scale", s.outcome_scale, "outcomes are divided by it, a negative one turns them round");
  row("--features", s.features, "columns, each divided by a number: age,income/1000");
  row("--arms", s.arms, "the values of the treatment, all that may ever occur").shown("-1,1 or 0,1");
  row("--row-bound", s.row_bound, "rows are shortened to this length; half of it is the constant column",
      above(0, 1e100));
  row("--outcome-bound", s.outcome_bound, "outcomes are cut here, after the scale", above(0, 1e100));
  row.group("Weights and fit");
  row.choice("--weights", s.weights, weights_kinds, "known, ipw, overlap, cbps, entropy, mmd").shown("ipw");
  row("--propensity", s.propensity, "of known: one for each arm, or a column of the own arm's");
  row("--least-propensity", s.least_propensity, "smaller ones in the column are raised to it", between(1e-6, 1));
  row("--ridge-weights", s.ridge_weights, "of the weights' model", above(0, 1e100));
  row("--kernel-features", s.kernel_features, "of mmd: random features in place of a matrix of all pairs",
      between(0, 65536));
  row.choice("--loss", s.loss, loss_kinds, "logistic, huber, a_learning (any number of arms)").shown("logistic");
  row("--ridge", s.ridge, "of the rule", above(0, 1e100));
  row("--radius", s.radius, "of a_learning: the largest length of the rule", above(0, 1e100));
  row.group("Privacy");
  row.choice("--mechanism", s.mechanism, mechanism_kinds, "auto, lattice, gamma, objective, composition").shown("auto");
  row("--epsilon", s.epsilon, "of the promise; inf is the plain fit, which also prints weights", epsilon_text());
  row("--delta", s.delta, "of the promise; 0 for none", between(0, 0.999));
  row("--ideal", s.ideal, "admits mechanisms that are private in exact arithmetic only");
  row("--ledger", s.ledger, "a file that keeps the budget over runs").needs({"--total"});
  row("--total", s.total, "of the ledger: epsilon,delta").needs({"--ledger"});
  row.group("Simulation");
  row("--rows", s.rows, "records of a repetition", between(10, 1e7));
  row("--epsilons", s.epsilons, "promises that are compared", above(0, 1e6));
  row("--ridges", s.ridges, "of the weights' model", above(0, 1e100));
  row("--repetitions", s.repetitions, "of the simulation", between(2, 1e6));
  row("--seed", s.seed, "of the simulation; releases take none");
  row.group("Program", false);
  row("--json", s.json, "where the result goes, as one object");
  row("--threads", s.threads, "workers, which change no digit", between(1, 4096));
}

/// @throws std::runtime_error for what does not go together.
inline void check(const settings& s, const CLI::App& app) {
  using program::require;
  program::refuse_idle_on(
      app,
      {{"--data",
        !s.simulates(),
        {"--treatment", "--outcome", "--outcome-scale", "--features", "--arms", "--row-bound", "--outcome-bound",
         "--weights", "--propensity", "--least-propensity", "--ridge-weights", "--kernel-features", "--loss",
         "--radius", "--mechanism", "--epsilon", "--delta", "--ledger", "--ideal"}},
       {"the simulation, which --data replaces",
        s.simulates(),
        {"--rows", "--epsilons", "--ridges", "--repetitions", "--seed"}},
       {"an --epsilon that is not inf", s.simulates() || s.epsilon != "inf", {"--mechanism", "--delta", "--ideal"}},
       {"--mechanism auto, composition, gamma or objective", s.mechanism != mechanism_kind::lattice, {"--ideal"}},
       {"--weights known", s.weights == weights_kind::known, {"--propensity", "--least-propensity"}},
       {"weights that are estimated", s.weights != weights_kind::known, {"--ridge-weights"}},
       {"--weights mmd", s.weights == weights_kind::mmd, {"--kernel-features"}},
       {"--loss a_learning", s.loss == loss_kind::a_learning, {"--radius"}}});
  program::require_outputs({{"--json", s.json}}, {s.data, s.ledger});
  if (s.simulates()) return;
  const std::pair<const char*, bool> needed[] = {{"--treatment", !s.treatment.empty()},
                                                 {"--outcome", !s.outcome.empty()},
                                                 {"--features", !s.features.empty()},
                                                 {"--row-bound", s.row_bound.has_value()},
                                                 {"--outcome-bound", s.outcome_bound.has_value()},
                                                 {"--epsilon", !s.epsilon.empty()}};
  for (const auto& [option, there] : needed) require(there, "--data needs %s", option);
  require(s.outcome_scale != 0, "--outcome-scale must not be 0");
  require(s.weights != weights_kind::known || !s.propensity.empty(), "--weights known needs --propensity");
  require(s.total.empty() || s.total.size() == 2, "--total must be epsilon,delta");
  require(s.ideal || (s.mechanism != mechanism_kind::gamma && s.mechanism != mechanism_kind::objective),
          "this mechanism is private in exact arithmetic only: --ideal admits it");
  require(s.ledger.empty() || s.epsilon != "inf", "--epsilon inf releases nothing that a ledger could count");
}

}  // namespace treat
