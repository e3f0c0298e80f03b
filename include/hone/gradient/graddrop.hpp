// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// GradDrop: at each element one sign is drawn, and only the gradients of that sign are added. With the purity
/// P = 1/2 (1 + sum_i g_i / sum_i |g_i|) and u uniform in [0, 1), the positive ones stay if u < f(P), else the
/// negative:
///   sum_i (leak_i + (1 - leak_i) stays_i) g_i
/// [Chen et al. 2020, Just pick a sign, arXiv 2010.06808, Alg. 1, lines 10 to 15]
///
/// The paper and LibMTL draw for activations, summed over the batch; TorchJD, and this, for the elements given. u is
/// addressed by (seed, step, element), so that executor and sharding do not matter, and so is each shard's share of it:
/// `first_element` says where in the whole the gradients begin.
#pragma once
#include "hone/core/simd_random.hpp"
#include "hone/gradient/tasks.hpp"

namespace HONE_NAMESPACE::gradient {

namespace detail {

/// 24-bit uniform numbers in [0, 1), one an element from @p first on, a pack a call: four a Philox counter, whose index
/// is the element over four and whose stream and draw are the step.
template <class A>
class uniform_packs {
 public:
  uniform_packs(std::uint64_t seed, std::uint64_t step, index_t first)
      : source_({seed, static_cast<std::uint32_t>(step)}, static_cast<std::uint32_t>(step >> 32)),
        index_(static_cast<std::uint64_t>(first) / 4), at_(full) {
    if (first % 4 == 0) return;
    const philox stream{seed, static_cast<std::uint32_t>(step)};
    const auto cut = stream.bits(index_++, static_cast<std::uint32_t>(step >> 32));
    at_ -= 4 - static_cast<std::size_t>(first % 4);
    std::memcpy(words_ + full - 4, cut.data(), sizeof cut);
  }

  HONE_INLINE simd::pack<A> next() {
    constexpr std::size_t lanes = simd::pack<A>::lanes;
    if (at_ + lanes > full) {
      std::memcpy(words_ + kept - 4, words_ + full - 4, 4 * sizeof *words_);
      source_.write(index_, words_ + kept);
      index_ += simd::philox_words::indices;
      at_ -= simd::philox_words::count;
    }
    const simd::pack<A> result = simd::uniform_pack<A>(words_ + at_);
    at_ += lanes;
    return result;
  }

 private:
  /// Words before @c kept are the last counter of the batch before, of which a pack may still need some.
  static constexpr std::size_t kept = 16, full = kept + simd::philox_words::count;
  alignas(64) std::uint32_t words_[full];
  simd::philox_words source_;
  std::uint64_t index_;
  std::size_t at_;
};

}  // namespace detail

/// f(P) = P.
struct identity_purity {
  template <class A>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A>& purity) const {
    return purity;
  }
};

/// @c F maps a pack of purities to probabilities, rising, 0 to 0 and 1 to 1. Where all tasks' elements have one sign
/// they stay whole; where all are zero the result is. NaN and infinite elements make the result NaN unless their task's
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

  template <class A>
  struct run {
    graddrop method;
    detail::uniform_packs<A> draws;

    HONE_INLINE simd::pack<A> operator()(const simd::pack<A> (&x)[K]) {
      using packs = simd::pack<A>;
      packs sum = x[0], magnitude = simd::abs(x[0]);
      for (std::size_t a = 1; a < K; ++a) {
        sum += x[a];
        magnitude += simd::abs(x[a]);
      }
      const packs half(A(0.5));
      const packs pure = half + half * (sum / select(magnitude == packs(0), packs(1), magnitude));
      const packs sign = select(draws.next() < method.purity(pure), packs(1), packs(-1));
      packs result(0);
      for (std::size_t a = 0; a < K; ++a)
        result += select(multiply_sign(x[a], sign) > packs(0), x[a], packs(static_cast<A>(method.leak[a])) * x[a]);
      return result;
    }
  };

  /// @param element where in the vector given the first pack begins
  template <class A>
  HONE_INLINE run<A> start(index_t element) const {
    return {*this, detail::uniform_packs<A>(seed, step, first_element + element)};
  }
};

}  // namespace HONE_NAMESPACE::gradient
