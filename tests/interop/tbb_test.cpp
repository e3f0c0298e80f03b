// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/tbb.hpp"

#include "hone/core/blas.hpp"

#include "support/catch.hpp"

#include <atomic>
#include <vector>

using namespace hone;

TEST_CASE("TBB: every index runs once, sums keep their bits, exceptions reach the caller") {
  STATIC_REQUIRE(executor<tbb_tasks>);
  for (const int workers : {1, 2, 5}) {
    tbb::task_arena arena(workers);
    arena.execute([&] {
      hone::tbb_tasks pool;
      const std::vector<float> x(100000, 0.1f);
      const double total = hone::sum(x, pool);
      CHECK(pool.concurrency() == workers);
      CHECK(total == hone::sum(x));
      std::vector<std::atomic<int>> runs(1001);
      pool.parallel_for(1001, 1, [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
      });
      for (const auto& r : runs) REQUIRE(r == 1);
      std::atomic<int> ranges = 0, seen = 0;
      pool.parallel_for(1000, 1000, [&](index_t begin, index_t end) { ranges += begin == 0 && end == 1000 ? 1 : 100; });
      CHECK(ranges == 1);
      pool.parallel_for(100, 0, [&](index_t begin, index_t end) { seen += static_cast<int>(end - begin); });
      CHECK(seen == 100);
      pool.parallel_for(-1, 1, [](index_t, index_t) { throw std::invalid_argument("nothing to run"); });
      pool.parallel_for(0, 1, [](index_t, index_t) { throw std::invalid_argument("nothing to run"); });
      CHECK_THROWS_AS(pool.parallel_for(10, 1, [](index_t, index_t) { throw std::invalid_argument("stop"); }),
                      std::invalid_argument);
    });
  }
}
