// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The routers that models in files have.
#pragma once
#include "hone/moe/router.hpp"

namespace HONE_NAMESPACE::io::detail {

/// Each token takes its k best experts by their logits, with gates of a softmax over the k or over all, and no limit.
constexpr bool is_plain_token_choice(const moe::router& r) {
  moe::router plain = r.renormalised ? moe::top_k_then_softmax(r.per_token) : moe::softmax_then_top_k(r.per_token);
  plain.over = r.over;  // which matter to a limit
  plain.dropped = r.dropped;
  return r == plain;
}

}  // namespace HONE_NAMESPACE::io::detail
