// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The merges of byte-pair encoding: of all adjacent pairs that may be merged the one of the least rank is, the
/// leftmost of equals, until none is left. [Gage 1994; Sennrich et al. 2016, arXiv 1508.07909]
#pragma once
#include "hone/core/flags.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::io {

using token_id = std::int32_t;

/// What a pair becomes, and when.
struct pair_merge {
  double rank;  ///< the less, the sooner
  token_id merged;
};

/// Memory that merging uses, to be kept from word to word.
struct merge_scratch {
  struct node {
    token_id id;
    std::size_t previous, next;
  };
  struct candidate {
    double rank;
    std::size_t left;
    token_id left_id, right_id, merged;
    /// For a heap whose top is the least.
    bool operator<(const candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };
  std::vector<node> nodes;
  std::vector<candidate> heap;
};

/// Merges @p symbols in place. @p merge_of(left, right) gives the `pair_merge` of two ids, if they have one.
/// @note O(n log n) and at most 3 n calls of merge_of for n symbols; deterministic.
template <class MergeOf>
void merge_pairs(std::vector<token_id>& symbols, const MergeOf& merge_of, merge_scratch& scratch) {
  constexpr token_id gone = -1;
  auto& nodes = scratch.nodes;
  auto& heap = scratch.heap;
  const std::size_t n = symbols.size();
  nodes.clear();
  heap.clear();
  for (std::size_t i = 0; i < n; ++i) nodes.push_back({symbols[i], i - 1, i + 1});
  const auto consider = [&](std::size_t left) {
    if (left >= n || nodes[left].next >= n) return false;
    const token_id left_id = nodes[left].id, right_id = nodes[nodes[left].next].id;
    const std::optional<pair_merge> merge = merge_of(left_id, right_id);
    if (merge) heap.push_back({merge->rank, left, left_id, right_id, merge->merged});
    return merge.has_value();
  };
  for (std::size_t i = 0; i < n; ++i) consider(i);
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    const auto best = heap.front();
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
    merge_scratch::node& left = nodes[best.left];
    const std::size_t right = left.next;
    // A pair whose symbols have changed since is stale.
    if (left.id != best.left_id || right >= n || nodes[right].id != best.right_id) continue;
    left.id = best.merged;
    left.next = nodes[right].next;
    nodes[right].id = gone;
    if (left.next < n) nodes[left.next].previous = best.left;
    if (consider(left.previous)) std::push_heap(heap.begin(), heap.end());
    if (consider(best.left)) std::push_heap(heap.begin(), heap.end());
  }
  symbols.clear();
  for (std::size_t i = 0; i < n; i = nodes[i].next) symbols.push_back(nodes[i].id);
}

/// Merges by their ids: a table with open addressing, at most half full.
class merge_table {
 public:
  struct rule {
    token_id left, right, merged;
  };

  /// The ranks are the places in @p rules; of a pair that comes twice the last counts. Ids must not be negative.
  explicit merge_table(std::span<const rule> rules = {})
      : slots_(std::bit_ceil(2 * rules.size() + 1)), shift_(64 - std::countr_zero(slots_.size())) {
    for (std::size_t rank = 0; rank < rules.size(); ++rank) {
      slot& s = find(key_of(rules[rank].left, rules[rank].right));
      s = {key_of(rules[rank].left, rules[rank].right), static_cast<std::uint32_t>(rank), rules[rank].merged};
    }
  }

  [[nodiscard]] std::optional<pair_merge> operator()(token_id left, token_id right) const {
    const slot& s = const_cast<merge_table*>(this)->find(key_of(left, right));
    if (s.merged < 0) return std::nullopt;
    return pair_merge{static_cast<double>(s.rank), s.merged};
  }

 private:
  struct slot {
    std::uint64_t key = 0;
    std::uint32_t rank = 0;
    token_id merged = -1;
  };

  static std::uint64_t key_of(token_id left, token_id right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  }
  slot& find(std::uint64_t key) {
    std::size_t at = shift_ == 64 ? 0 : static_cast<std::size_t>(key * 0x9e3779b97f4a7c15u >> shift_);
    while (slots_[at].merged >= 0 && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }

  std::vector<slot> slots_;
  int shift_;
};

}  // namespace HONE_NAMESPACE::io
