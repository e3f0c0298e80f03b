// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Objectives for the tests of the minimisers, written from their formulas.
#pragma once
#include "hone/core/random.hpp"
#include "hone/linalg/objective.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace objectives {

using point = std::span<const double>;
using output = std::span<double>;

inline constexpr double infinite = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

inline double length(point x) {
  long double sum = 0;
  for (const double e : x) sum += static_cast<long double>(e) * e;
  return static_cast<double>(std::sqrt(sum));
}
inline double distance(point x, point y) {
  std::vector<double> d(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) d[i] = x[i] - y[i];
  return length(d);
}
inline std::vector<double> normals(std::size_t n, std::uint32_t seed, std::uint32_t stream = 0) {
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = hone::philox{seed, stream}.normal(i);
  return x;
}

/// n eigenvalues from 1 to the condition number, even in the logarithm.
inline std::vector<double> spread(std::size_t n, double condition) {
  std::vector<double> e(n, 1.0);
  for (std::size_t i = 0; i < n && n > 1; ++i)
    e[i] = std::pow(condition, static_cast<double>(i) / static_cast<double>(n - 1));
  return e;
}

/// 1/2 <x - c, H (x - c)> of a dense H = V diag(e) V, V a reflection.
struct quadratic {
  std::vector<double> eigenvalues, centre, axis;  // V = I - 2 axis axis^T

  quadratic(std::vector<double> e, std::vector<double> c, std::uint32_t seed)
      : eigenvalues(std::move(e)), centre(std::move(c)), axis(normals(centre.size(), seed, 9)) {
    const double norm = length(axis);
    for (double& a : axis) a /= norm;
  }
  void reflect(std::vector<double>& x) const {
    double along = 0;
    for (std::size_t i = 0; i < x.size(); ++i) along += axis[i] * x[i];
    for (std::size_t i = 0; i < x.size(); ++i) x[i] -= 2 * along * axis[i];
  }
  void product(point x, output out) const {
    std::vector<double> d(x.begin(), x.end());
    reflect(d);
    for (std::size_t i = 0; i < d.size(); ++i) d[i] *= eigenvalues[i];
    reflect(d);
    for (std::size_t i = 0; i < d.size(); ++i) out[i] = d[i];
  }
  double operator()(point x, output g) const {
    std::vector<double> d(x.size());
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = x[i] - centre[i];
    product(d, g);
    double value = 0;
    for (std::size_t i = 0; i < d.size(); ++i) value += 0.5 * d[i] * g[i];
    return value;
  }
  void hessian(point, output h) const {
    const std::size_t n = centre.size();
    std::vector<double> unit(n), column(n);
    for (std::size_t j = 0; j < n; ++j) {
      unit.assign(n, 0.0);
      unit[j] = 1;
      product(unit, column);
      for (std::size_t i = j; i < n; ++i) h[i * n + j] = column[i];
    }
  }
};

/// sum of 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2
struct rosenbrock {
  double operator()(point x, output g) const {
    double value = 0;
    for (double& e : g) e = 0;
    for (std::size_t i = 0; i + 1 < x.size(); ++i) {
      const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
      value += 100 * a * a + b * b;
      g[i] += -400 * a * x[i] - 2 * b;
      g[i + 1] += 200 * a;
    }
    return value;
  }
  void hessian(point x, output h) const {
    const std::size_t n = x.size();
    for (double& e : h) e = 0;
    for (std::size_t i = 0; i + 1 < n; ++i) {
      h[i * n + i] += 1200 * x[i] * x[i] - 400 * x[i + 1] + 2;
      h[(i + 1) * n + i] += -400 * x[i];
      h[(i + 1) * n + i + 1] += 200;
    }
  }
};

/// The mean of w_i loss(s_i <x_i, b>) + ridge/2 |b|^2, loss one of log(1 + e^-z) and e^-z - z.
struct linear_model {
  std::vector<double> rows, signs, weights;  // n * d, n, n
  double ridge = 0;
  bool exponential = false;

  [[nodiscard]] double loss(double z) const {
    if (exponential) return std::exp(-z) - z;
    return z > 0 ? std::log1p(std::exp(-z)) : std::log1p(std::exp(z)) - z;
  }
  [[nodiscard]] double slope(double z) const { return exponential ? -std::exp(-z) - 1 : -1 / (1 + std::exp(z)); }
  [[nodiscard]] double curvature(double z) const {
    return exponential ? std::exp(-z) : 1 / (2 + std::exp(z) + std::exp(-z));
  }
  [[nodiscard]] double at(std::size_t i, point b) const {
    double z = 0;
    for (std::size_t j = 0; j < b.size(); ++j) z += signs[i] * rows[i * b.size() + j] * b[j];
    return z;
  }
  double operator()(point b, output g) const {
    const std::size_t d = b.size();
    const auto n = static_cast<double>(signs.size());
    double value = 0;
    for (double& e : g) e = 0;
    for (std::size_t i = 0; i < signs.size(); ++i) {
      const double z = at(i, b);
      value += weights[i] / n * loss(z);
      for (std::size_t j = 0; j < d; ++j) g[j] += weights[i] / n * slope(z) * signs[i] * rows[i * d + j];
    }
    for (std::size_t j = 0; j < d; ++j) {
      value += ridge / 2 * b[j] * b[j];
      g[j] += ridge * b[j];
    }
    return value;
  }
  void hessian(point b, output h) const {
    const std::size_t d = b.size();
    const auto n = static_cast<double>(signs.size());
    for (double& e : h) e = 0;
    for (std::size_t i = 0; i < signs.size(); ++i) {
      const double c = weights[i] / n * curvature(at(i, b));
      for (std::size_t j = 0; j < d; ++j)
        for (std::size_t k = 0; k <= j; ++k) h[j * d + k] += c * rows[i * d + j] * rows[i * d + k];
    }
    for (std::size_t j = 0; j < d; ++j) h[j * d + j] += ridge;
  }
};

/// Rows in the unit ball whose columns fall like 1 / k^decay, signs that follow the first two, weights in (0, 2).
inline linear_model random_model(std::size_t n, std::size_t d, std::uint32_t seed, double ridge, double decay = 0) {
  linear_model m{normals(n * d, seed), std::vector<double>(n), std::vector<double>(n), ridge};
  for (std::size_t i = 0; i < n; ++i) {
    const output row(m.rows.data() + i * d, d);
    for (std::size_t j = 0; j < d; ++j) row[j] = row[j] / std::pow(static_cast<double>(j + 1), decay) + 0.5 * decay;
    const double norm = length(row);
    for (double& e : row) e /= (std::max)(norm, 1.0);
    const double u = hone::philox{seed, 1}.uniform(i);
    m.signs[i] = row[0] - (d > 1 ? row[1] : 0) + 0.3 * (2 * u - 1) > 0 ? 1 : -1;
    m.weights[i] = 2 * hone::philox{seed, 2}.uniform(i);
  }
  return m;
}

/// An objective without its Hessian.
template <class F>
struct without_hessian {
  const F& f;
  double operator()(point x, output g) const { return f(x, g); }
};
template <class F>
without_hessian(const F&) -> without_hessian<F>;

}  // namespace objectives
