// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Second moments of 2048 rows against the same symmetric product in Eigen, float sums of the whole: rows x width^2
/// flops. On several workers each of Eigen's has a share of the rows and a matrix of its own, which nobody adds up.
#include "hone/core/thread_pool.hpp"
#include "hone/linalg/second_moments.hpp"
#include "support/roof.hpp"

namespace {

using namespace hone;

template <class T>
void second_moments(benchmark::State& state) {
  constexpr index_t rows = 2048;
  const index_t width = state.range(0), workers = state.range(1);
  using A = accumulator_t<T>;
  using row_major = Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const row_major x = row_major::Random(rows, width);
  std::vector<T> stored(static_cast<std::size_t>(rows * width));
  for (index_t i = 0; i < rows * width; ++i) stored[static_cast<std::size_t>(i)] = from_accumulator<T>(x.data()[i]);
  std::vector<Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic>> sums(static_cast<std::size_t>(workers));
  for (auto& sum : sums) sum.setZero(width, width);
  thread_pool pool(workers);
  linalg::second_moments<A> moments(width);
  record r;
  for (auto _ : state) {
    const double least = seconds([&] {
      pool.parallel_for(workers, 1, [&](index_t begin, index_t end) {
        for (index_t k = begin; k < end; ++k)
          sums[static_cast<std::size_t>(k)].template selfadjointView<Eigen::Lower>().rankUpdate(
              x.middleRows(k * rows / workers, rows / workers).transpose());
      });
    });
    r.add(state, seconds([&] { moments.add(matrix_view<const T>(stored.data(), rows, width), pool); }), least);
  }
  r.report(state, static_cast<double>(rows) * static_cast<double>(width * width), "flop");
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"width", "workers"})->ArgsProduct({{1024, 4096}, {1, 2}})->UseManualTime()->Iterations(5);
}

BENCHMARK(second_moments<float>)->Apply(shapes);
BENCHMARK(second_moments<bfloat16>)->Apply(shapes);
BENCHMARK(second_moments<double>)->Apply(shapes);

}  // namespace
