// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What routers are worth in each domain, in the mean in and out of those that they were trained on, over seeds, and in
/// differences to the first router, seed by seed.
#pragma once
#include <cmath>

#include <nlohmann/json.hpp>

#include "hone/routing/ability.hpp"
#include "hone/routing/domains.hpp"
#include "hone/routing/scenario.hpp"
#include "hone/statistics/calibration.hpp"
#include "route/mixture.hpp"
#include "support/router_figures.hpp"
#include "support/table.hpp"

namespace route {

namespace routing = hone::routing;
namespace statistics = hone::statistics;

/// Figures that are averaged over domains; NaN where there is none.
struct figure {
  const char* key;
  const char* title;
};
inline constexpr figure figures[] = {{"auroc", "AUROC"}, {"apgr", "APGR"}, {"lpm", "LPM"},    {"hcr", "HCR"},
                                     {"mpm", "MPM"},     {"ece", "ECE"},   {"brier", "Brier"}};

/// In that order, as `route_report` has them, of a router whose scores were made @p probabilities.
inline std::vector<double> measure_figures(const program::routed& r, std::span<const double> probabilities) {
  const auto curve = routing::curve(r.weak, r.strong, r.scores, routing::ties::file_order);
  const statistics::calibration quality = statistics::calibrate(probabilities, r.labels);
  std::vector<double> result = {statistics::auc(statistics::rank_by_outcome(r.scores, r.labels)).auc};
  for (const routing::measure& m : program::detail::in_file_order(curve, {}))
    result.push_back(m.value.value_or(std::nan("")));
  result.push_back(quality.expected_error);
  result.push_back(quality.brier);
  return result;
}

/// A router's rows of one domain, or of some.
inline program::routed rows_of(const program::routed& all, std::span<const index_t> rows) {
  program::routed part;
  for (const index_t i : rows) {
    const auto k = static_cast<std::size_t>(i);
    part.weak.push_back(all.weak[k]);
    part.strong.push_back(all.strong[k]);
    part.scores.push_back(all.scores[k]);
    part.labels.push_back(all.labels[k]);
  }
  return part;
}

/// The JSON of a router on the test prompts: figures of each domain, their means, and curves in and out of domain.
inline nlohmann::json judge(const program::routed& r, const std::vector<double>& probabilities,
                            const std::vector<index_t>& domain_of) {
  const auto count = static_cast<index_t>(domains().size());
  std::vector<std::vector<double>> by_domain(static_cast<std::size_t>(count));
  routing::measure_by_domain(domain_of, count, [&](std::span<const index_t> rows) {
    std::vector<double> p;
    for (const index_t i : rows) p.push_back(probabilities[static_cast<std::size_t>(i)]);
    const auto d = static_cast<std::size_t>(domain_of[static_cast<std::size_t>(rows[0])]);
    by_domain[d] = measure_figures(rows_of(r, rows), p);
    return 0.0;
  });
  std::vector<double> trained_on;
  for (const domain& d : domains()) trained_on.push_back(d.in_domain);
  nlohmann::json result;
  for (std::size_t f = 0; f < std::size(figures); ++f) {
    std::vector<double> row;
    for (std::size_t d = 0; d < by_domain.size(); ++d) {
      row.push_back(by_domain[d].empty() ? std::nan("") : by_domain[d][f]);
      result["domains"][domains()[d].name][figures[f].key] = row.back();
    }
    const routing::domain_means means =
        routing::average_domains({row.data(), 1, count}, {trained_on.data(), 1, count})[0];
    result["in_domain"][figures[f].key] = means.in_domain;
    result["out_of_domain"][figures[f].key] = means.out_of_domain;
  }
  for (const bool inside : {true, false}) {
    std::vector<index_t> rows;
    for (std::size_t i = 0; i < domain_of.size(); ++i)
      if (domains()[static_cast<std::size_t>(domain_of[i])].in_domain == inside)
        rows.push_back(static_cast<index_t>(i));
    const program::routed part = rows_of(r, rows);
    result[inside ? "curve_in" : "curve_out"] =
        program::points_of(routing::curve(part.weak, part.strong, part.scores), 50);
  }
  return result;
}

/// Without those that have no value: a mean is of the seeds that have one.
inline std::vector<double> present(std::vector<double> x) {
  std::erase_if(x, [](double value) { return std::isnan(value); });
  return x;
}

/// A router's runs, one a seed.
struct arm {
  std::string name;
  std::vector<nlohmann::json> runs;

