// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every policy loss reads and how its token losses become one number. With l_bt the loss of token t of response b
/// and n_b the tokens of b that count,
///   L = sum_b w_b sum_t l_bt / denominator,   w_b = 1 or 1 / n_b
/// Losses return sums and counts; the denominator is the caller's, from the counts of the *whole* batch, so that no
/// mean depends on how the batch is cut. The modes of TRL (`loss_type`) and verl (`loss_agg_mode`):
///   token_mean            TRL bnpo (local counts), dapo, cispo, vespo (global); verl token-mean
///   sequence_token_mean   TRL grpo, sapo (empty responses count); verl seq-mean-token-mean (they do not)
///   sequence_token_sum    TRL luspo; verl seq-mean-token-sum
///   constant_mean         TRL dr_grpo: / (B length)              [Liu et al. 2025, Dr. GRPO, arXiv 2503.20783]
///   constant_sum          verl seq-mean-token-sum-norm: / length, not / B
#pragma once
#include "hone/loss/batch.hpp"

#include <span>

namespace HONE_NAMESPACE::policy {

/// The T sampled tokens of B responses, one after the other. Only @c offsets, @c log_probability and @c advantage are
/// always read; all but @c offsets have T elements or none. Natural logarithms.
struct token_batch {
  std::span<const index_t> offsets;         ///< B + 1 borders from 0 to T
  label_view targets = {};                  ///< of which the sign is used: negative does not count; empty: all do
  std::span<const double> log_probability;  ///< log pi(y)
  std::span<const double> old = {};         ///< log pi_old(y); empty: that of pi, held constant (every ratio is 1)
  std::span<const double> advantage;
  std::span<const double> weight = {};                ///< factor on the surrogate, held constant (`correction.hpp`)
  std::span<const double> reference = {};             ///< log q(y), for the KL penalty
  std::span<const double> entropy = {};               ///< H(pi)
  std::span<const double> log_mass = {};              ///< log M, M = sum_S pi, of the support anchor
  std::span<const double> reference_mass = {};        ///< Z = sum_S q
  std::span<const double> reference_likelihood = {};  ///< sum_S q / Z log pi

  [[nodiscard]] index_t sequences() const { return static_cast<index_t>(offsets.size()) - 1; }
  [[nodiscard]] bool counts(std::size_t token) const { return targets.empty() || targets[token] >= 0; }
};

struct batch_counts {
  index_t tokens = 0;     ///< that count
  index_t sequences = 0;  ///< all
  index_t nonempty = 0;   ///< sequences with a token that counts

  batch_counts& operator+=(const batch_counts& other) {
    tokens += other.tokens;
    sequences += other.sequences;
    nonempty += other.nonempty;
    return *this;
  }
};

struct aggregation {
  bool mean_of_tokens = false;  ///< w_b = 1 / n_b
  double denominator = 1;

  void check() const {
    invalid_argument_unless(denominator > 0 && denominator < 1e300, "hone::policy::aggregation", "denominator",
                            "must be positive and finite, is %g", denominator);
  }
};

/// sum l / tokens. A batch in which nothing counts has the loss 0, here and below.
inline aggregation token_mean(const batch_counts& counts) {
  return {false, static_cast<double>((max)(counts.tokens, index_t{1}))};
}
/// sum_b (sum_t l / n_b) / sequences; @p count_empty divides by those too in which nothing counts.
inline aggregation sequence_token_mean(const batch_counts& counts, bool count_empty = false) {
  return {true, static_cast<double>((max)(count_empty ? counts.sequences : counts.nonempty, index_t{1}))};
}
/// sum l / sequences
inline aggregation sequence_token_sum(const batch_counts& counts, bool count_empty = false) {
  return {false, static_cast<double>((max)(count_empty ? counts.sequences : counts.nonempty, index_t{1}))};
}
/// sum l / (sequences length), length the longest completion allowed.
inline aggregation constant_mean(const batch_counts& counts, double length) {
  return {false, static_cast<double>((max)(counts.sequences, index_t{1})) * length};
}
/// sum l / length
inline aggregation constant_sum(double length) { return {false, length}; }

/// The targets in [begin, end) that count; all where there are none.
inline index_t count_tokens(label_view targets, std::size_t begin, std::size_t end) {
  if (targets.empty()) return static_cast<index_t>(end - begin);
  index_t n = 0;
  for (std::size_t t = begin; t < end; ++t) n += targets[t] >= 0;
  return n;
}

namespace detail {

inline void check_tokens(std::size_t given, std::size_t tokens, bool optional, const char* function,
                         const char* argument) {
  invalid_argument_unless(given == tokens || (optional && given == 0), function, argument,
                          "has %zu tokens, the batch has %zu", given, tokens);
}

/// Offsets against the number of tokens, and optional targets.
inline void check_layout(std::span<const index_t> offsets, label_view targets, std::size_t tokens,
                         const char* function) {
  invalid_argument_unless(!offsets.empty(), function, "offsets", "is empty; no sequences are one 0");
  loss::check_offsets(offsets, static_cast<index_t>(tokens), offsets.size() - 1, function);
  check_tokens(targets.size(), tokens, true, function, "targets");
}

inline void check_batch(const token_batch& batch, const char* function) {
  const std::size_t tokens = batch.log_probability.size();
  check_layout(batch.offsets, batch.targets, tokens, function);
  check_tokens(batch.old.size(), tokens, true, function, "old");
  check_tokens(batch.advantage.size(), tokens, false, function, "advantage");
  check_tokens(batch.weight.size(), tokens, true, function, "weight");
}

/// Runs f(b, begin, end, sums) for every sequence, sums in a tree over their numbers.
template <std::size_t Terms, class F, executor E>
void sum_sequences(std::span<const index_t> offsets, double* sums, F&& f, E& pool) {
  blocked_sum<Terms, 1>(
      static_cast<index_t>(offsets.size()) - 1, sums,
      [&](index_t b, index_t, double* partial) {
        f(static_cast<std::size_t>(b), static_cast<std::size_t>(offsets[static_cast<std::size_t>(b)]),
          static_cast<std::size_t>(offsets[static_cast<std::size_t>(b) + 1]), partial);
      },
      pool);
}

/// x clamped, a NaN kept.
inline double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

}  // namespace detail

/// The counts of a batch; those of its parts add up to them.
/// @throws std::invalid_argument unless @p offsets are B + 1 ascending borders from 0, @p targets empty or as many.
inline batch_counts count(std::span<const index_t> offsets, label_view targets = {}) {
  const char* function = "hone::policy::count";
  const std::size_t tokens =
      targets.empty() && !offsets.empty() ? static_cast<std::size_t>(offsets.back()) : targets.size();
  detail::check_layout(offsets, targets, tokens, function);
  batch_counts result;
  for (std::size_t b = 0; b + 1 < offsets.size(); ++b) {
    const index_t n =
        count_tokens(targets, static_cast<std::size_t>(offsets[b]), static_cast<std::size_t>(offsets[b + 1]));
    result += {n, 1, n > 0};
  }
  return result;
}

/// The sum of the losses of single sequences (`loss_output::losses`) in a tree over their numbers: however a batch was
/// cut, and whoever computed the parts, the same bits.
/// @note Allocates nothing; bitwise for any executor.
template <executor E = const serial>
double total(std::span<const double> losses, E&& pool = serial{}) {
  double sum;
  blocked_sum<1, 1>(
      static_cast<index_t>(losses.size()), &sum,
      [&](index_t b, index_t, double* partial) { *partial = losses[static_cast<std::size_t>(b)]; }, pool);
  return sum;
}

}  // namespace HONE_NAMESPACE::policy
