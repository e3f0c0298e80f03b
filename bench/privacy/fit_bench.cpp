// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The second stage of a private fit: a value and gradient against one read of the rows, weights and labels, the
/// Hessian by its flops, and both stages whole, beside bench/peers/fit_sklearn.py on records of the same law.
#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/privacy/erm.hpp"
#include "hone/privacy/kernel_weights.hpp"
#include "hone/privacy/weights.hpp"
#include "support/rate.hpp"
#include "support/roof.hpp"

#include <map>
#include <memory>

namespace {

using namespace hone;
using namespace hone::privacy;

/// Rows in the unit ball, arms by a logistic model of the first two features, outcomes in [-1, 1].
const records& data_of(index_t rows, index_t columns) {
  static std::map<std::pair<index_t, index_t>, std::unique_ptr<records>> made;
  auto& data = made[{rows, columns}];
  if (data) return *data;
  const index_t features = columns - 1;
  std::vector<double> x(static_cast<std::size_t>(rows * features)), outcome;
  std::vector<index_t> arm;
  std::uint64_t word = 1;
  const auto uniform = [&] {
    word = word * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(word >> 11) * 0x1p-53;
  };
  for (double& value : x) value = (2 * uniform() - 1) / std::sqrt(static_cast<double>(features));
  for (index_t i = 0; i < rows; ++i) {
    const double* own = x.data() + i * features;
    arm.push_back(uniform() < 1 / (1 + std::exp(-4 * own[0] + 2 * own[1])) ? 1 : 0);
    outcome.push_back(own[1] + (arm.back() == 1 ? own[0] : -own[0]) + 0.5 * uniform() - 0.25);
  }
  thread_pool pool(thread_pool::default_concurrency());
  data = std::make_unique<records>(domain{.rows = rows, .features = features},
                                   matrix_view<const double>(x.data(), rows, features), arm, outcome, pool);
  return *data;
}

/// One read of the records' tiles, and of two numbers a row beside them: eight sums of packs, nothing else.
double read(const records& data, thread_pool& pool) {
  const index_t tile = data.columns() * tile_rows;
  std::vector<double> sums(static_cast<std::size_t>(data.tiles() / 128 + 1));
  pool.parallel_for(std::ssize(sums), index_t{1}, [&](index_t begin, index_t end) {
    for (index_t block = begin; block < end; ++block) {
      lanes sum[8] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
      const double* first = data.tile(block * 128);
      const index_t count = ((min)(data.tiles(), (block + 1) * 128) - block * 128) * tile / tile_rows;
      index_t i = 0;
      for (; i + 8 <= count; i += 8)
        for (index_t k = 0; k < 8; ++k) sum[k] += simd::load<double>(first + (i + k) * tile_rows);
      for (; i < count; ++i) sum[0] += simd::load<double>(first + i * tile_rows);
      for (index_t t = block * 128; t < (min)(data.tiles(), (block + 1) * 128); ++t)
        sum[1] += simd::load<double>(data.outcome() + t * tile_rows) + simd::load<double>(data.sign() + t * tile_rows);
      for (index_t k = 1; k < 8; ++k) sum[0] += sum[k];
      sums[static_cast<std::size_t>(block)] = simd::horizontal_sum(sum[0]);
    }
  });
  return sums[0];
}

void fit_gradient(benchmark::State& state) {
  const index_t rows = state.range(0), columns = state.range(1), workers = state.range(2);
  const records& data = data_of(rows, columns);
  const std::vector<double> w(static_cast<std::size_t>(rows), 1.0), theta(static_cast<std::size_t>(columns), 0.1);
  std::vector<double> gradient(theta.size());
  const privacy::detail::loss_rows<owl_logistic> row({}, data, w);
  thread_pool pool(workers);
  against_roof(
      state, 8.0 * static_cast<double>(rows * (columns + 2)),
      [&] { benchmark::DoNotOptimize(sum_rows<1>(data, theta, gradient, row, pool)); },
      [&] { benchmark::DoNotOptimize(read(data, pool)); });
}

void fit_hessian(benchmark::State& state) {
  const index_t rows = state.range(0), columns = state.range(1);
  const records& data = data_of(rows, columns);
  const std::vector<double> theta(static_cast<std::size_t>(columns), 0.1);
  std::vector<double> h(theta.size() * theta.size());
  thread_pool pool(state.range(2));
  rate(state, static_cast<double>(rows) * static_cast<double>(columns * columns), "flop", [&] {
    sum_row_products(data, theta, h, [](index_t, const lanes& z) { return z * z; }, pool);
    benchmark::DoNotOptimize(h.data());
  });
}

void fit_whole(benchmark::State& state) {
  const index_t rows = state.range(0), columns = state.range(1);
  const records& data = data_of(rows, columns);
  std::vector<double> w(static_cast<std::size_t>(rows)), theta(static_cast<std::size_t>(columns));
  thread_pool pool(state.range(2));
  rate(state, static_cast<double>(rows), "rows", [&] {
    weigh(ipw{}, data, w, pool);
    minimise(owl_logistic{}, data, w, 0.02, 4, theta, pool);
    benchmark::DoNotOptimize(theta.data());
  });
}

void kernel_weights(benchmark::State& state) {
  const index_t rows = state.range(0);
  const records& data = data_of(rows, 20);
  std::vector<double> w(static_cast<std::size_t>(rows));
  thread_pool pool(thread_pool::default_concurrency());
  rate(state, static_cast<double>(rows), "rows", [&] {
    weigh(kernel_balancing{.features = state.range(1)}, data, w, pool);
    benchmark::DoNotOptimize(w.data());
  });
}

const index_t cores = thread_pool::default_concurrency();
void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "columns", "workers"})->UseManualTime()->Iterations(5);
  for (const index_t workers : {index_t{1}, cores})
    b->Args({8000, 20, workers})->Args({1000000, 20, workers})->Args({300000, 200, workers});
}
BENCHMARK(fit_gradient)->Apply(shapes);
BENCHMARK(fit_hessian)->Apply(shapes);
BENCHMARK(fit_whole)->Apply(shapes);
BENCHMARK(kernel_weights)
    ->ArgNames({"rows", "features"})
    ->Args({2000, 0})
    ->Args({4000, 0})
    ->Args({100000, 128})
    ->Args({200000, 128})
    ->Args({400000, 128})
    ->UseManualTime()
    ->Iterations(3);

}  // namespace
