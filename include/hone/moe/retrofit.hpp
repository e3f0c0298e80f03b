// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a trained router by which tokens choose to one by which experts do, with the least change: the logits, and what
/// gates are made of them, stay. Two cares: a token that no expert takes keeps its first choice
/// (`router::best_if_none`), and, before the swap, a bias on the tokens' own selection,
///   b_e = -alpha mu_e,  alpha from 0 to 1,
/// with mu_e the logit that an expert's best c = k T / E tokens are above. At alpha = 1 all experts have the threshold
/// 0: a token chooses by how far it is above what experts would take. [2604.01622 has no code of its retrofit; this is
/// derived from its routers]
#pragma once
#include "hone/moe/router.hpp"
#include "hone/moe/update.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::moe {

/// The router by which experts choose, in each sequence, with the gates of @p tokens_choose: LLaDA-MoE's softmax over
/// all experts, which is not renormalised, ranks too, as Zhou's does; else the ranking stays.
/// @throws std::invalid_argument as `validate`, or unless in @p tokens_choose each token takes its k best, by logit,
///         softmax or sigmoid.
inline router experts_choose(const router& tokens_choose, bool best_if_none = true) {
  const char* function = "hone::moe::experts_choose";
  validate(tokens_choose);
  invalid_argument_unless(tokens_choose.chosen == selection::row_top && tokens_choose.ranked_by != ranking::sinkhorn,
                          function, "tokens_choose", "is a router by which tokens choose, without a transport plan");
  router r{.ranked_by = tokens_choose.ranked_by,
           .gate = tokens_choose.gate,
           .renormalised = tokens_choose.renormalised,
           .per_token = tokens_choose.per_token,
           .best_if_none = best_if_none};
  if (r.gate == activation::softmax && !r.renormalised) r.ranked_by = ranking::softmax;
  return r;
}

/// Tokens of @p tokens that each of @p experts takes where each had @p per_token experts: tokens per_token / experts,
/// rounded to the nearest (a half up), at least 1 and at most all; 0 of none.
/// @throws std::invalid_argument as `capacity`.
inline index_t nearest_capacity(index_t tokens, index_t per_token, index_t experts) {
  const index_t below = capacity(tokens, per_token, experts);  // checks
  const index_t rest = tokens * per_token - tokens * per_token / experts * experts;
  const bool up = tokens * per_token >= experts && rest >= experts - rest;
  return (std::min)(tokens, below + (up ? 1 : 0));
}

/// -alpha mu_e of each expert into @p bias (E), mu_e as `column_thresholds`; 0 where there is none.
/// @param logits (E x T), or what tokens rank experts by. @param competes as of `column_thresholds`.
/// @throws std::invalid_argument, before anything is written, as `column_thresholds`, or unless alpha is in [0, 1].
/// @note About 2 T a column; allocates T + E doubles.
template <matrix_like Z, mutable_vector B>
void homotopy_bias(const Z& logits, index_t per_token, double alpha, B&& bias,
                   std::span<const std::uint8_t> competes = {}) {
  using T = element_t<B>;
  const char* function = "hone::moe::homotopy_bias";
  const auto bs = output_vector(bias, function, "bias");
  const auto zs = as_matrix(logits);
  invalid_argument_unless(bs.size() == zs.rows(), function, "bias", "has %td elements for %td experts", bs.size(),
                          zs.rows());
  invalid_argument_unless(alpha >= 0 && alpha <= 1, function, "alpha", "must be in [0, 1], is %g", alpha);
  std::vector<double> threshold(static_cast<std::size_t>(bs.size()));
  column_thresholds(zs, per_token, threshold, competes);
  for (index_t e = 0; e < bs.size(); ++e) {
    const double mu = threshold[static_cast<std::size_t>(e)];
    bs[e] = from_accumulator<T>(static_cast<accumulator_t<T>>(std::isfinite(mu) ? -alpha * mu : 0));
  }
}

}  // namespace HONE_NAMESPACE::moe
