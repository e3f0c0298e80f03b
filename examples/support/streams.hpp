// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Seeds for what a run draws.
#pragma once
#include "hone/core/philox.hpp"

namespace program {

/// The seed of stream @p s, a number or an enumerator, of a run: streams do not meet.
template <class Stream>
std::uint64_t seed_of(std::uint64_t seed, Stream s, std::uint64_t part = 0) {
  const auto word = hone::philox{seed, static_cast<std::uint32_t>(s)}.bits(part);
  return (std::uint64_t{word[0]} << 32) | word[1];
}

}  // namespace program
