// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Timing beside the machine's roof: a row repeats its passes in turn with the roof of its shape, and reports medians:
/// GB/s of the bytes that must move, and the share of the roof in percent.
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

inline double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

/// Times @p body and its roof in turn; @p bytes is what one call must move.
void against_roof(benchmark::State& state, double bytes, auto&& body, auto&& roof) {
  std::vector<double> times, roofs, ratios;
  for (auto _ : state) {
    roofs.push_back(seconds(roof));
    times.push_back(seconds(body));
    ratios.push_back(roofs.back() / times.back());
    state.SetIterationTime(times.back());
  }
  const auto [low, high] = std::minmax_element(times.begin(), times.end());
  state.counters["GB/s"] = bytes / median(times) / 1e9;
  state.counters["roof_GB/s"] = bytes / median(roofs) / 1e9;
  state.counters["%roof"] = 100 * median(ratios);
  state.counters["min_ms"] = *low * 1e3;
  state.counters["max_ms"] = *high * 1e3;
}
