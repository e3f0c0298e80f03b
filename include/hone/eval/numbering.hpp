// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Words and n-grams as small numbers, 0, 1, 2 ... in the order in which they are first seen: what follows compares
/// numbers.
#pragma once
#include "hone/core/contract.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::eval {

/// Keys are kept as they are given: what a std::string_view shows must outlive the numbering.
template <class Key>
class numbering {
 public:
  static constexpr std::int32_t absent = -1;

  explicit numbering(std::size_t expected = 8) {
    std::size_t places = 16;
    while (places < 2 * expected) places *= 2;
    slots_.assign(places, absent);
    keys_.reserve(expected);
  }

  /// The number of @p key, a new one if it has none yet.
  std::int32_t number(const Key& key) {
    if (2 * keys_.size() >= slots_.size()) grow();
    std::int32_t& slot = slots_[slot_of(key)];
    if (slot == absent) {
      slot = static_cast<std::int32_t>(keys_.size());
      keys_.push_back(key);
    }
    return slot;
  }
  /// The number of @p key, or `absent`.
  [[nodiscard]] std::int32_t find(const Key& key) const { return slots_[slot_of(key)]; }
  /// How many keys have a number.
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  [[nodiscard]] std::size_t slot_of(const Key& key) const {
    const std::uint64_t mixed =
        std::uint64_t{std::hash<Key>{}(key)} * 0x9E3779B97F4A7C15u;  // hashes of numbers are themselves
    std::size_t at = static_cast<std::size_t>(mixed >> 32) & (slots_.size() - 1);
    while (slots_[at] != absent && !(keys_[static_cast<std::size_t>(slots_[at])] == key))
      at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  void grow() {
    slots_.assign(2 * slots_.size(), absent);
    for (std::size_t i = 0; i < keys_.size(); ++i) slots_[slot_of(keys_[i])] = static_cast<std::int32_t>(i);
  }

  std::vector<std::int32_t> slots_;
  std::vector<Key> keys_;
};

/// The n-grams of sequences, numbered across all that go through the same object: equal numbers, equal n-grams.
class ngram_numbering {
 public:
  /// @throws std::invalid_argument unless n > 0.
  explicit ngram_numbering(index_t n) {
    invalid_argument_unless(n > 0, "hone::eval::ngram_numbering", "n", "must be positive, is %td", n);
    longer_.resize(static_cast<std::size_t>(n));
  }

  /// The numbers of tokens [0, n), [1, n + 1), ...; none where there are fewer than n tokens. Linear in tokens * n.
  std::vector<std::int32_t> operator()(std::span<const std::int32_t> tokens) {
    const std::size_t n = longer_.size();
    if (tokens.size() < n) return {};
    std::vector<std::int32_t> grams(tokens.size(), 0);
    for (std::size_t length = 1; length <= n; ++length) {
      grams.resize(tokens.size() - length + 1);
      for (std::size_t i = 0; i < grams.size(); ++i)
        grams[i] = longer_[length - 1].number(std::uint64_t{static_cast<std::uint32_t>(grams[i])} << 32 |
                                              static_cast<std::uint32_t>(tokens[i + length - 1]));
    }
    return grams;
  }
  [[nodiscard]] std::size_t size() const { return longer_.back().size(); }

 private:
  std::vector<numbering<std::uint64_t>> longer_;  ///< of (the gram one shorter, the next token), by length
};

}  // namespace HONE_NAMESPACE::eval
