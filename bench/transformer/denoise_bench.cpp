// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Denoising steps of one canvas, on one core. A step's roof is the forward pass of its rows in the same run: the
/// decoder's, without logits, and the classifier's product of the masked rows alone. An order's roof is one token a
/// step of the same model, which was trained here on sequences whose log-likelihood is known; a line before the row
/// says how many steps a canvas takes, nats a token of what was written, and how far that is from one token a step.
#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/moe/schedule.hpp"
#include "hone/statistics/intervals.hpp"
#include "hone/transformer/denoise.hpp"
#include "hone/transformer/linear_loss.hpp"
#include "hone/transformer/masked_training.hpp"
#include "support/roof.hpp"

#include <cmath>
#include <cstdio>
#include <map>
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

/// Sequences over 32 tokens: each token is b after the one before it, or, with chance @c stray, any token; b, 1 or 2,
/// is of the sequence.
struct stepping_text {
  static constexpr index_t tokens = 32;
  double stray;

  [[nodiscard]] std::vector<std::int32_t> sequence(std::uint64_t seed, std::uint64_t index, index_t length) const {
    const philox random{seed, static_cast<std::uint32_t>(index)};
    const auto any = [&](std::uint64_t i) { return static_cast<std::int32_t>(random.bits(i)[0] % tokens); };
    std::vector<std::int32_t> result = {any(0)};
    const std::int32_t step = 1 + any(1) % 2;
    for (std::uint64_t i = 2; std::ssize(result) < length; i += 2)
      result.push_back(random.uniform(i) < stray ? any(i + 1) : (result.back() + step) % tokens);
    return result;
  }
  [[nodiscard]] double log_likelihood(std::span<const std::int32_t> x) const {
    double of_step[2];
    for (std::int32_t step = 1; step <= 2; ++step) {
      double sum = -std::log(2.0 * tokens);
      for (std::size_t i = 1; i < x.size(); ++i)
        sum += std::log(stray / tokens + (x[i] == (x[i - 1] + step) % tokens ? 1 - stray : 0));
      of_step[step - 1] = sum;
    }
    return (std::max)(of_step[0], of_step[1]) + std::log1p(std::exp(-std::abs(of_step[0] - of_step[1])));
  }
};

/// A model of it, trained once.
struct trained_model {
  static constexpr index_t length = 32, vocab = stepping_text::tokens + 1;
  static constexpr std::int32_t mask = stepping_text::tokens;

  explicit trained_model(double stray)
      : text{stray},
        shape{.d_model = 64, .d_ff = 128, .n_layers = 3, .n_heads = 4, .n_kv_heads = 4, .vocab = vocab, .max_seq = 64},
        parameters(train()), model(shape) {}

  std::vector<float> train() {
    shape.causal = false;
    shape.mask_token = mask;
    learner<float> l(shape, initial_parameters<float>(shape, 1));
    constexpr std::uint32_t sequences = 32, steps = 3000;
    std::vector<index_t> offsets = {0};
    for (std::uint32_t s = 0; s < sequences; ++s) offsets.push_back(offsets.back() + length);
    thread_pool pool;
    for (std::uint32_t step = 0; step < steps; ++step) {
      std::vector<std::int32_t> tokens;
      for (std::uint32_t s = 0; s < sequences; ++s) {
        const auto x = text.sequence(3, std::uint64_t{step} * sequences + s, length);
        tokens.insert(tokens.end(), x.begin(), x.end());
      }
      learn_masked(l, mask_by_time({tokens, offsets}, {.mask_token = mask, .seed = 5, .step = step}), {},
                   {.rate = 3e-3 * (1 - 0.9 * step / steps), .clip = 1}, nullptr, pool);
    }
    return l.parameters();
  }

  stepping_text text;
  config shape;
  std::vector<float> parameters;
  decoder<float> model;
};

/// @param one_at_a_time the order that is compared with.
void decode(benchmark::State& state, double stray, const diffusion::sampler& how, order one_at_a_time) {
  static std::map<double, trained_model> models;
  const trained_model& own = models.try_emplace(stray, stray).first->second;
  const denoiser<float> denoise(own.model, own.parameters);
  constexpr index_t given = 4, made = trained_model::length - given, sequences = 256;
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};
  for (std::uint64_t s = 0; s < sequences; ++s) {
    const auto x = own.text.sequence(4, s, given);
    tokens.insert(tokens.end(), x.begin(), x.end());
    offsets.push_back(std::ssize(tokens));
  }
  std::vector<denoised> result, one_by_one;
  record r;
  for (auto _ : state) {
    const double roof = seconds([&] {
      one_by_one = denoise({tokens, offsets},
                           {.length = made, .steps = made, .sampler = {.by = one_at_a_time, .sampling = how.sampling}});
    });
    r.add(state, seconds([&] { result = denoise({tokens, offsets}, {.length = made, .sampler = how}); }), roof);
  }
  r.report(state, static_cast<double>(sequences * made), "token");

  std::vector<double> nats, over;
  index_t steps = 0;
  for (std::size_t s = 0; s < sequences; ++s) {
    const auto prompt = std::span(tokens).subspan(s * given, given);
    const auto nats_of = [&](const std::vector<std::int32_t>& answer) {
      std::vector<std::int32_t> whole(prompt.begin(), prompt.end());
      whole.insert(whole.end(), answer.begin(), answer.end());
      return (own.text.log_likelihood(prompt) - own.text.log_likelihood(whole)) / made;
    };
    steps += result[s].steps;
    nats.push_back(nats_of(result[s].tokens));
    over.push_back(nats.back() - nats_of(one_by_one[s].tokens));
  }
  const auto all = statistics::estimate_mean(nats), difference = statistics::estimate_mean(over);
  char line[128];
  std::snprintf(line, sizeof line, "%.2f steps, not %td; %.4f nats a token, %+.4f +- %.4f over one by one",
                static_cast<double>(steps) / sequences, made, all.mean, difference.mean,
                statistics::student_margin(difference));
  static std::string said;  // a row runs several times
  if (line != said) std::puts(line);
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
  for (const char* stray : {"0.02", "0.25"})
    for (const double temperature : {0.0, 1.0}) {
      const std::string text = std::string("/stray_") + stray + (temperature > 0 ? "/drawn/" : "/likeliest/");
      const loss::sampling_options sampling{.temperature = temperature, .seed = 9};
      for (const char* threshold : {"0.5", "0.9", "0.99"})
        add("denoise_threshold" + text + threshold, [=](benchmark::State& state) {
          decode(state, std::stod(stray),
                 {.by = order::threshold, .sampling = sampling, .threshold = std::stod(threshold)}, order::confidence);
        });
      for (const char* bound : {"0.1", "0.5", "1"})
        add("denoise_entropy_bound" + text + bound, [=](benchmark::State& state) {
          decode(state, std::stod(stray), {.by = order::entropy_bound, .sampling = sampling, .gamma = std::stod(bound)},
                 order::entropy);
        });
    }
  return true;
}();

}  // namespace
