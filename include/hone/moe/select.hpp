// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The best of many scores, as sets with one order: the higher score, then the lower index; -0 equals +0, and NaN ranks
/// below -inf. No sort: the least score that is taken is found by counting what reaches a guess, between guesses that
/// too many and too few reach; of long columns a sample says where to look.
#pragma once
#include "hone/core/packs.hpp"

#include <cmath>
#include <cstdint>

namespace HONE_NAMESPACE::moe {

namespace detail {

template <class A>
using score_key = std::conditional_t<sizeof(A) == 4, std::int32_t, std::int64_t>;

/// Numbers in the order of the scores that have these bits.
template <class A>
score_key<A> key_of(A x) {
  score_key<A> bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits ^ ((bits >> (8 * sizeof(A) - 1)) & (std::numeric_limits<score_key<A>>::max)());
}
template <class A>
A score_of(score_key<A> key) {
  key ^= (key >> (8 * sizeof(A) - 1)) & (std::numeric_limits<score_key<A>>::max)();
  A x;
  std::memcpy(&x, &key, sizeof x);
  return x;
}

/// f(pack, i) for all of x (n); lanes past the end are NaN, which no comparison takes.
template <class A, class F>
HONE_INLINE void for_each_score_pack(const A* x, index_t n, F&& f) {
  constexpr index_t lanes = simd::pack<A>::lanes;
  index_t i = 0;
  for (; n - i >= lanes; i += lanes) f(simd::load<A>(x + i), i);
  if (i < n) f(simd::load<A>(x + i, n - i, std::numeric_limits<A>::quiet_NaN()), i);
}

/// Writes first + i for every bit i of @p bits (lanes of them), ascending, and returns where they end: four at a time
/// and what lies after them, three elements at most, so that nothing is branched on.
template <class A>
HONE_INLINE std::int32_t* append(std::uint32_t bits, index_t first, std::int32_t* out) {
  struct four {
    std::int32_t at[4], count;
  };
  static constexpr four lanes_of[16] = {{{}, 0},     {{0}, 1},       {{1}, 1},       {{0, 1}, 2},
                                        {{2}, 1},    {{0, 2}, 2},    {{1, 2}, 2},    {{0, 1, 2}, 3},
                                        {{3}, 1},    {{0, 3}, 2},    {{1, 3}, 2},    {{0, 1, 3}, 3},
                                        {{2, 3}, 2}, {{0, 2, 3}, 3}, {{1, 2, 3}, 3}, {{0, 1, 2, 3}, 4}};
  for (int lane = 0; lane < simd::pack<A>::lanes; lane += 4, bits >>= 4) {
    const four& from = lanes_of[bits & 15];
    for (int i = 0; i < 4; ++i) out[i] = from.at[i] + static_cast<std::int32_t>(first) + lane;
    out += from.count;
  }
  return out;
}

template <class A>
index_t count_at_least(const A* x, index_t n, A least) {
  simd::counter<A> reached;
  const simd::pack<A> bound(least);
  for_each_score_pack(x, n, [&](const simd::pack<A>& v, index_t) HONE_INLINE_LAMBDA { reached.add(v >= bound); });
  return reached.total();
}

/// What is above -inf, and how many are.
template <class A>
struct score_range {
  A least, most;
  index_t usable;
};
template <class A>
score_range<A> range_of(const A* x, index_t n) {
  using packs = simd::pack<A>;
  const packs infinity(std::numeric_limits<A>::infinity());
  simd::counter<A> above;
  packs least = infinity, most = -infinity;
  for_each_score_pack(x, n, [&](const packs& v, index_t) HONE_INLINE_LAMBDA {
    const auto usable = v > -infinity;
    above.add(usable);
    least = (simd::min)(simd::select(usable, v, infinity), least);
    most = (simd::max)(v, most);
  });
  return {-simd::horizontal_max(-least), simd::horizontal_max(most), above.total()};
}

/// Which scores are taken: those above the bound, and of those equal to it the first.
inline constexpr index_t all_ties = (std::numeric_limits<index_t>::max)();
template <class A>
struct cutoff {
  A bound;
  index_t ties;
};

/// The cutoff of the best @p count. @pre 0 < count < range.usable.
template <class A>
cutoff<A> find_cutoff(const A* x, index_t n, index_t count, const score_range<A>& range) {
  A low = range.least, high = score_of<A>(key_of(range.most) + 1);  // more than count reach low, fewer high
  index_t reaching_low = range.usable, reaching_high = 0;
  for (int guess = 0;; ++guess) {
    // Where the share of those between says; then in the middle; then in the middle of the numbers that there are,
    // which ends.
    A middle = low + (high - low) / 2;
    if (guess < 8)
      middle =
          low + (high - low) * (static_cast<A>(reaching_low - count) / static_cast<A>(reaching_low - reaching_high));
    if (guess >= 16 || !(middle > low && middle < high)) {
      const auto a = key_of(low), b = key_of(high);
      const auto between = static_cast<score_key<A>>((a & b) + ((a ^ b) >> 1));
      if (between == a) return {low, count - reaching_high};
      middle = score_of<A>(between);
    }
    const index_t reached = count_at_least(x, n, middle);
    if (reached == count) return {middle, all_ties};
    if (reached > count)
      low = middle, reaching_low = reached;
    else
      high = middle, reaching_high = reached;
  }
}

/// The same from the few scores near where a sample has it; none where the sample misleads.
template <class A>
bool find_cutoff_near(const A* x, index_t n, index_t count, cutoff<A>& found) {
  constexpr index_t sampled = 256, most = 1024;
  if (n < 4 * sampled) return false;
  alignas(64) A sample[sampled];
  for (index_t i = 0; i < sampled; ++i) sample[i] = x[i * (n / sampled)];
  const score_range<A> range = range_of(sample, sampled);
  const double rank = static_cast<double>(count) * sampled / static_cast<double>(n);
  const double spread = 2 + 2 * std::sqrt(rank * (1 - rank / sampled));
  const auto above = static_cast<index_t>(rank - spread), below = static_cast<index_t>(rank + spread);
  if (range.usable < sampled || below >= sampled) return false;
  const simd::pack<A> low(find_cutoff(sample, sampled, below, range).bound),
      high(above > 0 ? find_cutoff(sample, sampled, above, range).bound : std::numeric_limits<A>::infinity());
  std::int32_t near_index[most + 2 * simd::pack<A>::lanes];
  std::int32_t* end = near_index;
  simd::counter<A> higher;
  for_each_score_pack(x, n, [&](const simd::pack<A>& v, index_t i) HONE_INLINE_LAMBDA {
    higher.add(v >= high);
    if (end < near_index + most) end = append<A>(simd::bits((v >= low) & (v < high)), i, end);
  });
  const index_t candidates = end - near_index, wanted = count - higher.total();
  if (wanted <= 0 || wanted >= candidates || candidates >= most) return false;
  alignas(64) A close[most];
  for (index_t i = 0; i < candidates; ++i) close[i] = x[near_index[i]];
  found = find_cutoff(close, candidates, wanted, range_of(close, candidates));
  return true;
}

}  // namespace detail

/// Writes the indices of the best @p count of @p x (n, adjacent) to @p out, ascending; all where count >= n. Returns
/// how many.
/// @note Four to eight passes over x; allocates nothing. Serial, the same on every machine.
template <class A>
index_t top(const A* x, index_t n, index_t count, std::int32_t* out) {
  constexpr A infinity = std::numeric_limits<A>::infinity();
  count = (min)(count, n);
  if (count <= 0) return 0;
  index_t negative = 0, unordered = 0;  // of -inf and NaN, which are taken where nothing else is left
  detail::cutoff<A> taken{-infinity, 0};
  if (!detail::find_cutoff_near(x, n, count, taken)) {
    const detail::score_range<A> range = detail::range_of(x, n);
    if (range.usable > count) {
      taken = detail::find_cutoff(x, n, count, range);
    } else if (range.usable < count) {
      for (index_t i = 0; i < n; ++i) negative += x[i] == -infinity;
      negative = (min)(negative, count - range.usable);
      unordered = count - range.usable - negative;
      taken.ties = negative;
    }
  }
  const std::int32_t* const end = out + count;
  index_t i = 0;
  if (taken.ties == detail::all_ties) {  // all that reach the bound: nothing to decide one by one
    constexpr index_t lanes = simd::pack<A>::lanes;
    const simd::pack<A> bound(taken.bound);
    for (; n - i >= lanes && end - out >= lanes + 4; i += lanes)
      out = detail::append<A>(simd::bits(simd::load<A>(x + i) >= bound), i, out);
  }
  for (; out < end; ++i) {
    if (x[i] > taken.bound || (x[i] == taken.bound ? taken.ties : unordered)-- > 0)
      *out++ = static_cast<std::int32_t>(i);
  }
  return count;
}

/// The best @p count rows of each of the columns [begin, end) of @p scores, best first, in the order above.
/// @param scores rows, each @p columns adjacent elements after the one before. @param out (columns x count); what
///        belongs to other columns is left alone.
/// @pre count <= rows, and rows is below 2^24.
/// @note count passes over a few columns at a time; allocates nothing.
template <class A>
void top_rows(const A* scores, index_t rows, index_t columns, index_t begin, index_t end, index_t count,
              std::int32_t* out) {
  using packs = simd::pack<A>;
  const packs infinity(std::numeric_limits<A>::infinity()), none(-1);
  for (index_t i = begin; i < end; i += packs::lanes) {
    const index_t lanes = (min)(end - i, index_t{packs::lanes});
    const auto row = [&](index_t e) HONE_INLINE_LAMBDA {
      const A* from = scores + e * columns + i;
      return lanes == packs::lanes ? simd::load<A>(from) : simd::load<A>(from, lanes, A{0});
    };
    packs last = infinity, last_row = none, doubt(0);
    for (index_t j = 0; j < count; ++j) {
      packs best = -infinity, best_row = none;
      for (index_t e = 0; e < rows; ++e) {
        const packs v = row(e), own(static_cast<A>(e));
        const auto left = (v < last) | ((v == last) & (own > last_row));
        const auto better = left & ((v > best) | (best_row < packs(0)));
        best = simd::select(better, v, best);
        best_row = simd::select(better, own, best_row);
      }
      A found[packs::lanes];
      simd::store(found, best_row);
      for (index_t lane = 0; lane < lanes; ++lane) out[(i + lane) * count + j] = static_cast<std::int32_t>(found[lane]);
      doubt = (simd::min)(best_row, doubt);
      last = best;
      last_row = best_row;
    }
    // Where NaN was all that was left, the rows of NaN follow those that were found.
    if (-simd::horizontal_max(-doubt) >= 0) continue;
    for (index_t lane = 0; lane < lanes; ++lane) {
      std::int32_t* const own = out + (i + lane) * count;
      index_t j = 0, e = 0;
      while (j < count && own[j] >= 0) ++j;
      for (; j < count; ++e)
        if (const A v = scores[e * columns + i + lane]; v != v) own[j++] = static_cast<std::int32_t>(e);
    }
  }
}

}  // namespace HONE_NAMESPACE::moe
