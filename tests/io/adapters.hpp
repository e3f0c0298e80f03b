// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The model and the adapter that the tests of adapter files share.
#pragma once
#include "hone/lora/adapter.hpp"
#include "hone/transformer/config.hpp"

/// The one of golden/make_*.py.
inline constexpr hone::transformer::config small_model{.d_model = 8,
                                                       .d_ff = 12,
                                                       .n_layers = 2,
                                                       .n_heads = 2,
                                                       .n_kv_heads = 1,
                                                       .vocab = 5,
                                                       .max_seq = 8,
                                                       .tie_embeddings = false};

/// Five sites in the table's order; ranks and scales differ, and every number is its own.
inline hone::lora::adapter<float> made_adapter() {
  hone::lora::adapter<float> adapter;
  adapter.sites = {{"wq.0", 8, 8, 2, 2.0},
                   {"wk.0", 4, 8, 3, 0.1},
                   {"wk.1", 4, 8, 2, 2.0},
                   {"w2.1", 8, 12, 4, 1.0 / 3},
                   {"wcls", 5, 8, 1, 4.0}};
  adapter.parameters.resize(static_cast<std::size_t>(hone::lora::lay_out(adapter.sites)));
  for (std::size_t i = 0; i < adapter.parameters.size(); ++i) adapter.parameters[i] = static_cast<float>(i) - 40;
  return adapter;
}

/// scale B A, outputs x inputs, in double.
inline std::vector<double> delta_of(const hone::lora::site& s, const std::vector<float>& parameters) {
  std::vector<double> delta;
  const auto a = s.a(parameters.data());
  const auto b = s.b(parameters.data());
  for (hone::index_t i = 0; i < s.outputs; ++i)
    for (hone::index_t j = 0; j < s.inputs; ++j) {
      double sum = 0;
      for (hone::index_t k = 0; k < s.rank; ++k) sum += double{b(i, k)} * double{a(k, j)};
      delta.push_back(s.scale * sum);
    }
  return delta;
}

/// A model of experts, and an adapter of its attention, its routers and all experts of a matrix, and one of another.
inline hone::transformer::config small_experts(hone::transformer::query_key_norm norm) {
  hone::transformer::config c = small_model;
  c.n_kv_heads = 2;
  c.qk_norm = norm;
  c.experts = {.count = 3, .d_ff = 6, .router = hone::moe::top_k_then_softmax(2)};
  return c;
}
inline hone::lora::adapter<float> made_expert_adapter(bool one_alone) {
  hone::lora::adapter<float> adapter;
  adapter.sites = {{"wq.1", 8, 8, 2, 2.0}, {"router.0", 3, 8, 1, 3.0}, {"router.1", 3, 8, 1, 3.0}};
  if (one_alone) adapter.sites.push_back({"w1.0.2", 6, 8, 1, 0.5});
  for (const char* name : {"w2.1.0", "w2.1.1", "w2.1.2"}) adapter.sites.push_back({name, 8, 6, 2, 1.5});
  adapter.parameters.resize(static_cast<std::size_t>(hone::lora::lay_out(adapter.sites)));
  for (std::size_t i = 0; i < adapter.parameters.size(); ++i) adapter.parameters[i] = static_cast<float>(i) - 40;
  return adapter;
}
