// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Prompts, and prompts with answers, as the rows of a decoder: tokens, offsets, and targets that only an answer has.
/// A prompt p1 … pm with the answer a1 … an is the m + n - 1 rows
///   tokens    p1 … pm-1   pm   a1 … an-1
///   targets   -  … -      a1   a2 … an           (-: `loss::ignored`)
/// so that a row is the position that its target is drawn from. Slices of a batch, and parts of one about equal.
#pragma once
#include "hone/loss/batch.hpp"
#include "hone/transformer/workspace.hpp"

#include <utility>

namespace HONE_NAMESPACE::transformer {

/// Sequences without targets: prompts.
struct token_rows {
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};

  void add(std::span<const std::int32_t> sequence) {
    tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    offsets.push_back(static_cast<index_t>(tokens.size()));
  }
  [[nodiscard]] transformer::batch batch() const { return {tokens, offsets}; }
};

/// Sequences of which the last part has targets.
struct labelled_rows {
  std::vector<std::int32_t> tokens, targets;
  std::vector<index_t> offsets = {0};
  std::vector<index_t> labels;  ///< of each sequence: its rows that have a target

  /// @throws std::invalid_argument if @p prompt or @p answer is empty: one has no row that the answer is drawn from,
  ///         the other no target.
  void add(std::span<const std::int32_t> prompt, std::span<const std::int32_t> answer) {
    const char* function = "hone::transformer::labelled_rows::add";
    invalid_argument_unless(!prompt.empty(), function, "prompt", "is empty");
    invalid_argument_unless(!answer.empty(), function, "answer", "is empty");
    tokens.insert(tokens.end(), prompt.begin(), prompt.end());
    tokens.insert(tokens.end(), answer.begin(), answer.end() - 1);
    targets.insert(targets.end(), prompt.size() - 1, loss::ignored);
    targets.insert(targets.end(), answer.begin(), answer.end());
    offsets.push_back(static_cast<index_t>(tokens.size()));
    labels.push_back(static_cast<index_t>(answer.size()));
  }
  /// Sequence @p s of @p other.
  void add(const labelled_rows& other, index_t s) {
    const auto at = static_cast<std::size_t>(s);
    const index_t begin = other.offsets[at], end = other.offsets[at + 1];
    tokens.insert(tokens.end(), other.tokens.begin() + begin, other.tokens.begin() + end);
    targets.insert(targets.end(), other.targets.begin() + begin, other.targets.begin() + end);
    offsets.push_back(static_cast<index_t>(tokens.size()));
    labels.push_back(other.labels[at]);
  }

  [[nodiscard]] transformer::batch batch() const { return {tokens, offsets}; }
  [[nodiscard]] index_t sequences() const { return static_cast<index_t>(labels.size()); }
  /// Rows that have a target.
  [[nodiscard]] index_t label_count() const {
    index_t sum = 0;
    for (const index_t n : labels) sum += n;
    return sum;
  }
  /// The row that the first token of answer @p s is drawn from: the prompt's last one.
  [[nodiscard]] index_t prompt_end(index_t s) const {
    const auto at = static_cast<std::size_t>(s);
    return offsets[at + 1] - labels[at];
  }
  /// The prompt of sequence @p s.
  [[nodiscard]] std::span<const std::int32_t> prompt(index_t s) const {
    const index_t begin = offsets[static_cast<std::size_t>(s)];
    return std::span(tokens).subspan(static_cast<std::size_t>(begin),
                                     static_cast<std::size_t>(prompt_end(s) - begin + 1));
  }
};

/// Sequences [first, last) of a batch as one of their own, whose tokens are those of the whole.
class batch_slice {
 public:
  /// @throws std::invalid_argument unless 0 <= first <= last <= the batch's sequences.
  batch_slice(const transformer::batch& whole, index_t first, index_t last) {
    invalid_argument_unless(first >= 0 && first <= last && last <= whole.sequences(), "hone::transformer::batch_slice",
                            "last", "[%td, %td) are no sequences of %td", first, last, whole.sequences());
    first_row_ = whole.offsets[static_cast<std::size_t>(first)];
    for (index_t s = first; s <= last; ++s) offsets_.push_back(whole.offsets[static_cast<std::size_t>(s)] - first_row_);
    tokens_ = whole.tokens.subspan(static_cast<std::size_t>(first_row_), static_cast<std::size_t>(offsets_.back()));
  }
  [[nodiscard]] transformer::batch batch() const { return {tokens_, offsets_}; }
  [[nodiscard]] index_t rows() const { return static_cast<index_t>(tokens_.size()); }
  /// Where it begins in the whole.
  [[nodiscard]] index_t first_row() const { return first_row_; }

 private:
  std::vector<index_t> offsets_;
  std::span<const std::int32_t> tokens_;
  index_t first_row_ = 0;
};

/// Part @p i of @p parts of @p count things, [first, last): together they are all, each is about as large as another,
/// and some are empty where there are fewer things than parts. @pre count >= 0 and 0 <= i < parts.
inline std::pair<index_t, index_t> part_of(index_t count, index_t i, index_t parts) {
  return {count * i / parts, count * (i + 1) / parts};
}

/// The part of @p x, a vector of @p width elements a row, that belongs to rows [first, first + rows); none of none.
template <class Vector>
auto rows_of(Vector& x, index_t first, index_t rows, index_t width = 1) {
  const std::span all(x);
  if (x.empty()) return all;
  return decltype(all)(all.subspan(static_cast<std::size_t>(first * width), static_cast<std::size_t>(rows * width)));
}

}  // namespace HONE_NAMESPACE::transformer
