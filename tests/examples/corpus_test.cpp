// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "diffuse/corpus.hpp"

#include "support/catch.hpp"

using namespace diffuse;

TEST_CASE("corpus: what is held out of a text is never drawn, and all that is left may be") {
  std::vector<std::int32_t> tokens(503);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i);
  const corpus text(10, tokens, 0, "file");
  const auto held = text.held_out(128);
  CHECK(std::ssize(held.offsets) - 1 == 5);  // a tenth of the text has five
  std::vector<std::uint8_t> kept(tokens.size());
  for (const std::int32_t t : held.tokens) kept[static_cast<std::size_t>(t)] = 1;
  std::int32_t most = 0, least = 1000;
  for (long step = 1; step <= 200; ++step)
    for (const std::int32_t t : text.draw(1, step, 8).tokens) {
      REQUIRE(kept[static_cast<std::size_t>(t)] == 0);
      most = (std::max)(most, t);
      least = (std::min)(least, t);
    }
  CHECK(least == 0);
  CHECK(most == 452);
  CHECK(text.draw(1, 3, 8).tokens == text.draw(1, 3, 8).tokens);
  CHECK(text.draw(1, 3, 8).tokens != text.draw(1, 4, 8).tokens);
  CHECK_FALSE(text.entropy_of(held));
}

TEST_CASE("corpus: a text is two sequences at least") {
  CHECK_THROWS_WITH(corpus(10, std::vector<std::int32_t>(9), 0, "short.txt"),
                    Catch::Contains("short.txt: has 9 tokens, fewer than a sequence of --length 10"));
  CHECK_THROWS_WITH(corpus(10, std::vector<std::int32_t>(19), 0, "short.txt"), Catch::Contains("none is left"));
  const corpus least(10, std::vector<std::int32_t>(20), 0, "short.txt");
  CHECK(std::ssize(least.held_out(4).offsets) - 1 == 1);
  CHECK(least.draw(1, 1, 3).tokens.size() == 30);
}

TEST_CASE("corpus: the grammar's sentences have the entropy that the source says") {
  const corpus text(16);
  const auto held = text.held_out(200);
  CHECK(held.tokens == text.held_out(200).tokens);
  REQUIRE(text.entropy_of(held));
  CHECK(*text.entropy_of(held) == Approx(grammar::entropy(16) + std::log(8.0) / 16).margin(0.1));
}

TEST_CASE("alphabet: words and bytes come back from the tokenizers that are written") {
  const alphabet words(false, ""), bytes(true, "");
  CHECK(words.vocab() == 33);
  CHECK(bytes.vocab() == 257);
  for (std::int32_t i = 0; i < 32; ++i) {
    CHECK(words.encode(std::string(" ") + grammar::word(i)) == std::vector<std::int32_t>{i});
    CHECK(words.tokens().decode(std::vector<std::int32_t>{i}) == std::string(" ") + grammar::word(i));
  }
  CHECK(words.encode("the old fox") == std::vector<std::int32_t>{0, 8, 16});
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const auto ids = bytes.encode(all);
  REQUIRE(ids.size() == 256);
  for (std::int32_t i = 0; i < 256; ++i) CHECK(ids[static_cast<std::size_t>(i)] == i);
  CHECK(bytes.tokens().decode(ids) == all);
  CHECK(bytes.tokens().encode("a \n<b", {.add_special = false, .parse_special = false}) == bytes.encode("a \n<b"));
}
