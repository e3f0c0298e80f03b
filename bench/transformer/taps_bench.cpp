// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Reading a prompt of 64 tokens with a router's sink behind the tap (tapped_prompt/0) beside reading it alone, at 25M
/// parameters; and the sink alone (tapped_prompt/1), on as many states as the prompt has.
#include "hone/core/random.hpp"
#include "hone/transformer/generate.hpp"
#include "support/roof.hpp"

namespace {

using namespace hone;
using namespace hone::transformer;

void tapped_prompt(benchmark::State& state) {
  const config c{
      .d_model = 512, .d_ff = 1376, .n_layers = 8, .n_heads = 8, .n_kv_heads = 8, .vocab = 512, .max_seq = 256};
  constexpr index_t tokens = 64;
  const decoder<float> model(c);
  std::vector<float> parameters(static_cast<std::size_t>(model.parameters()));
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<float>(0.02 * philox{1}.normal(i));
  const generator<float> generate(model, parameters);
  std::vector<std::int32_t> prompt;
  for (std::int32_t i = 0; i < tokens; ++i) prompt.push_back((i * 7919 + 13) % 512);
  const auto states = static_cast<std::int32_t>(c.n_layers + 1), width = static_cast<std::int32_t>(c.d_model);
  std::vector<float> v;
  for (std::size_t i = 0; i < static_cast<std::size_t>(states * width); ++i)
    v.push_back(static_cast<float>(philox{2}.normal(i)));
  std::vector<routing::layer_sum> sums(static_cast<std::size_t>(states));
  routing::state_sink sink({v.data(), states, width, 0, 0.5, 1, 0, states}, sums.data());
  std::vector<float> logits(static_cast<std::size_t>(c.vocab)), rows(static_cast<std::size_t>(tokens * width), 0.5f);
  const auto read = [&](auto&& tap) {
    kv_cache<float> cache(c, tokens);
    generate.feed(prompt, cache, {logits.data(), 1, c.vocab}, tap);
  };
  record r;
  for (auto _ : state) {
    const double plain = seconds([&] { read(no_tap{}); });
    const double other = seconds([&] {
      sink.reset();
      if (state.range(0) == 0) return read(state_tap(c, sink));
      for (std::int32_t l = 0; l < states; ++l)
        sink.add(l, {rows.data(), tokens, width, width, routing::number::float32});
    });
    benchmark::DoNotOptimize(sink.probability());
    r.add(state, other, plain);
  }
  r.report(state, 2 * static_cast<double>(model.parameters()) * tokens, "flop");
}

BENCHMARK(tapped_prompt)->Arg(0)->Arg(1)->UseManualTime()->Iterations(41);

}  // namespace
