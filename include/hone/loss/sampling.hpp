// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One token from a row of logits: greedy, or drawn from softmax(z / temperature) cut to its top k tokens,
/// renormalized, and then to its nucleus, the fewest tokens whose probabilities reach top_p [Holtzman et al. 2020,
/// arXiv 1904.09751]; the order in which Hugging Face applies them.
#pragma once
#include "hone/core/random.hpp"
#include "hone/loss/row.hpp"

#include <algorithm>
#include <vector>

namespace HONE_NAMESPACE::loss {

struct sampling_options {
  double temperature = 0;  ///< 0: greedy; any positive one, however small or large, is drawn at
  index_t top_k = 0;       ///< 0: all
  double top_p = 1;
  std::uint64_t seed = 0;
};

/// @throws std::invalid_argument unless temperature >= 0, top_k >= 0 and 0 < top_p <= 1.
inline void validate(const sampling_options& o) {
  const char* function = "hone::loss::sampling_options";
  invalid_argument_unless(o.temperature >= 0 && o.temperature < 1e300, function, "temperature",
                          "must be finite and at least 0, is %g", o.temperature);
  invalid_argument_unless(o.top_k >= 0, function, "top_k", "must be at least 0, is %td", o.top_k);
  invalid_argument_unless(o.top_p > 0 && o.top_p <= 1, function, "top_p", "must be in (0, 1], is %g", o.top_p);
}

struct sampled_token {
  std::int32_t token;
  /// log p(token) under softmax(z / temperature) before any cut; temperature 1 where sampling is greedy.
  double log_probability;
};

/// The token for position @p position of sequence @p sequence: the draw is a function of (seed, step, sequence,
/// position), @p step for those who come back to a position.
/// A temperature so small that only the largest logits survive draws among these, alike; greedy takes the first.
/// @param scratch grows to the vocabulary; keep it between calls. Equal logits rank by id, the lower first.
/// @throws std::invalid_argument as `validate`, and if the row has no distribution: a logit is NaN or +inf, or all are
///         -inf (absent, as those of masked tokens, which are never drawn).
template <vector_like Z>
sampled_token sample_token(const Z& logits, const sampling_options& options, std::uint32_t sequence,
                           std::uint32_t position, std::vector<std::pair<double, std::int32_t>>& scratch,
                           std::uint32_t step = 0) {
  validate(options);
  const auto z = as_vector(logits);
  const auto logit = [&](index_t v) { return static_cast<double>(to_accumulator(z[v])); };
  const double temperature = options.temperature > 0 ? options.temperature : 1;
  const log_normalizer normalizer = summarize(z, temperature).normalizer;
  invalid_argument_unless(normalizer.log_sum == normalizer.log_sum, "hone::loss::sample_token", "logits",
                          "have no distribution, the largest of %td is %g", z.size(), normalizer.maximum);
  const auto chosen = [&](index_t v) {
    return sampled_token{static_cast<std::int32_t>(v), normalizer.log_probability(logit(v))};
  };
  if (options.temperature == 0) {
    index_t best = 0;
    while (logit(best) != normalizer.maximum) ++best;
    return chosen(best);
  }
  // Tokens below this are not in the nucleus: even without all of them it would be full.
  const double least = options.top_k == 0 ? (1 - options.top_p) / static_cast<double>(z.size()) : 0;
  scratch.clear();
  for (index_t v = 0; v < z.size(); ++v)
    if (const double p = std::exp(normalizer.log_probability(logit(v)));
        p > 0 && (p >= least || logit(v) == normalizer.maximum))
      scratch.emplace_back(p, static_cast<std::int32_t>(v));
  // Of equal probabilities, which different logits may round to, by the logit.
  const auto likelier = [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first > b.first;
    const double x = logit(a.second), y = logit(b.second);
    return x != y ? x > y : a.second < b.second;
  };
  if (options.top_k > 0 && options.top_k < static_cast<index_t>(scratch.size())) {
    std::nth_element(scratch.begin(), scratch.begin() + options.top_k, scratch.end(), likelier);
    scratch.resize(static_cast<std::size_t>(options.top_k));
  }
  const auto total = [&] {
    double sum = 0;
    for (const auto& [p, v] : scratch) sum += p;
    return sum;
  };
  if (options.top_p < 1) {
    std::sort(scratch.begin(), scratch.end(), likelier);
    const double enough = options.top_p * (options.top_k > 0 ? total() : 1);
    double sum = scratch.front().first;
    std::size_t kept = 1;
    while (kept < scratch.size() && sum < enough) sum += scratch[kept++].first;
    scratch.resize(kept);
  }
  if (options.top_k > 0 || options.top_p < 1)
    std::sort(scratch.begin(), scratch.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const double u = philox{options.seed, step}.uniform((std::uint64_t{sequence} << 32) | position) * total();
  // The largest logit is always in the list.
  std::size_t i = 0;
  for (double sum = scratch[0].first; i + 1 < scratch.size() && !(sum > u); sum += scratch[i].first) ++i;
  return chosen(scratch[i].second);
}

}  // namespace HONE_NAMESPACE::loss
