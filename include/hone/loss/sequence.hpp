// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Unlearning losses on whole sequences. With N_b = -log p(y_b | x_b), summed over the tokens of answer b, under the
/// model and N_b^ref under the model before unlearning:
///   npo      -(2/beta) log sigmoid(beta (N_b - N_b^ref))             [Zhang et al. 2024, NPO, arXiv 2404.05868, Eq. 3]
///   simnpo   -(2/beta) log sigmoid(beta (N_b / |y_b| - delta))       [Fan et al. 2024, SimNPO, arXiv 2410.07163]
///   dpo      -(2/beta) log sigmoid(beta ((N_b - N_b^ref) - (W_b - W_b^ref))), W of a refusal to the same question
///                                                                    [Maini et al. 2024, TOFU; IdkDPO]
/// Each takes the N and gives the loss and dL/dN_b; the gradient on logits is `likelihood` with these as weights:
///   sequence_nll(logits, targets, offsets, nll);  npo(nll, reference, slope);  spread(slope, offsets, weights);
///   likelihood(logits, targets, {.scale = 1.0 / batch, .weights = weights});
#pragma once
#include "hone/core/sigmoid.hpp"
#include "hone/loss/batch.hpp"

namespace HONE_NAMESPACE::loss {

/// N_b of each sequence into @p out. Sequence b has rows [offsets[b], offsets[b + 1]); offsets[0] = 0 and the last is
/// the number of rows. Returns the sum over tokens and their count.
/// @throws std::invalid_argument if sizes differ or offsets do not ascend; else as `log_likelihood`.
/// @note One read of the logits; allocates nothing; bitwise for any executor, and for any other sequences beside it.
///       N_b is at least 0 at any temperature. Rows that are not finite (NaN, +inf, all -inf; y at -inf) are counted.
template <matrix_like Z, executor E = const serial>
loss_sum sequence_nll(const Z& logits, label_view targets, std::span<const index_t> offsets, std::span<double> out,
                      double temperature = 1, E&& pool = serial{}) {
  const char* function = "hone::loss::sequence_nll";
  const auto zs = as_matrix(logits);
  check_output(out, function, "out");
  check_rows(zs.rows(), zs.cols(), targets, {.temperature = temperature}, function);
  check_offsets(offsets, zs.rows(), out.size(), function);
  double sums[3];
  blocked_sum<3, 1>(
      static_cast<index_t>(out.size()), sums,
      [&](index_t b, index_t, double* partial) {
        const auto begin = static_cast<std::size_t>(offsets[static_cast<std::size_t>(b)]);
        const auto end = static_cast<std::size_t>(offsets[static_cast<std::size_t>(b) + 1]);
        const auto row_nll = [&](index_t row, index_t target) {
          return -log_probability(zs.row(static_cast<index_t>(begin) + row), target, temperature);
        };
        const serial alone;
        const loss_sum nll = detail::sum_rows(
            static_cast<index_t>(end - begin), targets.subspan(begin, end - begin), row_nll, [](index_t) {}, alone);
        out[static_cast<std::size_t>(b)] = nll.sum;
        partial[0] = nll.sum;
        partial[1] = static_cast<double>(nll.count);
        partial[2] = static_cast<double>(nll.nonfinite);
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

/// weights[row] = values[b] for every row of sequence b: what `row_options::weights` wants.
/// @throws std::invalid_argument if the offsets do not fit.
inline void spread(std::span<const double> values, std::span<const index_t> offsets, std::span<double> weights) {
  check_offsets(offsets, static_cast<index_t>(weights.size()), values.size(), "hone::loss::spread");
  check_output(weights, "hone::loss::spread", "weights");
  for (std::size_t b = 0; b < values.size(); ++b)
    for (index_t row = offsets[b]; row < offsets[b + 1]; ++row) weights[static_cast<std::size_t>(row)] = values[b];
}

namespace detail {

/// sum_b -(2/beta) log sigmoid(beta margin(b)), and each summand's derivative with respect to its margin.
template <class Margin>
loss_sum log_sigmoid_loss(double beta, std::span<double> slope, const char* function, Margin&& margin) {
  invalid_argument_unless(beta > 0 && beta < 1e300, function, "beta", "must be positive and finite, is %g", beta);
  check_output(slope, function, "slope");
  loss_sum total{.count = static_cast<index_t>(slope.size())};
  for (std::size_t b = 0; b < slope.size(); ++b) {
    const double x = beta * margin(b);
    const double loss = -2 / beta * log_sigmoid(x);
    slope[b] = -2 * sigmoid(-x);
    total.sum += loss;
    if (!std::isfinite(loss)) ++total.nonfinite;
  }
  return total;
}

inline void check_sequences(std::size_t given, std::size_t expected, const char* function, const char* argument) {
  invalid_argument_unless(given == expected, function, argument, "has %zu sequences, nll has %zu", given, expected);
}

}  // namespace detail

/// @param nll N_b; @param reference N_b^ref; @param slope receives dL/dN_b = -2 sigmoid(-beta (N_b - N_b^ref)), which
///        tends to -1 as beta -> 0: gradient ascent on the sequence sums.
/// @throws std::invalid_argument unless the sizes agree and beta > 0.
/// @note At N = N^ref each loss is (2/beta) log 2. No overflow for any argument.
inline loss_sum npo(std::span<const double> nll, std::span<const double> reference, std::span<double> slope,
                    double beta = 0.1) {
  const char* function = "hone::loss::npo";
  detail::check_sequences(reference.size(), nll.size(), function, "reference");
  detail::check_sequences(slope.size(), nll.size(), function, "slope");
  return detail::log_sigmoid_loss(beta, slope, function, [&](std::size_t b) { return nll[b] - reference[b]; });
}

struct simnpo_options {
  double beta = 4.5;
  double delta = 0;
};

/// @param lengths |y_b|, the labels of sequence b that count; the slope is divided by it too.
/// @throws std::invalid_argument unless the sizes agree, beta > 0, and every length is positive.
inline loss_sum simnpo(std::span<const double> nll, std::span<const index_t> lengths, std::span<double> slope,
                       const simnpo_options& options = {}) {
  const char* function = "hone::loss::simnpo";
  detail::check_sequences(lengths.size(), nll.size(), function, "lengths");
  detail::check_sequences(slope.size(), nll.size(), function, "slope");
  for (std::size_t b = 0; b < lengths.size(); ++b)
    invalid_argument_unless(lengths[b] > 0, function, "lengths", "sequence %zu has %td labels, must have some", b,
                            lengths[b]);
  const loss_sum total = detail::log_sigmoid_loss(options.beta, slope, function, [&](std::size_t b) {
    return nll[b] / static_cast<double>(lengths[b]) - options.delta;
  });
  for (std::size_t b = 0; b < slope.size(); ++b) slope[b] /= static_cast<double>(lengths[b]);
  return total;
}

/// @param nll, reference of the answer to forget; @param refusal_nll, refusal_reference of the refusal;
///        @param slope receives dL/dN_b; the derivative with respect to W_b is -slope[b].
/// @throws std::invalid_argument unless the sizes agree and beta > 0.
inline loss_sum dpo(std::span<const double> nll, std::span<const double> reference, std::span<const double> refusal_nll,
                    std::span<const double> refusal_reference, std::span<double> slope, double beta = 0.1) {
  const char* function = "hone::loss::dpo";
  detail::check_sequences(reference.size(), nll.size(), function, "reference");
  detail::check_sequences(refusal_nll.size(), nll.size(), function, "refusal_nll");
  detail::check_sequences(refusal_reference.size(), nll.size(), function, "refusal_reference");
  detail::check_sequences(slope.size(), nll.size(), function, "slope");
  return detail::log_sigmoid_loss(beta, slope, function, [&](std::size_t b) {
    return (nll[b] - reference[b]) - (refusal_nll[b] - refusal_reference[b]);
  });
}

}  // namespace HONE_NAMESPACE::loss
