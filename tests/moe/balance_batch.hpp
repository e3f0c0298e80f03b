// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A batch with padding, sequences of all lengths and dropped slots, and balance losses on it from the formulas.
#pragma once
#include "hone/moe/balance.hpp"
#include "moe/support.hpp"

#include <algorithm>
#include <cmath>

namespace moe_balance {

using namespace hone;
using namespace hone::moe;

using mask = std::vector<std::uint8_t>;
inline const double undefined = std::nan(""), infinite = INFINITY;

/// Logits of one batch, token by token, and who has which expert.
struct batch {
  index_t tokens, experts, k;
  std::vector<double> logits;
  mask competes;
  std::vector<index_t> sequences;
  routing_plan<double> plan;
};

/// 3 of 10 tokens are padding; sequences of all lengths, one empty, one of padding alone; some slots dropped.
inline batch make_batch(index_t tokens, index_t experts, index_t k, std::uint32_t stream) {
  batch b{tokens, experts, k, router_logits<double>(tokens, experts, stream), {}, {0}, {}};
  auto sets = best_experts(b.logits, experts, k);
  std::vector<dropped_slot<double>> dropped;
  for (index_t t = 0; t < tokens; ++t) {
    auto& set = sets[static_cast<std::size_t>(t)];
    const bool padding = t % 10 > 6 || (t >= 40 && t < 43);
    b.competes.push_back(padding ? 0 : 1);
    if (padding) set.clear();
    if (!padding && t % 7 == 3) {
      dropped.push_back({set.back(), static_cast<std::int32_t>(t), 0.5});
      set.pop_back();
    }
  }
  b.plan = plan_of<double>(experts, sets);
  std::stable_sort(dropped.begin(), dropped.end(), [](const auto& x, const auto& y) { return x.expert < y.expert; });
  b.plan.dropped = dropped;
  for (const index_t border : {0, 1, 5, 40, 43, 110, 1000}) b.sequences.push_back((std::min)(index_t{border}, tokens));
  if (b.sequences.back() < tokens) b.sequences.push_back(tokens);
  return b;
}

/// E sum_e f_e mean p_te over the competing tokens of [begin, end), by the formula; f from what was chosen there.
inline double naive_switch(const batch& b, const std::vector<double>& logits, index_t begin, index_t end) {
  const auto experts = static_cast<std::size_t>(b.experts);
  std::vector<double> n(experts, 0.0), p(experts, 0.0);
  double total = 0, tokens = 0;
  for (std::size_t e = 0; e < experts; ++e)
    for (index_t s = b.plan.offsets[e]; s < b.plan.offsets[e + 1]; ++s) {
      const std::int32_t t = b.plan.token[static_cast<std::size_t>(s)];
      if (t >= begin && t < end) ++n[e], ++total;
    }
  for (const auto& d : b.plan.dropped)
    if (d.token >= begin && d.token < end) ++n[static_cast<std::size_t>(d.expert)], ++total;
  for (index_t t = begin; t < end; ++t) {
    if (b.competes[static_cast<std::size_t>(t)] == 0) continue;
    const auto first = logits.begin() + t * b.experts;
    const auto q = finite_softmax({first, first + b.experts});
    for (std::size_t e = 0; e < experts; ++e) p[e] += q[e];
    ++tokens;
  }
  double sum = 0;
  for (std::size_t e = 0; e < experts; ++e) sum += n[e] / total * (p[e] / tokens);
  return tokens == 0 ? 0 : static_cast<double>(experts) * sum;
}

inline double naive_sequences(const batch& b, const std::vector<double>& logits, index_t* count) {
  double sum = 0;
  *count = 0;
  for (std::size_t i = 0; i + 1 < b.sequences.size(); ++i) {
    index_t tokens = 0;
    for (index_t t = b.sequences[i]; t < b.sequences[i + 1]; ++t) tokens += b.competes[static_cast<std::size_t>(t)];
    if (tokens == 0) continue;
    ++*count;
    sum += naive_switch(b, logits, b.sequences[i], b.sequences[i + 1]);
  }
  return sum;
}

inline double naive_z(const batch& b, const std::vector<double>& logits) {
  double sum = 0;
  for (index_t t = 0; t < b.tokens; ++t) {
    if (b.competes[static_cast<std::size_t>(t)] == 0) continue;
    double total = 0;
    for (index_t e = 0; e < b.experts; ++e) total += std::exp(logits[static_cast<std::size_t>(t * b.experts + e)]);
    sum += std::log(total) * std::log(total);
  }
  return sum;
}

template <class T>
std::vector<T> cast(const std::vector<double>& x) {
  return {x.begin(), x.end()};
}

/// The losses on a batch, added to gradients token by token.
enum class which { one, global, sequence, z, relu };
constexpr which all_losses[] = {which::one, which::global, which::sequence, which::z, which::relu};

template <class Z, class G, executor E = const serial>
loss_sum run(which w, const batch& b, const Z& z, const G& g, double scale = 1, E&& pool = serial{}) {
  const balance_options options{.scale = scale, .competes = b.competes};
  std::vector<index_t> counts(static_cast<std::size_t>(b.experts), 3);
  for (std::size_t e = 0; e < counts.size(); ++e) counts[e] += static_cast<index_t>(e * e);
  index_t total = 0;
  for (const index_t n : counts) total += n;
  switch (w) {
    case which::one: return switch_loss(z, b.plan, g, options, pool);
    case which::global: return global_switch_loss(z, counts, total, g, options, pool);
    case which::sequence: return sequence_loss(z, b.plan, b.sequences, g, options, pool);
    case which::z: return z_loss(z, g, options, pool);
    case which::relu: return relu_loss(z, counts, total, g, options, pool);
  }
  return {};
}

template <class T>
constexpr matrix_view<T> no_gradient{};

}  // namespace moe_balance
