// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A small model that sees both ways, with experts in its first and last layer.
#pragma once
#include "transformer/support.hpp"

inline hone::transformer::config two_way_model(const hone::moe::router& r, bool biased = false) {
  return {.d_model = 12,
          .d_ff = 10,
          .n_layers = 3,
          .n_heads = 3,
          .n_kv_heads = 3,
          .vocab = 12,
          .max_seq = 60,
          .tie_embeddings = false,
          .causal = false,
          .experts = {.count = 4, .d_ff = 8, .shared_d_ff = 6, .router = r, .selection_bias = biased, .dense = {1}}};
}
