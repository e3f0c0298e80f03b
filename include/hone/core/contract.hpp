// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every header needs: `index_t`, (min) and (max), and the answer to misuse: one check, one exception, one way out
/// when exceptions are off.
#pragma once
#include "hone/core/flags.hpp"

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#if !defined(HONE_THROW)
#if defined(__cpp_exceptions)
/// Throws @p exception; under -fno-exceptions hands its message to `hone::failure_handler`.
#define HONE_THROW(exception) throw exception
#else
#define HONE_THROW(exception) ::hone::fail((exception).what())
#endif
#endif

namespace HONE_NAMESPACE {

/// Sizes, offsets and strides, in elements.
using index_t = std::ptrdiff_t;

#if !defined(__cpp_exceptions)
/// What a program built with -fno-exceptions does on misuse; replaceable, must not return.
inline void (*failure_handler)(const char* message) = nullptr;

[[noreturn]] inline void fail(const char* message) {
  if (failure_handler != nullptr) failure_handler(message);
  std::fprintf(stderr, "hone: %s\n", message);
  std::abort();
}
#endif

/// Throws std::invalid_argument "function: argument: message" (printf-style @p format) unless @p ok.
#if defined(__GNUC__)
[[gnu::format(printf, 4, 5)]]
#endif
inline void invalid_argument_unless(bool ok, const char* function, const char* argument, const char* format, ...) {
  if (ok) return;
  char message[256];
  int used = std::snprintf(message, sizeof message, "%s: %s: ", function, argument);
  if (used < 0 || used >= int{sizeof message}) used = 0;
  std::va_list values;
  va_start(values, format);
  std::vsnprintf(message + used, sizeof message - static_cast<std::size_t>(used), format, values);
  va_end(values);
  HONE_THROW(std::invalid_argument(message));
}

/// As `std::min` and `std::max`, at a fraction of what including `<algorithm>` costs.
template <class T>
constexpr T(min)(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T(max)(T a, T b) {
  return a < b ? b : a;
}

}  // namespace HONE_NAMESPACE
