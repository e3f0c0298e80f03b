// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Selection of the best tokens of every expert's column, beside std::nth_element a column over indices and over packed
/// keys; roof: a read of the logits. Whole routes, beside the products that the chosen rows then go through.
#include "hone/core/random.hpp"
#include "hone/moe/route.hpp"
#include "support/roof.hpp"

#include <Eigen/Core>

#include <numeric>

namespace {

using namespace hone;

struct columns {
  index_t tokens, experts, taken;
  std::vector<float> logits;  // experts x tokens
  std::vector<std::int32_t> out;

  explicit columns(const benchmark::State& state)
      : tokens(state.range(0)), experts(state.range(1)), taken(state.range(2)),
        logits(static_cast<std::size_t>(tokens * experts)), out(static_cast<std::size_t>(tokens)) {
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(philox{1, 2}.normal(i));
  }
  const float* column(index_t e) const { return logits.data() + e * tokens; }
  void measure(benchmark::State& state, auto&& one) {
    const auto pass = [&](auto&& f) {
      return [this, &f] {
        // Small ones several times: a clock's tick is not theirs.
        for (index_t i = 0; i < (max)(index_t{1}, (index_t{1} << 18) / (tokens * experts)); ++i)
          for (index_t e = 0; e < experts; ++e) f(e);
      };
    };
    const auto read = [&](index_t e) {
      simd::pack<float> sum(0);
      for (index_t i = 0; i + 16 <= tokens; i += 16) sum += simd::load<float>(column(e) + i);
      benchmark::DoNotOptimize(sum);
    };
    against_roof(state, 4.0 * static_cast<double>(logits.size()), pass(one), pass(read));
  }
};

void select_top(benchmark::State& state) {
  columns c(state);
  c.measure(state, [&](index_t e) {
    benchmark::DoNotOptimize(moe::top(c.column(e), c.tokens, c.taken, c.out.data()));
    benchmark::ClobberMemory();
  });
}

void select_nth_element(benchmark::State& state) {
  columns c(state);
  c.measure(state, [&](index_t e) {
    const float* x = c.column(e);
    std::iota(c.out.begin(), c.out.end(), 0);
    std::nth_element(c.out.begin(), c.out.begin() + c.taken, c.out.end(),
                     [x](std::int32_t i, std::int32_t j) { return x[i] > x[j] || (x[i] == x[j] && i < j); });
    benchmark::ClobberMemory();
  });
}

/// Keys of 64 bits, score and index, that need no look at the scores.
void select_nth_element_of_keys(benchmark::State& state) {
  columns c(state);
  std::vector<std::uint64_t> keys(static_cast<std::size_t>(c.tokens));
  c.measure(state, [&](index_t e) {
    const float* x = c.column(e);
    for (index_t i = 0; i < c.tokens; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, x + i, sizeof bits);
      bits = bits >> 31 != 0 ? bits : ~bits & 0x7fffffffu;
      keys[static_cast<std::size_t>(i)] = std::uint64_t{bits} << 32 | static_cast<std::uint64_t>(i);
    }
    std::nth_element(keys.begin(), keys.begin() + c.taken, keys.end());
    for (index_t i = 0; i < c.taken; ++i)
      c.out[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(keys[static_cast<std::size_t>(i)]);
    benchmark::ClobberMemory();
  });
}

/// Scores to plan, and back.
void route_tokens(benchmark::State& state, const moe::router& r, bool backward) {
  const index_t tokens = state.range(0), experts = state.range(1), d = 256, width = 512;
  std::vector<float> logits(static_cast<std::size_t>(tokens * experts)), gradient(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(philox{1, 2}.normal(i));
  const matrix_view<const float> by_expert(logits.data(), experts, tokens, 1, experts);  // as a product leaves them
  moe::routing_plan<float> plan;
  moe::route_memory<float> memory;
  const moe::route_options<float> options{.causal = false};
  moe::route(r, by_expert, options, plan, memory);
  const std::vector<float> dgate(plan.token.size(), 1.0f);
  using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const matrix x = matrix::Random(plan.size(), d), w = matrix::Random(width, d);
  matrix y(plan.size(), width);
  std::vector<double> shares;
  for (auto _ : state) {
    const double product = seconds([&] {
      y.noalias() = x * w.transpose();
      benchmark::DoNotOptimize(y.data());
    });
    const double own = seconds([&] {
      if (backward)
        moe::route_backward(r, by_expert, options, plan, dgate,
                            matrix_view<float>(gradient.data(), experts, tokens, 1, experts), memory);
      else
        moe::route(r, by_expert, options, plan, memory);
    });
    state.SetIterationTime(own);
    shares.push_back(own / (3 * product));
  }
  char label[80];
  std::snprintf(label, sizeof label, "%.2f %% of three products of the chosen rows (256 x 512)", 100 * median(shares));
  state.SetLabel(label);
}

const bool registered = [] {
  using run = void (*)(benchmark::State&);
  for (const auto& [name, f] : {std::pair<const char*, run>{"select_top", select_top},
                                {"select_nth_element", select_nth_element},
                                {"select_nth_element_of_keys", select_nth_element_of_keys}})
    benchmark::RegisterBenchmark(name, f)
        ->UseManualTime()
        ->ArgNames({"tokens", "experts", "taken"})
        ->Args({4096, 64, 128})
        ->Args({4096, 64, 512})
        ->Args({2048, 64, 256})
        ->Args({512, 512, 32})
        ->Args({128, 16, 16});
  for (const bool backward : {false, true})
    for (const auto& [name, r] : {std::pair<const char*, moe::router>{"token_choice", moe::top_k_then_softmax(4)},
                                  {"expert_choice", moe::expert_choice(4)},
                                  {"softmax_then_top_k", moe::softmax_then_top_k(4)},
                                  {"loss_free", moe::loss_free(4)}})
      benchmark::RegisterBenchmark((std::string(backward ? "route_backward/" : "route/") + name).c_str(),
                                   [r = r, backward](benchmark::State& state) { route_tokens(state, r, backward); })
          ->UseManualTime()
          ->ArgNames({"tokens", "experts"})
          ->Args({4096, 64});
  return true;
}();

}  // namespace
