// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The hidden states of prompts, each pooled over its tokens: the rows that a router of the model is trained on.
#pragma once
#include "hone/routing/features.hpp"
#include "hone/transformer/learner.hpp"

namespace HONE_NAMESPACE::transformer {

/// The states of each of @p prompts into @p out (prompts x n_layers + 1 x d_model): the embedding, the outputs of the
/// blocks, and of the last one, as @p last says, what lies before the final norm or after it; of a prompt without
/// tokens zeros. Returns how many elements are infinite or NaN.
/// @throws std::invalid_argument, before anything is written, if the sizes do not fit, elements of @p out share memory,
///         or the model does not take the prompts.
/// @note A forward pass of the prompts; of a learner with parts of those that are its own, and nothing is written for
///       the others. Sums in double, token after token: the bits of `routing::token_features`, however the tokens come
///       to it. Bitwise for any executor.
template <class T, class Sum, executor E = const serial>
index_t pool_states(learner<T, Sum>& net, const batch& prompts, routing::token_pooling how, routing::last_state last,
                    const routing::states_view<T>& out, E&& pool = serial{}) {
  const char* function = "hone::transformer::pool_states";
  const config& c = net.shape();
  check_batch(prompts, c, function, "prompts");
  invalid_argument_unless(
      out.samples() == prompts.sequences() && out.layers() == c.n_layers + 1 && out.width() == c.d_model, function,
      "out", "is %td x %td x %td, expected %td x %td x %td", out.samples(), out.layers(), out.width(),
      prompts.sequences(), c.n_layers + 1, c.d_model);
  routing::check_output_states(out, function, "out");
  const auto pool_part = [&](microbatch<T>& part) {
    loss::loss_sum sum;
    routing::token_features features(c.n_layers + 1, c.d_model, how);
    for (index_t s = 0; s < part.tokens.sequences(); ++s) {
      const index_t begin = part.tokens.begin(s), end = part.tokens.end(s);
      features.clear();
      for (index_t layer = 0; layer <= c.n_layers; ++layer) {
        const bool normed = layer == c.n_layers && last == routing::last_state::after_norm;
        const matrix_view<const T> rows = normed ? part.activations.features() : part.activations.hidden(layer);
        const T* const first = rows.data() + begin * rows.row_stride();
        features.add(layer, matrix_view<const T>(first, end - begin, rows.cols(), rows.row_stride(), 1));
      }
      sum.nonfinite += features.write(out.sample(part.first_sequence + s)).nonfinite;
    }
    return sum;
  };
  return net.evaluate(prompts, pool_part, pool).nonfinite;
}

}  // namespace HONE_NAMESPACE::transformer
