// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The row kernel that every loss on logits is made of. For a row of logits z with p = softmax(z / temperature), a
/// target y, a set S of ids, M = sum_S p, entropy H = -sum p log p, and a reference row q = softmax(w / temperature):
///   dL/dz = [ a (1_y - p) + b (p 1_S - M p) + c p (log p + H) + d (p - q) + e p (log p - log q - KL(p||q)) ]
///           / temperature
/// which are the gradients of a log p_y, b M, -c H, d KL(q||p) and e KL(p||q). A loss only produces the coefficients.
/// The dense part is p (k0 + c log p + e u) + k3 q, where u = log p - log q - KL(p||q) is a difference of logits below
/// their maxima less its mean: 0 exactly where p has one id, at temperatures at which all three are large. A q that
/// lives on S alone (d's, in `fused_gradient`) leaves the dense part p (k0 + c log p).
#pragma once
#include "hone/core/output.hpp"
#include "hone/loss/row_summary.hpp"

namespace HONE_NAMESPACE::loss {

/// The label of a row that does not count (any negative one does).
inline constexpr std::int32_t ignored = -100;

/// The coefficients a, b, c, d, e.
struct row_terms {
  double target = 0;
  double subset = 0;
  double entropy = 0;
  double forward_kl = 0;
  double reverse_kl = 0;
};

namespace detail {

/// e^x, x <= 0, for a gradient that is stored as a @p T.
template <scalar T>
HONE_INLINE pack_of<T> exp_for(const pack_of<T>& x) {
  constexpr int degree = scalar_format<T> == format::bfloat16 ? 3 : scalar_format<T> == format::float16 ? 4 : 5;
  return simd::exp_softmax<degree>(x);
}

/// What a row of absent ids becomes: 0, and NaN stays. Returns its log p.
template <scalar T>
double clear_absent(const vector_view<T>& z) {
  for (index_t v = 0; v < z.size(); ++v)
    if (const accumulator_t<T> x = to_accumulator(z[v]); x == x) z[v] = from_accumulator<T>(0);
  return std::numeric_limits<double>::quiet_NaN();
}

/// The coefficients of a loop as accumulators. Those of small temperatures and large scales, which are out of the
/// type's range, are divided by @c excess, and `restore` multiplies by it what was written: 0 remains 0, and is not
/// NaN, even if @c excess is infinite.
template <class A, std::size_t N>
struct coefficients {
  double excess = 1;
  A k[N];

