// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The length of the longest common subsequence, 64 cells of the table at a time: a row of the table only ever rises by
/// 0 or 1 from cell to cell, and the rises are bits of words. [Crochemore et al. 2001; Hyyroe 2004]
#pragma once
#include "hone/eval/numbering.hpp"

#include <bit>

namespace HONE_NAMESPACE::eval {

namespace detail {

/// @p a holds numbers in [0, kinds), @p b these or negative ones, which match nothing.
inline index_t lcs_of_numbers(std::span<const std::int32_t> a, std::size_t kinds, std::span<const std::int32_t> b) {
  const std::size_t words = (a.size() + 63) / 64;
  std::vector<std::uint64_t> places(kinds * words, 0);  // of each kind in a
  for (std::size_t i = 0; i < a.size(); ++i)
    places[static_cast<std::size_t>(a[i]) * words + i / 64] |= std::uint64_t{1} << i % 64;
  std::vector<std::uint64_t> level(words, ~std::uint64_t{0});  // 0 where the row rises
  for (const std::int32_t token : b) {
    if (token < 0) continue;
    const std::uint64_t* match = places.data() + static_cast<std::size_t>(token) * words;
    std::uint64_t carry = 0;
    for (std::size_t w = 0; w < words; ++w) {
      const std::uint64_t old = level[w], both = old & match[w];
      const std::uint64_t sum = old + both, carried = sum + carry;
      carry = (sum < old) | (carried < sum);
      level[w] = carried | (old & ~match[w]);
    }
  }
  index_t length = 0;
  for (std::size_t w = 0; w < words; ++w) {
    const std::size_t left = a.size() - 64 * w;
    const std::uint64_t used = left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
    length += std::popcount(~level[w] & used);
  }
  return length;
}

}  // namespace detail

/// Of @p a and @p b, of any tokens that std::hash knows.
/// @note |a| |b| / 64 steps after numbering both; memory |a| (distinct tokens of a) / 8 bytes.
template <class Token>
index_t longest_common_subsequence(std::span<const Token> a, std::span<const Token> b) {
  numbering<Token> kinds(a.size());
  std::vector<std::int32_t> first, second;
  first.reserve(a.size());
  second.reserve(b.size());
  for (const Token& token : a) first.push_back(kinds.number(token));
  for (const Token& token : b) second.push_back(kinds.find(token));
  return detail::lcs_of_numbers(first, kinds.size(), second);
}

}  // namespace HONE_NAMESPACE::eval
