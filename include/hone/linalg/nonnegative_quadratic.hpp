// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// min_z 1/2 <z, H z> + <b, z>, z >= 0, for a positive semidefinite H of fixed size, singular or not. It is the
/// projection of a point on a polyhedron, written in inner products: with H = J J^T and b = J x - t, x + J^T z is the
/// point of {y: J y >= t} nearest to x. Solved on rows recovered from H, by adding the most violated row and dropping
/// those whose multiplier reaches zero, which ends after finitely many steps.
/// [Goldfarb, Idnani 1983, A numerically stable dual method for solving strictly convex quadratic programs]
///
/// Of a row that depends on active ones, to the tolerance, the signs of multipliers are rounding. Such a row is left
/// violated, by no more than the rows' dependence allows, unless its violation is of another order.
#pragma once
#include "hone/linalg/gram_rows.hpp"

namespace HONE_NAMESPACE::linalg {

template <std::size_t K>
struct nonnegative_solution {
  std::array<double, K> z{};
  /// The certificate: the largest of -s_i and |z_i s_i|, s = b + H z, for rows of length 1 and max |b_i| = 1; 0 for a
  /// solution (Karush, Kuhn, Tucker).
  double residual = 0;
  /// The certificate relative to y = x + J^T z: the largest of -s_i / |y|, |<z, s>| / |y|^2, |y| from above, and what
  /// rounding of H makes of the latter where z is large.
  double error = 0;
  int steps = 0;
  bool converged = true;  ///< error <= 1e-3, which rounding of H alone may take where rows are nearly dependent
};

namespace detail {

/// Rows of the active set: an orthonormal basis of them, and the rows in it.
template <std::size_t K>
class active_set {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  std::size_t operator[](std::size_t k) const { return row_[k]; }

  /// What of @p x is new, into `fresh`, and of what is not the coefficients @p r on the active rows; returns |fresh|^2.
  double split(const std::array<double, K>& x, std::array<double, K>& r) {
    fresh = x;
    along_ = {};
    for (int pass = 0; pass < 2; ++pass)
      for (std::size_t k = 0; k < size_; ++k) {
        double product = 0;
        for (std::size_t c = 0; c < K; ++c) product += basis_[k][c] * fresh[c];
        along_[k] += product;
        for (std::size_t c = 0; c < K; ++c) fresh[c] -= product * basis_[k][c];
      }
    for (std::size_t i = size_; i-- > 0;) {
      double value = along_[i];
      for (std::size_t j = i + 1; j < size_; ++j) value -= triangle_[j][i] * r[j];
      r[i] = value / triangle_[i][i];
    }
    double squared = 0;
    for (const double value : fresh) squared += value * value;
    return squared;
  }
  /// Adds row @p p, which was split last.
  void add(std::size_t p, double squared) {
    row_[size_] = p;
    triangle_[size_] = along_;
    triangle_[size_][size_] = std::sqrt(squared);
    for (std::size_t c = 0; c < K; ++c) basis_[size_][c] = fresh[c] / triangle_[size_][size_];
    ++size_;
  }
  void drop(const square<K>& rows, std::size_t k) {
    const std::size_t count = (min)(size_, K);
    std::array<double, K> r;
    size_ = k;
    for (std::size_t i = k + 1; i < count; ++i) {
      const std::size_t p = row_[i];
      const double squared = split(rows[p], r);
      add(p, squared);
    }
  }

  std::array<double, K> fresh{};

 private:
  std::size_t size_ = 0;
  std::array<std::size_t, K> row_{};
  std::array<double, K> along_{};
  square<K> basis_{}, triangle_{};
};

}  // namespace detail

/// Problems with one H. They are solved for rows of length 1, so that the units of a row do not matter; rows with H_ii
/// = 0 get z_i = 0. Ties go to the lower index. At most 80 K steps; elements must be finite.
template <std::size_t K>
class nonnegative_problem {
 public:
  /// @param tolerance squared distances of unit rows below which they count as dependent, at least; above H's error.
  explicit nonnegative_problem(const square<K>& h, double tolerance = rank_tolerance)
      : unit_(h), rows_(recover_rows(unit_.cosine, 1e-3 * tolerance)), tolerance_(tolerance) {}

  /// @param length |x|, if it is longer than the largest b_i / sqrt(H_ii).
  /// Multipliers of rows that are nearly dependent are large, and multiply what H does not know of the rows. Where the
  /// certificate shows it, the problem is solved again with a hundred times the tolerance, up to three times.
  [[nodiscard]] nonnegative_solution<K> solve(const std::array<double, K>& b, double length = 0) const {
    nonnegative_solution<K> best;
    std::array<double, K> start{};
    double scale = 0;
    for (std::size_t i = 0; i < K; ++i) {
      if (unit_.length[i] > 0) start[i] = b[i] / unit_.length[i];
      scale = (max)(scale, std::abs(start[i]));
    }
    if (scale == 0) return best;
    for (double& x : start) x /= scale;
    const double x_length = (max)(length / scale, 1.0);
    int steps = 0;
    best.error = std::numeric_limits<double>::infinity();
    for (double tolerance = tolerance_, last = 1e6 * tolerance_; tolerance <= last; tolerance *= 100) {
      nonnegative_solution<K> next = certified(start, approach(start, x_length, tolerance, steps), x_length);
      if (!(next.error >= best.error)) best = next;
      if (best.error <= 4 * std::sqrt(tolerance_)) break;
    }
    best.steps = steps;
    best.converged = best.error <= 1e-3;
    for (std::size_t i = 0; i < K; ++i) best.z[i] = unit_.length[i] > 0 ? scale * best.z[i] / unit_.length[i] : 0;
    return best;
  }

