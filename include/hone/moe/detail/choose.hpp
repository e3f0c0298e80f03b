// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Who is chosen: what a router's pool, ranking and selection make of logits.
#pragma once
#include "hone/core/executor.hpp"
#include "hone/core/view.hpp"
#include "hone/moe/detail/checks.hpp"
#include "hone/moe/detail/scores.hpp"
#include "hone/moe/schedule.hpp"

#include <algorithm>

namespace HONE_NAMESPACE::moe::detail {

template <class T>
void check_route(const char* function, const router& r, index_t experts, index_t tokens,
                 const route_options<T>& options) {
  validate(r);
  const auto sized = [&](std::size_t size, index_t wanted, const char* name) {
    invalid_argument_unless(size == 0 || static_cast<index_t>(size) == wanted, function, name,
                            "has %zu elements, must have %td", size, wanted);
  };
  constexpr index_t most = 2147483647;
  invalid_argument_unless(
      experts >= 1 && experts <= (index_t{1} << 20) && tokens >= 0 && tokens <= most && tokens * experts <= most,
      function, "logits", "are of %td experts x %td tokens: of at least 1 expert, and at most 2^31 - 1", experts,
      tokens);
  sized(options.competes.size(), tokens, "competes");
  sized(options.bias.size(), experts, "bias");
  sized(options.thresholds.size(), experts, "thresholds");
  if (options.scale.size() != 1) sized(options.scale.size(), experts + 1, "scale");
  for (const T b : options.bias)
    invalid_argument_unless(b < std::numeric_limits<T>::infinity(), function, "bias", "must be below infinity, is %g",
                            static_cast<double>(b));
  for (const double a : options.scale)
    invalid_argument_unless(std::abs(a) <= static_cast<double>((std::numeric_limits<T>::max)()), function, "scale",
                            "must be finite in the gates' type, is %g", a);
  const auto& offsets = options.offsets;
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s)
    invalid_argument_unless(offsets[s] <= offsets[s + 1], function, "offsets", "fall after sequence %zu", s);
  invalid_argument_unless(offsets.empty() || (offsets.front() == 0 && offsets.back() == tokens), function, "offsets",
                          "must begin with 0 and end with the number of tokens, %td", tokens);
  const bool per_sequence = r.over == pool::sequence && !offsets.empty();
  sized(options.capacities.size(), per_sequence ? static_cast<index_t>(offsets.size()) - 1 : 1, "capacities");
  invalid_argument_unless(options.capacities.empty() || r.chosen == selection::column_top, function, "capacities",
                          "are of experts that choose: where tokens do, the router's fraction limits them");
  invalid_argument_unless(options.thresholds.empty() || r.chosen == selection::threshold, function, "thresholds",
                          "are of a router that chooses by them");
  for (const index_t c : options.capacities)
    invalid_argument_unless(c >= 0, function, "capacities", "must not be negative, one is %td", c);
  invalid_argument_unless(
      !options.causal || !sees_the_future(r), function, "r",
      r.chosen == selection::row_top && r.ranked_by != ranking::sinkhorn
          ? "drops tokens for later ones that a causal model is to predict: drop_policy::position does not"
          : "sees tokens that a causal model is to predict: say causal = false where there is none");
  invalid_argument_unless(r.chosen != selection::row_top || r.per_token <= experts, function, "per_token",
                          "each token chooses %td experts, there are %td", r.per_token, experts);
}

/// The tokens that compete, and the pools that they compete in.
template <class T>
void gather_pools(const router& r, index_t tokens, const route_options<T>& options, route_memory<T>& m) {
  m.tokens.clear();
  m.pools.assign(1, 0);
  const index_t whole[2] = {0, tokens};
  const bool per_sequence = r.over == pool::sequence && !options.offsets.empty();
  const std::span<const index_t> offsets = per_sequence ? options.offsets : std::span<const index_t>(whole);
  for (std::size_t p = 0; p + 1 < offsets.size(); ++p) {
    for (index_t t = offsets[p]; t < offsets[p + 1]; ++t)
      if (competing(options.competes, t)) m.tokens.push_back(static_cast<std::int32_t>(t));
    m.pools.push_back(static_cast<index_t>(m.tokens.size()));
  }
}

