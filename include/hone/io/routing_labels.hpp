// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How well two models answered prompts, a line each: {"id": ..., "small": ..., "large": ...} and, where there is one,
/// the "score" of a router. An id is a string or a whole number; a quality true, false or a number.
#pragma once
#include "hone/io/json_lines.hpp"

#include <cmath>

namespace HONE_NAMESPACE::io {

struct routing_label {
  std::string id;
  double weak, strong;  ///< qualities of the small model's answer and of the large one's
  double score;         ///< NaN where the line has none
};

/// The label of a row, whose other fields are ignored.
/// @throws format_error with the line, unless it is an object with the fields above, of finite qualities up to 1e12.
inline routing_label routing_label_of(const json_row& row) {
  const auto number = [&](const char* field, bool needed) {
    const nlohmann::json* found = row.find(field);
    if (found == nullptr && !needed) return std::nan("");
    if (found == nullptr) row.fail(std::string("no field \"") + field + "\"");
    if (found->is_boolean()) return found->get<bool>() ? 1.0 : 0.0;
    if (!found->is_number() || !(std::abs(found->get<double>()) <= 1e12))
      row.fail(std::string("\"") + field + "\" is not true, false or a number from -1e12 to 1e12");
    return found->get<double>();
  };
  const nlohmann::json* id = row.find("id");
  if (id == nullptr) row.fail("no field \"id\"");
  if (!id->is_string() && !id->is_number_integer()) row.fail("\"id\" is neither a string nor a whole number");
  return {id->is_string() ? id->get<std::string>() : id->dump(), number("small", true), number("large", true),
          number("score", false)};
}

/// @throws format_error as `parse_json_lines`, `routing_label_of`, if an id appears twice, some lines have a score and
///         others none, or there is no line.
inline std::vector<routing_label> parse_routing_labels(std::string_view text, const std::string& file) {
  std::vector<routing_label> labels;
  std::map<std::string, std::uint64_t> lines;
  parse_json_lines(text, file, [&](const json_row& row) {
    labels.push_back(routing_label_of(row));
    const auto [at, fresh] = lines.emplace(labels.back().id, row.line);
    if (!fresh) row.fail("the id \"" + short_text(at->first) + "\" is that of line " + std::to_string(at->second));
    if (std::isnan(labels.back().score) != std::isnan(labels.front().score))
      row.fail(std::isnan(labels.front().score) ? "has a \"score\", the lines before have none"
                                                : "has no \"score\", the lines before have one");
  });
  if (labels.empty()) throw format_error(file, {}, "no lines");
  return labels;
}

/// @throws std::system_error, format_error.
inline std::vector<routing_label> read_routing_labels(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_routing_labels(text_of(bytes), path.string());
}

}  // namespace HONE_NAMESPACE::io
