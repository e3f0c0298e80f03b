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

TEMPLATE_TEST_CASE("thread ranks: each gets the parts that the others have for it", "", float, double, bfloat16,
                   float16, std::int32_t, index_t) {
  STATIC_REQUIRE(exchanger<threads, TestType>);
  for (const index_t size : {1, 2, 3, 4}) {
    thread_ranks all(size);
    CHECK_NOTHROW(all.run([](threads& comm) { ranks::check_exchanges<TestType>(comm); }));
    CHECK_NOTHROW(all.run([](threads& comm) { ranks::check_refused_borders(comm); }));
  }
}

TEST_CASE("ranks are told what they will receive") {
  thread_ranks all(2);
  all.run([](threads& comm) {
    // Rank 0 has one element for itself and two for rank 1, which has nothing.
    const bool first = comm.rank() == 0;
    const std::vector<float> x = first ? std::vector<float>{1, 2, 3} : std::vector<float>{};
    const std::vector<index_t> from = first ? std::vector<index_t>{0, 1, 3} : std::vector<index_t>{0, 0, 0};
    const std::vector<index_t> to = distributed::receive_borders(std::span<const index_t>(from), comm);
    std::vector<float> received(static_cast<std::size_t>(to.back()));
    comm.all_to_all(x, std::span<const index_t>(from), std::span(received), std::span<const index_t>(to));
    ranks::require(received == (first ? std::vector<float>{1} : std::vector<float>{2, 3}), "received");
  });
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
  refused = 0;
  all.run([&](threads& comm) {
    const bool odd = comm.rank() == 1;
    std::vector<float> x(6), y(6, 7.0f);
    const std::vector<index_t> two = {0, 2, 4, 6}, other = {0, 1, 4, 6}, few = {0, 2, 6}, back = {0, 4, 2, 6};
    const auto exchange = [&](const auto& from, auto&& to_memory, const auto& to) {
      refused += ranks::refused(
          [&] { comm.all_to_all(x, std::span<const index_t>(from), to_memory, std::span<const index_t>(to)); });
    };
    exchange(odd ? other : two, std::span(y), two);  // counts that do not add up
    exchange(two, std::span(y), odd ? other : two);
    exchange(odd ? few : two, std::span(y), odd ? few : two);  // borders that are none
    exchange(odd ? back : two, std::span(y), odd ? back : two);
    exchange(two, odd ? std::span<float>(static_cast<float*>(nullptr), 6) : std::span(y), two);
    const std::vector<float> three(3);
    refused += ranks::refused([&] { comm.all_to_all(odd ? three : x, std::span(y)); });
    refused += ranks::refused([&] { comm.all_to_all(odd ? three : x, std::span(y).first(odd ? 3 : 6)); });
    refused += ranks::refused([&] { comm.all_to_all(std::span(x).first(4), std::span(y).first(4)); });
    // Elements of another type, another function.
    std::vector<std::int32_t> whole(6), others(6);
    refused +=
        ranks::refused([&] { odd ? comm.all_to_all(whole, std::span(others)) : comm.all_to_all(x, std::span(y)); });
    refused += ranks::refused(
        [&] { odd ? comm.all_gather(std::span(x), std::span<const index_t>(two)) : comm.all_to_all(x, std::span(y)); });
    refused += ranks::refused([&] {
      odd ? comm.all_gather(std::span(x), std::span<const index_t>(two))
          : comm.reduce_scatter(std::span(x), std::span<const index_t>(two));
    });
    ranks::require(y == std::vector<float>(6, 7.0f), "refused and written");
  });
  CHECK(refused == 33);
  CHECK_THROWS_AS(thread_ranks(0), std::invalid_argument);
  CHECK_THROWS_AS(threads(all, 3), std::invalid_argument);
}
