// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What plans, counts, borders and masks of tokens must hold to, and who competes by a mask.
#pragma once
#include "hone/moe/plan.hpp"

#include <iterator>
#include <span>

namespace HONE_NAMESPACE::moe::detail {

inline bool competing(std::span<const std::uint8_t> competes, index_t t) {
  return competes.empty() || competes[static_cast<std::size_t>(t)] != 0;
}

inline index_t count_competing(std::span<const std::uint8_t> competes, index_t begin, index_t end) {
  index_t count = 0;
  for (index_t t = begin; t < end; ++t) count += competing(competes, t) ? 1 : 0;
  return count;
}

template <class T>
void check_plan(const routing_plan<T>& plan, const char* function) {
  invalid_argument_unless(std::ssize(plan.offsets) == plan.experts + 1 &&
                              std::ssize(plan.token_offsets) == plan.tokens + 1 &&
                              plan.slot.size() == plan.token.size(),
                          function, "plan", "has %zu and %zu borders for %td experts and %td tokens",
                          plan.offsets.size(), plan.token_offsets.size(), plan.experts, plan.tokens);
}

inline void check_competes(std::span<const std::uint8_t> competes, index_t tokens, const char* function) {
  invalid_argument_unless(competes.empty() || std::ssize(competes) == tokens, function, "competes",
                          "has %zu elements, there are %td tokens", competes.size(), tokens);
}

inline void check_counts(std::span<const index_t> counts, index_t experts, const char* function) {
  invalid_argument_unless(std::ssize(counts) == experts, function, "counts", "has %zu elements for %td experts",
                          counts.size(), experts);
  for (std::size_t e = 0; e < counts.size(); ++e)
    invalid_argument_unless(counts[e] >= 0, function, "counts", "that of expert %zu is negative: %td", e, counts[e]);
}

/// @p borders ascend from 0 to @p tokens.
inline void check_borders(std::span<const index_t> borders, index_t tokens, const char* function,
                          const char* argument) {
  invalid_argument_unless(!borders.empty() && borders.front() == 0 && borders.back() == tokens, function, argument,
                          "must be borders from 0 to the number of tokens, %td", tokens);
  for (std::size_t i = 1; i < borders.size(); ++i)
    invalid_argument_unless(borders[i - 1] <= borders[i], function, argument, "%zu ends before it begins", i - 1);
}

}  // namespace HONE_NAMESPACE::moe::detail
