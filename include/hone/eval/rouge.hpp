// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// ROUGE as the Python package rouge-score computes it: words are runs of ASCII letters and digits in lower case, those
/// of more than three letters stemmed. ROUGE-L is the longest common subsequence of words over the words of one side or
/// the other, ROUGE-N the n-grams in common. [Lin 2004, ROUGE]
#pragma once
#include "hone/eval/lcs.hpp"
#include "hone/eval/porter.hpp"

#include <type_traits>
#include <utility>

namespace HONE_NAMESPACE::eval {

struct rouge_score {
  double precision = 0;  ///< of the candidate's words
  double recall = 0;     ///< of the reference's words
  double f1 = 0;
};

/// The words of @p text, any bytes. Of other letters only those count whose lower case Python spells with an ASCII
/// letter: the Kelvin sign (k) and the capital I with a dot (i).
inline std::vector<std::string> rouge_words(std::string_view text, bool stem = true) {
  std::vector<std::string> words;
  bool inside = false;
  const auto letter = [&](char c) {
    if (!inside) words.emplace_back();
    words.back() += c;
    inside = true;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      letter(c);
    } else if (c >= 'A' && c <= 'Z') {
      letter(static_cast<char>(c - 'A' + 'a'));
    } else if (text.substr(i, 3) == "\xe2\x84\xaa") {
      letter('k');
      i += 2;
    } else {
      if (text.substr(i, 2) == "\xc4\xb0") letter('i');  // and a dot of its own, which ends the word
      inside = false;
    }
  }
  if (stem)
    for (std::string& word : words)
      if (word.size() > 3) porter_stem(word);
  return words;
}

namespace detail {

/// All zero where either side has nothing.
inline rouge_score rouge_of(index_t common, std::size_t reference, std::size_t candidate) {
  if (reference == 0 || candidate == 0) return {};
  rouge_score s{.precision = static_cast<double>(common) / static_cast<double>(candidate),
                .recall = static_cast<double>(common) / static_cast<double>(reference)};
  if (common > 0) s.f1 = 2 * s.precision * s.recall / (s.precision + s.recall);
  return s;
}

/// The numbers of @p words; those that @p kinds does not know are absent if it is const.
template <class Kinds>
std::vector<std::int32_t> numbers_of(std::span<const std::string> words, Kinds& kinds) {
  std::vector<std::int32_t> result;
  result.reserve(words.size());
  for (const std::string& word : words) {
    if constexpr (std::is_const_v<Kinds>)
      result.push_back(kinds.find(word));
    else
      result.push_back(kinds.number(word));
  }
  return result;
}

}  // namespace detail

/// ROUGE-L of two texts cut into words. @note See `longest_common_subsequence`.
inline rouge_score rouge_l(std::span<const std::string> reference, std::span<const std::string> candidate) {
  numbering<std::string_view> kinds(reference.size());
  const auto first = detail::numbers_of(reference, kinds);
  const auto second = detail::numbers_of(candidate, std::as_const(kinds));
  return detail::rouge_of(detail::lcs_of_numbers(first, kinds.size(), second), first.size(), second.size());
}

/// ROUGE-N: n-grams in common, each as often as both have it, over the n-grams of a side.
/// @throws std::invalid_argument unless n > 0. @note Linear.
inline rouge_score rouge_n(std::span<const std::string> reference, std::span<const std::string> candidate, index_t n) {
  numbering<std::string_view> kinds(reference.size() + candidate.size());
  ngram_numbering grams(n);
  const auto first = grams(detail::numbers_of(reference, kinds)), second = grams(detail::numbers_of(candidate, kinds));
  std::vector<index_t> left(grams.size(), 0);
  for (const std::int32_t gram : first) ++left[static_cast<std::size_t>(gram)];
  index_t common = 0;
  for (const std::int32_t gram : second) common += left[static_cast<std::size_t>(gram)]-- > 0;
  return detail::rouge_of(common, first.size(), second.size());
}

/// ROUGE-L of two texts, cut by `rouge_words`; its recall is TOFU's score. 0 where either has no words, as in
/// rouge-score.
inline rouge_score rouge_l(std::string_view reference, std::string_view candidate, bool stem = true) {
  return rouge_l(rouge_words(reference, stem), rouge_words(candidate, stem));
}
/// ROUGE-N of two texts, cut by `rouge_words`. @throws std::invalid_argument unless n > 0.
inline rouge_score rouge_n(std::string_view reference, std::string_view candidate, index_t n, bool stem = true) {
  return rouge_n(rouge_words(reference, stem), rouge_words(candidate, stem), n);
}

}  // namespace HONE_NAMESPACE::eval
