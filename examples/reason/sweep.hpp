// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Runs side by side: every combination of some options' values, over seeds, each from the same taught model.
#pragma once
#include "reason/idle.hpp"
#include "reason/run.hpp"
#include "support/sweep.hpp"
#include "support/table.hpp"

namespace reason {

using combination = program::combination<settings>;

/// Every combination, the last axis fastest; one if nothing is swept.
/// @param s what the options of @p app write to: as it was, afterwards.
/// @throws as the options themselves, `complete` and `refuse_idle`.
inline std::vector<combination> combinations_of(CLI::App& app, settings& s) {
  auto result = program::combinations_of(app, s, s.sweep,
                                         {"sweep", "seed", "seeds", "json", "threads", "checkpoint", "checkpoint-every",
                                          "resume", "save", "model", "tokenizer", "prompts"},
                                         complete);
  refuse_idle(result);
  return result;
}

/// Runs of one combination over seeds.
struct row {
  std::vector<double> pass_1, in_time, ahead, pass_8, pass_all, coverage, entropy, kl, generated, seconds, variance,
      expected, active, brier, calibration;
};

/// pass@1 of a run's probes at @p seconds of its own time, between two probes by a straight line.
inline double pass_at_time(const nlohmann::json& records, double seconds) {
  double before_time = 0, before = 0;
  for (const auto& r : records) {
    const double time = r.at("cpu_seconds"), pass = r.at("pass_1");
    if (time >= seconds)
      return time > before_time ? before + (pass - before) * (seconds - before_time) / (time - before_time) : pass;
    before_time = time;
    before = pass;
  }
  return before;
}

/// The mean of a column of a run's records, where it is a number.
inline double mean_of_records(const nlohmann::json& records, const char* key) {
  double sum = 0, count = 0;
  for (const auto& r : records)
    if (r.contains(key) && r.at(key).is_number()) {
      sum += r.at(key).get<double>();
      ++count;
    }
  return count > 0 ? sum / count : 0;
}

inline void print_rows(const std::string& title, const std::vector<combination>& all, const std::vector<row>& rows,
                       std::size_t samples) {
  std::size_t width = title.size();
  for (const auto& c : all) width = (std::max)(width, c.name.size());
  const int w = static_cast<int>(width);
  const auto mean = [](const std::vector<double>& x) { return statistics::estimate_mean(x).mean; };
  const auto pair = [](const std::vector<double>& x) { return program::mean_and_margin(x, 3); };
  const auto head = [&](auto... names) {
    std::printf("\n%-*s", w, title.c_str());
    (std::printf(" %12s", std::string(names).c_str()), ...);
    std::printf("\n");
  };
  const auto line = [&](std::size_t i, auto... cells) {
    std::printf("%-*s", w, all[i].name.c_str());
    (std::printf(" %s", program::right(cells, 12).c_str()), ...);
    std::printf("\n");
  };
  const auto each = [&](auto&& f) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (!rows[i].pass_1.empty()) f(i, rows[i]);
  };
  head("pass@1", "in equal time", "pass@8", "pass@" + std::to_string(samples), "coverage");
  each([&](std::size_t i, const row& r) {
    line(i, pair(r.pass_1), pair(r.in_time), pair(r.pass_8), pair(r.pass_all), pair(r.coverage));
  });
  head("entropy", "KL", "active", "tokens", "cpu s");
  each([&](std::size_t i, const row& r) {
    line(i, pair(r.entropy), pair(r.kl), pair(r.active), program::text("%.0f", mean(r.generated)),
         program::text("%.1f", mean(r.seconds)));
  });
  head("Var[A]", "p (1 - p)", "Brier", "calibration", "over first");
  each([&](std::size_t i, const row& r) {
    const bool critic = !r.brier.empty();
    line(i, pair(r.variance), pair(r.expected), critic ? pair(r.brier) : "-", critic ? pair(r.calibration) : "-",
         program::text("%+.3f", mean(r.ahead)) + program::margin(r.ahead, 3));
  });
}

}  // namespace reason
