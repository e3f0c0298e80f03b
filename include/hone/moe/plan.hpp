// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which token goes to which expert, with which gate: what every router produces, and all that experts, balance losses
/// and statistics read. A slot is one token at one expert.
#pragma once
#include "hone/core/contract.hpp"

#include <cstdint>
#include <vector>

namespace HONE_NAMESPACE::moe {

/// A token that chose an expert that had no room.
template <class T>
struct dropped_slot {
  std::int32_t expert, token;
  T gate;  ///< that it would have had, without the scale
};

/// Slots by expert, and by token the way back. Sized by `route`; its memory grows and never shrinks.
/// @note 12 bytes a slot (16 where T is double) and 8 a token.
template <class T = float>
struct routing_plan {
  index_t tokens = 0, experts = 0;
  std::vector<index_t> offsets;          ///< experts + 1: the slots of expert e are [offsets[e], offsets[e + 1])
  std::vector<std::int32_t> token;       ///< of each slot; ascending in an expert
  std::vector<T> gate;                   ///< of each slot, scaled
  std::vector<index_t> token_offsets;    ///< tokens + 1
  std::vector<std::int32_t> slot;        ///< those of a token, by ascending expert
  std::vector<dropped_slot<T>> dropped;  ///< by ascending expert, then token
  index_t nonfinite = 0;                 ///< logits of tokens that compete, chosen or not

  [[nodiscard]] index_t size() const { return static_cast<index_t>(token.size()); }
  [[nodiscard]] index_t load(index_t expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return offsets[e + 1] - offsets[e];
  }
  [[nodiscard]] index_t experts_of(index_t t) const {
    const auto i = static_cast<std::size_t>(t);
    return token_offsets[i + 1] - token_offsets[i];
  }
};

/// What `route` works in; grows as it must, and never shrinks.
template <class T>
struct route_memory {
  std::vector<T> scores;                    ///< experts x competing tokens
  std::vector<std::int32_t> tokens;         ///< that compete, ascending
  std::vector<index_t> pools;               ///< pool p is tokens [pools[p], pools[p + 1])
  std::vector<std::int32_t> chosen;         ///< experts of each competing token, best first
  std::vector<std::int32_t> expert, place;  ///< of each slot: its expert, and which choice of its token's it was
  std::vector<char> dropped;                ///< of each slot
};

/// Makes `token_offsets` and `slot` from `offsets` and `token`.
/// @note One pass over slots and tokens; allocates only to grow.
template <class T>
void transpose(routing_plan<T>& plan) {
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  plan.token_offsets.assign(at(plan.tokens) + 1, 0);
  plan.slot.resize(plan.token.size());
  for (const std::int32_t t : plan.token) ++plan.token_offsets[at(t) + 1];
  for (index_t t = 0; t < plan.tokens; ++t) plan.token_offsets[at(t) + 1] += plan.token_offsets[at(t)];
  // Each token's offset moves to its end and is moved back.
  for (std::size_t s = 0; s < plan.token.size(); ++s)
    plan.slot[at(plan.token_offsets[at(plan.token[s])]++)] = static_cast<std::int32_t>(s);
  for (index_t t = plan.tokens; t > 0; --t) plan.token_offsets[at(t)] = plan.token_offsets[at(t - 1)];
  plan.token_offsets[0] = 0;
}

}  // namespace HONE_NAMESPACE::moe
