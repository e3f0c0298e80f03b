// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How well a model knows some lessons [Maini et al. 2024, TOFU, arXiv 2401.06121]: the probability of the answer,
/// exp(-mean l); whether greedy decoding gives it word for word; and ROUGE-L recall of what it gives.
#pragma once
#include "hone/eval/rouge.hpp"
#include "hone/io/pair_codec.hpp"
#include "hone/transformer/generate.hpp"

namespace knowledge {

using hone::index_t;

struct score {
  double answer_probability = 0;
  double exact_match = 0;
  double rouge_l = 0;
};

/// What takes generating, an element for each lesson: exact match and ROUGE-L.
struct recital {
  std::vector<double> exact, rouge_l;
};

/// The model's answers may run half as long again as the lessons', and ten tokens more.
template <hone::executor E>
recital recite(const hone::transformer::decoder<float>& model, std::span<const float> parameters,
               const std::vector<hone::io::encoded_pair>& lessons, const hone::io::pair_codec& codec, E& pool) {
  recital result{std::vector<double>(lessons.size()), std::vector<double>(lessons.size())};
  const hone::transformer::generator<float> generate(model, parameters);
  std::vector<std::int32_t> stop = codec.begin;
  stop.push_back(codec.end);
  pool.parallel_for(static_cast<index_t>(lessons.size()), index_t{1}, [&](index_t first, index_t last) {
    for (index_t i = first; i < last; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const hone::io::encoded_pair& l = lessons[k];
      const index_t offsets[] = {0, static_cast<index_t>(l.prompt.size())};
      const auto most = static_cast<index_t>(l.answer.size()) * 3 / 2 + 10;
      const auto said = generate({l.prompt, offsets}, {.max_tokens = most, .stop = stop})[0].tokens;
      result.exact[k] = said.size() + 1 == l.answer.size() && std::equal(said.begin(), said.end(), l.answer.begin());
      result.rouge_l[k] = hone::eval::rouge_l(l.answer_text, codec.text(said)).recall;
    }
  });
  return result;
}

}  // namespace knowledge
