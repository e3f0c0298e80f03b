// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Denoising steps of one canvas, on one core. A step's roof is the forward pass of its rows in the same run: the
/// decoder's, without logits, and the classifier's product of the masked rows alone. An order's roof is one token a
/// step of the same model, which was trained here to go on with sequences a, a + b, a + 2 b, ...; a line before the row
/// says how many steps a canvas takes, and of how many canvases all tokens are right, those of one token a step beside.
#include "hone/core/random.hpp"
#include "hone/diffusion/masking.hpp"
#include "hone/diffusion/objective.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/moe/schedule.hpp"
#include "hone/transformer/denoise.hpp"
#include "hone/transformer/layout.hpp"
#include "hone/transformer/learner.hpp"
#include "hone/transformer/linear_loss.hpp"
#include "support/roof.hpp"

#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace hone;
using namespace hone::transformer;
using diffusion::order;

void denoise_one_step(benchmark::State& state, const config& c, index_t rows, index_t masked) {
  const decoder<float> model(c);
  std::vector<float> parameters(static_cast<std::size_t>(model.parameters()));
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<float>(0.02 * philox{1}.normal(i));
  const denoiser<float> denoise(model, parameters);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(rows), c.mask_token);
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows - masked); ++i)
    tokens[i] = static_cast<std::int32_t>(i * 7919 % static_cast<std::size_t>(c.vocab - 1));
  const auto prompt = std::span<const std::int32_t>(tokens).first(static_cast<std::size_t>(rows - masked));
  const std::vector<index_t> prompt_offsets = {0, rows - masked}, offsets = {0, rows};
  workspace<float> w(c, rows, false);
  linear_loss<float> classify(c.d_model, c.vocab, masked);
  const auto views = model.view(std::span<const float>(parameters));
  denoised counts;
  record r;
  for (auto _ : state) {
    const double roof = seconds([&] {
      model.forward(parameters, {tokens, offsets}, w);
      const auto last = w.features();
      classify.forward({&last(rows - masked, 0), masked, c.d_model},
                       views.matrix({c.tie_embeddings ? role::tok_emb : role::wcls}),
                       [](index_t, const auto& logits) { benchmark::DoNotOptimize(logits.data()); });
    });
    const double time = seconds([&] {
      counts = denoise({prompt, prompt_offsets}, {.length = masked, .steps = masked}, serial{},
                       [](const denoise_step&) { return false; })[0];
    });
    r.add(state, time, roof);
  }
  if (counts.rows != rows || counts.logit_rows != masked) state.SkipWithError("another step than was meant");
  r.report(state, static_cast<double>(rows), "row");
}

/// A model of sequences a + b i, trained once.
struct trained_model {
  static constexpr index_t length = 32, vocab = 33;
  static constexpr std::int32_t mask = 32;

  trained_model()
      : shape{.d_model = 64, .d_ff = 128, .n_layers = 3, .n_heads = 4, .n_kv_heads = 4, .vocab = vocab, .max_seq = 64},
        parameters(train()), model(shape) {}

  std::vector<float> train() {
    shape.causal = false;
    shape.mask_token = mask;
    learner<float> l(shape, initial_parameters<float>(shape, 1));
    constexpr index_t sequences = 16;
    std::vector<std::int32_t> tokens, noised(sequences * length), labels(noised.size());
    std::vector<double> t(sequences), weights(noised.size());
    std::vector<index_t> offsets = {0}, counts(sequences);
    for (index_t s = 0; s < sequences; ++s) offsets.push_back((s + 1) * length);
    for (std::uint32_t step = 0; step < 2000; ++step) {
      tokens.clear();
      for (index_t s = 0; s < sequences; ++s)
        add(philox{3}.bits(std::uint64_t{step} * sequences + static_cast<std::uint64_t>(s))[0], tokens);
      diffusion::draw_times(diffusion::times::stratified, t, {.seed = 5, .step = step});
      diffusion::mask_at(tokens, offsets, t, {.mask_token = mask, .at_least_one = true, .address = {5, step}}, noised,
                         counts);
      const double divisor = diffusion::row_weights(
          diffusion::weighting::exact_ratio,
          {.tokens = tokens, .noised = noised, .offsets = offsets, .mask_token = mask}, labels, weights);
      l.learn({noised, offsets},
              [&](microbatch<float>& part) {
                return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(labels),
                                        {.scale = 1 / divisor, .weights = part.rows_of<double>(weights)});
              },
              {.rate = 2e-3});
    }
    return l.parameters();
  }
  static void add(std::uint64_t bits, std::vector<std::int32_t>& tokens) {
    const std::uint64_t a = bits & 31, b = 1 + (bits >> 5 & 1);
    for (std::uint64_t i = 0; i < length; ++i) tokens.push_back(static_cast<std::int32_t>((a + b * i) % 32));
  }

  config shape;
  std::vector<float> parameters;
  decoder<float> model;
};

