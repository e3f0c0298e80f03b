// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/pre_tokenizer.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

#include <functional>

using namespace hone::io;
using kind = split_rule::kind;

namespace {

using words = std::vector<std::string>;

words split(std::string_view text, const std::vector<split_rule>& rules, bool begins = true) {
  words all;
  split_words(text, rules, begins, [&](std::string_view word) { all.emplace_back(word); });
  return all;
}
words split(std::string_view text, kind rule) { return split(text, std::vector<split_rule>{{rule}}); }

/// A part of a regular expression: @p least to @p most characters that @p is accepts, or, with `most` 0, a look ahead
/// at one that it does not.
struct atom {
  std::function<bool(const character&)> is;
  std::size_t least, most;
};
using pattern = std::vector<std::vector<atom>>;

/// The length of the match of @p atoms at the front of @p text: greedy, with backtracking; -1 if there is none.
std::ptrdiff_t match(std::span<const atom> atoms, std::string_view text) {
  if (atoms.empty()) return 0;
  const atom& first = atoms.front();
  std::vector<std::size_t> ends = {0};
  while (ends.size() <= first.most) {
    const character c = character_at(text, ends.back());
    if (c.size == 0 || !first.is(c)) break;
    ends.push_back(ends.back() + c.size);
  }
  if (first.most == 0) {
    const character c = character_at(text, 0);
    return c.size > 0 && first.is(c) ? -1 : match(atoms.subspan(1), text);
  }
  for (; ends.size() > first.least; ends.pop_back())
    if (const auto rest = match(atoms.subspan(1), text.substr(ends.back())); rest >= 0)
      return static_cast<std::ptrdiff_t>(ends.back()) + rest;
  return -1;
}

words by_definition(std::string_view text, const pattern& alternatives) {
  words all;
  while (!text.empty()) {
    std::ptrdiff_t length = -1;
    for (std::size_t i = 0; i < alternatives.size() && length < 0; ++i) length = match(alternatives[i], text);
    REQUIRE(length > 0);
    all.emplace_back(text.substr(0, static_cast<std::size_t>(length)));
    text.remove_prefix(static_cast<std::size_t>(length));
  }
  return all;
}

auto in(std::uint8_t classes) {
  return [classes](const character& c) { return (c.classes & classes) != 0; };
}
auto one_of(std::u32string_view any) {
  return [any](const character& c) { return any.find(c.value) != any.npos; };
}
bool newline(const character& c) { return c.value == '\r' || c.value == '\n'; }
bool other(const character& c) { return (c.classes & (unicode::letter | unicode::number | unicode::space)) == 0; }
constexpr std::size_t many = SIZE_MAX;

void add_contractions(pattern& p, bool any_case) {
  const auto letter = [&](char32_t lower) {
    return [=](const character& c) {
      return c.value == lower || (any_case && (c.value == lower - 32 || (lower == 's' && c.value == 0x17f)));
    };
  };
  for (const char* ending : {"s", "t", "re", "ve", "m", "ll", "d"}) {
    std::vector<atom> atoms = {{one_of(U"'"), 1, 1}};
    for (const char* at = ending; *at != 0; ++at) atoms.push_back({letter(static_cast<char32_t>(*at)), 1, 1});
    p.push_back(std::move(atoms));
  }
}

void add_spaces(pattern& p) {
  p.push_back(
      {{in(unicode::space), 1, many}, {[](const character& c) { return (c.classes & unicode::space) == 0; }, 0, 0}});
  p.push_back({{in(unicode::space), 1, many}});
}

pattern gpt2() {
  pattern p;
  add_contractions(p, false);
  for (const std::function<bool(const character&)>& what :
       {std::function<bool(const character&)>(in(unicode::letter)), {in(unicode::number)}, {other}})
    p.push_back({{one_of(U" "), 0, 1}, {what, 1, many}});
  add_spaces(p);
  return p;
}

pattern llama3(std::size_t digits) {
  pattern p;
  add_contractions(p, true);
  p.push_back(
      {{[](const character& c) { return !newline(c) && (c.classes & (unicode::letter | unicode::number)) == 0; }, 0, 1},
       {in(unicode::letter), 1, many}});
  p.push_back({{in(unicode::number), 1, digits}});
  p.push_back({{one_of(U" "), 0, 1}, {other, 1, many}, {newline, 0, many}});
  p.push_back({{in(unicode::space), 0, many}, {newline, 1, many}});
  add_spaces(p);
  return p;
}

}  // namespace

TEST_CASE("the words of GPT-2") {
  CHECK(split("Hello world", kind::gpt2) == words{"Hello", " world"});
  CHECK(split("it's  we'LL", kind::gpt2) == words{"it", "'s", " ", " we", "'", "LL"});
  CHECK(split("a1b 22,  ??", kind::gpt2) == words{"a", "1", "b", " 22", ",", " ", " ??"});
  CHECK(split("a \n\n b\n", kind::gpt2) == words{"a", " \n\n", " b", "\n"});
  CHECK(split("  ", kind::gpt2) == words{"  "});
  CHECK(split("", kind::gpt2).empty());
  CHECK(split("a\tb", kind::gpt2) == words{"a", "\t", "b"});
  CHECK(split("\xff\xfe x", kind::gpt2) == words{"\xff\xfe", " x"});
}

