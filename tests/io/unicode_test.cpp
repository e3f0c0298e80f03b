// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/unicode.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

using namespace hone::io;

namespace {

std::string utf8(std::u32string_view characters) {
  std::string text;
  for (const char32_t c : characters) append_utf8(text, c);
  return text;
}

std::string form_c(const std::string& text) {
  std::string storage;
  return std::string(normalize_form_c(text, storage));
}

std::string form_c(std::u32string_view text) { return form_c(utf8(text)); }

bool scalar(char32_t c) { return c < 0xd800 || (c >= 0xe000 && c < 0x110000); }

std::uint8_t classes_of(char32_t c) { return character_at(utf8({&c, 1}), 0).classes & 15; }

}  // namespace

TEST_CASE("every character is read back from its UTF-8, and from no part of it") {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (!scalar(c)) continue;
    const std::string text = utf8({&c, 1});
    const character read = character_at(text, 0);
    if (read.value != c || read.size != text.size()) FAIL("U+" << std::hex << static_cast<unsigned>(c));
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      const character part = character_at(std::string_view(text).substr(0, cut), 0);
      const character tail = character_at(text, cut);
      if (part.value != no_character || part.size != 1 || tail.value != no_character || tail.size != 1)
        FAIL("a part of U+" << std::hex << static_cast<unsigned>(c));
    }
  }
}

TEST_CASE("bytes that are no UTF-8 stand for themselves") {
  for (const std::string text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                 "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                 "\xf5\x80\x80\x80", "\xff", "\xe2\x28\xa1", "\xf0\x9f\x98"}) {
    const character c = character_at(text, 0);
    CHECK(c.value == no_character);
    CHECK(c.size == 1);
    CHECK(c.classes == 0);
  }
  CHECK(character_at("", 0).size == 0);
  CHECK(character_at("a", 1).size == 0);
  CHECK(character_at("\xed\x9f\xbf", 0).value == 0xd7ff);
  CHECK(character_at("\xf4\x8f\xbf\xbf", 0).value == 0x10ffff);
}

TEST_CASE("what may still become a character is held back, and nothing else") {
  const std::string text = utf8(U"a\u00e9\u20ac\U0001f600");
  const std::size_t ends[] = {0, 1, 3, 6, 10};
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const std::size_t whole = whole_characters(std::string_view(text).substr(0, length));
    CHECK(whole == *(std::upper_bound(std::begin(ends), std::end(ends), length) - 1));
  }
  // No byte that may follow makes these a character.
  for (const std::string dead : {"\x80", "\xff", "\xc0", "\xc1", "\xf5", "\xe0\x80", "\xe0\x9f", "\xed\xa0", "\xf0\x8f",
                                 "\xf4\x90", "a\x80", "\x80\x80\x80\x80", "\xe2\x82\xac\x80"})
    CHECK(whole_characters(dead) == dead.size());
  for (const std::string open :
       {"\xc2", "\xe0", "\xe0\xa0", "\xed", "\xed\x9f", "\xf0", "\xf0\x90", "\xf4\x8f", "\xf4\x8f\xbf"})
    CHECK(whole_characters(open) == 0);
}

TEST_CASE("classes: Unicode 16's numbers of letters, numbers and spaces, and some members") {
  int letters = 0, numbers = 0, spaces = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    const std::uint8_t classes = unicode_classes()[c];
    letters += (classes & unicode::letter) != 0;
    numbers += (classes & unicode::number) != 0;
    spaces += (classes & unicode::space) != 0;
  }
  CHECK(letters == 141028);
  CHECK(numbers == 1911);
  CHECK(spaces == 25);
  CHECK(unicode_classes()[no_character] == 0);
  constexpr auto letter = unicode::letter, number = unicode::number, space = unicode::space, word = unicode::word;
  CHECK(classes_of('a') == (letter | word));
  CHECK(classes_of('_') == word);
  CHECK(classes_of('7') == (number | word));
  CHECK(classes_of(' ') == space);
  CHECK(classes_of(0x1c) == 0);  // a separator to Python, no white space
  CHECK(classes_of(0x85) == space);
  CHECK(classes_of(0x200b) == 0);     // zero-width space
  CHECK(classes_of(0xbd) == number);  // one half
  CHECK(classes_of(0x2167) == (number | word));
  CHECK(classes_of(0x301) == word);
  CHECK(classes_of(0x4e2d) == (letter | word));
  CHECK(classes_of(0x24b6) == word);
  CHECK(classes_of(0x1f600) == 0);
  CHECK(classes_of(0x105c0) == (letter | word));  // Todhri, new in 16
  CHECK(classes_of(0x378) == 0);
}

