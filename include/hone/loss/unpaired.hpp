// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Preference losses that do not compare the two answers to one prompt. With d = log p - log q of an answer:
///   kto   desirable    desirable (1 - s(beta (d - z)))      [Ethayarajh et al. 2024, KTO, arXiv 2402.01306]
///         undesirable  undesirable (1 - s(beta (z - d)))
///         z = max(0, mean of d over answers put to the wrong prompts), held constant
///   aot   DPO's loss of the i-th smallest d among the chosen and the i-th smallest among the rejected
///                                                           [Melnyk et al. 2024, AOT, arXiv 2406.05882]
/// Both take N = -log p and give slopes dL/dN, as preference.hpp.
#pragma once
#include "hone/loss/preference.hpp"
#include "hone/loss/sequence.hpp"

#include <algorithm>
#include <vector>

namespace HONE_NAMESPACE::loss {

struct kto_options {
  double beta = 0.1;
  double desirable = 1;
  double undesirable = 1;
};

/// z from answers under prompts that they do not belong to (TRL: each with the next prompt of the batch); 0 for none.
/// @throws std::invalid_argument if the sizes differ.
inline double kto_reference_point(std::span<const double> nll, std::span<const double> reference) {
  detail::check_sequences(reference.size(), nll.size(), "hone::loss::kto_reference_point", "reference");
  double sum = 0;
  for (std::size_t b = 0; b < nll.size(); ++b) sum += reference[b] - nll[b];
  const double mean = nll.empty() ? 0 : sum / static_cast<double>(nll.size());
  return mean < 0 ? 0 : mean;
}

/// The loss summed over B answers.
/// @param desirable (B) 1 or 0; @param point z; @param slope (B) receives dL/dN.
/// @throws std::invalid_argument if sizes differ, beta is not positive, a weight is negative, or z is not finite.
/// @note Allocates nothing; bitwise for any executor.
template <executor E = const serial>
loss_sum kto(std::span<const double> nll, std::span<const double> reference, std::span<const std::uint8_t> desirable,
             double point, std::span<double> slope, const kto_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::loss::kto";
  detail::check_sequences(reference.size(), nll.size(), function, "reference");
  detail::check_sequences(desirable.size(), nll.size(), function, "desirable");
  detail::check_sequences(slope.size(), nll.size(), function, "slope");
  check_output(slope, function, "slope");
  detail::check_positive(options.beta, function, "beta");
  for (const double weight : {options.desirable, options.undesirable})
    invalid_argument_unless(weight >= 0 && weight < 1e300, function, "options",
                            "weights must be finite and at least 0, one is %g", weight);
  invalid_argument_unless(std::abs(point) < 1e300, function, "point", "must be finite, is %g", point);
  double sums[3];
  blocked_sum<3, 1>(
      static_cast<index_t>(nll.size()), sums,
      [&](index_t i, index_t, double* partial) {
        const auto b = static_cast<std::size_t>(i);
        const double side = desirable[b] != 0 ? 1 : -1,
                     weight = desirable[b] != 0 ? options.desirable : options.undesirable;
        const double x = side * options.beta * (reference[b] - nll[b] - point), miss = sigmoid(-x);
        slope[b] = side * options.beta * weight * miss * sigmoid(x);
        partial[0] = weight * miss;
        partial[1] = 1;
        partial[2] = !std::isfinite(miss);
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

/// DPO between sorted answers, of equals the earlier first; the sets need not be answers to the same prompts.
/// @throws std::invalid_argument as `preference`, or if a log-ratio is NaN, which has no rank; nothing is written then.
/// @note A function of the whole batch: a part of it has other ranks. O(B log B), 32 B a pair allocated.
inline loss_sum aot(const preference_pairs& pairs, std::span<double> chosen_slope, std::span<double> rejected_slope,
                    const dpo_loss& loss = {}) {
  const char* function = "hone::loss::aot";
  detail::check_pairs(pairs, chosen_slope, rejected_slope, false, false, function);
  loss.check();
  const std::size_t n = pairs.chosen.size();
  struct ranked {
    double value;
    std::size_t answer;
  };
  std::vector<ranked> chosen(n), rejected(n);
  for (std::size_t b = 0; b < n; ++b) {
    chosen[b] = {detail::log_ratio(pairs.chosen, pairs.chosen_reference, pairs.chosen_length, b), b};
    rejected[b] = {detail::log_ratio(pairs.rejected, pairs.rejected_reference, pairs.rejected_length, b), b};
    invalid_argument_unless(chosen[b].value == chosen[b].value && rejected[b].value == rejected[b].value, function,
                            "pairs", "pair %zu has a log-ratio that is not a number", b);
  }
  for (auto* list : {&chosen, &rejected})
    std::stable_sort(list->begin(), list->end(), [](const ranked& x, const ranked& y) { return x.value < y.value; });
  loss_sum total{.count = static_cast<index_t>(n)};
  for (std::size_t i = 0; i < n; ++i) {
    const preference_value value = loss(chosen[i].value, rejected[i].value);
    chosen_slope[chosen[i].answer] = detail::slope_of(value.by_chosen, pairs.chosen_length, chosen[i].answer);
    rejected_slope[rejected[i].answer] = detail::slope_of(value.by_rejected, pairs.rejected_length, rejected[i].answer);
    total.sum += value.loss;
    total.nonfinite += !std::isfinite(value.loss);
  }
  return total;
}

}  // namespace HONE_NAMESPACE::loss
