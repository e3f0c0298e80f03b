// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The weights that chosen experts get, and what of the chosen stays within a capacity.
#pragma once
#include "hone/core/philox.hpp"
#include "hone/core/sigmoid.hpp"
#include "hone/moe/detail/choose.hpp"

namespace HONE_NAMESPACE::moe::detail {

/// exp(x - most) of what is finite, else 0.
inline double exponential(double x, double most) { return std::isfinite(x) ? std::exp(x - most) : 0; }
inline double finite_sigmoid(double x) { return std::isfinite(x) ? sigmoid(x) : 0; }

/// What the gates of one token have in common: the largest finite logit and the sum, over its slots or over all
/// experts.
struct gate_sum {
  double most, sum;
};
template <class Logits>
gate_sum sum_of_gates(const router& r, index_t count, Logits&& logit) {
  if (r.gate != activation::softmax) {
    double sum = 1e-20;
    for (index_t i = 0; r.renormalised && i < count; ++i) sum += finite_sigmoid(logit(i));
    return {0, sum};
  }
  gate_sum s{std::numeric_limits<double>::lowest(), 0};
  for (index_t i = 0; i < count; ++i)
    if (const double x = logit(i); std::isfinite(x)) s.most = (max)(s.most, x);
  for (index_t i = 0; i < count; ++i) s.sum += exponential(logit(i), s.most);
  return s;
}
/// The gate of a logit, without the scale.
inline double gate_of(const router& r, double x, const gate_sum& s) {
  if (!std::isfinite(x)) return 0;
  switch (r.gate) {
    case activation::softmax: return exponential(x, s.most) / s.sum;
    case activation::sigmoid: return r.renormalised ? sigmoid(x) / s.sum : sigmoid(x);
    case activation::relu: return (max)(x, 0.0);
  }
  return 0;
}

template <class T>
void set_experts_of_slots(const routing_plan<T>& plan, std::vector<std::int32_t>& expert) {
  expert.resize(plan.token.size());
  for (index_t e = 0; e < plan.experts; ++e)
    std::fill(expert.begin() + plan.offsets[static_cast<std::size_t>(e)],
              expert.begin() + plan.offsets[static_cast<std::size_t>(e) + 1], static_cast<std::int32_t>(e));
}

/// The slots of token @p t.
template <class T>
std::span<const std::int32_t> slots_of(const routing_plan<T>& plan, index_t t) {
  const index_t* const from = plan.token_offsets.data() + t;
  return {plan.slot.data() + from[0], static_cast<std::size_t>(from[1] - from[0])};
}

template <class T>
void set_gates(const router& r, const matrix_view<const T>& logits, routing_plan<T>& plan, route_memory<T>& m,
               executor_reference pool) {
  set_experts_of_slots(plan, m.expert);
  plan.gate.resize(plan.token.size());
  pool.parallel_for(plan.tokens, 256, [&](index_t begin, index_t end) {
    for (index_t t = begin; t < end; ++t) {
      const auto own_slots = slots_of(plan, t);
      if (own_slots.empty()) continue;
      const auto of_slot = [&](index_t i) {
        return static_cast<double>(
            logits(m.expert[static_cast<std::size_t>(own_slots[static_cast<std::size_t>(i)])], t));
      };
      const auto of_expert = [&](index_t e) { return static_cast<double>(logits(e, t)); };
      const bool all = r.gate == activation::softmax && !r.renormalised;
      const gate_sum sum = all ? sum_of_gates(r, plan.experts, of_expert)
                               : sum_of_gates(r, static_cast<index_t>(own_slots.size()), of_slot);
      for (std::size_t i = 0; i < own_slots.size(); ++i)
        plan.gate[static_cast<std::size_t>(own_slots[i])] =
            static_cast<T>(gate_of(r, of_slot(static_cast<index_t>(i)), sum));
    }
  });
}

/// ceil(tokens k numerator / (experts denominator)), at most all tokens.
inline index_t row_capacity(const router& r, index_t experts, index_t tokens) {
  const index_t load = r.per_token * r.capacity_numerator, share = experts * r.capacity_denominator;
  if (tokens > 0 && load > (std::numeric_limits<index_t>::max)() / 2 / tokens) return tokens;
  return (min)((tokens * load + share - 1) / share, tokens);
}

/// Which choice of its token each slot was: 0 the best.
template <class T>
void set_places(const router& r, const routing_plan<T>& plan, route_memory<T>& m) {
  m.place.resize(plan.token.size());
  for (std::size_t i = 0; i < m.tokens.size(); ++i) {
    const std::int32_t* const best_first = m.chosen.data() + static_cast<index_t>(i) * r.per_token;
    for (const std::int32_t slot : slots_of(plan, m.tokens[i])) {
      const std::int32_t expert = m.expert[static_cast<std::size_t>(slot)];
      m.place[static_cast<std::size_t>(slot)] =
          static_cast<std::int32_t>(std::find(best_first, best_first + r.per_token, expert) - best_first);
    }
  }
}

/// Marks what has no room among the slots [begin, end) of one expert and one pool.
template <class T>
void mark_crowd(const router& r, const routing_plan<T>& plan, index_t room, index_t begin, index_t end,
                route_memory<T>& m, std::vector<T>& gates, std::vector<std::int32_t>& kept) {
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  index_t present = 0;
  for (index_t s = begin; s < end; ++s) present += m.dropped[at(s)] == 0;
  if (present <= room) return;
  if (r.dropped == drop_policy::gate) {
    gates.assign(plan.gate.begin() + begin, plan.gate.begin() + end);
    for (index_t s = begin; s < end; ++s)
      if (m.dropped[at(s)] != 0) gates[at(s - begin)] = -std::numeric_limits<T>::infinity();
    kept.resize(at(room));
    top(gates.data(), end - begin, room, kept.data());
    for (index_t s = begin, i = 0; s < end; ++s) {
      if (i < room && kept[at(i)] == s - begin)
        ++i;
      else
        m.dropped[at(s)] = 1;
    }
    return;
  }
  const index_t rounds = r.dropped == drop_policy::choice ? r.per_token : 1;
  for (index_t round = 0; round < rounds; ++round) {
    for (index_t s = begin; s < end; ++s) {
      if (m.dropped[at(s)] != 0 || (rounds > 1 && m.place[at(s)] != round)) continue;
      if (room > 0)
        --room;
      else
        m.dropped[at(s)] = 1;
    }
  }
}

/// Takes out of the plan second experts that are not drawn and what has no room, and lists it.
template <class T>
void drop(const router& r, const route_options<T>& options, routing_plan<T>& plan, route_memory<T>& m) {
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  m.dropped.assign(plan.token.size(), 0);
  if (r.second_at_random || r.dropped == drop_policy::choice) set_places(r, plan, m);
  if (r.second_at_random) {
    const philox random{options.seed, options.step};
    for (std::size_t s = 0; s < plan.token.size(); ++s)
      m.dropped[s] =
          m.place[s] == 1 && random.uniform(options.first_token + static_cast<std::uint64_t>(plan.token[s])) >=
                                 2 * static_cast<double>(plan.gate[s]);
  }
  std::vector<T> gates;
  std::vector<std::int32_t> kept;
  for (index_t e = 0; r.capacity_numerator > 0 && e < plan.experts; ++e) {
    index_t begin = plan.offsets[at(e)];
    for (std::size_t p = 0; p + 1 < m.pools.size(); ++p) {
      const index_t tokens = m.pools[p + 1] - m.pools[p];
      if (tokens == 0) continue;
      const std::int32_t last = m.tokens[at(m.pools[p + 1] - 1)];
      index_t end = begin;
      while (end < plan.offsets[at(e) + 1] && plan.token[at(end)] <= last) ++end;
      mark_crowd(r, plan, row_capacity(r, plan.experts, tokens), begin, end, m, gates, kept);
      begin = end;
    }
  }
  index_t to = 0, s = 0;
  for (index_t e = 0; e < plan.experts; ++e) {
    for (const index_t end = plan.offsets[at(e) + 1]; s < end; ++s) {
      if (m.dropped[at(s)] != 0) {
        plan.dropped.push_back({static_cast<std::int32_t>(e), plan.token[at(s)], plan.gate[at(s)]});
        continue;
      }
      plan.token[at(to)] = plan.token[at(s)];
      plan.gate[at(to++)] = plan.gate[at(s)];
    }
    plan.offsets[at(e) + 1] = to;
  }
  plan.token.resize(at(to));
  plan.gate.resize(at(to));
  transpose(plan);
}

/// a[n] of a token that has n experts.
inline double scale_of(std::span<const double> scale, index_t n) {
  return scale.empty() ? 1 : scale.size() == 1 ? scale[0] : scale[static_cast<std::size_t>(n)];
}

}  // namespace HONE_NAMESPACE::moe::detail
