// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/eval.md shows.
#include "hone/eval/membership.hpp"
#include "hone/eval/multiple_choice.hpp"
#include "hone/eval/rouge.hpp"
#include "hone/eval/tofu.hpp"

#include "hone/core/random.hpp"
#include "hone/statistics/roc.hpp"
#include "support/catch.hpp"

using namespace hone;

TEST_CASE("docs: forget quality and model utility") {
  std::vector<double> losses, paraphrase_losses, wrong_losses, recalls;
  for (std::uint64_t i = 0; i < 300; ++i) {
    losses.push_back(philox{1, 0}.uniform(i));
    paraphrase_losses.push_back(1 + philox{1, 1}.uniform(i));
    for (std::uint64_t k = 0; k < 5; ++k) wrong_losses.push_back(2 + philox{1, 2}.uniform(5 * i + k));
    recalls.push_back(philox{1, 3}.uniform(i));
  }
  std::vector<double> other = wrong_losses;
  for (double& loss : other) loss -= 1;
  const eval::tofu_answers retrained{losses, paraphrase_losses, other, recalls};

  // Mean negative log-likelihoods of a token, as your engine has them: 300 questions, 5 wrong answers each.
  const eval::tofu_answers forget{losses, paraphrase_losses, wrong_losses, recalls};
  const eval::tofu_score score = eval::score_tofu(forget, eval::tofu_part::forget, eval::truth_ratio::geometric);
  // score.probability, .rouge_l, .truth_ratio: each a mean, its standard error, a count
  const statistics::ks_result quality = eval::forget_quality(forget, retrained, eval::truth_ratio::geometric);
  // quality.statistic, .p_value, .log10_p, .n, .m
  CHECK(score.probability.mean > 0.5);
  CHECK(quality.log10_p < -50);
}

TEST_CASE("docs: words") {
  const eval::rouge_score s = eval::rouge_l("The cats sat on the mat.", "A cat, sitting on the mat");
  // stems: the cat sat on the mat; a cat sit on the mat. s.recall = 4/6, s.precision = 4/6
  CHECK(s.recall == Approx(4.0 / 6));
  CHECK(s.precision == Approx(4.0 / 6));
}

TEST_CASE("docs: membership") {
  std::vector<std::vector<double>> members(30), others(40);
  for (std::size_t i = 0; i < 40; ++i)
    for (std::size_t t = 0; t < 20; ++t) {
      const double l = -std::abs(philox{2, static_cast<std::uint32_t>(i)}.normal(t));
      others[i].push_back(l);
      if (i < 30) members[i].push_back(l / 2);
    }
  // The log-probabilities of the tokens of each text, under the unlearned model.
  std::vector<double> seen, unseen;
  for (const auto& text : members) seen.push_back(eval::min_k(text, 0.2));
  for (const auto& text : others) unseen.push_back(eval::min_k(text, 0.2));
  const statistics::auc_estimate a = statistics::auc(unseen, seen);  // 0.5: nothing tells them apart
  const statistics::interval i = statistics::delong_interval(a);
  const double caught = statistics::true_positive_rate(unseen, seen, 0.01);
  CHECK(a.auc > 0.9);
  CHECK(i.low > 0.5);
  CHECK(caught > 0.3);
}

TEST_CASE("docs: choices") {
  const std::vector<double> log_likelihoods = {-7, -9};
  const std::vector<index_t> characters = {5, 9};
  const index_t acc = eval::choose(log_likelihoods);                             // 0
  const index_t acc_norm = eval::choose_by_length(log_likelihoods, characters);  // 1: -1.4 and -1
  CHECK(acc == 0);
  CHECK(acc_norm == 1);
}
