// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Question-answer files: one JSON object a line, {"question": …, "answer": …}, and, where the file has them, TOFU's
/// "paraphrased_answer" and "perturbed_answer". [Maini et al. 2024, TOFU, arXiv 2401.06121]
#pragma once
#include "hone/io/file.hpp"

#include <limits>

#include <nlohmann/json.hpp>

namespace hone::io {

struct question_answer {
  std::string question;
  std::string answer;
  std::string paraphrased_answer;              ///< empty where the file has none
  std::vector<std::string> perturbed_answers;  ///< empty where the file has none
};

/// The first @p limit pairs of @p text; @p file is what errors call it. Blank lines are passed over, a byte-order mark
/// and CRLF are accepted, further fields are ignored.
/// @throws format_error with the line, if a line is not an object with the fields above, or there is no pair at all.
inline std::vector<question_answer> parse_question_answers(
    std::string_view text, const std::string& file, std::size_t limit = (std::numeric_limits<std::size_t>::max)()) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<question_answer> pairs;
  std::uint64_t number = 0;
  while (!text.empty() && pairs.size() < limit) {
    ++number;
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto fail = [&](const std::string& reason) {
      throw format_error(file, {position::unit::line, number}, reason);
    };
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_discarded()) fail("not valid JSON");
    if (!json.is_object()) fail("not a JSON object");
    const auto string = [&](const char* field, bool required) {
      const auto found = json.find(field);
      if (found == json.end()) {
        if (required) fail(std::string("no field \"") + field + "\"");
        return std::string();
      }
      if (!found->is_string()) fail(std::string("\"") + field + "\" is not a string");
      return found->template get<std::string>();
    };
    question_answer pair{string("question", true), string("answer", true), string("paraphrased_answer", false), {}};
    if (const auto found = json.find("perturbed_answer"); found != json.end()) {
      if (!found->is_array()) fail("\"perturbed_answer\" is not an array");
      for (const auto& item : *found) {
        if (!item.is_string()) fail("\"perturbed_answer\" holds something other than strings");
        pair.perturbed_answers.push_back(item.template get<std::string>());
      }
    }
    pairs.push_back(std::move(pair));
  }
  if (pairs.empty() && limit > 0)
    throw format_error(file, {position::unit::line, (std::max)(number, std::uint64_t{1})}, "no question-answer pair");
  return pairs;
}

/// Reads a question-answer file. @throws std::system_error, format_error.
inline std::vector<question_answer> read_question_answers(
    const std::filesystem::path& path, std::size_t limit = (std::numeric_limits<std::size_t>::max)()) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_question_answers({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string(), limit);
}

}  // namespace hone::io
