// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A fixed set of threads that share the ranges of one loop at a time.
#pragma once
#include "hone/core/executor.hpp"

#include <atomic>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

namespace hone {

/// An executor of @c concurrency() workers, the caller being one. A loop started inside a loop, or by a second thread
/// while one runs, is run by its caller alone. The first exception of a loop's body reaches the caller once all
/// workers have stopped; ranges not begun by then are dropped.
/// @note parallel_for allocates nothing. Ranges are handed out dynamically, in ascending order.
class thread_pool {
 public:
  /// @throws std::invalid_argument unless @p workers is in [1, 4096].
  explicit thread_pool(index_t workers = default_concurrency()) : helpers_(workers - 1) {
    invalid_argument_unless(workers >= 1 && workers <= 4096, "hone::thread_pool", "workers",
                            "must be in [1, 4096], is %td", workers);
    threads_ = std::make_unique<std::thread[]>(static_cast<std::size_t>(helpers_));
    for (index_t i = 0; i < helpers_; ++i) threads_[static_cast<std::size_t>(i)] = std::thread([this] { serve(); });
  }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() {
    stopping_ = true;
    generation_.fetch_add(1);
    generation_.notify_all();
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
    count_ = count;
    // Eight ranges a worker even out their speeds without much traffic on the counter.
    step_ = (max)(grain, (count + 8 * concurrency() - 1) / (8 * concurrency()));
    body_ = [](void* context, index_t begin, index_t end) {
      (*static_cast<std::remove_reference_t<F>*>(context))(begin, end);
    };
    context_ = const_cast<void*>(static_cast<const void*>(std::addressof(f)));
    next_ = 0;
    working_ = helpers_;
    generation_.fetch_add(1);
    generation_.notify_all();
    work();
    for (index_t left = working_; left != 0; left = working_) working_.wait(left);
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
  void work() {
#if defined(__cpp_exceptions)
    try {
      take();
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
      next_ = count_;
    }
#else
    take();
#endif
  }

  void take() {
    for (index_t begin = next_.fetch_add(step_); begin < count_; begin = next_.fetch_add(step_))
      body_(context_, begin, (min)(begin + step_, count_));
  }

  void serve() {
    for (unsigned seen = 0;;) {
      generation_.wait(seen);
      seen = generation_;
      if (stopping_) return;
      work();
      if (working_.fetch_sub(1) == 1) working_.notify_one();
    }
  }

  index_t helpers_;
  std::unique_ptr<std::thread[]> threads_;
  std::atomic<unsigned> generation_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> busy_ = false;
  std::atomic<bool> failed_ = false;
  std::exception_ptr error_;
  std::atomic<index_t> next_ = 0;
  std::atomic<index_t> working_ = 0;
  index_t count_ = 0;
  index_t step_ = 1;
  void (*body_)(void*, index_t, index_t) = nullptr;
  void* context_ = nullptr;
};

}  // namespace hone
