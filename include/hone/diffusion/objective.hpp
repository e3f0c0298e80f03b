// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a masked place weighs in the training loss: labels and weights of rows for `loss::likelihood`, and what the sum
/// is divided by. With CE_i the cross-entropy of place i, m_i whether it is masked, l a sequence's places that may be
/// masked and n = sum m_i of them masked:
///   inverse        sum m CE / v / L          v = t: MDLM's sigma'(t) / (e^sigma(t) - 1); v = p(mask): LLaDA
///   exact_ratio    sum m CE / (n / l) / L    EC-DLM: the mean over sequences of the mean over their masked places
///   unweighted     sum m CE / L              EC-DLM's "stable training"; n / l weighs a sequence
///   masked_mean    sum m CE / sum n
///   answer         sum_s (sum m CE / v / l) / S    LLaDA's fine-tuning: l is the answer's length
/// L = sum l and S sequences of the batch. Of these only `inverse` of t (with no least time) and counts drawn evenly
/// from 1 to l bound the likelihood; `exact_ratio` with times drawn evenly counts n = 1 twice. A loss of another weight
/// is not comparable: diffusion/bound.hpp is. [2604.01622; Sahoo et al. 2024, MDLM, arXiv 2406.07524; Nie et al. 2025,
/// LLaDA, arXiv 2502.09992, and their code]
#pragma once
#include "hone/diffusion/masking.hpp"

#include <limits>

namespace HONE_NAMESPACE::diffusion {

enum class weighting { inverse, exact_ratio, unweighted, masked_mean, answer };

/// One batch, clean and masked.
struct masked_batch {
  std::span<const std::int32_t> tokens, noised;
  std::span<const index_t> offsets;        ///< sequences + 1
  std::span<const std::uint8_t> may = {};  ///< as of mask_options
  std::span<const double> values = {};     ///< v, one a sequence; of `inverse` and `answer`
  std::int32_t mask_token = -1;
};

/// Fills labels (the token where it is masked, -1 elsewhere) and weights (0 elsewhere), and returns what the sum is to
/// be divided by: L, the masked places, or S, of this batch. Sums of both over parts of a batch are those of the whole.
/// @param labels, weights a row each.
/// @throws std::invalid_argument, before anything is written, if a size does not fit, a v is not in (0, 1], or a token
///         that may not be masked is.
/// @note Three passes over the tokens; allocates nothing. A token that is the mask itself, unmasked, is taken for
///       masked: it has no loss worth having.
inline double row_weights(weighting how, const masked_batch& b, std::span<std::int32_t> labels,
                          std::span<double> weights) {
  const char* function = "hone::diffusion::row_weights";
  const std::size_t rows = b.tokens.size(), sequences = b.offsets.empty() ? 0 : b.offsets.size() - 1;
  const auto sized = [&](std::size_t size, std::size_t wanted, const char* name) {
    invalid_argument_unless(size == wanted, function, name, "has %zu elements, must have %zu", size, wanted);
  };
  invalid_argument_unless(b.mask_token >= 0, function, "mask_token", "must not be negative, is %d", b.mask_token);
  sized(b.noised.size(), rows, "noised");
  sized(labels.size(), rows, "labels");
  sized(weights.size(), rows, "weights");
  if (!b.may.empty()) sized(b.may.size(), rows, "may");
  detail::check_offsets(function, b.offsets, rows);
  const bool has_values = how == weighting::inverse || how == weighting::answer;
  sized(b.values.size(), has_values ? sequences : b.values.size(), "values");
  for (const double v : b.values)
    invalid_argument_unless(v > 0 && v <= 1, function, "values", "must be in (0, 1], one is %g", v);
  const auto may = [&](std::size_t i) { return b.may.empty() || b.may[i] != 0; };
  for (std::size_t i = 0; i < rows; ++i)
    invalid_argument_unless(b.noised[i] == b.tokens[i] || (b.noised[i] == b.mask_token && may(i)), function, "noised",
                            "token %zu is neither the token nor a mask in its place", i);
  check_output(labels, function, "labels");
  check_output(weights, function, "weights");
  double divisor = 0;
  for (std::size_t s = 0; s < sequences; ++s) {
    const auto begin = static_cast<std::size_t>(b.offsets[s]), end = static_cast<std::size_t>(b.offsets[s + 1]);
    double length = 0, masked = 0;
    for (std::size_t i = begin; i < end; ++i) {
      length += may(i);
      masked += may(i) && b.noised[i] == b.mask_token;
    }
    double weight = 1;
    if (how == weighting::inverse) weight = 1 / b.values[s];
    if (how == weighting::answer) weight = length > 0 ? 1 / (b.values[s] * length) : 0;
    if (how == weighting::exact_ratio) weight = masked > 0 ? length / masked : 0;
    divisor += how == weighting::answer ? 1 : how == weighting::masked_mean ? masked : length;
    for (std::size_t i = begin; i < end; ++i) {
      const bool counts = may(i) && b.noised[i] == b.mask_token;
      labels[i] = counts ? b.tokens[i] : -1;
      weights[i] = counts ? weight : 0;
    }
  }
  return divisor;
}

/// The mask's own logit becomes -inf in every row: no place is predicted to stay masked ("SUBS" of MDLM). The gradient
/// there is 0.
/// @throws std::invalid_argument, before anything is written, unless the mask is one of the columns.
template <mutable_matrix Z>
void exclude_mask(Z&& logits, std::int32_t mask_token) {
  const char* function = "hone::diffusion::exclude_mask";
  const auto zs = output_matrix(logits, function, "logits");
  invalid_argument_unless(mask_token >= 0 && mask_token < zs.cols(), function, "mask_token",
                          "is %d, the logits have %td columns", mask_token, zs.cols());
  using T = element_t<Z>;
  for (index_t i = 0; i < zs.rows(); ++i)
    zs(i, mask_token) = from_accumulator<T>(-std::numeric_limits<accumulator_t<T>>::infinity());
}

}  // namespace HONE_NAMESPACE::diffusion
