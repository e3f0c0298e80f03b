// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// TOFU's table [Maini et al. 2024, arXiv 2401.06121] of a model: scores of its sets of questions, model utility and
/// forget quality, by the two definitions of the truth ratio in print.
#pragma once
#include <array>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "hone/eval/tofu.hpp"

namespace program {

struct tofu_definition {
  const char* name;
  hone::eval::truth_ratio kind;
};
inline constexpr tofu_definition tofu_definitions[] = {{"geometric", hone::eval::truth_ratio::geometric},
                                                       {"arithmetic", hone::eval::truth_ratio::arithmetic}};

/// The four sets, as JSON and print call them.
struct tofu_set_name {
  hone::eval::tofu_part part;
  const char *key, *title;
};
inline constexpr tofu_set_name tofu_set_names[] = {
    {hone::eval::tofu_part::retain, "retain", "retain"},
    {hone::eval::tofu_part::real_authors, "real_authors", "real authors"},
    {hone::eval::tofu_part::world_facts, "world_facts", "world facts"},
    {hone::eval::tofu_part::forget, "forget", "forget"}};

/// Of the sets that are there.
class tofu_table {
 public:
  void add(hone::eval::tofu_part part, const hone::eval::tofu_answers& answers) {
    for (std::size_t d = 0; d < std::size(tofu_definitions); ++d)
      scores_[part][d] = hone::eval::score_tofu(answers, part, tofu_definitions[d].kind);
  }

  void print(const char* title) const {
    std::printf("%-18s %4s %13s %13s %13s %13s\n", title, "n", "probability", "ROUGE-L", "TR geometric",
                "TR arithmetic");
    for (const tofu_set_name& set : tofu_set_names) {
      const auto found = scores_.find(set.part);
      if (found == scores_.end()) continue;
      const auto& [geometric, arithmetic] = found->second;
      std::printf("  %-16s %4td", set.title, geometric.probability.count);
      for (const auto* m :
           {&geometric.probability, &geometric.rouge_l, &geometric.truth_ratio, &arithmetic.truth_ratio})
        std::printf(" %6.4f ±%.3f", m->mean, m->standard_error);
      std::puts("");
    }
    if (utility(0)) std::printf("  %-49s %6.4f        %6.4f\n", "model utility", *utility(0), *utility(1));
    std::puts("");
  }

  /// The scores of each set. Numbers that JSON has not are null.
  [[nodiscard]] nlohmann::json sets() const {
    const auto estimate = [](const hone::statistics::mean_estimate& m) {
      return nlohmann::json{{"mean", m.mean}, {"standard_error", m.standard_error}};
    };
    nlohmann::json result;
    for (const tofu_set_name& set : tofu_set_names) {
      const auto found = scores_.find(set.part);
      if (found == scores_.end()) continue;
      const auto& [geometric, arithmetic] = found->second;
      result[set.key] = {
          {"questions", geometric.probability.count},
          {"probability", estimate(geometric.probability)},
          {"rouge_l", estimate(geometric.rouge_l)},
          {"truth_ratio",
           {{"geometric", estimate(geometric.truth_ratio)}, {"arithmetic", estimate(arithmetic.truth_ratio)}}}};
    }
    return result;
  }
  /// By definition; null without the three sets that it is made of.
  [[nodiscard]] nlohmann::json model_utility() const {
    nlohmann::json result;
    for (std::size_t d = 0; d < std::size(tofu_definitions); ++d)
      if (const auto u = utility(d)) result[tofu_definitions[d].name] = *u;
    return result;
  }

 private:
  [[nodiscard]] std::optional<double> utility(std::size_t definition) const {
    using enum hone::eval::tofu_part;
    if (!scores_.contains(retain) || !scores_.contains(real_authors) || !scores_.contains(world_facts)) return {};
    return hone::eval::model_utility(scores_.at(retain)[definition], scores_.at(real_authors)[definition],
                                     scores_.at(world_facts)[definition]);
  }

  std::map<hone::eval::tofu_part, std::array<hone::eval::tofu_score, std::size(tofu_definitions)>> scores_;
};

/// Forget quality of answers to the questions that were to be forgotten, against a retrained model's: prints it, and
/// returns it by definition.
inline nlohmann::json print_forget_quality(const hone::eval::tofu_answers& unlearned,
                                           const hone::eval::tofu_answers& retrained) {
  nlohmann::json result;
  std::printf("%-18s %9s %13s %13s %13s\n", "forget quality", "n, m", "D", "p", "log10 p");
  for (const tofu_definition& d : tofu_definitions) {
    const hone::statistics::ks_result q = hone::eval::forget_quality(unlearned, retrained, d.kind);
    std::printf("  %-16s %4td, %3td %13.4f %13.4g %13.4f\n", d.name, q.n, q.m, q.statistic, q.p_value, q.log10_p);
    result[d.name] = {{"ks", q.statistic}, {"p_value", q.p_value}, {"log10_p", q.log10_p}, {"n", q.n}, {"m", q.m}};
  }
  return result;
}

}  // namespace program
