// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is question-answer pairs or a format_error that names one of its lines; pairs survive writing and reading.
#include "hone/io/question_answers.hpp"

#include "fuzz/support.hpp"

using namespace hone::io;

FUZZ(input) {
  read_or_refused(input.lines(), [&] {
    const std::vector<question_answer> pairs = parse_question_answers(input.text(), "fuzz");
    require(!pairs.empty() && pairs.size() <= input.lines());
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
  });
}
