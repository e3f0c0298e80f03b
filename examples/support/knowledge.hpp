// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How well a model knows some lessons [Maini et al. 2024, TOFU, arXiv 2401.06121]: the probability of the answer,
/// exp(-mean l); whether greedy decoding gives it word for word; and ROUGE-L recall of what it gives, over lower-case
/// words without stemming.
#pragma once
#include "hone/loss/sequence.hpp"
#include "hone/transformer/generate.hpp"
#include "hone/transformer/trainer.hpp"
#include "support/lessons.hpp"

#include <cctype>

namespace knowledge {

using hone::index_t;

struct score {
  double answer_probability = 0;
  double exact_match = 0;
  double rouge_l = 0;
};

inline std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> result;
  bool inside = false;
  for (const char c : text) {
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (letter && !inside) result.emplace_back();
    if (letter) result.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    inside = letter;
  }
  return result;
}

/// The longest common subsequence of words over the words of @p reference; 1 where that has none.
inline double rouge_l_recall(const std::string& candidate, const std::string& reference) {
  const auto a = words(candidate), b = words(reference);
  if (b.empty()) return 1;
  std::vector<std::size_t> above(b.size() + 1, 0), row(b.size() + 1, 0);
  for (const auto& word : a) {
    for (std::size_t j = 1; j <= b.size(); ++j)
      row[j] = word == b[j - 1] ? above[j - 1] + 1 : (std::max)(above[j], row[j - 1]);
    std::swap(above, row);
  }
  return static_cast<double>(above.back()) / static_cast<double>(b.size());
}

/// exp(-mean l) of every lesson of @p r, whose answers have the negative log-likelihoods @p nll.
inline std::vector<double> answer_probabilities(const lessons::rows& r, std::vector<double> nll) {
  for (std::size_t i = 0; i < nll.size(); ++i) nll[i] = std::exp(-nll[i] / static_cast<double>(r.labels[i]));
  return nll;
}

inline double mean(const std::vector<double>& x) {
  return x.empty() ? 0 : std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

/// The means over @p lessons of what takes generating: exact match and ROUGE-L. The model's answers may run half as
/// long again as the lessons', and ten tokens more.
template <hone::executor E>
score recite(const hone::transformer::decoder<float>& model, std::span<const float> parameters,
             const std::vector<lessons::lesson>& lessons, const lessons::codec& codec, E& pool) {
  score result;
  const hone::transformer::generator<float> generate(model, parameters);
  std::vector<std::int32_t> stop = codec.begin;
  stop.push_back(codec.end);
  std::vector<double> exact(lessons.size()), rouge(lessons.size());
  pool.parallel_for(static_cast<index_t>(lessons.size()), index_t{1}, [&](index_t first, index_t last) {
    for (index_t i = first; i < last; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const lessons::lesson& l = lessons[k];
      const index_t offsets[] = {0, static_cast<index_t>(l.prompt.size())};
      const auto most = static_cast<index_t>(l.answer.size()) * 3 / 2 + 10;
      const auto said = generate({l.prompt, offsets}, {.max_tokens = most, .stop = stop})[0].tokens;
      exact[k] = said.size() + 1 == l.answer.size() && std::equal(said.begin(), said.end(), l.answer.begin());
      rouge[k] = rouge_l_recall(codec.text(said), l.answer_text);
    }
  });
  result.exact_match = mean(exact);
  result.rouge_l = mean(rouge);
  return result;
}

}  // namespace knowledge
