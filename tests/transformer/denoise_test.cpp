// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/denoise.hpp"

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

#include <limits>
#include <optional>
#include <string>
#include <vector>

using namespace hone;
using namespace hone::transformer;
using diffusion::order;

namespace {

/// Those that are not causal, each with a mask.
std::vector<config> denoising_models() {
  std::vector<config> result;
  for (config c : all_models()) {
    if (c.causal) continue;
    if (c.mask_token < 0) c.mask_token = 1;
    result.push_back(c);
  }
  return result;
}

/// The last of the dense ones with blocks, and the one with experts and blocks.
config with_blocks(bool experts) {
  const auto models = denoising_models();
  for (const config& c : models)
    if (c.block > 0 && (c.experts.count > 0) == experts) return c;
  throw std::logic_error("no model with blocks");
}

/// A prompt without the mask.
std::vector<std::int32_t> prompt_of(const config& c, index_t n, index_t s = 0) {
  std::vector<std::int32_t> tokens;
  for (index_t i = 0; i < n; ++i) {
    const auto token = static_cast<std::int32_t>((i * 7 + s * 3 + 2) % c.vocab);
    tokens.push_back(token == c.mask_token ? (token + 1) % static_cast<std::int32_t>(c.vocab) : token);
  }
  return tokens;
}

struct prompts {
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};
  void add(const std::vector<std::int32_t>& one) {
    tokens.insert(tokens.end(), one.begin(), one.end());
    offsets.push_back(static_cast<index_t>(tokens.size()));
  }
  [[nodiscard]] batch all() const { return {tokens, offsets}; }
};

/// What a step revealed.
struct heard {
  index_t sequence, block, step, masked;
  std::vector<std::int32_t> answer;
  std::vector<diffusion::candidate> revealed;
};
bool same(const heard& a, const heard& b) {
  if (a.block != b.block || a.step != b.step || a.masked != b.masked || a.answer != b.answer ||
      a.revealed.size() != b.revealed.size())
    return false;
  for (std::size_t i = 0; i < a.revealed.size(); ++i)
    if (a.revealed[i].place != b.revealed[i].place || a.revealed[i].token != b.revealed[i].token ||
        a.revealed[i].confidence != b.revealed[i].confidence)
      return false;
  return true;
}

auto listen(std::vector<heard>& to) {
  return [&to](const denoise_step& s) {
    to.push_back({s.sequence,
                  s.block,
                  s.step,
                  s.masked,
                  {s.answer.begin(), s.answer.end()},
                  {s.revealed.begin(), s.revealed.end()}});
    return true;
  };
}

