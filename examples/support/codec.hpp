// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How a model of somebody's own is asked.
#pragma once
#include "hone/io/read_tokenizer.hpp"
#include "support/lessons.hpp"

namespace lessons {

/// Question-answer prompts around @p tokenizer.
inline codec codec_of(const hone::io::tokenizer& tokenizer, const std::string& name) {
  if (!tokenizer.eos()) throw std::runtime_error(name + ": says nothing of an end of text");
  const auto plain = [&tokenizer](const std::string& text) { return tokenizer.encode(text, {false, false}); };
  // A SentencePiece vocabulary puts a space in front of the answer, a byte-level one does not.
  const auto letter = plain("a");
  const std::string gap = !letter.empty() && tokenizer.text(letter.front()).starts_with(' ') ? "" : " ";
  codec result{.question = [plain](const std::string& q) { return plain("Q: " + q + "\nA:"); },
               .answer = [plain, gap](const std::string& a) { return plain(gap + a); },
               .text = [&tokenizer](const std::vector<std::int32_t>& ids) { return tokenizer.decode(ids); },
               .begin = {},
               .end = *tokenizer.eos()};
  if (tokenizer.bos()) result.begin = {*tokenizer.bos()};
  return result;
}

}  // namespace lessons
