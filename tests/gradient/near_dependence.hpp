// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Random gradients that are dependent or nearly so, and each method's own conditions on its weights, in long double.
/// A condition returns how far it is from holding, relative to the gradients.
#pragma once
#include "hone/core/random.hpp"
#include "hone/gradient/tasks.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

namespace near_dependence {

using real = long double;

/// K rows of n elements; the last is s g_0, s (g_0 + g_1), a mean of all others, or two pairs are opposed, with noise
/// of 0 or 1e-1 … 1e-12 of its length on top; lengths within a factor of 10, or of 10^12 for every fifth seed.
template <std::size_t K>
struct sample {
  std::array<std::vector<double>, K> row;

  explicit sample(std::uint32_t seed) {
    const hone::philox draw{77, seed};
    std::uint64_t next = 0;
    const std::size_t n = std::array<std::size_t, 3>{K, 2 * K, (K + 1) / 2}[seed % 3];
    for (std::size_t i = 0; i < K; ++i) {
      const double length = std::pow(10.0, (seed % 5 == 0 ? 12 : 1) * (draw.uniform(next++) - 0.5));
      for (std::size_t e = 0; e < n; ++e) row[i].push_back(length * draw.normal(next++));
    }
    const double s = draw.normal(next++), noise = seed % 4 == 0 ? 0 : std::pow(10.0, -1 - 11 * draw.uniform(next++));
    const auto mix = [&](std::size_t target, auto&& of) {
      for (std::size_t e = 0; e < n; ++e) {
        const double x = of(e);
        row[target][e] = x + noise * std::abs(s) * std::abs(row[0][e]) * draw.normal(next++);
      }
    };
    switch (seed / 4 % 4) {
      case 0: mix(K - 1, [&](std::size_t e) { return s * row[0][e]; }); break;
      case 1: mix(K - 1, [&](std::size_t e) { return s * (row[0][e] + row[1][e]); }); break;
      case 2:
        mix(K - 1, [&](std::size_t e) {
          double sum = 0;
          for (std::size_t i = 0; i + 1 < K; ++i) sum += row[i][e];
          return s * sum;
        });
        break;
      default:
        mix(K - 1, [&](std::size_t e) { return -0.3 * row[0][e]; });
        if (K > 3) mix(2, [&](std::size_t e) { return -0.7 * row[1][e]; });
    }
    if (seed % 2 == 0)  // as gradients are stored
      for (auto& r : row)
        for (double& x : r) x = static_cast<double>(static_cast<float>(x));
  }
  [[nodiscard]] hone::gradient::gram_matrix<K> gram() const {
    hone::gradient::gram_matrix<K> result;
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j) {
        real sum = 0;
        for (std::size_t e = 0; e < row[0].size(); ++e) sum += static_cast<real>(row[i][e]) * row[j][e];
        result.value[i][j] = static_cast<double>(sum);
      }
    return result;
  }
};

/// The products of a combination of K rows, from the rows themselves.
template <std::size_t K>
struct combination {
  std::array<real, K> length{}, dot{};  ///< |g_i|, <g_i, g_w>
  real squared = 0, longest = 0;

  combination(const sample<K>& s, const std::array<double, K>& w) {
    for (std::size_t e = 0; e < s.row[0].size(); ++e) {
      real x = 0;
      for (std::size_t i = 0; i < K; ++i) x += static_cast<real>(w[i]) * s.row[i][e];
      squared += x * x;
      for (std::size_t i = 0; i < K; ++i) {
        dot[i] += x * s.row[i][e];
        length[i] += static_cast<real>(s.row[i][e]) * s.row[i][e];
      }
    }
    for (real& l : length) {
      l = std::sqrt(l);
      longest = (std::max)(longest, l);
    }
  }
  [[nodiscard]] real norm() const { return std::sqrt(squared); }
};

/// The larger, or NaN if one of them is.
inline real worse(real a, real b) { return std::isnan(a) || a > b ? a : b; }

/// v the weights of a projection of J^T u on {y: <y, g_i> >= 0 for i >= first}: none is opposed, what was added points
/// along rows that are now orthogonal, and the length has not grown. Of an unsolved one only the latter is asked.
template <std::size_t K>
real projection_error(const sample<K>& s, const std::array<double, K>& u, const hone::gradient::solved_weights<K>& v,
                      std::size_t first) {
  const combination<K> before(s, u), after(s, v);
  std::array<double, K> added;
  for (std::size_t i = 0; i < K; ++i) added[i] = v[i] - u[i];
  const combination<K> moved(s, added);
  real error = worse(0, after.norm() / before.norm() - 1), along = 0;
  if (!v.converged) return error;
  for (std::size_t i = 0; i < K; ++i) {
    along += static_cast<real>(added[i]) * after.dot[i];
    if (i < first) continue;
    error = worse(error, static_cast<real>(-added[i]) * before.length[i] / before.norm());
    error = worse(error, -after.dot[i] / (before.length[i] * before.norm()));
  }
  return worse(error, std::abs(along) / before.squared);
}

}  // namespace near_dependence
