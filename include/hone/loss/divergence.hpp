// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Losses against the rows of another model, the reference or teacher, q = softmax(w / temperature):
///   forward KL   sum_rows KL(q || p)     keeps what the reference knows (the retain term of NPO and its relatives)
///   reverse KL   sum_rows KL(p || q)
///   undial       sum_rows -sum_v q'(v) log p(v), q' = softmax(w - beta 1_y)   [Dong et al. 2025, UNDIAL, arXiv
///                2402.10052]: the teacher's distribution with the true token pushed down
#pragma once
#include "hone/loss/batch.hpp"

namespace HONE_NAMESPACE::loss {

enum class kl_direction { forward, reverse };

namespace detail {

inline void check_reference(const auto& logits, const auto& reference, const char* function) {
  invalid_argument_unless(reference.rows() == logits.rows() && reference.cols() == logits.cols(), function, "reference",
                          "is %td x %td, logits is %td x %td", reference.rows(), reference.cols(), logits.rows(),
                          logits.cols());
}

}  // namespace detail

/// The divergence summed over the rows that count; the logits become the gradient, zero where a row is ignored.
/// @param logits, reference (rows x V); @param targets (rows), of which only the sign is used: negative is ignored. An
///        empty span counts every row: so does the code of NPO and of open-unlearning, prompt and padding rows too,
///        and its mean changes with the padding.
/// @throws std::invalid_argument if sizes differ or temperature is not positive; nothing is written then.
/// @note Counted as not finite: rows of either matrix with NaN, +inf or nothing but -inf, and infinite divergences, of
///       an id that one row excludes by -inf and the other does not. One read of both matrices and one write; allocates
///       nothing; bitwise for any executor.
template <mutable_matrix Z, matrix_like W, executor E = const serial>
loss_sum kl_to_reference(Z&& logits, const W& reference, label_view targets,
                         kl_direction direction = kl_direction::forward, const row_options& options = {},
                         E&& pool = serial{}) {
  const char* function = "hone::loss::kl_to_reference";
  const auto zs = output_matrix(logits, function, "logits");
  const auto ws = as_matrix(reference);
  check_rows(zs.rows(), zs.cols(), targets, options, function, true);
  detail::check_reference(zs, ws, function);
  const bool forward = direction == kl_direction::forward;
  return detail::sum_gradient_rows(
      zs, targets,
      [&](index_t row, index_t) {
        const auto w = ws.row(row);
        const row_summary summary = summarize(zs.row(row), w, options.temperature);
        const double weight = detail::weight_of(options, row), slope = options.scale * weight;
        row_gradient(zs.row(row), summary, forward ? row_terms{.forward_kl = slope} : row_terms{.reverse_kl = slope},
                     options.temperature, -1, {}, w);
        return detail::weighted(weight, forward ? summary.forward_kl : summary.reverse_kl);
      },
      pool);
}

/// UNDIAL over the rows that count; @p teacher (rows x V) holds the logits of the model before unlearning.
/// @throws std::invalid_argument as `kl_to_reference`, also if beta is not finite.
/// @note Cost and determinism of `kl_to_reference`.
template <mutable_matrix Z, matrix_like W, executor E = const serial>
loss_sum undial(Z&& logits, const W& teacher, label_view targets, double beta = 10, const row_options& options = {},
                E&& pool = serial{}) {
  const char* function = "hone::loss::undial";
  const auto zs = output_matrix(logits, function, "logits");
  const auto ws = as_matrix(teacher);
  check_rows(zs.rows(), zs.cols(), targets, options, function);
  detail::check_reference(zs, ws, function);
  invalid_argument_unless(std::abs(beta) < 1e300, function, "beta", "must be finite, is %g", beta);
  return detail::sum_gradient_rows(
      zs, targets,
      [&](index_t row, index_t target) {
        const auto w = ws.row(row);
        const row_summary summary = summarize(zs.row(row), w, options.temperature, target, -beta);
        const double weight = detail::weight_of(options, row);
        row_gradient(zs.row(row), summary, {.forward_kl = options.scale * weight}, options.temperature, target, {}, w,
                     -beta);
        return detail::weighted(weight, summary.cross_entropy);
      },
      pool);
}

}  // namespace HONE_NAMESPACE::loss
