// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/expert_parallel.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/distributed/threads.hpp"
#include "support/catch.hpp"
#include "transformer/over_ranks.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("experts on one to four ranks have the bits of one process", "", float, double) {
  distributed::single alone;
  over_ranks::check_experts<TestType>(alone);
  for (const index_t size : {1, 2, 3, 4}) {
    distributed::thread_ranks all(size);
    CHECK_NOTHROW(all.run([](distributed::threads& comm) { over_ranks::check_experts<TestType>(comm); }));
  }
}

TEST_CASE("experts on ranks with workers have the bits of one process and thread") {
  for (const index_t size : {1, 3}) {
    distributed::thread_ranks all(size);
    CHECK_NOTHROW(all.run([](distributed::threads& comm) {
      thread_pool pool(2 + comm.rank());
      over_ranks::check_bits<float>({40, 7}, comm, pool);
      over_ranks::check_bits<float>({23, 2, 0.5, 1}, comm, pool);
    }));
  }
}

TEST_CASE("plans of ranks that do not fit are refused on all") {
  distributed::single alone;
  over_ranks::check_refusals(alone);
  distributed::thread_ranks all(3);
  CHECK_NOTHROW(all.run([](distributed::threads& comm) { over_ranks::check_refusals(comm); }));
}

TEST_CASE("a rank whose experts no token chooses finishes, and their gradient stays 0") {
  distributed::thread_ranks all(2);
  all.run([](distributed::threads& comm) {
    over_ranks::one_layer<float> layer({6, 2, 1.0, 1});
    std::vector<float> gradient(layer.gradient.size(), 0.0f), dgates(layer.plan.token.size());
    exchanged_experts<float> kept;
    exchange_memory<float> memory;
    memory.rows.assign(100000, 3.0f);
    const auto p = layer.products(gradient);
    const auto view = [](auto& x) { return as_rows(x, 6); };
    experts_forward_over_ranks(p, 0, layer.plan, view(layer.x), layer.d_ff, kept, memory, view(layer.y), comm);
    experts_backward_over_ranks(p, 0, layer.plan, view(layer.dy), layer.d_ff, kept, memory, dgates.data(),
                                view(layer.dx), comm);
    ranks::require(kept.exchange.incoming.tokens == (comm.rank() == 0 ? 12 : 0), "rows at the owner");
    const bool none = std::all_of(gradient.begin(), gradient.end(), [](float g) { return g == 0; });
    ranks::require(none == (comm.rank() == 1), "gradients");
  });
}
