// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Random positive semidefinite matrices for the tests of linalg/.
#pragma once
#include "hone/core/random.hpp"
#include "hone/linalg/symmetric_eigen.hpp"

#include "support/sizes.hpp"

#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

/// J J^T of K random rows of @p n elements, of lengths that differ by 2^-spread … 2^spread.
template <std::size_t K>
hone::linalg::square<K> random_gram(int n, std::uint32_t seed, int spread = 0) {
  std::vector<double> rows;
  for (std::size_t i = 0; i < K; ++i) {
    const double length = std::ldexp(1.0, spread == 0 ? 0 : static_cast<int>(i % 3) * spread - spread);
    for (int e = 0; e < n; ++e)
      rows.push_back(length * hone::philox{seed, static_cast<std::uint32_t>(i)}.normal(static_cast<std::uint64_t>(e)));
  }
  hone::linalg::square<K> g{};
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = 0; j < K; ++j)
      for (std::size_t e = 0; e < static_cast<std::size_t>(n); ++e)
        g[i][j] += rows[i * static_cast<std::size_t>(n) + e] * rows[j * static_cast<std::size_t>(n) + e];
  return g;
}

template <std::size_t K>
std::array<double, K> times(const hone::linalg::square<K>& a, const std::array<double, K>& x) {
  std::array<double, K> result{};
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = 0; j < K; ++j) result[i] += a[i][j] * x[j];
  return result;
}
