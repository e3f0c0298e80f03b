// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Eigenvalues and eigenvectors of a small symmetric matrix of fixed size, by Householder reflections to tridiagonal
/// form and implicit QL steps with Wilkinson's shift; and least-squares solutions of singular systems from them.
/// [Golub, Van Loan, Matrix computations, 8.3]
#pragma once
#include "hone/core/contract.hpp"

#include <array>
#include <cmath>
#include <limits>

namespace HONE_NAMESPACE::linalg {

/// K x K elements, row by row.
template <std::size_t K>
using square = std::array<std::array<double, K>, K>;

/// Eigenvalues below this share of the largest count as zero. The Gram matrix of two copies of one gradient, each
/// rounded to float, has one at 1e-14.
inline constexpr double rank_tolerance = 1e-12;

/// A Gram matrix as lengths and cosines, so that a row may be in units of its own. Rows whose squared length is no
/// normal number have length 0 and cosine 0 with all, themselves included.
template <std::size_t K>
struct unit_rows {
  std::array<double, K> length{};
  square<K> cosine{};

  explicit unit_rows(const square<K>& g) {
    std::array<double, K> inverse{};
    for (std::size_t i = 0; i < K; ++i) {
      if (!(g[i][i] >= (std::numeric_limits<double>::min)())) continue;
      length[i] = std::sqrt(g[i][i]);
      inverse[i] = 1 / length[i];
    }
    for (std::size_t i = 0; i < K; ++i) {
      for (std::size_t j = 0; j < K; ++j) cosine[i][j] = g[i][j] * inverse[i] * inverse[j];
      cosine[i][i] = length[i] > 0 ? 1 : 0;
    }
  }
};

template <std::size_t K>
struct symmetric_eigen {
  std::array<double, K> values{};  ///< descending
  square<K> vectors{};             ///< row i belongs to values[i]; orthonormal
  double residual = 0;             ///< the largest |A v - lambda v|_inf over |A|_max: the certificate

  /// How many values lie above @p tolerance of the largest.
  [[nodiscard]] std::size_t rank(double tolerance = rank_tolerance) const {
    std::size_t r = 0;
    while (r < K && values[r] > tolerance * values[0]) ++r;
    return r;
  }
};

namespace detail {

/// a <- its tridiagonal form (d, e below the diagonal in e[0 … K-1)), z <- the reflections' product, transposed.
template <std::size_t K>
void tridiagonalise(square<K>& a, std::array<double, K>& d, std::array<double, K>& e, square<K>& z) {
  z = {};
  for (std::size_t i = 0; i < K; ++i) z[i][i] = 1;
  for (std::size_t k = 0; k + 2 < K; ++k) {
    double tail = 0;
    for (std::size_t i = k + 2; i < K; ++i) tail += a[k][i] * a[k][i];
    if (tail == 0) continue;
    const double norm = std::sqrt(tail + a[k][k + 1] * a[k][k + 1]);
    const double head = a[k][k + 1] > 0 ? -norm : norm;  // what the reflection leaves, of the sign that does not cancel
    std::array<double, K> v{}, p{};
    for (std::size_t i = k + 1; i < K; ++i) v[i] = a[k][i];
    v[k + 1] -= head;
    const double beta = 1 / (norm * (norm + std::abs(a[k][k + 1])));  // 2 / <v, v>
    double vp = 0;
    for (std::size_t i = k + 1; i < K; ++i) {
      for (std::size_t j = 0; j < K; ++j) p[i] += a[i][j] * v[j];
      p[i] *= beta;
      vp += v[i] * p[i];
    }
    for (std::size_t i = k + 1; i < K; ++i) p[i] -= 0.5 * beta * vp * v[i];
    for (std::size_t i = k + 1; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j) a[i][j] -= v[i] * p[j] + p[i] * v[j];
    a[k][k + 1] = head;
    std::array<double, K> vz{};
    for (std::size_t i = k + 1; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j) vz[j] += v[i] * z[i][j];
    for (std::size_t i = k + 1; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j) z[i][j] -= beta * v[i] * vz[j];
  }
  for (std::size_t i = 0; i < K; ++i) {
    d[i] = a[i][i];
    e[i] = i + 1 < K ? a[i][i + 1] : 0;
  }
}

/// d <- the eigenvalues of the tridiagonal matrix, the rows of z <- its eigenvectors.
template <std::size_t K>
void diagonalise(std::array<double, K>& d, std::array<double, K>& e, square<K>& z) {
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  for (std::size_t first = 0; first < K; ++first) {
    for (int step = 0; step < 60; ++step) {
      std::size_t last = first;
      while (last + 1 < K && std::abs(e[last]) > epsilon * (std::abs(d[last]) + std::abs(d[last + 1]))) ++last;
      if (last == first) break;
      const double half = (d[first + 1] - d[first]) / (2 * e[first]);
      const double root = std::hypot(half, 1.0);
      double g = d[last] - d[first] + e[first] / (half + (half < 0 ? -root : root));
      double s = 1, c = 1, p = 0;
      bool split = false;
      for (std::size_t i = last; i-- > first;) {
        const double f = s * e[i], b = c * e[i];
        const double r = std::hypot(f, g);
        e[i + 1] = r;
        if (r == 0) {  // the matrix falls apart here
          d[i + 1] -= p;
          e[last] = 0;
          split = true;
          break;
        }
        s = f / r;
        c = g / r;
        const double shifted = d[i + 1] - p;
        const double t = (d[i] - shifted) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = shifted + p;
        g = c * t - b;
        for (std::size_t j = 0; j < K; ++j) {
          const double upper = z[i + 1][j], lower = z[i][j];
          z[i + 1][j] = s * lower + c * upper;
          z[i][j] = c * lower - s * upper;
        }
      }
      if (split) continue;
      d[first] -= p;
      e[first] = g;
      e[last] = 0;
    }
  }
}

}  // namespace detail

/// The decomposition of the symmetric @p a, whose elements must be finite; the upper triangle is read.
template <std::size_t K>
symmetric_eigen<K> decompose(const square<K>& a) {
  symmetric_eigen<K> result;
  double largest = 0;
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = i; j < K; ++j) largest = (max)(largest, std::abs(a[i][j]));
  if (!(largest > 0)) {
    for (std::size_t i = 0; i < K; ++i) result.vectors[i][i] = 1;
    return result;
  }
  square<K> scaled{};  // so that no square over- or underflows
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = i; j < K; ++j) scaled[i][j] = scaled[j][i] = a[i][j] / largest;
  square<K> work = scaled;
  std::array<double, K> e{};
  detail::tridiagonalise(work, result.values, e, result.vectors);
  detail::diagonalise(result.values, e, result.vectors);
  for (std::size_t i = 0; i < K; ++i) {
    std::size_t top = i;
    for (std::size_t j = i + 1; j < K; ++j)
      if (result.values[j] > result.values[top]) top = j;
    const double value = result.values[i];
    result.values[i] = result.values[top];
    result.values[top] = value;
    const std::array<double, K> row = result.vectors[i];
    result.vectors[i] = result.vectors[top];
    result.vectors[top] = row;
  }
  for (std::size_t k = 0; k < K; ++k) {
    for (std::size_t i = 0; i < K; ++i) {
      double product = -result.values[k] * result.vectors[k][i];
      for (std::size_t j = 0; j < K; ++j) product += scaled[i][j] * result.vectors[k][j];
      result.residual = (max)(result.residual, std::abs(product));
    }
  }
  for (double& value : result.values) value *= largest;
  return result;
}

