// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/tokenizer_bin.hpp"

#include "hone/core/random.hpp"
#include "io/support.hpp"
#include "io/tokenizer_bin_reference.hpp"
#include "support/data.hpp"

#include <cstdint>
#include <limits>

using namespace hone::io;

namespace {

constexpr encode_options bare{.add_special = false};
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

/// The three special tokens and the 256 bytes, with which every vocabulary begins.
std::vector<token> base_vocabulary() {
  std::vector<token> tokens = {{"<unk>", 0}, {"\n<s>\n", 0}, {"\n</s>\n", 0}};
  for (int byte = 0; byte < 256; ++byte) {
    char piece[8];
    std::snprintf(piece, sizeof piece, "<0x%02X>", static_cast<unsigned>(byte));
    tokens.push_back({piece, 0});
  }
  return tokens;
}

/// Every string of one to three of space, a, b and é, in an order and with scores that @p seed shuffles; scores repeat.
std::vector<token> synthetic_vocabulary(std::uint32_t seed) {
  const std::vector<std::string> letters = {" ", "a", "b", "\xc3\xa9"};
  std::vector<std::string> pieces = letters;
  for (const auto& x : letters)
    for (const auto& y : letters) {
      pieces.push_back(x + y);
      for (const auto& z : letters) pieces.push_back(x + y + z);
    }
  const hone::philox random{seed};
  for (std::size_t i = pieces.size() - 1; i > 0; --i)
    std::swap(pieces[i], pieces[static_cast<std::size_t>(random.uniform(i) * static_cast<double>(i + 1))]);
  std::vector<token> tokens = base_vocabulary();
  for (std::size_t i = 0; i < pieces.size(); ++i)
    if (pieces[i].size() == 1 || random.uniform(i, 1) < 0.7)
      tokens.push_back({pieces[i], static_cast<float>(static_cast<int>(random.uniform(i, 2) * 4))});
  return tokens;
}

std::string random_text(const std::string& alphabet, std::size_t length, std::uint32_t stream) {
  const hone::philox random{1, stream};
  std::string text;
  for (std::size_t i = 0; i < length; ++i)
    text += alphabet[static_cast<std::size_t>(random.uniform(i) * static_cast<double>(alphabet.size()))];
  return text;
}

std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}

tokenizer of(const std::vector<token>& tokens) {
  return parse_tokenizer_bin(tokenizer_bytes(tokens), std::ssize(tokens), "tokenizer.bin");
}

std::optional<format_error> error_of(const byte_vector& bytes, std::optional<hone::index_t> vocab) {
  const auto error = format_error_of([&] { (void)parse_tokenizer_bin(bytes, vocab, "tokenizer.bin"); });
  if (error) {
    CHECK(error->file() == "tokenizer.bin");
    CHECK(error->where().in == (vocab && *vocab < 3 ? position::unit::none : position::unit::byte));
    CHECK(error->where().at <= bytes.size());
  }
  return error;
}

/// The first paragraph that stories260K writes, and its ids.
const std::string lily =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball. She wanted to play with it, but it was too high.\nLily's mom said, \"Lily, let's go to the park.\" "
    "Lily was sad and didn't know what to do.";
const std::vector<token_id> lily_ids = {
    1,   403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396, 267, 337,
    410, 408, 419, 292, 411, 322, 265, 282, 295, 433, 426, 385, 328, 432, 358, 394, 261, 370, 432, 352, 266,
    268, 388, 426, 338, 391, 266, 267, 337, 335, 312, 432, 398, 312, 286, 267, 414, 270, 333, 415, 426, 13,
    438, 310, 439, 419, 357, 336, 432, 313, 438, 310, 432, 278, 316, 439, 419, 298, 414, 267, 265, 282, 295,
    433, 426, 436, 317, 286, 296, 418, 269, 279, 292, 416, 439, 413, 409, 416, 327, 263};

}  // namespace

