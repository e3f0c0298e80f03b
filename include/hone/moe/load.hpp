// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How evenly work falls on experts and on tokens, counted on plans. An `expert_load` is that of one layer: over layers
/// one takes means or extremes of these, never their sum, in which experts that are full in one layer and empty in
/// another look balanced. All are integers until they are read, so that they do not depend on how a batch was cut; only
/// padded_rows, which is what each call costs, does.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/moe/detail/checks.hpp"

#include <cmath>

namespace HONE_NAMESPACE::moe {

/// Slots of each expert of one layer, over plans that were added.
struct expert_load {
  std::vector<index_t> taken;  ///< executed
  index_t dropped = 0;
  index_t padded_rows = 0;  ///< of products as long for each expert as for the fullest, plan by plan

  /// @throws std::invalid_argument if plans of other numbers of experts were added before.
  template <class T>
  void add(const routing_plan<T>& plan) {
    const char* function = "hone::moe::expert_load::add";
    detail::check_plan(plan, function);
    if (taken.empty()) taken.resize(static_cast<std::size_t>(plan.experts));
    invalid_argument_unless(std::ssize(taken) == plan.experts, function, "plan", "is of %td experts, not %zu",
                            plan.experts, taken.size());
    index_t most = 0;
    for (index_t e = 0; e < plan.experts; ++e) {
      taken[static_cast<std::size_t>(e)] += plan.load(e);
      most = (max)(most, plan.load(e));
    }
    dropped += std::ssize(plan.dropped);
    padded_rows += most * plan.experts;
  }

  [[nodiscard]] index_t total() const {
    index_t sum = 0;
    for (const index_t n : taken) sum += n;
    return sum;
  }
  /// Largest over mean: 1 is even, E is all on one; 0 of nothing.
  [[nodiscard]] double max_over_mean() const {
    index_t most = 0;
    for (const index_t n : taken) most = (max)(most, n);
    return most == 0 ? 0 : static_cast<double>(most) / mean();
  }
  /// Population standard deviation over mean; 0 of nothing.
  [[nodiscard]] double variation() const {
    double squares = 0;
    for (const index_t n : taken) squares += (static_cast<double>(n) - mean()) * (static_cast<double>(n) - mean());
    return squares == 0 ? 0 : std::sqrt(squares / static_cast<double>(taken.size())) / mean();
  }
  /// Of what was chosen; 0 of nothing.
  [[nodiscard]] double dropped_share() const {
    return dropped == 0 ? 0 : static_cast<double>(dropped) / static_cast<double>(total() + dropped);
  }

 private:
  [[nodiscard]] double mean() const { return static_cast<double>(total()) / static_cast<double>(taken.size()); }
};

/// Experts of each token, over tokens that were counted.
struct token_load {
  index_t tokens = 0;
  index_t uncovered = 0;        ///< tokens without an expert
  index_t executed = 0;         ///< slots
  index_t squares = 0;          ///< sum of squares of the tokens' numbers of experts
  index_t least = 0, most = 0;  ///< experts of a token

  token_load& operator+=(const token_load& other) {
    if (other.tokens == 0) return *this;
    least = tokens == 0 ? other.least : (min)(least, other.least);
    most = (max)(most, other.most);
    tokens += other.tokens;
    uncovered += other.uncovered;
    executed += other.executed;
    squares += other.squares;
    return *this;
  }
  /// 0 of nothing, as those below.
  [[nodiscard]] double uncovered_share() const { return mean_of(uncovered); }
  /// Executed slots a token.
  [[nodiscard]] double mean() const { return mean_of(executed); }
  /// Population standard deviation. (The authors' code logs the one with n - 1.)
  [[nodiscard]] double deviation() const { return std::sqrt((max)(mean_of(squares) - mean() * mean(), 0.0)); }

