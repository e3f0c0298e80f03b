// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The largest singular triplets A v = sigma u, exactly (Eigen's divide and conquer) or by subspace iteration from an
/// addressable random start, which costs 4 (iterations + 1) d_out d_in k flops for k columns.
/// [Halko, Martinsson, Tropp 2011, Finding structure with randomness, SIAM Review 53, Alg. 4.4]
#pragma once
#include "hone/core/random.hpp"
#include "hone/linalg/orthonormal.hpp"

#include <Eigen/QR>
#include <Eigen/SVD>

namespace HONE_NAMESPACE::linalg {

struct singular_triplets {
  matrix u;       ///< orthonormal columns
  vector values;  ///< descending
  matrix v;       ///< orthonormal columns, the largest entry of each positive
};

struct svd_options {
  index_t iterations = 0;     ///< of the subspace; 0: the exact decomposition
  index_t oversampling = 10;  ///< columns of the subspace beyond those asked for
  philox random = {};         ///< of its start
};

/// Turns the pairs so that the largest entry of each right vector is positive.
inline void canonical_signs(singular_triplets& x) {
  const matrix before = x.v;
  canonical_signs(x.v);
  for (index_t j = 0; j < x.v.cols(); ++j)
    if (x.v.col(j).dot(before.col(j)) < 0) x.u.col(j) = -x.u.col(j);
}

/// The @p count largest triplets of a matrix, whose elements must be finite.
/// @throws std::invalid_argument unless 0 <= count <= min(rows, cols) and the options are not negative.
template <dense_matrix M>
singular_triplets truncated_svd(const M& expression, index_t count, const svd_options& options = {}) {
  const Eigen::Ref<const matrix> a = expression;
  const char* function = "hone::linalg::truncated_svd";
  const index_t least = (min)(index_t{a.rows()}, index_t{a.cols()});
  invalid_argument_unless(count >= 0 && count <= least, function, "count", "must be in [0, %td], is %td", least, count);
  invalid_argument_unless(options.iterations >= 0, function, "iterations", "must not be negative, is %td",
                          options.iterations);
  invalid_argument_unless(options.oversampling >= 0, function, "oversampling", "must not be negative, is %td",
                          options.oversampling);
  singular_triplets result;
  const auto take = [&](const auto& m, const matrix* basis) {
    const Eigen::BDCSVD<matrix> svd(m, Eigen::ComputeThinU | Eigen::ComputeThinV);
    result.u =
        basis == nullptr ? matrix(svd.matrixU().leftCols(count)) : matrix(*basis * svd.matrixU().leftCols(count));
    result.values = svd.singularValues().head(count);
    result.v = svd.matrixV().leftCols(count);
    canonical_signs(result);
  };
  if (count == 0) return {matrix(a.rows(), 0), vector(), matrix(a.cols(), 0)};
  if (options.iterations == 0) {
    take(a, nullptr);
    return result;
  }
  const index_t width = (min)(least, count + options.oversampling);
  const auto orthonormal = [](const matrix& m) {
    matrix q = matrix::Identity(m.rows(), m.cols());
    q.applyOnTheLeft(Eigen::HouseholderQR<matrix>(m).householderQ());
    return q;
  };
  matrix start(a.cols(), width);
  for (index_t i = 0; i < start.size(); ++i) start.data()[i] = options.random.normal(static_cast<std::uint64_t>(i));
  matrix range = orthonormal(a * start);
  for (index_t i = 0; i < options.iterations; ++i) range = orthonormal(a * orthonormal(a.transpose() * range));
  take(matrix(range.transpose() * a), &range);
  return result;
}

}  // namespace HONE_NAMESPACE::linalg
