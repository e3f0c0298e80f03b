// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What one read of a row of logits z tells, p = softmax(z / temperature): its normalizer, the entropy of p, and,
/// beside a reference row w with q = softmax(w / temperature), both divergences.
#pragma once
#include <cmath>
#include <span>

#include "hone/core/packs.hpp"
#include "hone/core/simd_math.hpp"

namespace HONE_NAMESPACE::loss {

/// log sum exp of a row, in two parts: log p keeps its digits where the logits are large.
struct log_normalizer {
  double maximum = 0;
  double log_sum = 0;  ///< of exp(logit - maximum)

  [[nodiscard]] double value() const { return maximum + log_sum; }
  /// Of an id with this logit, already divided by the temperature.
  [[nodiscard]] double log_probability(double logit) const { return (logit - maximum) - log_sum; }
};

/// What a read of one row, or of two side by side, tells. Natural logarithms.
struct row_summary {
  log_normalizer normalizer;
  double entropy = 0;        ///< H(p); only from `summarize_entropy`
  log_normalizer reference;  ///< this and the rest only from the two-row `summarize`
  double forward_kl = 0;     ///< KL(q || p)
  double reverse_kl = 0;     ///< KL(p || q)
  double cross_entropy = 0;  ///< -sum q log p
};

namespace detail {

/// Elements that are read twice, for their maximum and for their sum, while they are in the first cache.
inline constexpr index_t tile = 1024;

template <class F>
HONE_INLINE void for_each_tile(index_t n, F&& f) {
  for (index_t begin = 0; begin < n; begin += tile) f(begin, (min)(begin + tile, n));
}

/// The largest number in [begin, end); NaNs are passed over.
template <scalar T>
HONE_INLINE accumulator_t<T> tile_max(const vector_view<T>& z, index_t begin, index_t end) {
  using stored = std::remove_const_t<T>;
  using packs = pack_of<stored>;
  constexpr accumulator_t<T> none = -std::numeric_limits<accumulator_t<T>>::infinity();
  // Four at a time: one alone would wait for itself.
  packs largest[4] = {packs(none), packs(none), packs(none), packs(none)};
  index_t i = begin;
  if constexpr (simd::has_words<stored>) {
    using words = simd::words<stored>;
    if (z.contiguous())
      for (; end - i >= 2 * words::count; i += 2 * words::count)
        for (int k = 0; k < 2; ++k) {
          const words x = words::load(z.data() + i + k * words::count);
          largest[2 * k] = (simd::max)(x.even(), largest[2 * k]);
          largest[2 * k + 1] = (simd::max)(x.odd(), largest[2 * k + 1]);
        }
  } else if (z.contiguous()) {
    for (; end - i >= 4 * packs::lanes; i += 4 * packs::lanes)
      for (int k = 0; k < 4; ++k)
        largest[k] = (simd::max)(load_pack(z, i + k * packs::lanes, whole_pack{}), largest[k]);
  }
  for_each_pack<packs::lanes>(
      i, end,
      [&](index_t at, auto bound)
          HONE_INLINE_LAMBDA { largest[0] = (simd::max)(load_pack(z, at, bound, none), largest[0]); },
      z);
  return simd::horizontal_max((simd::max)((simd::max)(largest[0], largest[1]), (simd::max)(largest[2], largest[3])));
}

/// A running maximum under the exponentials: moving it rescales the sums so far.
struct running_max {
  double value = -std::numeric_limits<double>::infinity();

  /// The factor on sums made under the old maximum.
  double raise(double to) {
    if (!(to > value)) return 1;
    const double factor = std::exp(value - to);
    value = to;
    return factor;
  }
};

struct no_look {
  HONE_INLINE void operator()(index_t, index_t, double) const {}
};

/// @p look(begin, end, largest logit there) sees every tile while it is in the first cache.
template <bool Entropy, scalar T, class Look = no_look>
row_summary summarize_row(const vector_view<T>& z, double temperature, Look&& look = {}) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  constexpr A none = -std::numeric_limits<A>::infinity();
  const packs scale(static_cast<A>(1 / temperature));
  running_max top;
  double sum = 0, weighted = 0;  // sum of e^(z - top), and of (z - top) e^(z - top)
  for_each_tile(z.size(), [&](index_t begin, index_t end) HONE_INLINE_LAMBDA {
    const A largest = tile_max(z, begin, end);
    look(begin, end, largest);
    const double old = top.value;
    const double factor = top.raise(static_cast<double>(largest * static_cast<A>(1 / temperature)));
    if constexpr (Entropy)
      if (factor != 1) weighted = sum == 0 ? 0 : factor * (weighted + (old - top.value) * sum);
    sum *= factor;
    const packs shift(static_cast<A>(top.value));
    packs sums(0), moments(0);
    for_each_pack<packs::lanes>(
        begin, end,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs x = load_pack(z, i, bound, none) * scale - shift;
          const packs e = simd::exp_softmax(x);
          sums += e;
          if constexpr (Entropy) moments += select(e == packs(0), packs(0), x * e);
        },
        z);
    sum += static_cast<double>(simd::horizontal_sum(sums));
    if constexpr (Entropy) weighted += static_cast<double>(simd::horizontal_sum(moments));
  });
  row_summary result;
  result.normalizer = {top.value, std::log(sum)};
  if constexpr (Entropy) result.entropy = std::log(sum) - weighted / sum;
  return result;
}

