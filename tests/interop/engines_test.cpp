// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A training step of llm.c's shape: all parameters in one buffer, likewise gradients and moments.
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

// The members that llm.c's GPT2 has, over a loss |p - target|^2 / 2.
struct gpt2 {
  std::size_t param_sizes[16];
  std::size_t num_parameters = 0;
  std::vector<float> memory;
  float *params_memory, *grads_memory, *m_memory, *v_memory;
  float target = 0;

  gpt2() {
    for (std::size_t i = 0; i < 16; ++i) num_parameters += param_sizes[i] = 500 * i + 3;
    memory.resize(4 * num_parameters);
    params_memory = memory.data();
    grads_memory = params_memory + num_parameters;
    m_memory = grads_memory + num_parameters;
    v_memory = m_memory + num_parameters;
    for (std::size_t i = 0; i < num_parameters; ++i) params_memory[i] = static_cast<float>(i % 7) - 3;
  }
};

void gpt2_zero_grad(gpt2* model) { std::fill_n(model->grads_memory, model->num_parameters, 0.0f); }
void gpt2_forward(gpt2* model, float target) { model->target = target; }
void gpt2_backward(gpt2* model, float sign) {
  for (std::size_t i = 0; i < model->num_parameters; ++i)
    model->grads_memory[i] += sign * (model->params_memory[i] - model->target);
}

}  // namespace

TEST_CASE("a step of llm.c's shape, the optimiser in the combination's pass") {
  gpt2 model, naive;
  const float forget_batch = 1, retain_batch = -1;
  const int t = 1;
  const std::size_t n = model.num_parameters;
  std::vector<float> forget_memory(n);  // once, beside grads_memory
  hone::thread_pool pool;               // once
  gpt2_zero_grad(&model);
  gpt2_forward(&model, forget_batch);
  gpt2_backward(&model, -1);  // ascent on what is to be forgotten
  std::swap_ranges(forget_memory.begin(), forget_memory.end(), model.grads_memory);
  gpt2_zero_grad(&model);
  gpt2_forward(&model, retain_batch);
  gpt2_backward(&model, 1);
  std::span parameters(model.params_memory, n), m(model.m_memory, n), v(model.v_memory, n);
  hone::gradient::combine(
      hone::gradient::sago{}, hone::gradient::tasks(forget_memory, std::span(model.grads_memory, n)),
      hone::gradient::adamw(parameters, m, v, t, {.learning_rate = 1e-3}),  // in gpt2_update's place
      {}, pool);
  for (std::size_t i = 0; i < n; ++i) {
    const float p = naive.params_memory[i], f = -(p - 1), r = p + 1;
    const float g = f * r < 0 ? r : f;
    // The first step of AdamW is rate * sign(g), but for epsilon, and the decay.
    const float expected = p - 1e-3f * (g / (std::abs(g) + 1e-8f) + 0.01f * p);
    REQUIRE(model.params_memory[i] == Approx(expected).epsilon(1e-6).margin(1e-7));
  }

  std::vector<hone::index_t> tensors = {0};  // once: per-tensor methods take llm.c's table as it is
  for (const std::size_t size : model.param_sizes) tensors.push_back(tensors.back() + static_cast<hone::index_t>(size));
  const auto report = hone::gradient::combine(
      hone::gradient::pcgrad{}, hone::gradient::tasks(forget_memory, std::span(model.grads_memory, n)),
      std::span(model.grads_memory, n), {.groups = tensors, .geometry = true}, pool);
  CHECK(tensors.back() == static_cast<hone::index_t>(n));
  CHECK(report.combined_dot[1] >= 0);
}
