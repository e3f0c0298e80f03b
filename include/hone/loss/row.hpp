// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The row kernel that every loss on logits is made of. For a row of logits z with p = softmax(z / temperature), a
/// target y, a set S of ids, M = sum_S p, entropy H = -sum p log p, and a reference row q = softmax(w / temperature):
///   dL/dz = [ a (1_y - p) + b (p 1_S - M p) + c p (log p + H) + d (p - q) + e p (log p - log q - KL(p||q)) ]
///           / temperature
/// which are the gradients of a log p_y, b M, -c H, d KL(q||p) and e KL(p||q). A loss only produces the coefficients.
/// The dense part is p (k0 + k1 log p + k2 log q) + k3 q, with four numbers for all five terms.
#pragma once
#include <cmath>
#include <span>

#include "hone/core/packs.hpp"
#include "hone/core/simd_math.hpp"

namespace hone::loss {

/// The label of a row that does not count (any negative one does).
inline constexpr std::int32_t ignored = -100;

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

/// The coefficients a, b, c, d, e.
struct row_terms {
  double target = 0;
  double subset = 0;
  double entropy = 0;
  double forward_kl = 0;
  double reverse_kl = 0;
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
  using packs = pack_of<std::remove_const_t<T>>;
  constexpr accumulator_t<T> none = -std::numeric_limits<accumulator_t<T>>::infinity();
  packs largest(none);
  for_each_pack<packs::lanes>(
      begin, end,
      [&](index_t i, auto bound) HONE_INLINE_LAMBDA { largest = (simd::max)(load_pack(z, i, bound, none), largest); },
      z);
  return simd::horizontal_max(largest);
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

template <bool Entropy, scalar T>
row_summary summarize_row(const vector_view<T>& z, double temperature) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  constexpr A none = -std::numeric_limits<A>::infinity();
  const packs scale(static_cast<A>(1 / temperature));
  running_max top;
  double sum = 0, weighted = 0;  // sum of e^(z - top), and of (z - top) e^(z - top)
  for_each_tile(z.size(), [&](index_t begin, index_t end) HONE_INLINE_LAMBDA {
    const double old = top.value;
    const double factor = top.raise(static_cast<double>(tile_max(z, begin, end) * static_cast<A>(1 / temperature)));
    if constexpr (Entropy)
      if (factor != 1) weighted = sum == 0 ? 0 : factor * (weighted + (old - top.value) * sum);
    sum *= factor;
    const packs shift(static_cast<A>(top.value));
    packs sums(0), moments(0);
    for_each_pack<packs::lanes>(
        begin, end,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs x = load_pack(z, i, bound, none) * scale - shift;
          const packs e = simd::exp_nonpositive(x);
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

/// The sums over two rows behind both divergences; `add` takes the rows in pieces.
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
            const packs p = simd::exp_nonpositive(x - z_top), q = simd::exp_nonpositive(y - w_top);
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

/// p (k[0] + k[1] log p + k[2] log q) + k[3] q over [begin, end), in place.
template <bool Logarithms, bool Reference, scalar T, scalar R>
void dense_gradient(const vector_view<T>& z, const vector_view<R>& w, index_t begin, index_t end, double temperature,
                    const row_summary& summary, const double (&k)[4]) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  const packs scale(static_cast<A>(1 / temperature));
  const packs top(static_cast<A>(summary.normalizer.maximum)), log_sum(static_cast<A>(summary.normalizer.log_sum));
  const packs reference_top(static_cast<A>(summary.reference.maximum));
  const packs reference_log_sum(static_cast<A>(summary.reference.log_sum));
  const packs k0(static_cast<A>(k[0])), k1(static_cast<A>(k[1])), k2(static_cast<A>(k[2])), k3(static_cast<A>(k[3]));
  const auto body = [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
    const packs log_p = load_pack(z, i, bound) * scale - top - log_sum;
    const packs p = simd::exp_nonpositive(log_p);
    packs factor = k0, rest(0);
    if constexpr (Logarithms) factor += k1 * log_p;
    if constexpr (Reference) {
      const packs log_q = load_pack(w, i, bound) * scale - reference_top - reference_log_sum;
      if constexpr (Logarithms) factor += k2 * log_q;
      rest = k3 * simd::exp_nonpositive(log_q);
    }
    packs result = p * factor;
    if constexpr (Logarithms) result = select(p == packs(0), packs(0), result);
    if constexpr (Reference) result += rest;
    store_pack(z, i, bound, result);
  };
  if constexpr (Reference)
    for_each_pack<packs::lanes>(begin, end, body, z, w);
  else
    for_each_pack<packs::lanes>(begin, end, body, z);
}

/// out <- e^(z / temperature - maximum), and the normalizer; @p out may be z.
template <scalar T>
log_normalizer exponentials(const vector_view<T>& z, double temperature, const vector_view<accumulator_t<T>>& out) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  constexpr A none = -std::numeric_limits<A>::infinity();
  const A inverse = static_cast<A>(1 / temperature);
  const packs scale(inverse), top(tile_max(z, 0, z.size()) * inverse);
  double sum = 0;
  for_each_tile(z.size(), [&](index_t begin, index_t end) HONE_INLINE_LAMBDA {
    packs sums(0);
    for_each_pack<packs::lanes>(
        begin, end,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs e = simd::exp_nonpositive(load_pack(z, i, bound, none) * scale - top);
          sums += e;
          store_pack(out, i, bound, e);
        },
        z, out);
    sum += static_cast<double>(simd::horizontal_sum(sums));
  });
  return {static_cast<double>(top.lane(0)), std::log(sum)};
}

/// Walks a row in order: dense(begin, end) for the runs between the target (if it is an id) and the members of @p subset,
/// single(v, is a member) for those.
template <class Dense, class Single>
HONE_INLINE void walk_row(index_t n, index_t target, std::span<const std::int32_t> subset, Dense&& dense,
                          Single&& single) {
  index_t done = 0;
  const auto stop_at = [&](index_t v, bool member) {
    if (v > done) dense(done, v);
    single(v, member);
    done = v + 1;
  };
  for (const std::int32_t v : subset) {
    if (done <= target && target < v) stop_at(target, false);
    stop_at(v, true);
  }
  if (done <= target) stop_at(target, false);
  if (n > done) dense(done, n);
}

/// Exponentials of a 16-bit row that are kept beside it.
inline constexpr index_t kept_exponentials = 8192;

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
    const index_t behind = shifted + 1;
    sums.add(zs.subvector(0, shifted), ws.subvector(0, shifted));
    sums.add(zs.subvector(shifted, 1), ws.subvector(shifted, 1), reference_shift);
    sums.add(zs.subvector(behind, zs.size() - behind), ws.subvector(behind, zs.size() - behind));
  }
  return sums.summary();
}

