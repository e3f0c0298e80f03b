// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The deferral curve and APGR of scores without and with many ties, against one read of the three columns, which is
/// the least that any of them does; the same curve by comparing, as it is mostly written; replicates of figures; and
/// all that RouterXBench's script makes of one table.
#include "hone/core/blas.hpp"
#include "hone/core/random.hpp"
#include "hone/routing/curve_bootstrap.hpp"
#include "hone/routing/scenario.hpp"
#include "hone/statistics/roc.hpp"
#include "support/rate.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace {

using namespace hone;

/// Two models' outcomes and a score, of @p values different ones or, for 0, of as many as there are rows.
struct outcomes {
  std::vector<double> weak, strong, score;

  outcomes(index_t rows, index_t values) {
    const philox random{1};
    for (index_t i = 0; i < rows; ++i) {
      const auto at = 4 * static_cast<std::uint64_t>(i);
      const double u = random.uniform(at), s = u + 0.3 * random.uniform(at + 1);
      weak.push_back(random.uniform(at + 2) < u);
      strong.push_back(random.uniform(at + 3) < (1 + u) / 2);
      score.push_back(values > 0 ? std::floor(s * static_cast<double>(values)) / static_cast<double>(values) : s);
    }
  }
  [[nodiscard]] double bytes() const { return 24 * static_cast<double>(score.size()); }
  void read() const { benchmark::DoNotOptimize(dot(weak, strong) + sum(score)); }
};

void curve_and_apgr(benchmark::State& state) {
  const outcomes x(state.range(0), state.range(1));
  against_roof(
      state, x.bytes(), [&] { benchmark::DoNotOptimize(apgr(routing::curve(x.weak, x.strong, x.score))); },
      [&] { x.read(); });
}

void apgr_by_comparing(benchmark::State& state) {
  const outcomes x(state.range(0), state.range(1));
  const auto by_comparing = [&] {
    std::vector<std::size_t> order(x.score.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return x.score[i] < x.score[j]; });
    double total = 0, area = 0;
    for (const std::size_t i : order) {
      const double gain = x.strong[i] - x.weak[i];
      area += total + gain / 2;
      total += gain;
    }
    return area / (static_cast<double>(order.size()) * total);
  };
  against_roof(state, x.bytes(), [&] { benchmark::DoNotOptimize(by_comparing()); }, [&] { x.read(); });
}

void curve_replicates(benchmark::State& state) {
  const outcomes x(state.range(0), 0);
  const auto figures = [](const routing::deferral_curve& c, std::span<double> values) {
    values[0] = apgr(c).value.value_or(0);
    values[1] = call_threshold(c, 0.5).value.value_or(0);
    values[2] = measure_scenarios(c).cheap.figure.value.value_or(0);
  };
  rate(state, 100, "replicates", [&] {
    benchmark::DoNotOptimize(
        routing::bootstrap_curve(x.weak, x.strong, x.score, routing::ties::averaged, 3, figures, {.replicates = 100}));
  });
}

void routerxbench_figures(benchmark::State& state) {
  using namespace routing;
  const outcomes x(state.range(0), 0);
  const auto figures = [&] {
    const deferral_curve c = curve(x.weak, x.strong, x.score, ties::file_order);
    benchmark::DoNotOptimize(measure_scenarios(c, config_bands, scenario_mode::reference));
    const statistics::ranked_scores ranked = statistics::rank_by_outcome(x.score, x.weak);
    benchmark::DoNotOptimize(statistics::auc(ranked).auc + statistics::youden(ranked).accuracy());
  };
  against_roof(state, x.bytes(), figures, [&] { x.read(); });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "values"})->ArgsProduct({{1000000, 10000000}, {0, 100}})->UseManualTime()->Iterations(3);
}

BENCHMARK(curve_and_apgr)->Apply(shapes);
BENCHMARK(apgr_by_comparing)->Apply(shapes);
BENCHMARK(routerxbench_figures)->ArgName("rows")->Arg(100000)->UseManualTime()->Iterations(9);
BENCHMARK(curve_replicates)->ArgName("rows")->Arg(100000)->UseManualTime()->Iterations(3);

}  // namespace
