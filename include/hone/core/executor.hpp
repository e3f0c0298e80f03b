// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Who runs a loop. An executor has
///   concurrency()                      how many workers take part, at least 1
///   parallel_for(count, grain, f)      f(begin, end) for disjoint ranges that cover [0, count); returns when all ran
/// the shape of at::parallel_for, so that a host's own pool needs three lines. f may run on any thread, in any order;
/// @c grain is a wish for the least length of a range. Results of this library do not depend on the choice.
#pragma once
#include "hone/core/contract.hpp"

#include <concepts>
#include <type_traits>

namespace HONE_NAMESPACE {

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

/// Any executor, by reference, in one type: what takes it is compiled once for all of them. An indirect call a range.
class executor_reference {
 public:
  /// @p pool must outlive this.
  template <executor E>
    requires(!std::same_as<std::remove_cv_t<E>, executor_reference>)
  executor_reference(E& pool)
      : pool_(const_cast<std::remove_cv_t<E>*>(&pool)), concurrency_(pool.concurrency()), run_(&run<E>) {}

  [[nodiscard]] index_t concurrency() const { return concurrency_; }
  template <class F>
  void parallel_for(index_t count, index_t grain, F&& f) const {
    using body = std::remove_reference_t<F>;
    run_(pool_, count, grain, const_cast<std::remove_const_t<body>*>(&f),
         [](void* own, index_t begin, index_t end) { (*static_cast<body*>(own))(begin, end); });
  }

 private:
  using call = void (*)(void* f, index_t begin, index_t end);

  template <class E>
  static void run(void* pool, index_t count, index_t grain, void* f, call body) {
    static_cast<E*>(pool)->parallel_for(count, grain, [f, body](index_t begin, index_t end) { body(f, begin, end); });
  }

  void* pool_;
  index_t concurrency_;
  void (*run_)(void* pool, index_t count, index_t grain, void* f, call body);
};

}  // namespace HONE_NAMESPACE
