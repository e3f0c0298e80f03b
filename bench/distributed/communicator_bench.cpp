// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Exchanges between two thread ranks, one a core. The bytes are those read and written; the roof is a copy of as many,
/// each rank its own.
#include "hone/distributed/threads.hpp"

#include "support/roof.hpp"

#include <vector>

namespace {

using namespace hone;
using distributed::threads;

constexpr index_t ranks = 2;
constexpr int repeats = 16;  // a run starts threads

/// @p exchange(comm, x, y) against a copy of x to y; a rank has @p elements of each.
template <class Exchange>
void exchanged(benchmark::State& state, Exchange&& exchange) {
  const index_t elements = (state.range(0) << 10) / 4;
  std::vector<std::vector<float>> x(ranks), y(ranks);
  for (std::size_t r = 0; r < x.size(); ++r) {
    x[r].assign(static_cast<std::size_t>(elements), static_cast<float>(r));
    y[r].resize(x[r].size());
  }
  distributed::thread_ranks all{ranks};
  const auto on_ranks = [&](auto&& f) {
    all.run([&](threads& comm) {
      const auto r = static_cast<std::size_t>(comm.rank());
      for (int i = 0; i < repeats; ++i) f(comm, std::span<const float>(x[r]), std::span(y[r]));
    });
    benchmark::ClobberMemory();
  };
  against_roof(
      state, 2.0 * repeats * 4 * static_cast<double>(ranks * elements), [&] { on_ranks(exchange); },
      [&] {
        on_ranks([](threads&, auto from, auto to) {
          std::copy(from.begin(), from.end(), to.begin());
          benchmark::ClobberMemory();
        });
      });
}

void exchange_equal(benchmark::State& state) {
  exchanged(state, [](threads& comm, auto x, auto y) { comm.all_to_all(x, y); });
}

/// Each rank keeps a quarter of what it has; who receives learns how much first.
void exchange_unequal(benchmark::State& state) {
  exchanged(state, [](threads& comm, auto x, auto y) {
    const auto n = static_cast<index_t>(x.size());
    const index_t borders[] = {0, comm.rank() == 0 ? n / 4 : n - n / 4, n};
    const auto to = distributed::receive_borders(borders, comm);
    comm.all_to_all(x, borders, y, to);
  });
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgName("KiB")->Arg(64)->Arg(1024)->Arg(65536)->UseManualTime()->MinTime(0.5);
}

BENCHMARK(exchange_equal)->Apply(sizes);
BENCHMARK(exchange_unequal)->Apply(sizes);

}  // namespace
