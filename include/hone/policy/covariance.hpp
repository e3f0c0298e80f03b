// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The few tokens that take the entropy down: those with a large covariance of log-probability and advantage,
///   cov_t = (log pi(y_t) - mean log pi) (A_t - mean A),   means over the tokens of the batch that count
/// [Cui et al. 2025, The entropy mechanism of reinforcement learning for reasoning language models, arXiv 2505.22617]
///   clip_cov   some of those with cov in (low, high), drawn at random, lose their surrogate: weight 0
///   kl_cov     those with the largest cov are held to pi_old: a second objective of `log_ratio_distance`
/// The means and the choice are of the whole batch: these are no functions of parts.
#pragma once
#include "hone/core/random.hpp"
#include "hone/policy/batch.hpp"

#include <utility>

namespace HONE_NAMESPACE::policy {

/// cov of each token into @p out (T), 0 where it does not count.
/// @param log_probability, advantage (T). @throws std::invalid_argument if sizes differ.
/// @note Two passes; sums in blocks; allocates nothing; bitwise for any executor. A NaN makes all NaN.
template <executor E = const serial>
void token_covariance(std::span<const double> log_probability, std::span<const double> advantage, label_view targets,
                      std::span<double> out, E&& pool = serial{}) {
  const char* function = "hone::policy::token_covariance";
  const std::size_t tokens = log_probability.size();
  detail::check_tokens(advantage.size(), tokens, false, function, "advantage");
  detail::check_tokens(targets.size(), tokens, true, function, "targets");
  detail::check_tokens(out.size(), tokens, false, function, "out");
  check_output(out, function, "out");
  const auto counts = [&](std::size_t t) { return targets.empty() || targets[t] >= 0; };
  double sums[3];
  blocked_sum<3>(
      static_cast<index_t>(tokens), sums,
      [&](index_t begin, index_t end, double* partial) {
        for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
          if (!counts(t)) continue;
          partial[0] += log_probability[t];
          partial[1] += advantage[t];
          partial[2] += 1;
        }
      },
      pool);
  const double mean_log_p = sums[0] / sums[2], mean_advantage = sums[1] / sums[2];
  pool.parallel_for(static_cast<index_t>(tokens), block_size, [&](index_t begin, index_t end) {
    for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t)
      out[t] = counts(t) ? (log_probability[t] - mean_log_p) * (advantage[t] - mean_advantage) : 0;
  });
}

/// The paper's and verl's defaults.
struct clip_cov {
  double share = 2e-4;  ///< of the tokens that count, at least one
  double low = 1;
  double high = 5;
  std::uint64_t seed = 0;  ///< of the draw: another one each step

  void check() const {
    const char* function = "hone::policy::clip_cov";
    invalid_argument_unless(share >= 0 && share <= 1, function, "share", "must be in [0, 1], is %g", share);
    invalid_argument_unless(low <= high, function, "low", "must be at most high, is %g", low);
  }
  /// weight <- 0 for the tokens drawn, the others keep theirs. Tokens without a gradient in @p terms (of a
  /// `policy_loss` before this, or none) are not drawn: PPO's clip has taken theirs already. Returns how many were
  /// drawn.
  /// @param covariance, weight (T). @throws std::invalid_argument if sizes differ or a parameter is out of range.
  /// @note Allocates nothing. Every set of candidates of that size is as likely; the same for the same seed.
  index_t operator()(std::span<const double> covariance, label_view targets, std::span<const loss::row_terms> terms,
                     std::span<double> weight) const {
    const char* function = "hone::policy::clip_cov";
    detail::check_tokens(targets.size(), covariance.size(), true, function, "targets");
    detail::check_tokens(terms.size(), covariance.size(), true, function, "terms");
    detail::check_tokens(weight.size(), covariance.size(), false, function, "weight");
    check_output(weight, function, "weight");
    check();
    const auto candidate = [&](std::size_t t) {
      return (targets.empty() || targets[t] >= 0) && covariance[t] > low && covariance[t] < high &&
             (terms.empty() || terms[t].target != 0);
    };
    index_t candidates = 0;
    for (std::size_t t = 0; t < covariance.size(); ++t) candidates += candidate(t);
    const index_t tokens = count_tokens(targets, 0, covariance.size());
    const index_t drawn =
        (min)(candidates, (max)(static_cast<index_t>(share * static_cast<double>(tokens)), index_t{1}));
    index_t wanted = drawn;
    for (std::size_t t = 0; wanted > 0; ++t) {
      if (!candidate(t)) continue;
      if (philox{seed}.uniform(t) * static_cast<double>(candidates--) >= static_cast<double>(wanted)) continue;
      weight[t] = 0;
      --wanted;
    }
    return drawn;
  }
};

