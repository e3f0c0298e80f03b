// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/executor.hpp"
#include "hone/core/thread_pool.hpp"

#include "support/catch.hpp"

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
