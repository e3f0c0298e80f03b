// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Multiple choice by log-likelihood, as lm-evaluation-harness scores it: a model chooses the continuation that it
/// finds likeliest. How a sum over tokens is compared across choices of different length is the metric's name:
///   acc               log p(choice | question)
///   acc_norm          ... / characters of the choice
///   acc_bytes         ... / bytes of the choice
///   acc_mutual_info   log p(choice | question) - log p(choice)
/// Accuracy is the mean over items of choice = gold (`accuracy`), its error that of a mean, groups of tasks are pooled
/// by items (`statistics::pool_items`, statistics/means.hpp) or each alike (`statistics::average_groups`).
/// All functions here make one pass and allocate nothing, but `accuracy`, which holds a double an item.
#pragma once
#include "hone/statistics/means.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace HONE_NAMESPACE::eval {

namespace detail {
/// The first of the largest scores; NaN is never chosen, and of nothing else -1, which is no gold.
template <class Score>
index_t first_largest(std::size_t count, Score&& score) {
  index_t chosen = -1;
  double best = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double value = score(i);
    if (std::isnan(value) || (chosen >= 0 && !(value > best))) continue;
    best = value;
    chosen = static_cast<index_t>(i);
  }
  return chosen;
}
}  // namespace detail

/// The likeliest choice: acc. Ties go to the first, among choices that masked tokens make impossible (-inf) too; NaNs
/// are never chosen; -1 where there is nothing else.
inline index_t choose(std::span<const double> log_likelihoods) {
  return detail::first_largest(log_likelihoods.size(), [&](std::size_t i) { return log_likelihoods[i]; });
}

/// The likeliest by unit of length: acc_norm of characters (`count_characters`), acc_bytes of bytes, or tokens.
/// @throws std::invalid_argument if the sizes differ or a length is not positive.
inline index_t choose_by_length(std::span<const double> log_likelihoods, std::span<const index_t> lengths) {
  const char* function = "hone::eval::choose_by_length";
  invalid_argument_unless(lengths.size() == log_likelihoods.size(), function, "lengths",
                          "has %zu elements, log_likelihoods %zu", lengths.size(), log_likelihoods.size());
  for (std::size_t i = 0; i < lengths.size(); ++i)
    invalid_argument_unless(lengths[i] > 0, function, "lengths", "choice %zu has length %td, must be positive", i,
                            lengths[i]);
  return detail::first_largest(log_likelihoods.size(),
                               [&](std::size_t i) { return log_likelihoods[i] / static_cast<double>(lengths[i]); });
}

/// The one that the question helps most: acc_mutual_info. @p unconditional: log p(choice) after no question.
/// @throws std::invalid_argument if the sizes differ.
inline index_t choose_by_information(std::span<const double> log_likelihoods, std::span<const double> unconditional) {
  invalid_argument_unless(unconditional.size() == log_likelihoods.size(), "hone::eval::choose_by_information",
                          "unconditional", "has %zu elements, log_likelihoods %zu", unconditional.size(),
                          log_likelihoods.size());
  return detail::first_largest(log_likelihoods.size(),
                               [&](std::size_t i) { return log_likelihoods[i] - unconditional[i]; });
}

/// Characters (code points) of UTF-8 @p text: bytes that do not continue one.
inline index_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

/// The share of items whose choice is the gold one. @throws std::invalid_argument if the sizes differ.
inline statistics::mean_estimate accuracy(std::span<const index_t> chosen, std::span<const index_t> gold) {
  invalid_argument_unless(chosen.size() == gold.size(), "hone::eval::accuracy", "chosen", "has %zu items, gold %zu",
                          chosen.size(), gold.size());
  std::vector<double> right;
  right.reserve(gold.size());
  for (std::size_t i = 0; i < gold.size(); ++i) right.push_back(chosen[i] == gold[i] ? 1 : 0);
  return statistics::estimate_mean(right);
}

}  // namespace HONE_NAMESPACE::eval
