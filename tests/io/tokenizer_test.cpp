// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/tokenizer.hpp"

#include "support/catch.hpp"

using namespace hone::io;

namespace {

using ids = std::vector<token_id>;

/// The 256 bytes in their alphabet, then the merges of @p pairs of letters.
tokenizer_parts byte_level(const std::vector<std::pair<std::string, std::string>>& pairs = {}) {
  tokenizer_parts parts;
  parts.byte_level = parts.decoding.byte_alphabet = true;
  const auto id_of = [&](const std::string& text) {
    const auto found =
        std::find_if(parts.pieces.begin(), parts.pieces.end(), [&](const auto& p) { return p.text == text; });
    return static_cast<token_id>(found - parts.pieces.begin());
  };
  for (const char16_t letter : byte_alphabet) {
    std::string text;
    append_utf8(text, letter);
    parts.pieces.push_back({text, true});
  }
  for (const auto& [left, right] : pairs) {
    parts.merges.push_back({id_of(left), id_of(right), static_cast<token_id>(parts.pieces.size())});
    parts.pieces.push_back({left + right, true});
  }
  return parts;
}

}  // namespace

TEST_CASE("text that is decoded token by token never ends inside a character, and is all of the text") {
  const tokenizer t(byte_level());
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\xff\xe2\x82q\xf0\x9f";
  text_stream stream(t);
  std::string shown;
  std::vector<std::string> parts;
  for (const token_id id : t.encode(text)) {
    const std::string part = stream(id);
    CHECK(whole_characters(part) == part.size());
    if (!part.empty()) parts.push_back(part);
    shown += part;
  }
  CHECK(parts ==
        std::vector<std::string>{"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "z", "\xff", "\xe2\x82q"});
  CHECK(stream.rest() == "\xf0\x9f");
  CHECK(stream.rest().empty());
  CHECK(shown + "\xf0\x9f" == text);
}

TEST_CASE("a stream goes on where the ids before it end") {
  tokenizer_parts parts;
  for (const char* text : {"<s>", "_", "_a", "b"}) parts.pieces.push_back({text, true});
  parts.added = {{.content = "<s>", .id = 0, .special = true}};
  parts.bos = 0;
  parts.decoding = {.replace = {{"_", " "}}, .strip = " ", .strip_most = 1};
  const tokenizer t(parts);
  CHECK(t.decode(ids{0, 2, 2}) == "a a");
  CHECK(text_stream(t)(2) == "a");
  CHECK(text_stream(t, ids{0})(2) == "a");
  CHECK(text_stream(t, ids{0}, false)(2) == " a");
  CHECK(text_stream(t, ids{3})(2) == " a");
  text_stream stream(t);
  CHECK(stream(1).empty());
  CHECK(stream(1) == " ");
  CHECK_THROWS_AS(stream(4), std::invalid_argument);
  CHECK_THROWS_AS(text_stream(t, ids{-1}), std::invalid_argument);

  parts.pieces[2].text = " a";
  parts.decoding = {.strip = " ", .strip_after_begin = true};
  const tokenizer after(parts);
  CHECK(after.decode(ids{2, 2}) == " a a");
  CHECK(after.decode(ids{0, 2, 2}) == "a a");
  CHECK(text_stream(after, ids{0, 3})(2) == " a");
}

TEST_CASE("added tokens are cut out before and after normalization") {
  tokenizer_parts parts = byte_level();
  parts.pieces.resize(260);
  parts.normalizer = {{.is = normalizer_step::kind::form_c}};
  parts.added = {{.content = "e\xcc\x81", .id = 256, .normalized = true},  // é, in two characters
                 {.content = "o\xcc\x81", .id = 257, .normalized = false},
                 {.content = "<x>", .id = 258, .special = true}};
  const tokenizer t(parts);
  CHECK(t.encode("\xc3\xa9") == ids{256});
  CHECK(t.encode("e\xcc\x81") == ids{256});
  CHECK(t.encode("o\xcc\x81") == ids{257});
  CHECK(t.encode("\xc3\xb3") == ids{0xc3, 0xb3});
  CHECK(t.text(256) == "\xc3\xa9");
  CHECK(t.encode("<x>") == ids{258});
  CHECK(t.encode("<x>", {.parse_special = false}) == ids{'<', 'x', '>'});
  CHECK(t.decode(ids{258, 'a'}) == "a");
}

TEST_CASE("the vocabulary as its own cache gives what merging gives") {
  // "abc" is a piece that merges do not reach from its letters: b and c merge first, and a has no pair with bc.
  const tokenizer t(byte_level({{"b", "c"}, {"a", "b"}, {"ab", "c"}, {"x", "y"}, {"xy", "z"}}));
  CHECK(t.encode("abc") == ids{'a', 256});
  CHECK(t.encode("xyz") == ids{260});
  CHECK(t.encode("ab") == ids{257});
}

TEST_CASE("words are merged apart only where no merge crosses their begin") {
  const auto with = [](std::vector<std::string> pieces, const std::string& text) {
    tokenizer_parts parts;
    for (const auto& p : pieces)
      parts.pieces.push_back({p, true}), parts.scores.push_back(static_cast<float>(p.size()));
    parts.word_begin = "_";
    return tokenizer(parts).encode(text);
  };
  CHECK(with({"_", "a", "_a", "__"}, "a_a__a_") == ids{1, 2, 3, 1, 0});
  CHECK(with({"_", "a", "_a", "a_", "a_a"}, "a_a") == ids{4});  // a_ crosses
  CHECK(with({"a", "a_"}, "a_a") == ids{0, 0});                 // nothing stands for the mark
  // What stands for other characters may be the mark itself, and then merges with it.
  tokenizer_parts parts;
  for (const char* text : {"_", "a", "_a", "__"})
    parts.pieces.push_back({text, true}), parts.scores.push_back(static_cast<float>(std::string_view(text).size()));
  parts.word_begin = "_";
  parts.unknown = 0;
  CHECK(tokenizer(parts).encode("x_") == ids{3});
  parts.unknown = 1;
  CHECK(tokenizer(parts).encode("x_") == ids{1, 0});
  parts.byte_ids.assign(256, 1);
  parts.byte_ids['x'] = 0;
  CHECK(tokenizer(parts).encode("x_") == ids{3});
}

TEST_CASE("nothing, and unknown bytes without a token for them") {
  const tokenizer t(byte_level());
  CHECK(t.encode("").empty());
  CHECK(t.decode({}).empty());
  tokenizer_parts parts;
  parts.pieces = {{"a", true}};
  parts.byte_level = true;
  CHECK(tokenizer(parts).encode("ab\xff"
                                "a") == ids{0, 0});
  parts.unknown = 0;
  CHECK(tokenizer(parts).encode("bb") == ids{0, 0});
}
