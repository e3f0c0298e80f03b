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

/// Counts what is not finite while it passes.
template <class A, scalar Stored, std::size_t K>
class passing_counts {
 public:
  HONE_INLINE void see(const simd::pack<A> (&x)[K], const simd::pack<A>& combined) {
    using counter = simd::counter<A>;
    typename counter::base overflown = counter::reaching(combined, overflow_bits<Stored>());
    for (std::size_t a = 0; a < K; ++a) {
      const auto flags = counter::reaching(x[a], overflow_bits<A>());
      count_[a].add(flags);
      for (std::size_t i = 0; i < counter::parts; ++i) overflown.part[i] &= ~flags.part[i];
    }
    count_[K].add(overflown);
  }
  HONE_INLINE void add_to(double* sums) const {
    for (const auto& c : count_) *sums++ += static_cast<double>(c.total());
  }

 private:
  simd::counter<A> count_[K + 1];
};

/// One block of a rule that waits for memory: elements are stored, or handed on, as they are combined.
template <scalar T, std::size_t K, class Rule, class Out>
HONE_INLINE void pass_block(const Rule& own, const task_gradients<T, K>& g, Out& out, index_t offset, index_t begin,
                            index_t end, double* partial) {
  using A = accumulator_t<T>;
  passing_counts<A, stored_by<Out, A>, K> seen;
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
    if constexpr (simd::has_words<T> && std::is_same_v<element_t<Out>, T>)
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
        if constexpr (!Geometry && !in_order<Rule>) {
          pass_block(own, g, out, offset, begin, end, partial);
        } else {
          // Where arithmetic takes the time: finished first, then looked at, which costs less than counting, then
          // handed on. Until then the gradients are there, also where out is one.
          observed seen;
          alignas(64) A finished[block_size];
          for_each_task_pack(g.task, begin, end, [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
            simd::pack<A> x[K];
            for (std::size_t a = 0; a < K; ++a) x[a] = load_pack(g.task[a], i, bound);
            // Busy between packs: the processor's own prefetching does not get far enough.
            if constexpr (in_order<Rule>)
              for (std::size_t a = 0; a < K; ++a) simd::prefetch(&g.task[a][i], drawn_ahead);
            const simd::pack<A> combined = own(x);
            seen.see(x, combined);
            simd::store(finished + (i - begin), combined);
          });
          if (!seen.finite()) [[unlikely]]
            count_nonfinite<stored_by<Out, A>>(g.task, begin, end, finished, partial);
          const vector_view<const A> block(finished, end - begin);
          if constexpr (vector_like<Out>)
            copy(block, as_vector(out).subvector(offset + begin, end - begin));
          else
            out(offset + begin, block);
          seen.add_to(partial);
        }
      },
      pool);
  return observed::report(g.size(), sums);
}

}  // namespace HONE_NAMESPACE::gradient::detail
