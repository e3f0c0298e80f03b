// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The outputs of a layer over the tokens of each sequence, pooled into the rows from which a subspace is chosen.
/// ReGLU's code takes the sum over all positions, padding included: `pooling::sum` without a mask.
/// [ReGLU 2026, arXiv 2604.17396; sustech-nlp/ReGLU, rila.py]
#pragma once
#include "hone/core/blas.hpp"

#include <span>

namespace HONE_NAMESPACE::lora {

enum class pooling {
  sum,         ///< one row a sequence
  mean,        ///< one row a sequence
  last_token,  ///< one row a sequence: its last token that counts
  per_token    ///< one row for each token that counts
};

namespace detail {

inline bool counts(std::span<const std::uint8_t> mask, index_t token) {
  return mask.empty() || mask[static_cast<std::size_t>(token)] != 0;
}

inline void check_sequences(index_t tokens, std::span<const index_t> offsets, std::span<const std::uint8_t> mask,
                            pooling how, const char* function) {
  invalid_argument_unless(!offsets.empty() && offsets.front() == 0 && offsets.back() == tokens, function, "offsets",
                          "must go from 0 to the number of tokens, %td", tokens);
  const auto masked = static_cast<index_t>(mask.size());
  invalid_argument_unless(masked == 0 || masked == tokens, function, "mask", "has %td elements, there are %td tokens",
                          masked, tokens);
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    invalid_argument_unless(offsets[i] <= offsets[i + 1], function, "offsets", "sequence %zu ends before it begins", i);
    if (how != pooling::mean && how != pooling::last_token) continue;
    bool any = false;
    for (index_t t = offsets[i]; t < offsets[i + 1]; ++t) any = any || counts(mask, t);
    invalid_argument_unless(any, function, "mask", "no token of sequence %zu counts", i);
  }
}

}  // namespace detail

/// Rows that `pool` writes for the same arguments.
inline index_t pooled_rows(std::span<const index_t> offsets, std::span<const std::uint8_t> mask, pooling how) {
  if (how != pooling::per_token) return (max)(index_t(offsets.size()) - 1, index_t{0});
  index_t rows = 0;
  for (index_t t = 0; t < (offsets.empty() ? 0 : offsets.back()); ++t) rows += detail::counts(mask, t) ? 1 : 0;
  return rows;
}

/// Pools @p outputs (tokens x d) into the rows of @p rows (pooled_rows x d).
/// @param offsets sequence i is tokens offsets[i] … offsets[i + 1); @param mask one element a token, 0 for those that
/// do not count (padding, prompts); empty: all count. A sum over no token is a row of zeros.
/// @throws std::invalid_argument if sizes differ, or a mean or last token of no token is asked for; nothing is written
/// then.
/// @note One read; sums in double, rounded once; allocates nothing; bitwise for any executor.
template <matrix_like X, mutable_matrix Y, executor E = const serial>
void pool(const X& outputs, std::span<const index_t> offsets, std::span<const std::uint8_t> mask, pooling how, Y&& rows,
          E&& workers = serial{}) {
  const char* function = "hone::lora::pool";
  const auto xs = as_matrix(outputs);
  const auto ys = output_matrix(rows, function, "rows");
  using U = element_t<Y>;
  detail::check_sequences(xs.rows(), offsets, mask, how, function);
  const index_t count = pooled_rows(offsets, mask, how);
  invalid_argument_unless(ys.rows() == count && ys.cols() == xs.cols(), function, "rows",
                          "is %td x %td, expected %td x %td", ys.rows(), ys.cols(), count, xs.cols());
  const auto value = [&](index_t t, index_t j) { return static_cast<double>(to_accumulator<element_t<X>>(xs(t, j))); };
  const auto store = [&](index_t i, index_t j, double v) {
    ys(i, j) = from_accumulator<U>(static_cast<accumulator_t<U>>(v));
  };
  if (how == pooling::per_token) {
    for (index_t t = 0, i = 0; t < xs.rows(); ++t) {
      if (!detail::counts(mask, t)) continue;
      for (index_t j = 0; j < xs.cols(); ++j) store(i, j, value(t, j));
      ++i;
    }
    return;
  }
  workers.parallel_for(count, 1, [&](index_t begin, index_t end) {
    constexpr index_t width = 64;
    for (index_t i = begin; i < end; ++i) {
      const index_t first = offsets[static_cast<std::size_t>(i)], last = offsets[static_cast<std::size_t>(i + 1)];
      for (index_t j0 = 0; j0 < xs.cols(); j0 += width) {
        const index_t w = (min)(width, xs.cols() - j0);
        double sums[width] = {};
        index_t tokens = 0;
        for (index_t t = first; t < last; ++t) {
          if (!detail::counts(mask, t)) continue;
          ++tokens;
          for (index_t j = 0; j < w; ++j) sums[j] = value(t, j0 + j) + (how == pooling::last_token ? 0 : sums[j]);
        }
        for (index_t j = 0; j < w; ++j)
          store(i, j0 + j, how == pooling::mean ? sums[j] / static_cast<double>(tokens) : sums[j]);
      }
    }
  });
}

}  // namespace HONE_NAMESPACE::lora
