// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the losses over a batch of rows share: sums with their counts, options, and the loop over rows.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/labels.hpp"
#include "hone/loss/fused.hpp"

namespace HONE_NAMESPACE::loss {

/// A loss as a sum and how many items (rows or sequences) it counts: the caller divides, so that a mean does not depend
/// on how the batch was cut. A non-finite item makes the sum non-finite and is counted.
struct loss_sum {
  double sum = 0;
  index_t count = 0;
  index_t nonfinite = 0;

  [[nodiscard]] double mean() const { return sum / static_cast<double>(count); }
  loss_sum& operator+=(const loss_sum& other) {
    sum += other.sum;
    count += other.count;
    nonfinite += other.nonfinite;
    return *this;
  }
};

/// Common to the losses on rows of logits.
struct row_options {
  double scale = 1;                      ///< the gradient written is that of scale * sum; 1 / count gives a mean
  std::span<const double> weights = {};  ///< one factor a row on loss and gradient; empty: 1
  double temperature = 1;
};

/// @throws std::invalid_argument, in the name of @p function, unless labels, weights, scale and temperature fit @p rows
///         rows over @p vocab.
inline void check_rows(index_t rows, index_t vocab, label_view targets, const row_options& options,
                       const char* function, bool labels_optional = false) {
  const auto labels = static_cast<index_t>(targets.size());
  invalid_argument_unless(labels == rows || (labels == 0 && labels_optional), function, "targets",
                          "has %td labels, logits has %td rows", labels, rows);
  invalid_argument_unless(options.temperature > 0 && options.temperature < 1e300, function, "temperature",
                          "must be positive and finite, is %g", options.temperature);
  invalid_argument_unless(std::abs(options.scale) < 1e300, function, "scale", "must be finite, is %g", options.scale);
  const auto weights = static_cast<index_t>(options.weights.size());
  invalid_argument_unless(weights == 0 || weights == rows, function, "weights", "has %td factors, logits has %td rows",
                          weights, rows);
  for (std::size_t row = 0; row < targets.size(); ++row)
    invalid_argument_unless(targets[row] < vocab, function, "targets", "label %lld of row %zu, the vocabulary has %td",
                            static_cast<long long>(targets[row]), row, vocab);
}

/// @throws std::invalid_argument, in the name of @p function, unless @p offsets are sequences + 1 ascending borders
///         from 0 to @p rows.
inline void check_offsets(std::span<const index_t> offsets, index_t rows, std::size_t sequences, const char* function) {
  invalid_argument_unless(offsets.size() == sequences + 1 && offsets.front() == 0 && offsets.back() == rows, function,
                          "offsets", "must be %zu borders from 0 to %td", sequences + 1, rows);
  for (std::size_t b = 0; b < sequences; ++b)
    invalid_argument_unless(offsets[b] <= offsets[b + 1], function, "offsets", "sequence %zu ends before it begins", b);
}

namespace detail {

inline double weight_of(const row_options& options, index_t row) {
  return options.weights.empty() ? 1 : options.weights[static_cast<std::size_t>(row)];
}

/// Nothing is left of an infinite loss whose weight is 0; NaN stays.
inline double weighted(double weight, double loss) { return weight == 0 && loss == loss ? 0 : weight * loss; }

/// Sums f(row, target) over the rows that count (all, with target 0, where there are no targets), in a tree over row
/// numbers; ignored_row(row) is called for the others.
template <class F, class G, executor E>
loss_sum sum_rows(index_t rows, label_view targets, F&& f, G&& ignored_row, E& pool) {
  double sums[3];
  blocked_sum<3, 1>(
      rows, sums,
      [&](index_t row, index_t, double* partial) {
        const std::int64_t target = targets.empty() ? 0 : targets[static_cast<std::size_t>(row)];
        if (target < 0) return ignored_row(row);
        const double loss = f(row, static_cast<index_t>(target));
        partial[0] = 0 + loss;  // no -0 where a label is certain
        partial[1] = 1;
        partial[2] = std::isfinite(loss) ? 0 : 1;
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

/// As above for a loss with a gradient: ignored rows of @p logits become zero.
template <scalar T, class F, executor E>
loss_sum sum_gradient_rows(const matrix_view<T>& logits, label_view targets, F&& f, E& pool) {
  return sum_rows(
      logits.rows(), targets, std::forward<F>(f), [&](index_t row) { fill(logits.row(row), accumulator_t<T>{0}); },
      pool);
}

}  // namespace detail
}  // namespace HONE_NAMESPACE::loss