TEST_CASE("the best pair is merged first, the leftmost of equals") {
  auto tokens = base_vocabulary();
  for (const token& t : std::vector<token>{{"a", 0}, {"b", 0}, {"ab", 1}, {"ba", 2}, {"aa", 1}, {"aba", 3}})
    tokens.push_back(t);
  const tokenizer t = of(tokens);
  const token_id a = 259, b = 260, ab = 261, ba = 262, aa = 263, aba = 264;
  CHECK(t.encode("ab", bare) == std::vector{ab});
  CHECK(t.encode("aba", bare) == std::vector{aba});  // a, ba first
  CHECK(t.encode("aaa", bare) == std::vector{aa, a});
  CHECK(t.encode("bb", bare) == std::vector{b, b});
  CHECK(t.encode("baab", bare) == std::vector{ba, ab});
}

TEST_CASE("encoding equals the definition on vocabularies whose scores repeat") {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const auto tokens = synthetic_vocabulary(seed);
    const tokenizer t = of(tokens);
    const reference_tokenizer reference(tokens);
    for (std::uint32_t i = 0; i < 20; ++i) {
      for (const std::string alphabet : {"ab", " ab\xc3\xa9", "a\xc3\xa9\x80\xf0"}) {
        const std::string text = random_text(alphabet, 5 * i, 100 * seed + i);
        REQUIRE(t.encode(text, bare) == reference.encode(text));
        REQUIRE(t.decode(t.encode(text)) == text);
      }
    }
  }
}

TEST_CASE("encoding equals the definition on random bytes, and decoding gives them back") {
  const auto tokens = synthetic_vocabulary(3);
  const tokenizer t = of(tokens);
  const reference_tokenizer reference(tokens);
  for (std::uint32_t i = 0; i < 50; ++i) {
    const std::string text = random_text(all_bytes(), 4 * i, i);
    REQUIRE(t.encode(text, bare) == reference.encode(text));
    REQUIRE(t.decode(t.encode(text)) == text);
  }
}

TEST_CASE("infinite scores are ordered like others") {
  auto tokens = base_vocabulary();
  for (const token& t : std::vector<token>{{"a", 0}, {"b", 0}, {"c", 0}, {"ab", -infinity}, {"bc", infinity}})
    tokens.push_back(t);
  CHECK(of(tokens).encode("abcab", bare) == std::vector<token_id>{259, 263, 262});
  CHECK(of(tokens).encode("abcab", bare) == reference_tokenizer(tokens).encode("abcab"));
}

TEST_CASE("begin of text is put in front of the ids; it and the end stand for no text") {
  const tokenizer t = of(synthetic_vocabulary(0));
  CHECK(t.bos() == 1);
  CHECK(t.eos() == 2);
  CHECK(t.encode("") == std::vector<token_id>{1});
  CHECK(t.encode("", bare).empty());
  const auto plain = t.encode("abba", bare);
  auto both = t.encode("abba");
  CHECK(std::vector(both.begin() + 1, both.end()) == plain);
  both.push_back(2);
  CHECK(t.decode(both, false) == "\n<s>\nabba\n</s>\n");
  CHECK(t.decode(both) == "abba");
  CHECK(t.decode(plain) == " abba");
  CHECK(t.decode({}).empty());
}

TEST_CASE("spaces at the begin of a text are kept, all but the one that encoding adds") {
  const tokenizer t = of(synthetic_vocabulary(1));
  for (const std::string text : {" ", "  ", "   a", "a ", " \n"}) CHECK(t.decode(t.encode(text)) == text);
}

TEST_CASE("a vocabulary without a space puts none in front") {
  auto tokens = base_vocabulary();
  tokens.push_back({"a", 0});
  CHECK(of(tokens).encode("a b", bare) == std::vector<token_id>{259, 3 + ' ', 3 + 'b'});
  CHECK(of(tokens).decode(of(tokens).encode("a b")) == "a b");
}

TEST_CASE("a byte that has no token is unknown") {
  const tokenizer t = of({{"<unk>", 0}, {"<s>", 0}, {"</s>", 0}, {"<0x00>", 0}, {"a", 0}});
  CHECK(t.encode(std::string("a\0z", 3), bare) == std::vector<token_id>{4, 3, 0});
}

TEST_CASE("of equal pieces the first is meant") {
  auto tokens = base_vocabulary();
  tokens.push_back({"a", 0});
  tokens.push_back({"a", 5});
  CHECK(of(tokens).encode("a", bare) == std::vector<token_id>{259});
}

