// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The chain of embedding of a prompt: how its pooled states z_0 … z_{L-1} (L x d) go from layer to layer,
///   m_i = |z_i| + |z_{i+1}|     c_i = cos(z_i, z_{i+1})     i = 0 … L - 2
/// in which order (all m, then all c) they are the features of a probe; without training their mean is a score.
/// RouterXBench (arXiv 2602.11877) scores by sigmoid(mean): lengths are far above 1, so that this is 1 of nearly all
/// prompts. Its features are those of its code; the published chain of embedding [Wang et al. 2024, arXiv 2410.13640]
/// takes lengths and angles of the steps, between the ends.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/sigmoid.hpp"

#include <cmath>
#include <limits>

namespace HONE_NAMESPACE::routing {

/// Writes the features of @p states (L x d) to @p features (2 (L - 1)); a state of zeros has cosine 0 with any. Returns
/// how many elements of the states are infinite or NaN; features made of them are NaN or infinite.
/// @throws std::invalid_argument, before anything is written, if there is no state or the sizes do not fit.
/// @note Three reads of the states; products and sums in double; allocates nothing. Bitwise whatever the strides.
template <matrix_like Z, mutable_vector F>
index_t chain_features(const Z& states, F&& features) {
  const char* function = "hone::routing::chain_features";
  const auto zs = as_matrix(states);
  const auto out = output_vector(features, function, "features");
  const index_t steps = zs.rows() - 1;
  invalid_argument_unless(steps >= 0, function, "states", "has no row");
  invalid_argument_unless(out.size() == 2 * steps, function, "features", "has %td elements, expected %td", out.size(),
                          2 * steps);
  const auto store = [&](index_t i, double value) {
    using T = element_t<F>;
    out[i] = from_accumulator<T>(static_cast<accumulator_t<T>>(value));
  };
  index_t nonfinite = count_nonfinite(zs.row(0));
  double length = std::sqrt(squared_norm(zs.row(0)));
  for (index_t i = 0; i < steps; ++i) {
    nonfinite += count_nonfinite(zs.row(i + 1));
    const double next = std::sqrt(squared_norm(zs.row(i + 1)));
    const double product = dot(zs.row(i), zs.row(i + 1));
    store(i, length + next);
    store(steps + i, length == 0 || next == 0 ? 0 : product / length / next);
    length = next;
  }
  return nonfinite;
}

struct chain_score {
  double mean = std::numeric_limits<double>::quiet_NaN();          ///< to rank by
  double sigmoid_mean = std::numeric_limits<double>::quiet_NaN();  ///< RouterXBench's
};

/// The score of @p features as `chain_features` writes them; NaN of none.
template <vector_like F>
chain_score score_chain(const F& features) {
  const auto x = as_vector(features);
  if (x.size() == 0) return {};
  const double mean = sum(x) / static_cast<double>(x.size());
  return {mean, sigmoid(mean)};
}

}  // namespace HONE_NAMESPACE::routing
