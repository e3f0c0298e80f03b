// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The subspace of RILA from pooled samples, rank 32, retain basis of 128: the exact low-rank solver, its "roof" being
/// the dense one, so that the percentage is a hundred times the speed-up; and merging an adapter against scaling the
/// weight in place. The dense solver takes minutes at 4096 outputs: HONE_BENCH_LONG=1 adds that row.
#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/lora/rila.hpp"
#include "support/roof.hpp"

#include <cstdlib>

namespace {

using namespace hone;

void rila_low_rank_over_dense(benchmark::State& state) {
  const index_t outputs = state.range(0), samples = state.range(1);
  std::vector<float> forget(static_cast<std::size_t>(outputs * samples)), retain(forget.size());
  for (std::size_t i = 0; i < forget.size(); ++i) {
    const double decay = 1 / (1.0 + static_cast<double>(i % static_cast<std::size_t>(outputs)) / 100);
    forget[i] = static_cast<float>(decay * philox{1, 0}.normal(i));
    retain[i] = static_cast<float>(decay * philox{1, 1}.normal(i));
  }
  const matrix_view<const float> f(forget.data(), samples, outputs), r(retain.data(), samples, outputs);
  const auto solve = [&](lora::rila_solver solver) {
    return seconds([&] { benchmark::DoNotOptimize(lora::find_rila_subspace(f, r, 32, {.solver = solver})); });
  };
  record times;
  for (auto _ : state) times.add(state, solve(lora::rila_solver::low_rank), solve(lora::rila_solver::dense));
  const auto m = static_cast<double>(2 * samples);
  times.report(state, 2 * static_cast<double>(outputs) * m * m, "flop");
}

void rila_iterative(benchmark::State& state) {
  const index_t outputs = state.range(0), samples = state.range(1);
  linalg::second_moments<float> forget(outputs), retain(outputs);
  std::vector<float> row(static_cast<std::size_t>(outputs));
  for (index_t i = 0; i < samples; ++i)
    for (auto* moments : {&forget, &retain}) {
      for (std::size_t j = 0; j < row.size(); ++j)
        row[j] =
            static_cast<float>(philox{2, moments == &forget}.normal(static_cast<std::uint64_t>(i) * row.size() + j) /
                               (1.0 + static_cast<double>(j) / 100));
      moments->add(matrix_view<const float>(row.data(), 1, outputs));
    }
  thread_pool pool;
  for (auto _ : state)
    benchmark::DoNotOptimize(
        lora::find_rila_subspace(forget, retain, 32, {.solver = lora::rila_solver::iterative}, pool));
}

template <class T>
void merge(benchmark::State& state) {
  const index_t n = 4096;
  lora::site s{"merged", n, n, state.range(0), 1.0};
  std::vector<T> weight(static_cast<std::size_t>(n * n)), parameters(static_cast<std::size_t>(s.size()));
  thread_pool pool;
  against_roof(
      state, 2 * sizeof(T) * static_cast<double>(n * n),
      [&] { lora::merge(matrix_view<T>(weight.data(), n, n), s, parameters, pool); },
      [&] { scale(0.999f, weight, pool); });
}

BENCHMARK(rila_low_rank_over_dense)->ArgNames({"outputs", "samples"})->Args({1024, 64})->UseManualTime()->Iterations(1);
BENCHMARK(rila_iterative)
    ->ArgNames({"outputs", "samples"})
    ->Args({1024, 2048})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);
BENCHMARK(merge<float>)->ArgName("rank")->Arg(8)->Arg(32)->UseManualTime()->Iterations(5);
BENCHMARK(merge<bfloat16>)->ArgName("rank")->Arg(32)->UseManualTime()->Iterations(5);

[[maybe_unused]] const bool long_rows = [] {
  if (std::getenv("HONE_BENCH_LONG") != nullptr)
    benchmark::RegisterBenchmark("rila_low_rank_over_dense", rila_low_rank_over_dense)
        ->ArgNames({"outputs", "samples"})
        ->Args({4096, 256})
        ->UseManualTime()
        ->Iterations(1);
  return true;
}();

}  // namespace
