// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include "hone/loss/batch.hpp"
#include "hone/transformer/batch.hpp"

#include <vector>

/// 23 sequences of 1 to 9 tokens, and what an expert may take of each.
struct corpus {
  explicit corpus(hone::index_t vocab) {
    for (hone::index_t s = 0; s < 23; ++s) {
      for (hone::index_t t = 0; t <= s % 9; ++t) {
        tokens.push_back(static_cast<std::int32_t>((s * 3 + t * 5) % vocab));
        targets.push_back(t % 4 == 3 ? hone::loss::ignored : static_cast<std::int32_t>((s + t) % vocab));
      }
      offsets.push_back(static_cast<hone::index_t>(tokens.size()));
      capacities.push_back(1 + s % 5);
    }
  }
  [[nodiscard]] hone::transformer::batch all() const { return {tokens, offsets, capacities}; }
  std::vector<hone::index_t> offsets = {0}, capacities;
  std::vector<std::int32_t> tokens, targets;
};
