// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RouteLLM's answers of two models to MMLU's questions, where they are there: the reference values of five routers.
#include "hone/io/csv.hpp"
#include "hone/io/json_lines.hpp"
#include "hone/routing/routellm.hpp"
#include "hone/routing/scenario.hpp"
#include "hone/statistics/calibration.hpp"
#include "hone/statistics/roc.hpp"
#include "routing/support.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

namespace {

struct outcomes {
  table rows;  ///< its score is the number of code points of the prompt
  std::vector<std::size_t> subject;
};

outcomes read_outcomes(const std::filesystem::path& folder) {
  std::set<std::string> dropped;
  io::read_json_lines(folder / "contaminated_prompts.jsonl",
                      [&](const io::json_row& row) { dropped.insert(row.text("eval_prompt")); });
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".csv") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  outcomes result;
  for (std::size_t f = 0; f < files.size(); ++f)
    for (const io::csv_row& row : io::read_csv(files[f]).rows) {
      if (dropped.contains(row.fields[0])) continue;
      result.subject.push_back(f);
      result.rows.score.push_back(static_cast<double>(
          std::count_if(row.fields[0].begin(), row.fields[0].end(), [](char c) { return (c & 0xc0) != 0x80; })));
      result.rows.weak.push_back(row.fields[1] == "True");
      result.rows.strong.push_back(row.fields[2] == "True");
    }
  return result;
}

struct expected_figures {
  double auroc, apgr, averaged, deciles, lpm, hcr, mpm;  ///< NaN: there is none
  vector cpt, interpolated;
};

void check(const outcomes& data, const vector& scores, const expected_figures& e) {
  const table& t = data.rows;
  const deferral_curve file = curve(t.weak, t.strong, scores, ties::file_order);
  const deferral_curve averaged = curve(t.weak, t.strong, scores);
  CHECK(statistics::auc(statistics::rank_by_outcome(scores, t.weak)).auc == Approx(e.auroc).epsilon(1e-9));
  CHECK(*apgr(file).value == Approx(e.apgr).epsilon(1e-9));
  CHECK(*apgr(averaged).value == Approx(e.averaged).epsilon(1e-9));
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(100 * *call_threshold(averaged, 0.2 + 0.3 * static_cast<double>(i)).value ==
          Approx(e.cpt[i]).margin(0.00005001));
  const quantile_curve deciles = routellm_points(averaged);
  if (std::isnan(e.deciles)) {
    CHECK(apgr(deciles).why == absence::equal_edges);
  } else {
    CHECK(*apgr(deciles).value == Approx(e.deciles).epsilon(1e-9));
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(100 * *call_threshold(deciles, 0.2 + 0.3 * static_cast<double>(i)).value ==
            Approx(e.interpolated[i]).margin(0.00005001));
  }
  const scenario_report r = measure_scenarios(file, config_bands, scenario_mode::reference);
  CHECK(*r.cheap.figure.value == Approx(e.lpm).epsilon(1e-9));
  CHECK(*r.high_accuracy.figure.value == Approx(e.hcr).epsilon(1e-9));
  if (std::isnan(e.mpm)) {
    CHECK(r.balanced.points == 0);
    CHECK(*r.balanced.figure.value == 0.0);
    CHECK(measure_scenarios(file).balanced.figure.why == absence::empty_band);
  } else {
    CHECK(*r.balanced.figure.value == Approx(e.mpm).epsilon(1e-9));
  }
}

}  // namespace

TEST_CASE("MMLU: five routers, to nine digits") {
  const auto folder = data_file("routellm_mmlu");
  if (!folder) return;
  const outcomes data = read_outcomes(*folder);
  const table& t = data.rows;
  const std::size_t n = t.weak.size();
  REQUIRE(n == 14037);
  const deferral_curve any = curve(t.weak, t.strong, t.score);
  CHECK(any.weak_total == 9558);
  CHECK(any.strong_total == 11312);
  vector weak(57), gain(57), count(57), prior, by_gain, length, oracle, oracle_weak;
  for (std::size_t i = 0; i < n; ++i) {
    weak[data.subject[i]] += t.weak[i];
    gain[data.subject[i]] += t.strong[i] - t.weak[i];
    ++count[data.subject[i]];
  }
  for (std::size_t i = 0; i < n; ++i) {
    prior.push_back(weak[data.subject[i]] / count[data.subject[i]]);
    by_gain.push_back(-(gain[data.subject[i]] / count[data.subject[i]]));
    length.push_back(-t.score[i]);
    oracle.push_back(t.weak[i] - t.strong[i]);
  }
  const double none = std::nan("");
  check(data, prior,
        {0.7230534711,
         0.5969116561,
         0.5961773815,
         0.6056949872,
         0.7295955926,
         0.21,
         0.7628173161,
         {11.9677, 37.2556, 65.5990},
         {11.9042, 36.2052, 66.7380}});
  check(data, by_gain,
        {0.6139141527,
         0.7084400821,
         0.7077058075,
         0.7036507970,
         0.7472038185,
         0.34,
         0.7710057094,
         {6.6659, 25.1122, 52.3103},
         {7.5436, 25.1754, 52.4805}});
  check(data, length,
        {0.5503754332,
         0.5858308255,
         0.5858190672,
         0.5836981860,
         0.7238488756,
         0.155,
         0.7649646300,
         {14.2566, 35.9006, 69.0860},
         {15.3549, 36.7023, 69.2044}});
  check(data, oracle,
        {0.7958185840, 1.2853333782, 1.2853333782, none, 0.8587304980, 0.89, none, {2.4991, 6.2478, 9.9964}, {}});
  check(data, t.weak, {1, 1.0303275697, 1.0519738963, none, 0.8343900644, 0.795, none, {4.4846, 11.2114, 17.9383}, {}});
  CHECK(statistics::calibrate(prior, t.weak).brier == Approx(0.1874393732).epsilon(1e-9));
  CHECK(statistics::calibrate(length, t.weak).invalid == 14037);
}
