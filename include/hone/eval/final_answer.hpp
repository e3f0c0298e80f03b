// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a text answers: a number by its value, or words, marked by "####" [Cobbe et al. 2021, GSM8K, arXiv 2110.14168]
/// or \\boxed{}, or at the end.
#pragma once
#include "hone/core/flags.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace HONE_NAMESPACE::eval {

namespace detail {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

inline std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// A number in a text: its one spelling, and where it begins and ends.
struct number {
  std::string spelling;
  std::size_t begin, end;
};

/// The number with a first digit, or a point before one, at @p at; commas (LaTeX's too) only before groups of three
/// digits. Its spelling has no separators, no needless zeros, and no sign of 0.
inline number read_number(std::string_view text, std::size_t at) {
  const auto digit = [&](std::size_t i) { return i < text.size() && is_digit(text[i]); };
  std::string whole, fraction;
  std::size_t end = at;
  while (digit(end)) whole += text[end++];
  std::size_t separator = whole.empty() || whole.size() > 3 ? 0 : 1;  // its length
  while (separator > 0) {
    separator = 0;
    for (const std::string_view one : {",", "{,}", "\\,"})
      if (text.substr(end).starts_with(one)) separator = one.size();
    const std::size_t group = end + separator;
    if (separator == 0 || !digit(group) || !digit(group + 1) || !digit(group + 2) || digit(group + 3)) break;
    whole += text.substr(group, 3);
    end = group + 3;
  }
  if (end < text.size() && text[end] == '.' && digit(end + 1))
    for (++end; digit(end);) fraction += text[end++];
  whole.erase(0, (std::min)(whole.find_first_not_of('0'), whole.size()));
  fraction.erase(fraction.find_last_not_of('0') + 1);
  std::string spelling = (whole.empty() ? "0" : whole) + (fraction.empty() ? "" : "." + fraction);

  // A sign, before or after a currency's, is one only where nothing comes before it that it could subtract from.
  std::size_t begin = at;
  const auto before = [&](std::string_view what) {
    const bool is = text.substr(0, begin).ends_with(what);
    if (is) begin -= what.size();
    return is;
  };
  const bool currency = before("\\$") || before("$");
  const std::size_t unsigned_begin = begin;
  bool negative = before("-") || before("\xe2\x88\x92");  // U+2212
  if (!negative) before("+");
  if (begin < unsigned_begin && begin > 0) {
    const char c = text[begin - 1];
    if (is_digit(c) || is_letter(c) || c == ')' || c == ']' || c == '}' || c == '%') {
      negative = false;
      begin = unsigned_begin;
    }
  }
  if (!currency && !before("\\$")) before("$");
  return {(negative && spelling != "0" ? "-" : "") + spelling, begin, end};
}

/// The numbers of @p text from left to right, f(number) each; digits after a letter ("x2") are no number's, nor are
/// those before an exponent ("1e5").
template <class F>
void for_each_number(std::string_view text, F&& f) {
  for (std::size_t i = 0; i < text.size();) {
    const bool point = text[i] == '.' && i + 1 < text.size() && is_digit(text[i + 1]);
    if (!is_digit(text[i]) && !point) {
      ++i;
      continue;
    }
    const bool in_word = i > 0 && (is_letter(text[i - 1]) || text[i - 1] == '_');
    const number n = read_number(text, i);
    i = n.end;
    const auto at = [&](std::size_t k) { return k < text.size() ? text[k] : ' '; };
    const std::size_t power = i + (at(i + 1) == '+' || at(i + 1) == '-' ? 2 : 1);
    if ((at(i) == 'e' || at(i) == 'E') && is_digit(at(power)))
      for (i = power; is_digit(at(i));) ++i;
    else if (!in_word)
      f(n);
  }
}

/// @p text as a number, if it is one and nothing else but a unit's sign or a full stop.
inline std::optional<std::string> as_number(std::string_view text) {
  std::optional<std::string> result;
  std::size_t count = 0;
  bool alone = true;
  for_each_number(text, [&](const number& n) {
    ++count;
    result = n.spelling;
    const std::string_view rest = text.substr(n.end);
    alone = n.begin == 0 && (rest.empty() || rest == "." || rest == "%" || rest == "\\%");
  });
  return count == 1 && alone ? result : std::nullopt;
}

/// What comes after the last "####" on its line, or in the last \\boxed{}; nothing if there is neither.
inline std::optional<std::string_view> marked(std::string_view text) {
  if (const std::size_t at = text.rfind("####"); at != std::string_view::npos) {
    text.remove_prefix(at + 4);
    return trim(text.substr(0, text.find('\n', text.find_first_not_of(" \t\r\n"))));
  }
  const std::string_view box = "\\boxed{";
  const std::size_t at = text.rfind(box);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + box.size());
  int depth = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
    if (depth == 0) return trim(text.substr(0, i));
  }
  return trim(text);  // cut off
}

}  // namespace detail

/// The answer that @p text ends in, if it is to be a @p number: the last one of what is marked by "####" or \\boxed{},
/// or of the whole text, in the one spelling that its value has; else what is marked, or the last line, as it is.
/// Empty if there is none. Fractions and exponents are no numbers.
inline std::string final_answer(std::string_view text, bool number) {
  const auto part = detail::marked(text);
  if (!number) {
    const std::string_view whole = detail::trim(text);
    return std::string(part ? *part : detail::trim(whole.substr(whole.rfind('\n') + 1)));  // npos + 1 is 0
  }
  std::string last;
  detail::for_each_number(part.value_or(text), [&](const detail::number& n) { last = n.spelling; });
  return last;
}

/// What a response must end in to be right.
struct expected_answer {
  std::string text;     ///< as `final_answer` has it
  bool number = false;  ///< whether it is one
};

/// What @p solution wants, which is the answer alone or a working that ends in it; empty if there is none.
inline expected_answer expected_in(std::string_view solution) {
  const std::string_view part = detail::marked(solution).value_or(detail::trim(solution));
  const std::optional<std::string> value = detail::as_number(part);
  return {value.value_or(std::string(part)), value.has_value()};
}

/// 1 if @p response ends in the answer, else 0. Numbers are compared by value, to the last digit; anything else word
/// for word with what is marked or, if nothing is, the last line.
inline double score_answer(const expected_answer& wanted, std::string_view response) {
  return final_answer(response, wanted.number) == wanted.text ? 1 : 0;
}

}  // namespace HONE_NAMESPACE::eval
