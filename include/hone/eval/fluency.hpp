// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Fluency by the variety of n-grams: a model that repeats itself has little. [Zhang et al. 2018, arXiv 1809.05972; as
/// in ROME, arXiv 2202.05262, and RWKU]
#pragma once
#include "hone/eval/numbering.hpp"

#include <cmath>

namespace HONE_NAMESPACE::eval {

/// The entropy in bits of the n-grams of @p tokens, numbers of words or the tokens of a model (the two give different
/// values: RWKU takes the words of nltk.word_tokenize). 0 with fewer than n + 1 tokens.
/// @throws std::invalid_argument unless n > 0. @note Linear.
inline double ngram_entropy(std::span<const std::int32_t> tokens, index_t n) {
  ngram_numbering grams(n);
  const auto numbers = grams(tokens);
  std::vector<index_t> counts(grams.size(), 0);
  for (const std::int32_t gram : numbers) ++counts[static_cast<std::size_t>(gram)];
  double entropy = 0;
  for (const index_t count : counts) {
    const double share = static_cast<double>(count) / static_cast<double>(numbers.size());
    entropy -= share * std::log2(share);
  }
  return entropy;
}

/// (2/3 H_2 + 4/3 H_3) / 2 of one text; the score of a model is the mean over its texts.
inline double fluency(std::span<const std::int32_t> tokens) {
  return (2.0 / 3 * ngram_entropy(tokens, 2) + 4.0 / 3 * ngram_entropy(tokens, 3)) / 2;
}

}  // namespace HONE_NAMESPACE::eval
