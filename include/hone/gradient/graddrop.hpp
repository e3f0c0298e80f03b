// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// GradDrop: at each element one sign is drawn, and only the gradients of that sign are added. With the purity
/// P = 1/2 (1 + sum_i g_i / sum_i |g_i|) and u uniform in [0, 1), the positive ones stay if u < f(P), else the negative:
///   sum_i (leak_i + (1 - leak_i) stays_i) g_i
/// [Chen et al. 2020, Just pick a sign, arXiv 2010.06808, Alg. 1, lines 10 to 15]
///
/// The paper and LibMTL draw for activations, summed over the batch; TorchJD, and this, for the elements given. u is
/// addressed by (seed, step, element), so that executor and sharding do not matter, and so is each shard's share of it:
/// `first_element` says where in the whole the gradients begin.
#pragma once
#include "hone/core/random.hpp"
#include "hone/gradient/tasks.hpp"

namespace hone::gradient {

namespace detail {

/// 24-bit uniform numbers in [0, 1), one an element of [first, first + lanes): four a Philox counter, whose index is the
/// element over four and whose stream and draw are the step.
template <class A>
HONE_INLINE simd::pack<A> uniform_pack(std::uint64_t seed, std::uint64_t step, index_t first) {
  constexpr std::size_t lanes = simd::pack<A>::lanes;
  const philox stream{seed, static_cast<std::uint32_t>(step)};
  const auto begin = static_cast<std::uint64_t>(first);
  std::array<std::uint32_t, 4> words[lanes / 4 + 1];
  const std::uint64_t last = (begin + lanes - 1) / 4 - begin / 4;
  for (std::uint64_t i = 0; i <= last; ++i)
    words[i] = stream.bits(begin / 4 + i, static_cast<std::uint32_t>(step >> 32));
  A values[lanes];
  for (std::uint64_t lane = 0; lane < lanes; ++lane) {
    const std::uint64_t at = begin % 4 + lane;
    values[lane] = static_cast<A>(words[at / 4][at % 4] >> 8) * A(0x1p-24);
  }
  return simd::load<A>(values);
}

}  // namespace detail

/// f(P) = P.
struct identity_purity {
  template <class A>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A>& purity) const {
    return purity;
  }
};

/// @c F maps a pack of purities to probabilities, rising, 0 to 0 and 1 to 1. A gradient that all tasks share the sign of
/// always stays whole; where all are zero the result is. NaN and infinite elements make the result NaN unless their task's
/// leak keeps them.
template <std::size_t K, class F = identity_purity>
struct graddrop {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::array<double, K> leak{};  ///< in [0, 1]: 1 lets a task through whole
  index_t first_element = 0;
  F purity{};

  void check() const {
    for (const double x : leak)
      invalid_argument_unless(x >= 0 && x <= 1, "hone::gradient::graddrop", "leak", "must be in [0, 1], is %g", x);
    invalid_argument_unless(first_element >= 0, "hone::gradient::graddrop", "first_element", "is negative, %td",
                            first_element);
  }

  /// @param element where in the vector given the first lane lies
  template <class A>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A> (&x)[K], index_t element) const {
    using packs = simd::pack<A>;
    packs sum = x[0], magnitude = simd::abs(x[0]);
    for (std::size_t a = 1; a < K; ++a) {
      sum += x[a];
      magnitude += simd::abs(x[a]);
    }
    const packs half(A(0.5));
    const packs pure = half + half * (sum / select(magnitude == packs(0), packs(1), magnitude));
    const packs u = detail::uniform_pack<A>(seed, step, first_element + element);
    const simd::mask<A> positive = u < purity(pure);
    const simd::mask<A> negative = !positive;
    packs result(0);
    for (std::size_t a = 0; a < K; ++a) {
      const packs kept(static_cast<A>(leak[a]));
      const simd::mask<A> stays = (positive & (x[a] > packs(0))) | (negative & (x[a] < packs(0)));
      result += select(stays, x[a], kept * x[a]);
    }
    return result;
  }
};

}  // namespace hone::gradient
