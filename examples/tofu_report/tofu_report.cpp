// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The TOFU table of a model, from the benchmark's own evaluation logs of it and of a model that was retrained without
/// what it should forget.
#include "hone/io/tofu_log.hpp"
#include "support/files.hpp"
#include "support/program.hpp"

#include <CLI/CLI.hpp>

namespace {

using namespace hone;
using eval::tofu_part;
using eval::truth_ratio;

struct definition {
  const char* name;
  truth_ratio kind;
};
constexpr definition definitions[] = {{"geometric", truth_ratio::geometric}, {"arithmetic", truth_ratio::arithmetic}};

struct question_set {
  const char* name;
  const char* title;
  tofu_part part;
  io::tofu_log_set io::tofu_log::* member;
};
constexpr question_set sets[] = {
    {"retain", "retain", tofu_part::retain, &io::tofu_log::retain},
    {"real_authors", "real authors", tofu_part::real_authors, &io::tofu_log::real_authors},
    {"world_facts", "world facts", tofu_part::world_facts, &io::tofu_log::world_facts},
    {"forget", "forget", tofu_part::forget, &io::tofu_log::forget},
};

double utility(const io::tofu_log& log, truth_ratio kind) {
  const auto score = [&](const question_set& s) { return eval::score_tofu(log.*s.member, s.part, kind); };
  return eval::model_utility(score(sets[0]), score(sets[1]), score(sets[2]));
}

void print_scores(const char* title, const io::tofu_log& log) {
  std::printf("%-18s %4s %13s %13s %13s %13s\n", title, "n", "probability", "ROUGE-L", "TR geometric", "TR arithmetic");
  for (const question_set& s : sets) {
    const auto geometric = eval::score_tofu(log.*s.member, s.part, truth_ratio::geometric);
    const auto arithmetic = eval::score_tofu(log.*s.member, s.part, truth_ratio::arithmetic);
    std::printf("  %-16s %4td", s.title, geometric.probability.count);
    for (const auto* m : {&geometric.probability, &geometric.rouge_l, &geometric.truth_ratio, &arithmetic.truth_ratio})
      std::printf(" %6.4f ±%.3f", m->mean, m->standard_error);
    std::puts("");
  }
  std::printf("  %-49s %6.4f        %6.4f\n\n", "model utility", utility(log, truth_ratio::geometric),
              utility(log, truth_ratio::arithmetic));
}

/// Of numbers that JSON has, or null.
nlohmann::json number(double x) { return std::isfinite(x) ? nlohmann::json(x) : nlohmann::json(); }

nlohmann::json scores(const io::tofu_log& log) {
  nlohmann::json result;
  for (const question_set& s : sets)
    for (const definition& d : definitions) {
      const eval::tofu_score score = eval::score_tofu(log.*s.member, s.part, d.kind);
      const auto estimate = [](const statistics::mean_estimate& m) {
        return nlohmann::json{{"mean", number(m.mean)}, {"standard_error", number(m.standard_error)}};
      };
      auto& entry = result[s.name];
      entry["questions"] = score.probability.count;
      entry["probability"] = estimate(score.probability);
      entry["rouge_l"] = estimate(score.rouge_l);
      entry["truth_ratio"][d.name] = estimate(score.truth_ratio);
    }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  std::string model_file, retain_file, json_file;
  CLI::App app(
      "The TOFU table of a model, from its evaluation log and that of a model retrained without what it should "
      "forget.",
      "tofu_report");
  app.add_option("--model", model_file, "its eval_log_aggregated.json")->required();
  app.add_option("--retain", retain_file, "that of the retrained model")->required();
  app.add_option("--json", json_file, "where the result goes, as one object");
  CLI11_PARSE(app, argc, argv);

  return program::run("tofu_report", [&] {
    if (!json_file.empty() && (json_file == model_file || json_file == retain_file))
      throw std::runtime_error("--json names a file that is to be read");
    program::require_outputs({{"--json", json_file}});
    const io::tofu_log model = io::read_tofu_log(model_file), retrained = io::read_tofu_log(retain_file);
    nlohmann::json result = {{"config", {{"model", model_file}, {"retain", retain_file}}},
                             {"model", scores(model)},
                             {"retain", scores(retrained)}};
    print_scores("model", model);
    print_scores("retrained without", retrained);
    std::printf("%-18s %9s %13s %13s %13s\n", "forget quality", "n, m", "D", "p", "log10 p");
    for (const definition& d : definitions) {
      const statistics::ks_result q = eval::forget_quality(model.forget, retrained.forget, d.kind);
      std::printf("  %-16s %4td, %3td %13.4f %13.4g %13.4f\n", d.name, q.n, q.m, q.statistic, q.p_value, q.log10_p);
      result["model_utility"][d.name] = number(utility(model, d.kind));
      result["retain_model_utility"][d.name] = number(utility(retrained, d.kind));
      result["forget_quality"][d.name] = {{"ks", number(q.statistic)},
                                          {"p_value", number(q.p_value)},
                                          {"log10_p", number(q.log10_p)},
                                          {"n", q.n},
                                          {"m", q.m}};
    }
    program::write_json(json_file, result);
    return 0;
  });
}
