// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Floating-point operations of the decoder's matrix products, of a multiplication and an addition two. With experts it
/// is the slots executed that count (a token at an expert), not k times the tokens: what routers are compared at.
#pragma once
#include "hone/transformer/batch.hpp"
#include "hone/transformer/config.hpp"

namespace HONE_NAMESPACE::transformer {

/// Of one forward pass over sequences with borders @p offsets, whose sparse layers execute @p executed slots together.
/// A training step has three times as many: a backward pass has twice those of the forward pass.
/// @note Without norms, activations and softmaxes, which are linear in the rows.
inline double forward_flops(const config& c, std::span<const index_t> offsets, index_t executed = 0) {
  const auto f = [](index_t x) { return static_cast<double>(x); };
  double rows = 0, pairs = 0;  // of a query and a key
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
    const double length = f(offsets[s + 1] - offsets[s]);
    rows += length;
    pairs += c.causal ? length * (length + 1) / 2 : length * length;
  }
  double a_row = f(c.d_model) * f(c.output_width()), all_pairs = 0;
  for (index_t layer = 0; layer < c.n_layers; ++layer) {
    a_row += 2 * f(c.d_model) * f(c.q_width() + c.kv_width());
    all_pairs += 2 * f(c.q_width()) * pairs;
    a_row +=
        c.sparse(layer) ? f(c.d_model) * f(c.experts.count + 3 * c.experts.shared_d_ff) : 3 * f(c.d_model) * f(c.d_ff);
  }
  return 2 * (rows * a_row + all_pairs + 3 * f(executed) * f(c.d_model) * f(c.experts.d_ff));
}

}  // namespace HONE_NAMESPACE::transformer
