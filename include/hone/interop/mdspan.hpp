// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// mdspan, whoever provides it (std, Kokkos), and its submdspans as hone's views: rank 1 is a vector, rank 2 a matrix.
/// Any layout that has strides; an accessor that computes instead of referring (scaled, atomic) is refused.
#pragma once
#include "hone/core/view.hpp"

namespace HONE_NAMESPACE {

namespace detail {

template <class X>
concept mdspan_like = requires(const X& x) {
  typename X::extents_type;
  typename X::layout_type;
  requires std::is_same_v<typename X::reference, typename X::element_type&>;
  requires std::is_same_v<typename X::data_handle_type, typename X::element_type*>;
  requires scalar<typename X::element_type>;
  { X::rank() } -> std::convertible_to<std::size_t>;
  x.data_handle();
  x.extent(0);
  x.is_strided();
};

template <class X>
index_t mdspan_stride(const X& x, std::size_t axis, const char* function) {
  if constexpr (!X::is_always_strided())
    invalid_argument_unless(x.is_strided(), function, "x", "this mdspan's layout has no strides");
  return static_cast<index_t>(x.stride(axis));
}

}  // namespace detail

template <detail::mdspan_like X>
struct view_traits<X> {
  /// @throws std::invalid_argument if the layout, at run time, has no strides.
  static auto vector(const X& x)
    requires(X::rank() == 1)
  {
    return vector_view(x.data_handle(), static_cast<index_t>(x.extent(0)),
                       detail::mdspan_stride(x, 0, "hone::as_vector"));
  }
  /// @throws std::invalid_argument if the layout, at run time, has no strides.
  static auto matrix(const X& x)
    requires(X::rank() == 2)
  {
    return matrix_view(x.data_handle(), static_cast<index_t>(x.extent(0)), static_cast<index_t>(x.extent(1)),
                       detail::mdspan_stride(x, 0, "hone::as_matrix"), detail::mdspan_stride(x, 1, "hone::as_matrix"));
  }
};

}  // namespace HONE_NAMESPACE
