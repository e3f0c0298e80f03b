// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Greedy decoding of 200 tokens after a prompt of 8. One sequence must read every weight for every token: its roof is
/// that read, of as many bytes in the same place. Many share the weights: their roof is the machine's matrix products,
/// for 2 N flops a token and attention.
#include "hone/core/blas.hpp"
#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/transformer/generate.hpp"
#include "support/roof.hpp"
#include "transformer/sgemm.hpp"

#include <string>

namespace {

using namespace hone;
using namespace hone::transformer;

constexpr index_t length = 200;

struct story {
  story(const config& c, index_t sequences)
      : model(c), parameters(static_cast<std::size_t>(model.parameters())),
        pool((min)(thread_pool::default_concurrency(), sequences)) {
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<float>(0.02 * philox{1}.normal(i));
    for (index_t s = 0; s < sequences; ++s) {
      for (index_t t = 0; t < 8; ++t) tokens.push_back(static_cast<std::int32_t>((s * 7919 + t * 104729) % c.vocab));
      offsets.push_back(static_cast<index_t>(tokens.size()));
    }
  }
  double decode(const generator<float>& generate) {
    return seconds([&] {
      benchmark::DoNotOptimize(
          generate({tokens, offsets}, {.max_tokens = length, .sampling = {.temperature = 0}}, pool));
    });
  }

  decoder<float> model;
  std::vector<float> parameters;
  thread_pool pool;
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};
};

void decode_one(benchmark::State& state, const config& c) {
  story s(c, 1);
  const generator<float> generate(s.model, s.parameters);
  benchmark::DoNotOptimize(sum(s.parameters));
  record r;
  for (auto _ : state) {
    const double roof = seconds([&] {
      for (index_t t = 0; t < length; ++t) benchmark::DoNotOptimize(sum(s.parameters));
    });
    r.add(state, s.decode(generate), roof);
  }
  r.report(state, static_cast<double>(s.parameters.size() * sizeof(float)) * length, "B");
}

void decode_many(benchmark::State& state, const config& c, index_t sequences) {
  story s(c, sequences);
  const generator<float> generate(s.model, s.parameters);
  const double per_token = 2 * static_cast<double>(s.parameters.size()) +
                           4 * static_cast<double>(c.n_layers * c.n_heads * c.head_size()) * length / 2;
  const double flops = static_cast<double>(sequences * length) * per_token;
  record r;
  for (auto _ : state) {
    const double roof = sgemm_rate(s.pool) * static_cast<double>(s.pool.concurrency());
    r.add(state, s.decode(generate), flops / roof);
  }
  r.report(state, flops, "flop");
}

const bool registered = [] {
  const struct {
    const char* name;
    config c;
  } models[] = {
      {"0.26M",
       {.d_model = 64, .d_ff = 172, .n_layers = 5, .n_heads = 8, .n_kv_heads = 4, .vocab = 512, .max_seq = 256}},
      {"3.25M",
       {.d_model = 256, .d_ff = 688, .n_layers = 4, .n_heads = 8, .n_kv_heads = 8, .vocab = 512, .max_seq = 256}},
      {"15M",
       {.d_model = 288, .d_ff = 768, .n_layers = 6, .n_heads = 6, .n_kv_heads = 6, .vocab = 32000, .max_seq = 256}},
  };
  for (const auto& [name, c] : models) {
    const auto add = [name = std::string(name)](const std::string& row, auto body) {
      benchmark::RegisterBenchmark((row + "/" + name).c_str(), body)->UseManualTime()->MinTime(1.0);
    };
    add("decode_one", [c](benchmark::State& state) { decode_one(state, c); });
    for (const index_t sequences : {12, 64})
      add("decode_" + std::to_string(sequences),
          [c, sequences](benchmark::State& state) { decode_many(state, c, sequences); });
  }
  return true;
}();

}  // namespace