TEST_CASE("a character is a byte and at most three continuation bytes") {
  auto tokens = base_vocabulary();
  for (const char* piece : {"\xf0\x9f\x98\x80", "\x80\x80\x80\x80", "\xe2\x82"}) tokens.push_back({piece, 0});
  const tokenizer t = of(tokens);
  CHECK(t.encode("\xf0\x9f\x98\x80", bare) == std::vector<token_id>{259});
  CHECK(t.encode("\x80\x80\x80\x80\x80", bare) == std::vector<token_id>{260, 3 + 0x80});
  CHECK(t.encode("\xe2\x82", bare) == std::vector<token_id>{261});
  CHECK(t.encode("\xe2\x82\xac", bare) == std::vector<token_id>{3 + 0xe2, 3 + 0x82, 3 + 0xac});
}

TEST_CASE("a token decodes to its bytes, a byte token to its byte, what only looks like one to itself") {
  auto tokens = base_vocabulary();
  for (const char* piece : {" a", "<0xZZ>", "<0xab>", "<0x41", "<0x4>>>"}) tokens.push_back({piece, 0});
  const tokenizer t = of(tokens);
  for (token_id byte = 0; byte < 256; ++byte) CHECK(t.text(3 + byte) == std::string(1, static_cast<char>(byte)));
  CHECK(t.text(259) == " a");
  CHECK(t.decode(std::vector<token_id>{259}) == " a");
  CHECK(t.decode(std::vector<token_id>{1, 259, 259}) == "a a");
  CHECK(t.decode(std::vector<token_id>{1, 3 + ' '}) == " ");  // as run.c, which looks at the piece
  CHECK(t.text(260) == "<0xZZ>");
  CHECK(t.text(261) == "<0xab>");
  CHECK(t.text(262) == "<0x41");
  CHECK(t.text(263) == "<0x4>>>");
  CHECK(t.piece(3) == "<0x00>");
  CHECK(t.text(0) == "<unk>");
}

TEST_CASE("an id that is not in the vocabulary is misuse") {
  const tokenizer t = of(base_vocabulary());
  CHECK(t.vocab() == 259);
  for (const token_id bad : {-1, 259, (std::numeric_limits<token_id>::max)(), (std::numeric_limits<token_id>::min)()}) {
    CHECK_THROWS_AS(t.piece(bad), std::invalid_argument);
    CHECK_THROWS_AS(t.text(bad), std::invalid_argument);
    CHECK_THROWS_AS(t.decode(std::vector{bad}), std::invalid_argument);
  }
  CHECK_THROWS_WITH(t.piece(259), Catch::Contains("must be in [0, 259), is 259"));
}

TEST_CASE("a tokenizer cut short anywhere, or longer, or of another vocabulary, is refused") {
  const auto tokens = synthetic_vocabulary(2);
  const auto vocab = static_cast<hone::index_t>(tokens.size());
  byte_vector bytes = tokenizer_bytes(tokens);
  for (std::size_t length = 0; length < bytes.size(); ++length)
    REQUIRE(error_of({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)}, vocab));
  CHECK_THAT(error_of(bytes, vocab - 1)->reason(), Catch::Contains("bytes follow the model's"));
  CHECK(error_of(bytes, vocab + 1)->where().at == bytes.size());
  CHECK_THAT(error_of(bytes, vocab + 1)->reason(), Catch::Contains("the file ends after " + std::to_string(vocab)));
  for (const hone::index_t bad :
       {hone::index_t{-1}, hone::index_t{0}, hone::index_t{2}, (std::numeric_limits<hone::index_t>::max)()})
    CHECK(error_of(bytes, bad));
  CHECK_FALSE(error_of(bytes, vocab));
  CHECK_FALSE(error_of(bytes, std::nullopt));
  bytes.push_back({});
  CHECK(error_of(bytes, vocab));
  CHECK(error_of(bytes, std::nullopt)->reason() == "the file ends after " + std::to_string(vocab) + " tokens");
}

TEST_CASE("without a model a tokenizer has as many tokens as its file") {
  const auto tokens = synthetic_vocabulary(4);
  CHECK(parse_tokenizer_bin(tokenizer_bytes(tokens), std::nullopt, "tokenizer.bin").vocab() == std::ssize(tokens));
  for (std::size_t count = 0; count < 3; ++count) {
    const std::vector<token> few(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count));
    CHECK(error_of(tokenizer_bytes(few), std::nullopt));
  }
}