 private:
  /// The multipliers for unit rows, s = @p start without them, |x| <= @p x_length.
  [[nodiscard]] std::array<double, K> approach(const std::array<double, K>& start, double x_length, double tolerance,
                                               int& steps) const {
    std::array<double, K> s = start, z{}, r{}, d{};  // d = J^T z
    double reach = x_length;                         // |x + d| at most
    const auto move = [&](double step, const std::array<double, K>& direction) {
      double squared = 0;
      for (std::size_t c = 0; c < rows_.rank; ++c) {
        d[c] += step * direction[c];
        squared += d[c] * d[c];
      }
      reach = x_length + std::sqrt(squared);
      s = start;
      for (std::size_t i = 0; i < K; ++i)
        for (std::size_t c = 0; c < rows_.rank; ++c) s[i] += rows_.row[i][c] * d[c];
    };
    const double slack = std::sqrt(tolerance);
    detail::active_set<K> active;
    std::array<bool, K> settled{};  // active, or violated by what dependence allows
    const int limit = steps + 20 * int{K};
    while (steps < limit) {
      std::size_t p = K;
      for (std::size_t i = 0; i < K; ++i)
        if (!settled[i] && s[i] < -1e-14 * reach && (p == K || s[i] < s[p])) p = i;
      if (p == K) break;
      for (bool done = false; !done && steps < limit; ++steps) {
        const double squared = active.split(rows_.row[p], r);
        double amplified = 1;  // |fresh| / |(1, r)| is a bound on how independent the rows would be with this one
        for (std::size_t k = 0; k < active.size(); ++k) amplified += r[k] * r[k];
        const bool independent = squared > tolerance * amplified && active.size() < rows_.rank;
        std::size_t leaving = K;
        double step = independent ? (max)(-s[p] / squared, 0.0) : std::numeric_limits<double>::infinity();
        if (independent || -s[p] > 4 * slack * reach) {
          const double least = independent ? 0 : slack;
          for (std::size_t k = 0; k < active.size(); ++k) {
            if (r[k] > least && z[active[k]] < step * r[k]) {
              step = z[active[k]] / r[k];
              leaving = k;
            }
          }
        }
        if (!independent && leaving == K) {
          settled[p] = true;
          break;
        }
        for (std::size_t k = 0; k < active.size(); ++k) z[active[k]] = (max)(z[active[k]] - step * r[k], 0.0);
        z[p] += step;
        move(step, active.fresh);
        if (leaving == K) {
          active.add(p, squared);
          done = true;
        } else {
          z[active[leaving]] = 0;
          active.drop(rows_.row, leaving);
        }
        settled = {};
        for (std::size_t k = 0; k < active.size(); ++k) settled[active[k]] = true;
      }
    }
    return z;
  }

  /// @p z with what H, not the rows, says of it.
  [[nodiscard]] nonnegative_solution<K> certified(const std::array<double, K>& start, const std::array<double, K>& z,
                                                  double x_length) const {
    nonnegative_solution<K> result{.z = z};
    double worst = 0, complement = 0, squared = 0, total = 0;
    for (std::size_t i = 0; i < K; ++i) {
      double product = 0;
      for (std::size_t j = 0; j < K; ++j) product += unit_.cosine[i][j] * z[j];
      const double s = start[i] + product;
      worst = (max)(worst, -s);
      complement += z[i] * s;
      squared += z[i] * product;
      total += z[i];
      result.residual = (max)(result.residual, (max)(-s, std::abs(z[i] * s)));
    }
    const double reach = x_length + std::sqrt((max)(squared, 0.0));
    const double rounding = std::numeric_limits<double>::epsilon() * total * total;
    result.error = (max)(worst / reach, (max)(std::abs(complement), rounding) / (reach * reach));
    return result;
  }

  unit_rows<K> unit_;
  gram_rows<K> rows_;
  double tolerance_;
};

/// One problem: as `nonnegative_problem<K>(h, tolerance).solve(b, length)`.
template <std::size_t K>
nonnegative_solution<K> minimise_nonnegative(const square<K>& h, const std::array<double, K>& b, double length = 0,
                                             double tolerance = rank_tolerance) {
  return nonnegative_problem<K>(h, tolerance).solve(b, length);
}

}  // namespace HONE_NAMESPACE::linalg
