// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Greedy decoding behind a prompt of 8 tokens: 2 N flops a token, and attention, against the machine's matrix products
/// on as many workers (one sequence has work for one).
#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/transformer/generate.hpp"
#include "support/roof.hpp"
#include "transformer/sgemm.hpp"

namespace {

using namespace hone;
using namespace hone::transformer;

void decode(benchmark::State& state) {
  const config c{.d_model = 64, .d_ff = 172, .n_layers = 5, .n_heads = 8, .n_kv_heads = 4, .vocab = 512, .max_seq = 256};
  const decoder<float> model(c);
  std::vector<float> p(static_cast<std::size_t>(model.parameters()));
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<float>(0.02 * philox{1}.normal(i));
  const generator<float> generate(model, p);
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};
  for (index_t s = 0; s < state.range(0); ++s) {
    for (index_t t = 0; t < 8; ++t) tokens.push_back(static_cast<std::int32_t>((s * 7919 + t * 104729) % c.vocab));
    offsets.push_back(static_cast<index_t>(tokens.size()));
  }
  constexpr index_t length = 200;
  thread_pool pool((min)(thread_pool::default_concurrency(), index_t{state.range(0)}));
  const double per_token = 2 * static_cast<double>(p.size()) + 4 * static_cast<double>(c.n_layers * c.d_model) * length / 2;
  const double flops = static_cast<double>(state.range(0) * length) * per_token;
  record r;
  for (auto _ : state) {
    const double roof = sgemm_rate(pool) * static_cast<double>(pool.concurrency());
    r.add(state, seconds([&] {
      benchmark::DoNotOptimize(generate({tokens, offsets}, {.max_tokens = length, .sampling = {.temperature = 0}}, pool));
    }), flops / roof);
  }
  r.report(state, flops, "flop");
}

BENCHMARK(decode)->ArgName("sequences")->Arg(1)->Arg(12)->Arg(64)->UseManualTime()->MinTime(1.0);

}  // namespace
