// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Question-answer pairs as the tokens of a model: begin of text and question are the prompt, answer and end of text
/// what is learnt (transformer/labelled_rows.hpp). How a question is put is a callable.
#pragma once
#include "hone/io/question_answers.hpp"
#include "hone/io/tokenizer.hpp"
#include "hone/transformer/labelled_rows.hpp"

#include <functional>

namespace HONE_NAMESPACE::io {

/// Text to ids and back. A vocabulary without a begin of text has an empty @c begin.
struct pair_codec {
  std::function<std::vector<std::int32_t>(const std::string& question)> question;
  std::function<std::vector<std::int32_t>(const std::string& answer)> answer;
  std::function<std::string(const std::vector<std::int32_t>&)> text;
  std::vector<std::int32_t> begin = {1};  ///< of text
  std::int32_t end = 2;                   ///< of text

  /// The ids of @p text as an answer, with the end of text.
  [[nodiscard]] std::vector<std::int32_t> whole_answer(const std::string& text_of_answer) const {
    std::vector<std::int32_t> ids = answer(text_of_answer);
    ids.push_back(end);
    return ids;
  }
};

/// "Q: question", a new line, "A:" and the answer, by the tokenizer @p t, which must outlive the codec; @p name is what
/// errors call it.
/// @throws format_error if the tokenizer has no end of text.
inline pair_codec question_answer_codec(const tokenizer& t, const std::string& name) {
  if (!t.eos())
    throw format_error(name, {},
                       "says nothing of an end of text: name it as eos_token in tokenizer_config.json beside it");
  const auto plain = [&t](const std::string& text) { return t.encode(text, {false, false}); };
  // A SentencePiece vocabulary puts a space in front of the answer, a byte-level one does not.
  const auto letter = plain("a");
  const std::string gap = !letter.empty() && t.text(letter.front()).starts_with(' ') ? "" : " ";
  pair_codec result{.question = [plain](const std::string& q) { return plain("Q: " + q + "\nA:"); },
                    .answer = [plain, gap](const std::string& a) { return plain(gap + a); },
                    .text = [&t](const std::vector<std::int32_t>& ids) { return t.decode(ids); },
                    .begin = {},
                    .end = *t.eos()};
  if (t.bos()) result.begin = {*t.bos()};
  return result;
}

struct encoded_pair {
  std::vector<std::int32_t> prompt;  ///< begin of text and question
  std::vector<std::int32_t> answer;  ///< with the end of text
  std::string answer_text;
};

/// The pairs as ids, prompt and answer of each.
/// @throws std::invalid_argument, with the pair's number (from 1), if one has more than @p max_seq tokens; what
///         @p codec throws.
inline std::vector<encoded_pair> encode_pairs(const std::vector<question_answer>& pairs, const pair_codec& codec,
                                              index_t max_seq) {
  std::vector<encoded_pair> result;
  for (const question_answer& pair : pairs) {
    encoded_pair e{codec.begin, codec.whole_answer(pair.answer), pair.answer};
    const auto question = codec.question(pair.question);
    e.prompt.insert(e.prompt.end(), question.begin(), question.end());
    const std::size_t tokens = e.prompt.size() + e.answer.size();
    const std::string number = "pair " + std::to_string(result.size() + 1);
    invalid_argument_unless(static_cast<index_t>(tokens) <= max_seq, "hone::io::encode_pairs", number.c_str(),
                            "has %zu tokens, the model takes %td", tokens, max_seq);
    result.push_back(std::move(e));
  }
  return result;
}

/// The pairs as the rows of one batch.
inline transformer::labelled_rows labelled_rows_of(const std::vector<encoded_pair>& pairs) {
  transformer::labelled_rows rows;
  for (const encoded_pair& e : pairs) rows.add(e.prompt, e.answer);
  return rows;
}

}  // namespace HONE_NAMESPACE::io
