// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/byte_pairs.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

using namespace hone::io;

namespace {

using rules = std::vector<merge_table::rule>;

/// The definition: the whole text is looked through for every merge.
std::vector<token_id> by_definition(std::vector<token_id> symbols, const rules& merges) {
  for (;;) {
    std::size_t best = merges.size(), where = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
      for (std::size_t rank = 0; rank < best; ++rank)
        if (merges[rank].left == symbols[i] && merges[rank].right == symbols[i + 1]) best = rank, where = i;
    if (best == merges.size()) return symbols;
    symbols[where] = merges[best].merged;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
}

std::vector<token_id> merged(std::vector<token_id> symbols, const rules& merges) {
  merge_scratch scratch;
  merge_pairs(symbols, merge_table(merges), scratch);
  return symbols;
}

}  // namespace

TEST_CASE("pairs merge in the order of their ranks, the leftmost of equals first") {
  const rules merges = {{0, 1, 10}, {10, 2, 11}, {1, 0, 12}, {0, 0, 13}};
  CHECK(merged({0, 1, 2}, merges) == std::vector<token_id>{11});
  CHECK(merged({1, 0, 1}, merges) == std::vector<token_id>{1, 10});
  CHECK(merged({1, 0}, merges) == std::vector<token_id>{12});
  CHECK(merged({0, 0, 0}, merges) == std::vector<token_id>{13, 0});
  CHECK(merged({}, merges).empty());
  CHECK(merged({5}, merges) == std::vector<token_id>{5});
  CHECK(merged({5, 6, 7}, {}) == std::vector<token_id>{5, 6, 7});
}

TEST_CASE("merging equals its definition on random rules, with one memory for all words") {
  merge_scratch scratch;
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    const hone::philox random{seed};
    const auto pick = [&](std::uint64_t index, token_id count) {
      return static_cast<token_id>(random.uniform(index) * count);
    };
    rules merges;  // pairs of anything made before, so that later merges feed on earlier ones and against their order
    for (std::uint64_t i = 0; i < 20; ++i) {
      const token_id left = pick(3 * i, 3 + static_cast<token_id>(i)), right = pick(3 * i + 1, 3);
      const bool known =
          std::any_of(merges.begin(), merges.end(), [&](const auto& m) { return m.left == left && m.right == right; });
      if (!known) merges.push_back({left, right, 3 + static_cast<token_id>(i)});
    }
    std::reverse(merges.begin(), merges.begin() + static_cast<std::ptrdiff_t>(merges.size() / 2));
    const merge_table table(merges);
    for (std::uint64_t length = 0; length < 40; ++length) {
      std::vector<token_id> symbols;
      for (std::uint64_t i = 0; i < length; ++i) symbols.push_back(pick(1000 + 64 * length + i, 3));
      const auto expected = by_definition(symbols, merges);
      merge_pairs(symbols, table, scratch);
      REQUIRE(symbols == expected);
    }
  }
}

TEST_CASE("the table knows its pairs and no other; of a pair that comes twice the last counts") {
  rules merges;
  for (token_id i = 0; i < 1000; ++i) merges.push_back({i, 7 * i % 1000, 1000 + i});
  const merge_table table(merges);
  for (token_id i = 0; i < 1000; ++i) {
    REQUIRE(table(i, 7 * i % 1000)->merged == 1000 + i);
    REQUIRE(table(i, 7 * i % 1000)->rank == i);
    REQUIRE_FALSE(table(i, 7 * i % 1000 + 1));
  }
  CHECK_FALSE(merge_table()(0, 0));
  const merge_table twice(rules{{1, 2, 3}, {4, 5, 6}, {1, 2, 7}});
  CHECK(twice(1, 2)->merged == 7);
  CHECK(twice(1, 2)->rank == 2);
  const token_id most = (std::numeric_limits<token_id>::max)();
  CHECK(merge_table(rules{{most, most, most}})(most, most)->merged == most);
}

TEST_CASE("a million equal symbols merge") {
  rules merges;
  for (token_id i = 0; i < 19; ++i) merges.push_back({i, i, i + 1});
  CHECK(merged(std::vector<token_id>(1 << 20, 0), merges) == std::vector<token_id>{19, 19});
  // One that only ever grows at the left end.
  CHECK(merged(std::vector<token_id>(1000000, 0), {{0, 0, 1}, {1, 0, 1}}).size() == 500000);
}
