// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a run draws.
#pragma once
#include "support/streams.hpp"

namespace reason {

using program::seed_of;

/// Every random choice is a number of one of these streams.
enum class stream : std::uint32_t { parameters = 1, lessons, training, held_out, drawing, held_out_drawing, choice };

}  // namespace reason
