// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Question-answer pairs as rows of a decoder: begin of text, question, answer, end of text; only the answer and the
/// end have labels.
#pragma once
#include "hone/core/random.hpp"
#include "hone/io/json_lines.hpp"
#include "hone/loss/batch.hpp"
#include "hone/transformer/decoder.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace lessons {

using hone::index_t;

/// Text to ids and back.
struct codec {
  std::function<std::vector<std::int32_t>(const std::string& question)> question;
  std::function<std::vector<std::int32_t>(const std::string& answer)> answer;
  std::function<std::string(const std::vector<std::int32_t>&)> text;
  std::vector<std::int32_t> begin = {1};  ///< of text; empty where a vocabulary has none
  std::int32_t end = 2;                   ///< of text
};

struct lesson {
  std::vector<std::int32_t> prompt;  ///< begin of text and question
  std::vector<std::int32_t> answer;  ///< with the end of text
  std::string answer_text;
};

/// @throws std::runtime_error if a pair is longer than the model's context.
inline std::vector<lesson> encode(const std::vector<hone::io::question_answer>& pairs, const codec& c,
                                  index_t max_seq) {
  std::vector<lesson> result;
  for (const auto& pair : pairs) {
    lesson l{c.begin, c.answer(pair.answer), pair.answer};
    const auto question = c.question(pair.question);
    l.prompt.insert(l.prompt.end(), question.begin(), question.end());
    l.answer.push_back(c.end);
    if (static_cast<index_t>(l.prompt.size() + l.answer.size()) > max_seq)
      throw std::runtime_error("a pair of " + std::to_string(l.prompt.size() + l.answer.size()) +
                               " tokens does not fit the model's " + std::to_string(max_seq) + ": \"" + pair.question +
                               "\"");
    result.push_back(std::move(l));
  }
  return result;
}

/// Some lessons as one batch with labels.
struct rows {
  std::vector<std::int32_t> tokens, targets;
  std::vector<index_t> offsets = {0};
  std::vector<index_t> labels;  ///< of each lesson

  void add(const lesson& l) { add(l.prompt, l.answer); }
  void add(const std::vector<std::int32_t>& prompt, const std::vector<std::int32_t>& answer) {
    tokens.insert(tokens.end(), prompt.begin(), prompt.end());
    tokens.insert(tokens.end(), answer.begin(), answer.end() - 1);
    targets.insert(targets.end(), prompt.size() - 1, hone::loss::ignored);
    targets.insert(targets.end(), answer.begin(), answer.end());
    offsets.push_back(static_cast<index_t>(tokens.size()));
    labels.push_back(static_cast<index_t>(answer.size()));
  }
  [[nodiscard]] hone::transformer::batch batch() const { return {tokens, offsets}; }
  [[nodiscard]] index_t label_count() const { return std::accumulate(labels.begin(), labels.end(), index_t{0}); }
};

inline rows all_rows(const std::vector<lesson>& lessons) {
  rows r;
  for (const lesson& l : lessons) r.add(l);
  return r;
}

/// Indices of lessons, a batch at a time: every epoch is a permutation of its own, a function of (seed, epoch).
class shuffler {
 public:
  shuffler(std::size_t count, hone::philox random) : order_(count), random_(random) { shuffle(); }

  std::size_t next() {
    if (at_ == order_.size()) {
      ++epoch_;
      shuffle();
    }
    return order_[at_++];
  }

 private:
  void shuffle() {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    for (std::size_t i = order_.size(); i > 1; --i)
      std::swap(order_[i - 1], order_[static_cast<std::size_t>(random_.uniform(i, epoch_) * static_cast<double>(i))]);
    at_ = 0;
  }

  std::vector<std::size_t> order_;
  hone::philox random_;
  std::uint32_t epoch_ = 0;
  std::size_t at_ = 0;
};

}  // namespace lessons
