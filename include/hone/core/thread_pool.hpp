// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A fixed set of threads that share the ranges of one loop at a time.
#pragma once
#include "hone/core/executor.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

namespace HONE_NAMESPACE {

/// An executor of @c concurrency() workers, the caller being one. A loop started inside a loop, or by a second thread
/// while one runs, is run by its caller alone. The first exception of a loop's body reaches the caller once all
/// workers have stopped; ranges not begun by then are dropped.
/// @note parallel_for allocates nothing. Every worker begins with a share of its own, the same in every loop of that
///       count, so that it finds in its caches what it touched in the loop before; then it helps the others. A worker
///       that the system does not let run is not waited for: the others do its share.
class thread_pool {
 public:
  /// @throws std::invalid_argument unless @p workers is in [1, 4096].
  explicit thread_pool(index_t workers = default_concurrency()) : helpers_(workers - 1) {
    invalid_argument_unless(workers >= 1 && workers <= 4096, "hone::thread_pool", "workers",
                            "must be in [1, 4096], is %td", workers);
    shares_ = std::make_unique<share[]>(static_cast<std::size_t>(workers));
    threads_ = std::make_unique<std::thread[]>(static_cast<std::size_t>(helpers_));
    for (index_t i = 0; i < helpers_; ++i)
      threads_[static_cast<std::size_t>(i)] = std::thread([this, i] { serve(i + 1); });
  }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() {
    stopping_ = true;
    state_.fetch_add(one_loop);
    state_.notify_all();
    for (index_t i = 0; i < helpers_; ++i) threads_[static_cast<std::size_t>(i)].join();
  }

  [[nodiscard]] index_t concurrency() const { return helpers_ + 1; }

  template <class F>
  void parallel_for(index_t count, index_t grain, F&& f) {
    if (count <= 0) return;
    grain = (max)(grain, index_t{1});
    if (helpers_ == 0 || count <= grain || busy_.exchange(true)) {
      f(index_t{0}, count);
      return;
    }
    const index_t workers = concurrency();
    for (index_t w = 0; w < workers; ++w) {
      shares_[static_cast<std::size_t>(w)].next = count * w / workers;
      shares_[static_cast<std::size_t>(w)].end = count * (w + 1) / workers;
    }
    // Eight ranges a worker even out their speeds without much traffic on the counters.
    step_ = (max)(grain, (count + 8 * workers - 1) / (8 * workers));
    body_ = [](void* context, index_t begin, index_t end) {
      (*static_cast<std::remove_reference_t<F>*>(context))(begin, end);
    };
    context_ = const_cast<void*>(static_cast<const void*>(std::addressof(f)));
    state_.fetch_add(one_loop | open);
    state_.notify_all();
    work(0);
    // Who has not come by now need not come.
    for (std::uint32_t state = state_.fetch_sub(open) - open; (state & taking_part) != 0; state = state_)
      await_change(state);
#if defined(__cpp_exceptions)
    failed_ = false;
    const std::exception_ptr error = std::exchange(error_, nullptr);
    busy_ = false;
    if (error) std::rethrow_exception(error);
#else
    busy_ = false;
#endif
  }

  static index_t default_concurrency() { return (max)(index_t{1}, index_t{std::thread::hardware_concurrency()}); }

 private:
  /// What is left of a worker's share of the loop, in a cache line of its own.
  struct alignas(64) share {
    std::atomic<index_t> next = 0;
    index_t end = 0;
  };

  // The state of the pool in one word: helpers at work, whether a loop may be joined, and the loop's number.
  static constexpr std::uint32_t taking_part = 0xfff, open = 0x1000, one_loop = 0x2000;

  /// Loops often follow each other closely, and a thread that sleeps takes some 50 us to wake: some 30 us of waiting
  /// awake come first.
  void await_change(std::uint32_t from) const {
    for (int spin = 0; spin < 2000; ++spin) {
      if (state_.load(std::memory_order_acquire) != from) return;
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#endif
    }
    state_.wait(from);
  }

  void serve(index_t worker) {
    for (std::uint32_t seen = 0;;) {
      std::uint32_t state = state_;
      if (stopping_) return;
      if ((state & open) == 0 || state / one_loop == seen) {
        await_change(state);
      } else if (state_.compare_exchange_weak(state, state + 1)) {
        seen = state / one_loop;
        work(worker);
        state = state_.fetch_sub(1);
        if ((state & (taking_part | open)) == 1) state_.notify_all();
      }
    }
  }

  void work(index_t worker) {
#if defined(__cpp_exceptions)
    try {
      take(worker);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
      for (index_t w = 0; w < concurrency(); ++w)
        shares_[static_cast<std::size_t>(w)].next = shares_[static_cast<std::size_t>(w)].end;
    }
#else
    take(worker);
#endif
  }

  void take(index_t worker) {
    for (index_t k = 0; k < concurrency(); ++k) {
      share& from = shares_[static_cast<std::size_t>((worker + k) % concurrency())];
      for (index_t begin = from.next.fetch_add(step_); begin < from.end; begin = from.next.fetch_add(step_))
        body_(context_, begin, (min)(begin + step_, from.end));
    }
  }

  index_t helpers_;
  std::unique_ptr<share[]> shares_;
  std::unique_ptr<std::thread[]> threads_;
  std::atomic<std::uint32_t> state_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> busy_ = false;
  std::atomic<bool> failed_ = false;
  std::exception_ptr error_;
  index_t step_ = 1;
  void (*body_)(void*, index_t, index_t) = nullptr;
  void* context_ = nullptr;
};

}  // namespace HONE_NAMESPACE
