// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Tables of outcomes, RouteLLM's for one: a row a prompt, with whether two models answered it rightly.
#pragma once
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "hone/eval/multiple_choice.hpp"
#include "hone/io/csv.hpp"
#include "hone/io/json_lines.hpp"

namespace program {

struct outcome_table {
  std::vector<double> weak, strong;
  std::vector<std::size_t> subject;  ///< the number of the file
  std::vector<double> length;        ///< of the prompt, in code points; without prompts none
  std::vector<double> column;        ///< another one, where it was asked for
  std::size_t files = 0;
  std::size_t dropped = 0;
};

/// What is read beside the two outcomes.
struct outcome_request {
  std::string weak, strong;
  std::string column;               ///< "": none
  bool prompts = false;             ///< the column "prompt" has to be there
  std::set<std::string> drop = {};  ///< prompts whose rows are left out
};

namespace detail {

inline constexpr double most_quality = 1e12;  ///< sums and their squares are far from infinity

[[noreturn]] inline void refuse_cell(const hone::io::csv_table& table, std::uint64_t line, const std::string& column,
                                     const std::string& cell, const char* wanted) {
  throw hone::io::format_error(table.file, {hone::io::position::unit::line, line},
                               "\"" + column + "\" is \"" + hone::io::short_text(cell) + "\", " + wanted);
}

/// A number that is all of @p cell; NaN otherwise.
inline double number_in(const std::string& cell) {
  char* end = nullptr;
  const double x = std::strtod(cell.c_str(), &end);
  return cell.empty() || end != cell.c_str() + cell.size() || std::isspace(static_cast<unsigned char>(cell[0]))
             ? std::nan("")
             : x;
}

inline double quality_in(const std::string& cell) {
  if (cell == "True" || cell == "true" || cell == "TRUE") return 1;
  if (cell == "False" || cell == "false" || cell == "FALSE") return 0;
  return number_in(cell);
}

}  // namespace detail

/// The prompts that @p file names, a JSON object a line with "eval_prompt" or "prompt".
/// @throws std::system_error, hone::io::format_error.
inline std::set<std::string> read_drops(const std::string& file) {
  std::set<std::string> prompts;
  hone::io::read_json_lines(file, [&](const hone::io::json_row& row) {
    prompts.insert(row.text(row.find("eval_prompt") ? "eval_prompt" : "prompt"));
  });
  if (prompts.empty()) throw hone::io::format_error(file, {}, "no prompts");
  return prompts;
}

/// The files ending in .csv or .CSV of a folder, without hidden ones, in the order of their names, or the file itself.
/// @throws std::filesystem::filesystem_error, hone::io::format_error if there is none.
inline std::vector<std::filesystem::path> tables_of(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') && (name.ends_with(".csv") || name.ends_with(".CSV"))) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) throw hone::io::format_error(path, {}, "no file ending in .csv is in it");
  return files;
}

/// @throws std::system_error; hone::io::format_error with file and line where a column is missing, a cell is no outcome
/// or no number, a file has no rows, or none is left.
inline outcome_table read_outcomes(const std::string& path, const outcome_request& request) {
  outcome_table result;
  for (const std::filesystem::path& file : tables_of(path)) {
    const hone::io::csv_table table = hone::io::read_csv(file);
    const std::size_t weak = table.column(request.weak), strong = table.column(request.strong);
    const std::size_t other = request.column.empty() ? 0 : table.column(request.column);
    const bool prompts = request.prompts || !request.drop.empty();
    const std::size_t prompt = prompts ? table.column("prompt") : 0;
    if (table.rows.empty()) throw hone::io::format_error(table.file, {}, "no rows after the header");
    for (const hone::io::csv_row& row : table.rows) {
      const auto outcome = [&](std::size_t at, const std::string& name) {
        const double x = detail::quality_in(row.fields[at]);
        if (!(std::abs(x) <= detail::most_quality))
          detail::refuse_cell(table, row.line, name, row.fields[at],
                              "must be True, False or a number from -1e12 to 1e12");
        return x;
      };
      const double of_weak = outcome(weak, request.weak), of_strong = outcome(strong, request.strong);
      const double score = request.column.empty() ? 0 : detail::number_in(row.fields[other]);
      if (std::isnan(score))
        detail::refuse_cell(table, row.line, request.column, row.fields[other],
                            "must be a number, and NaN has no order");
      if (prompts && request.drop.contains(row.fields[prompt])) {
        ++result.dropped;
        continue;
      }
      result.weak.push_back(of_weak);
      result.strong.push_back(of_strong);
      result.subject.push_back(result.files);
      if (!request.column.empty()) result.column.push_back(score);
      if (prompts) result.length.push_back(static_cast<double>(hone::eval::count_characters(row.fields[prompt])));
    }
    ++result.files;
  }
  if (result.weak.empty()) throw hone::io::format_error(path, {}, "no row is left, all are dropped");
  return result;
}

}  // namespace program