/// f(A) b = sum_i f(lambda_i) v_i <v_i, b> over the eigenvalues that do not count as zero.
template <std::size_t K, class F>
std::array<double, K> apply_function(const symmetric_eigen<K>& a, const std::array<double, K>& b, F&& f,
                                     double tolerance = rank_tolerance) {
  std::array<double, K> x{};
  for (std::size_t k = 0; k < a.rank(tolerance); ++k) {
    double along = 0;
    for (std::size_t i = 0; i < K; ++i) along += a.vectors[k][i] * b[i];
    along *= f(a.values[k]);
    for (std::size_t i = 0; i < K; ++i) x[i] += along * a.vectors[k][i];
  }
  return x;
}

namespace detail {

/// b - A x, summed in long double, which has more digits almost everywhere.
template <std::size_t K>
std::array<double, K> residual_of(const square<K>& a, const std::array<double, K>& x, const std::array<double, K>& b) {
  std::array<double, K> result;
  for (std::size_t i = 0; i < K; ++i) {
    long double sum = b[i];
    for (std::size_t j = 0; j < K; ++j) sum -= static_cast<long double>(a[i][j]) * x[j];
    result[i] = static_cast<double>(sum);
  }
  return result;
}

}  // namespace detail

/// The shortest least-squares solution of A x = b for positive semidefinite A: pinv(A) b. Two steps of iterative
/// refinement [Higham 2002, Accuracy and stability of numerical algorithms, ch. 12] leave A x - b, where it can vanish,
/// at rounding of b and not of A x.
template <std::size_t K>
std::array<double, K> pseudo_solve(const symmetric_eigen<K>& eigen, const square<K>& a, const std::array<double, K>& b,
                                   double tolerance = rank_tolerance) {
  const auto inverse = [](double value) { return 1 / value; };
  std::array<double, K> x = apply_function(eigen, b, inverse, tolerance);
  for (int step = 0; step < 2; ++step) {
    const auto correction = apply_function(eigen, detail::residual_of(a, x, b), inverse, tolerance);
    for (std::size_t i = 0; i < K; ++i) x[i] += correction[i];
  }
  return x;
}
template <std::size_t K>
std::array<double, K> pseudo_solve(const square<K>& a, const std::array<double, K>& b,
                                   double tolerance = rank_tolerance) {
  return pseudo_solve(decompose(a), a, b, tolerance);
}

}  // namespace HONE_NAMESPACE::linalg
