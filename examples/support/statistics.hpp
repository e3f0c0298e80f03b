// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Means over the seeds of an experiment.
#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace program {

struct statistics {
  std::vector<double> values;
  [[nodiscard]] double mean() const {
    return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  }
  /// Half of the 95 % interval of the mean (Student's t for 2, 3, … values).
  [[nodiscard]] double interval() const {
    const std::size_t n = values.size();
    if (n < 2) return 0;
    double squares = 0;
    for (const double x : values) squares += (x - mean()) * (x - mean());
    constexpr double t[] = {12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26};
    return t[(std::min)(n - 2, std::size_t{8})] *
           std::sqrt(squares / static_cast<double>(n - 1) / static_cast<double>(n));
  }
};

}  // namespace program
