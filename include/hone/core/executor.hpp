// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Who runs a loop. An executor has
///   concurrency()                      how many workers take part, at least 1
///   parallel_for(count, grain, f)      f(begin, end) for disjoint ranges that cover [0, count); returns when all ran
/// the shape of at::parallel_for, so that a host's own pool needs three lines. f may run on any thread, in any order;
/// @c grain is a wish for the least length of a range. Results of this library do not depend on the choice.
#pragma once
#include "hone/core/contract.hpp"

#include <concepts>

namespace hone {

template <class E>
concept executor = requires(E& e, void (*f)(index_t, index_t)) {
  { e.concurrency() } -> std::convertible_to<index_t>;
  e.parallel_for(index_t{}, index_t{}, f);
};

/// The calling thread.
struct serial {
  [[nodiscard]] static constexpr index_t concurrency() { return 1; }
  template <class F>
  static constexpr void parallel_for(index_t count, index_t /*grain*/, F&& f) {
    if (count > 0) f(index_t{0}, count);
  }
};

}  // namespace hone
