// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What one read of a row of logits z tells, p = softmax(z / temperature): its normalizer, the entropy of p, and,
/// beside a reference row w with q = softmax(w / temperature), both divergences.
///
/// The maximum is that of the logits as they lie in the row; what is left below it is divided by the temperature. So no
/// log p is above 0, and where a temperature is so small that only the maximum survives, the ids that are at it share p
/// alike. An id whose logit is -inf is absent. A row with NaN or +inf, or with absent ids alone, has NaN for all of it.
#pragma once
#include "hone/core/packs.hpp"
#include "hone/core/simd_math.hpp"

#include <cmath>

namespace HONE_NAMESPACE::loss {

namespace detail {

/// (x - y) / temperature, without overflow before the division.
inline double tempered_difference(double x, double y, double temperature) {
  const double difference = x - y;
  const bool fits = std::abs(difference) <= (std::numeric_limits<double>::max)();
  return fits ? difference / temperature : 2 * ((x / 2 - y / 2) / temperature);
}

}  // namespace detail

/// log sum exp(z / temperature) of a row in parts: log p keeps its digits where logits are large or temperatures small.
struct log_normalizer {
  double maximum = 0;  ///< of the logits; -inf where all ids are absent
  double log_sum = 0;  ///< of exp((logit - maximum) / temperature); at least 0
  double temperature = 1;

  [[nodiscard]] double value() const { return maximum / temperature + log_sum; }
  /// Of an id with this logit, as it lies in the row. At most 0.
  [[nodiscard]] double log_probability(double logit) const {
    return detail::tempered_difference(logit, maximum, temperature) - log_sum;
  }
};

/// What a read of one row, or of two side by side, tells. Natural logarithms.
struct row_summary {
  log_normalizer normalizer = {};
  double entropy = 0;             ///< H(p); only from `summarize_entropy`
  log_normalizer reference = {};  ///< this and the rest only from the two-row `summarize`
  double forward_kl = 0;          ///< KL(q || p)
  double reverse_kl = 0;          ///< KL(p || q)
  double cross_entropy = 0;       ///< -sum q log p
  double difference = 0;          ///< sum p ((z - max z) - (w - max w)), in logits
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

/// The exponents (z - maximum) / temperature of a row in its accumulator type, (z step - maximum step) rate. Steps are
/// powers of two: both products are exact, so that no difference is above 0, whether compilers contract it or not.
template <class A>
class exponents {
 public:
  using packs = simd::pack<A>;

  /// @param maximum  -inf: there is none yet.
  /// @param rows  2: for differences between rows too, in a step that both have and that leaves room for their sums.
  HONE_INLINE exponents(double temperature, A maximum, int rows = 1)
      : exponents(step_of(temperature, maximum, rows), maximum, temperature) {}

  /// z - maximum, in steps.
  [[nodiscard]] HONE_INLINE packs below(const packs& z) const { return z * steps_ - top_; }
  [[nodiscard]] HONE_INLINE packs exponential(const packs& below) const { return simd::exp_softmax(below, exp_rate_); }
  [[nodiscard]] HONE_INLINE packs logarithm(const packs& below) const { return below * rate_; }
  [[nodiscard]] double in_logits(A steps) const { return static_cast<double>(steps) / step_; }
  [[nodiscard]] A in_steps(double logits) const { return static_cast<A>(logits * step_); }

 private:
  using limits = std::numeric_limits<A>;
  static constexpr A least = (limits::min)();

  static constexpr A power_of_two(int n) {
    A x = 1;
    for (; n > 0; --n) x *= 2;
    for (; n < 0; ++n) x /= 2;
    return x;
  }
  static A step_of(double temperature, A maximum, int rows) {
    // At a high temperature logits are close that lie further apart than the type's largest number,
    constexpr A narrow = power_of_two(-limits::digits - 2), wide = power_of_two(limits::digits + 9);
    if (temperature > 1) return narrow;
    if (rows > 1) return A{1} / 4096;
    // and at one below its normal numbers, or nearly, denormal ones are far apart.
    constexpr A bound = power_of_two(limits::max_exponent - limits::digits - 14);
    const bool apart = temperature < 16 * static_cast<double>(least) && -bound < maximum && maximum < bound;
    return apart ? wide : A{0.25};
  }
  /// A rate and its inverse are normal numbers: with this step the exponentials of clamped ones are right too.
  static double normal(double x) {
    constexpr double low = static_cast<double>(least), high = 1 / low;
    return x < low ? low : x > high ? high : x;
  }

