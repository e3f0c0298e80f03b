// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Advantages of tokens, from rewards and values of tokens:
///   gae      A_t = r_t + gamma V_{t+1} - V_t + gamma lambda A_{t+1}, returns A + V
///                                                    [Schulman et al. 2015, GAE, arXiv 1506.02438, Eq. 16]
///   returns_to_go   G_t = r_t + gamma G_{t+1}        (REINFORCE, REINFORCE++)
///   whiten   (x - mean) / sqrt(variance + 1e-8), variance with n - 1, over all tokens that count
/// REINFORCE++ [Hu 2025, arXiv 2501.03262] is `returns_to_go` of rewards with the KL in them (reward.hpp), whitened;
/// its "-baseline" is `dr_grpo` spread to the tokens, whitened. VAPO [arXiv 2504.05118] has lambda = 1 - 1 /
/// (0.05 n) for a response of n tokens, here at least 0 (short responses would turn it negative), and lambda = 1 for
/// the critic.
///
/// A token that does not count (a tool's output) has neither reward nor value: the next value and advantage pass
/// through it, as in verl's GAE. verl's returns of REINFORCE++ start again at such a token; these pass through it too.
#pragma once
#include "hone/policy/batch.hpp"

#include <cmath>

namespace HONE_NAMESPACE::policy {

struct gae_options {
  double gamma = 1;
  double lambda = 0.95;
  double length_adaptive = 0;  ///< VAPO's alpha (0.05): lambda = 1 - 1 / (alpha n); 0: `lambda`
};

namespace detail {

inline void check_unit(double x, const char* function, const char* argument) {
  invalid_argument_unless(x >= 0 && x <= 1, function, argument, "must be in [0, 1], is %g", x);
}

/// The sum of f(t), four adds at a time that do not wait for each other.
template <class F>
double sum_in_four(std::size_t begin, std::size_t end, F&& f) {
  double sums[4] = {};
  for (; begin + 4 <= end; begin += 4)
    for (std::size_t i = 0; i < 4; ++i) sums[i] += f(begin + i);
  for (; begin < end; ++begin) sums[0] += f(begin);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

inline double lambda_of(const gae_options& options, index_t count) {
  if (options.length_adaptive == 0) return options.lambda;
  return (max)(0.0, 1 - 1 / (options.length_adaptive * static_cast<double>(count)));
}

}  // namespace detail

/// Advantages and returns of T tokens. A masked token gets the advantage that passes through it, and the return A + V.
/// @param rewards, values (T); @param returns (T) or none. Outputs may be the inputs' memory, token for token.
/// @throws std::invalid_argument if sizes do not fit, gamma or lambda is not in [0, 1] or length_adaptive is negative.
/// @note One pass backwards over each response, responses in parallel; allocates nothing; bitwise for any executor. The
///       value after the last token is 0.
template <executor E = const serial>
void gae(std::span<const double> rewards, std::span<const double> values, std::span<const index_t> offsets,
         label_view targets, std::span<double> advantages, std::span<double> returns, const gae_options& options = {},
         E&& pool = serial{}) {
  const char* function = "hone::policy::gae";
  detail::check_layout(offsets, targets, rewards.size(), function);
  detail::check_tokens(values.size(), rewards.size(), false, function, "values");
  detail::check_tokens(advantages.size(), rewards.size(), false, function, "advantages");
  detail::check_tokens(returns.size(), rewards.size(), true, function, "returns");
  check_output(advantages, function, "advantages");
  check_output(returns, function, "returns");
  detail::check_unit(options.gamma, function, "gamma");
  detail::check_unit(options.lambda, function, "lambda");
  invalid_argument_unless(options.length_adaptive >= 0, function, "length_adaptive", "must be at least 0, is %g",
                          options.length_adaptive);
  pool.parallel_for(static_cast<index_t>(offsets.size()) - 1, index_t{1}, [&](index_t first, index_t last) {
    for (auto b = static_cast<std::size_t>(first); b < static_cast<std::size_t>(last); ++b) {
      const auto begin = static_cast<std::size_t>(offsets[b]), end = static_cast<std::size_t>(offsets[b + 1]);
      const double decay = options.gamma * detail::lambda_of(options, count_tokens(targets, begin, end));
      double next_value = 0, advantage = 0;
      for (std::size_t t = end; t-- > begin;) {
        const double value = values[t];
        if (targets.empty() || targets[t] >= 0) {
          advantage = rewards[t] + options.gamma * next_value - value + decay * advantage;
          next_value = value;
        }
        advantages[t] = advantage;
        if (!returns.empty()) returns[t] = advantage + value;
      }
    }
  });
}

/// Discounted sums of the rewards from each token on, 0 for tokens that do not count.
/// @param rewards (T); @param out (T), which may be the rewards' memory.
/// @throws std::invalid_argument if sizes do not fit or gamma is not in [0, 1].
/// @note As `gae`.
template <executor E = const serial>
void returns_to_go(std::span<const double> rewards, std::span<const index_t> offsets, label_view targets,
                   std::span<double> out, double gamma = 1, E&& pool = serial{}) {
  const char* function = "hone::policy::returns_to_go";
  detail::check_layout(offsets, targets, rewards.size(), function);
  detail::check_tokens(out.size(), rewards.size(), false, function, "out");
  check_output(out, function, "out");
  detail::check_unit(gamma, function, "gamma");
  pool.parallel_for(static_cast<index_t>(offsets.size()) - 1, index_t{1}, [&](index_t first, index_t last) {
    for (auto b = static_cast<std::size_t>(first); b < static_cast<std::size_t>(last); ++b) {
      double sum = 0;
      for (auto t = static_cast<std::size_t>(offsets[b + 1]); t-- > static_cast<std::size_t>(offsets[b]);) {
        const bool counts = targets.empty() || targets[t] >= 0;
        if (counts) sum = rewards[t] + gamma * sum;
        out[t] = counts ? sum : 0;
      }
    }
  });
}

/// x <- (x - mean) / sqrt(variance + epsilon) over the tokens that count, the others 0. Fewer than two: 0. With
/// @p keep_mean the mean is added back.
/// @param x (T); @param targets (T), of which the sign is used, or none.
/// @throws std::invalid_argument if sizes do not fit or epsilon is not positive.
/// @note Three passes; sums in blocks; allocates nothing; bitwise for any executor. The whole batch must be there:
///       this is no function of parts.
template <executor E = const serial>
void whiten(std::span<double> x, label_view targets = {}, double epsilon = 1e-8, bool keep_mean = false,
            E&& pool = serial{}) {
  const char* function = "hone::policy::whiten";
  check_output(x, function, "x");
  detail::check_tokens(targets.size(), x.size(), true, function, "targets");
  invalid_argument_unless(epsilon > 0 && epsilon < 1e300, function, "epsilon", "must be positive and finite, is %g",
                          epsilon);
  const auto n = static_cast<index_t>(x.size());
  const auto counts = [&](std::size_t t) { return targets.empty() || targets[t] >= 0; };
  double sums[2];
  blocked_sum<2>(
      n, sums,
      [&](index_t begin, index_t end, double* partial) {
        const auto first = static_cast<std::size_t>(begin), last = static_cast<std::size_t>(end);
        partial[0] = detail::sum_in_four(first, last, [&](std::size_t t) { return counts(t) ? x[t] : 0; });
        partial[1] = static_cast<double>(count_tokens(targets, first, last));
      },
      pool);
  const double count = sums[1], mean = sums[0] / count;
  double squares;
  blocked_sum<1>(
      n, &squares,
      [&](index_t begin, index_t end, double* partial) {
        *partial = detail::sum_in_four(static_cast<std::size_t>(begin), static_cast<std::size_t>(end),
                                       [&](std::size_t t) { return counts(t) ? (x[t] - mean) * (x[t] - mean) : 0; });
      },
      pool);
  const double factor = count < 2 ? 0 : 1 / std::sqrt(squares / (count - 1) + epsilon), shift = keep_mean ? mean : 0;
  pool.parallel_for(n, block_size, [&](index_t begin, index_t end) {
    for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t)
      x[t] = counts(t) ? (x[t] - mean) * factor + shift : 0;
  });
}

}  // namespace HONE_NAMESPACE::policy
