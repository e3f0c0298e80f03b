// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// OpenMP's threads as an executor. Compile the including unit with -fopenmp; hone's targets never set it.
#pragma once
#if !defined(_OPENMP)
#error "hone/interop/openmp.hpp: compile with -fopenmp"
#endif
#include "hone/core/executor.hpp"

#include <exception>

#include <omp.h>

namespace HONE_NAMESPACE {

/// Static ranges, one a thread; inside a parallel region the caller runs the loop alone. The first exception of the
/// body is rethrown after the loop.
struct openmp {
  [[nodiscard]] static index_t concurrency() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

  template <class F>
  static void parallel_for(index_t count, index_t grain, F&& f) {
    if (count <= 0) return;
    const index_t wanted = (min)(concurrency(), (count + (max)(grain, index_t{1}) - 1) / (max)(grain, index_t{1}));
    if (wanted == 1) {
      f(index_t{0}, count);
      return;
    }
    std::exception_ptr error;
#pragma omp parallel num_threads(static_cast<int>(wanted))
    {
      const index_t team = omp_get_num_threads();
      const index_t begin = count * omp_get_thread_num() / team;
      const index_t end = count * (omp_get_thread_num() + 1) / team;
#if defined(__cpp_exceptions)
      try {
        if (begin < end) f(begin, end);
      } catch (...) {
#pragma omp critical(hone_openmp_error)
        if (!error) error = std::current_exception();
      }
#else
      if (begin < end) f(begin, end);
#endif
    }
#if defined(__cpp_exceptions)
    if (error) std::rethrow_exception(error);
#endif
  }
};

}  // namespace HONE_NAMESPACE
