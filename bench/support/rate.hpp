// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows of benchmarks that count things and not bytes.
#pragma once
#include "support/roof.hpp"

/// Times @p body, which does @p count things called @p what.
inline void rate(benchmark::State& state, double count, const char* what, auto&& body) {
  std::vector<double> times;
  for (auto _ : state) {
    times.push_back(seconds(body));
    state.SetIterationTime(times.back());
  }
  char label[64];
  std::snprintf(label, sizeof label, "%.4g %s/s", count / median(times), what);
  state.SetLabel(label);
  state.counters["per_second"] = count / median(times);
}