/// The definition, with a pass over the whole canvas in every step and nothing kept.
template <class T>
std::vector<heard> step_by_step(const denoiser<T>& model, const config& c, const std::vector<std::int32_t>& prompt,
                                const denoise_options& o, index_t s = 0) {
  const index_t start = static_cast<index_t>(prompt.size()), block = o.block > 0 ? o.block : o.length;
  const index_t blocks = o.length / block, steps = o.steps / blocks;
  std::vector<std::int32_t> canvas = prompt, unconditional(static_cast<std::size_t>(start + o.length), c.mask_token);
  canvas.resize(unconditional.size(), c.mask_token);
  std::vector<heard> result;
  index_t left = o.length;
  for (index_t i = 0; i < blocks; ++i)
    for (index_t j = 0; left > o.length - (i + 1) * block; ++j) {
      std::vector<index_t> places;
      for (index_t p = start + i * block; p < start + (i + 1) * block; ++p)
        if (canvas[static_cast<std::size_t>(p)] == c.mask_token) places.push_back(p);
      const auto n = static_cast<index_t>(places.size());
      std::vector<T> z(static_cast<std::size_t>(n * c.vocab)), u(z.size());
      model.logits(canvas, places, as_rows(z, n), o.capacities);
      if (o.guidance != 0) {
        std::copy(canvas.begin() + start, canvas.end(), unconditional.begin() + start);
        model.logits(unconditional, places, as_rows(u, n), o.capacities);
        diffusion::guide(as_rows(z, n), as_rows(u, n), o.guidance);
      }
      diffusion::sampler how = o.sampler;
      diffusion::reveal_step at{.sequence = o.first_sequence + static_cast<std::uint32_t>(s),
                                .step = static_cast<std::uint32_t>(result.size()),
                                .positions = places};
      if (how.by == order::ancestral && j < steps) {
        const double share = (1 - o.last_time) / static_cast<double>(steps);
        at.from = 1 - share * static_cast<double>(j);
        at.to = j + 1 == steps ? o.last_time : 1 - share * static_cast<double>(j + 1);
      } else if (how.by == order::ancestral) {
        how.by = order::confidence;
        how.sampling = {};
        how.after_temperature = false;
        at.count = n;
      } else if (steps > 0) {
        at.count = diffusion::revealed_in_step(block, steps, j);
      }
      std::vector<std::int32_t> masks(places.size(), c.mask_token);
      std::vector<diffusion::candidate> candidates;
      const index_t count = diffusion::reveal(how, as_rows(z, n), masks, c.mask_token, at, candidates);
      candidates.resize(static_cast<std::size_t>(count));
      for (auto& found : candidates) {
        const index_t p = places[static_cast<std::size_t>(found.place)];
        canvas[static_cast<std::size_t>(p)] = found.token;
        found.place = p - start;
      }
      left -= count;
      result.push_back(
          {s, i, static_cast<index_t>(result.size()), left, {canvas.begin() + start, canvas.end()}, candidates});
    }
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("logits of some positions are those of the whole forward pass", "", double, float) {
  using T = TestType;
  for (const config& c : denoising_models()) {
    CAPTURE(c.vocab, c.block, c.experts.count);
    const decoder<T> model(c);
    const auto parameters = normals<T>(model.parameters(), 1, 0.4);
    const denoiser<T> denoise(model, parameters);
    const index_t n = 23;
    std::vector<std::int32_t> tokens = prompt_of(c, n);
    for (std::size_t i = 11; i < tokens.size(); i += 2) tokens[i] = c.mask_token;
    const std::vector<index_t> offsets = {0, n}, positions = {22, 0, 7, 13};
    workspace<T> w(c, n);
    model.forward(parameters, {tokens, offsets}, w);
    std::vector<T> logits(static_cast<std::size_t>(4 * c.vocab));
    denoise.logits(tokens, positions, as_rows(logits, 4));
    const double tolerance = std::is_same_v<T, double> ? 1e-11 : 5e-4;
    for (index_t i = 0; i < 4; ++i)
      for (index_t v = 0; v < c.vocab; ++v)
        REQUIRE(static_cast<double>(as_rows(logits, 4)(i, v)) ==
                Approx(static_cast<double>(w.logits()(positions[static_cast<std::size_t>(i)], v))).margin(tolerance));
    denoise.logits({}, {}, {});  // nothing
  }
}

TEST_CASE("every order reveals what the definition does, to the bit, with keys and values of finished blocks kept") {
  for (const config& c : denoising_models()) {
    const decoder<float> model(c);
    const auto parameters = normals<float>(model.parameters(), 2, 0.6);
    const denoiser<float> denoise(model, parameters);
    std::vector<denoise_options> all;
    for (const order by : {order::ancestral, order::random, order::confidence, order::margin, order::entropy})
      all.push_back({.length = 12, .block = 6, .steps = 8, .sampler = {.by = by}});
    all.push_back({.length = 12, .block = 4, .sampler = {.by = order::threshold, .threshold = 0.3}});
    all.push_back({.length = 12, .sampler = {.by = order::entropy_bound, .gamma = 2}});
    all.push_back({.length = 12, .block = 3, .steps = 12, .sampler = {.sampling = {.temperature = 1, .seed = 5}}});
    all.push_back({.length = 12,
                   .steps = 5,
                   .sampler = {.by = order::entropy, .sampling = {.temperature = 0.7}, .after_temperature = true}});
    all.push_back({.length = 12,
                   .steps = 4,
                   .sampler = {.by = order::ancestral, .sampling = {.temperature = 1}},
                   .last_time = 0.4});
    all.push_back({.length = 12, .block = 6, .steps = 6, .guidance = 1.5});
    all.push_back({.length = 12, .block = 6, .steps = 6, .sampler = {.end_token = 4}});
    if (c.experts.count > 0) {
      all.push_back({.length = 12,
                     .block = 6,
                     .steps = 6,
                     .capacities = {.by = moe::schedule::linear_reverse, .least = 1, .most = 3}});
      const index_t pool = c.block > 0 ? c.block : 19;
      static std::vector<index_t> budget;
      budget = moe::budget(moe::schedule::cosine, pool, {.mean = 2, .swing = 2});
      if (c.block == 0) all.push_back({.length = 12, .steps = 6, .guidance = 0.5, .capacities = {.budget = budget}});
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      CAPTURE(c.vocab, c.block, c.experts.count, i);
      for (const index_t start : {index_t{0}, index_t{7}}) {
        if (start == 0 && !all[i].capacities.budget.empty()) continue;
        const auto prompt = prompt_of(c, start);
        prompts p;
        p.add(prompt);
        std::vector<heard> steps;
        const auto result = denoise(p.all(), all[i], serial{}, listen(steps));
        const auto expected = step_by_step(denoise, c, prompt, all[i]);
        REQUIRE(steps.size() == expected.size());
        for (std::size_t k = 0; k < steps.size(); ++k) REQUIRE(same(steps[k], expected[k]));
        REQUIRE(result.size() == 1);
        CHECK(result[0].tokens == expected.back().answer);
        CHECK(result[0].steps == static_cast<index_t>(expected.size()));
        CHECK(std::find(result[0].tokens.begin(), result[0].tokens.end(), c.mask_token) == result[0].tokens.end());
        CHECK(!result[0].stopped);
      }
    }
  }
}

TEST_CASE("what a sequence becomes does not depend on its neighbours or on workers") {
  for (const config& c : denoising_models()) {
    const decoder<float> model(c);
    const denoiser<float> denoise(model, normals<float>(model.parameters(), 3, 0.5));
    const denoise_options o{
        .length = 8, .block = 4, .steps = 4, .sampler = {.sampling = {.temperature = 1, .seed = 9}}};
    prompts all;
    for (index_t s = 0; s < 9; ++s) all.add(prompt_of(c, s % 4, s));
    const auto together = denoise(all.all(), o);
    thread_pool pool(3);
    const auto parallel = denoise(all.all(), o, pool);
    REQUIRE(together.size() == 9);
    index_t distinct = 0;
    for (index_t s = 0; s < 9; ++s) {
      prompts one;
      one.add(prompt_of(c, s % 4, s));
      denoise_options own = o;
      own.first_sequence = static_cast<std::uint32_t>(s);
      const auto at = static_cast<std::size_t>(s);
      CHECK(denoise(one.all(), own)[0].tokens == together[at].tokens);
      CHECK(parallel[at].tokens == together[at].tokens);
      distinct += together[at].tokens != together[0].tokens;
    }
    CHECK(distinct > 0);
    prompts none;
    CHECK(denoise(none.all(), o).empty());
  }
}

TEST_CASE("passes, rows, logits and slots are those that ran: only masked rows get logits, finished blocks are kept") {
  const auto counts_of = [](const config& c, index_t start, const denoise_options& o) {
    const decoder<float> model(c);
    const denoiser<float> denoise(model, normals<float>(model.parameters(), 4, 0.5));
    prompts p;
    p.add(prompt_of(c, start));
    return denoise(p.all(), o)[0];
  };
  config c = with_blocks(false);
  const denoise_options o{.length = 10, .block = 5, .steps = 10};
  denoised kept = counts_of(c, 10, o);  // the model's blocks are those of 5 that are made
  CHECK((kept.steps == 10 && kept.passes == 10 && kept.slot_count == 0));
  CHECK(kept.logit_rows == 2 * (5 + 4 + 3 + 2 + 1));
  CHECK(kept.rows == 15 + 4 * 5 + 10 + 4 * 5);  // the prompt once, and a finished block once more
  c.block = 0;
  const denoised whole = counts_of(c, 10, o);
  CHECK(whole.rows == 10 * 20);
  CHECK(whole.logit_rows == kept.logit_rows);
  CHECK(counts_of(c, 10, {.length = 10, .block = 5, .steps = 10, .guidance = 1}).passes == 20);
  // Experts take what the schedule says of the canvas's ratio of masks.
  config e = expert_models()[2];
  e.mask_token = 1;
  const denoised plain = counts_of(e, 6, {.length = 6, .steps = 6});
  CHECK(plain.slot_count == 6 * 2 * 3 * moe::capacity(12, 2, 3));  // passes, layers of experts, experts
  const denoised scheduled =
      counts_of(e, 6, {.length = 6, .steps = 6, .capacities = {.by = moe::schedule::linear, .least = 1, .most = 3}});
  index_t expected = 0;
  for (index_t masked = 6; masked > 0; --masked)
    expected +=
        2 * 3 *
        moe::capacity(12, moe::experts_per_token(moe::schedule::linear, static_cast<double>(masked) / 12, 1, 3), 3);
  CHECK(scheduled.slot_count == expected);
  CHECK(expected < plain.slot_count);
  std::vector<index_t> budget(12, 3);
  budget[5] = 7;
  CHECK(counts_of(e, 6, {.length = 6, .steps = 6, .capacities = {.budget = budget}}).slot_count == 2 * 3 * (7 + 5 * 3));
}

TEST_CASE("orders that take what they need end in as few steps as their bound allows") {
  const config c = with_blocks(false);
  const decoder<double> model(c);
  const denoiser<double> denoise(model, normals<double>(model.parameters(), 4, 0.5));
  prompts p;
  p.add(prompt_of(c, 5));
  const auto steps = [&](const diffusion::sampler& s) {
    return denoise(p.all(), {.length = 10, .block = 5, .sampler = s})[0].steps;
  };
  CHECK(steps({.by = order::threshold, .threshold = 0}) == 2);
  CHECK(steps({.by = order::threshold, .threshold = 1}) == 10);
  CHECK(steps({.by = order::entropy_bound, .gamma = 1e9}) == 2);
  CHECK(steps({.by = order::entropy_bound, .gamma = 0}) == 10);
}

TEST_CASE("an ancestral step before which nothing changed has no pass of its own") {
  const config c = denoising_models()[0];
  const decoder<double> model(c);
  const denoiser<double> denoise(model, normals<double>(model.parameters(), 4, 0.5));
  prompts p;
  p.add(prompt_of(c, 3));
  std::vector<heard> steps;
  const auto result =
      denoise(p.all(), {.length = 3, .steps = 40, .sampler = {.by = order::ancestral}}, serial{}, listen(steps));
  index_t passes = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) passes += i == 0 || !steps[i - 1].revealed.empty();
  CHECK(result[0].passes == passes);
  CHECK(passes <= 3);
  CHECK(result[0].steps > passes);
}