  explicit coefficients(const double (&values)[N]) {
    constexpr double most = static_cast<double>((std::numeric_limits<A>::max)()) / (1 << 28);
    for (const double x : values) excess = (max)(excess, std::abs(x) / most);
    for (std::size_t i = 0; i < N; ++i)
      k[i] = static_cast<A>(std::isinf(values[i]) ? std::copysign(1.0, values[i]) : values[i] / excess);
  }
  template <scalar T>
  void restore(const vector_view<T>& z, index_t begin, index_t end) const {
    if (excess == 1) return;
    for (; begin < end; ++begin)
      if (const auto x = static_cast<double>(to_accumulator(z[begin])); x != 0)
        z[begin] = from_accumulator<T>(static_cast<A>(x * excess));
  }
};

/// p (k[0] + k[1] log p + k[2] u temperature) + k[3] q over [begin, end), in place.
template <bool Logarithms, bool Reference, scalar T, scalar R>
void dense_gradient(const vector_view<T>& z, const vector_view<R>& w, index_t begin, index_t end, double temperature,
                    const row_summary& summary, const double (&k)[4]) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  const exponents<A> scale(temperature, static_cast<A>(summary.normalizer.maximum), Reference ? 2 : 1);
  const exponents<A> reference_scale(temperature, static_cast<A>(summary.reference.maximum), 2);
  const packs mean(k[2] == 0 ? A{0} : scale.in_steps(summary.difference));
  const packs log_sum(static_cast<A>(summary.normalizer.log_sum));
  const packs reference_log_sum(static_cast<A>(summary.reference.log_sum));
  // u and its coefficient in units in which both are in range.
  const double step = scale.in_logits(1), unit = temperature > 1 ? temperature : step;
  const packs steps(static_cast<A>(step / unit));
  const coefficients<A, 4> in_range({k[0], k[1], unit * k[2], k[3]});
  const packs k0(in_range.k[0]), k1(in_range.k[1]), k2(in_range.k[2]), k3(in_range.k[3]);
  const auto gradient = [&](const packs& x, const packs& y) HONE_INLINE_LAMBDA {
    const packs below = scale.below(x), log_p = scale.logarithm(below) - log_sum;
    const packs p = exp_for<T>(log_p);
    packs factor = k0;
    if constexpr (Logarithms) factor += k1 * log_p;
    packs result = p * factor;
    if constexpr (Reference) {
      const packs reference_below = reference_scale.below(y);
      if constexpr (Logarithms) {
        // Finite where the reference excludes an id: k2 may be 0. Times p first, as u may be large.
        constexpr A most = (std::numeric_limits<A>::max)();
        result += k2 * (p * (steps * (simd::min)(packs(most), below - reference_below - mean)));
      }
      const packs rest = k3 * exp_for<T>(reference_scale.logarithm(reference_below) - reference_log_sum);
      if constexpr (Logarithms) result = select(p == packs(0), packs(0), result);
      return result + rest;
    }
    if constexpr (Logarithms) result = select(p == packs(0), packs(0), result);
    return result;
  };
  if constexpr (Reference) {
    for_each_pack<packs::lanes>(
        begin, end,
        [&](index_t i, auto bound)
            HONE_INLINE_LAMBDA { store_pack(z, i, bound, gradient(load_pack(z, i, bound), load_pack(w, i, bound))); },
        z, w);
  } else {
    index_t done = begin;
    if constexpr (simd::has_words<T>) {
      using words = simd::words<T>;
      if (z.contiguous())
        for (; end - done >= words::count; done += words::count) {
          const words x = words::load(z.data() + done);
          words::join(gradient(x.even(), packs(0)), gradient(x.odd(), packs(0))).store(z.data() + done);
        }
    }
    for_each_pack<packs::lanes>(
        done, end,
        [&](index_t i, auto bound)
            HONE_INLINE_LAMBDA { store_pack(z, i, bound, gradient(load_pack(z, i, bound), packs(0))); },
        z);
  }
  in_range.restore(z, begin, end);
}

/// A row in runs: dense(begin, end) over all of it, then write(v, x) over that for the target (if it is an id) and the
/// members of @p subset, x = value(v, number in the subset or -1) from before. Dense runs end after packs, not at each
/// of these ids.
template <class Value, class Dense, class Write>
HONE_INLINE void walk_row(index_t n, index_t target, std::span<const std::int32_t> subset, Value&& value, Dense&& dense,
                          Write&& write) {
  constexpr std::size_t most = 32;
  index_t ids[most];
  double values[most];
  std::size_t next = 0;
  for (index_t done = 0; done < n;) {
    std::size_t count = 0;
    const auto take = [&](index_t v, index_t member) {
      ids[count] = v;
      values[count++] = value(v, member);
    };
    bool is_member = false;
    for (; next < subset.size() && count + 1 < most; ++next) {
      is_member |= subset[next] == target;
      take(subset[next], static_cast<index_t>(next));
    }
    const index_t end = next == subset.size() ? n : ids[count - 1] + 1;
    // Where the target lies among the members nothing asks: a branch on that is guessed wrong.
    if (done <= target && target < end && !is_member) take(target, -1);
    dense(done, end);
    for (std::size_t i = 0; i < count; ++i) write(ids[i], values[i]);
    done = end;
  }
}

}  // namespace detail

