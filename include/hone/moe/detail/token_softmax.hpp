// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Softmaxes over experts where tokens lie side by side (experts x tokens), a lane a token: a tile's exponentials are
/// kept while its gradient is made. What a token gets depends on its own logits alone.
#pragma once
#include "hone/core/packs.hpp"
#include "hone/core/reduce.hpp"
#include "hone/core/simd_math.hpp"
#include "hone/moe/detail/checks.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::moe::detail {

/// Up to `size` tokens. Logits that are not finite, and those of tokens that do not compete, have exponential 0.
template <class A>
struct token_tile {
  using packs = simd::pack<A>;
  static constexpr int size = 128, lanes = packs::lanes;

  index_t begin, end;    ///< tokens
  A* const exponential;  ///< experts x size
  A keep[size], largest[size];
  double sum[size], weighted[size];  ///< of exponentials, and of weights times them
  index_t nonfinite;

  explicit token_tile(A* memory) : exponential(memory) {}

  /// @param weights one an expert, or none: 0
  template <scalar T>
  void read(const matrix_view<T>& logits, std::span<const std::uint8_t> competes, std::span<const A> weights,
            index_t first, index_t last) {
    begin = first;
    end = last;
    constexpr A none = -std::numeric_limits<A>::infinity();
    for (index_t i = 0; i < size; ++i) {
      keep[i] = begin + i < end && competing(competes, begin + i) ? A{1} : A{0};
      largest[i] = none;
    }
    simd::counter<A> bad;
    for (index_t e = 0; e < logits.rows(); ++e) {
      const auto row = logits.row(e);
      A* const out = exponential + e * size;
      for_each_pack<lanes>(
          begin, end,
          [&](index_t t, auto bound) HONE_INLINE_LAMBDA {
            const index_t i = t - begin;
            const packs x = load_pack(row, t, bound);
            const simd::mask<A> kept = simd::load<A>(keep + i) != packs(0), is_finite = simd::finite(x);
            bad.add(kept & !is_finite);
            const packs own = simd::select(kept & is_finite, x, packs(none));
            simd::store(out + i, own);
            simd::store(largest + i, (simd::max)(own, simd::load<A>(largest + i)));
          },
          row);
    }
    nonfinite = bad.total();
    for (index_t i = 0; i < end - begin; i += lanes) {
      const packs top = simd::load<A>(largest + i), below = simd::select(top == packs(none), packs(0), top);
      for (index_t j = i; j < i + lanes; ++j) sum[j] = weighted[j] = 0;
      // Runs of a few experts in the accumulator type: converting each would take as long as the exponentials.
      constexpr index_t run = 16;
      for (index_t e = 0; e < logits.rows(); e += run) {
        packs sums(0), moments(0);
        for (index_t k = e; k < (min)(e + run, logits.rows()); ++k) {
          A* const x = exponential + k * size + i;
          const packs power = simd::exp_softmax(simd::load<A>(x) - below);
          simd::store(x, power);
          sums += power;
          if (!weights.empty()) moments += packs(weights[static_cast<std::size_t>(k)]) * power;
        }
        A of_run[packs::lanes], weighted_run[packs::lanes];
        simd::store(of_run, sums);
        simd::store(weighted_run, moments);
        for (index_t j = 0; j < lanes; ++j) {
          sum[i + j] += static_cast<double>(of_run[j]);
          weighted[i + j] += static_cast<double>(weighted_run[j]);
        }
      }
    }
  }

  /// dlogits += factor e^(logit - largest) (weight - centre), in place of the exponentials.
  template <scalar T>
  void add_gradient(const matrix_view<T>& dlogits, std::span<const A> weights, const A* factor, const A* centre) const {
    for (index_t e = 0; e < dlogits.rows(); ++e) {
      const auto row = dlogits.row(e);
      A* const x = exponential + e * size;
      const packs weight(weights.empty() ? A{0} : weights[static_cast<std::size_t>(e)]);
      // Before it is added: a compiler that contracts products and sums would not for all strides and ends alike.
      for (index_t i = 0; i < end - begin; i += lanes)
        simd::store(x + i, simd::load<A>(x + i) * simd::load<A>(factor + i) * (weight - simd::load<A>(centre + i)));
      for_each_pack<lanes>(
          begin, end,
          [&](index_t t, auto bound) HONE_INLINE_LAMBDA {
            store_pack(row, t, bound, load_pack(row, t, bound) + simd::load<A>(x + t - begin));
          },
          row);
    }
  }
};

/// To the nearest number of the type: infinity would make NaN of a probability of 0.
template <class A>
A narrowed(double x) {
  constexpr auto most = static_cast<double>((std::numeric_limits<A>::max)());
  return static_cast<A>(x > most ? most : x < -most ? -most : x);
}

/// What a token brings: its loss, and s and c in its gradient s p (weight - c).
struct token_term {
  double loss, slope, centre;
};

/// The loss, the tokens that compete, logits and losses that are not finite.
struct token_sums {
  double loss;
  index_t tokens, nonfinite;
};

/// Sums f(largest logit, sum of exponentials, weighted sum) over the tokens that have a finite logit, and adds @p scale
/// times its gradient to @p dlogits, which has no rows if there is none to be made.
template <scalar T, scalar G, class F, executor E>
token_sums sum_tokens(const matrix_view<T>& logits, const matrix_view<G>& dlogits,
                      std::span<const std::uint8_t> competes, std::span<const accumulator_t<T>> weights, double scale,
                      F&& f, E& pool) {
  using A = accumulator_t<T>;
  constexpr index_t size = token_tile<A>::size;
  const index_t tiles = (logits.cols() + size - 1) / size;
  std::vector<token_sums> of_tile(static_cast<std::size_t>(tiles));
  pool.parallel_for(tiles, index_t{2}, [&](index_t first, index_t last) {
    std::vector<A> memory(static_cast<std::size_t>(logits.rows() * size));
    token_tile<A> tile(memory.data());
    for (; first < last; ++first) {
      const index_t begin = first * size, end = (min)(begin + size, logits.cols());
      token_sums& own = of_tile[static_cast<std::size_t>(first)];
      own = {0, count_competing(competes, begin, end), 0};
      if (own.tokens == 0) continue;
      tile.read(logits, competes, weights, begin, end);
      own.nonfinite = tile.nonfinite;
      A factor[token_tile<A>::size] = {}, centre[token_tile<A>::size] = {};
      for (index_t i = 0; i < end - begin; ++i) {
        if (!(tile.sum[i] > 0)) continue;
        const token_term term = f(static_cast<double>(tile.largest[i]), tile.sum[i], tile.weighted[i]);
        own.loss += term.loss;
        own.nonfinite += std::isfinite(term.loss) ? 0 : 1;
        factor[i] = narrowed<A>(scale * term.slope / tile.sum[i]);
        centre[i] = narrowed<A>(term.centre);
      }
      tile.add_gradient(dlogits, weights, factor, centre);
    }
  });
  double loss = 0;
  token_sums total = {};
  const serial alone;
  blocked_sum<1, 1>(
      tiles, &loss,
      [&](index_t i, index_t, double* partial) {
        const token_sums& own = of_tile[static_cast<std::size_t>(i)];
        *partial = own.loss;
        total.tokens += own.tokens;
        total.nonfinite += own.nonfinite;
      },
      alone);
  total.loss = loss;
  return total;
}

}  // namespace HONE_NAMESPACE::moe::detail
