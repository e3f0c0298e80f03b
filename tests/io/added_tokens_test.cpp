// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/added_tokens.hpp"

#include "support/catch.hpp"

using namespace hone::io;

namespace {

/// The parts of a text, tokens as [text].
std::string cut(const std::vector<added_token>& tokens, std::string_view text, bool special = true) {
  std::string shown;
  std::size_t reached = 0;
  added_token_matcher(tokens).cut(text, special,
                                  [&](std::string_view part, const added_token* token, std::size_t begin) {
                                    CHECK(text.substr(begin, part.size()) == part);
                                    CHECK((token != nullptr || !part.empty()));
                                    if (!shown.empty()) shown += '|';
                                    if (token != nullptr) shown += '[';
                                    shown += part;
                                    if (token != nullptr) shown += ']';
                                    reached = begin + part.size();
                                  });
  CHECK(reached == text.size());
  return shown;
}

}  // namespace

TEST_CASE("added tokens are found at the leftmost place, the longest first") {
  const std::vector<added_token> tokens = {{"ab", 1}, {"abcd", 2}, {"bcde", 3}, {"<s>", 4}, {"<", 5}};
  CHECK(cut(tokens, "") == "");
  CHECK(cut(tokens, "xyz") == "xyz");
  CHECK(cut(tokens, "abcde") == "[abcd]|e");
  CHECK(cut(tokens, "abce") == "[ab]|ce");
  CHECK(cut(tokens, "xbcdex") == "x|[bcde]|x");
  CHECK(cut(tokens, "<s><<s") == "[<s>]|[<]|[<]|s");
  CHECK(cut(tokens, "abab") == "[ab]|[ab]");
  CHECK(cut({}, "abc") == "abc");
  CHECK(cut({{"", 1}}, "abc") == "abc");
  CHECK(cut({{"\xff\xfe", 1}}, "a\xff\xfe\xff") == "a|[\xff\xfe]|\xff");
}

TEST_CASE("special tokens may be plain text, and then hide what lies in them") {
  const std::vector<added_token> tokens = {{.content = "<a>", .id = 1, .special = true}, {.content = "a", .id = 2}};
  CHECK(cut(tokens, "<a>a") == "[<a>]|[a]");
  CHECK(cut(tokens, "<a>a", false) == "<a>|[a]");  // as Hugging Face's
}

TEST_CASE("a token may take the white space beside it") {
  CHECK(cut({{.content = "X", .id = 1, .lstrip = true}}, "a \n\xe2\x80\x83X b") == "a|[ \n\xe2\x80\x83X]| b");
  CHECK(cut({{.content = "X", .id = 1, .rstrip = true}},
            "a X \t\xc2\xa0"
            "b") == "a |[X \t\xc2\xa0]|b");
  CHECK(cut({{.content = "X", .id = 1, .lstrip = true, .rstrip = true}}, "  X  X X") == "[  X  ]|[X ]|[X]");
  CHECK(cut({{.content = "X", .id = 1, .lstrip = true}}, "X  ") == "[X]|  ");
}

TEST_CASE("a single word has no word character beside it") {
  const std::vector<added_token> word = {{.content = "ab", .id = 1, .single_word = true}};
  CHECK(cut(word, "ab ab, ab") == "[ab]| |[ab]|, |[ab]");
  CHECK(cut(word, "xab abx ab_ 1ab") == "xab abx ab_ 1ab");
  CHECK(cut(word,
            "\xc3\xa9"
            "ab ab\xcc\x81 \xe4\xb8\xad"
            "ab") ==
        "\xc3\xa9"
        "ab ab\xcc\x81 \xe4\xb8\xad"
        "ab");
  CHECK(cut(word,
            "\xf0\x9f\x98\x80"
            "ab-ab\xff") == "\xf0\x9f\x98\x80|[ab]|-|[ab]|\xff");
  CHECK(cut(word, "abab") == "abab");
}

TEST_CASE("of equal tokens the first is meant") {
  const added_token_matcher matcher({{"ab", 7}, {"abc", 9}, {"ab", 8}});
  std::vector<token_id> ids;
  matcher.cut("ab abc", true, [&](std::string_view, const added_token* token, std::size_t) {
    if (token != nullptr) ids.push_back(token->id);
  });
  CHECK(ids == std::vector<token_id>{7, 9});
}

TEST_CASE("a word character of four bytes is one") {
  const std::vector<added_token> word = {{.content = "ab", .id = 1, .single_word = true}};
  const std::string letter = "\xf0\xa0\x80\x80";
  CHECK(cut(word, letter + "ab") == letter + "ab");
  CHECK(cut(word, "ab" + letter) == "ab" + letter);
}
