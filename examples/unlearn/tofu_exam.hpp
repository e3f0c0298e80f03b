// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// TOFU's own measures [Maini et al. 2024, arXiv 2401.06121] of a student, from its files of paraphrased and perturbed
/// answers.
#pragma once
#include "hone/eval/tofu.hpp"
#include "unlearn/student.hpp"

#include <optional>

namespace unlearn {

/// One of the benchmark's four sets. Facts about the world have no paraphrase: the answer itself is the right one.
struct tofu_set {
  const char* name;
  eval::tofu_part part;
  std::vector<encoded_pair> answers, right, wrong;  ///< wrong: question by question, as many of each
};

/// The first @p most questions of @p file. @throws std::runtime_error if a question has no perturbed answers, or
/// another number of them than the first.
inline tofu_set read_tofu_set(const char* name, eval::tofu_part part, const std::string& file,
                              const io::pair_codec& codec, index_t max_seq, std::size_t most = 300) {
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
  return {name, part, encode(pairs), encode(right), encode(wrong)};
}

/// What a student makes of a set: mean negative log-likelihoods of a token, and ROUGE-L recall.
struct tofu_paper {
  std::vector<double> answer, right, wrong, rouge_l;

  [[nodiscard]] eval::tofu_answers view() const { return {answer, right, wrong, rouge_l}; }
};

inline tofu_paper sit(student& pupil, const tofu_set& set, const io::pair_codec& codec) {
  const auto losses = [&](const std::vector<encoded_pair>& pairs) {
    const labelled_rows rows = io::labelled_rows_of(pairs);
    std::vector<double> nll = pupil.net().sequence_nll(rows);
    for (std::size_t i = 0; i < nll.size(); ++i) nll[i] /= static_cast<double>(rows.labels[i]);
    return nll;
  };
  return {losses(set.answers), losses(set.right), losses(set.wrong), pupil.net().recite(set.answers, codec).rouge_l};
}

/// The measures of @p pupil on @p sets; model utility where the three kept ones are there, and forget quality against
/// @p retrained, a student that was never taught what is to be forgotten. Prints them, and returns them.
inline nlohmann::json examine_tofu(student& pupil, student* retrained, const std::vector<tofu_set>& sets,
                                   const io::pair_codec& codec) {
  using enum eval::tofu_part;
  nlohmann::json result;
  std::optional<eval::tofu_score> scores[4][2];
  std::printf("%-14s %18s %9s %13s %14s\n", "TOFU", "probability", "ROUGE-L", "truth (geom.)", "truth (arith.)");
  for (const tofu_set& set : sets) {
    const tofu_paper paper = sit(pupil, set, codec);
    auto& [geometric, arithmetic] = scores[static_cast<int>(set.part)];
    geometric = eval::score_tofu(paper.view(), set.part, eval::truth_ratio::geometric);
    arithmetic = eval::score_tofu(paper.view(), set.part, eval::truth_ratio::arithmetic);
    std::printf("%-14s %18.3f %9.3f %13.3f %14.3f\n", set.name, geometric->probability.mean, geometric->rouge_l.mean,
                geometric->truth_ratio.mean, arithmetic->truth_ratio.mean);
    result[set.name] = {
        {"questions", paper.answer.size()},
        {"probability", geometric->probability.mean},
        {"rouge_l", geometric->rouge_l.mean},
        {"truth_ratio", {{"geometric", geometric->truth_ratio.mean}, {"arithmetic", arithmetic->truth_ratio.mean}}}};
    if (set.part != forget || retrained == nullptr) continue;
    const tofu_paper other = sit(*retrained, set, codec);
    for (const auto& [name, kind] : {std::pair("geometric", eval::truth_ratio::geometric),
                                     std::pair("arithmetic", eval::truth_ratio::arithmetic)}) {
      const statistics::ks_result ks = eval::forget_quality(paper.view(), other.view(), kind);
      std::printf("forget quality, %s: D %.4f, p %.3g\n", name, ks.statistic, ks.p_value);
      result["forget_quality"][name] = {{"ks", ks.statistic}, {"p_value", ks.p_value}, {"log10_p", ks.log10_p}};
    }
  }
  const auto& kept = scores[static_cast<int>(retain)];
  const auto &people = scores[static_cast<int>(real_authors)], &world = scores[static_cast<int>(world_facts)];
  if (kept[0] && people[0] && world[0]) {
    const double geometric = eval::model_utility(*kept[0], *people[0], *world[0]);
    const double arithmetic = eval::model_utility(*kept[1], *people[1], *world[1]);
    std::printf("model utility %.4f (arithmetic %.4f)\n", geometric, arithmetic);
    result["model_utility"] = {{"geometric", geometric}, {"arithmetic", arithmetic}};
  }
  return result;
}

}  // namespace unlearn
