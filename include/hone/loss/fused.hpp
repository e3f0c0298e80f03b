// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// `summarize` and `row_gradient` in one visit of a row, for losses of p_y, the mass of a set S, the entropy, and a
/// distribution q that lives on S:
///   dL/dz = [ a (1_y - p) + b (p 1_S - M p) + c p (log p + H) + d (p - q) ] / temperature
/// The exponentials of the normalizer are kept, so that each element has one, not two.
#pragma once
#include "hone/loss/row.hpp"

namespace HONE_NAMESPACE::loss {

namespace detail {

/// Exponentials that are kept beside a row, on the stack: 128 KiB.
template <class A>
inline constexpr index_t kept_exponentials = (index_t{1} << 17) / index_t{sizeof(A)};

/// f of memory for @p n elements. Never inlined: the stack has the @p N only while f runs.
template <class A, index_t N, class F>
HONE_NOINLINE double with_memory(index_t n, const F& f) {
  alignas(64) A memory[static_cast<std::size_t>(N)];
  return f(vector_view<A>(memory, n));
}

/// A row's exponentials: e^((z - maximum) / temperature), their sum and, with Entropy, the sum of each times its z -
/// maximum.
struct exponential_sums {
  double maximum = 0, sum = 0, weighted = 0;
};

/// Writes the exponentials to @p out, which may be z. What lies after the row, as a matrix's next one does, is
/// prefetched: finding a row's maximum takes no time but the memory's.
template <bool Entropy, scalar T>
exponential_sums exponentials(const vector_view<T>& z, double temperature, const vector_view<accumulator_t<T>>& out) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  constexpr A none = -std::numeric_limits<A>::infinity();
  const A top = tile_max(z, 0, z.size());
  const exponents<A> scale(temperature, top);
  const index_t ahead = z.contiguous() ? z.size() * index_t{sizeof(T)} : 0;
  exponential_sums result{static_cast<double>(top)};
  for_each_tile(z.size(), [&](index_t begin, index_t end) HONE_INLINE_LAMBDA {
    packs sums(0), moments(0);
    for_each_pack<packs::lanes>(
        begin, end,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          simd::prefetch(&z[i], ahead);
          const packs x = scale.below(load_pack(z, i, bound, none));
          const packs e = scale.exponential(x);
          sums += e;
          if constexpr (Entropy) moments += select(e == packs(0), packs(0), x * e);
          store_pack(out, i, bound, e);
        },
        z, out);
    result.sum += static_cast<double>(simd::horizontal_sum(sums));
    if constexpr (Entropy) result.weighted += scale.in_logits(simd::horizontal_sum(moments));
  });
  return result;
}

}  // namespace detail

