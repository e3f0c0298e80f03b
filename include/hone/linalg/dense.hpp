// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The dense matrices in which larger problems are solved and answered: Eigen's, in double, columns together. What
/// decomposes them is a template, though there is one type, so that only units that call it compile Eigen's solvers.
#pragma once
#include "hone/core/blas.hpp"

#include <Eigen/Core>

#include <concepts>

namespace HONE_NAMESPACE::linalg {

using matrix = Eigen::MatrixXd;
using vector = Eigen::VectorXd;

/// A matrix, or an expression of one.
template <class M>
concept dense_matrix = std::convertible_to<const M&, matrix>;

/// @p m as hone sees it; nothing is copied.
inline matrix_view<const double> view(const matrix& m) { return {m.data(), m.rows(), m.cols(), 1, m.rows()}; }
inline matrix_view<double> view(matrix& m) { return {m.data(), m.rows(), m.cols(), 1, m.rows()}; }

/// Rows [begin, end) of @p x, of any strides and storage type, converted to double and times @p factor (a scale that
/// samples are to have anyway, so that it costs no pass of its own). Allocates the result; one pass.
template <scalar T>
matrix copy_rows(const matrix_view<T>& x, index_t begin, index_t end, double factor = 1) {
  matrix result(end - begin, x.cols());
  for (index_t j = 0; j < x.cols(); ++j)
    for (index_t i = begin; i < end; ++i)
      result(i - begin, j) = factor * static_cast<double>(to_accumulator<std::remove_const_t<T>>(x(i, j)));
  return result;
}
/// As `copy_rows`, all of @p x.
template <scalar T>
matrix copy_of(const matrix_view<T>& x, double factor = 1) {
  return copy_rows(x, 0, x.rows(), factor);
}

/// How many elements of @p x are infinite or NaN.
template <scalar T>
index_t count_nonfinite(const matrix_view<T>& x) {
  index_t count = 0;
  for (index_t i = 0; i < x.rows(); ++i) count += hone::count_nonfinite(x.row(i));
  return count;
}

}  // namespace HONE_NAMESPACE::linalg
