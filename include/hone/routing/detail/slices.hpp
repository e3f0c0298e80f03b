// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Products of parameter matrices, shared out by rows of the result: each element is one product, computed in the same
/// slice by whoever takes it, so that no executor changes a bit and no partial sums are held.
#pragma once
#include "hone/routing/detail/product_blocks.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <type_traits>

namespace HONE_NAMESPACE::routing::detail {

/// Parameters of the caller's, row by row.
template <class A>
using row_major = Eigen::Map<std::conditional_t<
    std::is_const_v<A>, const Eigen::Matrix<std::remove_const_t<A>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
    Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>>;

/// f(begin, rows) for slices of [0, count).
template <class E, class F>
void for_each_slice(index_t count, E& pool, F&& f) {
  constexpr index_t slice = 32;
  pool.parallel_for((count + slice - 1) / slice, index_t{1}, [&](index_t begin, index_t end) {
    for (index_t s = begin; s < end; ++s) f(s * slice, (std::min)(slice, count - s * slice));
  });
}

}  // namespace HONE_NAMESPACE::routing::detail