TEST_CASE("a listener hears of every step, and may end a sequence") {
  const config c = with_blocks(true);
  const decoder<double> model(c);
  const denoiser<double> denoise(model, normals<double>(model.parameters(), 4, 0.5));
  prompts p;
  p.add(prompt_of(c, 3));
  p.add(prompt_of(c, 5));
  std::vector<index_t> heard_steps(2, 0);
  const auto result = denoise(p.all(), {.length = 8, .block = 4, .steps = 8}, serial{}, [&](const denoise_step& s) {
    CHECK(s.step == heard_steps[static_cast<std::size_t>(s.sequence)]++);
    CHECK(s.block == s.step / 4);
    CHECK(s.masked == 7 - s.step);
    CHECK(std::count(s.answer.begin(), s.answer.end(), c.mask_token) == s.masked);
    REQUIRE(s.revealed.size() == 1);
    CHECK(s.answer[static_cast<std::size_t>(s.revealed[0].place)] == s.revealed[0].token);
    return s.sequence == 1 || s.step < 4;
  });
  CHECK((result[0].stopped && result[0].steps == 5 && !result[1].stopped && result[1].steps == 8));
  CHECK(std::count(result[0].tokens.begin(), result[0].tokens.end(), c.mask_token) == 3);
}

TEST_CASE("an adapter, and parameters of 16 bits, denoise as the generator takes them") {
  const config c = denoising_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 4, 0.5);
  const auto narrow = stored_as<bfloat16>(parameters);
  const auto wide = converted_from<float>(narrow);
  const denoiser<float> a(model, model.view(std::span<const bfloat16>(narrow))), b(model, wide);
  prompts p;
  p.add(prompt_of(c, 3));
  CHECK(a(p.all(), {.length = 8, .steps = 4})[0].tokens == b(p.all(), {.length = 8, .steps = 4})[0].tokens);
  const adapted_decoder<float> adapted(model, parameters, adapter_sites(c, {role::wq, role::w2}, 3, 0.6));
  const auto adapter = normals<float>(adapted.parameters(), 2, 0.3);
  const denoiser<float> with_adapter(adapted, adapter), merged(model, adapted.merged(adapter));
  CHECK(with_adapter(p.all(), {.length = 8, .steps = 4})[0].tokens ==
        merged(p.all(), {.length = 8, .steps = 4})[0].tokens);
}

