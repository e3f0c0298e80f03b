// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The TOFU benchmark: how well a model forgot fictitious authors and kept the rest.
/// [Maini et al. 2024, TOFU, arXiv 2401.06121] Of a question's answers, L is the mean negative log-likelihood of a
/// token (the end of text is one): of the true answer, of the right one (its paraphrase; for real authors and world
/// facts the true answer again) and of K wrong ones. The truth ratio, wrong over right, goes by three definitions:
///   geometric         exp(L_right - mean_k L_k)                          the authors' code
///   arithmetic        mean_k exp(-L_k) / exp(-L_right)                   ReGLU's code; said to be the paper's formula
///   open_unlearning   exp(-mean_k L_k) / (exp(-L_right) + 1e-10)         open-unlearning
/// Model utility moves by 0.02 between the first two: a number without its definition cannot be compared.
#pragma once
#include "hone/statistics/ks.hpp"
#include "hone/statistics/means.hpp"

namespace HONE_NAMESPACE::eval {

enum class truth_ratio { geometric, arithmetic, open_unlearning };

/// log of the truth ratio of one question: finite where the ratio itself would overflow.
/// @throws std::invalid_argument if there is no wrong answer.
inline double log_truth_ratio(truth_ratio kind, double right, std::span<const double> wrong) {
  invalid_argument_unless(!wrong.empty(), "hone::eval::log_truth_ratio", "wrong", "is empty");
  const auto n = static_cast<double>(wrong.size());
  if (kind == truth_ratio::arithmetic) {
    const double least = *std::min_element(wrong.begin(), wrong.end());
    double sum = 0;
    for (const double loss : wrong) sum += loss == least ? 1 : std::exp(least - loss);  // also where both are infinite
    return std::log(sum / n) + (right - least);
  }
  double mean = 0;
  for (const double loss : wrong) mean += loss / n;
  if (kind == truth_ratio::geometric) return right - mean;
  return -mean - std::log(std::exp(-right) + 1e-10);
}

/// P / (P + sum_k P_k + epsilon) with P = exp(-L): the probability of the true answer among all. @p epsilon: 1e-10 in
/// open-unlearning. @note Computed from differences of L: no 0 / 0 where every P underflows.
inline double normalized_probability(double answer, std::span<const double> wrong, double epsilon = 0) {
  double sum = 1;
  for (const double loss : wrong) sum += std::exp(answer - loss);
  if (epsilon != 0) sum += epsilon * std::exp(answer);
  return 1 / sum;
}

/// The four sets of questions: the first is to be forgotten, the others kept.
enum class tofu_part { forget, retain, real_authors, world_facts };

/// What a model makes of a set of n questions: memory that the caller owns.
struct tofu_answers {
  std::span<const double> answer;   ///< n: L of the true answer
  std::span<const double> right;    ///< n: L of the paraphrase (real authors, world facts: of the true answer)
  std::span<const double> wrong;    ///< n K: L of the wrong answers, question by question
  std::span<const double> rouge_l;  ///< n: ROUGE-L recall of what the model says; or none, if it was not asked to
};

struct tofu_score {
  statistics::mean_estimate probability;
  statistics::mean_estimate rouge_l;
  statistics::mean_estimate truth_ratio;
};

namespace detail {
inline std::size_t check_tofu(const tofu_answers& a, const char* function) {
  const std::size_t n = a.answer.size();
  invalid_argument_unless(n > 0, function, "answer", "is empty");
  invalid_argument_unless(a.right.size() == n, function, "right", "has %zu questions, answer %zu", a.right.size(), n);
  invalid_argument_unless(!a.wrong.empty() && a.wrong.size() % n == 0, function, "wrong",
                          "has %zu answers to %zu questions", a.wrong.size(), n);
  invalid_argument_unless(a.rouge_l.empty() || a.rouge_l.size() == n, function, "rouge_l",
                          "has %zu questions, answer %zu", a.rouge_l.size(), n);
  return a.wrong.size() / n;
}
}  // namespace detail

/// The log truth ratio of every question. @throws std::invalid_argument if the sizes do not fit.
inline std::vector<double> log_truth_ratios(const tofu_answers& a, truth_ratio kind) {
  const std::size_t wrongs = detail::check_tofu(a, "hone::eval::log_truth_ratios");
  std::vector<double> ratios;
  ratios.reserve(a.right.size());
  for (std::size_t i = 0; i < a.right.size(); ++i)
    ratios.push_back(log_truth_ratio(kind, a.right[i], a.wrong.subspan(i * wrongs, wrongs)));
  return ratios;
}

/// Means over the questions: exp(-L) of the true answer, for real authors and world facts normalized; ROUGE-L recall;
/// and min(TR, 1 / TR) for what is to be forgotten, max(0, 1 - TR) for the rest. `open_unlearning` adds its 1e-10 below
/// each quotient. @throws std::invalid_argument if the sizes do not fit.
inline tofu_score score_tofu(const tofu_answers& a, tofu_part part, truth_ratio kind) {
  const std::size_t wrongs = detail::check_tofu(a, "hone::eval::score_tofu");
  const bool normalized = part == tofu_part::real_authors || part == tofu_part::world_facts;
  const double epsilon = kind == truth_ratio::open_unlearning ? 1e-10 : 0;
  std::vector<double> probabilities, truths;
  for (std::size_t i = 0; i < a.answer.size(); ++i)
    probabilities.push_back(normalized
                                ? normalized_probability(a.answer[i], a.wrong.subspan(i * wrongs, wrongs), epsilon)
                                : std::exp(-a.answer[i]));
  for (const double log_ratio : log_truth_ratios(a, kind)) {
    const double ratio = std::exp(log_ratio);
    const double inverse = 1 / (ratio + epsilon);
    if (part == tofu_part::forget)
      truths.push_back(ratio > inverse ? inverse : ratio);  // NaN stays NaN, here and below
    else
      truths.push_back(ratio > 1 ? 0 : 1 - ratio);
  }
  return {statistics::estimate_mean(probabilities), statistics::estimate_mean(a.rouge_l),
          statistics::estimate_mean(truths)};
}

/// The harmonic mean of the nine means of what is kept; 0 where one is.
inline double model_utility(const tofu_score& retain, const tofu_score& real_authors, const tofu_score& world_facts) {
  double means[9];
  double* next = means;
  for (const tofu_score* s : {&retain, &real_authors, &world_facts})
    for (const statistics::mean_estimate* m : {&s->probability, &s->rouge_l, &s->truth_ratio}) *next++ = m->mean;
  return statistics::harmonic_mean(means);
}

/// Whether the truth ratios of what is to be forgotten could be those of a model that never saw it: the exact
/// two-sample test between the two models' ratios, whose p-value is forget quality. It does not depend on whether the
/// ratio or its inverse is meant.
/// @throws std::invalid_argument if the sizes do not fit.
inline statistics::ks_result forget_quality(const tofu_answers& unlearned, const tofu_answers& retrained,
                                            truth_ratio kind) {
  return statistics::ks_two_sample(log_truth_ratios(unlearned, kind), log_truth_ratios(retrained, kind));
}

}  // namespace HONE_NAMESPACE::eval
