// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Files of one JSON value a line, as rows with line numbers.
#pragma once
#include "hone/io/json.hpp"

#include <limits>
#include <memory>

namespace HONE_NAMESPACE::io {

/// A line of such a file.
struct json_row {
  nlohmann::json value;
  std::uint64_t line;  ///< from 1
  std::shared_ptr<const std::string> file;

  /// @throws format_error with the line.
  [[noreturn]] void fail(const std::string& reason) const {
    throw format_error(*file, {position::unit::line, line}, reason);
  }
  /// The field of the row's object, nullptr where there is none. @throws format_error if the row is no object.
  [[nodiscard]] const nlohmann::json* find(const char* field) const {
    if (value.is_array()) fail("not a JSON object but an array, of which jq -c '.[]' makes lines");
    if (!value.is_object()) fail("not a JSON object");
    const auto found = value.find(field);
    return found == value.end() ? nullptr : &*found;
  }
  /// The field's string. @throws format_error if the row is no object, the field is not there, or no string.
  [[nodiscard]] const std::string& text(const char* field) const {
    const nlohmann::json* found = find(field);
    if (found == nullptr) fail(std::string("no field \"") + field + "\"");
    if (!found->is_string()) fail(std::string("\"") + field + "\" is not a string");
    return *found->get_ptr<const std::string*>();
  }
};

inline constexpr std::size_t no_limit = (std::numeric_limits<std::size_t>::max)();

/// Hands the first @p limit rows of @p text to @p f(json_row&&), in order, and returns how many there were; @p file is
/// what errors call it. Blank lines are passed over; a byte-order mark and CRLF are accepted.
/// @throws format_error with the line, if one is not JSON as `parse_json` reads it; what @p f throws.
/// @note Holds one row at a time; what follows the last row is not looked at.
template <class F>
std::size_t parse_json_lines(std::string_view text, const std::string& file, F&& f, std::size_t limit = no_limit) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const auto name = std::make_shared<const std::string>(file);
  std::size_t rows = 0;
  for (std::uint64_t number = 1; !text.empty() && rows < limit; ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    json_row row{{}, number, name};
    try {
      row.value = parse_json(line, file).root;
    } catch (const format_error& error) {
      // A document over many lines, which people take for such a file.
      const bool opens = rows == 0 && line.find_last_of("[{,") == line.find_last_not_of(" \t\r");
      row.fail(error.reason() + (opens ? ": a line is to be a whole value; jq -c '.[]' makes lines of an array" : ""));
    }
    ++rows;
    f(std::move(row));
  }
  return rows;
}

/// Reads a file's rows. @throws std::system_error; format_error; what @p f throws.
template <class F>
std::size_t read_json_lines(const std::filesystem::path& path, F&& f, std::size_t limit = no_limit) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_json_lines(text_of(bytes), path.string(), f, limit);
}

}  // namespace HONE_NAMESPACE::io
