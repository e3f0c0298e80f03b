// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Porter's stemmer with the extensions of NLTK, which is the one inside ROUGE scores in print.
/// [Porter 1980, An algorithm for suffix stripping, Program 14(3)] The extensions: irregular words; words of two
/// letters stay; -ies and -ied of four letters keep their e; y becomes i only after a consonant that is not the first
/// letter; -alli before -bli, -bli for -abli, -fulli, -logi; a vowel and a consonant alone end as
/// consonant-vowel-consonant do.
#pragma once
#include "hone/core/flags.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace HONE_NAMESPACE::eval {

namespace detail::porter {

constexpr bool is_vowel(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }

/// Digits count as consonants; y does where the letter before is none.
constexpr bool is_consonant(std::string_view word, std::size_t i) {
  bool flipped = false;
  while (i > 0 && word[i] == 'y') {
    flipped = !flipped;
    --i;
  }
  return !is_vowel(word[i]) != flipped;
}

struct shape {
  int measure = 0;  ///< how often a consonant follows a vowel
  bool has_vowel = false;
};
constexpr shape shape_of(std::string_view stem) {
  shape result;
  bool consonant = false;
  for (std::size_t i = 0; i < stem.size(); ++i) {
    const bool before = consonant;
    consonant = stem[i] == 'y' ? i == 0 || !before : !is_vowel(stem[i]);
    result.measure += i > 0 && consonant && !before;
    result.has_vowel |= !consonant;
  }
  return result;
}
constexpr int measure(std::string_view stem) { return shape_of(stem).measure; }

constexpr bool ends_in_double_consonant(std::string_view w) {
  return w.size() >= 2 && w.back() == w[w.size() - 2] && is_consonant(w, w.size() - 1);
}
constexpr bool ends_in_cvc(std::string_view w) {
  const std::size_t n = w.size();
  if (n == 2) return !is_consonant(w, 0) && is_consonant(w, 1);
  return n >= 3 && is_consonant(w, n - 3) && !is_consonant(w, n - 2) && is_consonant(w, n - 1) && w.back() != 'w' &&
         w.back() != 'x' && w.back() != 'y';
}

/// Shortens; resize() may lengthen too, which g++ 12 warns of.
inline void drop(std::string& word, std::size_t letters) { word.erase(word.size() - letters); }

struct rule {
  std::string_view suffix, replacement;
};

/// The first rule whose suffix is there decides; it is applied if the measure of what is before exceeds @p above.
template <std::size_t N>
void apply(const rule (&rules)[N], int above, std::string& word) {
  for (const rule& r : rules) {
    if (word.back() != r.suffix.back() || !word.ends_with(r.suffix)) continue;
    std::string_view stem(word.data(), word.size() - r.suffix.size());
    if (r.suffix == "ion" && !(stem.ends_with('s') || stem.ends_with('t'))) return;
    if (r.suffix == "logi") stem = std::string_view(word.data(), word.size() - 3);
    if (measure(stem) <= above) return;
    drop(word, r.suffix.size());
    word += r.replacement;
    return;
  }
}

inline void plurals(std::string& w) {
  if (w.ends_with("ies"))
    drop(w, w.size() == 4 ? 1 : 2);
  else if (w.ends_with("sses"))
    drop(w, 2);
  else if (w.ends_with('s') && !w.ends_with("ss"))
    w.pop_back();
}

inline void participles(std::string& w) {
  if (w.ends_with("ied")) return drop(w, w.size() == 4 ? 1 : 2);
  if (w.ends_with("eed")) {
    if (measure(std::string_view(w.data(), w.size() - 3)) > 0) w.pop_back();
    return;
  }
  const std::size_t suffix = w.ends_with("ed") ? 2 : w.ends_with("ing") ? 3 : 0;
  if (suffix == 0 || !shape_of(std::string_view(w.data(), w.size() - suffix)).has_vowel) return;
  drop(w, suffix);
  if (w.ends_with("at") || w.ends_with("bl") || w.ends_with("iz"))
    w += 'e';
  else if (ends_in_double_consonant(w)) {
    if (w.back() != 'l' && w.back() != 's' && w.back() != 'z') w.pop_back();
  } else if (measure(w) == 1 && ends_in_cvc(w))
    w += 'e';
}

inline void derivations(std::string& w) {
  constexpr rule second[] = {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
                             {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
                             {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
                             {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
                             {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
                             {"fulli", "ful"},   {"logi", "log"}};
  constexpr rule third[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                            {"ical", "ic"},  {"ful", ""},   {"ness", ""}};
  constexpr rule fourth[] = {{"al", ""},   {"ance", ""}, {"ence", ""}, {"er", ""},    {"ic", ""},
                             {"able", ""}, {"ible", ""}, {"ant", ""},  {"ement", ""}, {"ment", ""},
                             {"ent", ""},  {"ion", ""},  {"ou", ""},   {"ism", ""},   {"ate", ""},
                             {"iti", ""},  {"ous", ""},  {"ive", ""},  {"ize", ""}};
  while (w.ends_with("alli") && measure(std::string_view(w.data(), w.size() - 4)) > 0) drop(w, 2);
  apply(second, 0, w);
  apply(third, 0, w);
  apply(fourth, 1, w);
}

}  // namespace detail::porter

/// Replaces @p word, lower-case ASCII letters and digits, by its stem; linear.
inline void porter_stem(std::string& word) {
  using namespace detail::porter;
  constexpr rule irregular[] = {
      {"skies", "sky"},       {"dying", "die"},        {"lying", "lie"},       {"tying", "tie"},
      {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},   {"outings", "outing"},
      {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"}, {"howe", "howe"},
      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"}, {"sky", "sky"}};
  if (word.size() <= 2) return;
  for (const rule& r : irregular)
    if (word[0] == r.suffix[0] && word == r.suffix) return void(word = r.replacement);
  plurals(word);
  participles(word);
  if (word.ends_with('y') && word.size() > 2 && is_consonant(word, word.size() - 2)) word.back() = 'i';
  derivations(word);
  if (word.ends_with('e')) {
    const std::string_view stem(word.data(), word.size() - 1);
    const int m = measure(stem);
    if (m > 1 || (m == 1 && !ends_in_cvc(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && measure(std::string_view(word.data(), word.size() - 1)) > 1) word.pop_back();
}

}  // namespace HONE_NAMESPACE::eval
