// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A layer's experts, forward and backward, d = 256, width 512, 64 experts, 4 a token, against two rivals in the same
/// run: one product of as many rows (the roof: what a dense layer of the same flops would take, Eigen's products with
/// one set of matrices) and a loop over experts of Eigen's products. Rows an expert: the mean; equal loads, or tokens'
/// choice with a largest load of about 4 times the mean.
#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/moe/route.hpp"
#include "hone/transformer/experts.hpp"
#include "support/roof.hpp"

namespace {

using namespace hone;
using namespace hone::transformer;

constexpr index_t d_model = 256, d_ff = 512, experts = 64, per_token = 4;

/// Tokens that choose among experts of which some are liked better, or take them in turn.
moe::routing_plan<float> plan_of(index_t rows, bool skewed) {
  const index_t tokens = rows * experts / per_token;
  std::vector<float> logits(static_cast<std::size_t>(tokens * experts));
  for (index_t t = 0; t < tokens; ++t)
    for (index_t e = 0; e < experts; ++e) {
      const auto i = static_cast<std::size_t>(t * experts + e);
      const bool in_turn = (e + experts - t * per_token % experts) % experts < per_token;
      logits[i] = static_cast<float>(philox{5}.normal(i)) + (skewed    ? 0.95f / static_cast<float>(1 + e)
                                                             : in_turn ? 100.0f
                                                                       : 0.0f);
    }
  moe::routing_plan<float> plan;
  moe::route_memory<float> memory;
  moe::route<float>(moe::top_k_then_softmax(per_token), {logits.data(), experts, tokens, 1, experts}, {}, plan, memory);
  return plan;
}

struct layer {
  explicit layer(moe::routing_plan<float> p)
      : plan(std::move(p)), shape{.d_model = d_model,
                                  .n_layers = 1,
                                  .n_heads = 1,
                                  .n_kv_heads = 1,
                                  .vocab = 1,
                                  .experts = {.count = experts, .d_ff = d_ff}},
        layout(shape), parameters(static_cast<std::size_t>(layout.size()), 0.02f), gradient(parameters.size()),
        x(static_cast<std::size_t>(plan.tokens * d_model), 0.5f), dy(x.size(), 0.25f), y(x.size()), dx(x.size()),
        dgates(static_cast<std::size_t>(plan.size())) {}

  /// On the workers of @p pool, or, as in a model's layer, on the calling thread.
  void forward(thread_pool* pool) {
    const frozen_products<float, parameter_views<const float>> p{views, memory};
    const auto rows = slots.rows(plan.size(), d_model, d_ff);
    if (pool == nullptr)
      experts_forward(p, 0, plan, view(x), rows, mutable_view(y));
    else
      experts_forward(p, 0, plan, view(x), rows, mutable_view(y), *pool);
  }
  void backward(thread_pool* pool) {
    const trained_products<float> p{{views, memory}, {layout, gradient.data()}};
    const auto rows = slots.rows(plan.size(), d_model, d_ff);
    if (pool == nullptr)
      experts_backward(p, 0, plan, view(x), view(dy), rows, dgates.data(), mutable_view(dx));
    else
      experts_backward(p, 0, plan, view(x), view(dy), rows, dgates.data(), mutable_view(dx), *pool);
  }
  /// The three products of rows [first, first + count) with the matrices of @p e, by Eigen, and the gate.
  void eigen_forward(index_t e, index_t first, index_t count) {
    const auto r = slots.rows(plan.size(), d_model, d_ff).part(first, first, count);
    linear_forward<float>(r.x, views.matrix({role::w1, 0, e}), r.gate);
    linear_forward<float>(r.x, views.matrix({role::w3, 0, e}), r.up);
    swiglu_forward<float>(detail_flat(r.gate), detail_flat(r.up), detail_flat(r.gated));
    linear_forward<float>(r.gated, views.matrix({role::w2, 0, e}), r.y);
  }
  void eigen_backward(index_t e, index_t first, index_t count) {
    const auto r = slots.rows(plan.size(), d_model, d_ff).part(first, first, count);
    const parameter_views<float> g{layout, gradient.data()};
    linear_backward_input<float>(r.dy, views.matrix({role::w2, 0, e}), r.dup, into::overwrite);
    linear_backward_weight<float>(r.dy, r.gated, g.matrix({role::w2, 0, e}));
    swiglu_backward<float>(detail_flat(r.gate), detail_flat(r.up), detail_flat(r.dup), detail_flat(r.dgate),
                           detail_flat(r.dup));
    linear_backward_input<float>(r.dgate, views.matrix({role::w1, 0, e}), r.y, into::overwrite);
    linear_backward_weight<float>(r.dgate, r.x, g.matrix({role::w1, 0, e}));
    linear_backward_input<float>(r.dup, views.matrix({role::w3, 0, e}), r.y, into::accumulate);
    linear_backward_weight<float>(r.dup, r.x, g.matrix({role::w3, 0, e}));
  }
  void each(void (layer::*product)(index_t, index_t, index_t)) {
    for (index_t e = 0; e < experts; ++e)
      if (plan.load(e) > 0) (this->*product)(e, plan.offsets[static_cast<std::size_t>(e)], plan.load(e));
  }

