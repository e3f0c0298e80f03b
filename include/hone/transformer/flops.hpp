// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Floating-point operations of the decoder's matrix products, of a multiplication and an addition two. With experts it
/// is the slots executed that count (a token at an expert), not k times the tokens: what routers are compared at.
#pragma once
#include "hone/transformer/batch.hpp"
#include "hone/transformer/config.hpp"

#include <algorithm>

namespace HONE_NAMESPACE::transformer {

/// Of one forward pass over sequences with borders @p offsets, whose sparse layers execute @p executed slots together.
/// A training step has three times as many: a backward pass has twice those of the forward pass.
/// Attention is counted by the keys that a query looks at: those before it, in its window, or up to its block's end.
/// @note Without norms, activations and softmaxes, which are linear in the rows.
inline double forward_flops(const config& c, std::span<const index_t> offsets, index_t executed = 0) {
  const auto f = [](index_t x) { return static_cast<double>(x); };
  // Pairs of a query and a key that it looks at, of n positions.
  const auto pairs_of = [&](index_t n, index_t window) {
    if (c.causal) {
      const index_t w = window > 0 ? (std::min)(window, n) : n;
      return f(w) * f(w + 1) / 2 + f(n - w) * f(w);
    }
    const index_t block = c.block > 0 ? (std::min)(c.block, n) : n, whole = block > 0 ? n / block : 0;
    return f(block) * f(block) * f(whole) * f(whole + 1) / 2 + f(n - whole * block) * f(n);
  };
  double rows = 0, a_row = f(c.d_model) * f(c.output_width()), all_pairs = 0;
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s) rows += f(offsets[s + 1] - offsets[s]);
  for (index_t layer = 0; layer < c.n_layers; ++layer) {
    a_row += 2 * f(c.d_model) * f(c.q_width() + c.kv_width());
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s)
      all_pairs += 2 * f(c.q_width()) * pairs_of(offsets[s + 1] - offsets[s], c.window_of(layer));
    a_row +=
        c.sparse(layer) ? f(c.d_model) * f(c.experts.count + 3 * c.experts.shared_d_ff) : 3 * f(c.d_model) * f(c.d_ff);
  }
  return 2 * (rows * a_row + all_pairs + 3 * f(executed) * f(c.d_model) * f(c.experts.d_ff));
}

}  // namespace HONE_NAMESPACE::transformer
