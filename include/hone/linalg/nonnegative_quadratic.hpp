// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// min_z 1/2 <z, H z> + <b, z>, z >= 0, for a positive semidefinite H of fixed size, singular or not, and b in the
/// range of H. It is the projection of a point on a cone, written in inner products: with H = J J^T and b = J x,
/// x + J^T z is the point of {y: J y >= 0} nearest to x. Solved by adding the most violated row and dropping those
/// whose multiplier reaches zero, which ends after finitely many steps.
/// [Goldfarb, Idnani 1983, A numerically stable dual method for solving strictly convex quadratic programs]
#pragma once
#include "hone/linalg/symmetric_eigen.hpp"

namespace HONE_NAMESPACE::linalg {

template <std::size_t K>
struct nonnegative_solution {
  std::array<double, K> z{};
  /// The certificate: the largest of -s_i and |z_i s_i|, s = b + H z, for rows of length 1 and max |b_i| = 1; 0 for a
  /// solution (Karush, Kuhn, Tucker).
  double residual = 0;
  int steps = 0;
};

namespace detail {

/// The rows of H in the active set and the Cholesky factor of their block.
template <std::size_t K>
class active_set {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  std::size_t operator[](std::size_t k) const { return row_[k]; }

  /// r with H_AA r = H_Ap, and what of row p does not depend on the active rows: H_pp - <H_Ap, r>.
  double coefficients(const square<K>& h, std::size_t p, std::array<double, K>& r) {
    double rest = h[p][p];
    for (std::size_t i = 0; i < size_; ++i) {
      double x = h[row_[i]][p];
      for (std::size_t j = 0; j < i; ++j) x -= factor_[i][j] * next_[j];
      next_[i] = x / factor_[i][i];
      rest -= next_[i] * next_[i];
    }
    for (std::size_t i = size_; i-- > 0;) {
      double x = next_[i];
      for (std::size_t j = i + 1; j < size_; ++j) x -= factor_[j][i] * r[j];
      r[i] = x / factor_[i][i];
    }
    return rest;
  }
  /// Adds row p, whose coefficients were asked for last.
  void add(std::size_t p, double rest) {
    row_[size_] = p;
    factor_[size_] = next_;
    factor_[size_][size_] = std::sqrt(rest);
    ++size_;
  }
  void drop(const square<K>& h, std::size_t k) {
    const std::size_t count = (min)(size_, K);
    std::array<double, K> r;
    size_ = k;
    for (std::size_t i = k + 1; i < count; ++i) {
      const std::size_t p = row_[i];
      const double rest = coefficients(h, p, r);
      add(p, rest);
    }
  }

 private:
  std::size_t size_ = 0;
  std::array<std::size_t, K> row_{};
  std::array<double, K> next_{};
  square<K> factor_{};
};

}  // namespace detail

/// The solution, of the equivalent problem on rows of length 1, so that the units of a row do not matter; rows with
/// H_ii = 0 get z_i = 0. Ties go to the lower index. At most 20 K steps; elements must be finite.
template <std::size_t K>
nonnegative_solution<K> minimise_nonnegative(const square<K>& h, const std::array<double, K>& b) {
  nonnegative_solution<K> result;
  const unit_rows<K> rows(h);
  std::array<double, K> s{}, z{};
  double scale = 0;
  for (std::size_t i = 0; i < K; ++i) {
    if (rows.length[i] > 0) s[i] = b[i] / rows.length[i];
    scale = (max)(scale, std::abs(s[i]));
  }
  if (scale == 0) return result;
  for (double& x : s) x /= scale;
  const std::array<double, K> start = s;

  detail::active_set<K> active;
  std::array<bool, K> settled{};  // active, or of a violation that no step can mend, which is rounding
  std::array<double, K> r{};
  while (result.steps < 20 * int{K}) {
    std::size_t p = K;
    double magnitude = 1;
    for (std::size_t i = 0; i < K; ++i) {
      magnitude += z[i];
      if (!settled[i] && s[i] < 0 && (p == K || s[i] < s[p])) p = i;
    }
    if (p < K && !(s[p] < -1e-14 * magnitude)) break;
    if (p == K) break;
    for (bool done = false; !done && result.steps < 20 * int{K}; ++result.steps) {
      const double rest = active.coefficients(rows.cosine, p, r);
      const bool independent = rest > rank_tolerance && active.size() < K;
      double step = independent ? (max)(-s[p] / rest, 0.0) : std::numeric_limits<double>::infinity();
      std::size_t leaving = K;
      for (std::size_t k = 0; k < active.size(); ++k) {
        if (r[k] > 0 && z[active[k]] < step * r[k]) {
          step = z[active[k]] / r[k];
          leaving = k;
        }
      }
      if (!independent && leaving == K) {
        settled[p] = true;
        break;
      }
      for (std::size_t k = 0; k < active.size(); ++k) z[active[k]] = (max)(z[active[k]] - step * r[k], 0.0);
      z[p] += step;
      if (leaving == K) {
        active.add(p, rest);
        settled[p] = done = true;
      } else {
        z[active[leaving]] = 0;
        settled[active[leaving]] = false;
        active.drop(rows.cosine, leaving);
      }
      s = start;
      for (std::size_t j = 0; j < K; ++j) {
        if (z[j] == 0) continue;
        for (std::size_t i = 0; i < K; ++i) s[i] += rows.cosine[j][i] * z[j];
      }
    }
  }
  for (std::size_t i = 0; i < K; ++i) {
    result.residual = (max)(result.residual, (max)(-s[i], std::abs(z[i] * s[i])));
    if (rows.length[i] > 0) result.z[i] = scale * z[i] / rows.length[i];
  }
  return result;
}

}  // namespace HONE_NAMESPACE::linalg
