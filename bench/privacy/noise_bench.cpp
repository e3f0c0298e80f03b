// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What noise and its accounting cost: random words, samplers at the scale of a release, a plan's loss distribution.
/// Each row says how many a second.
#include "hone/privacy.hpp"

#include "support/rate.hpp"

namespace {

using namespace hone;
using namespace hone::privacy;

void chacha20_words(benchmark::State& state) {
  chacha20 random;
  rate(state, 10000, "words", [&] {
    for (int i = 0; i < 10000; ++i) benchmark::DoNotOptimize(random());
  });
}

template <class Sampler>
void samples(benchmark::State& state, Sampler&& draw) {
  chacha20 random;
  const auto scale = std::int64_t{1} << state.range(0);
  rate(state, 1000, "samples", [&] {
    for (int i = 0; i < 1000; ++i) benchmark::DoNotOptimize(draw(scale, random));
  });
}
void laplace_samples(benchmark::State& state) {
  samples(state, [](std::int64_t scale, chacha20& random) { return discrete_laplace(scale, random); });
}
void gaussian_samples(benchmark::State& state) {
  samples(state, [](std::int64_t scale, chacha20& random) { return discrete_gaussian(scale, random); });
}

void lattice_multipliers(benchmark::State& state) {
  rate(state, 10, "multipliers", [&] {
    for (int i = 0; i < 10; ++i) benchmark::DoNotOptimize(lattice_multiplier(0.1 * (i + 1), 1e-6));
  });
}

/// epsilon of DP-SGD at rate 0.01 and noise 1, both directions.
void training_by_loss_distribution(benchmark::State& state) {
  rate(state, 1, "plans", [&] {
    benchmark::DoNotOptimize(sampled_gaussian_epsilon(0.01, 1, state.range(0), 1e-5,
                                                      {.interval = 1e-5 * static_cast<double>(state.range(1))}));
  });
}
void training_by_renyi(benchmark::State& state) {
  rate(state, 1, "plans", [&] {
    benchmark::DoNotOptimize(plan_best_order<add_or_remove>({{sampled_gaussian_loss(0.01, 1), state.range(0)}}, 1e-5));
  });
}

BENCHMARK(chacha20_words)->UseManualTime();
BENCHMARK(laplace_samples)->ArgName("log2_scale")->Arg(0)->Arg(20)->UseManualTime();
BENCHMARK(gaussian_samples)->ArgName("log2_scale")->Arg(0)->Arg(20)->UseManualTime();
BENCHMARK(lattice_multipliers)->UseManualTime();
BENCHMARK(training_by_loss_distribution)
    ->ArgNames({"steps", "interval_1e-5"})
    ->Args({1000, 100})
    ->Args({1000, 10})
    ->UseManualTime();
BENCHMARK(training_by_renyi)->ArgName("steps")->Arg(1000)->UseManualTime();

}  // namespace
