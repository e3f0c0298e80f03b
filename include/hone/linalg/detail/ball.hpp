// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Lengths, and the ball |x| <= radius; an infinite radius is the whole space.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/linalg/objective.hpp"

#include <cmath>

namespace HONE_NAMESPACE::linalg::detail {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double roundoff = std::numeric_limits<double>::epsilon();

/// |a x + b y|; infinite where that is not a number.
inline double norm(double a, std::span<const double> x, double b, std::span<const double> y) {
  const auto sum_of_squares = [&](double by) {
    const serial pool{};
    double result;
    blocked_sum<1>(
        std::ssize(x), &result,
        [&](index_t begin, index_t end, double* partial) {
          for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
            const double e = by * (a * x[i] + b * y[i]);
            *partial += e * e;
          }
        },
        pool);
    return result;
  };
  const double squared = sum_of_squares(1);
  if (squared > 1e-280 && squared < infinity) return std::sqrt(squared);
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double e = std::abs(a * x[i] + b * y[i]);
    if (!(e < infinity)) return infinity;
    largest = (max)(largest, e);
  }
  if (largest == 0) return 0;
  const int exponent = (max)(std::ilogb(largest), -1000);
  return std::ldexp(std::sqrt(sum_of_squares(std::ldexp(1.0, -exponent))), exponent);
}
inline double norm(std::span<const double> x) { return norm(1, x, 0, x); }

/// The point of the ball that is nearest to @p x. Its length, as `norm` has it, is at most the radius.
inline void project(std::span<double> x, double radius) {
  if (radius == infinity) return;
  for (double length = norm(x); length > radius && length < infinity; length = norm(x))
    scale(radius / length * (1 - 2 * roundoff), x);
}

/// Whether a projection, or a step that ends there, put @p x on the sphere.
inline bool on_sphere(std::span<const double> x, double radius) {
  return radius < infinity && norm(x) >= radius * (1 - 32 * roundoff);
}

/// The m >= 0 for which |g + m x| is least where x is on the sphere, else 0: m x is normal to the ball.
inline double multiplier(std::span<const double> x, std::span<const double> g, double radius) {
  if (!on_sphere(x, radius)) return 0;
  return (max)(-dot(x, g) / squared_norm(x), 0.0);
}

/// The certificate of @p x; infinite unless value and gradient are finite.
inline double residual(double value, std::span<const double> x, std::span<const double> g, double radius) {
  const double length = norm(1, g, multiplier(x, g, radius), x);
  return std::isfinite(value) && length < infinity ? length : infinity;
}

}  // namespace HONE_NAMESPACE::linalg::detail
