// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The vector operations. Roofs: memcpy for a copy, x <- a x + b for what writes its own input, a sum of 64-bit
/// integers for what only reads. The peers read the same bytes.
#include "hone/core/blas.hpp"
#include "hone/core/thread_pool.hpp"
#include "support/roof.hpp"

#include <Eigen/Core>

#include <cstring>
#include <numeric>

namespace {

using namespace hone;

template <class T>
struct vectors {
  explicit vectors(index_t n) : x(static_cast<std::size_t>(n), from_accumulator<T>(0.5f)), y(x) {}

  /// Reads both vectors as integers, which every compiler adds up in vector registers.
  void read_both() {
    std::uint64_t total[64] = {};
    pool.parallel_for(pool.concurrency(), 1, [&](index_t begin, index_t end) {
      const auto words = static_cast<index_t>(x.size() * sizeof(T) / sizeof(std::uint64_t));
      for (index_t part = begin; part < end; ++part)
        for (const T* data : {x.data(), y.data()}) {
          const auto* word = reinterpret_cast<const std::uint64_t*>(data);
          total[part % 64] += std::accumulate(word + words * part / pool.concurrency(),
                                              word + words * (part + 1) / pool.concurrency(), std::uint64_t{0});
        }
    });
    benchmark::DoNotOptimize(total);
  }
  void copy_bytes() {
    pool.parallel_for(static_cast<index_t>(x.size()), index_t{1} << 20, [&](index_t begin, index_t end) {
      std::memcpy(static_cast<void*>(y.data() + begin), x.data() + begin,
                  static_cast<std::size_t>(end - begin) * sizeof(T));
    });
  }
  [[nodiscard]] double bytes(int passes) const {
    return static_cast<double>(passes) * sizeof(T) * static_cast<double>(x.size());
  }

  thread_pool pool;
  std::vector<T> x, y;
};

template <class T>
void blas_copy(benchmark::State& state) {
  vectors<T> v(state.range(0) << 20);
  against_roof(state, v.bytes(2), [&] { hone::copy(v.x, v.y, v.pool); }, [&] { v.copy_bytes(); });
}

template <class T>
void blas_dot(benchmark::State& state) {
  vectors<T> v(state.range(0) << 20);
  against_roof(state, v.bytes(2), [&] { benchmark::DoNotOptimize(dot(v.x, v.y, v.pool)); }, [&] { v.read_both(); });
}

void blas_axpy(benchmark::State& state) {
  vectors<float> v(state.range(0) << 20);
  against_roof(
      state, v.bytes(3), [&] { axpy(0.5f, v.x, v.y, v.pool); },
      [&] {
        v.pool.parallel_for(static_cast<index_t>(v.x.size()), index_t{1} << 16, [&](index_t begin, index_t end) {
          for (index_t i = begin; i < end; ++i)
            v.y[static_cast<std::size_t>(i)] += 0.5f * v.x[static_cast<std::size_t>(i)];
        });
      });
}

/// On one thread each, as they come.
void peer_dot_eigen(benchmark::State& state) {
  vectors<float> v(state.range(0) << 20);
  using map = Eigen::Map<const Eigen::VectorXf>;
  const auto n = static_cast<Eigen::Index>(v.x.size());
  against_roof(
      state, v.bytes(2), [&] { benchmark::DoNotOptimize(map(v.x.data(), n).dot(map(v.y.data(), n))); },
      [&] { benchmark::DoNotOptimize(dot(v.x, v.y)); });
}
void peer_dot_std(benchmark::State& state) {
  vectors<float> v(state.range(0) << 20);
  against_roof(
      state, v.bytes(2),
      [&] { benchmark::DoNotOptimize(std::inner_product(v.x.begin(), v.x.end(), v.y.begin(), 0.0f)); },
      [&] { benchmark::DoNotOptimize(dot(v.x, v.y)); });
}

void sizes(benchmark::internal::Benchmark* b) { b->ArgName("Mi")->Arg(16)->UseManualTime()->MinTime(0.5); }

BENCHMARK(blas_copy<float>)->Apply(sizes);
BENCHMARK(blas_copy<bfloat16>)->Apply(sizes);
BENCHMARK(blas_axpy)->Apply(sizes);
BENCHMARK(blas_dot<float>)->Apply(sizes);
BENCHMARK(blas_dot<bfloat16>)->Apply(sizes);
BENCHMARK(blas_dot<float16>)->Apply(sizes);
BENCHMARK(peer_dot_eigen)->Apply(sizes);
BENCHMARK(peer_dot_std)->Apply(sizes);

}  // namespace
