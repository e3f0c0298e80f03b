// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Tokens that are found in a text before anything is merged: special ones (<|endoftext|>) and those added to a
/// vocabulary later. At the leftmost place where one begins, the longest is meant.
#pragma once
#include "hone/io/byte_pairs.hpp"
#include "hone/io/unicode.hpp"

#include <array>

namespace HONE_NAMESPACE::io {

/// As Hugging Face's tokenizer.json describes it.
struct added_token {
  std::string content;
  token_id id;
  bool single_word = false;  ///< only where no word character is beside it
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space after it
  bool normalized = false;   ///< is looked for after normalization, itself normalized
  bool special = false;      ///< may be told to be no token when encoding, and to be no text when decoding
};

/// Finds added tokens in texts.
class added_token_matcher {
 public:
  added_token_matcher() = default;

  /// Tokens without content are never found; of equal ones the first is.
  explicit added_token_matcher(std::vector<added_token> tokens) : tokens_(std::move(tokens)) {
    std::stable_sort(tokens_.begin(), tokens_.end(),
                     [](const added_token& x, const added_token& y) { return x.content < y.content; });
    for (const added_token& t : tokens_)
      if (!t.content.empty()) begins_[static_cast<std::uint8_t>(t.content.front())] = true;
  }

  /// Cuts @p text and hands each part to @p part(std::string_view, const added_token*, std::size_t begin), in order:
  /// what lies between tokens with a null pointer and never empty. Without @p special, special tokens are plain text.
  template <class Part>
  void cut(std::string_view text, bool special, Part&& part) const {
    std::size_t done = 0;
    for (std::size_t at = 0; at < text.size();) {
      const added_token* token = begins_[static_cast<std::uint8_t>(text[at])] ? longest_at(text, at) : nullptr;
      if (token == nullptr) {
        ++at;
        continue;
      }
      std::size_t begin = at, end = at += token->content.size();
      if (!special && token->special) continue;
      if (token->single_word && (word_ends(text.substr(0, begin)) || word_begins(text.substr(end)))) continue;
      if (token->lstrip)
        while (begin > done && (last_character(text.substr(0, begin)).classes & unicode::space) != 0)
          begin -= last_character(text.substr(0, begin)).size;
      if (token->rstrip)
        while ((character_at(text, end).classes & unicode::space) != 0) end += character_at(text, end).size;
      if (done < begin) part(text.substr(done, begin - done), nullptr, done);
      part(text.substr(begin, end - begin), token, begin);
      done = end;
    }
    if (done < text.size()) part(text.substr(done), nullptr, done);
  }

 private:
  /// Narrows the sorted tokens to those that begin as the text does, a byte at a time.
  [[nodiscard]] const added_token* longest_at(std::string_view text, std::size_t at) const {
    auto low = tokens_.begin(), high = tokens_.end();
    const added_token* longest = nullptr;
    for (std::size_t length = 0; low != high; ++length) {
      if (low->content.size() == length) {
        if (length > 0) longest = &*low;
        do ++low;
        while (low != high && low->content.size() == length);
      }
      if (at + length >= text.size()) break;
      const auto byte = static_cast<std::uint8_t>(text[at + length]);
      const auto of = [length](const added_token& t) { return static_cast<std::uint8_t>(t.content[length]); };
      low = std::partition_point(low, high, [&](const added_token& t) { return of(t) < byte; });
      high = std::partition_point(low, high, [&](const added_token& t) { return of(t) == byte; });
    }
    return longest;
  }

  static character last_character(std::string_view text) {
    for (std::size_t back = 1; back <= 4 && back <= text.size(); ++back)
      if (const character c = character_at(text, text.size() - back); c.size == back && c.value != no_character)
        return c;
    return {no_character, 1, 0};
  }
  static bool word_ends(std::string_view before) {
    return !before.empty() && (last_character(before).classes & unicode::word) != 0;
  }
  static bool word_begins(std::string_view after) { return (character_at(after, 0).classes & unicode::word) != 0; }

  std::vector<added_token> tokens_;
  std::array<bool, 256> begins_{};
};

}  // namespace HONE_NAMESPACE::io
