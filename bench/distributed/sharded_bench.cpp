// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What sharding costs: two thread ranks, one a core. The bytes are those of the combination alone; the roof is the sum
/// of the parts, by hand: for shards the plain combine() of each rank's part and one all-reduce of as many elements as
/// the three of combine_sharded(); for replicas the collectives and that.
#include "hone/distributed/replicated.hpp"
#include "hone/distributed/threads.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"

#include "support/roof.hpp"

#include <vector>

namespace {

using namespace hone;
using distributed::threads;

constexpr index_t ranks = 2;

struct data {
  explicit data(index_t n) : borders(distributed::shard_borders(n, ranks)), f(static_cast<std::size_t>(ranks)), r(f) {
    for (std::size_t rank = 0; rank < f.size(); ++rank) {
      f[rank].resize(static_cast<std::size_t>(n));
      r[rank].resize(f[rank].size());
      for (index_t i = 0; i < n; ++i) {
        f[rank][static_cast<std::size_t>(i)] = static_cast<float>((i * 7919) % 2003 - 1001) * 1e-3f;
        r[rank][static_cast<std::size_t>(i)] = static_cast<float>((i * 104729) % 1999 - 999) * 1e-3f;
      }
    }
  }
  std::vector<index_t> borders;
  std::vector<std::vector<float>> f, r;
  distributed::thread_ranks all{ranks};

  std::span<float> part(std::vector<std::vector<float>>& x, const threads& comm) {
    return distributed::detail::part(std::span(x[static_cast<std::size_t>(comm.rank())]),
                                     std::span<const index_t>(borders), comm.rank());
  }
};

/// The three all-reduces of combine_sharded for one group that both ranks hold.
void reduce_elements(threads& comm) {
  std::vector<double> header(7 * ranks), products(3 * ranks), report(14 * ranks);
  for (auto* elements : {&header, &products, &report}) comm.all_reduce(std::span(*elements));
}

template <class Method>
void sharded(benchmark::State& state, const Method& method, double passes) {
  data d(state.range(0) << 20);
  const auto on_ranks = [&](auto&& f) {
    d.all.run([&](threads& comm) {
      const auto retain = d.part(d.r, comm);
      f(comm, gradient::tasks(d.part(d.f, comm), retain), retain);
    });
  };
  against_roof(
      state, passes * 4 * static_cast<double>(d.f[0].size()),
      [&] {
        on_ranks([&](threads& comm, const auto& g, auto out) {
          distributed::combine_sharded(method, g, out, d.borders[static_cast<std::size_t>(comm.rank())], {}, serial{},
                                       comm);
        });
      },
      [&] {
        on_ranks([&](threads& comm, const auto& g, auto out) {
          gradient::combine(method, g, out);
          reduce_elements(comm);
        });
      });
}

template <class Method>
void replicated(benchmark::State& state, const Method& method, double passes) {
  data d(state.range(0) << 20);
  const std::span<const index_t> cuts(d.borders);
  const auto whole = [&](threads& comm, auto& x) { return std::span(x[static_cast<std::size_t>(comm.rank())]); };
  against_roof(
      state, passes * 4 * static_cast<double>(d.f[0].size()),
      [&] {
        d.all.run([&](threads& comm) {
          distributed::combine_replicated(method, std::array{whole(comm, d.f), whole(comm, d.r)}, whole(comm, d.r),
                                          distributed::reduction::sum, {}, serial{}, comm);
        });
      },
      [&] {
        d.all.run([&](threads& comm) {
          reduce_elements(comm);
          comm.reduce_scatter(whole(comm, d.f), cuts);
          comm.reduce_scatter(whole(comm, d.r), cuts);
          gradient::combine(method, gradient::tasks(d.part(d.f, comm), d.part(d.r, comm)), d.part(d.r, comm));
          comm.all_gather(whole(comm, d.r), cuts);
        });
      });
}

const gradient::sago by_element{.retain = 0.5, .forget = 0.5};
const gradient::pcgrad by_products{.retain = 0.25, .forget = 0.5};

void sago_sharded(benchmark::State& state) { sharded(state, by_element, 3); }
void pcgrad_sharded(benchmark::State& state) { sharded(state, by_products, 5); }
void sago_replicated(benchmark::State& state) { replicated(state, by_element, 3); }
void pcgrad_replicated(benchmark::State& state) { replicated(state, by_products, 5); }

void sizes(benchmark::internal::Benchmark* b) { b->ArgName("Mi")->Arg(1)->Arg(16)->UseManualTime()->MinTime(0.7); }

BENCHMARK(sago_sharded)->Apply(sizes);
BENCHMARK(pcgrad_sharded)->Apply(sizes);
BENCHMARK(sago_replicated)->Apply(sizes);
BENCHMARK(pcgrad_replicated)->Apply(sizes);

}  // namespace
