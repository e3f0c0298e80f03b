// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// K tasks: the Gram matrix and the combination against the machine's roof for the bytes that they must move, and what
/// each method takes to turn a Gram matrix into weights. Roofs: one pass over the same K vectors that only adds them up
/// (K reads), and the same with one written (K reads, 1 write).
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/aligned.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/graddrop.hpp"
#include "hone/gradient/gradvac.hpp"
#include "hone/gradient/imtl.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/nash.hpp"
#include "hone/gradient/orthogonal.hpp"
#include "hone/gradient/upgrad.hpp"

#include "support/roof.hpp"

#include <string>
#include <vector>

namespace {

using namespace hone;
using namespace hone::gradient;

template <class T, std::size_t K>
struct data {
  explicit data(index_t total) : n(total / index_t{K}) {
    for (std::size_t a = 0; a < K; ++a) {
      memory[a].resize(static_cast<std::size_t>(n));
      pool.parallel_for(n, block_size, [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i)
          memory[a][static_cast<std::size_t>(i)] =
              from_accumulator<T>(static_cast<float>((i * (7919 + 2 * static_cast<index_t>(a))) % 2003 - 1001) * 1e-3f);
      });
      g.task[a] = as_vector(memory[a]);
    }
  }
  index_t n;
  thread_pool pool;
  std::array<std::vector<T>, K> memory;
  task_gradients<T, K> g;

  /// The first of the K vectors plus nothing of the others, each element read once; over the first, or nowhere.
  template <bool Write>
  void roof() {
    const auto out = as_vector(memory[0]);
    double total;
    blocked_sum<1>(
        n, &total,
        [&](index_t begin, index_t end, double* partial) {
          pack_of<T> sums(0);
          gradient::detail::for_each_task_pack(g.task, begin, end, [&](index_t i, auto bound) {
            pack_of<T> x = load_pack(g.task[0], i, bound);
            for (std::size_t a = 1; a < K; ++a) x += pack_of<T>(0) * load_pack(g.task[a], i, bound);
            if constexpr (Write)
              store_pack(out, i, bound, x);
            else
              sums += x;
          });
          *partial = simd::horizontal_sum(sums);
        },
        pool);
    benchmark::DoNotOptimize(total);
  }
};

template <class T, std::size_t K>
void gram_of_tasks(benchmark::State& state) {
  data<T, K> d(state.range(0) << 20);
  against_roof(
      state, K * sizeof(T) * static_cast<double>(d.n), [&] { benchmark::DoNotOptimize(gram(d.g, d.pool)); },
      [&] { d.template roof<false>(); });
}

template <class T, std::size_t K>
void weighted(benchmark::State& state) {
  data<T, K> d(state.range(0) << 20);
  const auto w = gradient::detail::filled<K>(1.0 / K);
  against_roof(
      state, (K + 1) * sizeof(T) * static_cast<double>(d.n), [&] { weighted_sum(w, d.g, d.memory[0], d.pool); },
      [&] { d.template roof<true>(); });
}

/// By a method that leaves what it has made as it is, so that gradients do not become dependent from pass to pass.
template <class T, std::size_t K>
void gram_and_combine(benchmark::State& state) {
  data<T, K> d(state.range(0) << 20);
  against_roof(
      state, (2 * K + 1) * sizeof(T) * static_cast<double>(d.n), [&] { combine(gem{}, d.g, d.memory[0], {}, d.pool); },
      [&] { d.template roof<false>(), d.template roof<true>(); });
}

template <class T, std::size_t K>
void graddrop_tasks(benchmark::State& state) {
  data<T, K> d(state.range(0) << 20);
  against_roof(
      state, (K + 1) * sizeof(T) * static_cast<double>(d.n),
      [&] { combine(graddrop<K>{}, d.g, d.memory[0], {}, d.pool); }, [&] { d.template roof<true>(); });
}

/// 32 Gram matrices of K gradients, half of them pulled apart, half of rank K / 2 + 1.
template <std::size_t K>
std::vector<gram_matrix<K>> problems() {
  std::vector<gram_matrix<K>> result(32);
  for (std::uint32_t p = 0; p < 32; ++p) {
    const std::size_t n = p % 4 < 2 ? K / 2 + 1 : 4 * K;
    std::vector<double> rows;
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t e = 0; e < n; ++e)
        rows.push_back(philox{p, static_cast<std::uint32_t>(i)}.normal(e) + (p % 2 == 0 ? 0 : i % 2 == 0 ? 1 : -1));
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j)
        for (std::size_t e = 0; e < n; ++e) result[p].value[i][j] += rows[i * n + e] * rows[j * n + e];
  }
  return result;
}

/// The problems in turn: the row's time is the mean of one.
template <std::size_t K, class Method>
void solve(benchmark::State& state, const Method& method) {
  const auto all = problems<K>();
  std::size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(gradient::detail::weights_of(method, all[next++ % all.size()], 0));
}

template <std::size_t K>
void solves(const char* k) {
  const auto add = [&](const char* name, auto method) {
    benchmark::RegisterBenchmark((std::string("solve/") + name + "/k:" + k).c_str(), [method](benchmark::State& state) {
      solve<K>(state, method);
    })->MinTime(0.05);
  };
  static gradvac_state<K> state;
  add("pcgrad_symmetric", pcgrad_symmetric{});
  add("pcgrad_symmetric_random", pcgrad_symmetric{.order = {.random = true}});
  add("gradvac", gradvac<K>{.state = {&state, 1}});
  add("mgda", mgda{});
  add("cagrad", cagrad{});
  add("imtl_g", imtl_g{});
  add("conflict_free", conflict_free<K>{});
  add("nash_mtl", nash_mtl{});
  add("aligned_mtl", aligned_mtl<K>{});
  add("upgrad", upgrad<K>{});
  add("dual_projection", dual_projection<K>{});
  add("gem", gem{});
  add("retain_orthogonal", retain_orthogonal{});
}

void sizes(benchmark::internal::Benchmark* b) { b->ArgName("Mi")->Arg(256)->UseManualTime()->MinTime(1.0); }

#define HONE_TASKS(name)                   \
  BENCHMARK(name<float, 2>)->Apply(sizes); \
  BENCHMARK(name<float, 4>)->Apply(sizes); \
  BENCHMARK(name<float, 8>)->Apply(sizes); \
  BENCHMARK(name<bfloat16, 4>)->Apply(sizes)
HONE_TASKS(gram_of_tasks);
HONE_TASKS(weighted);
HONE_TASKS(gram_and_combine);
BENCHMARK(graddrop_tasks<float, 2>)->Apply(sizes);
BENCHMARK(graddrop_tasks<float, 4>)->Apply(sizes);

const bool registered = (solves<2>("2"), solves<4>("4"), solves<8>("8"), solves<16>("16"), true);

}  // namespace