TEST_CASE("what cannot be denoised is refused in one line") {
  config causal = small_models()[0];
  const decoder<float> autoregressive(causal);
  CHECK_THROWS_WITH(denoiser<float>(autoregressive, normals<float>(autoregressive.parameters(), 1)),
                    Catch::Contains("model: is causal"));
  config unmasked = denoising_models()[0];
  unmasked.mask_token = -1;
  const decoder<float> without(unmasked);
  CHECK_THROWS_WITH(denoiser<float>(without, normals<float>(without.parameters(), 1)),
                    Catch::Contains("model: has no mask token"));
  config critic = denoising_models()[0];
  critic.tie_embeddings = false;
  critic.outputs = 1;
  const decoder<float> one_output(critic);
  CHECK_THROWS_WITH(denoiser<float>(one_output, normals<float>(one_output.parameters(), 1)),
                    Catch::Contains("model: has 1 outputs"));

  const config c = denoising_models()[0];
  const decoder<float> model(c);
  const denoiser<float> denoise(model, normals<float>(model.parameters(), 1, 0.5));
  prompts p;
  p.add(prompt_of(c, 4));
  const auto refused = [&](const denoise_options& o, const char* part, std::optional<batch> b = {}) {
    CAPTURE(part);
    bool ran = false;
    const auto listener = [&](const denoise_step&) { return ran = true; };
    CHECK_THROWS_WITH(denoise(b.value_or(p.all()), o, serial{}, listener), Catch::Contains(part));
    CHECK(!ran);
  };
  refused({.length = 0, .steps = 1}, "length: must be at least 1, is 0");
  refused({.length = 8, .block = 3, .steps = 8}, "block: 3 does not divide the length, 8");
  refused({.length = 8, .block = -8, .steps = 8}, "block: -8");
  refused({.length = 8, .block = 4, .steps = 3}, "steps: 2 blocks do not divide 3 steps");
  refused({.length = 8}, "steps: must be at least 1, is 0");
  refused({.length = 8, .steps = 8, .sampler = {.by = order::threshold}}, "steps: must be 0 of an order");
  refused({.length = 8, .steps = 8, .sampler = {.by = order::entropy_bound}}, "steps: must be 0 of an order");
  refused({.length = 57, .steps = 57}, "prompts: prompt 0 has 4 tokens, with 57 more the model takes 60");
  refused({.length = std::numeric_limits<index_t>::max(), .steps = 1}, "prompts: prompt 0 has 4 tokens");
  refused({.length = 8, .sampler = {.by = order::threshold, .threshold = 1.5}}, "threshold: must be in [0, 1], is 1.5");
  refused({.length = 8, .steps = 8, .last_time = 0.1}, "last_time: is of ancestral steps");
  for (const double time : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()})
    refused({.length = 8, .steps = 8, .sampler = {.by = order::ancestral}, .last_time = time}, "last_time: must be in");
  refused({.length = 8, .steps = 1000, .sampler = {.by = order::ancestral}, .last_time = 1 - 2e-16},
          "last_time: 1000 steps have no times between 1 and 1");
  refused({.length = 8, .steps = 8, .sampler = {.end_token = 40}}, "end_token: must be -1 or one of 40 tokens");
  refused({.length = 8, .steps = 8, .sampler = {.end_token = c.mask_token}}, "end_token");
  refused({.length = 8, .steps = 8, .guidance = std::numeric_limits<double>::infinity()}, "guidance: must be finite");
  refused({.length = 8, .steps = 8, .capacities = {.most = 2}}, "capacities: are of experts that choose");
  refused({.length = 8, .steps = 8, .capacities = {.least = 3, .most = 2}}, "capacities: least must be in [0, most]");
  refused({.length = 8, .steps = 8, .capacities = {.sigma = 0}}, "sigma");
  const std::vector<std::int32_t> masked = {2, c.mask_token}, foreign = {2, 40};
  const std::vector<index_t> two = {0, 2}, three = {0, 3}, capacity = {2};
  refused({.length = 8, .steps = 8}, "prompts: have the mask, 1", batch{masked, two});
  refused({.length = 8, .steps = 8}, "prompts: token 40, the vocabulary has 40", batch{foreign, two});
  refused({.length = 8, .steps = 8}, "prompts: offsets must begin with 0", batch{p.tokens, three});
  refused({.length = 8, .steps = 8}, "prompts: have capacities", batch{p.tokens, p.offsets, capacity});

  const config e = with_blocks(true);
  const decoder<float> expert_model(e);
  const denoiser<float> with_experts(expert_model, normals<float>(expert_model.parameters(), 1, 0.5));
  const std::vector<index_t> budget(4, 1), longer(5, 1), negative = {1, 1, -1, 1};
  prompts q;
  q.add(prompt_of(e, 4));
  CHECK_NOTHROW(with_experts(q.all(), {.length = 8, .steps = 8, .capacities = {.budget = budget}}));
  const auto expert_refused = [&](const denoise_options& o, const char* part) {
    CHECK_THROWS_WITH(with_experts(q.all(), o), Catch::Contains(part));
  };
  expert_refused({.length = 8, .steps = 8, .capacities = {.budget = longer}}, "a budget for pools of 5 tokens");
  expert_refused({.length = 6, .steps = 6, .capacities = {.budget = budget}}, "of a canvas of 10");
  const std::vector<index_t> of_ten(10, 1), of_three(3, 1);
  expert_refused({.length = 6, .steps = 6, .capacities = {.budget = of_ten}}, "of a canvas of 10");  // 4, 4 and 2
  prompts nothing;
  nothing.add({});
  CHECK_NOTHROW(with_experts(nothing.all(), {.length = 3, .steps = 3, .capacities = {.budget = of_three}}));
  expert_refused({.length = 8, .steps = 8, .capacities = {.budget = negative}}, "one is negative: -1");
  expert_refused({.length = 8, .steps = 8, .capacities = {.most = 2, .budget = budget}}, "not both");
  std::vector<float> out(static_cast<std::size_t>(c.vocab));
  const std::vector<index_t> beyond = {4}, first = {0};
  CHECK_THROWS_WITH(denoise.logits(p.tokens, beyond, as_rows(out, 1)),
                    Catch::Contains("positions: 4, the canvas has 4"));
  CHECK_THROWS_WITH(denoise.logits(foreign, first, as_rows(out, 1)), Catch::Contains("canvas: token 40"));
  CHECK_THROWS_WITH(denoise.logits(p.tokens, two, as_rows(out, 1)), Catch::Contains("out: is 1 x 40, must be 2 x 40"));
  const std::vector<std::int32_t> too_long(61, 2);
  CHECK_THROWS_WITH(denoise.logits(too_long, first, as_rows(out, 1)), Catch::Contains("canvas: has 61 tokens"));
}

