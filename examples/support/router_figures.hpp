// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The figures of a router on two models' outcomes, each with an interval, or the reason why it has no value.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "hone/routing/ability.hpp"
#include "hone/routing/curve_bootstrap.hpp"
#include "hone/routing/routellm.hpp"
#include "hone/routing/scenario.hpp"
#include "hone/statistics/calibration.hpp"
#include "support/program.hpp"
#include "support/stoppable_pool.hpp"

namespace program {

struct router_figure {
  std::string key, title;
  hone::routing::measure figure;
  hone::statistics::interval interval;  ///< NaN: none, for that reason
  std::string no_interval;
};

/// The router's scores with what happened.
struct routed {
  std::vector<double> weak, strong, scores;
  std::vector<double> labels;  ///< 1 where the weak model is right or, of graded answers, no worse
};

namespace detail {

inline constexpr double recoveries[] = {0.2, 0.5, 0.8};
inline constexpr int percents[] = {20, 50, 80};

/// The three bands as the authors' script has them, but without its 0.0 for what is empty.
inline std::vector<hone::routing::measure> scenarios(const hone::routing::deferral_curve& c,
                                                     const hone::routing::deferral_bands& bands) {
  using namespace hone::routing;
  const scenario_report r = measure_scenarios(c, bands, scenario_mode::reference);
  std::vector<measure> result;
  for (const band_measure* band : {&r.cheap, &r.high_accuracy, &r.balanced}) {
    result.push_back(band->points > 0 ? band->figure : measure{.value = {}, .why = absence::empty_band});
    if (band != &r.cheap && c.why_no_recovery() != absence::none)
      result.back() = {.value = {}, .why = c.why_no_recovery()};
  }
  return result;
}

/// Those in the order of the file: APGR, LPM, HCR, MPM.
inline std::vector<hone::routing::measure> in_file_order(const hone::routing::deferral_curve& c,
                                                         const hone::routing::deferral_bands& bands) {
  std::vector<hone::routing::measure> result = scenarios(c, bands);
  result.insert(result.begin(), apgr(c));
  return result;
}
/// Those with averaged ties: APGR, RouteLLM's, call thresholds.
inline std::vector<hone::routing::measure> averaged(const hone::routing::deferral_curve& c) {
  std::vector<hone::routing::measure> result = {apgr(c), apgr(hone::routing::routellm_points(c))};
  for (const double share : recoveries) {
    result.push_back(call_threshold(c, share));
    if (result.back().value) *result.back().value *= 100;
  }
  return result;
}

inline void write_values(const std::vector<hone::routing::measure>& figures, std::span<double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = figures[i].value.value_or(std::nan(""));
}

}  // namespace detail

/// All of them, in the order in which they are printed. @throws stopped_by_user.
inline std::vector<router_figure> measure_router(const routed& r, const hone::routing::deferral_bands& bands,
                                                 const hone::statistics::bootstrap_options& options,
                                                 stoppable_pool& pool) {
  using namespace hone;
  using routing::absence, routing::measure, routing::ties;
  std::vector<router_figure> all;
  const auto add = [&](const char* key, const std::string& title, const measure& figure,
                       const statistics::interval& interval, index_t undefined) {
    std::string reason;
    if (undefined > 0)
      reason = text("no value in %td of %td replicates", undefined, options.replicates);
    else if (std::isnan(interval.low))
      reason = "too few prompts for an interval";
    all.push_back({key, title, figure, interval, reason});
  };
  const auto add_all = [&](const std::vector<std::pair<const char*, std::string>>& names,
                           const std::vector<measure>& figures,
                           const std::vector<statistics::bootstrap_estimate>& estimates) {
    for (std::size_t i = 0; i < names.size(); ++i)
      add(names[i].first, names[i].second, figures[i], estimates[i].percentile, estimates[i].nonfinite);
  };

  const routing::ability_report ability = routing::measure_ability(r.scores, r.labels, options, pool);
  const auto of = [&](const routing::figure_with_interval& f) {
    return ability.why == absence::none ? measure{.value = f.value} : measure{.why = ability.why};
  };
  add("auroc", "AUROC", of(ability.auroc), ability.auroc.interval, 0);
  add("auprc", "AUPRC", of(ability.auprc), ability.auprc.interval, 0);
  add("youden_accuracy", "accuracy at Youden's threshold", of(ability.youden_accuracy),
      ability.youden_accuracy.interval, 0);

  const auto on_file = [&](const routing::deferral_curve& c, std::span<double> values) {
    detail::write_values(detail::in_file_order(c, bands), values);
  };
  const auto on_average = [&](const routing::deferral_curve& c, std::span<double> values) {
    detail::write_values(detail::averaged(c), values);
  };
  const auto average_estimates =
      routing::bootstrap_curve(r.weak, r.strong, r.scores, ties::averaged, 5, on_average, options, pool);
  const auto file_estimates =
      routing::bootstrap_curve(r.weak, r.strong, r.scores, ties::file_order, 4, on_file, options, pool);
  const auto of_file = detail::in_file_order(routing::curve(r.weak, r.strong, r.scores, ties::file_order), bands);
  add_all({{"apgr", "APGR, order of the file"}}, of_file, file_estimates);
  add_all({{"apgr_tie_averaged", "APGR, ties averaged"},
           {"apgr_routellm", "APGR, RouteLLM's points"},
           {"cpt_20", "CPT of 20 %, in percent"},
           {"cpt_50", "CPT of 50 %"},
           {"cpt_80", "CPT of 80 %"}},
          detail::averaged(routing::curve(r.weak, r.strong, r.scores)), average_estimates);
  add_all({{"lpm", "LPM: quality where cheap"},
           {"hcr", "HCR: calls saved at accuracy"},
           {"mpm", "MPM: quality in between"}},
          {of_file.begin() + 1, of_file.end()}, {file_estimates.begin() + 1, file_estimates.end()});

  const auto calibrate = [&](std::span<const index_t> drawn) {
    std::vector<double> p, y;
    for (const index_t i : drawn) {
      p.push_back(r.scores[static_cast<std::size_t>(i)]);
      y.push_back(r.labels[static_cast<std::size_t>(i)]);
    }
    return statistics::calibrate(p, y);
  };
  const statistics::calibration whole = statistics::calibrate(r.scores, r.labels);
  const bool probabilities = whole.invalid == 0;
  for (const bool error : {false, true}) {
    const measure figure = probabilities ? measure{.value = error ? whole.expected_error : whole.brier}
                                         : measure{.value = {}, .why = absence::no_probability};
    statistics::bootstrap_estimate e;
    if (probabilities)
      e = statistics::bootstrap(
          std::ssize(r.scores),
          [&](std::span<const index_t> drawn) {
            const statistics::calibration c = calibrate(drawn);
            return error ? c.expected_error : c.brier;
          },
          options, pool);
    add(error ? "ece" : "brier", error ? "ECE, 10 bins [a, b)" : "Brier score", figure, e.percentile, e.nonfinite);
  }
  return all;
}

inline void print_figures(const std::vector<router_figure>& figures) {
  for (const router_figure& f : figures) {
    if (!f.figure.value)
      std::printf("  %-30s %s\n", f.title.c_str(), text_of(f.figure.why));
    else if (!f.no_interval.empty())
      std::printf("  %-30s %9.4f  %s\n", f.title.c_str(), *f.figure.value, f.no_interval.c_str());
    else
      std::printf("  %-30s %9.4f  [%.4f, %.4f]\n", f.title.c_str(), *f.figure.value, f.interval.low, f.interval.high);
  }
}

/// A number or null by key, with "intervals" and "reasons"; the call thresholds are one list.
inline void add_figures(nlohmann::json& result, const std::vector<router_figure>& figures) {
  for (const router_figure& f : figures) {
    const bool listed = f.key.starts_with("cpt_");
    const std::string key = listed ? "cpt" : f.key;
    nlohmann::json value, interval;
    if (f.figure.value) {
      value = *f.figure.value;
      if (f.no_interval.empty())
        interval = {f.interval.low, f.interval.high};
      else
        result["reasons"][f.key + " interval"] = f.no_interval;
    } else {
      result["reasons"][f.key] = text_of(f.figure.why);
    }
    if (listed) {
      result[key].push_back(value);
      result["intervals"][key].push_back(interval);
    } else {
      result[key] = value;
      result["intervals"][key] = interval;
    }
  }
}

/// At most @p steps + 1 points of a curve, [share of calls, mean quality].
inline nlohmann::json points_of(const hone::routing::deferral_curve& c, hone::index_t steps = 200) {
  nlohmann::json points = nlohmann::json::array();
  for (hone::index_t i = 0; i <= steps; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(steps);
    points.push_back({share, c.at(share * static_cast<double>(c.count))});
  }
  return points;
}

}  // namespace program
