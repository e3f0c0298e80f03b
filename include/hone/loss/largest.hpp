// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The K largest logits of a row, with its normalizer: what is kept of a reference model. A tile whose maximum is below
/// the least of the K so far is not looked at again, a pack neither; after the first few, that is most of them.
#pragma once
#include "hone/loss/row_summary.hpp"

namespace hone::loss {

namespace detail {

/// The largest so far, in descending order, of equals the first first.
template <scalar T>
struct largest_list {
  using A = accumulator_t<std::remove_const_t<T>>;
  vector_view<T> z;
  std::span<std::int32_t> ids;
  std::span<double> logits;
  std::size_t count = 0;

  [[nodiscard]] bool wants(A x) const {
    return count < ids.size() ? x == x : count > 0 && x > static_cast<A>(logits[count - 1]);
  }
  void offer(index_t v) {
    const A x = to_accumulator(z[v]);
    if (!wants(x)) return;
    std::size_t at = count < ids.size() ? count++ : count - 1;
    for (; at > 0 && logits[at - 1] < static_cast<double>(x); --at) {
      logits[at] = logits[at - 1];
      ids[at] = ids[at - 1];
    }
    logits[at] = static_cast<double>(x);
    ids[at] = static_cast<std::int32_t>(v);
  }
  void look(index_t begin, index_t end, A largest) {
    using packs = simd::pack<A>;
    constexpr A none = -std::numeric_limits<A>::infinity();
    if (!wants(largest)) return;
    for (index_t i = begin; i < end; i += packs::lanes)
      if (count < ids.size() || wants(simd::horizontal_max((simd::max)(load_pack(z, i, end, none), packs(none)))))
        for (index_t v = i; v < (min)(i + packs::lanes, end); ++v) offer(v);
  }
};

}  // namespace detail

struct largest_result {
  log_normalizer normalizer;
  index_t count = 0;  ///< K, or fewer where fewer logits are numbers
};

/// `summarize`, and in the same read the ids of the K largest logits of @p z (V >= 1) into @p ids (K), their logits into
/// @p logits (K): largest first, of equals the lowest id first; NaNs are passed over. K may be 0, or above V.
/// @pre ids and logits have the same size.
/// @note One read; O(K) for each of about K ln(V / K) ids that enter the list, for a row in no order; allocates nothing.
template <vector_like Z>
largest_result summarize_largest(const Z& z, double temperature, std::span<std::int32_t> ids,
                                 std::span<double> logits) {
  const auto zs = as_vector(z);
  using T = std::remove_pointer_t<decltype(zs.data())>;
  detail::largest_list<T> list{zs, ids, logits};
  const row_summary summary =
      detail::summarize_row<false>(zs, temperature, [&](index_t begin, index_t end, auto largest) {
        list.look(begin, end, largest);
      });
  return {summary.normalizer, static_cast<index_t>(list.count)};
}

}  // namespace hone::loss
