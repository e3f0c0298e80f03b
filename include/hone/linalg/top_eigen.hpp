// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The algebraically largest eigenpairs of a symmetric operator that is only applied, definite or not: a block Krylov
/// space, grown by the residuals of the Ritz vectors that have not converged, and restarted from the best Ritz vectors
/// when it is full. Ritz values of the wanted end are sought, so that large negative eigenvalues are in nobody's way
/// and no shift is needed. [Wu, Simon 2000, Thick-restart Lanczos method for large symmetric eigenvalue problems, SIAM
/// J. Matrix Anal. Appl. 22; blocks by residuals: Stathopoulos, Saad 1998, Restarting techniques for (Jacobi-)Davidson
/// methods]
#pragma once
#include "hone/core/random.hpp"
#include "hone/linalg/spectrum.hpp"

namespace HONE_NAMESPACE::linalg {

struct top_eigen_options {
  double tolerance = 1e-10;  ///< on |A x - lambda x|, as a share of the largest |eigenvalue| seen
  index_t products = 20000;  ///< the most vectors that the operator is applied to
  philox random = {};        ///< of the start
};

struct top_eigenpairs {
  vector values;         ///< descending
  matrix vectors;        ///< orthonormal columns
  double norm = 0;       ///< the largest |eigenvalue| seen
  double residual = 0;   ///< the certificate: the largest |A x - lambda x| over norm; an eigenvalue lies that near
  index_t products = 0;  ///< vectors that the operator was applied to
  bool converged = false;
};

/// The @p count largest eigenpairs of a symmetric operator on d elements.
/// @param apply apply(x), x a d x k matrix, returns A x.
/// @throws std::invalid_argument unless 0 <= count <= d and the tolerance is positive.
/// @note Holds at most 8 (count + 8) vectors. Deterministic if the operator is. Without convergence the best pairs are
///       returned, with their residual.
template <class Apply>
top_eigenpairs top_eigen(Apply&& apply, index_t d, index_t count, const top_eigen_options& options = {}) {
  const char* function = "hone::linalg::top_eigen";
  invalid_argument_unless(count >= 0 && count <= d, function, "count", "must be in [0, %td], is %td", d, count);
  invalid_argument_unless(options.tolerance > 0 && options.tolerance < 1, function, "tolerance",
                          "must be in (0, 1), is %g", options.tolerance);
  top_eigenpairs result;
  if (count == 0) return result.converged = true, result;
  const index_t block = (min)(d, count + 8), capacity = (min)(d, 4 * block);
  matrix x(d, block), v, av;
  for (index_t i = 0; i < x.size(); ++i) x.data()[i] = options.random.normal(static_cast<std::uint64_t>(i));
  matrix fresh = orthonormal_part(v, x);
  v.resize(d, 0);
  av.resize(d, 0);
  for (;;) {
    const index_t held = v.cols();
    v.conservativeResize(Eigen::NoChange, held + fresh.cols());
    av.conservativeResize(Eigen::NoChange, held + fresh.cols());
    v.rightCols(fresh.cols()) = fresh;
    av.rightCols(fresh.cols()) = apply(fresh);
    result.products += fresh.cols();
    const eigenpairs ritz = dense_eigen(v.transpose() * av);
    result.norm = (max)(result.norm, ritz.values.cwiseAbs().maxCoeff());
    const index_t wanted = (min)(block, index_t{v.cols()});
    x = v * ritz.vectors.leftCols(wanted);
    matrix rest = av * ritz.vectors.leftCols(wanted) - x * ritz.values.head(wanted).asDiagonal();
    index_t open = 0, unconverged = 0;
    for (index_t j = 0; j < wanted; ++j) {
      if (!(rest.col(j).norm() > 0.5 * options.tolerance * result.norm)) continue;
      unconverged += j < count ? 1 : 0;
      rest.col(open++) = rest.col(j).eval();
    }
    result.values = ritz.values.head(count);
    result.vectors = x.leftCols(count);
    if (unconverged == 0 || v.cols() == d || result.products + open > options.products) break;
    if (v.cols() + open > capacity && capacity < d) {
      const index_t kept = (min)(index_t{v.cols()}, capacity - block);
      v = (v * ritz.vectors.leftCols(kept)).eval();
      av = (av * ritz.vectors.leftCols(kept)).eval();
    }
    fresh = orthonormal_part(v, rest.leftCols(open));
    if (fresh.cols() == 0) break;  // an invariant space
  }
  const matrix rest = apply(result.vectors) - result.vectors * result.values.asDiagonal();
  const double largest = rest.colwise().norm().maxCoeff();
  result.residual = result.norm > 0 ? largest / result.norm : 0;
  result.converged = result.residual <= options.tolerance;
  return result;
}

}  // namespace HONE_NAMESPACE::linalg
