// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// By what a router ranks: logits of the tokens that compete, made into scores. A logit that is not finite stays what
/// it is, so that it ranks above or below all scores.
#pragma once
#include "hone/core/simd_math.hpp"
#include "hone/moe/router.hpp"
#include "hone/moe/select.hpp"

#include <span>
#include <vector>

namespace HONE_NAMESPACE::moe::detail {

/// f(load, store) for columns [begin, end) of @p scores (rows x columns), a pack of them at a time, where load(e) and
/// store(e, pack) are row e.
template <class A, class F>
void for_each_column_pack(A* scores, index_t columns, index_t begin, index_t end, F&& f) {
  constexpr index_t width = simd::pack<A>::lanes;
  for (index_t i = begin; i < end; i += width) {
    const index_t lanes = (min)(end - i, width);
    f(
        [&](index_t e) HONE_INLINE_LAMBDA {
          const A* from = scores + e * columns + i;
          return lanes == width ? simd::load<A>(from) : simd::load<A>(from, lanes, A{0});
        },
        [&](index_t e, const simd::pack<A>& value) HONE_INLINE_LAMBDA {
          A* to = scores + e * columns + i;
          if (lanes == width)
            simd::store(to, value);
          else
            simd::store(to, value, lanes);
        });
  }
}

/// The softmax of each column over its rows.
template <class A>
void softmax_columns(A* scores, index_t rows, index_t columns, index_t begin, index_t end) {
  using packs = simd::pack<A>;
  const packs lowest(std::numeric_limits<A>::lowest()), zero(0);
  for_each_column_pack(scores, columns, begin, end, [&](const auto& load, const auto& store) {
    packs most = lowest, sum = zero;
    for (index_t e = 0; e < rows; ++e) {
      const packs x = load(e);
      most = (simd::max)(simd::select(simd::finite(x), x, lowest), most);
    }
    const auto exponential = [&](const packs& x) HONE_INLINE_LAMBDA {
      return simd::select(simd::finite(x), simd::exp_nonpositive(x - most), zero);
    };
    for (index_t e = 0; e < rows; ++e) sum += exponential(load(e));
    for (index_t e = 0; e < rows; ++e) {
      const packs x = load(e);
      store(e, simd::select(simd::finite(x), exponential(x) / sum, x));
    }
  });
}

template <class A>
void sigmoid_columns(A* scores, index_t rows, index_t columns, index_t begin, index_t end) {
  using packs = simd::pack<A>;
  for_each_column_pack(scores, columns, begin, end, [&](const auto& load, const auto& store) {
    for (index_t e = 0; e < rows; ++e) {
      const packs x = load(e);
      store(e, simd::select(simd::finite(x), packs(1) / (packs(1) + simd::exp(-x)), x));
    }
  });
}

/// The transport plan d0 exp(L) d1 that gives each token and each expert of a pool the same share, as Megatron-LM's
/// code has it: until d1 moves by less than 1e-4 in the mean, at most 1000 rounds.
template <class A>
void sinkhorn(A* scores, index_t rows, index_t columns, index_t begin, index_t end) {
  constexpr double tolerance = 1e-4, epsilon = 1e-8;
  const index_t n = end - begin;
  if (n == 0) return;
  std::vector<double> cost(static_cast<std::size_t>(rows * n)), d0(static_cast<std::size_t>(n)),
      d1(static_cast<std::size_t>(rows), 1.0);
  const auto at = [&](index_t e, index_t i) -> double& { return cost[static_cast<std::size_t>(e * n + i)]; };
  const auto score = [&](index_t e, index_t i) -> A& { return scores[e * columns + begin + i]; };
  for (index_t i = 0; i < n; ++i) {
    double most = std::numeric_limits<double>::lowest();  // the plan does not depend on what a token's logits add
    for (index_t e = 0; e < rows; ++e)
      if (std::isfinite(score(e, i))) most = (max)(most, static_cast<double>(score(e, i)));
    for (index_t e = 0; e < rows; ++e)
      at(e, i) = std::isfinite(score(e, i)) ? std::exp(static_cast<double>(score(e, i)) - most) : 0;
  }
  double moved = 1;
  for (int round = 0; moved > tolerance && round < 1000; ++round) {
    for (index_t i = 0; i < n; ++i) {
      double sum = epsilon;
      for (index_t e = 0; e < rows; ++e) sum += d1[static_cast<std::size_t>(e)] * at(e, i);
      d0[static_cast<std::size_t>(i)] = 1 / (static_cast<double>(n) * sum);
    }
    moved = 0;
    for (index_t e = 0; e < rows; ++e) {
      double sum = epsilon;
      for (index_t i = 0; i < n; ++i) sum += d0[static_cast<std::size_t>(i)] * at(e, i);
      double& own = d1[static_cast<std::size_t>(e)];
      const double next = 1 / (static_cast<double>(rows) * sum);
      moved += std::abs(next - own) / static_cast<double>(rows);
      own = next;
    }
  }
  for (index_t e = 0; e < rows; ++e)
    for (index_t i = 0; i < n; ++i)
      if (std::isfinite(score(e, i)))
        score(e, i) = static_cast<A>(d1[static_cast<std::size_t>(e)] * at(e, i) * d0[static_cast<std::size_t>(i)]);
}

}  // namespace HONE_NAMESPACE::moe::detail
