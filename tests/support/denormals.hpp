// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A thread that flushes denormals, as all of a process do that was linked with -Ofast.
#pragma once
#if defined(__SSE2__)
#define HONE_TEST_FLUSHES 1
#include <xmmintrin.h>

class flushes_denormals {
 public:
  flushes_denormals() { _mm_setcsr(before_ | 0x8040); }  // results, and what is read
  flushes_denormals(const flushes_denormals&) = delete;
  flushes_denormals& operator=(const flushes_denormals&) = delete;
  ~flushes_denormals() { _mm_setcsr(before_); }

 private:
  unsigned before_ = _mm_getcsr();
};
#endif
