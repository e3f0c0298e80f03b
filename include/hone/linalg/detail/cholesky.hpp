// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Cholesky's factor of a symmetric matrix of rows, and of one that is made definite first.
#pragma once
#include "hone/core/blas.hpp"

#include <cmath>
#include <span>

namespace HONE_NAMESPACE::linalg::detail {

/// @p l <- the lower factor of @p h + shift I (n * n, rows; only the lower triangles are read and written); false where
/// a pivot is not positive beyond rounding. Products of rows: n^3 / 3 flops.
inline bool factor(std::span<const double> h, double shift, std::size_t n, std::span<double> l) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      const double entry = h[i * n + j] + (i == j ? shift : 0);
      const double rest = entry - dot(l.subspan(i * n, j), l.subspan(j * n, j));
      if (j < i) {
        l[i * n + j] = rest / l[j * n + j];
      } else {
        if (!(rest > 4 * std::numeric_limits<double>::epsilon() * std::abs(entry)) || !std::isfinite(rest))
          return false;
        l[i * n + i] = std::sqrt(rest);
      }
    }
  }
  return true;
}

/// x <- (L L^T)^-1 x
inline void solve(std::span<const double> l, std::span<double> x) {
  const std::size_t n = x.size();
  for (std::size_t i = 0; i < n; ++i) x[i] = (x[i] - dot(l.subspan(i * n, i), x.first(i))) / l[i * n + i];
  for (std::size_t i = n; i-- > 0;) {
    x[i] /= l[i * n + i];
    axpy(-x[i], l.subspan(i * n, i), x.first(i));
  }
}

/// The factor of @p h + (shift + more) I, with more = 0 where that is definite, else the first of 1e-12, 1e-11, ...
/// times the largest element of the diagonal. Returns more; infinity where h is not finite.
inline double factor_definite(std::span<const double> h, double shift, std::size_t n, std::span<double> l) {
  if (factor(h, shift, n, l)) return 0;
  double largest = 0;
  for (std::size_t i = 0; i < n; ++i) largest = (max)(largest, std::abs(h[i * n + i]));
  if (largest == 0) largest = 1;
  for (double more = 1e-12; more < 1e9; more *= 10)
    if (factor(h, shift + more * largest, n, l)) return more * largest;
  return std::numeric_limits<double>::infinity();
}

}  // namespace HONE_NAMESPACE::linalg::detail
