// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What files call the conventions of hidden states.
#pragma once
#include "hone/core/flags.hpp"

namespace HONE_NAMESPACE::io::detail {

inline constexpr const char* last_state_names[] = {"hugging_face", "vllm"};  ///< of routing::last_state
inline constexpr const char* token_pooling_names[] = {"mean", "last"};       ///< of routing::token_pooling

}  // namespace HONE_NAMESPACE::io::detail
