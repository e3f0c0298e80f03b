// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// ROUGE-L of the Python package rouge (1.0.1), which RWKU's authors use and whose numbers differ from rouge-score's:
/// texts are cut into sentences at full stops and into words at white space, case and punctuation kept; a longest
/// common subsequence is taken of every sentence of the reference with every one of the candidate; what is counted is
/// how many different words appear in any of these, over the different words of a side.
#pragma once
#include "hone/eval/rouge.hpp"

#include <algorithm>

namespace HONE_NAMESPACE::eval {

namespace detail {

/// Bytes of the white space (Python's str.isspace) that @p text begins with; 0 for none.
inline std::size_t white_space(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned a = byte(0), b = byte(1), c = byte(2);
  if (a == ' ' || (a >= 0x09 && a <= 0x0d) || (a >= 0x1c && a <= 0x1f)) return 1;
  if (a == 0xc2 && (b == 0x85 || b == 0xa0)) return 2;
  const bool general = a == 0xe2 && b == 0x80 && ((c >= 0x80 && c <= 0x8a) || c == 0xa8 || c == 0xa9 || c == 0xaf);
  const bool other = (a == 0xe1 && b == 0x9a && c == 0x80) || (a == 0xe2 && b == 0x81 && c == 0x9f) ||
                     (a == 0xe3 && b == 0x80 && c == 0x80);
  return general || other ? 3 : 0;
}

/// The words of @p sentence; of nothing but white space, the empty word.
inline std::vector<std::string_view> white_space_words(std::string_view sentence) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= sentence.size();) {
    const std::size_t space = i == sentence.size() ? 1 : white_space(sentence.substr(i));
    if (space > 0 && i > begin) words.push_back(sentence.substr(begin, i - begin));
    i += space > 0 ? space : 1;
    if (space > 0) begin = i;
  }
  if (words.empty()) words.emplace_back();
  return words;
}

using sentence = std::vector<std::int32_t>;

inline std::vector<sentence> sentences_of(std::string_view text, numbering<std::string_view>& kinds) {
  std::vector<sentence> result;
  while (!text.empty()) {
    const std::size_t stop = (std::min)(text.find('.'), text.size());
    if (stop > 0) {
      result.emplace_back();
      for (const std::string_view word : white_space_words(text.substr(0, stop)))
        result.back().push_back(kinds.number(word));
    }
    text.remove_prefix((std::min)(stop + 1, text.size()));
  }
  return result;
}

/// Marks the words of the longest common subsequence that the package finds: of several as long, the one that goes
/// back in @p y first.
inline void mark_common(const sentence& x, const sentence& y, std::vector<char>& marked) {
  const std::size_t width = y.size() + 1;
  std::vector<std::int32_t> table((x.size() + 1) * width, 0);
  for (std::size_t i = 1; i <= x.size(); ++i)
    for (std::size_t j = 1; j <= y.size(); ++j)
      table[i * width + j] = x[i - 1] == y[j - 1] ? table[(i - 1) * width + j - 1] + 1
                                                  : (std::max)(table[(i - 1) * width + j], table[i * width + j - 1]);
  for (std::size_t i = x.size(), j = y.size(); i > 0 && j > 0;) {
    if (x[i - 1] == y[j - 1]) {
      marked[static_cast<std::size_t>(x[i - 1])] = 1;
      --i;
      --j;
    } else if (table[(i - 1) * width + j] > table[i * width + j - 1]) {
      --i;
    } else {
      --j;
    }
  }
}

}  // namespace detail

/// All zero where a text is empty or only full stops, which the package refuses.
/// @note |reference| |candidate| words of a pair of sentences at a time, 4 bytes each; f1 has the package's 1e-8 below.
inline rouge_score rouge_l_union(std::string_view reference, std::string_view candidate) {
  numbering<std::string_view> kinds;
  const auto wanted = detail::sentences_of(reference, kinds), given = detail::sentences_of(candidate, kinds);
  if (wanted.empty() || given.empty()) return {};
  std::vector<char> common(kinds.size(), 0);
  for (const detail::sentence& x : wanted)
    for (const detail::sentence& y : given) detail::mark_common(x, y, common);
  const auto count = [](const std::vector<char>& marked) {
    return static_cast<double>(std::count(marked.begin(), marked.end(), char{1}));
  };
  const auto different = [&](const std::vector<detail::sentence>& text) {
    std::vector<char> seen(kinds.size(), 0);
    for (const detail::sentence& s : text)
      for (const std::int32_t word : s) seen[static_cast<std::size_t>(word)] = 1;
    return count(seen);
  };
  rouge_score score{.precision = count(common) / different(given), .recall = count(common) / different(wanted)};
  score.f1 = 2 * score.precision * score.recall / (score.precision + score.recall + 1e-8);
  return score;
}

}  // namespace HONE_NAMESPACE::eval
