// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Labels and other token ids in memory that the caller owns, int32 or, as torch has them, int64. What takes labels
/// takes a `label_view`; any contiguous range of either becomes one. They are read in 64 bits, so that an id out of
/// range is seen as it is, and refused, never wrapped into another.
#pragma once
#include "hone/core/contract.hpp"

#include <concepts>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace HONE_NAMESPACE {

namespace detail {

template <class X>
concept label_range = !requires { X::RowsAtCompileTime; } && requires(const X& x) {
  requires std::contiguous_iterator<decltype(std::begin(x))>;
  { std::end(x) - std::begin(x) } -> std::convertible_to<index_t>;
  requires std::signed_integral<std::iter_value_t<decltype(std::begin(x))>>;
  requires sizeof(std::iter_value_t<decltype(std::begin(x))>) == 4 ||
                   sizeof(std::iter_value_t<decltype(std::begin(x))>) == 8;
};

}  // namespace detail

/// Ids of the caller's, 4 or 8 bytes each, not copied; empty unless made from a range.
class label_view {
 public:
  label_view() = default;
  template <detail::label_range X>
  label_view(const X& x)
      : size_(static_cast<std::size_t>(std::end(x) - std::begin(x))),
        width_(sizeof(std::iter_value_t<decltype(std::begin(x))>)) {
    if (size_ > 0) data_ = reinterpret_cast<const unsigned char*>(&*std::begin(x));
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::int64_t operator[](std::size_t i) const {
    // Copied, as an int64 of the caller's may be a long or a long long.
    std::int32_t narrow;
    std::int64_t wide;
    if (width_ == sizeof wide) {
      std::memcpy(&wide, data_ + i * sizeof wide, sizeof wide);
      return wide;
    }
    std::memcpy(&narrow, data_ + i * sizeof narrow, sizeof narrow);
    return narrow;
  }
  [[nodiscard]] label_view subspan(std::size_t first, std::size_t count) const {
    label_view part = *this;
    part.size_ = count;
    if (count > 0) part.data_ += first * width_;
    return part;
  }

 private:
  const unsigned char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t width_ = sizeof(std::int32_t);
};

}  // namespace HONE_NAMESPACE
