// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Membership inference: was this text in the training data? Each score is the larger, the less likely the text is a
/// member, as in open-unlearning; RWKU's authors print the negatives. Of the token log-probabilities l_t of one text:
///   loss       -mean l_t                                            [Yeom et al. 2018]
///   reference  its loss - that under a model that never saw it      [Carlini et al. 2022]
///   zlib       its loss / bytes of the text that zlib compressed    [Carlini et al. 2021, arXiv 2012.07805]
///   gradnorm   mean over tensors of the norm of d loss / d tensor   [Wang et al. 2024, arXiv 2402.17012]
///   min-k      -mean of the share k of smallest l_t                 [Shi et al. 2024, arXiv 2310.16789]
///   min-k++    the same of (l_t - mean) / deviation of log p under the model's own p
///                                                                   [Zhang et al. 2024, arXiv 2404.02936]
/// `auc` (statistics/roc.hpp) of the scores of non-members against those of members says how well a score tells them
/// apart: 0.5 not at all. All are linear in the tokens of the text but for the sort of the share k; min-k and min-k++
/// allocate one copy of them.
#pragma once
#include "hone/core/packs.hpp"
#include "hone/core/simd_math.hpp"
#include "hone/statistics/means.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::eval {

/// What min-k++ wants of a row of logits: log p(y), and mean and variance of log p(v) with v drawn from p.
struct token_moments {
  double log_probability = 0;
  double mean = 0;
  double variance = 0;
};

/// @param logits of one position; @param target the token that follows. Logits of -infinity are absent from the mean.
/// @throws std::invalid_argument if target is not in [0, size).
/// @note Two reads of the row; exponentials in the row's accumulator type, sums in double; allocates nothing.
template <vector_like Z>
token_moments moments_of(const Z& logits, index_t target) {
  const auto z = as_vector(logits);
  using A = accumulator_t<element_t<Z>>;
  using packs = simd::pack<A>;
  invalid_argument_unless(0 <= target && target < z.size(), "hone::eval::moments_of", "target",
                          "must be in [0, %td), is %td", z.size(), target);
  constexpr A none = -std::numeric_limits<A>::infinity();
  constexpr index_t tile = 1024;  // lanes are emptied into doubles before they lose digits
  packs largest(none);
  for_each_pack<packs::lanes>(
      0, z.size(),
      [&](index_t i, auto bound) HONE_INLINE_LAMBDA { largest = (simd::max)(load_pack(z, i, bound, none), largest); },
      z);
  const A top = simd::horizontal_max(largest);
  double sum = 0, first = 0, second = 0;  // of e^x, x e^x, x^2 e^x with x = z - top
  for (index_t begin = 0; begin < z.size(); begin += tile) {
    packs sums(0), firsts(0), seconds(0);
    for_each_pack<packs::lanes>(
        begin, (min)(begin + tile, z.size()),
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs x = load_pack(z, i, bound, none) - packs(top);
          const packs e = simd::exp_nonpositive(x);
          const packs weighted = select(e == packs(0), packs(0), x * e);
          sums += e;
          firsts += weighted;
          seconds += select(e == packs(0), packs(0), x * weighted);
        },
        z);
    sum += static_cast<double>(simd::horizontal_sum(sums));
    first += static_cast<double>(simd::horizontal_sum(firsts));
    second += static_cast<double>(simd::horizontal_sum(seconds));
  }
  const double mean = first / sum, log_sum = std::log(sum);
  const double of_target = static_cast<double>(to_accumulator(z[target])) - static_cast<double>(top);
  return {of_target - log_sum, mean - log_sum, (max)(0.0, second / sum - mean * mean)};
}