  HONE_INLINE exponents(A step, A maximum, double temperature)
      : step_(static_cast<double>(step)), steps_(step), top_(maximum == -limits::infinity() ? A{0} : maximum * step),
        rate_(static_cast<A>(normal(1 / (temperature * step_)))), exp_rate_(normal(1 / (temperature * step_))) {}

  double step_;
  packs steps_, top_, rate_;
  simd::softmax_rate<A> exp_rate_;
};

/// A running maximum under the exponentials: moving it rescales the sums so far.
struct running_max {
  double temperature;
  double value = -std::numeric_limits<double>::infinity();

  /// The factor on sums made under the old maximum.
  double raise(double to) {
    if (!(to > value)) return 1;
    const double factor = std::exp(tempered_difference(value, to, temperature));
    value = to;
    return factor;
  }
};

/// log(sum) of exponentials, one of which is 1; NaN where there are none.
inline double log_of(double sum) { return sum == 0 ? std::numeric_limits<double>::quiet_NaN() : std::log(sum); }

/// The sums over a row, tile by tile.
template <class A, bool Entropy>
struct row_sums {
  double temperature;
  running_max top{temperature};
  double sum = 0, weighted = 0;  // of e^x, x the exponents, and of (z - maximum) e^x

  /// @param largest of the tile [begin, end).
  template <scalar T>
  HONE_INLINE void add(const vector_view<T>& z, index_t begin, index_t end, A largest) {
    using packs = simd::pack<A>;
    constexpr A none = -std::numeric_limits<A>::infinity();
    const double old = top.value, factor = top.raise(static_cast<double>(largest));
    if constexpr (Entropy)
      if (factor != 1) weighted = factor == 0 ? 0 : factor * (weighted + (old - top.value) * sum);
    sum *= factor;
    const exponents<A> scale(temperature, static_cast<A>(top.value));
    packs sums(0), moments(0);
    for_each_pack<packs::lanes>(
        begin, end,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs x = scale.below(load_pack(z, i, bound, none)), e = scale.exponential(x);
          sums += e;
          if constexpr (Entropy) moments += select(e == packs(0), packs(0), x * e);
        },
        z);
    sum += static_cast<double>(simd::horizontal_sum(sums));
    if constexpr (Entropy) weighted += scale.in_logits(simd::horizontal_sum(moments));
  }

  [[nodiscard]] row_summary summary() const {
    row_summary result;
    result.normalizer = {top.value, log_of(sum), temperature};
    if constexpr (Entropy) result.entropy = result.normalizer.log_sum - weighted / sum / temperature;
    return result;
  }
};

struct no_look {
  HONE_INLINE void operator()(index_t, index_t, double) const {}
};

/// @p look(begin, end, largest logit there) sees every tile while it is in the first cache.
template <bool Entropy, scalar T, class Look = no_look>
row_summary summarize_row(const vector_view<T>& z, double temperature, Look&& look = {}) {
  row_sums<accumulator_t<T>, Entropy> sums{temperature};
  for_each_tile(z.size(), [&](index_t begin, index_t end) HONE_INLINE_LAMBDA {
    const auto largest = tile_max(z, begin, end);
    look(begin, end, largest);
    sums.add(z, begin, end, largest);
  });
  return sums.summary();
}

/// What is added to the reference's logit of one id, in the accumulator type, in which it is rounded once.
template <scalar R>
accumulator_t<R> shifted_logit(R w, double shift) {
  constexpr double most = static_cast<double>((std::numeric_limits<accumulator_t<R>>::max)());
  return to_accumulator(w) + static_cast<accumulator_t<R>>(shift < -most ? -most : shift > most ? most : shift);
}

/// The sums over two rows after both divergences; `add` takes the rows in pieces.
template <class A>
struct divergence_sums {
  double temperature;
  running_max top{temperature}, reference_top{temperature};
  double sum = 0, reference_sum = 0;                // of e^x and e^y, x and y the exponents of z and w
  double difference = 0, reference_difference = 0;  // of u e^x and -u e^y, u = (z - max z) - (w - max w)
  double below = 0;                                 // of (z - max z) e^y