/// Reads the row @p z (V) and writes dL/dz over it: f(row_summary, log p_y) gives the terms in between. Returns log
/// p_y.
/// @param target  y, an id.
/// @param subset  S in ascending order, each id once; @param weights q on its members, of any sum, if there is a
///                forward_kl.
/// @param f       whose summary has the entropy only with @p Entropy; of its terms, entropy may be other than 0 only
///                with it, reverse_kl never. Not called for a row of absent ids (-inf) alone, whose gradient is 0 and
///                log p_y NaN. NaN and +inf make a row NaN.
/// @note Two reads, the second from a cache, and one write of z. One exponential an element: float and double keep them
///       in place, 16-bit rows and those with Entropy beside, up to 32,768 ids (double: 16,384; 128 KiB of the thread's
///       stack); longer ones compute a second, as `row_gradient`. Each element is rounded once. Allocates nothing. The
///       target and the members of S are computed in double from exponentials in the accumulator type, 1 - p_y without
///       cancellation.
template <bool Entropy = false, mutable_vector Z, class F>
double fused_gradient(Z&& z, double temperature, index_t target, std::span<const std::int32_t> subset, F&& f,
                      std::span<const double> weights = {}) {
  using T = element_t<Z>;
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  constexpr double none = -std::numeric_limits<double>::infinity();
  const auto zs = output_vector(z, "hone::loss::fused_gradient", "z");
  const auto logit_of = [&](index_t v) { return static_cast<double>(to_accumulator(zs[v])); };
  const double logit = logit_of(target);

  // p = unit exponential: of the mass of S the sum can be made while that of the whole row is not known yet.
  const auto write = [&](const row_summary& summary, double log_p, double rest, double unit, const auto& exponential,
                         const auto& dense) {
    double mass = 0, weight = 0;
    for (const std::int32_t v : subset) mass += exponential(v);
    mass *= unit;
    const row_terms terms = f(summary, log_p);
    for (const double q : weights) weight += q;
    // A division each would be a good part of a short row's time.
    const double inverse = (min)(1 / temperature, (std::numeric_limits<double>::max)());
    const double slope = terms.forward_kl == 0 ? 0 : terms.forward_kl / weight * inverse;
    double k = terms.forward_kl - terms.target - terms.subset * mass;
    if constexpr (Entropy) k += terms.entropy * summary.entropy;
    const double scale = unit * inverse, of_member = (k + terms.subset) * scale;
    const auto value = [&](index_t v, index_t member) {
      const double e = exponential(v);
      const auto of = [e](double factor) { return e == 0 ? 0 : e * factor; };
      double gradient = of(of_member);
      if (v == target)
        gradient = of((k + terms.target + (member >= 0 ? terms.subset : 0)) * scale) + terms.target * rest * inverse;
      if (member >= 0 && slope != 0) gradient -= slope * weights[static_cast<std::size_t>(member)];
      if constexpr (Entropy)
        if (e > 0) gradient += e * scale * terms.entropy * summary.normalizer.log_probability(logit_of(v));
      return gradient;
    };
    detail::walk_row(
        zs.size(), target, subset, value,
        [&](index_t begin, index_t end) { dense(begin, end, k * inverse, terms.entropy * inverse); },
        [&](index_t v, double x) { zs[v] = from_accumulator<T>(static_cast<A>(x)); });
    return log_p;
  };

  const auto by_exponentials = [&](const vector_view<A>& kept) {
    const detail::exponential_sums sums = detail::exponentials<Entropy>(zs, temperature, kept);
    if (sums.maximum == none) return detail::clear_absent(zs);
    row_summary summary;
    summary.normalizer = {sums.maximum, std::log(sums.sum), temperature};
    if constexpr (Entropy) summary.entropy = summary.normalizer.log_sum - sums.weighted / sums.sum / temperature;
    const double inverse_sum = 1 / sums.sum;
    const auto dense = [&](index_t begin, index_t end, double k0, double k1) {
      const detail::coefficients<A, 2> in_range({k0 * inverse_sum, k1 * inverse_sum});
      const packs factor(in_range.k[0]), slope(in_range.k[1]);
      const detail::exponents<A> scale(temperature, static_cast<A>(sums.maximum));
      const packs log_sum(static_cast<A>(summary.normalizer.log_sum));
      for_each_pack<packs::lanes>(
          begin, end,
          [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
            const packs e = load_pack(kept, i, bound);
            packs gradient = factor * e;
            if constexpr (Entropy) {
              const packs log_p = scale.logarithm(scale.below(load_pack(zs, i, bound))) - log_sum;
              gradient = select(e == packs(0), gradient, e * (factor + slope * log_p));  // log p = -inf there
            }
            store_pack(zs, i, bound, gradient);
          },
          zs, kept);
      in_range.restore(zs, begin, end);
    };
    return write(
        summary, summary.normalizer.log_probability(logit),
        (sums.sum - static_cast<double>(kept[target])) * inverse_sum, inverse_sum,
        [&](index_t v) { return static_cast<double>(kept[v]); }, dense);
  };

  if constexpr (std::is_same_v<T, A> && !Entropy) {
    return by_exponentials(zs);
  } else {
    constexpr index_t most = detail::kept_exponentials<A>;
    if (zs.size() <= most / 8) return detail::with_memory<A, most / 8>(zs.size(), by_exponentials);
    if (zs.size() <= most) return detail::with_memory<A, most>(zs.size(), by_exponentials);
    const row_summary summary = detail::summarize_row<Entropy>(zs, temperature);
    if (summary.normalizer.maximum == none) return detail::clear_absent(zs);
    const double log_p = summary.normalizer.log_probability(logit);
    const auto dense = [&](index_t begin, index_t end, double k0, double k1) {
      detail::dense_gradient<Entropy, false>(zs, zs, begin, end, temperature, summary, {k0, k1, 0, 0});
    };
    return write(
        summary, log_p, -std::expm1(log_p), 1.0,
        [&](index_t v) { return std::exp(summary.normalizer.log_probability(logit_of(v))); }, dense);
  }
}

}  // namespace HONE_NAMESPACE::loss
