// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Scoring a request from its hidden states, 33 states of width 4096 and 64 tokens, as of a model of 8B parameters,
/// beside one read of them: in memory, and a state that is still in cache.
#include "hone/core/blas.hpp"
#include "hone/core/scalar.hpp"
#include "hone/routing/sink.hpp"
#include "support/roof.hpp"

namespace {

using namespace hone;
using namespace hone::routing;

template <class T>
constexpr number number_of = number::float32;
template <>
constexpr number number_of<float16> = number::float16;
template <>
constexpr number number_of<bfloat16> = number::bfloat16;

template <class T>
void score(benchmark::State& state) {
  const auto layers = static_cast<std::int32_t>(state.range(0));
  constexpr std::int32_t width = 4096, tokens = 64;
  const index_t count = index_t{layers} * tokens * width;
  std::vector<T> states;
  for (index_t i = 0; i < count; ++i)
    states.push_back(from_accumulator<T>(static_cast<float>((i * 7919) % 2003 - 1001) * 0.01f));
  std::vector<float> v;
  for (index_t i = 0; i < index_t{layers} * width; ++i) v.push_back(static_cast<float>((i * 31) % 101 - 50) * 1e-3f);
  std::vector<layer_sum> sums(static_cast<std::size_t>(layers));
  state_sink sink({v.data(), layers, width, 0, 0.5, 1, 0, layers}, sums.data());
  against_roof(
      state, static_cast<double>(sizeof(T)) * static_cast<double>(count),
      [&] {
        sink.reset();
        for (std::int32_t l = 0; l < layers; ++l)
          sink.add(l, {states.data() + index_t{l} * tokens * width, tokens, width, width, number_of<T>});
        benchmark::DoNotOptimize(sink.probability());
      },
      [&] { benchmark::DoNotOptimize(sum(states)); });
}

BENCHMARK_TEMPLATE(score, float)->Arg(33)->Arg(1)->UseManualTime()->MinTime(0.5);
BENCHMARK_TEMPLATE(score, bfloat16)->Arg(33)->Arg(1)->UseManualTime()->MinTime(0.5);
BENCHMARK_TEMPLATE(score, float16)->Arg(33)->Arg(1)->UseManualTime()->MinTime(0.5);

}  // namespace
