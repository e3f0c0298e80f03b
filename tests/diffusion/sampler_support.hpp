// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of decoding on small canvases, for the tests of the sampler.
#pragma once
#include "hone/diffusion/sampler.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using logit_rows = std::vector<std::vector<double>>;
inline constexpr std::int32_t mask = 4;

/// One step from a canvas; logits have a last column for the mask.
inline std::vector<std::int32_t> step_from(const hone::diffusion::sampler& s, const logit_rows& z,
                                           std::vector<std::int32_t> canvas,
                                           const hone::diffusion::reveal_step& at = {}) {
  std::vector<double> flat;
  for (const auto& row : z) flat.insert(flat.end(), row.begin(), row.end());
  std::vector<hone::diffusion::candidate> memory;
  const std::vector<std::int32_t> before = canvas;
  const hone::index_t revealed =
      hone::diffusion::reveal(s,
                              hone::matrix_view<double>(flat.data(), static_cast<hone::index_t>(z.size()),
                                                        static_cast<hone::index_t>(z[0].size())),
                              canvas, mask, at, memory);
  hone::index_t changed = 0;
  for (std::size_t i = 0; i < canvas.size(); ++i) {
    changed += canvas[i] != before[i];
    if (before[i] != mask) CHECK(canvas[i] == before[i]);
  }
  CHECK(changed == revealed);
  return canvas;
}

/// A row whose softmax over the first two ids has p of the first; the rest are absent.
inline std::vector<double> likely(double p) { return {std::log(p), std::log1p(-p), -INFINITY, -INFINITY, 50}; }

/// A row of this entropy over two ids.
inline std::vector<double> of_entropy(double h) {
  double low = 0.5, high = 1;
  for (int i = 0; i < 200; ++i) {
    const double p = (low + high) / 2, e = -p * std::log(p) - (1 - p) * std::log1p(-p);
    (e > h ? low : high) = p;
  }
  return likely(low);
}

inline std::vector<std::int32_t> masked(std::size_t n) { return std::vector<std::int32_t>(n, mask); }
