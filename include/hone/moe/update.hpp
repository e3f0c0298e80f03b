// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What balances without a gradient, once a step of the optimiser:
///   update_bias        b_e += u sign(mean n - n_e)                        [Wang et al. 2024, loss-free, 2408.15664]
///   update_thresholds  tau_e <- d tau_e + (1 - d) q_e, q_e what the best k / E of tokens are above
///                                                                         [2026, Expert threshold, arXiv 2603.11535]
///   update_lambda      lambda <- lambda a^sign(S* - S), S the share of pairs without a gate, S* = 1 - k / E
///                                                                         [Wang et al. 2024, ReMoE, arXiv 2412.14711]
/// lambda is the coefficient of `relu_loss`. Counts are integers summed over the microbatches of the step by
/// `count_chosen`, and over ranks by `communicator::all_reduce` of them as doubles (exact below 2^53), so that all
/// ranks hold the same bits; with counts of their own they would drift apart.
#pragma once
#include "hone/core/output.hpp"
#include "hone/moe/detail/checks.hpp"
#include "hone/moe/schedule.hpp"  // capacity

#include <algorithm>
#include <cmath>
#include <numeric>

namespace HONE_NAMESPACE::moe {

/// Adds u to the bias of experts that were chosen less than the mean, takes it off those chosen more.
/// @param bias (E); one that is not finite (-inf: the expert is excluded) stays, and has no part in the means.
/// @param counts (E)
/// @param centred takes the mean of the steps off each, as torchtitan does: biases then do not drift together.
/// @pre The counts' sum is below 2^63.
/// @throws std::invalid_argument if the sizes differ, a count is negative, or @p rate is negative or not finite.
/// @note The sign is that of integers. Allocates nothing.
template <mutable_vector B>
void update_bias(B&& bias, std::span<const index_t> counts, double rate = 1e-3, bool centred = false) {
  using T = element_t<B>;
  const char* function = "hone::moe::update_bias";
  const auto bs = output_vector(bias, function, "bias");
  detail::check_counts(counts, bs.size(), function);
  invalid_argument_unless(rate >= 0 && rate < 1e300, function, "rate", "must be finite and not negative, is %g", rate);
  const auto part = [&](index_t e) { return std::isfinite(to_accumulator(bs[e])); };
  index_t experts = 0, total = 0, signs = 0;
  for (index_t e = 0; e < bs.size(); ++e)
    if (part(e)) {
      ++experts;
      total += counts[static_cast<std::size_t>(e)];
    }
  const auto sign = [&](index_t e) {  // of total / experts - n, whose product with experts may be too large
    const index_t n = counts[static_cast<std::size_t>(e)], mean = total / experts;
    return n < mean || (n == mean && total % experts != 0) ? 1 : n > mean ? -1 : 0;
  };
  for (index_t e = 0; e < bs.size(); ++e)
    if (part(e)) signs += sign(e);
  const double mean = centred && experts > 0 ? static_cast<double>(signs) / static_cast<double>(experts) : 0;
  for (index_t e = 0; e < bs.size(); ++e)
    if (part(e)) {
      const double moved = static_cast<double>(to_accumulator(bs[e])) + rate * (sign(e) - mean);
      bs[e] = from_accumulator<T>(static_cast<accumulator_t<T>>(moved));
    }
}

/// q_e of each expert into @p out (E): midway between the c-th largest of its logits and the next, c = k T / E rounded
/// down, at least 1, so that c of these tokens are above it (fewer where equal ones are at it); the smallest where
/// there is no next. NaN of nothing. Ranks take the mean of theirs: all_reduce, divided by their number.
/// @param logits (E x T), or scores by which tokens are ranked; those that are not finite have no part.
/// @throws std::invalid_argument if the sizes differ, k < 1, or k T is too large. @note About 2 T a column; allocates T
///        doubles.
template <matrix_like Z>
void column_thresholds(const Z& logits, index_t per_token, std::span<double> out,
                       std::span<const std::uint8_t> competes = {}) {
  const char* function = "hone::moe::column_thresholds";
  const auto zs = as_matrix(logits);
  check_output(out, function, "out");
  invalid_argument_unless(std::ssize(out) == zs.rows(), function, "out", "has %zu elements for %td experts", out.size(),
                          zs.rows());
  invalid_argument_unless(per_token >= 1, function, "per_token", "must be at least 1, is %td", per_token);
  detail::check_competes(competes, zs.cols(), function);
  if (zs.rows() == 0) return;
  const index_t tokens = detail::count_competing(competes, 0, zs.cols());
  const index_t taken = capacity(tokens, per_token, zs.rows());
  std::vector<double> column;
  column.reserve(static_cast<std::size_t>(tokens));
  for (index_t e = 0; e < zs.rows(); ++e) {
    column.clear();
    for (index_t t = 0; t < zs.cols(); ++t)
      if (const auto z = static_cast<double>(to_accumulator(zs(e, t)));
          detail::competing(competes, t) && std::isfinite(z))
        column.push_back(z);
    double& q = out[static_cast<std::size_t>(e)];
    q = std::numeric_limits<double>::quiet_NaN();
    if (column.empty()) continue;
    const index_t c = (min)(taken, std::ssize(column));
    std::nth_element(column.begin(), column.begin() + (c - 1), column.end(), [](double x, double y) { return x > y; });
    q = column[static_cast<std::size_t>(c - 1)];
    if (c == std::ssize(column)) continue;
    const double next = *std::max_element(column.begin() + c, column.end()), middle = std::midpoint(q, next);
    q = middle < q ? middle : next;  // between neighbours there is no number
  }
}

/// tau_e <- decay tau_e + (1 - decay) observed_e; where one of both is not finite the other is taken: nothing was
/// observed, or tau_e is not yet.
/// @param thresholds, observed (E) @throws std::invalid_argument if the sizes differ or @p decay is not in [0, 1].
template <mutable_vector X>
void update_thresholds(X&& thresholds, std::span<const double> observed, double decay) {
  using T = element_t<X>;
  const char* function = "hone::moe::update_thresholds";
  const auto ts = output_vector(thresholds, function, "thresholds");
  invalid_argument_unless(std::ssize(observed) == ts.size(), function, "observed", "has %zu elements for %td experts",
                          observed.size(), ts.size());
  invalid_argument_unless(decay >= 0 && decay <= 1, function, "decay", "must be in [0, 1], is %g", decay);
  for (index_t e = 0; e < ts.size(); ++e) {
    const auto old = static_cast<double>(to_accumulator(ts[e])), seen = observed[static_cast<std::size_t>(e)];
    if (!std::isfinite(seen)) continue;
    const double next = std::isfinite(old) ? decay * old + (1 - decay) * seen : seen;
    ts[e] = from_accumulator<T>(static_cast<accumulator_t<T>>(next));
  }
}

/// lambda after a step in which @p active pairs of token and expert had a gate above 0, of @p tokens that compete:
/// multiplied by @p multiplier if that is more than @p per_token each, divided by it if less. Both are sums over layers
/// (a token counts once in each), microbatches and ranks. The paper starts at 1e-8.
/// @throws std::invalid_argument unless lambda is finite and not negative, the counts are not negative and the
///         multiplier is at least 1 and finite.
inline double update_lambda(double lambda, index_t active, index_t tokens, index_t per_token, double multiplier = 1.2) {
  const char* function = "hone::moe::update_lambda";
  invalid_argument_unless(lambda >= 0 && lambda < 1e300, function, "lambda", "must be finite and not negative, is %g",
                          lambda);
  invalid_argument_unless(active >= 0 && tokens >= 0 && per_token >= 0, function, "active",
                          "counts must not be negative: %td of %td tokens with %td each", active, tokens, per_token);
  invalid_argument_unless(multiplier >= 1 && multiplier < 1e300, function, "multiplier",
                          "must be at least 1 and finite, is %g", multiplier);
  const index_t target = tokens * per_token;
  return active > target ? lambda * multiplier : active < target ? lambda / multiplier : lambda;
}

}  // namespace HONE_NAMESPACE::moe
