// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the test program takes from `operator new`, which support/main.cpp counts.
#pragma once
#include <atomic>
#include <cstddef>

struct allocations {
  static inline std::atomic<std::size_t> count = 0, in_use = 0, most_in_use = 0, largest = 0;  ///< bytes, but for count
};