  static matrix_view<const float> view(const std::vector<float>& m) {
    return {m.data(), static_cast<index_t>(m.size()) / d_model, d_model};
  }
  static matrix_view<float> mutable_view(std::vector<float>& m) {
    return {m.data(), static_cast<index_t>(m.size()) / d_model, d_model};
  }
  static vector_view<float> detail_flat(const matrix_view<float>& m) { return {m.data(), m.rows() * m.cols()}; }

  moe::routing_plan<float> plan;
  config shape;
  parameter_layout layout;
  std::vector<float> parameters, gradient, x, dy, y, dx, dgates, memory;
  parameter_views<const float> views{layout, parameters.data()};
  expert_memory<float> slots;
};

enum class rival { none, eigen_loop };

void run(benchmark::State& state, index_t rows, bool skewed, bool back, rival against, index_t workers) {
  thread_pool pool(workers);
  thread_pool* const team = workers > 1 ? &pool : nullptr;
  layer l(plan_of(rows, skewed));
  l.forward(team);
  const double flops = (back ? 12.0 : 6.0) * d_model * d_ff * static_cast<double>(l.plan.size());
  record r;
  for (auto _ : state) {
    const double roof = seconds([&] {
      if (back)
        l.eigen_backward(0, 0, l.plan.size());
      else
        l.eigen_forward(0, 0, l.plan.size());
    });
    r.add(state, seconds([&] {
            if (against == rival::eigen_loop)
              l.each(back ? &layer::eigen_backward : &layer::eigen_forward);
            else if (back)
              l.backward(team);
            else
              l.forward(team);
          }),
          roof / static_cast<double>(workers));
  }
  r.report(state, flops, "flop");
}

/// How evenly slots are dealt to 2 to 16 workers.
void deal(benchmark::State& state, index_t rows, bool skewed) {
  const moe::routing_plan<float> plan = plan_of(rows, skewed);
  double worst = 0;
  for (auto _ : state)
    state.SetIterationTime(seconds([&] {
      for (index_t parts = 2; parts <= 16; ++parts) {
        index_t most = 0;
        for (index_t i = 0; i < parts; ++i) {
          index_t own = 0;
          deal_slots(plan, i, parts, [&](index_t, index_t, index_t count) { own += count; });
          most = (std::max)(most, own);
        }
        worst = (std::max)(worst, static_cast<double>(most * parts) / static_cast<double>(plan.size()));
      }
    }));
  index_t most = 0;
  for (index_t e = 0; e < experts; ++e) most = (std::max)(most, plan.load(e));
  char label[96];
  std::snprintf(label, sizeof label, "largest load %.2f of the mean; of 2 to 16 workers at most %.4f of the mean",
                static_cast<double>(most * experts) / static_cast<double>(plan.size()), worst);
  state.SetLabel(label);
}

const bool registered = [] {
  for (const index_t rows : {index_t{16}, index_t{32}, index_t{64}, index_t{128}})
    for (const bool skewed : {false, true}) {
      benchmark::RegisterBenchmark(
          (std::string("experts/deal/") + (skewed ? "skewed/" : "equal/") + std::to_string(rows)).c_str(),
          [=](benchmark::State& state) { deal(state, rows, skewed); })
          ->UseManualTime();
      for (const bool back : {false, true}) {
        const std::string name = std::string("experts/") + (back ? "backward/" : "forward/") +
                                 (skewed ? "skewed/" : "equal/") + std::to_string(rows);
        const auto add = [&](const std::string& suffix, rival against, index_t workers) {
          benchmark::RegisterBenchmark(
              (name + suffix).c_str(),
              [=](benchmark::State& state) { run(state, rows, skewed, back, against, workers); })
              ->UseManualTime()
              ->MinTime(0.5);
        };
        add("", rival::none, 1);
        add("/workers:2", rival::none, 2);
        if (!skewed) add("/eigen_loop", rival::eigen_loop, 1);
      }
    }
  return true;
}();

}  // namespace
