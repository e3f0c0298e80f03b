// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Softmaxes over experts where tokens lie side by side (experts x tokens), a lane a token: a tile's exponentials are
/// kept while its gradient is made. What a token gets depends on its own logits alone.
#pragma once
#include "hone/core/packs.hpp"
#include "hone/core/reduce.hpp"
#include "hone/core/simd_math.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::moe::detail {

inline bool competing(std::span<const std::uint8_t> competes, index_t t) {
  return competes.empty() || competes[static_cast<std::size_t>(t)] != 0;
}

inline index_t count_competing(std::span<const std::uint8_t> competes, index_t begin, index_t end) {
  index_t count = 0;
  for (index_t t = begin; t < end; ++t) count += competing(competes, t) ? 1 : 0;
  return count;
}

/// f(first lane, x, …) of the lanes of packs as doubles, rounded back.
template <class F, class... P>
HONE_INLINE simd::pack<float> in_double(F&& f, const simd::pack<float>& x, const P&... others) {
  const auto high = [](const simd::pack<float>& y) { return simd::widen(y).high; };
  const auto low = [](const simd::pack<float>& y) { return simd::widen(y).low; };
  return simd::narrow(
      {f(index_t{0}, low(x), low(others)...), f(index_t{simd::pack<double>::lanes}, high(x), high(others)...)});
}
template <class F, class... P>
HONE_INLINE simd::pack<double> in_double(F&& f, const simd::pack<double>& x, const P&... others) {
  return f(index_t{0}, x, others...);
}

/// Up to `size` tokens. Logits that are not finite, and those of tokens that do not compete, have exponential 0.
template <class A>
struct token_tile {
  using packs = simd::pack<A>;
  static constexpr index_t size = 64, lanes = packs::lanes;

  index_t begin, end;  ///< tokens
  A* exponential;      ///< experts x size
  A keep[size] = {}, largest[size];
  double sum[size], weighted[size];  ///< of exponentials, and of weights times them
  index_t nonfinite = 0;

  /// @param weights one an expert, or none: 0
  template <scalar T>
  token_tile(const matrix_view<T>& logits, std::span<const std::uint8_t> competes, std::span<const double> weights,
             index_t first, index_t last, A* memory)
      : begin(first), end(last), exponential(memory) {
    for (index_t t = begin; t < end; ++t) keep[t - begin] = competing(competes, t) ? A{1} : A{0};
    constexpr A none = -std::numeric_limits<A>::infinity();
    for (A& x : largest) x = none;
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
      // Of the halves of a float pack.
      simd::pack<double> sums[2] = {0.0, 0.0}, moments[2] = {0.0, 0.0};
      for (index_t e = 0; e < logits.rows(); ++e) {
        A* const x = exponential + e * size + i;
        const simd::pack<double> weight(weights.empty() ? 0 : weights[static_cast<std::size_t>(e)]);
        const packs power = simd::exp_softmax(simd::load<A>(x) - below);
        simd::store(x, power);
        in_double(
            [&](index_t lane, const simd::pack<double>& p) HONE_INLINE_LAMBDA {
              sums[lane != 0] += p;
              moments[lane != 0] += weight * p;
              return p;
            },
            power);
      }
      for (index_t half = 0; half < lanes / simd::pack<double>::lanes; ++half) {
        simd::store(sum + i + half * simd::pack<double>::lanes, sums[half]);
        simd::store(weighted + i + half * simd::pack<double>::lanes, moments[half]);
      }
    }
  }

  /// dlogits += factor p (weight - centre), p the softmax.
  template <scalar T>
  void add_gradient(const matrix_view<T>& dlogits, std::span<const double> weights, const double* factor,
                    const double* centre) const {
    for (index_t e = 0; e < dlogits.rows(); ++e) {
      const auto row = dlogits.row(e);
      const A* const x = exponential + e * size;
      const simd::pack<double> weight(weights.empty() ? 0 : weights[static_cast<std::size_t>(e)]);
      for_each_pack<lanes>(
          begin, end,
          [&](index_t t, auto bound) HONE_INLINE_LAMBDA {
            const index_t i = t - begin;
            const packs gradient = in_double(
                [&](index_t lane, const simd::pack<double>& p) HONE_INLINE_LAMBDA {
                  return p * simd::load<double>(factor + i + lane) * (weight - simd::load<double>(centre + i + lane));
                },
                simd::load<A>(x + i));
            store_pack(row, t, bound, load_pack(row, t, bound) + gradient);
          },
          row);
    }
  }
};

/// What a token brings: its loss, and c in its gradient p (weight - c).
struct token_term {
  double loss, centre;
};

/// The loss, the tokens that compete, logits that are not finite, losses that are not finite.
struct token_sums {
  double loss;
  index_t tokens, nonfinite;
};

/// Sums f(largest logit, sum of exponentials, weighted sum) over the tokens that have a finite logit, and adds @p scale
/// times its gradient to @p dlogits, which has no rows if there is none to be made.
template <scalar T, scalar G, class F, executor E>
token_sums sum_tokens(const matrix_view<T>& logits, const matrix_view<G>& dlogits,
                      std::span<const std::uint8_t> competes, std::span<const double> weights, double scale, F&& f,
                      E& pool) {
  using A = accumulator_t<T>;
  using tile = token_tile<A>;
  double sums[3];
  blocked_sum<3, 4 * tile::size>(
      logits.cols(), sums,
      [&](index_t begin, index_t end, double* partial) {
        std::vector<A> exponentials(static_cast<std::size_t>(logits.rows() * tile::size));
        for (; begin < end; begin += tile::size) {
          const index_t last = (min)(begin + tile::size, end), tokens = count_competing(competes, begin, last);
          if (tokens == 0) continue;
          const tile x(logits, competes, weights, begin, last, exponentials.data());
          double factor[tile::size] = {}, centre[tile::size] = {};
          partial[1] += static_cast<double>(tokens);
          partial[2] += static_cast<double>(x.nonfinite);
          for (index_t i = 0; i < last - begin; ++i) {
            if (!(x.sum[i] > 0)) continue;
            const token_term term = f(static_cast<double>(x.largest[i]), x.sum[i], x.weighted[i]);
            partial[0] += term.loss;
            partial[2] += std::isfinite(term.loss) ? 0 : 1;
            factor[i] = scale / x.sum[i];
            centre[i] = term.centre;
          }
          x.add_gradient(dlogits, weights, factor, centre);
        }
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

}  // namespace HONE_NAMESPACE::moe::detail
