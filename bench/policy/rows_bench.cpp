// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Loss and gradient of rows of logits at two shapes, 512 x 32,000 and 4096 x 512. The roof of each row says what it is
/// held against, in turn with it: `fused` a copy of the matrix to another (memcpy by the same workers), of as many
/// bytes; `exponentials` the same copy against what every such kernel computes, one exponential an element, of values
/// that stay in the first cache, and `first_visit` against all that must be known before a gradient can be written:
/// each row's maximum, exponentials and their sum;
/// `fused_against_passes` the same by passes over the whole matrix that leave float temporaries, as eager tensor
/// libraries have them (upcast, log-softmax, the loss's gradient, log-softmax's, downcast; of float the middle three),
/// each vectorised, so that 300 % is three times as fast; `apo` and `entropy` the gradient of GRPO;
/// `top_k` and `partial_sort` a read of the matrix.
#include "hone/core/blas.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/loss/fused.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/policy/rows.hpp"
#include "support/roof.hpp"

#include <cstring>

namespace {

using namespace hone;

template <class T>
struct rows_of_logits {
  static constexpr std::size_t k = 8;

  explicit rows_of_logits(const benchmark::State& state) : rows(state.range(0)), vocab(state.range(1)) {
    const auto n = static_cast<std::size_t>(rows);
    for (index_t i = 0; i < rows * vocab; ++i)
      logits.push_back(from_accumulator<T>(static_cast<float>((i * 7919) % 2003 - 1001) * 0.01f));
    for (index_t t = 0; t < rows; ++t) {
      targets.push_back(static_cast<std::int32_t>((t * 7919) % vocab));
      for (std::size_t i = 0; i < k; ++i)
        ids.push_back(
            static_cast<std::int32_t>(static_cast<index_t>(i) * (vocab / static_cast<index_t>(k)) + t % 7 + 1));
    }
    probability.assign(ids.size(), 0.1);
    mass.resize(n);
    scratch.resize(ids.size());
    copied = logits;
  }
  [[nodiscard]] matrix_view<T> view() { return {logits.data(), rows, vocab}; }
  [[nodiscard]] double bytes(int passes) const {
    return static_cast<double>(sizeof(T)) * passes * static_cast<double>(rows * vocab);
  }
  void copy() {
    pool.parallel_for(rows, 1, [&](index_t begin, index_t end) {
      std::memcpy(static_cast<void*>(copied.data() + begin * vocab), logits.data() + begin * vocab,
                  static_cast<std::size_t>((end - begin) * vocab) * sizeof(T));
    });
  }
  void exponentials() {
    const std::vector<float> tile(1024, -0.5f);
    const auto x = as_vector(tile);
    pool.parallel_for(rows * vocab / x.size(), 1, [&](index_t begin, index_t end) {
      for (index_t t = begin; t < end; ++t) {
        simd::pack<float> sums(0);
        for_each_pack<simd::pack<float>::lanes>(
            0, x.size(), [&](index_t i, auto bound) { sums += simd::exp_softmax(load_pack(x, i, bound)); }, x);
        benchmark::DoNotOptimize(simd::horizontal_sum(sums));
        benchmark::ClobberMemory();
      }
    });
  }
  void first_visit() {
    pool.parallel_for(rows, 1, [&](index_t begin, index_t end) {
      std::vector<float> kept(static_cast<std::size_t>(vocab));
      for (index_t t = begin; t < end; ++t)
        benchmark::DoNotOptimize(loss::detail::exponentials<false>(view().row(t), 1.0, as_vector(kept)));
    });
  }
  void fused() { benchmark::DoNotOptimize(loss::likelihood(view(), targets, {}, pool)); }
  void gradient(const loss::row_terms& terms) {
    const std::vector<loss::row_terms> all(static_cast<std::size_t>(rows), terms);
    policy::write_gradient(view(), targets, all, {ids, probability, static_cast<index_t>(k)}, 1.0, pool);
  }

  /// f(i, bound) for every pack of every row.
  template <class F, class... V>
  void pass(F&& f, const V&... vectors) {
    pool.parallel_for(rows, 1, [&](index_t begin, index_t end) {
      for_each_pack<simd::pack<float>::lanes>(begin * vocab, end * vocab, f, vectors...);
    });
  }
  void by_passes() {
    const auto n = static_cast<std::size_t>(rows * vocab);
    wide.resize(std::is_same_v<T, float> ? 0 : n);
    log_p.resize(n);
    loss_slope.resize(n);
    slope.resize(std::is_same_v<T, float> ? 0 : n);
    const vector_view<T> z(logits.data(), rows * vocab);
    vector_view<float> x(wide.data(), rows * vocab), g(slope.data(), rows * vocab);
    const vector_view<float> l(log_p.data(), rows * vocab);
    if constexpr (std::is_same_v<T, float>)
      x = g = z;
    else
      pass([&](index_t i, auto bound) { store_pack(x, i, bound, load_pack(z, i, bound)); }, x, z);
    pool.parallel_for(rows, 1, [&](index_t begin, index_t end) {
      for (index_t t = begin; t < end; ++t) {
        const auto normalizer = loss::summarize(x.subvector(t * vocab, vocab)).normalizer;
        const simd::pack<float> shift(static_cast<float>(normalizer.value()));
        for_each_pack<simd::pack<float>::lanes>(
            t * vocab, (t + 1) * vocab,
            [&](index_t i, auto bound) { store_pack(l, i, bound, load_pack(x, i, bound) - shift); }, x, l);
      }
    });
    const vector_view<float> of_loss(loss_slope.data(), rows * vocab);
    pool.parallel_for(rows, 1, [&](index_t begin, index_t end) {
      for (index_t t = begin; t < end; ++t) {
        fill(of_loss.subvector(t * vocab, vocab), 0.0f);
        of_loss[t * vocab + targets[static_cast<std::size_t>(t)]] = -1;
      }
    });
    pool.parallel_for(rows, 1, [&](index_t begin, index_t end) {
      for (index_t t = begin; t < end; ++t) {
        const simd::pack<float> total(static_cast<float>(sum(of_loss.subvector(t * vocab, vocab))));
        for_each_pack<simd::pack<float>::lanes>(
            t * vocab, (t + 1) * vocab,
            [&](index_t i, auto bound) {
              store_pack(g, i, bound, load_pack(of_loss, i, bound) - simd::exp_softmax(load_pack(l, i, bound)) * total);
            },
            g, l, of_loss);
      }
    });
    if constexpr (!std::is_same_v<T, float>)
      pass([&](index_t i, auto bound) { store_pack(z, i, bound, load_pack(g, i, bound)); }, z, g);
  }

