// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How far apart two subspaces lie: the angles between the best matching pairs of directions.
/// [Bjorck, Golub 1973, Numerical methods for computing angles between linear subspaces, Math. Comp. 27]
#pragma once
#include "hone/linalg/dense.hpp"

#include <Eigen/SVD>

namespace HONE_NAMESPACE::linalg {

/// The angles between the spans of @p u and @p v (d x k and d x l, orthonormal columns), ascending, min(k, l) of them,
/// in [0, pi / 2]: by sines below pi / 4 and by cosines above, so that small angles keep their digits.
/// @throws std::invalid_argument if the columns differ in length.
template <dense_matrix U, dense_matrix V>
vector principal_angles(const U& u, const V& v) {
  invalid_argument_unless(u.rows() == v.rows(), "hone::linalg::principal_angles", "v", "has %td rows, u has %td",
                          v.rows(), u.rows());
  if (u.cols() < v.cols()) return principal_angles(v, u);
  if (v.cols() == 0) return {};
  const matrix inner = u.transpose() * v;
  vector cosines = Eigen::JacobiSVD<matrix>(inner).singularValues();
  vector sines = Eigen::JacobiSVD<matrix>(v - u * inner).singularValues().reverse();
  for (index_t i = 0; i < cosines.size(); ++i)
    cosines(i) = cosines(i) * cosines(i) > 0.5 ? std::asin((min)(sines(i), 1.0)) : std::acos((min)(cosines(i), 1.0));
  return cosines;
}

}  // namespace HONE_NAMESPACE::linalg
