// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Cuts a text into the words that byte-pair merges do not cross. The regular expressions of the published tokenizers
/// are scanners here, one pass each, known by their exact text. Every one matches at every place of every text, so that
/// the words are the text, cut. Bytes that are no UTF-8 count as neither letter, number nor space.
#pragma once
#include "hone/io/unicode.hpp"

#include <span>

namespace HONE_NAMESPACE::io {

/// What cuts, or changes, the pieces of a text in turn.
struct split_rule {
  enum class kind {
    gpt2,          ///< GPT-2, SmolLM
    llama3,        ///< Llama 3 (tiktoken's cl100k_base as Hugging Face writes it): numbers by three digits
    qwen2,         ///< Qwen2, 2.5, 3: numbers by one digit
    digits,        ///< every number alone
    digit_runs,    ///< numbers apart from other characters
    prefix_space,  ///< a space in front of what has none
    metaspace,     ///< spaces become `mark`
  };
  enum class prefix { never, first, always };

  kind is;
  std::string mark = {};           ///< metaspace
  prefix where = prefix::never;    ///< metaspace: which pieces get a mark in front: the one that begins the text, all
  bool before_every_mark = false;  ///< metaspace: a word begins at every mark
};

/// The regular expressions that are known, as files write them.
struct known_pattern {
  std::string_view text;
  split_rule::kind is;
};
inline constexpr known_pattern known_patterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", split_rule::kind::gpt2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     split_rule::kind::llama3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     split_rule::kind::qwen2},
};

namespace detail {

/// The end of the characters from @p at on that have one of the classes @p any, or, where @p any is 0, that are neither
/// letter, number nor space.
inline std::size_t run_end(std::string_view text, std::size_t at, std::uint8_t any, std::size_t most = SIZE_MAX) {
  for (; most > 0; --most) {
    const character c = character_at(text, at);
    const bool in = any != 0 ? (c.classes & any) != 0
                             : c.size > 0 && (c.classes & (unicode::letter | unicode::number | unicode::space)) == 0;
    if (!in) break;
    at += c.size;
  }
  return at;
}

/// The length of 's, 't, 're, 've, 'm, 'll or 'd at @p at, 0 if there is none. Without regard to case, U+017F is an s.
inline std::size_t contraction(std::string_view text, std::size_t at, bool any_case) {
  if (at >= text.size() || text[at] != '\'') return 0;
  const auto letter = [&](std::size_t i) {
    const char c = at + i < text.size() ? text[at + i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l')) return 3;
  return any_case && text.substr(at + 1).starts_with("\xc5\xbf") ? 3 : 0;
}

/// `\s+(?!\S)|\s+` at @p at: all the white space but the last character, which the next word may want.
inline std::size_t space_end(std::string_view text, std::size_t at) {
  std::size_t end = at, last = at;
  for (character c = character_at(text, at); (c.classes & unicode::space) != 0; c = character_at(text, end))
    last = end, end += c.size;
  return end < text.size() && last > at ? last : end;
}

inline std::size_t gpt2_end(std::string_view text, std::size_t at) {
  if (const std::size_t length = contraction(text, at, false); length > 0) return at + length;
  character c = character_at(text, at);
  if (c.value == ' ')
    if (const character next = character_at(text, at + 1); next.size > 0 && (next.classes & unicode::space) == 0)
      c = next, ++at;
  if ((c.classes & unicode::space) != 0) return space_end(text, at);
  return run_end(text, at, c.classes & (unicode::letter | unicode::number));
}

inline std::size_t llama3_end(std::string_view text, std::size_t at, std::size_t most_digits) {
  if (const std::size_t length = contraction(text, at, true); length > 0) return at + length;
  const auto newline = [&](std::size_t i) { return i < text.size() && (text[i] == '\r' || text[i] == '\n'); };
  const character c = character_at(text, at);
  if ((c.classes & unicode::number) != 0) return run_end(text, at, unicode::number, most_digits);
  const character next = character_at(text, at + c.size);
  if ((c.classes & unicode::letter) != 0 || (!newline(at) && (next.classes & unicode::letter) != 0))
    return run_end(text, at + c.size, unicode::letter);
  constexpr std::uint8_t letter_number_space = unicode::letter | unicode::number | unicode::space;
  if ((c.classes & unicode::space) == 0 ||
      (c.value == ' ' && next.size > 0 && (next.classes & letter_number_space) == 0)) {
    std::size_t end = run_end(text, at + c.size, 0);
    while (newline(end)) ++end;
    return end;
  }
  std::size_t end = at, after_newline = at;
  for (character s = c; (s.classes & unicode::space) != 0; s = character_at(text, end)) {
    end += s.size;
    if (newline(end - s.size)) after_newline = end;
  }
  return after_newline > at ? after_newline : space_end(text, at);
}

/// The end of the word of @p rule that begins at @p at.
inline std::size_t word_end(split_rule::kind rule, std::string_view text, std::size_t at) {
  switch (rule) {
    case split_rule::kind::gpt2: return gpt2_end(text, at);
    case split_rule::kind::llama3: return llama3_end(text, at, 3);
    case split_rule::kind::qwen2: return llama3_end(text, at, 1);
    default: break;
  }
  const auto number = [&](std::size_t i) { return (character_at(text, i).classes & unicode::number) != 0; };
  if (number(at)) return run_end(text, at, unicode::number, rule == split_rule::kind::digits ? 1 : SIZE_MAX);
  while (at < text.size() && !number(at)) at += character_at(text, at).size;
  return at;
}

/// @p text with every @p from replaced by @p to.
inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t found = (std::min)(text.find(from, at), text.size());
    out += text.substr(at, found - at);
    if (found < text.size()) out += to;
    at = found + (found < text.size() ? from.size() : 0);
  }
  return out;
}

}  // namespace detail

/// Hands the words of @p text to @p word(std::string_view), in order; none is empty. @p begins says whether the text is
/// the beginning of what is encoded. One pass a rule; rules that change a piece copy it.
template <class Word>
void split_words(std::string_view text, std::span<const split_rule> rules, bool begins, Word&& word) {
  if (text.empty()) return;
  if (rules.empty()) return word(text);
  const split_rule& rule = rules.front();
  const auto rest = rules.subspan(1);
  if (rule.is == split_rule::kind::prefix_space) {
    if (text.front() == ' ') return split_words(text, rest, begins, word);
    return split_words(std::string(1, ' ').append(text), rest, begins, word);
  }
  if (rule.is == split_rule::kind::metaspace) {
    std::string marked = detail::replaced(text, " ", rule.mark);
    const bool wanted = rule.where == split_rule::prefix::always || (rule.where == split_rule::prefix::first && begins);
    if (wanted && !marked.starts_with(rule.mark)) marked.insert(0, rule.mark);
    if (!rule.before_every_mark) return split_words(marked, rest, begins, word);
    for (std::size_t at = 0; at < marked.size();) {
      const std::size_t end = (std::min)(marked.find(rule.mark, at + 1), marked.size());
      split_words(std::string_view(marked).substr(at, end - at), rest, begins && at == 0, word);
      at = end;
    }
    return;
  }
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = detail::word_end(rule.is, text, at);
    split_words(text.substr(at, end - at), rest, begins && at == 0, word);
    at = end;
  }
}

}  // namespace HONE_NAMESPACE::io
