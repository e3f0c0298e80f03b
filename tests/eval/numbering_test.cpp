// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/numbering.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

#include <limits>
#include <map>
#include <set>

using namespace hone;
using namespace hone::eval;

TEST_CASE("keys are numbered in the order in which they come, and found again") {
  numbering<std::string_view> words;
  CHECK(words.size() == 0);
  CHECK(words.find("a") == numbering<std::string_view>::absent);
  CHECK(words.number("a") == 0);
  CHECK(words.number("") == 1);
  CHECK(words.number("a") == 0);
  CHECK(words.find("") == 1);
  CHECK(words.find("b") == -1);
  CHECK(words.size() == 2);
}

TEST_CASE("many keys keep their numbers while the table grows") {
  for (const std::uint64_t stride : {std::uint64_t{1}, std::uint64_t{1} << 20, std::uint64_t{1} << 33}) {
    numbering<std::uint64_t> kinds;
    std::map<std::uint64_t, std::int32_t> expected;
    for (std::uint64_t i = 0; i < 5000; ++i) {
      const std::uint64_t key = stride * (philox{1, 0}.bits(i)[0] % 2000);
      const auto next = static_cast<std::int32_t>(expected.size());
      CHECK(kinds.number(key) == expected.emplace(key, next).first->second);
    }
    CHECK(kinds.size() == expected.size());
    for (const auto& [key, value] : expected) CHECK(kinds.find(key) == value);
    CHECK(kinds.find(stride * 2000) == -1);
  }
}

TEST_CASE("equal n-grams have equal numbers, across sequences") {
  const std::vector<std::int32_t> a = {5, 6, 5, 6, 7}, b = {6, 7, 5, -1, -1};
  for (const index_t n : {1, 2, 3, 5}) {
    ngram_numbering grams(n);
    const auto x = grams(a), y = grams(b);
    REQUIRE(std::ssize(x) == 6 - n);
    REQUIRE(std::ssize(y) == 6 - n);
    std::map<std::vector<std::int32_t>, std::int32_t> expected;
    for (const auto& [tokens, numbers] : {std::pair(&a, &x), std::pair(&b, &y)})
      for (std::size_t i = 0; i < numbers->size(); ++i) {
        const std::vector<std::int32_t> gram(tokens->begin() + static_cast<index_t>(i),
                                             tokens->begin() + static_cast<index_t>(i) + n);
        CHECK(expected.emplace(gram, static_cast<std::int32_t>(expected.size())).first->second == (*numbers)[i]);
      }
    CHECK(grams.size() == expected.size());
  }
  // Tokens of all 32 bits.
  constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min(), most = -(least + 1);
  const std::vector<std::int32_t> extremes = {0, least, 1, 0, most, -1, 0, 1, least, 0, 2, 0};
  ngram_numbering pairs(2);
  const auto numbers = pairs(extremes);
  CHECK(std::set<std::int32_t>(numbers.begin(), numbers.end()).size() == 11);
  CHECK(pairs.size() == 11);
  ngram_numbering grams(6);
  CHECK(grams(a).empty());
  CHECK(grams({}).empty());
  CHECK_THROWS_WITH(ngram_numbering(0), "hone::eval::ngram_numbering: n: must be positive, is 0");
}
