// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Balance losses on router logits (experts x tokens, float) with their gradient added, against y <- a x + y (12 bytes
/// a logit), and alone, against a sum (4 bytes). The peer takes tokens one by one, with std::exp.
#include "hone/core/blas.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/moe/balance.hpp"
#include "hone/moe/coverage.hpp"
#include "support/roof.hpp"

#include <cmath>

namespace {

using namespace hone;

/// Tokens choose 4 experts; 64 MiB of logits and as much of gradient unless the tokens are few.
struct router_batch {
  router_batch(index_t expert_count, index_t token_count) : experts(expert_count), tokens(token_count) {
    const auto size = static_cast<std::size_t>(experts * tokens);
    logits.resize(size);
    gradient.assign(size, 0.0f);
    for (std::size_t i = 0; i < size; ++i) logits[i] = static_cast<float>(i * 7919 % 2003) * 0.002f - 2;
    plan.experts = experts;
    plan.tokens = tokens;
    plan.offsets.push_back(0);
    for (index_t e = 0; e < experts; ++e) {
      for (index_t t = 0; t < tokens; ++t)
        if ((t * 5 + e) % experts < 4) plan.token.push_back(static_cast<std::int32_t>(t));
      plan.offsets.push_back(std::ssize(plan.token));
    }
    plan.gate.assign(plan.token.size(), 0.25f);
    transpose(plan);
  }
  [[nodiscard]] double bytes(int passes) const {
    return 4.0 * passes * static_cast<double>(experts) * static_cast<double>(tokens);
  }
  [[nodiscard]] matrix_view<const float> z() const { return {logits.data(), experts, tokens}; }
  matrix_view<float> g() { return {gradient.data(), experts, tokens}; }

  thread_pool pool;
  index_t experts, tokens;
  std::vector<float> logits, gradient;
  moe::routing_plan<float> plan;
};

void with_gradient(benchmark::State& state, auto&& loss) {
  router_batch b(state.range(0), state.range(1));
  against_roof(
      state, b.bytes(3), [&] { benchmark::DoNotOptimize(loss(b)); }, [&] { axpy(0.1f, b.logits, b.gradient, b.pool); });
}

void switch_loss(benchmark::State& state) {
  with_gradient(state, [](router_batch& b) { return moe::switch_loss(b.z(), b.plan, b.g(), {.scale = 1e-6}, b.pool); });
}

void z_loss(benchmark::State& state) {
  with_gradient(state, [](router_batch& b) { return moe::z_loss(b.z(), b.g(), {.scale = 1e-6}, b.pool); });
}

void coverage_loss(benchmark::State& state) {
  with_gradient(
      state, [](router_batch& b) { return moe::coverage_loss(b.z(), b.plan, 4, {}, b.g(), {.scale = 1e-6}, b.pool); });
}

void z_loss_alone(benchmark::State& state) {
  router_batch b(state.range(0), state.range(1));
  against_roof(
      state, b.bytes(1), [&] { benchmark::DoNotOptimize(moe::z_loss(b.z(), matrix_view<float>{}, {}, b.pool)); },
      [&] { benchmark::DoNotOptimize(sum(b.logits, b.pool)); });
}

void z_loss_by_token(benchmark::State& state) {
  with_gradient(state, [](router_batch& b) {
    b.pool.parallel_for(b.tokens, 64, [&](index_t begin, index_t end) {
      std::vector<float> power(static_cast<std::size_t>(b.experts));
      for (index_t t = begin; t < end; ++t) {
        const auto z = b.z().col(t);
        const auto g = b.g().col(t);
        float top = z[0], total = 0;
        for (index_t e = 1; e < b.experts; ++e) top = z[e] > top ? z[e] : top;
        for (index_t e = 0; e < b.experts; ++e) total += power[static_cast<std::size_t>(e)] = std::exp(z[e] - top);
        const float slope = 2e-6f * (top + std::log(total)) / total;
        for (index_t e = 0; e < b.experts; ++e) g[e] += slope * power[static_cast<std::size_t>(e)];
      }
    });
    return b.gradient[0];
  });
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"experts", "tokens"})->Args({64, 4096})->Args({64, 262144})->Args({512, 32768})->UseManualTime();
  b->MinTime(0.5);
}

BENCHMARK(switch_loss)->Apply(sizes);
BENCHMARK(z_loss)->Apply(sizes);
BENCHMARK(z_loss_alone)->Apply(sizes);
BENCHMARK(coverage_loss)->Apply(sizes);
BENCHMARK(z_loss_by_token)->Apply(sizes);

}  // namespace
