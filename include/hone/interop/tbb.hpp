// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// oneTBB's workers as an executor.
#pragma once
#include "hone/core/executor.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace HONE_NAMESPACE {

/// Tasks of the calling thread's arena. Loops inside loops are tasks too; the first exception reaches the caller.
struct tbb_tasks {
  [[nodiscard]] static index_t concurrency() { return ::tbb::this_task_arena::max_concurrency(); }

  template <class F>
  static void parallel_for(index_t count, index_t grain, F&& f) {
    if (count <= 0) return;
    ::tbb::parallel_for(::tbb::blocked_range<index_t>(0, count, static_cast<std::size_t>((max)(grain, index_t{1}))),
                        [&](const ::tbb::blocked_range<index_t>& range) { f(range.begin(), range.end()); });
  }
};

}  // namespace HONE_NAMESPACE
