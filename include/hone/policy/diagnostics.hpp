// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What tells collapse from learning: pass at k, coverage and distinct solutions of drawn responses; means of the
/// measures of tokens (rows.hpp: support mass, entropy, top-1 mass, rare members of the support), over all tokens and
/// over the punished ones. Pass at k (statistics/pass_at_k.hpp) of one prompt is a function of its success rate:
/// coverage is lost between prompts, and shows in their mean.
#pragma once
#include "hone/policy/batch.hpp"
#include "hone/statistics/pass_at_k.hpp"

namespace HONE_NAMESPACE::policy {

/// The mean over prompts of pass at k of their @p rewards, of which those above @p threshold are correct.
/// @param groups G + 1 offsets.
/// @throws std::invalid_argument if sizes do not fit, or a group has fewer than k responses.
inline double mean_pass_at_k(std::span<const double> rewards, std::span<const index_t> groups, index_t k,
                             double threshold = 0.5) {
  const char* function = "hone::policy::mean_pass_at_k";
  detail::check_layout(groups, {}, rewards.size(), function);
  double sum = 0;
  for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
    index_t correct = 0;
    for (index_t i = groups[g]; i < groups[g + 1]; ++i) correct += rewards[static_cast<std::size_t>(i)] > threshold;
    sum += statistics::pass_at_k(groups[g + 1] - groups[g], correct, k);
  }
  return groups.size() == 1 ? 0 : sum / static_cast<double>(groups.size() - 1);
}

/// The groups of a batch by what GRPO can learn from them.
struct group_shares {
  double solved = 0;         ///< share of prompts with a correct response: coverage
  double zero_variance = 0;  ///< share whose rewards are all equal: no advantage
  double all_correct = 0;
};

/// @param groups G + 1 offsets; rewards above @p threshold are correct.
/// @throws std::invalid_argument if sizes do not fit.
inline group_shares share_groups(std::span<const double> rewards, std::span<const index_t> groups,
                                 double threshold = 0.5) {
  detail::check_layout(groups, {}, rewards.size(), "hone::policy::share_groups");
  group_shares result;
  for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
    bool solved = false, equal = true, all = true;
    for (auto i = static_cast<std::size_t>(groups[g]); i < static_cast<std::size_t>(groups[g + 1]); ++i) {
      solved = solved || rewards[i] > threshold;
      all = all && rewards[i] > threshold;
      equal = equal && rewards[i] == rewards[static_cast<std::size_t>(groups[g])];
    }
    result.solved += solved;
    result.zero_variance += equal;
    result.all_correct += solved && all;
  }
  if (groups.size() > 1)
    for (double* share : {&result.solved, &result.zero_variance, &result.all_correct})
      *share /= static_cast<double>(groups.size() - 1);
  return result;
}

/// How many different solutions are among the correct responses to each prompt, into @p distinct (G); returns their
/// sum. Over the number of solutions that there are, this is the coverage of the solution set.
/// @param solution (B) names of the solutions found (a hash of the answer's path, say); @param rewards (B).
/// @throws std::invalid_argument if sizes do not fit.
/// @note Quadratic in the size of a group; allocates nothing.
inline index_t count_distinct(std::span<const std::uint64_t> solution, std::span<const double> rewards,
                              std::span<const index_t> groups, std::span<index_t> distinct, double threshold = 0.5) {
  const char* function = "hone::policy::count_distinct";
  detail::check_layout(groups, {}, rewards.size(), function);
  detail::check_tokens(solution.size(), rewards.size(), false, function, "solution");
  invalid_argument_unless(distinct.size() + 1 == groups.size(), function, "distinct", "has %zu groups, groups %zu",
                          distinct.size(), groups.size() - 1);
  check_output(distinct, function, "distinct");
  index_t total = 0;
  for (std::size_t g = 0; g < distinct.size(); ++g) {
    distinct[g] = 0;
    for (auto i = static_cast<std::size_t>(groups[g]); i < static_cast<std::size_t>(groups[g + 1]); ++i) {
      bool fresh = rewards[i] > threshold;
      for (auto j = static_cast<std::size_t>(groups[g]); fresh && j < i; ++j)
        fresh = !(rewards[j] > threshold && solution[j] == solution[i]);
      distinct[g] += fresh;
    }
    total += distinct[g];
  }
  return total;
}

/// Means of one measure of tokens; 0 where there are none.
struct token_means {
  double all = 0;
  double negative = 0;  ///< over tokens with A < 0
  index_t tokens = 0;
  index_t negatives = 0;
};

/// The mean of f(measures[t]) over the tokens that count: f = exp for a logarithm such as log M.
/// @param measures, advantage (T; advantage may be empty: no negatives). @throws std::invalid_argument if sizes differ.
/// @note Bitwise for any executor.
template <class F, executor E = const serial>
token_means mean_over_tokens(std::span<const double> measures, std::span<const double> advantage, label_view targets,
                             F&& f, E&& pool = serial{}) {
  const char* function = "hone::policy::mean_over_tokens";
  detail::check_tokens(advantage.size(), measures.size(), true, function, "advantage");
  detail::check_tokens(targets.size(), measures.size(), true, function, "targets");
  double sums[4];
  blocked_sum<4>(
      static_cast<index_t>(measures.size()), sums,
      [&](index_t begin, index_t end, double* partial) {
        for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
          if (!targets.empty() && targets[t] < 0) continue;
          const double x = f(measures[t]);
          const bool negative = !advantage.empty() && advantage[t] < 0;
          partial[0] += x;
          partial[1] += negative ? x : 0;
          partial[2] += 1;
          partial[3] += negative;
        }
      },
      pool);
  return {sums[0] / (max)(sums[2], 1.0), sums[1] / (max)(sums[3], 1.0), static_cast<index_t>(sums[2]),
          static_cast<index_t>(sums[3])};
}

}  // namespace HONE_NAMESPACE::policy
