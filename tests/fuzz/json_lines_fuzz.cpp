// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is question-answer pairs or a format_error that names one of its lines; pairs survive writing and reading.
#include "hone/io/json_lines.hpp"

#include <cstdlib>

using namespace hone::io;

namespace {

void require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto breaks = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  try {
    const std::vector<question_answer> pairs = parse_question_answers(text, "fuzz");
    require(!pairs.empty() && pairs.size() <= breaks + 1);
    std::string written;
    for (const question_answer& pair : pairs)
      written += nlohmann::json{{"question", pair.question},
                                {"answer", pair.answer},
                                {"paraphrased_answer", pair.paraphrased_answer},
                                {"perturbed_answer", pair.perturbed_answers}}
                     .dump() +
                 "\r\n";
    const std::vector<question_answer> again = parse_question_answers(written, "again");
    require(again.size() == pairs.size());
    for (std::size_t i = 0; i < pairs.size(); ++i)
      require(again[i].question == pairs[i].question && again[i].answer == pairs[i].answer &&
              again[i].paraphrased_answer == pairs[i].paraphrased_answer &&
              again[i].perturbed_answers == pairs[i].perturbed_answers);
  } catch (const format_error& error) {
    require(error.where().at >= 1 && error.where().at <= breaks + 1);
  }
  return 0;
}
