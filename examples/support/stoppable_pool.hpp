// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Work of many equal parts that Ctrl-C may end between two of them.
#pragma once
#include <algorithm>

#include "hone/core/thread_pool.hpp"
#include "support/program.hpp"

namespace program {

struct stopped_by_user {};

/// A pool whose loops Ctrl-C ends, by stopped_by_user.
class stoppable_pool {
 public:
  stoppable_pool() = default;
  explicit stoppable_pool(hone::index_t workers) : pool_(workers) {}
  [[nodiscard]] hone::index_t concurrency() const { return pool_.concurrency(); }
  template <class F>
  void parallel_for(hone::index_t count, hone::index_t grain, F&& f) {
    pool_.parallel_for(count, grain, [&](hone::index_t begin, hone::index_t end) {
      for (hone::index_t next; begin < end; begin = next) {
        if (interrupted()) throw stopped_by_user{};
        next = (std::min)(begin + (std::max)(grain, hone::index_t{1}), end);
        f(begin, next);
      }
    });
  }

 private:
  hone::thread_pool pool_;
};

}  // namespace program
