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

/// Where gradients and output are 16-bit elements, contiguous, and the rule does not ask for order: rule(even),
/// rule(odd) of `simd::words` from @p begin on, and the counts. Returns where the whole words end.
template <class T, std::size_t K, class Rule>
HONE_INLINE index_t apply_to_words(const Rule& rule, const std::array<vector_view<const T>, K>& g,
                                   const vector_view<T>& out, index_t begin, index_t end, double* counts) {
  using words = simd::words<T>;
  bool contiguous = out.contiguous();
  for (const auto& task : g) contiguous = contiguous && task.contiguous();
  if (!contiguous) return begin;
  using counter = simd::word_counter<T>;
  counter nonfinite[K + 1];
  for (; end - begin >= words::count; begin += words::count) {
    simd::pack<float> even[K], odd[K];
    typename counter::base absent[K];
    for (std::size_t a = 0; a < K; ++a) {
      const words x = words::load(g[a].data() + begin);
      absent[a] = counter::nonfinite(x);
      nonfinite[a].add(absent[a]);
      even[a] = x.even();
      odd[a] = x.odd();
    }
    const words combined = words::join(rule(even), rule(odd));
    auto overflown = counter::nonfinite(combined);
    for (const auto& truth : absent)
      for (std::size_t i = 0; i < counter::parts; ++i) overflown.part[i] &= ~truth.part[i];
    nonfinite[K].add(overflown);
    combined.store(out.data() + begin);
  }
  for (std::size_t a = 0; a <= K; ++a) counts[a] += static_cast<double>(nonfinite[a].total());
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
template <class Out, class A>
using stored_by = typename stored_type<Out, A>::type;

/// One block: elements are stored, or handed on, as they are combined, and what @p seen counts is added to @p partial.
template <class Observer, scalar T, std::size_t K, class Rule, class Out>
HONE_INLINE void pass_block(Rule& own, Observer seen, const task_gradients<T, K>& g, Out& out, index_t offset,
                            index_t begin, index_t end, double* partial) {
  using A = accumulator_t<T>;
  const auto run = [&](const auto& write, const auto&... target) HONE_INLINE_LAMBDA {
    for_each_task_pack(
        g.task, begin, end,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          simd::pack<A> x[K];
          for (std::size_t a = 0; a < K; ++a) x[a] = load_pack(g.task[a], i, bound);
          const simd::pack<A> combined = own(x);
          seen.see(x, combined);
          write(i, bound, combined);
        },
        target...);
  };
  if constexpr (vector_like<Out>) {
    const auto target = as_vector(out).subvector(offset, g.size());
    if constexpr (simd::has_words<T> && std::is_same_v<element_t<Out>, T> && Observer::counts_alone)
      begin = apply_to_words(own, g.task, target, begin, end, partial);
    run([&](index_t i, auto bound, const simd::pack<A>& combined)
            HONE_INLINE_LAMBDA { store_pack(target, i, bound, combined); },
        target);
  } else {
    alignas(64) A block[block_size];
    run([&](index_t i, auto, const simd::pack<A>& combined)
            HONE_INLINE_LAMBDA { simd::store(block + (i - begin), combined); });
    out(offset + begin, vector_view<const A>(block, end - begin));
  }
  seen.add_to(partial);
}

/// Adds to @p counts what is not finite of a block: elements of each task, then results of elements that are finite.
/// The combination @p finished has not been handed on yet; it is stored as a @p Stored.
template <scalar Stored, scalar T, std::size_t K, scalar Finished>
HONE_NOINLINE void count_nonfinite(const std::array<vector_view<const T>, K>& g, index_t begin, index_t end,
                                   const Finished* finished, double* counts) {
  for (index_t i = begin; i < end; ++i) {
    bool finite = true;
    for (std::size_t a = 0; a < K; ++a)
      if (!std::isfinite(to_accumulator(g[a][i]))) counts[a] += 1, finite = false;
    const auto stored = from_accumulator<Stored>(to_accumulator(finished[i - begin]));
    if (finite && !std::isfinite(to_accumulator(stored))) counts[K] += 1;
  }
}

/// What turns, in T's accumulator, every magnitude that is stored as an infinite T into infinity.
template <scalar T>
constexpr accumulator_t<T> overflow_scale() {
  return scalar_format<T> == format::bfloat16 ? 2 : scalar_format<T> == format::float16 ? 0x1p113f : 1;
}

/// One block of a rule that goes in order, which takes longer than memory does: finished first, then looked at, which
/// costs less than counting, then handed on. Until then the gradients are there, also where @p out is one. (Of a rule
/// that waits for memory the second pass takes up to the time of the first.)
template <scalar T, std::size_t K, class Rule, class Out>
HONE_INLINE void finish_block(Rule& own, const task_gradients<T, K>& g, Out& out, index_t offset, index_t begin,
                              index_t end, double* partial) {
  using A = accumulator_t<T>;
  using stored = stored_by<Out, A>;
  const simd::pack<A> zero(0);  // times what is not finite is NaN
  simd::pack<A> doubt = zero;
  alignas(64) A finished[block_size];
  for_each_task_pack(g.task, begin, end, [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
    simd::pack<A> x[K];
    for (std::size_t a = 0; a < K; ++a) x[a] = load_pack(g.task[a], i, bound);
    // Busy between packs: the processor's own prefetching does not get far enough.
    for (std::size_t a = 0; a < K; ++a) simd::prefetch(&g.task[a][i], drawn_ahead);
    const simd::pack<A> combined = own(x);
    simd::pack<A> sum = combined * simd::pack<A>(overflow_scale<stored>()) * zero;
    for (const auto& task : x) sum += task * zero;
    doubt += sum;
    simd::store(finished + (i - begin), combined);
  });
  if (simd::any_nan(doubt)) [[unlikely]]
    count_nonfinite<stored>(g.task, begin, end, finished, partial);
  const vector_view<const A> block(finished, end - begin);
  if constexpr (vector_like<Out>)
    copy(block, as_vector(out).subvector(offset + begin, end - begin));
  else
    out(offset + begin, block);
}

/// One pass: reads the gradients, writes or hands on rule(x), sums what the observer sees. @p offset is where the
/// slice begins in the whole vector, which only a sink needs to know.
template <bool Geometry, scalar T, std::size_t K, class Rule, class Out>
combine_report<K> apply(const Rule& rule, const task_gradients<T, K>& g, Out& out, index_t offset,
                        executor_reference pool) {
  using A = accumulator_t<T>;
  using observed = observer<A, stored_by<Out, A>, K, Geometry>;
  double sums[observed::terms];
  blocked_sum<observed::terms>(
      g.size(), sums,
      [&](index_t begin, index_t end, double* partial) {
        auto own = rule_of_block(rule, begin);
        if constexpr (in_order<Rule> && !Geometry)
          finish_block(own, g, out, offset, begin, end, partial);
        else
          pass_block(own, observed(), g, out, offset, begin, end, partial);
      },
      pool);
  return observed::report(g.size(), sums);
}

}  // namespace HONE_NAMESPACE::gradient::detail
