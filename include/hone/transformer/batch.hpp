// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What goes through the decoder: sequences of tokens; slices of a batch, and parts of one about equal.
#pragma once
#include "hone/core/contract.hpp"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace HONE_NAMESPACE::transformer {

/// Sequences of tokens, one after the other: sequence s is tokens [offsets[s], offsets[s + 1]), its first at position
/// 0.
struct batch {
  std::span<const std::int32_t> tokens;
  std::span<const index_t> offsets;
  /// Where experts choose (`moe::selection::column_top`): how many tokens of each sequence an expert takes, or, of a
  /// model that has blocks, of each block of it; the sum of all where the batch is their pool. Empty: what the router
  /// says. Other models do not read it.
  std::span<const index_t> capacities = {};

  [[nodiscard]] index_t rows() const { return static_cast<index_t>(tokens.size()); }
  [[nodiscard]] index_t sequences() const { return static_cast<index_t>(offsets.size()) - 1; }
  [[nodiscard]] index_t begin(index_t s) const { return offsets[static_cast<std::size_t>(s)]; }
  [[nodiscard]] index_t end(index_t s) const { return offsets[static_cast<std::size_t>(s) + 1]; }
};

/// The part of @p x, a vector of @p width elements a row, that belongs to rows [first, first + rows); none of none.
template <class Vector>
auto rows_of(Vector& x, index_t first, index_t rows, index_t width = 1) {
  const std::span all(x);
  if (x.empty()) return all;
  return decltype(all)(all.subspan(static_cast<std::size_t>(first * width), static_cast<std::size_t>(rows * width)));
}

/// Sequences [first, last) of a batch as one of their own, whose tokens are those of the whole.
class batch_slice {
 public:
  /// @throws std::invalid_argument unless 0 <= first <= last <= the batch's sequences.
  batch_slice(const transformer::batch& whole, index_t first, index_t last) {
    invalid_argument_unless(first >= 0 && first <= last && last <= whole.sequences(), "hone::transformer::batch_slice",
                            "last", "[%td, %td) are no sequences of %td", first, last, whole.sequences());
    first_row_ = whole.offsets[static_cast<std::size_t>(first)];
    for (index_t s = first; s <= last; ++s) offsets_.push_back(whole.offsets[static_cast<std::size_t>(s)] - first_row_);
    tokens_ = rows_of(whole.tokens, first_row_, offsets_.back());
    capacities_ = rows_of(whole.capacities, first, last - first);
  }
  [[nodiscard]] transformer::batch batch() const { return {tokens_, offsets_, capacities_}; }
  [[nodiscard]] index_t rows() const { return static_cast<index_t>(tokens_.size()); }
  /// Where it begins in the whole.
  [[nodiscard]] index_t first_row() const { return first_row_; }

 private:
  std::vector<index_t> offsets_;
  std::span<const std::int32_t> tokens_;
  std::span<const index_t> capacities_;
  index_t first_row_ = 0;
};

/// Part @p i of @p parts of @p count things, [first, last): together they are all, each is about as large as another,
/// and some are empty where there are fewer things than parts. @pre count >= 0 and 0 <= i < parts.
inline std::pair<index_t, index_t> part_of(index_t count, index_t i, index_t parts) {
  return {count * i / parts, count * (i + 1) / parts};
}

}  // namespace HONE_NAMESPACE::transformer
