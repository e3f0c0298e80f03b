// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A program of its own, started by mpirun with several numbers of ranks.
#include "hone/distributed/mpi.hpp"

#include "hone/gradient/mgda.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"

#include "distributed/support.hpp"
#include "support/catch.hpp"
#include "transformer/over_ranks.hpp"

using namespace hone;

namespace {
struct session {
  session() { MPI_Init(nullptr, nullptr); }
  ~session() { MPI_Finalize(); }
} started;
}  // namespace

TEMPLATE_TEST_CASE("MPI ranks: collectives give the tree's bits for even, uneven and empty parts", "", float, double,
                   bfloat16, float16) {
  STATIC_REQUIRE(distributed::all_reducer<distributed::mpi>);
  distributed::mpi comm, in_pieces(MPI_COMM_WORLD, 100);
  CHECK_NOTHROW(ranks::check_collectives<TestType>(comm));
  CHECK_NOTHROW(ranks::check_collectives<TestType>(in_pieces));
}

TEMPLATE_TEST_CASE("MPI ranks: each gets the parts that the others have for it", "", float, double, bfloat16, float16,
                   std::int32_t, index_t) {
  STATIC_REQUIRE(distributed::exchanger<distributed::mpi, TestType>);
  distributed::mpi comm, in_pieces(MPI_COMM_WORLD, 100);
  CHECK_NOTHROW(ranks::check_exchanges<TestType>(comm));
  CHECK_NOTHROW(ranks::check_exchanges<TestType>(in_pieces));
  CHECK_NOTHROW(ranks::check_refused_borders(comm));
}

TEMPLATE_TEST_CASE("MPI ranks: sharded and replicated combination give the bits of one process", "", float, bfloat16) {
  distributed::mpi comm;
  CHECK_NOTHROW(ranks::check_combination<TestType>(gradient::sago{}, comm));
  CHECK_NOTHROW(ranks::check_combination<TestType>(gradient::pcgrad{.forget = 0.5}, comm));
  CHECK_NOTHROW(ranks::check_combination<TestType>(gradient::mgda{}, comm));
}

TEST_CASE("MPI ranks: what does not fit on the last rank is refused on all") {
  distributed::mpi comm;
  const bool last = comm.rank() + 1 == comm.size();
  std::vector<float> x(10), out(last ? 11 : 10);
  CHECK_THROWS_AS(distributed::combine_replicated(gradient::pcgrad{}, std::array{std::span(x), std::span(x)}, out,
                                                  distributed::reduction::sum, {}, serial{}, comm),
                  std::invalid_argument);
  const std::vector<index_t> good(static_cast<std::size_t>(comm.size()) + 1, 0), bad = {0, 10, 9};
  const std::span<const index_t> fit(good), none(bad);
  std::vector<float> y;
  CHECK_THROWS_AS(comm.all_to_all(x, std::span(y)), std::invalid_argument);
  CHECK_THROWS_AS(comm.all_to_all(y, fit, std::span(y), none), std::invalid_argument);
  CHECK_THROWS_AS(comm.all_to_all(y, none, std::span(y), fit), std::invalid_argument);
  CHECK_THROWS_AS(distributed::mpi(MPI_COMM_WORLD, -1), std::invalid_argument);
}

TEST_CASE("MPI ranks: another parameter on the last rank is refused on all") {
  distributed::mpi comm;
  const bool last = comm.rank() + 1 == comm.size();
  std::vector<float> f(10), r(10), out(10, 7.0f);
  const int expected = comm.size() > 1 ? 1 : 0;
  CHECK(ranks::refused([&] {
          distributed::combine_sharded(gradient::sago{.retain = last ? 2.0 : 1.0}, gradient::tasks(f, r), out,
                                       10 * comm.rank(), {}, serial{}, comm);
        }) == expected);
  CHECK(out == std::vector<float>(10, expected == 1 ? 7.0f : 0.0f));
  CHECK(ranks::refused([&] {
          distributed::combine_replicated(gradient::pcgrad{.forget = last ? 2.0 : 1.0},
                                          std::array{std::span(f), std::span(r)}, out, distributed::reduction::sum, {},
                                          serial{}, comm);
        }) == expected);
}

TEST_CASE("MPI ranks: experts have the bits of one process, also where ranks have no rows") {
  distributed::mpi comm, in_pieces(MPI_COMM_WORLD, 100);
  CHECK_NOTHROW(over_ranks::check_experts<float>(comm));
  CHECK_NOTHROW(over_ranks::check_experts<float>(in_pieces));
  CHECK_NOTHROW(over_ranks::check_refusals(comm));
}