/// Writes dL/dz over the logits @p z (V).
/// @param summary   of this row, before; with entropy if terms.entropy != 0, from two rows if a divergence has weight.
/// @param target    y, or a negative number if terms.target = 0 and nothing is shifted
/// @param subset    S in ascending order, each id once
/// @param reference w (V), or any view if neither divergence has weight; its logit of y counts @p reference_shift more
/// An absent id, whose logit is -inf, gets 0 where it is not the target, and so does a row in which, or in whose
/// reference, all are; NaN and +inf make the row NaN.
/// @note One read and one write of z, one read of w if it is used, one exponential for each: for bfloat16 to 8e-5
///       of itself, for float16 to 3e-6, where rounding to them takes 2e-3 and 2e-4. The target and the members of S
///       are computed in double, 1 - p_y without cancellation.
template <mutable_vector Z, vector_like W>
void row_gradient(Z&& z, const row_summary& summary, const row_terms& terms, double temperature, index_t target,
                  std::span<const std::int32_t> subset, const W& reference, double reference_shift = 0) {
  using T = element_t<Z>;
  const auto zs = output_vector(z, "hone::loss::row_gradient", "z");
  const auto ws = as_vector(reference);
  const bool logarithms = terms.entropy != 0 || terms.reverse_kl != 0;
  const bool divergence = terms.forward_kl != 0 || terms.reverse_kl != 0;
  constexpr double none = -std::numeric_limits<double>::infinity();
  if (summary.normalizer.maximum == none || (divergence && summary.reference.maximum == none)) {
    detail::clear_absent(zs);
    return;
  }
  const auto log_p = [&](index_t v) {
    return summary.normalizer.log_probability(static_cast<double>(to_accumulator(zs[v])));
  };
  double mass = 0;
  for (const std::int32_t v : subset) mass += std::exp(log_p(v));
  double k[4] = {-terms.target - terms.subset * mass + terms.forward_kl, terms.entropy, terms.reverse_kl,
                 -terms.forward_kl};
  if (terms.entropy != 0) k[0] += terms.entropy * summary.entropy;

  double scaled[4];
  for (int i = 0; i < 4; ++i) scaled[i] = k[i] / temperature;
  scaled[2] /= temperature;
  const auto dense = [&](index_t begin, index_t end) {
    const auto run = [&]<bool L, bool R>() {
      detail::dense_gradient<L, R>(zs, ws, begin, end, temperature, summary, scaled);
    };
    if (divergence)
      logarithms ? run.template operator()<true, true>() : run.template operator()<false, true>();
    else
      logarithms ? run.template operator()<true, false>() : run.template operator()<false, false>();
  };
  const auto value = [&](index_t v, index_t member) {
    const double log_pv = log_p(v), p = std::exp(log_pv);
    double gradient = p * (k[0] + (v == target ? terms.target : 0) + (member >= 0 ? terms.subset : 0));
    if (v == target) gradient -= terms.target * std::expm1(log_pv);
    if (divergence) {
      const auto w = static_cast<double>(detail::shifted_logit(ws[v], v == target ? reference_shift : 0));
      if (k[2] != 0 && p > 0)
        gradient += p * k[2] / temperature *
                    ((static_cast<double>(to_accumulator(zs[v])) - summary.normalizer.maximum) -
                     (w - summary.reference.maximum) - summary.difference);
      gradient += k[3] * std::exp(summary.reference.log_probability(w));
    }
    if (k[1] != 0 && p > 0) gradient += p * k[1] * log_pv;
    return gradient / temperature;
  };
  detail::walk_row(zs.size(), target, subset, value, dense,
                   [&](index_t v, double x) { zs[v] = from_accumulator<T>(static_cast<accumulator_t<T>>(x)); });
}

/// As above without a reference.
template <mutable_vector Z>
void row_gradient(Z&& z, const row_summary& summary, const row_terms& terms, double temperature, index_t target,
                  std::span<const std::int32_t> subset = {}) {
  row_gradient(z, summary, terms, temperature, target, subset, z);
}

}  // namespace HONE_NAMESPACE::loss
