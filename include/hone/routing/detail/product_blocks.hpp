// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Products of many vectors with many others, by Eigen, a block at a time: each vector is converted and scaled once for
/// a block, so that any storage type and strides run at the speed of its accumulator type, and nothing overflows.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/packs.hpp"
#include "hone/linalg/dense.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <vector>

namespace HONE_NAMESPACE::routing::detail {

template <class A>
using dense = Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic>;

/// Rows that are multiplied at a time.
inline constexpr index_t row_block = 512;

/// to <- factor x; in two steps, as the inverse of a denormal length may be beyond A. Zeros where factor is 0,
/// whatever x.
template <scalar T, class A>
void scale_into(const vector_view<T>& x, double factor, A* to) {
  using packs = simd::pack<A>;
  if (factor == 0) return std::fill(to, to + x.size(), A{0});
  const vector_view<A> out(to, x.size());
  const packs root(static_cast<A>(std::sqrt(factor)));
  for_each_pack<packs::lanes>(
      0, x.size(), [&](index_t i, auto bound) { store_pack(out, i, bound, root * (root * load_pack(x, i, bound))); }, x,
      out);
}

/// The lengths of the rows of @p x, which are not finite where elements are not.
template <scalar T>
std::vector<double> lengths_of(const matrix_view<T>& x) {
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(x.rows()));
  for (index_t i = 0; i < x.rows(); ++i) result.push_back(std::sqrt(squared_norm(x.row(i))));
  return result;
}

/// 1 / length; 0 of zeros and of what is not finite.
inline double inverse_length(double length) { return std::isfinite(length) && length > 0 ? 1 / length : 0; }

/// The rows of @p q over their @p lengths, as columns.
template <class A, scalar T>
dense<A> unit_columns(const matrix_view<T>& q, const std::vector<double>& lengths) {
  dense<A> result(q.cols(), q.rows());
  for (index_t i = 0; i < q.rows(); ++i)
    scale_into(q.row(i), inverse_length(lengths[static_cast<std::size_t>(i)]), result.data() + i * q.cols());
  return result;
}

/// <x, y> by lanes of A; what overflows there in double.
template <class A, scalar T>
double lane_product(const vector_view<T>& x, const vector_view<const A>& y) {
  using packs = simd::pack<A>;
  packs sums[4] = {packs(0), packs(0), packs(0), packs(0)};  // one alone would wait for itself
  index_t i = 0;
  if (x.contiguous())
    for (; x.size() - i >= 4 * packs::lanes; i += 4 * packs::lanes)
      for (int k = 0; k < 4; ++k) {
        const index_t at = i + k * packs::lanes;
        sums[k] += load_pack(x, at, whole_pack{}) * load_pack(y, at, whole_pack{});
      }
  for (; i < x.size(); i += packs::lanes) sums[0] += load_pack(x, i, x.size()) * load_pack(y, i, x.size());
  const auto total = static_cast<double>(simd::horizontal_sum((sums[0] + sums[1]) + (sums[2] + sums[3])));
  return std::isfinite(total) ? total : dot(x, y);
}

/// f(begin, height, products) for each block of rows of @p x: column i of products, from its top, holds the products of
/// rows [begin, begin + height), each times its scale(row), with column i of @p left. Of few columns the rows are not
/// copied: one read is what they cost.
template <class A, scalar T, class Scale, class F>
void for_each_product_block(const matrix_view<T>& x, Scale&& scale, const dense<A>& left, F&& f) {
  const bool few = left.cols() < 4;
  dense<A> right(x.cols(), few ? 0 : row_block), products(row_block, left.cols());
  for (index_t begin = 0; begin < x.rows(); begin += row_block) {
    const index_t height = (std::min)(row_block, x.rows() - begin);
    for (index_t j = 0; j < height; ++j) {
      const double factor = scale(begin + j);
      if (!few) {
        scale_into(x.row(begin + j), factor, right.data() + j * x.cols());
        continue;
      }
      for (index_t i = 0; i < left.cols(); ++i) {
        const vector_view<const A> column(left.data() + i * x.cols(), x.cols());
        const auto row = x.row(begin + j);
        // Products of denormal elements have few digits in A.
        const double product = factor == 0 ? 0 : factor < 1e30 ? lane_product<A>(row, column) : dot(row, column);
        products(j, i) = static_cast<A>(factor * product);
      }
    }
    if (!few) products.topRows(height).noalias() = right.leftCols(height).transpose() * left;
    f(begin, height, products);
  }
}

}  // namespace HONE_NAMESPACE::routing::detail
