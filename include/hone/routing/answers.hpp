// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How sure a model is of an answer that it has given, and of several answers to one question. Larger is surer.
///   likelihood         the mean log p of the answer's tokens, and perplexity e^-mean: beats trained routers on prompts
///                      of another kind                                                          [arXiv 2605.02241]
///   self-consistency   the share of the most frequent of k answers         [Wang et al. 2023, arXiv 2203.11171]
///   semantic entropy   exp(-H) of the shares of k answers by meaning       [Kuhn et al. 2023, arXiv 2302.09664, by
///                      entailment; the clusters here are RouterXBench's, arXiv 2602.11877, by any similarity]
#pragma once
#include "hone/core/contract.hpp"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

/// Of one answer. NaN of no tokens and where a log-probability is NaN or above 0.
struct answer_likelihood {
  double mean_log_probability = std::numeric_limits<double>::quiet_NaN();
  double perplexity = std::numeric_limits<double>::quiet_NaN();  ///< larger is less sure
  index_t tokens = 0;
  index_t invalid = 0;  ///< log-probabilities that are NaN or above 0
};

/// Of the log-probabilities, in nats, of the tokens of an answer under the model that gave it; -inf is a probability.
/// @note One pass in order; allocates nothing.
inline answer_likelihood measure_answer(std::span<const double> log_probabilities) {
  answer_likelihood result{.tokens = std::ssize(log_probabilities)};
  double sum = 0;
  for (const double x : log_probabilities) {
    sum += x;
    result.invalid += !(x <= 0);
  }
  if (result.tokens == 0 || result.invalid > 0) return result;
  result.mean_log_probability = sum / static_cast<double>(result.tokens);
  result.perplexity = std::exp(-result.mean_log_probability);
  return result;
}

struct answer_clusters {
  std::vector<index_t> cluster_of;  ///< one an answer
  std::vector<index_t> first;       ///< one a cluster: its first answer, which others were compared with
  std::vector<index_t> count;       ///< one a cluster
  index_t nans = 0;                 ///< similarities that were NaN, and so above no threshold
};

/// Clusters @p answers answers in their order: each joins the cluster whose first answer it is most similar to (of
/// equals the earliest), if that similarity is above @p threshold, else it begins one.
/// @param similarity similarity(i, j) of answer i and an earlier answer j, or whether they are the same: a number or a
///        bool. RouterXBench takes difflib's ratio of the texts in lower case.
/// @param threshold RouterXBench's for difflib's ratio.
/// @throws std::invalid_argument if @p answers is negative or @p threshold NaN.
/// @note One call for each answer and cluster before it; in order.
template <class Similarity>
answer_clusters cluster_answers(index_t answers, Similarity&& similarity, double threshold = 0.7) {
  const char* function = "hone::routing::cluster_answers";
  invalid_argument_unless(answers >= 0, function, "answers", "must not be negative, is %td", answers);
  invalid_argument_unless(!std::isnan(threshold), function, "threshold", "is NaN");
  answer_clusters result;
  for (index_t i = 0; i < answers; ++i) {
    double most = threshold;
    std::size_t own = result.first.size();
    for (std::size_t c = 0; c < result.first.size(); ++c) {
      const auto x = static_cast<double>(similarity(i, result.first[c]));
      result.nans += std::isnan(x);
      if (!(x > most)) continue;
      most = x;
      own = c;
    }
    if (own == result.first.size()) {
      result.first.push_back(i);
      result.count.push_back(0);
    }
    ++result.count[own];
    result.cluster_of.push_back(static_cast<index_t>(own));
  }
  return result;
}

struct answer_consistency {
  double share = std::numeric_limits<double>::quiet_NaN();  ///< of the largest cluster; NaN of no answers
  index_t answer = -1;  ///< its first, of equally large clusters that of the earliest: the majority's
};

/// Self-consistency: the share of the largest of @p clusters. Those of equal answers, for the method as published.
inline answer_consistency measure_consistency(const answer_clusters& clusters) {
  answer_consistency result;
  index_t most = 0;
  for (std::size_t c = 0; c < clusters.count.size(); ++c) {
    if (clusters.count[c] <= most) continue;
    most = clusters.count[c];
    result.answer = clusters.first[c];
  }
  if (most > 0) result.share = static_cast<double>(most) / static_cast<double>(clusters.cluster_of.size());
  return result;
}

/// exp(-H), H in nats the entropy of the shares of @p clusters: 1 where all answers mean the same, 1 / k where each
/// means something else, and 1 of one answer, as in RouterXBench's code; NaN of none.
inline double semantic_certainty(const answer_clusters& clusters) {
  const auto answers = static_cast<double>(clusters.cluster_of.size());
  if (answers == 0) return std::numeric_limits<double>::quiet_NaN();
  double log_certainty = 0;
  for (const index_t count : clusters.count) {
    const double share = static_cast<double>(count) / answers;
    log_certainty += share * std::log(share);
  }
  return std::exp(log_certainty);
}

}  // namespace HONE_NAMESPACE::routing
