// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#define CATCH_CONFIG_MAIN
#include "support/allocations.hpp"
#include "support/catch.hpp"

#include <malloc.h>

#include <cstdlib>
#include <new>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
int main(int count, char** arguments) { return Catch::Session().run(count, arguments); }
#endif

// Not inlined, where g++ takes new and free for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations::count;
  if (size > allocations::largest) allocations::largest = size;
  void* memory = std::malloc(size == 0 ? 1 : size);
  const std::size_t used = allocations::in_use += malloc_usable_size(memory);
  if (used > allocations::most_in_use) allocations::most_in_use = used;
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  allocations::in_use -= malloc_usable_size(memory);
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
