// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Ascending order in linear time: the bits of a double, those of the negative ones turned over, are an integer of the
/// same order, and integers are sorted digit by digit from the last on.
#pragma once
#include "hone/core/flags.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace HONE_NAMESPACE::statistics::detail {

static_assert(std::numeric_limits<double>::is_iec559 && sizeof(double) == 8);

/// A whole number of the same order as @p value, which is not NaN; both zeros have the same.
inline std::uint64_t ordered_bits(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);
  return bits >> 63 ? ~bits : bits | std::uint64_t{1} << 63;
}

/// Sorts @p x by key(element), a double of which none is NaN; those of equal keys stay in their order.
/// @note Linear, with a second array of its size.
template <class T, class Key>
void sort_by_digits(std::vector<T>& x, Key&& key) {
  constexpr int digits = 8, values = 256;
  const auto digit = [](std::uint64_t bits, int d) { return static_cast<std::size_t>(bits >> (8 * d) & (values - 1)); };
  std::array<std::array<std::size_t, values>, digits> places{};
  for (const T& element : x)
    for (int d = 0; d < digits; ++d) ++places[static_cast<std::size_t>(d)][digit(ordered_bits(key(element)), d)];
  std::vector<T> other(x.size());
  for (int d = 0; d < digits; ++d) {
    auto& place = places[static_cast<std::size_t>(d)];
    if (place[digit(ordered_bits(key(x[0])), d)] == x.size()) continue;  // all have the same
    std::size_t before = 0;
    for (std::size_t& p : place) {
      const std::size_t count = p;
      p = before;
      before += count;
    }
    for (const T& element : x) other[place[digit(ordered_bits(key(element)), d)]++] = element;
    x.swap(other);
  }
}

inline constexpr std::size_t few = 5000;  ///< up to there comparing is faster

/// Sorts @p x, of which none is NaN.
/// @note Of many values linear, with a second array of their size; infinities are ordered like others.
inline void sort_ascending(std::vector<double>& x) {
  if (x.size() < few)
    std::sort(x.begin(), x.end());
  else
    sort_by_digits(x, [](double value) { return value; });
}

}  // namespace HONE_NAMESPACE::statistics::detail
