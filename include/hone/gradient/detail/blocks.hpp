// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A rule applied to task gradients block by block: elements read, combined, looked at, handed on.
#pragma once
#include "hone/gradient/report.hpp"

namespace HONE_NAMESPACE::gradient::detail {

/// How many bytes after the elements combined by such a rule lie those prefetched meanwhile.
inline constexpr index_t drawn_ahead = 2 << 10;

/// Whether a rule goes through the elements in order.
template <class Rule>
concept in_order = requires(const Rule& rule, index_t begin) { rule.start(begin); };

/// The rule for the block that begins at @p begin. A copy: stores to the output cannot alias it, so its values stay in
/// registers.
template <class Rule>
HONE_INLINE auto rule_of_block(const Rule& rule, [[maybe_unused]] index_t begin) {
  if constexpr (in_order<Rule>)
    return rule.start(begin);
  else
    return rule;
}

/// What turns, in T's accumulator, every magnitude that is stored as an infinite T into infinity.
template <scalar T>
constexpr accumulator_t<T> overflow_scale() {
  return scalar_format<T> == format::bfloat16 ? 2 : scalar_format<T> == format::float16 ? 0x1p113f : 1;
}

/// Not finite in the lanes where an element of @p x, or @p combined stored as a @p Stored, is not; nor where they are
/// so large that their sum is not. Costs less than counting.
template <scalar Stored, class A, std::size_t K>
HONE_INLINE simd::pack<A> doubt(const simd::pack<A> (&x)[K], const simd::pack<A>& combined) {
  simd::pack<A> sum = combined * simd::pack<A>(overflow_scale<Stored>());
  for (const auto& task : x) sum += task;
  return sum;
}

/// Adds to @p counts what is not finite of elements [begin, end): those of each task, then results of elements that are
/// finite. @p combined, which may be about to be written over a task, is stored as a @p Stored.
template <scalar Stored, scalar T, std::size_t K, scalar Combined>
HONE_NOINLINE void count_nonfinite(const std::array<vector_view<const T>, K>& g, index_t begin, index_t end,
                                   const Combined* combined, double* counts) {
  for (index_t i = begin; i < end; ++i) {
    bool finite = true;
    for (std::size_t a = 0; a < K; ++a)
      if (!std::isfinite(to_accumulator(g[a][i]))) counts[a] += 1, finite = false;
    const auto stored = from_accumulator<Stored>(to_accumulator(combined[i - begin]));
    if (finite && !std::isfinite(to_accumulator(stored))) counts[K] += 1;
  }
}

/// Whether all lie element after element.
template <class T, std::size_t K>
bool all_contiguous(const std::array<vector_view<const T>, K>& g, const vector_view<T>& out) {
  bool contiguous = out.contiguous();
  for (const auto& task : g) contiguous = contiguous && task.contiguous();
  return contiguous;
}

/// rule(even), rule(odd) of `simd::words` of contiguous 16-bit elements from @p begin on, as long as all of them are
/// finite and so are the results. Returns where that ends, or the whole words.
template <class T, std::size_t K, class Rule>
HONE_INLINE index_t apply_to_words(const Rule& rule, const std::array<vector_view<const T>, K>& g,
                                   const vector_view<T>& out, index_t begin, index_t end) {
  using words = simd::words<T>;
  const T* from[K];
  for (std::size_t a = 0; a < K; ++a) from[a] = g[a].data();
  T* const to = out.data();
  for (; end - begin >= words::count; begin += words::count) {
    words seen[K + 1];
    simd::pack<float> even[K], odd[K];
    for (std::size_t a = 0; a < K; ++a) {
      seen[a] = words::load(from[a] + begin);
      even[a] = seen[a].even();
      odd[a] = seen[a].odd();
    }
    seen[K] = words::join_numbers(rule(even), rule(odd));
    if (!simd::all_finite(seen)) [[unlikely]]
      break;
    seen[K].store(to + begin);
  }
  return begin;
}

/// What a finished element is stored as.
template <class Out, class A>
struct stored_type {
  using type = A;
};
template <vector_like Out, class A>
struct stored_type<Out, A> {
  using type = element_t<Out>;
};

/// One block: elements are stored, or handed on, as they are combined; what is not finite, and what @p seen sums, is
/// added to @p partial.
template <class Observer, class Rule, scalar T, std::size_t K, class Out>
HONE_INLINE void apply_to_block(const Rule& rule, const task_gradients<T, K>& g, Out& out, index_t offset,
                                index_t begin, index_t end, double* partial) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  using stored = typename stored_type<Out, A>::type;
  auto own = rule_of_block(rule, begin);
  Observer seen;
  const auto run = [&](index_t first, index_t last, const auto& write, const auto&... target) HONE_INLINE_LAMBDA {
    for_each_task_pack(
        g.task, first, last,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          packs x[K];
          for (std::size_t a = 0; a < K; ++a) x[a] = load_pack(g.task[a], i, bound);
          if constexpr (in_order<Rule>)  // busy between packs: the processor's own prefetching does not get far enough
            for (std::size_t a = 0; a < K; ++a) simd::prefetch(&g.task[a][i], drawn_ahead);
          const packs combined = own(x);
          if (!simd::surely_finite(doubt<stored>(x, combined))) [[unlikely]] {
            A values[packs::lanes];
            simd::store(values, combined);
            count_nonfinite<stored>(g.task, i, (min)(i + packs::lanes, last), values, partial);
          }
          seen.see(x, combined);
          write(i, bound, combined);
        },
        target...);
  };
  if constexpr (vector_like<Out>) {
    const auto target = as_vector(out).subvector(offset, g.size());
    constexpr bool by_words =
        simd::has_words<T> && std::is_same_v<stored, T> && Observer::terms == 0 && !in_order<Rule>;
    do {
      index_t last = end;
      if constexpr (by_words)
        if (all_contiguous(g.task, target)) {
          begin = apply_to_words(own, g.task, target, begin, end);
          last = (min)(begin + simd::words<T>::count, end);
        }
      run(
          begin, last,
          [&](index_t i, auto bound, const packs& combined)
              HONE_INLINE_LAMBDA { store_pack(target, i, bound, combined); },
          target);
      begin = last;
    } while (begin < end);
  } else {
    alignas(64) A block[block_size];
    run(begin, end,
        [&](index_t i, auto, const packs& combined) HONE_INLINE_LAMBDA { simd::store(block + (i - begin), combined); });
    out(offset + begin, vector_view<const A>(block, end - begin));
  }
  seen.add_to(partial + K + 1);
}

/// One pass: reads the gradients, writes or hands on rule(x), sums what the observer sees. @p offset is where the
/// slice begins in the whole vector, which only a sink needs to know.
template <bool Geometry, scalar T, std::size_t K, class Rule, class Out>
combine_report<K> apply(const Rule& rule, const task_gradients<T, K>& g, Out& out, index_t offset,
                        executor_reference pool) {
  using observed = observer<accumulator_t<T>, K, Geometry>;
  constexpr std::size_t counts = K + 1, terms = counts + observed::terms;
  double sums[terms];
  blocked_sum<terms>(
      g.size(), sums,
      [&](index_t begin, index_t end, double* partial) {
        apply_to_block<observed>(rule, g, out, offset, begin, end, partial);
      },
      pool);
  combine_report<K> report = observed::report(sums + counts);
  report.elements = g.size();
  for (std::size_t a = 0; a < K; ++a) report.nonfinite[a] = static_cast<index_t>(sums[a]);
  report.nonfinite_combined = static_cast<index_t>(sums[K]);
  return report;
}

}  // namespace HONE_NAMESPACE::gradient::detail
