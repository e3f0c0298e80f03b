// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Training steps of the bundled decoder (forward, likelihood, backward, AdamW) against the machine's matrix products:
/// the roof is the best of several single-threaded float products of 256 x 256, times the workers, timed in turn with
/// the steps. Flops of a row: 6 N, and for attention over T positions 6 L d (T + 1), half of the full square. An
/// adapter step trains low-rank adapters of rank 8 on all matrices of the layers instead, P parameters: 4 N + 7 P.
#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/transformer/adapted.hpp"
#include "hone/transformer/trainer.hpp"
#include "support/roof.hpp"
#include "transformer/sgemm.hpp"

namespace {

using namespace hone;
using namespace hone::transformer;

/// Token rows that say nothing, and where to go from each.
struct rows {
  rows(const config& c, index_t length, index_t sequences) {
    for (index_t s = 0; s < sequences; ++s) {
      for (index_t t = 0; t < length; ++t) {
        tokens.push_back(static_cast<std::int32_t>((s * 7919 + t * 104729) % c.vocab));
        targets.push_back(static_cast<std::int32_t>((s * 7919 + (t + 1) * 104729) % c.vocab));
      }
      offsets.push_back(offsets.back() + length);
    }
  }
  std::vector<std::int32_t> tokens, targets;
  std::vector<index_t> offsets = {0};
};

std::vector<float> random_elements(index_t count) {
  std::vector<float> p(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<float>(0.02 * philox{1}.normal(i));
  return p;
}

/// Steps of @p model, whose parameters are all trained, at @p per_row flops a row beside attention.
template <class M>
void steps(benchmark::State& state, const M& model, index_t length, index_t sequences, thread_pool& pool,
           double per_row) {
  const config& c = model.shape();
  const index_t workers = pool.concurrency();
  gradient_lanes<float> lanes(model, (std::max)(index_t{256}, length), (std::min)(index_t{4}, 2 * workers));
  auto p = random_elements(model.parameters());
  std::vector<float> g(p.size()), m(p.size()), v(p.size());
  const rows data(c, length, sequences);
  const double count = static_cast<double>(data.tokens.size());
  const double flops =
      count * (per_row + 6 * static_cast<double>(c.n_layers * c.d_model) * static_cast<double>(length + 1));
  index_t step = 0;
  record r;
  for (auto _ : state) {
    const double roof = sgemm_rate(pool) * static_cast<double>(workers);
    r.add(state, seconds([&] {
            fill(g, 0.0f, pool);
            accumulate_gradient(
                model, p, {data.tokens, data.offsets},
                [&](microbatch<float>& part) {
                  return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(data.targets),
                                          {.scale = 1 / count});
                },
                lanes, g, pool);
            gradient::weighted_sum({1.0}, gradient::tasks(g), gradient::adamw(p, m, v, ++step), pool);
          }),
          flops / roof);
  }
  r.report(state, flops, "flop");
}

void training_step(benchmark::State& state, const config& c, index_t length, index_t sequences, index_t workers) {
  thread_pool pool(workers);
  const decoder<float> model(c);
  steps(state, model, length, sequences, pool, 6 * static_cast<double>(model.parameters()));
}

void adapter_step(benchmark::State& state, const config& c, index_t length, index_t sequences, index_t workers) {
  thread_pool pool(workers);
  const decoder<float> model(c);
  const auto frozen = random_elements(model.parameters());
  using enum role;
  const adapted_decoder<float> adapted(model, frozen, adapter_sites(c, {wq, wk, wv, wo, w1, w2, w3}, 8, 2));
  steps(state, adapted, length, sequences, pool,
        4 * static_cast<double>(model.parameters()) + 7 * static_cast<double>(adapted.parameters()));
}

struct shape {
  const char* name;
  config c;
  index_t length, sequences;
};

config small(index_t d, index_t ff, index_t layers, index_t heads, index_t kv_heads, index_t vocab) {
  return {.d_model = d,
          .d_ff = ff,
          .n_layers = layers,
          .n_heads = heads,
          .n_kv_heads = kv_heads,
          .vocab = vocab,
          .max_seq = 256};
}

const shape shapes[] = {
    {"0.26M", small(64, 172, 5, 8, 4, 512), 128, 16},  {"0.8M", small(128, 344, 4, 4, 2, 512), 128, 16},
    {"2M", small(160, 432, 6, 5, 5, 1024), 128, 16},   {"3.25M", small(192, 512, 8, 6, 2, 512), 128, 16},
    {"3.4M", small(256, 688, 4, 8, 4, 2048), 128, 16}, {"9.7M", small(320, 864, 8, 10, 5, 2048), 128, 8}};

const bool registered = [] {
  for (const shape& s : shapes)
    for (const index_t workers : {index_t{1}, thread_pool().concurrency()}) {
      const auto add = [&](const char* name, auto* step) {
        benchmark::RegisterBenchmark(
            (std::string(name) + s.name + "/workers:" + std::to_string(workers)).c_str(),
            [&s, workers, step](benchmark::State& state) { step(state, s.c, s.length, s.sequences, workers); })
            ->UseManualTime()
            ->MinTime(2.0);
      };
      add("training_step/", training_step);
      add("adapter_step/", adapter_step);
    }
  return true;
}();

}  // namespace