TEST_CASE("the words of Llama 3 and Qwen2") {
  CHECK(split("Hello, world", kind::llama3) == words{"Hello", ",", " world"});
  CHECK(split("IT'S 12345!\n\n x", kind::llama3) == words{"IT", "'S", " ", "123", "45", "!\n\n", " x"});
  CHECK(split("12345", kind::qwen2) == words{"1", "2", "3", "4", "5"});
  CHECK(split("(foo)\tbar", kind::llama3) == words{"(foo", ")", "\tbar"});
  CHECK(split(" \n \n  a", kind::llama3) == words{" \n \n", " ", " a"});
  CHECK(split("\r\nA", kind::llama3) == words{"\r\n", "A"});
  CHECK(split("x'\xc5\xbfy", kind::llama3) == words{"x", "'\xc5\xbf", "y"});
}

TEST_CASE("the scanners are their regular expressions, on random texts") {
  const hone::philox random{11};
  const std::vector<std::string> pool = {" ",
                                         " ",
                                         " ",
                                         "\n",
                                         "\r",
                                         "\t",
                                         "'",
                                         "'",
                                         "s",
                                         "S",
                                         "t",
                                         "l",
                                         "L",
                                         "r",
                                         "e",
                                         "v",
                                         "m",
                                         "d",
                                         "D",
                                         "1",
                                         "2",
                                         "\xc2\xbd",
                                         "\xd9\xa3",
                                         ",",
                                         "!",
                                         "_",
                                         "\xc2\xa0",
                                         "\xe3\x80\x80",
                                         "\xc5\xbf",
                                         "\xc3\xa9",
                                         "\xcc\x81",
                                         "\xe4\xb8\xad",
                                         "\xf0\x9f\x98\x80",
                                         "\xff",
                                         "\xe2\x82",
                                         std::string(1, '\0')};
  const pattern patterns[] = {gpt2(), llama3(3), llama3(1)};
  const kind kinds[] = {kind::gpt2, kind::llama3, kind::qwen2};
  for (std::uint64_t i = 0; i < 3000; ++i) {
    std::string text;
    for (std::uint64_t k = 0; k < i % 24; ++k)
      text += pool[static_cast<std::size_t>(random.uniform(32 * i + k) * static_cast<double>(pool.size()))];
    for (std::size_t p = 0; p < 3; ++p) REQUIRE(split(text, kinds[p]) == by_definition(text, patterns[p]));
  }
}

TEST_CASE("digits apart, one by one or run by run, and what follows cuts each piece") {
  CHECK(split("a12b \xc2\xb2"
              "3",
              kind::digits) == words{"a", "1", "2", "b ", "\xc2\xb2", "3"});
  CHECK(split("a12b \xc2\xb2"
              "3",
              kind::digit_runs) == words{"a", "12", "b ",
                                         "\xc2\xb2"
                                         "3"});
  CHECK(split("no digit", kind::digits) == words{"no digit"});
  CHECK(split("at 12  x", {{kind::digits}, {kind::gpt2}}) == words{"at", " ", "1", "2", " ", " x"});
}

TEST_CASE("a space in front of what has none") {
  CHECK(split("a b", {{kind::prefix_space}, {kind::gpt2}}) == words{" a", " b"});
  CHECK(split(" a", {{kind::prefix_space}, {kind::gpt2}}) == words{" a"});
  CHECK(split("", {{kind::prefix_space}}).empty());
}

TEST_CASE("metaspace: marks for spaces, in front of every piece, the first, or none") {
  const std::string mark = "_";
  const auto rule = [&](split_rule::prefix where, bool apart) {
    return std::vector<split_rule>{{.is = kind::metaspace, .mark = mark, .where = where, .before_every_mark = apart}};
  };
  using enum split_rule::prefix;
  CHECK(split("a  b", rule(always, true)) == words{"_a", "_", "_b"});
  CHECK(split("a  b", rule(always, false)) == words{"_a__b"});
  CHECK(split(" a", rule(always, true)) == words{"_a"});
  CHECK(split("a", rule(first, true)) == words{"_a"});
  CHECK(split("a", rule(first, true), false) == words{"a"});
  CHECK(split("a b", rule(never, true)) == words{"a", "_b"});
  CHECK(split("", rule(always, true)).empty());
}

TEST_CASE("a megabyte of one character, or of spaces, is split in one pass") {
  for (const char c : {'a', ' ', '1', '!', '\n', '\''})
    for (const kind rule : {kind::gpt2, kind::llama3, kind::qwen2, kind::digits}) {
      std::size_t total = 0;
      split_words(std::string(1 << 20, c), std::vector<split_rule>{{rule}}, true,
                  [&](std::string_view w) { total += w.size(); });
      CHECK(total == 1 << 20);
    }
}

TEST_CASE("the piece that begins the text is the first of what an earlier rule cut") {
  const split_rule first{.is = kind::metaspace, .mark = "_", .where = split_rule::prefix::first};
  CHECK(split("12 a", {{kind::digits}, first}) == words{"_1", "2", "_a"});
  CHECK(split("12 a", {{kind::digits}, first}, false) == words{"1", "2", "_a"});
  split_rule apart = first;
  apart.before_every_mark = true;
  apart.where = split_rule::prefix::always;
  CHECK(split("a b", {apart, {.is = kind::metaspace, .mark = "+", .where = split_rule::prefix::first}}) ==
        words{"+_a", "_b"});
}