/// Writes dL/dz over the logits @p z (V).
/// @param summary   of this row, before; with entropy if terms.entropy != 0, from two rows if a divergence has weight.
/// @param target    y, or a negative number if terms.target = 0 and nothing is shifted
/// @param subset    S in ascending order, each id once
/// @param reference w (V), or any view if neither divergence has weight; its logit of y counts @p reference_shift more
/// @note One read and one write of z, one read of w if it is used, one exponential for each. The target and the members
///       of S are computed in double, 1 - p_y without cancellation.
template <mutable_vector Z, vector_like W>
void row_gradient(Z&& z, const row_summary& summary, const row_terms& terms, double temperature, index_t target,
                  std::span<const std::int32_t> subset, const W& reference, double reference_shift = 0) {
  using T = element_t<Z>;
  const auto zs = as_vector(z);
  const auto ws = as_vector(reference);
  const bool logarithms = terms.entropy != 0 || terms.reverse_kl != 0;
  const bool divergence = terms.forward_kl != 0 || terms.reverse_kl != 0;
  const auto log_p = [&](index_t v) {
    return summary.normalizer.log_probability(static_cast<double>(to_accumulator(zs[v])) / temperature);
  };
  double mass = 0;
  for (const std::int32_t v : subset) mass += std::exp(log_p(v));
  double k[4] = {-terms.target - terms.subset * mass + terms.forward_kl, terms.entropy + terms.reverse_kl,
                 -terms.reverse_kl, -terms.forward_kl};
  if (terms.entropy != 0) k[0] += terms.entropy * summary.entropy;
  if (terms.reverse_kl != 0) k[0] -= terms.reverse_kl * summary.reverse_kl;

  double scaled[4];
  for (int i = 0; i < 4; ++i) scaled[i] = k[i] / temperature;
  const auto dense = [&](index_t begin, index_t end) {
    const auto run = [&]<bool L, bool R>() {
      detail::dense_gradient<L, R>(zs, ws, begin, end, temperature, summary, scaled);
    };
    if (divergence)
      logarithms ? run.template operator()<true, true>() : run.template operator()<false, true>();
    else
      logarithms ? run.template operator()<true, false>() : run.template operator()<false, false>();
  };
  const auto single = [&](index_t v, bool in_subset) {
    const double log_pv = log_p(v), p = std::exp(log_pv);
    double gradient = p * (k[0] + (v == target ? terms.target : 0) + (in_subset ? terms.subset : 0));
    if (v == target) gradient -= terms.target * std::expm1(log_pv);
    if (divergence) {
      const double w = static_cast<double>(to_accumulator(ws[v])) + (v == target ? reference_shift : 0);
      const double log_q = summary.reference.log_probability(w / temperature);
      if (k[2] != 0 && p > 0) gradient += p * k[2] * log_q;
      gradient += k[3] * std::exp(log_q);
    }
    if (k[1] != 0 && p > 0) gradient += p * k[1] * log_pv;
    zs[v] = from_accumulator<T>(static_cast<accumulator_t<T>>(gradient / temperature));
  };
  detail::walk_row(zs.size(), target, subset, dense, single);
}

