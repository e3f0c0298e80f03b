// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/thread_pool.hpp"

#include "support/catch.hpp"

#include <stdexcept>
#include <thread>
#include <vector>

using hone::index_t;
using hone::thread_pool;

TEST_CASE("every index runs exactly once, on any number of workers") {
  for (const index_t workers : {1, 2, 3, 7}) {
    thread_pool pool(workers);
    CHECK(pool.concurrency() == workers);
    for (const index_t count : {0, 1, 2, 100, 4097}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
      pool.parallel_for(count, 3, [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
      });
      for (const auto& r : runs) REQUIRE(r == 1);
    }
  }
}

TEST_CASE("ranges are as long as the grain, but the last of each worker's share") {
  thread_pool pool(3);
  std::atomic<int> ranges = 0;
  pool.parallel_for(1000, 100, [&](index_t, index_t) { ++ranges; });
  CHECK(ranges == 12);                     // shares of 333, 333 and 334
  for (const index_t count : {99, 100}) {  // one range is the caller's
    ranges = 0;
    pool.parallel_for(count, 100, [&](index_t begin, index_t end) { ranges += begin == 0 && end == count ? 1 : 100; });
    CHECK(ranges == 1);
  }
  for (const index_t grain : {1, 0, -5}) {  // eight ranges a worker where the grain allows it
    ranges = 0;
    pool.parallel_for(1000, grain, [&](index_t, index_t) { ++ranges; });
    CHECK(ranges == 24);
  }
  ranges = 0;
  pool.parallel_for(-1, 1, [&](index_t, index_t) { ++ranges; });
  CHECK(ranges == 0);
}

TEST_CASE("a loop inside a loop, and loops from several threads, run to the end") {
  thread_pool pool(3);
  std::atomic<index_t> total = 0;
  const auto nested = [&] {
    pool.parallel_for(20, 1, [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) pool.parallel_for(10, 1, [&](index_t b, index_t e) { total += e - b; });
    });
  };
  std::thread other([&] {
    for (int i = 0; i < 50; ++i) nested();
  });
  for (int i = 0; i < 50; ++i) nested();
  other.join();
  CHECK(total == 2 * 50 * 200);
}

TEST_CASE("a loop inside a loop is one range of its caller's") {
  thread_pool pool(3);
  std::atomic<int> ranges = 0;
  pool.parallel_for(6, 1, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      pool.parallel_for(100, 1, [&](index_t b, index_t e) { ranges += b == 0 && e == 100 ? 1 : 1000; });
  });
  CHECK(ranges == 6);
}

TEST_CASE("ranges not begun when a body throws are dropped") {
  thread_pool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> ranges = 0;
    CHECK_THROWS_AS(pool.parallel_for(1000, 1,
                                      [&](index_t, index_t) {
                                        ++ranges;
                                        throw std::runtime_error("stop");
                                      }),
                    std::runtime_error);
    CHECK(ranges <= 2);  // one a worker
  }
}

TEST_CASE("an exception reaches the caller and leaves the pool usable") {
  thread_pool pool(2);
  for (int round = 0; round < 20; ++round) {
    CHECK_THROWS_WITH(pool.parallel_for(100, 1,
                                        [](index_t begin, index_t) {
                                          if (begin >= 40) throw std::runtime_error("stop");
                                        }),
                      "stop");
    std::atomic<index_t> seen = 0;
    pool.parallel_for(100, 1, [&](index_t begin, index_t end) { seen += end - begin; });
    CHECK(seen == 100);
  }
}

TEST_CASE("a pool has between 1 and 4096 workers") {
  CHECK_THROWS_WITH(thread_pool(0), "hone::thread_pool: workers: must be in [1, 4096], is 0");
  CHECK_THROWS_WITH(thread_pool(4097), "hone::thread_pool: workers: must be in [1, 4096], is 4097");
  CHECK_THROWS_AS(thread_pool(-1), std::invalid_argument);
  CHECK(thread_pool::default_concurrency() >= 1);
  CHECK(thread_pool::default_concurrency() == (std::max)(1u, std::thread::hardware_concurrency()));
}
