// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The inverted hinge loss: sum max(0, 1 + p(y) - max_{v != y} p(v)), each term in [0, 2]. With s the runner-up (the
/// first of equals) and a positive hinge,
///   dL/dz = p_y (1_y - p) - p_s (1_s - p)
/// [Cha et al. 2025, LoKU, arXiv 2408.06621, Eq. 4; used by ReGLU]. The authors' code takes inputs that already lie in
/// [0, 1] for probabilities; here logits are always logits.
#pragma once
#include "hone/loss/batch.hpp"

#include <algorithm>

namespace HONE_NAMESPACE::loss {

/// The id of the largest logit other than @p target, the first of equals; -1 if there is none.
template <vector_like Z>
index_t runner_up(const Z& z, index_t target) {
  const auto zs = as_vector(z);
  const auto largest = (std::max)(detail::tile_max(zs, 0, target), detail::tile_max(zs, target + 1, zs.size()));
  for (index_t v = 0; v < zs.size(); ++v)
    if (v != target && to_accumulator(zs[v]) == largest) return v;
  return -1;
}

/// Sum over the rows that count; the logits become the gradient, zero where the row is ignored or its hinge is not
/// positive (only possible if p(y) = 0 and another p = 1).
/// @param logits (rows x V); @param targets (rows) in [0, V), or negative: ignored.
/// @throws std::invalid_argument as `log_likelihood`.
/// @note Rows that are not finite (NaN, +inf, all -inf) are counted. As `weighted_likelihood`, with one more look at
///       each row.
template <mutable_matrix Z, executor E = const serial>
loss_sum inverted_hinge(Z&& logits, label_view targets, const row_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::loss::inverted_hinge";
  const auto zs = output_matrix(logits, function, "logits");
  check_rows(zs.rows(), zs.cols(), targets, options, function);
  return detail::sum_gradient_rows(
      zs, targets,
      [&](index_t row, index_t target) {
        const auto z = zs.row(row);
        const row_summary summary = summarize(z, options.temperature);
        const auto probability = [&](index_t v) {
          return std::exp(summary.normalizer.log_probability(static_cast<double>(to_accumulator(z[v]))));
        };
        const index_t second = runner_up(z, target);
        const double p = probability(target), other = second < 0 ? 0 : probability(second);
        const double weight = detail::weight_of(options, row), hinge = 1 + p - other;
        const auto subset = static_cast<std::int32_t>(second);
        const double slope = hinge > 0 ? options.scale * weight : 0;
        row_gradient(z, summary, {.target = slope * p, .subset = second < 0 ? 0 : -slope}, options.temperature, target,
                     std::span(&subset, second < 0 ? 0 : 1));
        return hinge > 0 ? weight * hinge : hinge == hinge ? 0 : hinge;
      },
      pool);
}

}  // namespace HONE_NAMESPACE::loss
