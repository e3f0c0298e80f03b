// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows from their inner products: H = L L^T by Cholesky's factorisation, the row with most that is new first. What is
/// computed from the rows of L is as exact as the rows; from H alone, everything shorter than 1e-8 is lost in rounding.
/// [Higham 2002, Accuracy and stability of numerical algorithms, 10.3]
#pragma once
#include "hone/linalg/symmetric_eigen.hpp"

namespace HONE_NAMESPACE::linalg {

template <std::size_t K>
struct gram_rows {
  square<K> row{};  ///< row i, in the coordinates of a basis of the rows' span; zeros from coordinate `rank` on
  std::size_t rank = 0;
  double least = 1;  ///< the smallest squared distance of a row from the rows before it, of those that count
};

/// Rows with the inner products @p cosine, whose diagonal holds ones and zeros. A row counts as a combination of those
/// before it if its squared distance from their span is at most @p tolerance. Elements must be finite.
template <std::size_t K>
gram_rows<K> recover_rows(const square<K>& cosine, double tolerance = rank_tolerance) {
  gram_rows<K> result;
  std::array<double, K> rest;
  for (std::size_t i = 0; i < K; ++i) rest[i] = cosine[i][i];
  auto& row = result.row;
  for (std::size_t c = 0; c < K; ++c) {
    std::size_t p = 0;
    for (std::size_t i = 1; i < K; ++i)
      if (rest[i] > rest[p]) p = i;
    if (!(rest[p] > tolerance)) break;
    result.least = (min)(result.least, rest[p]);
    const double length = std::sqrt(rest[p]);
    for (std::size_t i = 0; i < K; ++i) {
      if (!(rest[i] > 0)) continue;
      double x = cosine[i][p];
      for (std::size_t d = 0; d < c; ++d) x -= row[i][d] * row[p][d];
      row[i][c] = i == p ? length : x / length;
      rest[i] -= row[i][c] * row[i][c];
    }
    rest[p] = 0;
    ++result.rank;
  }
  return result;
}

}  // namespace HONE_NAMESPACE::linalg
