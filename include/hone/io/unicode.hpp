// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// UTF-8, the classes of characters that pre-tokenizers ask for, and normalization form C, of Unicode 16.0.0 (that of
/// the regular expressions in Hugging Face's tokenizers 0.23; characters assigned since are in no class).
/// [Unicode 16.0.0; UAX #15, Unicode Normalization Forms]
#pragma once
#include "hone/io/detail/unicode_canonical.hpp"
#include "hone/io/detail/unicode_classes.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace HONE_NAMESPACE::io {

/// Bits of a character's classes.
struct unicode {
  static constexpr std::uint8_t letter = 1;        ///< general category L
  static constexpr std::uint8_t number = 2;        ///< general category N
  static constexpr std::uint8_t space = 4;         ///< the property White_Space
  static constexpr std::uint8_t word = 8;          ///< alphabetic, marks, decimal digits, connectors, joiners
  static constexpr std::uint8_t may_compose = 16;  ///< form C may change it, or move or join it to what comes before
};

/// One character of a text, or one byte that is part of none: its value is then `no_character`, its classes 0.
struct character {
  char32_t value;
  std::uint8_t size;  ///< in bytes; 0 after the end
  std::uint8_t classes;
};
inline constexpr char32_t no_character = 0x110000;

namespace detail {

// Named: g++ tries to evaluate a lambda that is called on the spot when it compiles, for seconds, in every includer.
inline std::vector<std::uint8_t> make_unicode_classes() {
  std::vector<std::uint8_t> classes;
  classes.reserve(no_character + 1);
  for (const unsigned run : class_runs) classes.insert(classes.end(), run / 32, static_cast<std::uint8_t>(run % 32));
  classes.push_back(0);
  return classes;
}

constexpr std::array<std::uint8_t, 128> make_ascii_classes() {
  std::array<std::uint8_t, 128> classes{};
  std::size_t at = 0;
  for (const unsigned run : class_runs)
    for (unsigned i = 0; i < run / 32 && at < classes.size(); ++i) classes[at++] = static_cast<std::uint8_t>(run % 32);
  return classes;
}
inline constexpr std::array<std::uint8_t, 128> ascii_classes = make_ascii_classes();  // needs no guard of a static

}  // namespace detail

/// The classes of every character, and of `no_character`.
inline const std::uint8_t* unicode_classes() {
  static const std::vector<std::uint8_t> table = detail::make_unicode_classes();
  return table.data();
}

/// The character at byte @p at of @p text. A byte that begins no well-formed sequence (overlong, a surrogate, beyond
/// U+10FFFF, cut short) stands for itself.
inline character character_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return {no_character, 0, 0};
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[at + i]); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, detail::ascii_classes[lead]};
  const std::uint8_t size = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (size == 0 || text.size() - at < size) return {no_character, 1, 0};
  char32_t value = lead & (0x7fu >> size);
  for (std::uint8_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {no_character, 1, 0};
    value = value << 6 | (byte(i) & 0x3fu);
  }
  const bool overlong = size > 2 && value < (size == 3 ? 0x800u : 0x10000u);
  if (overlong || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return {no_character, 1, 0};
  return {value, size, unicode_classes()[value]};
}

/// Puts @p c after @p out in UTF-8, 1 to 4 bytes. @pre c <= 0x1fffff; whether it is a character is not asked.
inline void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<std::uint8_t>(byte)); };
  if (c < 0x80) return put(c);
  const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  put((more == 1 ? 0xc0u : more == 2 ? 0xe0u : 0xf0u) | c >> (6 * more));
  for (int i = more - 1; i >= 0; --i) put(0x80u | (c >> (6 * i) & 0x3fu));
}

/// How many bytes of @p text do not end inside a character of which more may come.
inline std::size_t whole_characters(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto lead = static_cast<std::uint8_t>(text[text.size() - back]);
    if ((lead & 0xc0) == 0x80) continue;
    // The bytes that are missing, as small and as large as can be: one of the two is well-formed if any is.
    const std::string_view tail = text.substr(text.size() - back);
    for (const char missing : {'\x80', '\xbf'}) {
      std::string completed(tail);
      completed.resize(lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4, missing);
      if (back < completed.size() && character_at(completed, 0).size == completed.size()) return text.size() - back;
    }
    break;
  }
  return text.size();
}

