// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/lcs.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

#include <string>

using namespace hone;
using namespace hone::eval;

namespace {

using tokens = std::vector<std::int32_t>;

index_t by_table(const tokens& a, const tokens& b) {
  std::vector<std::vector<index_t>> table(a.size() + 1, std::vector<index_t>(b.size() + 1, 0));
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j)
      table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1 : (std::max)(table[i - 1][j], table[i][j - 1]);
  return table[a.size()][b.size()];
}

index_t lcs(const tokens& a, const tokens& b) {
  return longest_common_subsequence(std::span<const std::int32_t>(a), std::span<const std::int32_t>(b));
}

tokens random_tokens(std::uint32_t stream, std::size_t count, std::uint32_t kinds) {
  tokens t;
  for (std::size_t i = 0; i < count; ++i)
    t.push_back(static_cast<std::int32_t>(philox{9, stream}.bits(i)[0] % kinds) - 1);
  return t;
}

}  // namespace

TEST_CASE("LCS is that of the table, around the borders of words and for few and many kinds") {
  std::uint32_t stream = 0;
  for (const std::size_t n : {0u, 1u, 2u, 63u, 64u, 65u, 127u, 128u, 129u, 200u})
    for (const std::size_t m : {0u, 1u, 3u, 64u, 65u, 150u})
      for (const std::uint32_t kinds : {1u, 2u, 5u, 100u}) {
        const tokens a = random_tokens(++stream, n, kinds), b = random_tokens(++stream, m, kinds);
        INFO(n << " and " << m << " of " << kinds);
        CHECK(lcs(a, b) == by_table(a, b));
        CHECK(lcs(b, a) == lcs(a, b));
      }
}

TEST_CASE("LCS of equal, reversed and foreign sequences") {
  const tokens a = random_tokens(1, 300, 1000);
  CHECK(lcs(a, a) == 300);
  CHECK(lcs(a, {-5, -6}) == 0);
  CHECK(lcs(tokens(130, 7), tokens(70, 7)) == 70);
  tokens distinct(100), backwards;
  for (std::size_t i = 0; i < distinct.size(); ++i) distinct[i] = static_cast<std::int32_t>(i);
  backwards.assign(distinct.rbegin(), distinct.rend());
  CHECK(lcs(distinct, backwards) == 1);
}

TEST_CASE("LCS: a carry goes through words that have no match") {
  for (const std::size_t between : {63u, 64u, 65u, 128u, 192u}) {
    tokens a(64, 0);
    a.insert(a.end(), between, 1);
    a.insert(a.end(), 70, 0);
    for (const tokens& b : {tokens{0}, tokens{0, 0}, tokens(100, 0), tokens{1, 0}, tokens{0, 1, 0, 0}}) {
      CHECK(lcs(a, b) == by_table(a, b));
      CHECK(lcs(b, a) == by_table(a, b));
    }
  }
}

TEST_CASE("LCS of words") {
  const std::vector<std::string> a = {"the", "cat", "sat"}, b = {"the", "sat", "cat", "sat"};
  CHECK(longest_common_subsequence(std::span(a), std::span(b)) == 3);
}
