// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The three products of a linear layer y = x W^T with x (n x in), W (out x in), y (n x out), all rows contiguous. The
/// only place that calls Eigen's product, so that a program instantiates three. Single-threaded: threads belong
/// around a model, over sequences. All functions here take 2 n in out flops, allocate what Eigen packs, check no size,
/// and repeat to the bit for the same shapes; a row's bits may depend on how many rows there are.
#pragma once
#include "hone/core/view.hpp"

#include <Eigen/Core>

#include <vector>

namespace HONE_NAMESPACE::transformer {

/// What a product does to the matrix that it is written to.
enum class into { overwrite, accumulate };

namespace detail {

/// A row-major Eigen map of @p m, whose rows may be apart.
template <class T>
auto eigen(const matrix_view<T>& m) {
  using matrix = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using mapped = std::conditional_t<std::is_const_v<T>, const matrix, matrix>;
  return Eigen::Map<mapped, Eigen::Unaligned, Eigen::OuterStride<>>(m.data(), m.rows(), m.cols(),
                                                                    Eigen::OuterStride<>(m.row_stride()));
}

/// All elements of a matrix whose rows lie one after the other.
template <class T>
vector_view<T> flat(const matrix_view<T>& m) {
  return {m.data(), m.rows() * m.cols()};
}

/// rows x columns elements of @p memory, which grows if it is smaller.
template <class T>
matrix_view<T> sized(std::vector<T>& memory, index_t rows, index_t columns) {
  const auto size = static_cast<std::size_t>(rows * columns);
  if (memory.size() < size) memory.resize(size);
  return {memory.data(), rows, columns};
}

template <class A, class B, class T>
void multiply(const A& a, const B& b, const matrix_view<T>& c, into how) {
  auto target = eigen(c);
  if (how == into::overwrite)
    target.noalias() = a * b;
  else
    target.noalias() += a * b;
}

/// a b^T
template <class T>
void multiply_nt(matrix_view<const T> a, matrix_view<const T> b, matrix_view<T> c, into how) {
  multiply(eigen(a), eigen(b).transpose(), c, how);
}
/// a b
template <class T>
void multiply_nn(matrix_view<const T> a, matrix_view<const T> b, matrix_view<T> c, into how) {
  multiply(eigen(a), eigen(b), c, how);
}
/// a^T b
template <class T>
void multiply_tn(matrix_view<const T> a, matrix_view<const T> b, matrix_view<T> c, into how) {
  multiply(eigen(a).transpose(), eigen(b), c, how);
}

}  // namespace detail

/// y = x W^T
template <class T>
void linear_forward(matrix_view<const std::type_identity_t<T>> x, matrix_view<const std::type_identity_t<T>> w,
                    matrix_view<T> y) {
  detail::multiply_nt<T>(x, w, y, into::overwrite);
}

/// dx = dy W, or added to what dx holds.
template <class T>
void linear_backward_input(matrix_view<const std::type_identity_t<T>> dy, matrix_view<const std::type_identity_t<T>> w,
                           matrix_view<T> dx, into how) {
  detail::multiply_nn<T>(dy, w, dx, how);
}

/// dW += dy^T x
template <class T>
void linear_backward_weight(matrix_view<const std::type_identity_t<T>> dy, matrix_view<const std::type_identity_t<T>> x,
                            matrix_view<T> dw) {
  detail::multiply_tn<T>(dy, x, dw, into::accumulate);
}

}  // namespace HONE_NAMESPACE::transformer