namespace detail {
inline void check_share(double share, std::size_t tokens, const char* function) {
  invalid_argument_unless(share > 0 && share <= 1, function, "share", "must be in (0, 1], is %g", share);
  invalid_argument_unless(tokens > 0, function, "log_probabilities", "is empty");
}
/// -mean of the smallest max(1, floor(share n)); @p values are reordered.
inline double negative_mean_of_least(std::span<double> values, double share) {
  const auto n = static_cast<double>(values.size());
  const auto taken = (max)(std::size_t{1}, static_cast<std::size_t>(n * share));
  if (taken < values.size())
    std::nth_element(values.begin(), values.begin() + static_cast<index_t>(taken) - 1, values.end());
  // One order of addition, whatever the input's.
  std::sort(values.begin(), values.begin() + static_cast<index_t>(taken));
  double sum = 0;
  for (std::size_t i = 0; i < taken; ++i) sum += values[i];
  return -sum / static_cast<double>(taken);
}
}  // namespace detail

/// The loss of a text: min-k of all its tokens. @throws std::invalid_argument if there is none.
inline double loss_score(std::span<const double> log_probabilities) {
  invalid_argument_unless(!log_probabilities.empty(), "hone::eval::loss_score", "log_probabilities", "is empty");
  return -statistics::estimate_mean(log_probabilities).mean;
}

/// @param loss of the text; @param reference_loss the same under a model that has not seen it.
inline double reference_score(double loss, double reference_loss) { return loss - reference_loss; }

/// @param loss of the text; @param compressed_bytes its length after zlib, as the caller's zlib has it.
/// @throws std::invalid_argument unless that is positive.
inline double zlib_score(double loss, index_t compressed_bytes) {
  invalid_argument_unless(compressed_bytes > 0, "hone::eval::zlib_score", "compressed_bytes",
                          "must be positive, is %td", compressed_bytes);
  return loss / static_cast<double>(compressed_bytes);
}

/// @param norms of the loss's gradient, one a parameter tensor, in 1-, 2- or maximum norm.
/// @throws std::invalid_argument if there is none.
inline double gradient_norm_score(std::span<const double> norms) {
  invalid_argument_unless(!norms.empty(), "hone::eval::gradient_norm_score", "norms", "is empty");
  return statistics::estimate_mean(norms).mean;
}

/// -mean of the smallest max(1, floor(share n)) of the text's n token log-probabilities. NaN where one of them is.
/// @throws std::invalid_argument if there is none, or share is not in (0, 1].
inline double min_k(std::span<const double> log_probabilities, double share = 0.2) {
  detail::check_share(share, log_probabilities.size(), "hone::eval::min_k");
  std::vector<double> values(log_probabilities.begin(), log_probabilities.end());
  for (const double v : values)
    if (std::isnan(v)) return v;
  return detail::negative_mean_of_least(values, share);
}

/// As `min_k`, of (l - mean) / sqrt(variance) with variances below @p least_variance raised to it (where one token has
/// all the probability there is none).
/// @throws std::invalid_argument if there is no token, or share is not in (0, 1].
inline double min_k_plus_plus(std::span<const token_moments> tokens, double share = 0.2, double least_variance = 1e-6) {
  detail::check_share(share, tokens.size(), "hone::eval::min_k_plus_plus");
  std::vector<double> values;
  values.reserve(tokens.size());
  for (const token_moments& t : tokens) {
    values.push_back((t.log_probability - t.mean) / std::sqrt((max)(t.variance, least_variance)));
    if (std::isnan(values.back())) return values.back();
  }
  return detail::negative_mean_of_least(values, share);
}

/// How an attack's AUC on the unlearned model compares with that on a model that never saw the text, in percent:
/// 100 (auc' - retrained') / (retrained' + 1e-10) with x' = 1 - x. 0 is no trace; positive means that forgotten texts
/// look less like members than texts never seen do. [Shi et al. 2024, MUSE, arXiv 2407.06460, PrivLeak, of 1 - AUC as
/// open-unlearning has it]
inline double privacy_leakage(double auc, double retrained_auc) {
  return 100 * ((1 - auc) - (1 - retrained_auc)) / ((1 - retrained_auc) + 1e-10);
}

}  // namespace HONE_NAMESPACE::eval
