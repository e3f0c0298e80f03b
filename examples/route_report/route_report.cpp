// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a router between two models is worth, from a table of which prompts either answered rightly.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "route_report/outcomes.hpp"
#include "support/files.hpp"
#include "support/numbers.hpp"
#include "support/router_figures.hpp"

namespace {

using namespace hone;
using vector = std::vector<double>;

constexpr const char* own_routers[] = {"subject_prior", "subject_gain", "prompt_length", "oracle", "oracle_weak"};
constexpr const char* column_prefix = "column:";

/// Of each row the mean of @p values over the rows of its subject.
vector subject_means(const program::outcome_table& table, const vector& values) {
  vector sums(table.files), counts(table.files), means;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sums[table.subject[i]] += values[i];
    ++counts[table.subject[i]];
  }
  for (const std::size_t s : table.subject) means.push_back(sums[s] / counts[s]);
  return means;
}

/// The scores of a router: the higher, the likelier the weak model answers.
vector scores_of(const std::string& router, const program::outcome_table& table) {
  if (router == "subject_prior") return subject_means(table, table.weak);
  if (router == "oracle_weak") return table.weak;
  if (router.starts_with(column_prefix)) return table.column;
  vector scores;
  if (router == "prompt_length") {
    for (const double length : table.length) scores.push_back(-length);
    return scores;
  }
  for (std::size_t i = 0; i < table.weak.size(); ++i) scores.push_back(table.strong[i] - table.weak[i]);  // the gain
  if (router == "subject_gain") scores = subject_means(table, scores);
  for (double& s : scores) s = -s;
  return scores;
}

std::string refuse_router(std::string& router) {
  for (const char* own : own_routers)
    if (router == own) return {};
  if (router.starts_with(column_prefix) && router.size() > std::string(column_prefix).size()) return {};
  std::string words;
  for (const char* own : own_routers) words += std::string(own) + ", ";
  return "must be " + words + "or column:NAME, is " + router;
}

bool zero_or_one(const vector& x) {
  return std::all_of(x.begin(), x.end(), [](double v) { return v == 0 || v == 1; });
}

}  // namespace

int main(int argc, char** argv) {
  std::string scores_path, weak, strong, router, drop_file, json_file;
  std::vector<double> bands = {0.25, 0.30, 0.85, 0.95};
  index_t replicates = 1000;
  CLI::App app("What a router between two models is worth, from a table of which prompts either answered rightly.",
               "route_report");
  app.add_option("--scores", scores_path, "a CSV file with a header and a row a prompt, or a folder of them")
      ->required();
  app.add_option("--weak", weak, "the column of the weak model: True and False, or numbers")->required();
  app.add_option("--strong", strong, "the column of the strong model")->required();
  app.add_option(
         "--router", router,
         "subject_prior, subject_gain (a file is a subject), prompt_length, oracle, oracle_weak, or column:NAME,"
         " the higher the likelier the weak model is right")
      ->required()
      ->check(CLI::Validator(refuse_router, ""));
  app.add_option("--drop", drop_file, "JSON lines with eval_prompt or prompt: rows of these prompts are left out");
  app.add_option("--bands", bands, "of call rates and of recoveries: LO,HI,REC_LO,REC_HI")
      ->capture_default_str()
      ->delimiter(',')
      ->expected(4)
      ->check(program::number<double>());
  app.add_option("--bootstrap", replicates, "replicates of the intervals")
      ->capture_default_str()
      ->check(program::number<index_t>())
      ->check(program::between(2, 1e6));
  app.add_option("--json", json_file, "where the result goes, as one object");
  CLI11_PARSE(app, argc, argv);

  return program::run("route_report", [&] {
    program::require(weak != strong, "--weak and --strong name the same column");
    program::require_outputs({{"--json", json_file}}, {scores_path, drop_file});
    const routing::deferral_bands of = {bands[0], bands[1], bands[2], bands[3]};
    (void)routing::measure_scenarios({}, of);  // refuses them before anything is read
    program::outcome_request request{.weak = weak, .strong = strong, .column = {}};
    request.prompts = router == "prompt_length";
    if (router.starts_with(column_prefix)) request.column = router.substr(std::string(column_prefix).size());
    if (!drop_file.empty()) request.drop = program::read_drops(drop_file);
    const program::outcome_table table = program::read_outcomes(scores_path, request);
    const bool graded = !zero_or_one(table.weak) || !zero_or_one(table.strong);
    const program::routed routed{.weak = table.weak,
                                 .strong = table.strong,
                                 .scores = scores_of(router, table),
                                 .labels = graded ? routing::weak_suffices(table.weak, table.strong) : table.weak};
    const routing::deferral_curve curve = routing::curve(routed.weak, routed.strong, routed.scores);
    std::vector<program::router_figure> figures;
    try {
      program::stoppable_pool pool;
      figures = program::measure_router(routed, of, {.replicates = replicates}, pool);
    } catch (const program::stopped_by_user&) {
      std::fputs("route_report: interrupted, nothing is written\n", stderr);
      return 130;
    }

    std::printf("%s on %td prompts, %zu dropped; weak %.4f, strong %.4f\n", program::one_line(router).c_str(),
                curve.count, table.dropped, curve.weak(), curve.strong());
    program::print_figures(figures);
    nlohmann::json result = {{"config",
                              {{"scores", scores_path},
                               {"weak", weak},
                               {"strong", strong},
                               {"router", router},
                               {"drop", drop_file},
                               {"bands", bands},
                               {"bootstrap", replicates}}},
                             {"n", curve.count},
                             {"dropped", table.dropped},
                             {"label", graded ? "weak no worse" : "weak right"},
                             {"weak", curve.weak()},
                             {"strong", curve.strong()},
                             {"curve", program::points_of(curve)},
                             {"oracle", program::points_of(routing::oracle_curve(routed.weak, routed.strong))}};
    program::add_figures(result, figures);
    program::write_json(json_file, result);
    return 0;
  });
}