TEST_CASE("docs: prompts are denoised, block by block") {
  config shape{.d_model = 16, .d_ff = 24, .n_layers = 2, .n_heads = 2, .n_kv_heads = 2, .vocab = 16, .max_seq = 32};
  shape.causal = false;
  shape.block = 4;  // attention is two-way within four positions, causal over blocks
  shape.mask_token = 15;
  const decoder<float> model(shape);
  const auto parameters = normals<float>(model.parameters(), 1, 0.5);
  const std::vector<std::int32_t> tokens = {3, 1, 4, 1, 5};
  const std::vector<index_t> offsets = {0, 2, 5};
  thread_pool pool(2);
  std::vector<std::vector<std::int32_t>> shown(2);
  const denoiser<float> denoise(model, parameters);  // a snapshot of the parameters
  const std::vector<denoised> made = denoise(
      {tokens, offsets}, {.length = 8, .block = 4, .sampler = {.by = diffusion::order::threshold, .threshold = 0.9}},
      pool, [&](const denoise_step& s) {
        shown[static_cast<std::size_t>(s.sequence)].assign(s.answer.begin(), s.answer.end());  // masks included
        return true;                                                                           // false ends it
      });
  // made[0].tokens, and what it took: steps, passes, rows, logit_rows, slot_count
  for (std::size_t s = 0; s < 2; ++s) {
    CHECK(shown[s] == made[s].tokens);
    CHECK((made[s].steps >= 2 && made[s].steps <= 8 && made[s].passes == made[s].steps));
  }
}