void decode(benchmark::State& state, const diffusion::sampler& how) {
  static const trained_model own;
  const denoiser<float> denoise(own.model, own.parameters);
  constexpr index_t given = 4, made = trained_model::length - given, sequences = 32;
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};
  for (std::uint64_t s = 0; s < sequences; ++s) {
    std::vector<std::int32_t> whole;
    trained_model::add(s * 37, whole);
    tokens.insert(tokens.end(), whole.begin(), whole.begin() + given);
    offsets.push_back(static_cast<index_t>(tokens.size()));
  }
  std::vector<denoised> result, one_by_one;
  record r;
  for (auto _ : state) {
    const double roof = seconds([&] { one_by_one = denoise({tokens, offsets}, {.length = made, .steps = made}); });
    r.add(state, seconds([&] { result = denoise({tokens, offsets}, {.length = made, .sampler = how}); }), roof);
  }
  r.report(state, static_cast<double>(sequences * made), "token");
  index_t steps = 0, right[2] = {0, 0};
  for (std::size_t s = 0; s < sequences; ++s) {
    std::vector<std::int32_t> whole;
    trained_model::add(s * 37, whole);
    steps += result[s].steps;
    right[0] += std::equal(result[s].tokens.begin(), result[s].tokens.end(), whole.begin() + given);
    right[1] += std::equal(one_by_one[s].tokens.begin(), one_by_one[s].tokens.end(), whole.begin() + given);
  }
  const std::string line = std::to_string(static_cast<double>(steps) / sequences) + " steps, not " +
                           std::to_string(made) + "; " + std::to_string(right[0]) + " of " + std::to_string(sequences) +
                           " right, one by one " + std::to_string(right[1]);
  static std::string said;  // a row runs several times
  if (line != said) std::puts(line.c_str());
  said = line;
}

const bool registered = [] {
  config two_way{
      .d_model = 256, .d_ff = 688, .n_layers = 4, .n_heads = 8, .n_kv_heads = 8, .vocab = 512, .max_seq = 512};
  two_way.causal = false;
  two_way.mask_token = 511;
  config wide = two_way;
  wide.vocab = 32000;
  wide.d_model = 288, wide.d_ff = 768, wide.n_heads = wide.n_kv_heads = 6;
  config experts = two_way;
  experts.experts = {.count = 16, .d_ff = 172, .shared_d_ff = 172, .router = moe::expert_choice(2)};
  const auto add = [](const std::string& name, auto body) {
    benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->MinTime(1.0);
  };
  const struct {
    const char* name;
    config c;
  } models[] = {{"dense", two_way}, {"vocab_32000", wide}, {"experts", experts}};
  for (const auto& [name, c] : models)
    for (const index_t rows : {128, 512})
      add("denoise_step_" + std::to_string(rows) + "/" + name,
          [c, rows](benchmark::State& state) { denoise_one_step(state, c, rows, 32); });
  for (const char* threshold : {"0.9", "0.99"})
    add(std::string("denoise_threshold_") + threshold, [threshold](benchmark::State& state) {
      decode(state, {.by = order::threshold, .threshold = std::stod(threshold)});
    });
  add("denoise_entropy_bound_0.1", [](benchmark::State& state) { decode(state, {.by = order::entropy_bound}); });
  return true;
}();

}  // namespace
