// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A batch as a masked-diffusion model is trained on it: times, masks, labels, what each masked place weighs
/// (diffusion/objective.hpp), and, where experts choose, how many tokens they take of a sequence by how many are masked
/// (moe/schedule.hpp). [2604.01622; Nie et al. 2025, LLaDA, arXiv 2502.09992]
#pragma once
#include "hone/diffusion/objective.hpp"
#include "hone/transformer/batch.hpp"

namespace HONE_NAMESPACE::transformer {

struct masked_rows {
  std::vector<std::int32_t> noised, labels;  ///< a row each; label -1: not masked
  std::vector<double> weights;               ///< of a row's loss
  std::vector<index_t> offsets;
  std::vector<index_t> counts;      ///< a sequence each: how many are masked
  std::vector<index_t> capacities;  ///< a sequence each; empty without a budget
  double divisor = 0;               ///< of the weighted sum; of a batch of nothing masked 0 for some weightings

  [[nodiscard]] transformer::batch batch() const { return {noised, offsets, capacities}; }
  [[nodiscard]] index_t sequences() const { return std::ssize(counts); }
};

struct noise_options {
  std::int32_t mask_token = -1;
  diffusion::weighting weighting = diffusion::weighting::exact_ratio;
  diffusion::times times = diffusion::times::stratified;
  double least_time = 0;  ///< of `inverse` and `answer`, whose weights are 1 / t: above 0
  std::span<const std::uint8_t> may = {};
  /// Capacities by masked tokens, [n - 1] of n, as of `moe::budget`; 0 is folded into 1, more than there are into the
  /// last.
  std::span<const index_t> budget = {};
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t first_sequence = 0;  ///< the number of the first one, where a batch is masked in parts
  index_t batch = 0;                 ///< sequences of the whole, whose strata times are of; 0: there are no more
};

namespace detail {

inline void weigh(const batch& clean, const noise_options& options, std::span<const double> values, masked_rows& r) {
  r.labels.resize(clean.tokens.size());
  r.weights.resize(clean.tokens.size());
  r.divisor = diffusion::row_weights(options.weighting,
                                     {.tokens = clean.tokens,
                                      .noised = r.noised,
                                      .offsets = clean.offsets,
                                      .may = options.may,
                                      .values = values,
                                      .mask_token = options.mask_token},
                                     r.labels, r.weights);
  if (options.budget.empty()) return;
  for (const index_t n : r.counts) {
    const index_t at = (min)((max)(n, index_t{1}), std::ssize(options.budget));
    r.capacities.push_back(options.budget[static_cast<std::size_t>(at - 1)]);
  }
}

inline masked_rows blank(const char* function, const batch& clean, const noise_options& options) {
  invalid_argument_unless(!clean.offsets.empty(), function, "clean", "has no offsets");
  invalid_argument_unless(options.may.empty() || options.may.size() == clean.tokens.size(), function, "may",
                          "has %zu elements for %zu tokens", options.may.size(), clean.tokens.size());
  for (std::size_t i = 0; i < clean.tokens.size(); ++i)
    invalid_argument_unless(clean.tokens[i] != options.mask_token || (!options.may.empty() && options.may[i] == 0),
                            function, "clean", "token %zu, which may be masked, is the mask itself", i);
  masked_rows r;
  r.noised.resize(clean.tokens.size());
  r.offsets.assign(clean.offsets.begin(), clean.offsets.end());
  r.counts.resize(clean.offsets.size() - 1);
  return r;
}

}  // namespace detail

/// Draws a time for each sequence of @p clean and masks each of its tokens with that chance, at least one of those that
/// may be; where weights are 1 / t, there may be none: with one more, whose weight is the larger the less likely a mask
/// was, the sum would be no estimate of LLaDA's or MDLM's loss.
/// @throws std::invalid_argument as `diffusion::draw_times`, `mask_at` and `row_weights`, or if a token that may be
///         masked is the mask: it would be learnt, and not counted.
/// @note Draws are addressed by (seed, step, sequence, position): parts of a batch that say where they begin, and of
///       how many sequences they are, have the masks of the whole. A few passes over the tokens; allocates.
inline masked_rows mask_by_time(const batch& clean, const noise_options& options) {
  masked_rows r = detail::blank("hone::transformer::mask_by_time", clean, options);
  std::vector<double> t(r.counts.size());
  const diffusion::draw_address address{options.seed, options.step, options.first_sequence};
  const bool valued =
      options.weighting == diffusion::weighting::inverse || options.weighting == diffusion::weighting::answer;
  diffusion::draw_times(options.times, t, address, options.least_time, options.batch);
  diffusion::mask_at(
      clean.tokens, clean.offsets, t,
      {.mask_token = options.mask_token, .may = options.may, .at_least_one = !valued, .address = address}, r.noised,
      r.counts);
  detail::weigh(clean, options, valued ? std::span<const double>(t) : std::span<const double>(), r);
  return r;
}

/// Masks exactly @p counts[s] tokens of each sequence, as many as may be at most, weighted by `exact_ratio`: for
/// measures, on the same masks each time. Of the options weighting, times and least time are not read.
/// @throws std::invalid_argument as `diffusion::mask_exactly`, or if a token that may be masked is the mask.
inline masked_rows mask_by_count(const batch& clean, std::span<const index_t> counts, noise_options options) {
  const char* function = "hone::transformer::mask_by_count";
  masked_rows r = detail::blank(function, clean, options);
  invalid_argument_unless(std::ssize(counts) == clean.sequences(), function, "counts",
                          "has %zu elements for %td sequences", counts.size(), clean.sequences());
  r.counts.assign(counts.begin(), counts.end());
  diffusion::mask_exactly(clean.tokens, clean.offsets, r.counts,
                          {.mask_token = options.mask_token,
                           .may = options.may,
                           .address = {options.seed, options.step, options.first_sequence}},
                          r.noised);
  options.weighting = diffusion::weighting::exact_ratio;
  detail::weigh(clean, options, {}, r);
  return r;
}

}  // namespace HONE_NAMESPACE::transformer