namespace detail {

/// The canonical decomposition of @p c, all the way, after @p out.
inline void decompose(char32_t c, std::vector<char32_t>& out) {
  if (c >= 0xac00 && c < 0xac00 + 19 * 21 * 28) {
    const char32_t syllable = c - 0xac00;
    out.insert(out.end(), {0x1100 + syllable / (21 * 28), 0x1161 + syllable / 28 % 21});
    if (syllable % 28 != 0) out.push_back(0x11a7 + syllable % 28);
    return;
  }
  const auto search = [&](const char32_t* table, std::size_t size) -> const char32_t* {
    std::size_t low = 0, high = size / 3;
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (table[3 * middle] < c)
        low = middle + 1;
      else
        high = middle;
    }
    return low < size / 3 && table[3 * low] == c ? table + 3 * low : nullptr;
  };
  const char32_t* found = search(composites, std::size(composites));
  if (found == nullptr) found = search(one_way, std::size(one_way));
  if (found == nullptr) return out.push_back(c);
  decompose(found[1], out);
  if (found[2] != 0) decompose(found[2], out);
}

inline char32_t combining_class(char32_t c) {
  for (std::size_t low = 0, high = std::size(combining_runs) / 3; low < high;) {
    const std::size_t middle = (low + high) / 2;
    const char32_t* run = combining_runs + 3 * middle;
    if (c < run[0])
      high = middle;
    else if (c > run[1])
      low = middle + 1;
    else
      return run[2];
  }
  return 0;
}

struct composition {
  char32_t first, second, composed;
  bool operator<(const composition& other) const {
    return first != other.first ? first < other.first : second < other.second;
  }
};

inline std::vector<composition> make_compositions() {
  std::vector<composition> entries;
  for (std::size_t i = 0; i < std::size(composites); i += 3)
    entries.push_back({composites[i + 1], composites[i + 2], composites[i]});
  std::sort(entries.begin(), entries.end());
  return entries;
}

/// The character that @p first and @p second make, 0 if they make none.
inline char32_t compose(char32_t first, char32_t second) {
  if (first >= 0x1100 && first < 0x1113 && second >= 0x1161 && second < 0x1176)
    return 0xac00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28;
  if (first >= 0xac00 && first < 0xac00 + 19 * 21 * 28 && (first - 0xac00) % 28 == 0 && second > 0x11a7 &&
      second < 0x11c3)
    return first + (second - 0x11a7);
  static const std::vector<composition> table = make_compositions();
  const auto found = std::lower_bound(table.begin(), table.end(), composition{first, second, 0});
  return found != table.end() && found->first == first && found->second == second ? found->composed : 0;
}

/// Appends form C of @p characters, which end before a character that nothing before it changes.
inline void normalize_run(const std::vector<char32_t>& characters, std::string& out) {
  struct item {
    char32_t value, order;
  };
  std::vector<char32_t> values;
  for (const char32_t c : characters) decompose(c, values);
  std::vector<item> items;
  for (const char32_t c : values) items.push_back({c, combining_class(c)});
  for (auto begin = items.begin(); begin != items.end();) {
    if (begin->order == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, items.end(), [](const item& x) { return x.order == 0; });
    std::stable_sort(begin, end, [](const item& x, const item& y) { return x.order < y.order; });
    begin = end;
  }
  std::size_t kept = 0, starter = items.size();
  for (const item& x : items) {
    if (starter < kept) {
      const bool reachable = kept == starter + 1 || items[kept - 1].order < x.order;
      if (const char32_t composed = reachable ? compose(items[starter].value, x.value) : 0; composed != 0) {
        items[starter].value = composed;
        continue;
      }
    }
    if (x.order == 0) starter = kept;
    items[kept++] = x;
  }
  for (std::size_t i = 0; i < kept; ++i) append_utf8(out, items[i].value);
}

}  // namespace detail

/// Normalization form C of @p text: @p text itself where nothing can change, else what @p storage then holds. Bytes
/// that are no UTF-8 are kept; nothing moves or composes across them. O(n log n) in the longest run of combining marks.
inline std::string_view normalize_form_c(std::string_view text, std::string& storage) {
  std::size_t copied = 0, starter = 0;
  bool changed = false;
  std::vector<char32_t> run;
  for (std::size_t at = 0; at < text.size();) {
    character c = character_at(text, at);
    if ((c.classes & unicode::may_compose) == 0) {
      starter = at;
      at += c.size;
      continue;
    }
    if (!changed) storage.clear(), changed = true;
    run.clear();
    if (starter < at && character_at(text, starter).value == no_character) starter = at;
    storage += text.substr(copied, starter - copied);
    for (std::size_t i = starter; i < at;) {
      const character before = character_at(text, i);
      run.push_back(before.value);
      i += before.size;
    }
    for (; (c.classes & unicode::may_compose) != 0; at += c.size, c = character_at(text, at)) run.push_back(c.value);
    detail::normalize_run(run, storage);
    copied = starter = at;
  }
  if (!changed) return text;
  storage += text.substr(copied);
  return storage;
}

}  // namespace HONE_NAMESPACE::io
