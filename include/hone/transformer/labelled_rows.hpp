// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Prompts, and prompts with answers, as the rows of a decoder: tokens, offsets, and targets that only an answer has.
/// A prompt p1 … pm with the answer a1 … an is the m + n - 1 rows
///   tokens    p1 … pm-1   pm   a1 … an-1
///   targets   -  … -      a1   a2 … an           (-: `loss::ignored`)
/// so that a row is the position that its target is drawn from.
#pragma once
#include "hone/loss/batch.hpp"
#include "hone/transformer/batch.hpp"

namespace HONE_NAMESPACE::transformer {

/// Sequences without targets: prompts, or what is masked to be learnt from.
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

}  // namespace HONE_NAMESPACE::transformer
