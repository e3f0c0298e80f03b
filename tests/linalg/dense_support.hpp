// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Random matrices for the tests of linalg/ and lora/.
#pragma once
#include "hone/core/random.hpp"
#include "hone/linalg/dense.hpp"
#include "hone/linalg/orthonormal.hpp"

#include <vector>

/// rows x cols standard normal numbers.
inline hone::linalg::matrix normal_matrix(hone::index_t rows, hone::index_t cols, std::uint32_t stream) {
  hone::linalg::matrix m(rows, cols);
  for (hone::index_t i = 0; i < m.size(); ++i)
    m.data()[i] = hone::philox{11, stream}.normal(static_cast<std::uint64_t>(i));
  return m;
}

/// rows x cols orthonormal columns.
inline hone::linalg::matrix random_frame(hone::index_t rows, hone::index_t cols, std::uint32_t stream) {
  return hone::linalg::orthonormal_part(hone::linalg::matrix(rows, 0), normal_matrix(rows, cols, stream));
}

/// Row-major numbers of another type, as a model holds them.
template <class T>
std::vector<T> row_major(const hone::linalg::matrix& m) {
  std::vector<T> result;
  for (hone::index_t i = 0; i < m.rows(); ++i)
    for (hone::index_t j = 0; j < m.cols(); ++j)
      result.push_back(hone::from_accumulator<T>(static_cast<hone::accumulator_t<T>>(m(i, j))));
  return result;
}

inline double largest(const hone::linalg::matrix& m) { return m.size() == 0 ? 0 : m.cwiseAbs().maxCoeff(); }
/// How far the columns are from orthonormal.
inline double skew(const hone::linalg::matrix& q) {
  return largest(q.transpose() * q - hone::linalg::matrix::Identity(q.cols(), q.cols()));
}
inline hone::linalg::matrix projector(const hone::linalg::matrix& q) { return q * q.transpose(); }
