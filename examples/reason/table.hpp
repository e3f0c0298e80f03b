// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `reason` prints of a run.
#pragma once
#include <nlohmann/json.hpp>

#include "support/program.hpp"

namespace reason {

/// @p key of @p j as a column of @p width; "-" where there is none.
inline std::string cell(const nlohmann::json& j, const char* key, int width, int digits) {
  const auto found = j.find(key);
  if (found == j.end() || !found->is_number()) return program::text("%*s", width, "-");
  return program::text("%*.*f", width, digits, found->get<double>());
}

inline void print_header() {
  std::printf("%6s %6s %6s %6s %6s %7s %6s %6s %7s %8s %6s\n", "step", "reward", "pass@1", "pass@8", "cover", "entropy",
              "KL", "active", "support", "tokens", "cpu s");
}

inline void print_record(const nlohmann::json& r) {
  std::printf("%s %s %s %s %s %s %s %s %s %s %s\n", cell(r, "step", 6, 0).c_str(), cell(r, "reward", 6, 3).c_str(),
              cell(r, "pass_1", 6, 3).c_str(), cell(r, "pass_8", 6, 3).c_str(), cell(r, "coverage", 6, 3).c_str(),
              cell(r, "entropy", 7, 3).c_str(), cell(r, "kl", 6, 3).c_str(), cell(r, "negative_active", 6, 3).c_str(),
              cell(r, "support_mass", 7, 3).c_str(), cell(r, "generated", 8, 0).c_str(),
              cell(r, "cpu_seconds", 6, 1).c_str());
  std::fflush(stdout);
}

/// The exams before and after.
inline void print_exams(const nlohmann::json& before, const nlohmann::json& after, std::size_t problems, long samples) {
  const std::string last = "pass@" + std::to_string(samples);
  std::printf("\n%zu held-out problems, %ld responses each\n%-6s %7s %7s %8s %8s %8s %6s %8s %7s %6s %6s\n", problems,
              samples, "", "pass@1", "pass@8", last.c_str(), "coverage", "entropy", "KL", "support", "length", "Brier",
              "calib");
  for (const auto& [name, e] : {std::pair("before", &before), std::pair("after", &after)}) {
    const nlohmann::json critic = e->value("critic", nlohmann::json::object());
    std::printf("%-6s %s %s %s %s %s %s %s %s %s %s\n", name, cell(*e, "pass_1", 7, 3).c_str(),
                cell(*e, "pass_8", 7, 3).c_str(), cell(*e, "pass_all", 8, 3).c_str(),
                cell(*e, "coverage", 8, 3).c_str(), cell(*e, "entropy", 8, 3).c_str(), cell(*e, "kl", 6, 3).c_str(),
                cell(*e, "support_mass", 8, 3).c_str(), cell(*e, "length", 7, 1).c_str(),
                cell(critic, "brier", 6, 3).c_str(), cell(critic, "calibration_error", 6, 3).c_str());
  }
}

}  // namespace reason