/// The sums over two rows after both divergences; `add` takes the rows in pieces.
template <class A>
struct divergence_sums {
  double temperature;
  running_max top{}, reference_top{};
  double sum = 0, reference_sum = 0;                // of e^z and e^w, below their maxima
  double difference = 0, reference_difference = 0;  // of (z - w) e^z and (w - z) e^w
  double reference_logits = 0;                      // of z e^w

  template <scalar T, scalar R>
  void add(const vector_view<T>& z, const vector_view<R>& w, double reference_shift = 0) {
    using packs = simd::pack<A>;
    constexpr A none = -std::numeric_limits<A>::infinity();
    const packs scale(static_cast<A>(1 / temperature)), shift(static_cast<A>(reference_shift));
    for_each_tile(z.size(), [&](index_t begin, index_t end) HONE_INLINE_LAMBDA {
      const A inverse = static_cast<A>(1 / temperature);
      const double factor = top.raise(static_cast<double>(tile_max(z, begin, end) * inverse));
      const double reference_factor = reference_top.raise(
          static_cast<double>((tile_max(w, begin, end) + static_cast<A>(reference_shift)) * inverse));
      sum *= factor;
      difference *= factor;
      reference_sum *= reference_factor;
      reference_difference *= reference_factor;
      reference_logits *= reference_factor;
      const packs z_top(static_cast<A>(top.value)), w_top(static_cast<A>(reference_top.value));
      packs sums(0), reference_sums(0), differences(0), reference_differences(0), logits(0);
      for_each_pack<packs::lanes>(
          begin, end,
          [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
            const packs x = load_pack(z, i, bound, none) * scale;
            const packs y = (load_pack(w, i, bound, none) + shift) * scale;
            const packs p = simd::exp_softmax(x - z_top), q = simd::exp_softmax(y - w_top);
            sums += p;
            reference_sums += q;
            differences += select(p == packs(0), packs(0), (x - y) * p);
            reference_differences += select(q == packs(0), packs(0), (y - x) * q);
            logits += select(q == packs(0), packs(0), x * q);
          },
          z, w);
      sum += static_cast<double>(simd::horizontal_sum(sums));
      reference_sum += static_cast<double>(simd::horizontal_sum(reference_sums));
      difference += static_cast<double>(simd::horizontal_sum(differences));
      reference_difference += static_cast<double>(simd::horizontal_sum(reference_differences));
      reference_logits += static_cast<double>(simd::horizontal_sum(logits));
    });
  }

  [[nodiscard]] row_summary summary() const {
    row_summary result;
    result.normalizer = {top.value, std::log(sum)};
    result.reference = {reference_top.value, std::log(reference_sum)};
    const double gap = result.normalizer.value() - result.reference.value();
    result.forward_kl = reference_difference / reference_sum + gap;
    result.reverse_kl = difference / sum - gap;
    result.cross_entropy = result.normalizer.value() - reference_logits / reference_sum;
    return result;
  }
};

}  // namespace detail

/// log sum exp(z / temperature) of the row @p z (V >= 1). Infinite or NaN logits other than -inf give NaN.
/// @pre temperature > 0.
/// @note One read of z; sums in double over tiles; allocates nothing.
template <vector_like Z>
row_summary summarize(const Z& z, double temperature = 1) {
  return detail::summarize_row<false>(as_vector(z), temperature);
}

/// As `summarize`, with the entropy.
template <vector_like Z>
row_summary summarize_entropy(const Z& z, double temperature = 1) {
  return detail::summarize_row<true>(as_vector(z), temperature);
}

/// Both normalizers and both divergences of @p z and @p reference (V each); @p reference_shift is added to the
/// reference's logit of @p shifted, if that is an id.
/// @note One read of both rows. Ids whose logit is -inf in both rows count as absent; KL(q||p) is infinite if q puts
///       weight on an id that p excludes.
template <vector_like Z, vector_like W>
row_summary summarize(const Z& z, const W& reference, double temperature, index_t shifted = -1,
                      double reference_shift = 0) {
  const auto zs = as_vector(z);
  const auto ws = as_vector(reference);
  detail::divergence_sums<accumulator_t<element_t<Z>>> sums{temperature};
  if (shifted < 0) {
    sums.add(zs, ws);
  } else {
    const index_t rest = shifted + 1;
    sums.add(zs.subvector(0, shifted), ws.subvector(0, shifted));
    sums.add(zs.subvector(shifted, 1), ws.subvector(shifted, 1), reference_shift);
    sums.add(zs.subvector(rest, zs.size() - rest), ws.subvector(rest, zs.size() - rest));
  }
  return sums.summary();
}

}  // namespace HONE_NAMESPACE::loss