TEST_CASE("token lengths of zero, negative, or beyond the longest, and scores that are NaN, are refused") {
  const byte_vector good = tokenizer_bytes({{"<unk>", 0}, {"<s>", 0}, {"</s>", 0}});
  const auto with = [&](std::size_t offset, auto value) {
    byte_vector bytes = good, raw;
    append_little_endian(raw, value);
    std::copy(raw.begin(), raw.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    return error_of(bytes, 3);
  };
  CHECK_FALSE(with(4, 1.0f));
  CHECK_FALSE(with(0, std::int32_t{1 << 16}));
  const auto min = (std::numeric_limits<std::int32_t>::min)(), max = (std::numeric_limits<std::int32_t>::max)();
  for (const std::int32_t length : {0, -1, 6, min, max}) {
    const auto error = with(8, length);
    REQUIRE(error);
    CHECK(error->where().at == 8);
    CHECK(error->reason() == "token 0 has " + std::to_string(length) + " bytes, must have 1 to 5");
  }
  for (const std::int32_t longest : {0, -1, min, max, (1 << 16) + 1}) {
    const auto error = with(0, longest);
    REQUIRE(error);
    CHECK(error->where().at == 0);
  }
  CHECK(with(0, 4));  // shorter than the tokens
  CHECK(with(4, not_a_number)->reason() == "the score of token 0 is not a number");
  CHECK(with(17, not_a_number)->where().at == 17);
}

TEST_CASE("a text of a hundred thousand equal characters is encoded") {
  auto tokens = base_vocabulary();
  std::string piece = "a";
  for (int i = 0; i < 6; ++i, piece += piece) tokens.push_back({piece, 0});
  const tokenizer t = of(tokens);
  const std::string text(100000, 'a');
  const auto ids = t.encode(text);
  CHECK(ids.size() == 1 + 100000 / 32);
  CHECK(t.decode(ids) == text);
}

TEST_CASE("tok512 gives the ids of stories260K's first paragraph, and the text of its ids") {
  const auto path = data_file("tinystories/tok512.bin");
  if (!path) return;
  const tokenizer t = read_tokenizer_bin(*path, 512);
  const auto ids = t.encode(lily);
  REQUIRE(ids.size() >= lily_ids.size());
  CHECK(std::vector(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(lily_ids.size())) == lily_ids);
  CHECK(lily.starts_with(t.decode(lily_ids)));
  CHECK(t.decode(ids) == lily);
}

TEST_CASE("tok512 encodes like the definition: texts, random bytes, invalid UTF-8") {
  const auto path = data_file("tinystories/tok512.bin");
  if (!path) return;
  const tokenizer t = read_tokenizer_bin(*path, 512);
  const reference_tokenizer reference(tokens_of(read_file(*path)));
  std::vector<std::string> texts = {"",
                                    " ",
                                    "  ",
                                    lily,
                                    "caf\xc3\xa9 \xe2\x80\x9cquoted\xe2\x80\x9d \xf0\x9f\x98\x80",
                                    "\xe2\x80",
                                    "\xff\xfe\xc0\x80\xf5",
                                    std::string("a\0b", 3)};
  for (std::uint32_t i = 0; i < 40; ++i) {
    texts.push_back(random_text(" etaoinshrdlu", 6 * i, i));
    texts.push_back(random_text(lily, 6 * i, i));
    texts.push_back(random_text(all_bytes(), 6 * i, i));
    texts.push_back(random_text("he\xe2\x80\x9c\x9d\xc3\xa9", 6 * i, i));
  }
  for (const std::string& text : texts) {
    REQUIRE(t.encode(text, bare) == reference.encode(text));
    REQUIRE(t.decode(t.encode(text)) == text);
  }
}

TEST_CASE("tok512 is not the tokenizer of 511 or 513 tokens") {
  const auto path = data_file("tinystories/tok512.bin");
  if (!path) return;
  for (const hone::index_t vocab : {511, 513}) {
    CHECK_THROWS_AS(read_tokenizer_bin(*path, vocab), format_error);
    CHECK_THROWS_WITH(read_tokenizer_bin(*path, vocab), Catch::Contains(path->string() + ": at byte "));
  }
}
