// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What fuzz targets share. A target is a file <stem>_fuzz.cpp that includes this and says what must hold of any input:
///   FUZZ(input) {
///     read_or_refused(input.size(), [&] { require(parse(input.text(), "fuzz").size() <= input.size()); });
///   }
/// Seeds are in seeds/<stem>; run.sh finds both.
#pragma once
#include "hone/io/format_error.hpp"

#include <cstdlib>
#include <span>
#include <string_view>

inline void require(bool ok) {
  if (!ok) std::abort();
}

/// What the fuzzer made up.
struct fuzz_input {
  const std::uint8_t* data;
  std::size_t count;

  [[nodiscard]] std::size_t size() const { return count; }
  [[nodiscard]] std::string_view text() const { return {reinterpret_cast<const char*>(data), count}; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::as_bytes(std::span(data, count)); }
  /// One more than the line breaks.
  [[nodiscard]] std::uint64_t lines() const {
    std::uint64_t lines = 1;
    for (const char c : text()) lines += c == '\n' ? 1 : 0;
    return lines;
  }
};

/// Runs @p f, which may throw a format_error with a reason, and a place up to byte or line @p most.
template <class F>
void read_or_refused(std::uint64_t most, F&& f) {
  try {
    f();
  } catch (const hone::io::format_error& error) {
    require(error.where().at <= most && !error.reason().empty());
    require(error.where().in != hone::io::position::unit::line || error.where().at >= 1);
  }
}

#define FUZZ(input)                                                                \
  void fuzz(fuzz_input);                                                           \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n) { \
    fuzz({data, n});                                                               \
    return 0;                                                                      \
  }                                                                                \
  void fuzz(fuzz_input input)
