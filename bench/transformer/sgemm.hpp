// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The roof of what multiplies matrices.
#pragma once
#include "hone/core/thread_pool.hpp"
#include "support/roof.hpp"

#include <Eigen/Core>

/// Flops a second of one worker while all workers multiply matrices of 256 x 256: the best of 20, median over workers.
inline double sgemm_rate(hone::thread_pool& pool) {
  using hone::index_t;
  constexpr index_t n = 256;
  std::vector<double> rates(static_cast<std::size_t>(pool.concurrency()));
  pool.parallel_for(pool.concurrency(), 1, [&](index_t begin, index_t end) {
    using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const matrix a = matrix::Constant(n, n, 0.5f), b = matrix::Constant(n, n, 0.25f);
    matrix c(n, n);
    for (index_t i = begin; i < end; ++i) {
      double best = 1e9;
      for (int repeat = 0; repeat < 20; ++repeat)
        best = (std::min)(best, seconds([&] {
                            c.noalias() = a * b;
                            benchmark::DoNotOptimize(c.data());
                          }));
      rates[static_cast<std::size_t>(i)] = 2.0 * n * n * n / best;
    }
  });
  return median(rates);
}
