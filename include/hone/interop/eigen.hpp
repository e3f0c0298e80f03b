// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Eigen's dense objects as hone's views: Matrix, Array, Map, Ref, block, row, column, transpose, of any storage order
/// and stride. An expression that has no memory (a + b) is refused: call .eval(). Eigen's 16-bit types take part as
/// they are.
#pragma once
#include "hone/core/view.hpp"

#include <Eigen/Core>

namespace HONE_NAMESPACE {

template <>
inline constexpr format scalar_format<Eigen::bfloat16> = format::bfloat16;
template <>
inline constexpr format scalar_format<Eigen::half> = format::float16;

namespace detail {

template <class Derived>
void accept_dense(const Eigen::DenseBase<Derived>&);
template <class X>
concept eigen_dense = requires(const X& x) { accept_dense(x); };

/// Dense and addressable; const unless written through an lvalue.
template <class X>
concept eigen_memory = eigen_dense<X> && (Eigen::internal::traits<X>::Flags & Eigen::DirectAccessBit) != 0;

template <class X>
auto* eigen_data(X& x) {
  using Scalar = typename X::Scalar;
  constexpr bool writable =
      !std::is_const_v<X> && (Eigen::internal::traits<std::remove_const_t<X>>::Flags & Eigen::LvalueBit) != 0;
  using element = std::conditional_t<writable, Scalar, const Scalar>;
  return static_cast<element*>(x.derived().data());
}

}  // namespace detail

template <detail::eigen_memory X>
struct view_traits<X> {
  template <class Y>
    requires(static_cast<bool>(X::IsVectorAtCompileTime))
  static auto vector(Y& x) {
    return vector_view(detail::eigen_data(x), index_t{x.size()}, index_t{x.innerStride()});
  }
  template <class Y>
  static auto matrix(Y& x) {
    return matrix_view(detail::eigen_data(x), index_t{x.rows()}, index_t{x.cols()}, index_t{x.rowStride()},
                       index_t{x.colStride()});
  }
};

}  // namespace HONE_NAMESPACE
