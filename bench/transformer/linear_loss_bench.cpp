// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The likelihood of 2048 tokens, its gradient on hidden states and W, by a linear layer: in chunks that never hold all
/// logits, and, for a roof, by Eigen's products over the whole matrix of logits, both by all workers. 6 T H V flops.
#include "hone/core/thread_pool.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/transformer/linear_loss.hpp"
#include "support/roof.hpp"

namespace {

using namespace hone;
using namespace hone::transformer;

void linear_loss_in_chunks(benchmark::State& state) {
  const index_t rows = 2048, inputs = state.range(0), vocab = state.range(1), chunk = state.range(2), block = 256;
  thread_pool pool;
  const auto elements = [](index_t n, float scale) {
    std::vector<float> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = scale * static_cast<float>(i * 7919 % 2003) - 1001 * scale;
    return x;
  };
  const auto hidden = elements(rows * inputs, 1e-3f), w = elements(vocab * inputs, 1e-4f);
  std::vector<float> dhidden(hidden.size()), dw(w.size()), logits(static_cast<std::size_t>(rows * vocab));
  std::vector<std::int32_t> targets;
  for (index_t t = 0; t < rows; ++t) targets.push_back(static_cast<std::int32_t>(t * 7919 % vocab));
  const matrix_view<const float> x(hidden.data(), rows, inputs), m(w.data(), vocab, inputs);
  const matrix_view<float> dx(dhidden.data(), rows, inputs), dm(dw.data(), vocab, inputs),
      z(logits.data(), rows, vocab);
  linear_loss<float> chunks(inputs, vocab, chunk);
  const auto part = [](const auto& a, index_t first, index_t count) {
    return std::remove_cvref_t<decltype(a)>(a.data() + first * a.row_stride(), (std::min)(count, a.rows() - first),
                                            a.cols(), a.row_stride(), 1);
  };
  const auto blocks = [&](index_t n, auto&& f) {
    pool.parallel_for((n + block - 1) / block, 1, [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) f(i * block);
    });
  };
  against_roof(
      state, 0,
      [&] {
        chunks.backward(
            x, m,
            [&](index_t first, const matrix_view<float>& chunk_logits) {
              loss::likelihood(chunk_logits,
                               std::span(targets).subspan(static_cast<std::size_t>(first),
                                                          static_cast<std::size_t>(chunk_logits.rows())),
                               {}, pool);
            },
            dx, dm, pool);
      },
      [&] {
        blocks(rows, [&](index_t t) { linear_forward<float>(part(x, t, block), m, part(z, t, block)); });
        loss::likelihood(z, targets, {}, pool);
        blocks(rows, [&](index_t t) {
          linear_backward_input<float>(part(z, t, block), m, part(dx, t, block), into::overwrite);
        });
        blocks(vocab, [&](index_t v) {
          const matrix_view<const float> columns(z.data() + v, rows, (std::min)(block, vocab - v), vocab, 1);
          linear_backward_weight<float>(columns, x, part(dm, v, block));
        });
      });
  const double flops = 6 * static_cast<double>(rows * inputs) * static_cast<double>(vocab);
  const double rate = flops / (1e-3 * state.counters["ms"].value) * 1e-9;
  state.counters["roof"] = rate * 100 / state.counters["percent"].value;
  state.counters["rate"] = rate;
  state.counters["work"] = flops * 1e-9;
  state.SetLabel("flop");
}

BENCHMARK(linear_loss_in_chunks)
    ->ArgNames({"inputs", "vocab", "chunk"})
    ->Args({64, 512, 256})
    ->Args({288, 32000, 64})
    ->Args({288, 32000, 256})
    ->Args({1024, 8192, 256})
    ->UseManualTime()
    ->MinTime(0.5);

}  // namespace
