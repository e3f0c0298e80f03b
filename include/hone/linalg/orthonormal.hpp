// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Orthonormal columns: with signs that do not depend on the solver, out of columns that are not, and completed by
/// more.
#pragma once
#include "hone/linalg/dense.hpp"

namespace HONE_NAMESPACE::linalg {

/// Turns every column of @p v so that its entry of largest magnitude is positive; among entries equal to 1e-9 the first
/// counts, so that rounding decides nothing.
template <dense_matrix V>
void canonical_signs(V& v) {
  for (index_t j = 0; j < v.cols(); ++j) {
    const double largest = v.col(j).cwiseAbs().maxCoeff();
    index_t i = 0;
    while (i + 1 < v.rows() && !(std::abs(v(i, j)) >= (1 - 1e-9) * largest)) ++i;
    if (v(i, j) < 0) v.col(j) = -v.col(j);
  }
}

/// Takes the span of @p basis, orthonormal columns, out of the columns of @p x, twice, so that nothing of it is left
/// but rounding.
template <dense_matrix B>
void remove_span(const B& basis, matrix& x) {
  for (int pass = 0; pass < 2 && basis.cols() > 0; ++pass) x.noalias() -= basis * (basis.transpose() * x).eval();
}

/// An orthonormal basis of what the columns of @p x add to the span of @p basis, orthonormal columns. A column that
/// adds less than @p tolerance of its length adds nothing, nor does one whose squared length underflows.
template <dense_matrix B>
matrix orthonormal_part(const B& basis, matrix x, double tolerance = 1e-12) {
  const vector length = x.colwise().norm();
  remove_span(basis, x);
  index_t kept = 0;
  for (index_t j = 0; j < x.cols() && kept + basis.cols() < x.rows(); ++j) {
    vector column = x.col(j);
    const auto found = x.leftCols(kept);
    double rest = length(j);
    // Where most of a column cancels, its rounding points back into the span.
    for (int pass = 0; pass < 4; ++pass) {
      const double before = rest;
      column -= found * (found.transpose() * column).eval();
      if (pass > 0 && basis.cols() > 0) column -= basis * (basis.transpose() * column).eval();
      rest = column.norm();
      if (pass > 0 && rest > 0.5 * before) break;
    }
    if (!(rest > tolerance * length(j))) continue;
    x.col(kept++) = column / rest;
  }
  x.conservativeResize(Eigen::NoChange, kept);
  return x;
}

/// Appends to @p q (d x k, orthonormal columns) until it has @p columns <= d of them: each time what lies outside the
/// span of the unit vector that lies farthest outside, the first of those equal to 1e-9.
/// @note O(d k) a column; deterministic.
template <dense_matrix Q>
void complete_orthonormal(Q& q, index_t columns) {
  const index_t given = q.cols();
  q.conservativeResize(Eigen::NoChange, (max)(given, columns));
  vector outside = vector::Ones(q.rows());
  if (given > 0) outside -= q.leftCols(given).rowwise().squaredNorm();
  for (index_t k = given; k < columns; ++k) {
    const double largest = outside.maxCoeff();
    index_t i = 0;
    while (outside(i) < largest - 1e-9) ++i;
    vector unit = vector::Unit(q.rows(), i);
    for (int pass = 0; pass < 2; ++pass) unit -= q.leftCols(k) * (q.leftCols(k).transpose() * unit).eval();
    q.col(k) = unit.normalized();
    outside -= q.col(k).cwiseAbs2();
  }
}

}  // namespace HONE_NAMESPACE::linalg
