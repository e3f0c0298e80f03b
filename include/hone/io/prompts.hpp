// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Files of prompts with the answer that each should end in, a line each:
///   {"prompt": …, "answer": 18}   {"prompt": …, "answer": "1,234.50"}   {"prompt": …, "answer": "Paris"}
///   {"question": …, "answer": "… working …\\n#### 18"}         [Cobbe et al. 2021, GSM8K, arXiv 2110.14168]
#pragma once
#include "hone/eval/final_answer.hpp"
#include "hone/io/json_lines.hpp"

namespace HONE_NAMESPACE::io {

struct prompt {
  std::string text;
  eval::expected_answer answer;
};

/// The prompt of a row, whose other fields are ignored.
/// @throws format_error with the line, if it is not an object with "prompt" or "question" and "answer", or the answer
///         is empty.
inline prompt prompt_of(const json_row& row) {
  const char* name = row.find("prompt") != nullptr ? "prompt" : "question";
  if (row.find(name) == nullptr) row.fail("no field \"prompt\" or \"question\"");
  const std::string& text = row.text(name);
  const nlohmann::json* answer = row.find("answer");
  if (answer == nullptr) row.fail("no field \"answer\"");
  if (!answer->is_string() && !answer->is_number()) row.fail("\"answer\" is neither a string nor a number");
  // A number as the line spells it, or near it: 0.1 stays 0.1.
  const eval::expected_answer wanted =
      eval::expected_in(answer->is_string() ? answer->get<std::string>() : answer->dump());
  if (wanted.text.empty()) row.fail("\"answer\" is empty");
  if (!wanted.number && answer->is_number()) row.fail("\"answer\" is a number with an exponent");
  return {text, wanted};
}

/// The first @p limit prompts of @p text; @p file is what errors call it.
/// @throws format_error as `parse_json_lines`, `prompt_of`, and if there is no prompt at all.
inline std::vector<prompt> parse_prompts(std::string_view text, const std::string& file, std::size_t limit = no_limit) {
  std::vector<prompt> result;
  parse_json_lines(text, file, [&](const json_row& row) { result.push_back(prompt_of(row)); }, limit);
  if (result.empty() && limit > 0) throw format_error(file, {}, "no prompt");
  return result;
}

/// Reads a file of prompts. @throws std::system_error, format_error.
inline std::vector<prompt> read_prompts(const std::filesystem::path& path, std::size_t limit = no_limit) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_prompts(text_of(bytes), path.string(), limit);
}

}  // namespace HONE_NAMESPACE::io
