// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a run draws.
#pragma once
#include "support/streams.hpp"

namespace route {

using program::seed_of;

/// Every random choice is a number of one of these streams.
enum class stream : std::uint32_t { small = 1, large, lessons, prompts, probe, split };

}  // namespace route
