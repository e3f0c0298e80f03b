// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Random numbers of one core into a buffer that fits the first-level cache; the roof writes one number everywhere
/// there.
#include "hone/core/simd_random.hpp"

#include "support/roof.hpp"

#include <vector>

namespace {

using namespace hone;

constexpr std::size_t repeats = 2000;

template <class T>
void filled(benchmark::State& state, auto&& body) {
  std::vector<T> x(16384 / sizeof(T));
  const auto passes = [&](auto&& one) {
    for (std::uint64_t i = 0; i < repeats; ++i) {
      one(std::span(x), i * x.size());
      benchmark::DoNotOptimize(x.data());
      benchmark::ClobberMemory();
    }
  };
  against_roof(
      state, 16384.0 * repeats, [&] { passes(body); },
      [&] { passes([](std::span<T> out, std::uint64_t) { std::fill(out.begin(), out.end(), T{1}); }); });
}

void philox_fill_bits(benchmark::State& state) {
  filled<std::uint32_t>(state, [](auto x, std::uint64_t first) { fill_bits(philox{7, 1}, x, first); });
}
void philox_fill_uniform(benchmark::State& state) {
  filled<double>(state, [](auto x, std::uint64_t first) { fill_uniform(philox{7, 1}, x, first); });
}
void philox_one_by_one(benchmark::State& state) {
  filled<std::uint32_t>(state, [](auto x, std::uint64_t first) {
    for (std::size_t i = 0; i < x.size(); i += 4) {
      const auto words = philox{7, 1}.bits(first + i / 4);
      std::copy(words.begin(), words.end(), x.begin() + static_cast<std::ptrdiff_t>(i));
    }
  });
}

BENCHMARK(philox_fill_bits)->UseManualTime()->MinTime(0.5);
BENCHMARK(philox_fill_uniform)->UseManualTime()->MinTime(0.5);
BENCHMARK(philox_one_by_one)->UseManualTime()->MinTime(0.5);

}  // namespace
