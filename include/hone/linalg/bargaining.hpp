// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The Nash bargaining solution among the rows of a Gram matrix: w > 0 with (G w)_i = 1 / w_i, the minimum of the
/// convex 1/2 <w, G w> - sum_i log w_i. Newton steps, damped by their own length while it is large, which suffices for
/// a self-concordant function. [Nesterov, Nemirovskii 1994, Interior-point polynomial algorithms in convex programming]
#pragma once
#include "hone/linalg/symmetric_eigen.hpp"

namespace HONE_NAMESPACE::linalg {

template <std::size_t K>
struct bargain {
  std::array<double, K> w{};
  /// The certificate: the largest |w_i (G w)_i - 1| over the rows that take part.
  double residual = 0;
  /// False if there is no solution: some convex combination of the rows vanishes, to sqrt(tolerance) of their lengths.
  /// w is then 0.
  bool agreed = true;
  /// residual <= 1e-2, which the rounding of g alone may take where rows nearly cancel; w is 0 if not.
  bool converged = true;
  int steps = 0;
};

/// The bargain over the positive semidefinite @p g; rows with G_ii = 0 do not take part and get w_i = 0. Each row may
/// be in units of its own: scaling row i by s divides w_i by s. Elements must be finite.
template <std::size_t K>
bargain<K> solve_bargain(const square<K>& g, double tolerance = rank_tolerance) {
  bargain<K> result;
  const unit_rows<K> rows(g);
  square<K> unit = rows.cosine;
  std::array<double, K> y{}, product{};
  double count = 0, whole = 0;
  for (std::size_t i = 0; i < K; ++i) {
    if (rows.length[i] == 0) unit[i][i] = 1;  // a game of one
    for (std::size_t j = 0; j < K; ++j) whole += rows.cosine[i][j];
    count += rows.length[i] > 0 ? 1 : 0;
  }
  for (std::size_t i = 0; i < K; ++i) y[i] = rows.length[i] > 0 ? std::sqrt(count / (max)(whole, 1e-3 * count)) : 1;
  for (double previous = 0; result.steps < 200; ++result.steps) {
    double residual = 0, total = 0, squared = 0;
    for (std::size_t i = 0; i < K; ++i) {
      product[i] = 0;
      for (std::size_t j = 0; j < K; ++j) product[i] += unit[i][j] * y[j];
      residual = (max)(residual, std::abs(y[i] * product[i] - 1));
      if (rows.length[i] == 0) continue;
      total += y[i];
      squared += y[i] * product[i];
    }
    result.residual = residual;
    if (squared <= tolerance * total * total && count > 0) {
      result.agreed = false;
      return result;
    }
    const double rounding = 4 * std::numeric_limits<double>::epsilon() * total * total;
    if (residual <= 1e-14 || (residual <= (max)(rounding, 1e-8) && previous <= residual && result.steps > 0)) break;
    previous = residual;
    // (C + Y^-2) d = 1 / y - C y, in the variable d / y: (Y C Y + I) x = 1 - y (C y).
    square<K> factor;
    std::array<double, K> x;
    for (std::size_t i = 0; i < K; ++i) {
      x[i] = 1 - y[i] * product[i];
      for (std::size_t j = 0; j <= i; ++j) {
        double entry = y[i] * unit[i][j] * y[j] + (i == j ? 1 : 0);
        for (std::size_t k = 0; k < j; ++k) entry -= factor[i][k] * factor[j][k];
        factor[i][j] = i == j ? std::sqrt((max)(entry, 1e-300)) : entry / factor[j][j];
      }
    }
    double decrement = 0;
    for (std::size_t i = 0; i < K; ++i) {
      for (std::size_t k = 0; k < i; ++k) x[i] -= factor[i][k] * x[k];
      x[i] /= factor[i][i];
      decrement += x[i] * x[i];
    }
    for (std::size_t i = K; i-- > 0;) {
      for (std::size_t k = i + 1; k < K; ++k) x[i] -= factor[k][i] * x[k];
      x[i] /= factor[i][i];
    }
    const double newton_decrement = std::sqrt(decrement);
    const double share = newton_decrement > 0.25 ? 1 / (1 + newton_decrement) : 1;
    for (std::size_t i = 0; i < K; ++i) y[i] *= 1 + share * x[i];
  }
  result.converged = result.residual <= 1e-2;
  for (std::size_t i = 0; i < K; ++i)
    if (result.converged && rows.length[i] > 0) result.w[i] = y[i] / rows.length[i];
  return result;
}

}  // namespace HONE_NAMESPACE::linalg