  template <scalar T, scalar R>
  void add(const vector_view<T>& z, const vector_view<R>& w) {
    for_each_tile(z.size(), [&](index_t begin, index_t end) HONE_INLINE_LAMBDA {
      raise(tile_max(z, begin, end), tile_max(w, begin, end));
      add_tile(begin, end, z, w);
    });
  }
  /// One id, whose logit in the reference is @p w.
  template <scalar T>
  void add(const vector_view<T>& z, A w) {
    const vector_view<A> ws(&w, 1);
    raise(to_accumulator(z[0]), w);
    add_tile(0, 1, z, ws);
  }

  [[nodiscard]] row_summary summary() const {
    row_summary result;
    result.normalizer = {top.value, log_of(sum), temperature};
    result.reference = {reference_top.value, log_of(reference_sum), temperature};
    const double gap = result.normalizer.log_sum - result.reference.log_sum;
    result.difference = difference / sum;
    result.forward_kl = reference_difference / reference_sum / temperature + gap;
    result.reverse_kl = result.difference / temperature - gap;
    result.cross_entropy = result.normalizer.log_sum - below / reference_sum / temperature;
    return result;
  }

 private:
  void raise(A largest, A reference_largest) {
    const double old = top.value, old_reference = reference_top.value;
    const double factor = top.raise(static_cast<double>(largest));
    const double reference_factor = reference_top.raise(static_cast<double>(reference_largest));
    if (old == top.value && old_reference == reference_top.value) return;
    const double by = old == top.value ? 0 : old - top.value;
    const double reference_by = old_reference == reference_top.value ? 0 : old_reference - reference_top.value;
    const auto move = [](double& moment, double f, double shift, double weight) {
      moment = f == 0 || weight == 0 ? 0 : f * (moment + shift * weight);
    };
    move(difference, factor, by - reference_by, sum);
    move(reference_difference, reference_factor, reference_by - by, reference_sum);
    move(below, reference_factor, by, reference_sum);
    sum *= factor;
    reference_sum *= reference_factor;
  }

  template <scalar T, scalar R>
  HONE_INLINE void add_tile(index_t begin, index_t end, const vector_view<T>& z, const vector_view<R>& w) {
    using packs = simd::pack<A>;
    constexpr A none = -std::numeric_limits<A>::infinity();
    const exponents<A> scale(temperature, static_cast<A>(top.value), 2);
    const exponents<A> reference_scale(temperature, static_cast<A>(reference_top.value), 2);
    packs sums(0), reference_sums(0), differences(0), reference_differences(0), moments(0);
    for_each_pack<packs::lanes>(
        begin, end,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs x = scale.below(load_pack(z, i, bound, none));
          const packs y = reference_scale.below(load_pack(w, i, bound, none));
          const packs p = scale.exponential(x), q = scale.exponential(y);
          sums += p;
          reference_sums += q;
          differences += select(p == packs(0), packs(0), (x - y) * p);
          reference_differences += select(q == packs(0), packs(0), (y - x) * q);
          moments += select(q == packs(0), packs(0), x * q);
        },
        z, w);
    sum += static_cast<double>(simd::horizontal_sum(sums));
    reference_sum += static_cast<double>(simd::horizontal_sum(reference_sums));
    difference += scale.in_logits(simd::horizontal_sum(differences));
    reference_difference += scale.in_logits(simd::horizontal_sum(reference_differences));
    below += scale.in_logits(simd::horizontal_sum(moments));
  }
};

}  // namespace detail

/// log sum exp(z / temperature) of the row @p z (V >= 1). NaN where a logit is NaN or +inf, or all are -inf.
/// @pre temperature > 0: any, also one whose inverse the row's type cannot hold.
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
    sums.add(zs.subvector(shifted, 1), detail::shifted_logit(ws[shifted], reference_shift));
    sums.add(zs.subvector(rest, zs.size() - rest), ws.subvector(rest, zs.size() - rest));
  }
  return sums.summary();
}

/// log p of the id @p v of the row @p z: at most 0, NaN as `summarize`.
template <vector_like Z>
double log_probability(const Z& z, index_t v, double temperature = 1) {
  const auto zs = as_vector(z);
  return summarize(zs, temperature).normalizer.log_probability(static_cast<double>(to_accumulator(zs[v])));
}

}  // namespace HONE_NAMESPACE::loss