/// Logits of the tokens that compete, expert after expert, made into what ranks them. Returns how many are not finite.
template <class T>
index_t gather_scores(const router& r, const matrix_view<const T>& logits, const route_options<T>& options,
                      route_memory<T>& m, executor_reference pool) {
  const index_t experts = logits.rows(), n = static_cast<index_t>(m.tokens.size());
  m.scores.resize(static_cast<std::size_t>(experts * n));
  T* const scores = m.scores.data();
  constexpr index_t block = 256;
  pool.parallel_for(n, block, [&](index_t begin, index_t end) {
    for (index_t e = 0; e < experts; ++e)
      for (index_t i = begin; i < end; ++i) scores[e * n + i] = logits(e, m.tokens[static_cast<std::size_t>(i)]);
  });
  simd::counter<T> nonfinite;
  for_each_score_pack(scores, experts * n, [&](const simd::pack<T>& v, index_t i) HONE_INLINE_LAMBDA {
    if (experts * n - i >= simd::pack<T>::lanes) nonfinite.add_nonfinite(v);
  });
  index_t count = nonfinite.total();
  for (index_t i = experts * n / simd::pack<T>::lanes * simd::pack<T>::lanes; i < experts * n; ++i)
    count += !std::isfinite(scores[i]);
  if (r.ranked_by == ranking::sinkhorn)
    for (std::size_t p = 0; p + 1 < m.pools.size(); ++p) sinkhorn(scores, experts, n, m.pools[p], m.pools[p + 1]);
  pool.parallel_for(n, block, [&](index_t begin, index_t end) {
    if (r.ranked_by == ranking::softmax) softmax_columns(scores, experts, n, begin, end);
    if (r.ranked_by == ranking::sigmoid) sigmoid_columns(scores, experts, n, begin, end);
    for (index_t e = 0; !options.bias.empty() && e < experts; ++e)
      for (index_t i = begin; i < end; ++i) scores[e * n + i] += options.bias[static_cast<std::size_t>(e)];
  });
  return count;
}

/// Tokens that an expert takes of each pool, where experts choose.
template <class T>
index_t column_capacity(const router& r, index_t experts, std::size_t p, const route_options<T>& options,
                        const route_memory<T>& m) {
  const index_t tokens = m.pools[p + 1] - m.pools[p];
  return options.capacities.empty() ? capacity(tokens, r.per_token, experts) : (min)(options.capacities[p], tokens);
}

template <class T>
void choose_columns(const router& r, const route_options<T>& options, routing_plan<T>& plan, route_memory<T>& m,
                    executor_reference pool) {
  const index_t n = m.pools.back();
  index_t load = 0;
  for (std::size_t p = 0; p + 1 < m.pools.size(); ++p) load += column_capacity(r, plan.experts, p, options, m);
  for (index_t e = 0; e <= plan.experts; ++e) plan.offsets[static_cast<std::size_t>(e)] = e * load;
  plan.token.resize(static_cast<std::size_t>(plan.experts * load));
  pool.parallel_for(plan.experts, 1, [&](index_t first, index_t last) {
    for (index_t e = first; e < last; ++e) {
      std::int32_t* out = plan.token.data() + e * load;
      for (std::size_t p = 0; p + 1 < m.pools.size(); ++p) {
        const index_t begin = m.pools[p], taken = column_capacity(r, plan.experts, p, options, m);
        top(m.scores.data() + e * n + begin, m.pools[p + 1] - begin, taken, out);
        for (index_t i = 0; i < taken; ++i, ++out) *out = m.tokens[static_cast<std::size_t>(begin + *out)];
      }
    }
  });
}

/// Fills the plan's slots with pairs that come by ascending token: @p visit(f) calls f(expert, token) for each, and
/// does so again.
template <class T, class Visit>
void fill_by_expert(routing_plan<T>& plan, Visit&& visit) {
  std::fill(plan.offsets.begin(), plan.offsets.end(), 0);
  visit([&](index_t e, std::int32_t) { ++plan.offsets[static_cast<std::size_t>(e) + 1]; });
  for (index_t e = 0; e < plan.experts; ++e)
    plan.offsets[static_cast<std::size_t>(e) + 1] += plan.offsets[static_cast<std::size_t>(e)];
  plan.token.resize(static_cast<std::size_t>(plan.offsets.back()));
  visit([&](index_t e, std::int32_t token) {
    plan.token[static_cast<std::size_t>(plan.offsets[static_cast<std::size_t>(e)]++)] = token;
  });
  for (index_t e = plan.experts; e > 0; --e)
    plan.offsets[static_cast<std::size_t>(e)] = plan.offsets[static_cast<std::size_t>(e) - 1];
  plan.offsets[0] = 0;
}