/// As above without a reference.
template <mutable_vector Z>
void row_gradient(Z&& z, const row_summary& summary, const row_terms& terms, double temperature, index_t target,
                  std::span<const std::int32_t> subset = {}) {
  row_gradient(z, summary, terms, temperature, target, subset, as_vector(z));
}

/// `summarize` and `row_gradient` in one, with one exponential an element, for losses of p_y and the mass of S:
/// f(log_normalizer, log p_y) gives the terms, of which only target and subset may be other than 0. Returns log p_y.
/// @note Two reads, the second from a cache, and one write of z; allocates nothing. The members of S are computed from
///       exponentials in the accumulator type.
template <mutable_vector Z, class F>
double likelihood_gradient(Z&& z, double temperature, index_t target, std::span<const std::int32_t> subset, F&& f) {
  using T = element_t<Z>;
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  const auto zs = as_vector(z);
  const double logit = static_cast<double>(to_accumulator(zs[target])) / temperature;
  const auto by_exponentials = [&](const vector_view<A>& kept) {
    const log_normalizer normalizer = detail::exponentials(zs, temperature, kept);
    const double log_p = normalizer.log_probability(logit), inverse_sum = std::exp(-normalizer.log_sum);
    const row_terms terms = f(normalizer, log_p);
    double mass = 0;
    for (const std::int32_t v : subset) mass += static_cast<double>(kept[v]) * inverse_sum;
    const double k = -terms.target - terms.subset * mass;
    const packs factor(static_cast<A>(k * inverse_sum / temperature));
    const auto dense = [&](index_t begin, index_t end) {
      for_each_pack<packs::lanes>(
          begin, end,
          [&](index_t i, auto bound) HONE_INLINE_LAMBDA { store_pack(zs, i, bound, factor * load_pack(kept, i, bound)); },
          zs, kept);
    };
    const auto single = [&](index_t v, bool in_subset) {
      const double p = static_cast<double>(kept[v]) * inverse_sum;
      double gradient = p * (k + (v == target ? terms.target : 0) + (in_subset ? terms.subset : 0));
      if (v == target) gradient -= terms.target * std::expm1(log_p);
      zs[v] = from_accumulator<T>(static_cast<A>(gradient / temperature));
    };
    detail::walk_row(zs.size(), target, subset, dense, single);
    return log_p;
  };
  if constexpr (std::is_same_v<T, A>) {
    return by_exponentials(zs);
  } else {
    if (zs.size() <= detail::kept_exponentials) {
      alignas(64) A kept[detail::kept_exponentials];
      return by_exponentials({kept, zs.size()});
    }
    const row_summary summary = summarize(zs, temperature);
    const double log_p = summary.normalizer.log_probability(logit);
    row_gradient(zs, summary, f(summary.normalizer, log_p), temperature, target, subset);
    return log_p;
  }
}

}  // namespace hone::loss
