// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Files of question-answer pairs, a line each: {"question": ..., "answer": ...} and, where the file has them, TOFU's
/// "paraphrased_answer" and "perturbed_answer". [Maini et al. 2024, TOFU, arXiv 2401.06121]
#pragma once
#include "hone/io/json_lines.hpp"

namespace HONE_NAMESPACE::io {

struct question_answer {
  std::string question;
  std::string answer;
  std::string paraphrased_answer;              ///< empty where the file has none
  std::vector<std::string> perturbed_answers;  ///< empty where the file has none
};

/// The pair of a row, whose other fields are ignored.
/// @throws format_error with the line, if it is not an object with the fields above.
inline question_answer question_answer_of(const json_row& row) {
  question_answer pair{row.text("question"), row.text("answer"), {}, {}};
  if (row.find("paraphrased_answer") != nullptr) pair.paraphrased_answer = row.text("paraphrased_answer");
  if (const nlohmann::json* perturbed = row.find("perturbed_answer")) {
    if (!perturbed->is_array()) row.fail("\"perturbed_answer\" is not an array");
    for (const nlohmann::json& item : *perturbed) {
      if (!item.is_string()) row.fail("\"perturbed_answer\" holds something other than strings");
      pair.perturbed_answers.push_back(item.get<std::string>());
    }
  }
  return pair;
}

/// The first @p limit pairs of @p text. @throws format_error as `parse_json_lines`, `question_answer_of`, and if there
/// is no pair at all.
inline std::vector<question_answer> parse_question_answers(std::string_view text, const std::string& file,
                                                           std::size_t limit = no_limit) {
  std::vector<question_answer> pairs;
  parse_json_lines(text, file, [&](const json_row& row) { pairs.push_back(question_answer_of(row)); }, limit);
  if (pairs.empty() && limit > 0) throw format_error(file, {}, "no question-answer pair");
  return pairs;
}

/// Reads a question-answer file. @throws std::system_error, format_error.
inline std::vector<question_answer> read_question_answers(const std::filesystem::path& path,
                                                          std::size_t limit = no_limit) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_question_answers(text_of(bytes), path.string(), limit);
}

}  // namespace HONE_NAMESPACE::io
