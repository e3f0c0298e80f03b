// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The largest error so far, and the error of a gradient: NaN, once there is one, stays.
#pragma once
#include <cmath>
#include <functional>
#include <vector>

/// std::fmax would leave a NaN out.
inline double worst(double so_far, double error) { return so_far != so_far || error <= so_far ? so_far : error; }

/// The largest difference between @p gradient and central differences of @p f at @p x, over the largest gradient.
inline double gradient_error(std::vector<double> x, const std::vector<double>& gradient,
                             const std::function<double(const std::vector<double>&)>& f, double step = 1e-5) {
  double error = 0, scale = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double old = x[i];
    x[i] = old + step;
    const double above = f(x);
    x[i] = old - step;
    error = worst(error, std::abs((above - f(x)) / (2 * step) - gradient[i]));
    scale = worst(scale, std::abs(gradient[i]));
    x[i] = old;
  }
  return error / scale;
}
