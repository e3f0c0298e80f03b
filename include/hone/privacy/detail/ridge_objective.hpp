// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// (1/n) sum_i f_i(z_i) + (ridge / 2) |theta|^2 + <tilt, theta> / n over records, as linalg's minimisers take it.
#pragma once
#include "hone/privacy/row_sums.hpp"

#include <concepts>

namespace HONE_NAMESPACE::privacy::detail {

template <class Row>
concept curved_row = requires(const Row& row, const lanes& z) {
  { row.curvature(index_t{}, z) } -> std::same_as<lanes>;
};

template <std::size_t Products, class Row>
struct ridge_objective {
  const records& data;
  const Row& row;
  double ridge;
  std::span<const double> tilt;  // none, or as long as theta
  executor_reference pool;

  double operator()(std::span<const double> theta, std::span<double> gradient) const {
    const double n = static_cast<double>(data.limits().rows);
    double value = sum_rows<Products>(data, theta, gradient, row, pool) / n;
    for (std::size_t j = 0; j < theta.size(); ++j) {
      const double slope = tilt.empty() ? 0 : tilt[j] / n;
      gradient[j] = gradient[j] / n + (ridge * theta[j] + slope);
      value += theta[j] * (ridge / 2 * theta[j] + slope);
    }
    return value;
  }
  void hessian(std::span<const double> theta, std::span<double> h) const
    requires curved_row<Row>
  {
    sum_row_products(data, theta, h, [&](index_t first, const lanes& z) { return row.curvature(first, z); }, pool);
    const double n = static_cast<double>(data.limits().rows);
    const std::size_t d = theta.size();
    for (std::size_t i = 0; i < d; ++i) {
      for (std::size_t j = 0; j <= i; ++j) h[i * d + j] /= n;
      h[i * d + i] += ridge;
    }
  }
};

/// x <- the nearest point of the ball.
inline void project_on_ball(std::span<double> x, double radius) {
  double squared = 0;
  for (const double value : x) squared += value * value;
  const double length = std::sqrt(squared);
  if (!(length > radius)) return;
  for (double& value : x) value *= radius / length * (1 - 0x1p-50);
}

}  // namespace HONE_NAMESPACE::privacy::detail