namespace detail {

/// The k-th largest of @p x, k from 1 to x.size(); their order is lost. By hand, as the standard's header would cost
/// every includer a fifth of what policy does.
inline double kth_largest(std::span<double> x, std::size_t k) {
  std::size_t first = 0, last = x.size();  // where it is
  for (;;) {
    const double a = x[first], b = x[(first + last) / 2], c = x[last - 1];
    const double pivot = (max)((min)(a, b), (min)((max)(a, b), c));
    std::size_t larger = first, smaller = last;
    for (std::size_t i = first; i < smaller;) {
      if (x[i] > pivot)
        std::swap(x[i++], x[larger++]);
      else if (x[i] < pivot)
        std::swap(x[i], x[--smaller]);
      else
        ++i;
    }
    if (k <= larger)
      last = larger;
    else if (k <= smaller)
      return pivot;
    else
      first = smaller;
  }
}

}  // namespace detail

/// The @c share of the tokens with the largest covariance (2e-4 to 2e-3 in the paper), at least one if it is not 0, as
/// in verl.
struct kl_cov {
  double share = 2e-4;

  void check() const {
    invalid_argument_unless(share >= 0 && share <= 1, "hone::policy::kl_cov", "share", "must be in [0, 1], is %g",
                            share);
  }
  /// selected (T) <- 1 for those tokens, 0 for the others: the weight of the second objective, `log_ratio_distance`
  /// with `loss_output::add`. Of equals the first is taken. Returns how many.
  /// @throws std::invalid_argument if sizes differ or share is not in [0, 1].
  /// @note O(T) on average; allocates nothing. NaNs are not selected.
  index_t operator()(std::span<const double> covariance, label_view targets, std::span<double> selected) const {
    const char* function = "hone::policy::kl_cov";
    detail::check_tokens(targets.size(), covariance.size(), true, function, "targets");
    detail::check_tokens(selected.size(), covariance.size(), false, function, "selected");
    check_output(selected, function, "selected");
    check();
    const auto candidate = [&](std::size_t t) {
      return (targets.empty() || targets[t] >= 0) && covariance[t] == covariance[t];
    };
    std::size_t candidates = 0;  // gathered where the answer will be
    for (std::size_t t = 0; t < covariance.size(); ++t)
      if (candidate(t)) selected[candidates++] = covariance[t];
    const index_t tokens = count_tokens(targets, 0, covariance.size());
    const auto least_count = static_cast<std::size_t>(share > 0);
    const std::size_t wanted =
        (min)(candidates, (max)(static_cast<std::size_t>(share * static_cast<double>(tokens)), least_count));
    double least = 0;
    std::size_t above = 0;
    if (wanted > 0) {
      least = detail::kth_largest(selected.first(candidates), wanted);
      for (std::size_t t = 0; t < covariance.size(); ++t) above += candidate(t) && covariance[t] > least;
    }
    std::size_t equals = wanted - above;
    for (std::size_t t = 0; t < covariance.size(); ++t) {
      selected[t] = 0;
      if (wanted == 0 || !candidate(t) || covariance[t] < least) continue;
      if (covariance[t] > least || equals > 0) selected[t] = 1;
      equals -= covariance[t] == least && equals > 0;
    }
    return static_cast<index_t>(wanted);
  }
};

}  // namespace HONE_NAMESPACE::policy
