// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Timing beside the machine's roof: each row repeats its passes in turn with the roof of its shape, so that both see
/// the same machine, and reports medians.
#pragma once
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

inline double seconds(auto&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double quantile(std::vector<double> x, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(x.size() - 1) + 0.5);
  std::nth_element(x.begin(), x.begin() + at, x.end());
  return x[static_cast<std::size_t>(at)];
}
inline double median(std::vector<double> x) { return quantile(std::move(x), 0.5); }

/// The times of a row and of its roof, pair by pair.
class record {
 public:
  void add(benchmark::State& state, double time, double roof) {
    times_.push_back(time);
    roofs_.push_back(roof);
    ratios_.push_back(roof / time);
    state.SetIterationTime(time);
  }
  /// @param work what one call must do, in @p unit: bytes moved ("B") or floating-point operations ("flop").
  void report(benchmark::State& state, double work, const char* unit) const {
    const double middle = median(times_);
    state.counters["ms"] = 1e3 * middle;
    state.counters["spread"] = 100 * (quantile(times_, 0.75) - quantile(times_, 0.25)) / middle;
    state.counters["work"] = work * 1e-9;
    state.counters["rate"] = work / middle * 1e-9;
    state.counters["roof"] = work / median(roofs_) * 1e-9;
    state.counters["percent"] = 100 * median(ratios_);
    state.SetLabel(unit);
  }

 private:
  std::vector<double> times_, roofs_, ratios_;
};

/// Times @p body and its roof in turn; @p bytes is what one call must move.
void against_roof(benchmark::State& state, double bytes, auto&& body, auto&& roof) {
  record r;
  for (auto _ : state) {
    const double least = seconds(roof);
    r.add(state, seconds(body), least);
  }
  r.report(state, bytes, "B");
}