template <class T>
void choose_rows(const router& r, routing_plan<T>& plan, route_memory<T>& m, executor_reference pool) {
  const index_t n = m.pools.back(), k = r.per_token;
  m.chosen.resize(static_cast<std::size_t>(n * k));
  pool.parallel_for(n, 256, [&](index_t begin, index_t end) {
    top_rows(m.scores.data(), plan.experts, n, begin, end, k, m.chosen.data());
  });
  fill_by_expert(plan, [&](auto&& f) {
    for (index_t i = 0; i < n * k; ++i)
      f(m.chosen[static_cast<std::size_t>(i)], m.tokens[static_cast<std::size_t>(i / k)]);
  });
}

template <class T>
void choose_pairs(const router& r, routing_plan<T>& plan, route_memory<T>& m) {
  const index_t n = m.pools.back(), experts = plan.experts;
  std::vector<T> pairs;  // by token, then expert: the order of ties
  m.chosen.clear();      // token experts + expert
  for (std::size_t p = 0; p + 1 < m.pools.size(); ++p) {
    const index_t begin = m.pools[p], tokens = m.pools[p + 1] - begin;
    pairs.resize(static_cast<std::size_t>(tokens * experts));
    for (index_t i = 0; i < tokens; ++i)
      for (index_t e = 0; e < experts; ++e)
        pairs[static_cast<std::size_t>(i * experts + e)] = m.scores[static_cast<std::size_t>(e * n + begin + i)];
    const auto before = m.chosen.size();
    const index_t taken = (min)(r.per_token, experts) * tokens;
    m.chosen.resize(before + static_cast<std::size_t>(taken));
    top(pairs.data(), tokens * experts, taken, m.chosen.data() + before);
    for (std::size_t i = before; i < m.chosen.size(); ++i) m.chosen[i] += static_cast<std::int32_t>(begin * experts);
  }
  fill_by_expert(plan, [&](auto&& f) {
    for (const std::int32_t pair : m.chosen) f(pair % experts, m.tokens[static_cast<std::size_t>(pair / experts)]);
  });
}

template <class T>
void choose_above(const route_options<T>& options, routing_plan<T>& plan, const route_memory<T>& m) {
  const index_t n = m.pools.back();
  fill_by_expert(plan, [&](auto&& f) {
    for (index_t e = 0; e < plan.experts; ++e) {
      const T least = options.thresholds.empty() ? T{0} : options.thresholds[static_cast<std::size_t>(e)];
      for (index_t i = 0; i < n; ++i)
        if (m.scores[static_cast<std::size_t>(e * n + i)] > least) f(e, m.tokens[static_cast<std::size_t>(i)]);
    }
  });
}

/// Adds to the plan, for each token that competes and has none, the expert that ranks it highest.
template <class T>
void choose_for_uncovered(routing_plan<T>& plan, route_memory<T>& m) {
  const index_t n = m.pools.back();
  const std::vector<std::int32_t> taken = plan.token;
  const std::vector<index_t> offsets = plan.offsets;
  m.dropped.assign(static_cast<std::size_t>(plan.tokens), 0);
  for (const std::int32_t t : taken) m.dropped[static_cast<std::size_t>(t)] = 1;
  m.chosen.resize(static_cast<std::size_t>(n));
  top_rows(m.scores.data(), plan.experts, n, 0, n, 1, m.chosen.data());
  fill_by_expert(plan, [&](auto&& f) {
    for (std::size_t e = 0; e + 1 < offsets.size(); ++e)
      for (index_t slot = offsets[e]; slot < offsets[e + 1]; ++slot)
        f(static_cast<index_t>(e), taken[static_cast<std::size_t>(slot)]);
    for (std::size_t i = 0; i < m.tokens.size(); ++i)
      if (m.dropped[static_cast<std::size_t>(m.tokens[i])] == 0) f(index_t{m.chosen[i]}, m.tokens[i]);
  });
  for (std::size_t e = 0; e + 1 < offsets.size(); ++e)
    std::inplace_merge(plan.token.begin() + plan.offsets[e],
                       plan.token.begin() + plan.offsets[e] + (offsets[e + 1] - offsets[e]),
                       plan.token.begin() + plan.offsets[e + 1]);
}

}  // namespace HONE_NAMESPACE::moe::detail
