// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Eigenpairs of symmetric matrices of any size:
///   dense_eigen      of a matrix that is there, by tridiagonal form and QR steps (Eigen's), ~9 d^3 flops
///   low_rank_eigen   of K S K^T, S diagonal, from its d x m factor alone: K = Q R thin, R S R^T = V L V^T, vectors
///                    Q V; 2 d m^2 + 9 m^3 flops, no d x d matrix, no second d x m one
#pragma once
#include "hone/linalg/orthonormal.hpp"
#include "hone/linalg/symmetric_eigen.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include <optional>

namespace HONE_NAMESPACE::linalg {

/// Eigenvalues in descending order, their eigenvectors in the columns of @c vectors, orthonormal.
struct eigenpairs {
  vector values;
  matrix vectors;
};

/// All eigenpairs of the symmetric @p a (d x d), of which the lower triangle is read.
/// @pre its elements are finite.
/// @note 9 d^3 flops; two d x d matrices. Serial, the same bits on every call.
template <dense_matrix M>
eigenpairs dense_eigen(const M& a) {
  if (a.size() == 0) return {};
  const Eigen::SelfAdjointEigenSolver<matrix> solver(a);
  return {solver.eigenvalues().reverse(), solver.eigenvectors().rowwise().reverse()};
}

/// The thin factors of a d x m matrix, K = Q R, which take K's own memory; from them the eigenpairs of K S K^T for any
/// diagonal S, other than those of its null space outside the span of K.
template <std::same_as<double> A = double>
class low_rank_eigen {
 public:
  /// @param k of finite elements.
  explicit low_rank_eigen(matrix k) : k_(std::move(k)) {
    if (k_.size() == 0) return;
    if (const double largest = k_.cwiseAbs().maxCoeff(); largest > 0) {  // so that no square over- or underflows
      k_ /= largest;
      unit_ = largest;
    }
    qr_.emplace(k_);
  }
  low_rank_eigen(const low_rank_eigen&) = delete;
  low_rank_eigen& operator=(const low_rank_eigen&) = delete;

  /// Of the first c columns, c the length of @p weights, the diagonal of S: min(d, c) eigenpairs, with vectors in Q's
  /// coordinates, which `vectors` takes. 9 c^3 flops.
  /// @throws std::invalid_argument if there are not as many columns.
  [[nodiscard]] eigenpairs decompose(const vector& weights) const {
    invalid_argument_unless(weights.size() <= k_.cols(), "hone::linalg::low_rank_eigen", "weights",
                            "has %td elements, k has %td columns", index_t{weights.size()}, index_t{k_.cols()});
    const index_t t = (min)(k_.rows(), weights.size());
    if (t == 0) return {};
    matrix product;
    {
      const matrix r = k_.topLeftCorner(t, weights.size()).template triangularView<Eigen::Upper>();
      product.noalias() = (r * weights.asDiagonal()).eval() * r.transpose();
    }
    eigenpairs inner = dense_eigen(product);
    inner.values *= unit_ * unit_;
    return inner;
  }

  /// The eigenvectors of values [first, first + count) of what `decompose` gave, d x count. 2 d m count flops.
  [[nodiscard]] matrix vectors(const eigenpairs& inner, index_t first, index_t count) const {
    matrix result = matrix::Zero(k_.rows(), count);
    if (count == 0) return result;
    result.topRows(inner.vectors.rows()) = inner.vectors.middleCols(first, count);
    result.applyOnTheLeft(qr_->householderQ());
    return result;
  }

 private:
  matrix k_;
  double unit_ = 1;
  std::optional<Eigen::HouseholderQR<Eigen::Ref<matrix>>> qr_;
};

}  // namespace HONE_NAMESPACE::linalg
