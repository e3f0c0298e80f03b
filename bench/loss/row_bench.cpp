// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Losses on rows of logits, 16 Mi elements in all, against the machine's roof: x <- a x in place for loss and gradient
/// (8 bytes a float), a read for the loss alone (4), a write for rows of which 64 ids are kept. The peers do the same
/// by passes of their own over each row.
#include "hone/core/thread_pool.hpp"
#include "hone/loss/divergence.hpp"
#include "hone/loss/hinge.hpp"
#include "hone/loss/kept.hpp"
#include "hone/loss/likelihood.hpp"
#include "support/roof.hpp"

#include <Eigen/Core>

#include <cmath>

namespace {

using namespace hone;

template <class T>
struct batch {
  explicit batch(index_t columns) : vocab(columns), rows((index_t{16} << 20) / columns) {
    logits.resize(static_cast<std::size_t>(rows * vocab));
    reset();
    for (index_t t = 0; t < rows; ++t) targets.push_back(static_cast<std::int32_t>((t * 7919) % vocab));
  }
  void reset() {
    pool.parallel_for(rows * vocab, block_size, [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        logits[static_cast<std::size_t>(i)] = from_accumulator<T>(static_cast<float>((i * 7919) % 2003 - 1001) * 0.01f);
    });
  }
  [[nodiscard]] double bytes(int passes) const {
    return static_cast<double>(sizeof(T)) * passes * static_cast<double>(rows * vocab);
  }
  matrix_view<T> view() { return {logits.data(), rows, vocab}; }

  thread_pool pool;
  index_t vocab, rows;
  std::vector<T> logits;
  std::vector<std::int32_t> targets;
};

template <class T>
void likelihood(benchmark::State& state) {
  batch<T> b(state.range(0));
  against_roof(
      state, b.bytes(2), [&] { benchmark::DoNotOptimize(loss::likelihood(b.view(), b.targets, {}, b.pool)); },
      [&] { scale(0.999f, b.logits, b.pool); });
}

template <class T>
void log_likelihood(benchmark::State& state) {
  batch<T> b(state.range(0));
  std::vector<float> out(static_cast<std::size_t>(b.rows));
  against_roof(
      state, b.bytes(1), [&] { benchmark::DoNotOptimize(loss::log_likelihood(b.view(), b.targets, out, {}, b.pool)); },
      [&] { benchmark::DoNotOptimize(sum(b.logits, b.pool)); });
}

void inverted_hinge(benchmark::State& state) {
  batch<float> b(state.range(0));
  against_roof(
      state, b.bytes(2), [&] { benchmark::DoNotOptimize(loss::inverted_hinge(b.view(), b.targets, {}, b.pool)); },
      [&] { scale(0.999f, b.logits, b.pool); });
}

void kl_to_reference(benchmark::State& state) {
  batch<float> b(state.range(0)), reference(state.range(0));
  against_roof(
      state, b.bytes(3),
      [&] {
        benchmark::DoNotOptimize(
            loss::kl_to_reference(b.view(), reference.view(), b.targets, loss::kl_direction::forward, {}, b.pool));
      },
      [&] { axpy(0.1f, reference.logits, b.logits, b.pool); });
}

template <class T>
void kept_likelihood(benchmark::State& state) {
  batch<T> b(state.range(0));
  std::vector<std::int32_t> ids;
  std::vector<index_t> offsets = {0};
  for (const std::int32_t y : b.targets) {
    const auto step = static_cast<std::int32_t>(b.vocab / 64);
    for (std::int32_t i = 0; i < 64; ++i) ids.push_back(i * step + y % step);
    offsets.push_back(static_cast<index_t>(ids.size()));
  }
  against_roof(
      state, b.bytes(1),
      [&] { benchmark::DoNotOptimize(loss::kept_likelihood(b.view(), b.targets, {ids, offsets}, {}, b.pool)); },
      [&] { fill(b.logits, 0.5f, b.pool); });
}

void likelihood_by_passes(benchmark::State& state) {
  batch<float> b(state.range(0));
  against_roof(
      state, b.bytes(2),
      [&] {
        b.pool.parallel_for(b.rows, 1, [&](index_t begin, index_t end) {
          for (index_t t = begin; t < end; ++t) {
            const auto z = b.view().row(t);
            float top = z[0], total = 0;
            for (index_t v = 0; v < z.size(); ++v) top = z[v] > top ? z[v] : top;
            for (index_t v = 0; v < z.size(); ++v) total += std::exp(z[v] - top);
            for (index_t v = 0; v < z.size(); ++v) z[v] = std::exp(z[v] - top) / total;
            z[b.targets[static_cast<std::size_t>(t)]] -= 1;
          }
        });
      },
      [&] { scale(0.999f, b.logits, b.pool); });
}

void likelihood_by_eigen(benchmark::State& state) {
  batch<float> b(state.range(0));
  against_roof(
      state, b.bytes(2),
      [&] {
        b.pool.parallel_for(b.rows, 1, [&](index_t begin, index_t end) {
          for (index_t t = begin; t < end; ++t) {
            Eigen::Map<Eigen::ArrayXf> z(b.logits.data() + t * b.vocab, b.vocab);
            z = (z - z.maxCoeff()).exp();
            z /= z.sum();
            z[b.targets[static_cast<std::size_t>(t)]] -= 1;
          }
        });
      },
      [&] { scale(0.999f, b.logits, b.pool); });
}

void vocabularies(benchmark::internal::Benchmark* b) {
  b->ArgName("vocab")->Arg(512)->Arg(32000)->Arg(131072)->UseManualTime()->MinTime(0.5);
}

BENCHMARK(likelihood<float>)->Apply(vocabularies);
BENCHMARK(likelihood<bfloat16>)->Apply(vocabularies);
BENCHMARK(log_likelihood<float>)->Apply(vocabularies);
BENCHMARK(inverted_hinge)->Apply(vocabularies);
BENCHMARK(kl_to_reference)->Apply(vocabularies);
BENCHMARK(kept_likelihood<float>)->Apply(vocabularies);
BENCHMARK(kept_likelihood<bfloat16>)->Apply(vocabularies);
BENCHMARK(likelihood_by_passes)->Apply(vocabularies);
BENCHMARK(likelihood_by_eigen)->Apply(vocabularies);

}  // namespace
