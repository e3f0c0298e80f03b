// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The K largest logits of a row, with its normalizer: what is kept of a reference model. A tile whose maximum is below
/// the least of the K so far is not looked at again, a pack neither; after the first few, that is most of them.
#pragma once
#include "hone/core/output.hpp"
#include "hone/loss/row_summary.hpp"

#include <algorithm>

namespace HONE_NAMESPACE::loss {

namespace detail {

/// The largest so far, in descending order, of equals the first first.
template <scalar T>
struct largest_list {
  using A = accumulator_t<std::remove_const_t<T>>;
  using packs = simd::pack<A>;
  static constexpr A none = -std::numeric_limits<A>::infinity();
  vector_view<T> z;
  std::span<std::int32_t> ids;
  std::span<double> logits;
  std::size_t count = 0;
  A least = none;  // what a number must be above to enter

  void insert(index_t v, A x) {
    std::size_t at = count < ids.size() ? count++ : count - 1;
    for (; at > 0 && logits[at - 1] < static_cast<double>(x); --at) {
      logits[at] = logits[at - 1];
      ids[at] = ids[at - 1];
    }
    logits[at] = static_cast<double>(x);
    ids[at] = static_cast<std::int32_t>(v);
    if (count == ids.size()) least = static_cast<A>(logits[count - 1]);
  }
  /// A bound that K elements of the tile are above: the K-th of its maxima by lane is one of those; or -infinity.
  [[nodiscard]] A bound(index_t begin, index_t end) const {
    packs lanes(none);
    for (index_t i = begin; i < end; i += packs::lanes) lanes = (simd::max)(load_pack(z, i, end, none), lanes);
    A maxima[packs::lanes];
    simd::store(maxima, lanes);
    const auto kth = maxima + (ids.size() - 1);
    std::nth_element(maxima, kth, maxima + packs::lanes, [](A x, A y) { return x > y; });
    return std::nextafter(*kth, none);
  }
  void look(index_t begin, index_t end, A largest) {
    if (count == 0 && !ids.empty() && ids.size() <= packs::lanes) least = bound(begin, end);
    for (; least == none && count < ids.size() && begin < end; ++begin)
      if (const A x = to_accumulator(z[begin]); x == x) insert(begin, x);
    if (ids.empty() || !(largest > least)) return;
    for (index_t i = begin; i < end; i += packs::lanes) {
      const packs x = (simd::max)(load_pack(z, i, end, none), packs(none));
      if (!(simd::horizontal_max(x) > least)) continue;
      A values[packs::lanes];
      simd::store(values, x);
      for (index_t lane = 0; lane < packs::lanes; ++lane)
        if (values[lane] > least) insert(i + lane, values[lane]);
    }
  }
};

}  // namespace detail

struct largest_result {
  log_normalizer normalizer;
  index_t count = 0;  ///< K, or fewer where fewer logits are numbers
};

/// `summarize`, and in the same read the ids of the K largest logits of @p z (V >= 1) into @p ids (K), their logits
/// into @p logits (K): largest first, of equals the lowest id first; NaNs are passed over. K may be 0, or above V.
/// @pre ids and logits have the same size.
/// @note One read; O(K) for each of about K ln(V / K) ids that enter the list, for a row in no order; allocates
///       nothing.
template <vector_like Z>
largest_result summarize_largest(const Z& z, double temperature, std::span<std::int32_t> ids,
                                 std::span<double> logits) {
  const char* function = "hone::loss::summarize_largest";
  check_output(ids, function, "ids");
  check_output(logits, function, "logits");
  const auto zs = as_vector(z);
  using T = std::remove_pointer_t<decltype(zs.data())>;
  detail::largest_list<T> list{zs, ids, logits};
  const row_summary summary = detail::summarize_row<false>(
      zs, temperature, [&](index_t begin, index_t end, auto largest) { list.look(begin, end, largest); });
  return {summary.normalizer, static_cast<index_t>(list.count)};
}

}  // namespace HONE_NAMESPACE::loss
