// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The model that forgets, who computes it, and with which other processes.
#pragma once
#include "hone/core/thread_pool.hpp"
#include "hone/statistics/means.hpp"
#include "hone/transformer/learner.hpp"
#include "support/program.hpp"
#include "unlearn/knowledge.hpp"
#include "unlearn/processes.hpp"

namespace unlearn {

using namespace hone;
using io::encoded_pair;
using transformer::labelled_rows;
using transformer::microbatch;

/// How a learner adds up over ranks.
struct rank_sum {
  processes* all;

  template <class X>
  void operator()(std::span<X> x) const {
    all->sum(x);
  }
};

struct network {
  network(const transformer::config& c, std::vector<float> parameters, long threads, processes& all)
      : ranks(all), pool(threads),
        learner(c, std::move(parameters), {.part = all.rank(), .parts = all.size()}, rank_sum{&all}) {}

  /// Whether Ctrl-C was pressed, on any rank.
  [[nodiscard]] bool interrupted() { return ranks.any(program::interrupted()); }

  /// The likelihood of every label, times weight / labels.
  loss::loss_sum likelihood(const labelled_rows& rows, std::vector<float>& gradient, double weight) {
    return learner.likelihood(rows, gradient, weight / static_cast<double>(rows.label_count()), {}, pool);
  }
  [[nodiscard]] std::vector<double> sequence_nll(const labelled_rows& rows) { return learner.sequence_nll(rows, pool); }

  [[nodiscard]] std::vector<double> mean_nll(const labelled_rows& rows) { return learner.mean_nll(rows, pool); }

  /// The mean probability of the answers, exp(-mean_nll); NaN of none.
  [[nodiscard]] double probability(const labelled_rows& rows) {
    std::vector<double> p = mean_nll(rows);
    for (double& x : p) x = std::exp(-x);
    return statistics::estimate_mean(p).mean;
  }
  [[nodiscard]] knowledge::recital recite(const std::vector<encoded_pair>& pairs, const io::pair_codec& codec) {
    return knowledge::recite(learner.model(), learner.merged(), pairs, codec, pool);
  }
  [[nodiscard]] knowledge::score examine(const std::vector<encoded_pair>& pairs, const io::pair_codec& codec) {
    const knowledge::recital said = recite(pairs, codec);
    return {probability(labelled_rows_of(pairs)), statistics::estimate_mean(said.exact).mean,
            statistics::estimate_mean(said.rouge_l).mean};
  }

  processes& ranks;
  thread_pool pool;
  transformer::learner<float, rank_sum> learner;
};

}  // namespace unlearn
