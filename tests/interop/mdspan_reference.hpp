// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The members of std::mdspan that matter here, for compilers without <mdspan>.
#pragma once
#include <array>
#include <cstddef>

namespace reference {

template <class T, std::size_t Rank>
struct strided_mdspan {
  using element_type = T;
  using reference = T&;
  using data_handle_type = T*;
  using extents_type = std::array<std::size_t, Rank>;
  using layout_type = struct layout_stride;

  T* memory;
  extents_type extents;
  std::array<std::size_t, Rank> strides;
  bool strided = true;

  static constexpr std::size_t rank() { return Rank; }
  static constexpr bool is_always_strided() { return false; }
  bool is_strided() const { return strided; }
  T* data_handle() const { return memory; }
  std::size_t extent(std::size_t axis) const { return extents[axis]; }
  std::size_t stride(std::size_t axis) const { return strides[axis]; }
};

/// Refers to nothing: its elements are computed.
struct scaled_mdspan : strided_mdspan<float, 1> {
  using reference = float;
};

}  // namespace reference