  thread_pool pool;
  index_t rows, vocab;
  std::vector<T> logits, copied;
  std::vector<float> wide, log_p, loss_slope, slope;
  std::vector<std::int32_t> targets, ids, scratch;
  std::vector<double> probability, mass;
};

constexpr loss::row_terms grpo_terms{.target = -1e-3}, apo_terms{.target = -1e-3, .subset = 5e-4},
    entropy_terms{.target = -1e-3, .entropy = 1e-3};

template <class T>
void fused(benchmark::State& state) {
  rows_of_logits<T> b(state);
  const double value = loss::likelihood(b.view(), b.targets, {}, b.pool).sum;  // of the first visit, for the peer
  against_roof(state, b.bytes(2), [&] { b.fused(); }, [&] { b.copy(); });
  state.counters["value"] = value;
}
template <class T>
void exponentials(benchmark::State& state) {
  rows_of_logits<T> b(state);
  against_roof(state, b.bytes(2), [&] { b.exponentials(); }, [&] { b.copy(); });
}
template <class T>
void first_visit(benchmark::State& state) {
  rows_of_logits<T> b(state);
  against_roof(state, b.bytes(2), [&] { b.first_visit(); }, [&] { b.copy(); });
}
template <class T>
void fused_against_passes(benchmark::State& state) {
  rows_of_logits<T> b(state);
  against_roof(state, b.bytes(2), [&] { b.fused(); }, [&] { b.by_passes(); });
}
template <class T>
void apo(benchmark::State& state) {
  rows_of_logits<T> b(state);
  against_roof(state, b.bytes(2), [&] { b.gradient(apo_terms); }, [&] { b.gradient(grpo_terms); });
}
template <class T>
void entropy(benchmark::State& state) {
  rows_of_logits<T> b(state);
  against_roof(state, b.bytes(2), [&] { b.gradient(entropy_terms); }, [&] { b.gradient(grpo_terms); });
}
template <class T>
void top_k(benchmark::State& state) {
  rows_of_logits<T> b(state);
  against_roof(
      state, b.bytes(1),
      [&] {
        policy::top_k_support(b.view(), b.targets, static_cast<index_t>(b.k), {b.scratch, b.probability, b.mass}, {},
                              b.pool);
      },
      [&] { benchmark::DoNotOptimize(sum(b.logits, b.pool)); });
}
template <class T>
void partial_sort(benchmark::State& state) {
  rows_of_logits<T> b(state);
  against_roof(
      state, b.bytes(1),
      [&] {
        b.pool.parallel_for(b.rows, 1, [&](index_t begin, index_t end) {
          std::vector<std::int32_t> order(static_cast<std::size_t>(b.vocab));
          for (index_t t = begin; t < end; ++t) {
            const auto z = b.view().row(t);
            for (index_t v = 0; v < b.vocab; ++v) order[static_cast<std::size_t>(v)] = static_cast<std::int32_t>(v);
            std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(b.k), order.end(),
                              [&](std::int32_t x, std::int32_t y) {
                                const float a = to_accumulator(z[x]), c = to_accumulator(z[y]);
                                return a > c || (a == c && x < y);
                              });
            benchmark::DoNotOptimize(order.data());
          }
        });
      },
      [&] { benchmark::DoNotOptimize(sum(b.logits, b.pool)); });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "vocab"})->Args({512, 32000})->Args({4096, 512})->UseManualTime()->MinTime(0.3);
}

BENCHMARK(fused<float>)->Apply(shapes);
BENCHMARK(fused<bfloat16>)->Apply(shapes);
BENCHMARK(exponentials<float>)->Apply(shapes);
BENCHMARK(exponentials<bfloat16>)->Apply(shapes);
BENCHMARK(first_visit<float>)->Apply(shapes);
BENCHMARK(first_visit<bfloat16>)->Apply(shapes);
BENCHMARK(fused_against_passes<float>)->Apply(shapes);
BENCHMARK(fused_against_passes<bfloat16>)->Apply(shapes);
BENCHMARK(apo<float>)->Apply(shapes);
BENCHMARK(apo<bfloat16>)->Apply(shapes);
BENCHMARK(entropy<float>)->Apply(shapes);
BENCHMARK(entropy<bfloat16>)->Apply(shapes);
BENCHMARK(top_k<float>)->Apply(shapes);
BENCHMARK(top_k<bfloat16>)->Apply(shapes);
BENCHMARK(partial_sort<float>)->Apply(shapes);

}  // namespace
