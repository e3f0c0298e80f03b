// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Eigenpairs of symmetric matrices of any size:
///   dense_eigen      of a matrix that is there, by tridiagonal form and QR steps (Eigen's), ~9 d^3 flops
///   low_rank_eigen   of K S K^T, S = diag(+-1), from its d x m factor alone: K = Q R thin, R S R^T = V L V^T, vectors
///                    Q V; 2 d m^2 + 9 m^3 flops, no d x d matrix
#pragma once
#include "hone/linalg/orthonormal.hpp"
#include "hone/linalg/symmetric_eigen.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>

namespace hone::linalg {

/// Eigenvalues in descending order, their eigenvectors in the columns of @c vectors, orthonormal.
struct eigenpairs {
  vector values;
  matrix vectors;
};

/// All eigenpairs of the symmetric @p a, of which finite numbers are asked and the lower triangle is read.
template <dense_matrix M>
eigenpairs dense_eigen(const M& a) {
  if (a.size() == 0) return {};
  const Eigen::SelfAdjointEigenSolver<matrix> solver(a);
  return {solver.eigenvalues().reverse(), solver.eigenvectors().rowwise().reverse()};
}

/// The eigenpairs of K S K^T other than those of its null space outside the span of K.
template <std::same_as<double> A = double>
class low_rank_eigen {
 public:
  /// @param k d x m; finite numbers are asked for.
  /// @param signs m numbers +1 or -1, the diagonal of S.
  /// @throws std::invalid_argument if @p signs has not m elements.
  low_rank_eigen(matrix k, const vector& signs) {
    invalid_argument_unless(signs.size() == k.cols(), "hone::linalg::low_rank_eigen", "signs",
                            "has %td elements, k has %td columns", index_t{signs.size()}, index_t{k.cols()});
    if (k.size() == 0) return;
    const double largest = k.cwiseAbs().maxCoeff();
    if (largest > 0) k /= largest;  // so that no square over- or underflows
    qr_.compute(std::move(k));
    const index_t t = (min)(qr_.rows(), qr_.cols());
    const matrix r = qr_.matrixQR().topRows(t).template triangularView<Eigen::Upper>();
    inner_ = dense_eigen(r * signs.asDiagonal() * r.transpose());
    inner_.values *= largest * largest;
  }

  /// min(d, m) of them, descending.
  [[nodiscard]] const vector& values() const { return inner_.values; }

  /// The eigenvectors of values [first, first + count), d x count. 2 d m count flops.
  [[nodiscard]] matrix vectors(index_t first, index_t count) const {
    matrix result = matrix::Zero(qr_.rows(), count);
    if (count == 0) return result;
    result.topRows(inner_.vectors.rows()) = inner_.vectors.middleCols(first, count);
    result.applyOnTheLeft(qr_.householderQ());
    return result;
  }

 private:
  Eigen::HouseholderQR<matrix> qr_;
  eigenpairs inner_;
};

}  // namespace hone::linalg
