// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What costs something: the exact Kolmogorov-Smirnov test, AUC with its error, average precision, the bootstrap of a
/// mean and of AUC, the special functions, draws of gamma variates. Each row says how many a second.
#include "hone/core/random.hpp"
#include "hone/core/special.hpp"
#include "hone/statistics/bootstrap.hpp"
#include "hone/statistics/ks.hpp"
#include "hone/statistics/ranked_bootstrap.hpp"

#include "support/rate.hpp"

namespace {

using namespace hone;
using namespace hone::statistics;

/// Two samples evenly spread, @c percent of one moved after the other.
void ks_test(benchmark::State& state) {
  std::vector<double> x, y;
  for (index_t i = 0; i < state.range(0); ++i)
    x.push_back(static_cast<double>(i) / static_cast<double>(state.range(0)));
  for (index_t i = 0; i < state.range(1); ++i) {
    const double value = (static_cast<double>(i) + 0.5) / static_cast<double>(state.range(1));
    y.push_back(value < static_cast<double>(state.range(2)) / 100 ? value + 2 : value);
  }
  rate(state, 1, "tests", [&] { benchmark::DoNotOptimize(ks_two_sample(x, y)); });
}

std::vector<double> normals(std::uint32_t stream, index_t count) {
  std::vector<double> x;
  for (index_t i = 0; i < count; ++i) x.push_back(philox{1, stream}.normal(static_cast<std::uint64_t>(i)));
  return x;
}

void auc_with_error(benchmark::State& state) {
  const auto x = normals(1, state.range(0)), y = normals(2, state.range(0));
  rate(state, 2 * static_cast<double>(state.range(0)), "scores", [&] { benchmark::DoNotOptimize(auc(x, y)); });
}

/// Scores that tell outcomes, of which 0.3 are 1, with an AUC of 0.76.
struct scored_outcomes {
  std::vector<double> scores, outcomes;

  explicit scored_outcomes(index_t count) {
    for (index_t i = 0; i < count; ++i) {
      outcomes.push_back(i % 10 < 3 ? 1 : 0);
      scores.push_back(philox{1}.normal(static_cast<std::uint64_t>(i)) + outcomes.back());
    }
  }
};

void auc_by_outcome(benchmark::State& state) {
  const scored_outcomes x(state.range(0));
  rate(state, static_cast<double>(state.range(0)), "scores",
       [&] { benchmark::DoNotOptimize(auc(rank_by_outcome(x.scores, x.outcomes))); });
}

void average_precision_by_outcome(benchmark::State& state) {
  const scored_outcomes x(state.range(0));
  rate(state, static_cast<double>(state.range(0)), "scores",
       [&] { benchmark::DoNotOptimize(average_precision(rank_by_outcome(x.scores, x.outcomes))); });
}

void bootstrap_of_auc(benchmark::State& state) {
  const scored_outcomes x(state.range(0));
  rate(state, 1000, "replicates",
       [&] { benchmark::DoNotOptimize(bootstrap_auc(rank_by_outcome(x.scores, x.outcomes), {.replicates = 1000})); });
}

void bootstrap_of_mean(benchmark::State& state) {
  const auto x = normals(1, state.range(0));
  const auto mean = [&](std::span<const index_t> drawn) {
    double sum = 0;
    for (const index_t i : drawn) sum += x[static_cast<std::size_t>(i)];
    return sum / static_cast<double>(drawn.size());
  };
  const bootstrap_options options{.replicates = 200};
  rate(state, 200 * static_cast<double>(state.range(0)), "draws",
       [&] { benchmark::DoNotOptimize(bootstrap(state.range(0), mean, options)); });
}

/// f(i) for i from 0 to 999.
template <class F>
void each(benchmark::State& state, F&& f) {
  rate(state, 1000, "values", [&] {
    for (int i = 0; i < 1000; ++i) benchmark::DoNotOptimize(f(i));
  });
}
void digammas(benchmark::State& state) {
  each(state, [](int i) { return digamma(0.01 * (i + 1)); });
}
void incomplete_gammas(benchmark::State& state) {
  const auto a = static_cast<double>(state.range(0));
  each(state, [a](int i) { return incomplete_gamma(a, a * (0.5 + 0.001 * i)); });
}
void incomplete_betas(benchmark::State& state) {
  const auto a = static_cast<double>(state.range(0));
  each(state, [a](int i) { return incomplete_beta(a, a + 1, 0.25 + 0.0005 * i); });
}
void student_quantiles(benchmark::State& state) {
  each(state, [](int i) { return student_quantile(0.975, i + 1); });
}
void log_gamma_draws(benchmark::State& state) {
  const double shape = static_cast<double>(state.range(0)) / 100;
  const philox random{1};
  each(state, [&](int i) { return random.log_gamma(shape, static_cast<std::uint64_t>(i)); });
}

BENCHMARK(ks_test)
    ->ArgNames({"n", "m", "percent"})
    ->Args({400, 400, 10})
    ->Args({400, 400, 40})
    ->Args({400, 300, 10})
    ->Args({400, 300, 40})
    ->Args({10000, 9999, 2})
    ->Args({10000, 9999, 10})
    ->UseManualTime();
BENCHMARK(auc_with_error)->ArgName("each")->Arg(400)->Arg(100000)->UseManualTime();
BENCHMARK(auc_by_outcome)->ArgName("scores")->Arg(100000)->Arg(10000000)->UseManualTime();
BENCHMARK(average_precision_by_outcome)->ArgName("scores")->Arg(100000)->Arg(10000000)->UseManualTime();
BENCHMARK(bootstrap_of_auc)->ArgName("items")->Arg(100000)->UseManualTime();
BENCHMARK(bootstrap_of_mean)->ArgName("items")->Arg(10000)->UseManualTime();
BENCHMARK(digammas)->UseManualTime();
BENCHMARK(incomplete_gammas)->ArgName("shape")->Arg(1)->Arg(100)->Arg(1000)->Arg(10000)->UseManualTime();
BENCHMARK(incomplete_betas)->ArgName("shape")->Arg(1)->Arg(100)->Arg(1000)->Arg(10000)->UseManualTime();
BENCHMARK(student_quantiles)->UseManualTime();
BENCHMARK(log_gamma_draws)->ArgName("percent")->Arg(8)->Arg(500)->UseManualTime();

}  // namespace