TEST_CASE("form C: composition, order of marks, exclusions, Hangul") {
  CHECK(form_c(U"e\u0301") == utf8(U"\u00e9"));
  CHECK(form_c(U"\u00e9") == utf8(U"\u00e9"));
  CHECK(form_c(U"a\u0301\u0323") == utf8(U"\u1ea1\u0301"));
  CHECK(form_c(U"e\u0302\u0323") == utf8(U"\u1ec7"));
  CHECK(form_c(U"e\u0323\u0302") == utf8(U"\u1ec7"));
  CHECK(form_c(U"\u00ea\u0323") == utf8(U"\u1ec7"));
  CHECK(form_c(U"\u212b\u2126") == utf8(U"\u00c5\u03a9"));
  CHECK(form_c(U"\u0958") == utf8(U"\u0915\u093c"));  // not composed again
  CHECK(form_c(U"\u0915\u093c") == utf8(U"\u0915\u093c"));
  CHECK(form_c(U"\u0344") == utf8(U"\u0308\u0301"));
  CHECK(form_c(U"\u1100\u1161\u11a8") == utf8(U"\uac01"));
  CHECK(form_c(U"\uac00\u11a8") == utf8(U"\uac01"));
  CHECK(form_c(U"\uac01\u11a8") == utf8(U"\uac01\u11a8"));
  CHECK(form_c(U"\uac00\u11a7") == utf8(U"\uac00\u11a7"));
  // The borders of Hangul: the last consonants of each place, and what lies beside them.
  CHECK(hone::io::detail::compose(0x1112, 0x1175) == 0xd788);
  CHECK(hone::io::detail::compose(0x1113, 0x1161) == 0);
  CHECK(hone::io::detail::compose(0x10ff, 0x1161) == 0);
  CHECK(hone::io::detail::compose(0x1100, 0x1160) == 0);
  CHECK(hone::io::detail::compose(0x1100, 0x1176) == 0);
  CHECK(hone::io::detail::compose(0xac00, 0x11a7) == 0);
  CHECK(hone::io::detail::compose(0xd788, 0x11c2) == 0xd7a3);
  CHECK(hone::io::detail::compose(0xac00, 0x11c3) == 0);
  CHECK(hone::io::detail::compose(0xd7a4, 0x11a8) == 0);
  CHECK(form_c(U"\u1100\uac00\u1161") == utf8(U"\u1100\uac00\u1161"));
  CHECK(form_c(U"\u0301a") == utf8(U"\u0301a"));
  CHECK(form_c(U"a\u0327\u0301") == utf8(U"\u00e1\u0327"));  // the cedilla does not stand in the way
  CHECK(form_c(U"a\u0302\u0301") == utf8(U"\u1ea5"));
  CHECK(form_c(U"a\u0305\u0301") == utf8(U"a\u0305\u0301"));  // a mark of the same class does
  CHECK(form_c(U"\u0b47\u0300\u0b3e") == utf8(U"\u0b47\u0300\u0b3e"));
  CHECK(form_c(U"\U0001611e\U0001611e") == utf8(U"\U00016121"));  // Gurung Khema, new in 16
  CHECK(form_c(std::string()).empty());
}

TEST_CASE("a text that form C leaves alone is not copied") {
  std::string storage = "untouched";
  const std::string text = utf8(U"plain, \u00e9\u4e2d\u6587\U0001f600 \u0905\u0930\u094d") + "\xff";
  const std::string plain = "plain, \xff";
  CHECK(normalize_form_c(plain, storage).data() == plain.data());
  CHECK(storage == "untouched");
  CHECK(form_c(text) == text);
}

TEST_CASE("form C of bytes that are no UTF-8 keeps them, and composes nothing across them") {
  const std::string_view letter_then_mark = "e\xff\xcc\x81", marks_between = "\x80\xcc\xa3\xcc\x81\x80";
  CHECK(form_c(std::string(letter_then_mark)) == letter_then_mark);
  CHECK(form_c(std::string(marks_between)) == marks_between);
  CHECK(form_c(std::string("\xff"
                           "e\xcc\x81\xc3")) == "\xff\xc3\xa9\xc3");
}

TEST_CASE("form C is what it makes of itself, and of its parts' decompositions") {
  const hone::philox random{5};
  const std::u32string pool =
      U"aeoqz "
      U"\u00e9\u1ec7\u0301\u0302\u0323\u0327\u0345\u05b0\u0915\u093c\u1100\u1161\u11a8\uac00\u304b\u3099\u212b\u0f71"
      U"\u0f72";
  for (std::uint64_t i = 0; i < 2000; ++i) {
    std::u32string text;
    for (std::uint64_t k = 0; k < 12; ++k)
      text += pool[static_cast<std::size_t>(random.uniform(16 * i + k) * static_cast<double>(pool.size()))];
    std::vector<char32_t> apart;
    for (const char32_t c : text) detail::decompose(c, apart);
    const std::string once = form_c(text);
    REQUIRE(form_c(once) == once);
    REQUIRE(form_c(std::u32string(apart.begin(), apart.end())) == once);
  }
}

TEST_CASE("form C of a hundred thousand marks after one letter") {
  std::u32string text = U"a";
  for (int i = 0; i < 100000; ++i) text += i % 2 == 0 ? U'\u0301' : U'\u0323';
  const std::string normal = form_c(text);
  CHECK(normal.starts_with(utf8(U"\u1ea1\u0323\u0323")));
  CHECK(normal.ends_with(utf8(U"\u0301\u0301")));
}

TEST_CASE("classes, decompositions and form C of every character, as one number") {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto add = [&](std::string_view bytes) {
    for (const char byte : bytes) hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3u;
  };
  std::size_t together = 0;
  std::vector<char32_t> apart;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (!scalar(c)) continue;
    apart.clear();
    detail::decompose(c, apart);
    const std::string decomposed = utf8({apart.data(), apart.size()}), form = form_c({&c, 1});
    together += form == form_c(decomposed);
    add(form + "\xff" + decomposed + "\xff");
    const char numbers[] = {static_cast<char>(detail::combining_class(c)), static_cast<char>(classes_of(c))};
    add({numbers, 2});
  }
  CHECK(together == 0x110000 - 0x800);
  // form C, decompositions and combining classes are also those of Python, of every character of Unicode 15.1
  CHECK(hash == 0xdb1d94d2db406e70u);
}
