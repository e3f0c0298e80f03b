// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// TOFU's own measures [Maini et al. 2024, arXiv 2401.06121] of a student, from its files of paraphrased and perturbed
/// answers.
#pragma once
#include "support/tofu_table.hpp"
#include "unlearn/student.hpp"

#include <optional>

namespace unlearn {

/// One of the benchmark's four sets. Facts about the world have no paraphrase: the answer itself is the right one.
struct tofu_set {
  eval::tofu_part part;
  std::vector<encoded_pair> answers, right, wrong;  ///< wrong: question by question, as many of each
};

/// The first @p most questions of @p file. @throws std::runtime_error if a question has no perturbed answers, or
/// another number of them than the first.
inline tofu_set read_tofu_set(eval::tofu_part part, const std::string& file, const io::pair_codec& codec,
                              index_t max_seq, std::size_t most = 300) {
  std::vector<io::question_answer> pairs = io::read_question_answers(file, most), right = pairs, wrong;
  const std::size_t each = pairs.front().perturbed_answers.size();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (each == 0 || pairs[i].perturbed_answers.size() != each)
      throw std::runtime_error(file + ": question " + std::to_string(i + 1) + " has " +
                               std::to_string(pairs[i].perturbed_answers.size()) + " perturbed answers");
    if (!pairs[i].paraphrased_answer.empty()) right[i].answer = pairs[i].paraphrased_answer;
    for (const std::string& answer : pairs[i].perturbed_answers) wrong.push_back({pairs[i].question, answer, {}, {}});
  }
  const auto encode = [&](const auto& list) { return encode_pairs(list, file, codec, max_seq); };
  return {part, encode(pairs), encode(right), encode(wrong)};
}

/// What a student makes of a set: mean negative log-likelihoods of a token, and ROUGE-L recall.
struct tofu_paper {
  std::vector<double> answer, right, wrong, rouge_l;

  [[nodiscard]] eval::tofu_answers view() const { return {answer, right, wrong, rouge_l}; }
};

inline tofu_paper sit(student& pupil, const tofu_set& set, const io::pair_codec& codec) {
  const auto losses = [&](const std::vector<encoded_pair>& pairs) {
    return pupil.net().mean_nll(io::labelled_rows_of(pairs));
  };
  return {losses(set.answers), losses(set.right), losses(set.wrong), pupil.net().recite(set.answers, codec).rouge_l};
}

/// The measures of @p pupil on @p sets; model utility where the three kept ones are there, and forget quality against
/// @p retrained, a student that was never taught what is to be forgotten. Prints them, and returns them.
inline nlohmann::json examine_tofu(student& pupil, student* retrained, const std::vector<tofu_set>& sets,
                                   const io::pair_codec& codec) {
  program::tofu_table table;
  std::optional<tofu_paper> forgotten, other;
  for (const tofu_set& set : sets) {
    const tofu_paper paper = sit(pupil, set, codec);
    table.add(set.part, paper.view());
    if (set.part != eval::tofu_part::forget || retrained == nullptr) continue;
    forgotten = paper;
    other = sit(*retrained, set, codec);
  }
  table.print("TOFU");
  nlohmann::json result = table.sets();
  if (const nlohmann::json utility = table.model_utility(); !utility.is_null()) result["model_utility"] = utility;
  if (other) result["forget_quality"] = program::print_forget_quality(forgotten->view(), other->view());
  return result;
}

}  // namespace unlearn
