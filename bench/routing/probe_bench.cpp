// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Probes on hidden states of 33 layers of 4096: an epoch of training, draws, gradients and Adam included, against one
/// read of the states, and the score of one prompt against one read of its states, which come from memory. Draws and
/// their implicit gradients alone.
#include "hone/core/thread_pool.hpp"
#include "hone/routing/probe_training.hpp"
#include "support/rate.hpp"
#include "support/roof.hpp"

#include <array>

namespace {

using namespace hone;
using namespace hone::routing;

constexpr index_t layers = 33, width = 4096;

template <class T>
struct set {
  std::vector<T> x;
  std::vector<double> labels;

  explicit set(index_t samples) : x(static_cast<std::size_t>(samples * layers * width)) {
    std::uint32_t word = 1;
    for (T& value : x) {
      word = word * 1664525u + 1013904223u;
      value = from_accumulator<T>(static_cast<float>(word >> 8) * 0x1p-23f - 1);
    }
    for (index_t i = 0; i < samples; ++i) labels.push_back(i % 3 == 0 ? 0 : 1);
  }
  [[nodiscard]] states_view<const T> view() const { return {x.data(), std::ssize(labels), layers, width}; }
};

/// One read of the bytes of @p x, shared out as samples are in training: eight sums of packs, nothing else.
template <class T>
double read(const std::vector<T>& x, thread_pool& pool) {
  const auto* words = reinterpret_cast<const float*>(x.data());
  const index_t sample = layers * width * index_t{sizeof(T)} / 4, samples = std::ssize(x) / (layers * width);
  std::vector<double> sums(static_cast<std::size_t>(samples));
  pool.parallel_for(samples, index_t{1}, [&](index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      const vector_view<const float> row(words + r * sample, sample);
      simd::pack<float> sum[8] = {};
      for (index_t i = 0; i < sample; i += 128)
        for (index_t k = 0; k < 8; ++k) sum[k] += load_pack(row, i + 16 * k, whole_pack{});
      for (index_t k = 1; k < 8; ++k) sum[0] += sum[k];
      sums[static_cast<std::size_t>(r)] = static_cast<double>(simd::horizontal_sum(sum[0]));
    }
  });
  return sums[0];
}

template <class T>
void probe_epoch_of(benchmark::State& state, pooling how, weight_noise noise, index_t workers) {
  const index_t samples = 1536;
  const set<T> states(samples);
  thread_pool pool(workers);
  std::vector<std::size_t> order(static_cast<std::size_t>(samples));
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto start = initialise_probe<float>({.how = how, .layers = layers, .width = width, .layer = 12}, 42);
  against_roof(
      state, static_cast<double>(sizeof(T)) * static_cast<double>(states.x.size()),
      [&] {
        benchmark::DoNotOptimize(
            train_probe(start, states.view(), states.labels, order, {}, {.noise = noise}, {.epochs = 1}, pool));
      },
      [&] { benchmark::DoNotOptimize(read(states.x, pool)); });
}

void probe_epoch_float(benchmark::State& state, pooling how, weight_noise noise, index_t workers) {
  probe_epoch_of<float>(state, how, noise, workers);
}
void probe_epoch_bfloat16(benchmark::State& state, pooling how, weight_noise noise, index_t workers) {
  probe_epoch_of<bfloat16>(state, how, noise, workers);
}

template <class T>
void probe_score(benchmark::State& state) {
  const index_t samples = 1536;
  const set<T> states(samples);
  const auto probe = initialise_probe<float>({.layers = layers, .width = width}, 42);
  std::array<double, 1> logit{};
  // One prompt at a time, on one core, none of them in the caches.
  const auto one = [&](index_t i) {
    const auto z = states.view().sample(i);
    return states_view<const T>(z.data(), 1, layers, width);
  };
  thread_pool alone(1);
  const double bytes = static_cast<double>(sizeof(T)) * static_cast<double>(states.x.size());
  against_roof(
      state, bytes,
      [&] {
        for (index_t i = 0; i < samples; ++i) score_probe(probe, one(i), logit);
        benchmark::DoNotOptimize(logit[0]);
      },
      [&] { benchmark::DoNotOptimize(read(states.x, alone)); });
}

void dirichlet_draws(benchmark::State& state, gradient_form form, bool gradients) {
  std::vector<double> alpha, upstream, slope(33);
  for (int l = 0; l < 33; ++l) {
    alpha.push_back(l < 13 ? 0.1 : 0.1 + 0.009 * (l - 12));
    upstream.push_back(0.1 * l);
  }
  const dirichlet_gradient gradient(alpha, form);
  dirichlet_draw draw;
  rate(state, 2000, "draws", [&] {
    for (std::size_t i = 0; i < 2000; ++i) {
      draw.sample(alpha, {1}, draw_index(i, 0));
      if (gradients) gradient.add(draw, upstream, 1, slope);
    }
    benchmark::DoNotOptimize(slope.data());
  });
}

const index_t cores = thread_pool::default_concurrency();
BENCHMARK_CAPTURE(probe_epoch_float, dirichlet, pooling::dirichlet, weight_noise::sampled, cores)
    ->UseManualTime()
    ->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_bfloat16, dirichlet, pooling::dirichlet, weight_noise::sampled, cores)
    ->UseManualTime()
    ->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_float, dirichlet_one_core, pooling::dirichlet, weight_noise::sampled, 1)
    ->UseManualTime()
    ->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_bfloat16, dirichlet_one_core, pooling::dirichlet, weight_noise::sampled, 1)
    ->UseManualTime()
    ->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_float, delta, pooling::dirichlet, weight_noise::delta, cores)
    ->UseManualTime()
    ->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_bfloat16, delta, pooling::dirichlet, weight_noise::delta, cores)
    ->UseManualTime()
    ->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_float, mean, pooling::mean, weight_noise::mean, cores)->UseManualTime()->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_bfloat16, mean, pooling::mean, weight_noise::mean, cores)->UseManualTime()->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_float, max, pooling::max, weight_noise::mean, cores)->UseManualTime()->Iterations(9);
BENCHMARK_CAPTURE(probe_epoch_bfloat16, max, pooling::max, weight_noise::mean, cores)->UseManualTime()->Iterations(9);
BENCHMARK(probe_score<float>)->UseManualTime()->Iterations(9);
BENCHMARK(probe_score<bfloat16>)->UseManualTime()->Iterations(9);
BENCHMARK_CAPTURE(dirichlet_draws, alone, gradient_form::beta, false)->UseManualTime()->Iterations(9);
BENCHMARK_CAPTURE(dirichlet_draws, beta, gradient_form::beta, true)->UseManualTime()->Iterations(9);
BENCHMARK_CAPTURE(dirichlet_draws, gamma, gradient_form::gamma, true)->UseManualTime()->Iterations(9);

}  // namespace
