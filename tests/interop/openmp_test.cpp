// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/openmp.hpp"

#include "hone/core/blas.hpp"

#include "support/catch.hpp"

#include <array>
#include <atomic>
#include <vector>

using namespace hone;

TEST_CASE("every index runs once, sums keep their bits, exceptions reach the caller") {
  STATIC_REQUIRE(executor<openmp>);
  openmp pool;
  for (const int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    std::vector<std::atomic<int>> runs(1001);
    pool.parallel_for(1001, 1, [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
    });
    for (const auto& r : runs) REQUIRE(r == 1);
    const std::vector<float> x(100000, 0.1f);
    CHECK(hone::sum(x, pool) == hone::sum(x));
    CHECK_THROWS_AS(pool.parallel_for(10, 1, [](index_t, index_t) { throw std::invalid_argument("stop"); }),
                    std::invalid_argument);
  }
}

TEST_CASE("OpenMP: no more ranges than the grain leaves room for") {
  omp_set_num_threads(5);
  for (const auto& [count, grain, most] : {std::array<index_t, 3>{10, 10, 1}, {10, 4, 3}, {10, 0, 5}}) {
    std::atomic<index_t> ranges = 0, seen = 0;
    openmp::parallel_for(count, grain, [&](index_t begin, index_t end) {
      ++ranges;
      seen += end - begin;
    });
    CHECK(ranges <= most);
    CHECK(seen == count);
  }
  openmp::parallel_for(-3, 1, [](index_t, index_t) { throw std::invalid_argument("nothing to run"); });
}

TEST_CASE("OpenMP: a loop inside a loop is one range of its caller's") {
  omp_set_num_threads(3);
  CHECK(openmp::concurrency() == 3);
  std::atomic<int> ranges = 0;
  openmp::parallel_for(3, 1, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      openmp::parallel_for(50, 1, [&](index_t b, index_t e) { ranges += b == 0 && e == 50 ? 1 : 100; });
    if (omp_in_parallel()) ranges += openmp::concurrency() == 1 ? 0 : 1000;
  });
  CHECK(ranges == 3);
}