  /// Of each run; NaN where it has none.
  [[nodiscard]] std::vector<double> values(const std::string& path) const {
    std::vector<double> result;
    for (const nlohmann::json& run : runs) {
      const nlohmann::json& x = run.at(nlohmann::json::json_pointer(path));
      result.push_back(x.is_number() ? x.get<double>() : std::nan(""));
    }
    return result;
  }
};

/// Means, margins, and the same of differences to the first arm.
inline nlohmann::json compare(const std::vector<arm>& arms) {
  nlohmann::json rows = nlohmann::json::array();
  for (const arm& a : arms) {
    nlohmann::json row = {{"router", a.name}};
    for (const char* where : {"in_domain", "out_of_domain"})
      for (const figure& f : figures) {
        const std::string path = program::text("/%s/%s", where, f.key);
        std::vector<double> own = a.values(path), ahead = arms[0].values(path);
        for (std::size_t k = 0; k < own.size(); ++k) ahead[k] = own[k] - ahead[k];
        const auto mean = statistics::estimate_mean(present(own)),
                   difference = statistics::estimate_mean(present(ahead));
        row[where][f.key] = {{"seeds", present(own).size()},
                             {"mean", mean.mean},
                             {"margin", statistics::student_margin(mean)},
                             {"over_first", difference.mean},
                             {"over_first_margin", statistics::student_margin(difference)}};
      }
    rows.push_back(std::move(row));
  }
  return rows;
}

/// The tables: AUROC by domain, all figures in the mean, and differences to the first arm.
inline void print_arms(const std::vector<arm>& arms) {
  std::size_t width = 6;
  for (const arm& a : arms) width = (std::max)(width, a.name.size());
  const int w = static_cast<int>(width);
  const auto cell = [](const std::vector<double>& all, int digits, const char* sign, std::size_t columns) {
    const std::vector<double> x = present(all);
    const double mean = statistics::estimate_mean(x).mean;
    std::string text = std::isnan(mean) ? "-" : program::text(sign, digits, mean);
    if (!std::isnan(mean)) text += program::margin(x, digits);
    if (!x.empty() && x.size() < all.size()) text += '*';
    std::printf("  %s", program::right(text, columns).c_str());
  };
  std::printf("\n%-*s", w, "AUROC");
  for (const domain& d : domains()) std::printf("  %14s", d.name);
  std::printf("\n");
  for (const arm& a : arms) {
    std::printf("%-*s", w, a.name.c_str());
    for (const domain& d : domains()) cell(a.values("/domains/" + std::string(d.name) + "/auroc"), 3, "%.*f", 14);
    std::printf("\n");
  }
  for (const char* where : {"in_domain", "out_of_domain"}) {
    std::printf("\n%s\n%-*s",
                std::string(where) == "in_domain" ? "In domain, the mean of three sets"
                                                  : "Out of domain, the mean of three sets",
                w, "router");
    for (const figure& f : figures) std::printf("  %12s", f.title);
    std::printf("\n");
    for (const arm& a : arms) {
      std::printf("%-*s", w, a.name.c_str());
      for (const figure& f : figures) cell(a.values(program::text("/%s/%s", where, f.key)), 3, "%.*f", 12);
      std::printf("\n");
    }
  }
  if (arms.size() < 2 || arms[0].runs.size() < 2) return;
  std::printf("\nOver %s, seed by seed\n%-*s", arms[0].name.c_str(), w, "router");
  for (const char* title :
       {"AUROC in", "AUROC out", "APGR in", "APGR out", "HCR in", "HCR out", "Brier in", "Brier out"})
    std::printf("  %13s", title);
  std::printf("\n");
  for (std::size_t i = 1; i < arms.size(); ++i) {
    std::printf("%-*s", w, arms[i].name.c_str());
    for (const char* key : {"auroc", "apgr", "hcr", "brier"})
      for (const char* where : {"in_domain", "out_of_domain"}) {
        const std::string path = program::text("/%s/%s", where, key);
        std::vector<double> ahead = arms[i].values(path), first = arms[0].values(path);
        for (std::size_t k = 0; k < ahead.size(); ++k) ahead[k] -= first[k];
        cell(ahead, 3, "%+.*f", 13);
      }
    std::printf("\n");
  }
}

}  // namespace route
