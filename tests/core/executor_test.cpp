// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/executor.hpp"
#include "hone/core/thread_pool.hpp"

#include "support/catch.hpp"

#include <vector>

TEST_CASE("what an executor is") {
  STATIC_REQUIRE(hone::executor<hone::serial>);
  STATIC_REQUIRE(hone::executor<const hone::serial>);
  STATIC_REQUIRE(hone::executor<hone::thread_pool>);
  STATIC_REQUIRE(!hone::executor<int>);
}

TEST_CASE("serial runs the whole range at once, and nothing for nothing") {
  int calls = 0;
  hone::serial::parallel_for(10, 3, [&](hone::index_t begin, hone::index_t end) {
    ++calls;
    CHECK(begin == 0);
    CHECK(end == 10);
  });
  hone::serial::parallel_for(0, 1, [&](hone::index_t, hone::index_t) { ++calls; });
  CHECK(calls == 1);
}

TEST_CASE("a reference runs what its executor runs, whatever the executor") {
  hone::thread_pool pool(3);
  const hone::serial alone;
  std::vector<int> seen(1000, 0);
  for (const hone::executor_reference any : {hone::executor_reference(pool), hone::executor_reference(alone)}) {
    STATIC_REQUIRE(hone::executor<const hone::executor_reference>);
    any.parallel_for(1000, 10, [&](hone::index_t begin, hone::index_t end) {
      for (hone::index_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
    });
    any.parallel_for(0, 1, [&](hone::index_t, hone::index_t) { seen[0] = 100; });
  }
  CHECK(seen == std::vector<int>(1000, 2));
  CHECK(hone::executor_reference(pool).concurrency() == 3);
  CHECK(hone::executor_reference(alone).concurrency() == 1);
}

namespace {

/// What it is asked for.
struct recorder {
  hone::index_t grain = 0;
  [[nodiscard]] static hone::index_t concurrency() { return 5; }
  template <class F>
  void parallel_for(hone::index_t count, hone::index_t wanted, F&& f) {
    grain = wanted;
    f(hone::index_t{0}, count);
  }
};

}  // namespace

TEST_CASE("a reference hands on the grain, whatever the executor makes of it") {
  recorder pool;
  hone::executor_reference(pool).parallel_for(10, 7, [](hone::index_t, hone::index_t) {});
  CHECK(pool.grain == 7);
}
