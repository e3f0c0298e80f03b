// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Losses that are a function of each token's own likelihood, l = -log p(y):
///   likelihood        sum l                                          (supervised fine-tuning, retain, IDK tuning)
///   gradient_ascent   -sum l                                         [Jang et al. 2023, arXiv 2210.01504]
///   wga               -sum p(y)^beta l, weight held constant         [Wang et al. 2025, WGA, arXiv 2502.19301]
///   satimp            -sum p(y)^beta1 (1 - p(y))^beta2 l, as above   [Yang et al. 2025, SatImp, arXiv 2505.11953]
/// Each overwrites the logits of row t by its gradient -w_t (1_y - p) with w_t the weight of l. Ignored rows count
/// nothing and get a zero gradient. Where p(y) = 0, as that of a masked y, l is infinite, and p(y)^beta l its limit, 0,
/// but at beta = 0. A row that is not finite (NaN, +inf, all -inf) is counted. Shapes, errors, cost and determinism are
/// those of `weighted_likelihood`. IDK tuning [Maini et al. 2024, TOFU] is `likelihood` of refusals and of the retain
/// batch, sums and counts added up.
#pragma once
#include "hone/loss/batch.hpp"

namespace HONE_NAMESPACE::loss {

/// log p(y) of each row into @p out (rows), 0 where ignored; the sum is that of -log p(y). Nothing else is written.
/// @param logits (rows x V); @param targets (rows) in [0, V), or negative: ignored.
/// @throws std::invalid_argument if sizes differ, a target is V or larger, or temperature is not positive.
/// @note One read; allocates nothing; bitwise for any executor. Weights multiply the sum, not @p out, which is at most
///       0 at any temperature.
template <matrix_like Z, mutable_vector Out, executor E = const serial>
loss_sum log_likelihood(const Z& logits, label_view targets, Out&& out, const row_options& options = {},
                        E&& pool = serial{}) {
  const char* function = "hone::loss::log_likelihood";
  const auto zs = as_matrix(logits);
  const auto outs = output_vector(out, function, "out");
  check_rows(zs.rows(), zs.cols(), targets, options, function);
  invalid_argument_unless(outs.size() == zs.rows(), function, "out", "has %td elements, logits has %td rows",
                          outs.size(), zs.rows());
  using O = element_t<Out>;
  return detail::sum_rows(
      zs.rows(), targets,
      [&](index_t row, index_t target) {
        const double log_p = log_probability(zs.row(row), target, options.temperature);
        outs[row] = from_accumulator<O>(static_cast<accumulator_t<O>>(log_p));
        return detail::weighted(detail::weight_of(options, row), -log_p);
      },
      [&](index_t row) { outs[row] = from_accumulator<O>(0); }, pool);
}

/// The family: f(log p(y)) gives the weight of l in the loss, held constant in the gradient.
/// Arguments and errors are those of `log_likelihood`; nothing is written when it throws.
/// @note One read and one write of memory for rows that fit a cache; allocates nothing; bitwise for any executor.
template <mutable_matrix Z, class F, executor E = const serial>
loss_sum weighted_likelihood(Z&& logits, label_view targets, F&& f, const row_options& options = {},
                             E&& pool = serial{}) {
  const char* function = "hone::loss::weighted_likelihood";
  const auto zs = output_matrix(logits, function, "logits");
  check_rows(zs.rows(), zs.cols(), targets, options, function);
  return detail::sum_gradient_rows(
      zs, targets,
      [&](index_t row, index_t target) {
        double weight = 0;
        const double log_p =
            fused_gradient(zs.row(row), options.temperature, target, {}, [&](const row_summary&, double log_py) {
              weight = detail::weight_of(options, row) * f(log_py);
              return row_terms{.target = -options.scale * weight};
            });
        return detail::weighted(weight, -log_p);
      },
      pool);
}

/// sum l
template <mutable_matrix Z, executor E = const serial>
loss_sum likelihood(Z&& logits, label_view targets, const row_options& options = {}, E&& pool = serial{}) {
  return weighted_likelihood(logits, targets, [](double) { return 1.0; }, options, pool);
}

/// -sum l. Unbounded below.
template <mutable_matrix Z, executor E = const serial>
loss_sum gradient_ascent(Z&& logits, label_view targets, const row_options& options = {}, E&& pool = serial{}) {
  return weighted_likelihood(logits, targets, [](double) { return -1.0; }, options, pool);
}

namespace detail {

/// p^beta; 1 at beta = 0 for p = 0 too.
inline double power_of_probability(double log_p, double beta) { return beta == 0 ? 1 : std::exp(beta * log_p); }

}  // namespace detail

/// -sum p(y)^beta l. @throws std::invalid_argument also if beta < 0 or not finite.
template <mutable_matrix Z, executor E = const serial>
loss_sum wga(Z&& logits, label_view targets, double beta = 1, const row_options& options = {}, E&& pool = serial{}) {
  invalid_argument_unless(beta >= 0 && beta < 1e300, "hone::loss::wga", "beta", "must be finite and at least 0, is %g",
                          beta);
  return weighted_likelihood(
      logits, targets, [=](double log_p) { return -detail::power_of_probability(log_p, beta); }, options, pool);
}

struct satimp_options {
  double beta1 = 5;
  double beta2 = 1;
};

/// -sum p(y)^beta1 (1 - p(y))^beta2 l. @throws std::invalid_argument also if an exponent is < 0 or not finite.
template <mutable_matrix Z, executor E = const serial>
loss_sum satimp(Z&& logits, label_view targets, const satimp_options& exponents = {}, const row_options& options = {},
                E&& pool = serial{}) {
  for (const double beta : {exponents.beta1, exponents.beta2})
    invalid_argument_unless(beta >= 0 && beta < 1e300, "hone::loss::satimp", "exponents",
                            "must be finite and at least 0, is %g", beta);
  return weighted_likelihood(
      logits, targets,
      [=](double log_p) {
        return -detail::power_of_probability(log_p, exponents.beta1) * std::pow(-std::expm1(log_p), exponents.beta2);
      },
      options, pool);
}

}  // namespace HONE_NAMESPACE::loss
