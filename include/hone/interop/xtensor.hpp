// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// xtensor's containers, adaptors and strided views as hone's views (0.24 to 0.27). One dimension is a vector, two are
/// a matrix; a function of tensors (a + b) has no memory and is refused: call xt::eval().
#pragma once
#include "hone/core/view.hpp"

#if __has_include(<xtensor/core/xtensor_forward.hpp>)
#include <xtensor/core/xtensor_forward.hpp>
#else
#include <xtensor/xtensor_forward.hpp>
#endif

namespace HONE_NAMESPACE {

namespace detail {

template <class X>
concept xtensor_memory = requires(X& x) {
  typename X::storage_type;
  x.data();
  x.data_offset();
  x.strides();
  x.dimension();
};

template <class X>
auto xtensor_data(X& x) {
  return x.data() + static_cast<index_t>(x.data_offset());
}

template <class X>
index_t xtensor_extent(const X& x, std::size_t axis) {
  return static_cast<index_t>(x.shape()[axis]);
}

/// xtensor gives an axis of length 1 the stride 0, which is as good as any.
template <class X>
index_t xtensor_stride(const X& x, std::size_t axis) {
  return static_cast<index_t>(x.strides()[axis]);
}

template <class X>
void require_dimension(const X& x, std::size_t expected, const char* function) {
  invalid_argument_unless(x.dimension() == expected, function, "x", "the xtensor has %zu dimensions, expected %zu",
                          x.dimension(), expected);
}

}  // namespace detail

template <detail::xtensor_memory X>
struct view_traits<X> {
  /// @throws std::invalid_argument unless the tensor has one dimension.
  template <class Y>
  static auto vector(Y& x) {
    detail::require_dimension(x, 1, "hone::as_vector");
    return vector_view(detail::xtensor_data(x), detail::xtensor_extent(x, 0), detail::xtensor_stride(x, 0));
  }
  /// @throws std::invalid_argument unless the tensor has two dimensions.
  template <class Y>
  static auto matrix(Y& x) {
    detail::require_dimension(x, 2, "hone::as_matrix");
    return matrix_view(detail::xtensor_data(x), detail::xtensor_extent(x, 0), detail::xtensor_extent(x, 1),
                       detail::xtensor_stride(x, 0), detail::xtensor_stride(x, 1));
  }
};

}  // namespace HONE_NAMESPACE
