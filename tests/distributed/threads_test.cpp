// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/distributed/threads.hpp"

#include "distributed/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::distributed;

TEMPLATE_TEST_CASE("thread ranks: collectives give the tree's bits for even, uneven and empty parts", "", float, double,
                   bfloat16, float16) {
  STATIC_REQUIRE(all_reducer<threads>);
  STATIC_REQUIRE(reduce_scatterer<threads, TestType>);
  STATIC_REQUIRE(all_gatherer<threads, TestType>);
  for (const index_t size : {1, 2, 3, 4, 7}) {
    thread_ranks all(size);
    CHECK_NOTHROW(all.run([](threads& comm) { ranks::check_collectives<TestType>(comm); }));
  }
}

TEST_CASE("a rank that throws frees those that wait for it, and the ranks can run again") {
  thread_ranks all(4);
  for (int round = 0; round < 20; ++round) {
    CHECK_THROWS_WITH(all.run([](threads& comm) {
      if (comm.rank() == 2) throw std::logic_error("stop");
      std::vector<double> x(2);
      comm.all_reduce(std::span(x));
    }),
                      "stop");
    CHECK_NOTHROW(all.run([](threads& comm) { ranks::check_collectives<float>(comm); }));
  }
}

TEST_CASE("thread ranks whose sizes or borders differ, or one of which has no memory, all throw") {
  thread_ranks all(3);
  std::atomic<int> refused = 0;
  all.run([&](threads& comm) {
    std::vector<double> x(comm.rank() == 1 ? 3u : 2u);
    refused += ranks::refused([&] { comm.all_reduce(std::span(x)); });
    std::vector<float> y(9);
    const std::vector<index_t> borders = {0, comm.rank() == 0 ? 2 : 3, 6, 9};
    refused += ranks::refused([&] { comm.reduce_scatter(std::span(y), std::span<const index_t>(borders)); });
    refused += ranks::refused([&] { comm.all_gather(std::span(y), std::span<const index_t>(borders)); });
    const std::span<double> nowhere(static_cast<double*>(nullptr), 2);
    refused += ranks::refused([&] { comm.all_reduce(comm.rank() == 2 ? nowhere : std::span(x).first(2)); });
  });
  CHECK(refused == 12);
  CHECK_THROWS_AS(thread_ranks(0), std::invalid_argument);
  CHECK_THROWS_AS(threads(all, 3), std::invalid_argument);
}