 private:
  [[nodiscard]] double mean_of(index_t sum) const {
    return tokens == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(tokens);
  }
};

/// Counts the tokens of @p plan for which @p counted (T) is not 0; all, if it is empty. To be given those that compete,
/// or a class of them (masked ones; the others).
/// @throws std::invalid_argument if the sizes differ. @note One pass over the tokens.
template <class T>
token_load count_experts(const routing_plan<T>& plan, std::span<const std::uint8_t> counted = {}) {
  const char* function = "hone::moe::count_experts";
  detail::check_plan(plan, function);
  invalid_argument_unless(counted.empty() || std::ssize(counted) == plan.tokens, function, "counted",
                          "has %zu elements, there are %td tokens", counted.size(), plan.tokens);
  token_load result;
  for (index_t t = 0; t < plan.tokens; ++t) {
    if (!detail::competing(counted, t)) continue;
    const index_t n = plan.experts_of(t);
    result += {1, n == 0 ? 1 : 0, n, n * n, n, n};
  }
  return result;
}

/// Floating-point operations, forward, of SwiGLU experts of inner width @p expert_width on @p rows rows of @p width:
/// the slots executed, not k times the tokens. Training has three times as many.
constexpr double expert_flops(index_t rows, index_t width, index_t expert_width) {
  return 6.0 * static_cast<double>(rows) * static_cast<double>(width) * static_cast<double>(expert_width);
}

/// What `column_correlation` gives.
struct correlation_sum {
  double sum = 0;      ///< of |correlation| over pairs of experts
  index_t pairs = 0;   ///< of experts whose logits are not all equal
  index_t tokens = 0;  ///< that compete and have finite logits

  /// Near 1 all experts rank tokens alike, and take the same ones; 0 of nothing.
  [[nodiscard]] double mean() const { return pairs == 0 ? 0 : sum / static_cast<double>(pairs); }
};

/// Correlations over tokens between the logits of experts. Tokens with a logit that is not finite are left out, and so
/// are experts whose logits are all equal.
/// @param logits (E x T), any strides
/// @throws std::invalid_argument if the sizes differ. @note E^2 T / 2 multiplications; allocates E T doubles; bitwise
///         for any executor.
template <matrix_like Z, executor E = const serial>
correlation_sum column_correlation(const Z& logits, std::span<const std::uint8_t> competes = {}, E&& pool = serial{}) {
  const auto zs = as_matrix(logits);
  detail::check_competes(competes, zs.cols(), "hone::moe::column_correlation");
  std::vector<index_t> counted;
  for (index_t t = 0; t < zs.cols(); ++t) {
    bool take = detail::competing(competes, t);
    for (index_t e = 0; take && e < zs.rows(); ++e) take = std::isfinite(to_accumulator(zs(e, t)));
    if (take) counted.push_back(t);
  }
  const index_t n = std::ssize(counted);
  correlation_sum result{.tokens = n};
  if (n == 0) return result;
  std::vector<double> rows;
  rows.reserve(static_cast<std::size_t>(zs.rows() * n));
  for (index_t e = 0; e < zs.rows(); ++e) {
    double largest = 0;
    for (const index_t t : counted) largest = (max)(largest, std::abs(static_cast<double>(to_accumulator(zs(e, t)))));
    int exponent = 0;
    std::frexp(largest, &exponent);
    const auto scaled = [&](index_t t) {  // whose squares are neither 0 nor infinite
      return std::ldexp(static_cast<double>(to_accumulator(zs(e, t))), -exponent);
    };
    // Less the first one: equal logits are 0 then, and their mean too.
    const double first = scaled(counted[0]);
    for (const index_t t : counted) rows.push_back(scaled(t) - first);
    const vector_view<double> row(rows.data() + (std::ssize(rows) - n), n);
    const double mean = sum(row) / static_cast<double>(n);
    for (index_t i = 0; i < n; ++i) row[i] -= mean;
    const double norm = std::sqrt(squared_norm(row));
    if (norm > 0)
      scale(1 / norm, row);
    else
      rows.resize(rows.size() - static_cast<std::size_t>(n));
  }
  const index_t varied = std::ssize(rows) / n;
  const auto row = [&](index_t e) { return vector_view<const double>(rows.data() + e * n, n); };
  blocked_sum<1, 1>(
      varied, &result.sum,
      [&](index_t e, index_t, double* partial) {
        for (index_t other = 0; other < e; ++other) *partial += (min)(std::abs(dot(row(e), row(other))), 1.0);
      },
      pool);
  result.pairs = varied * (varied - 1) / 2;
  return result;
}

}  // namespace HONE_NAMESPACE::moe
