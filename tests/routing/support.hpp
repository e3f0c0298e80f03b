// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The tables of routing's reference vectors, and rows that are drawn.
#pragma once
#include "hone/core/philox.hpp"
#include "hone/core/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace routing_test {

using vector = std::vector<double>;

struct table {
  vector weak, strong, score;
};

/// R.5.
inline table toy() {
  return {.weak = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0},
          .strong = {1, 1, 1, 0, 1, 1, 1, 1, 1, 0},
          .score = {.95, .15, .70, .55, .45, .30, .85, .60, .20, .40}};
}

/// R.6: 40 rows of graded quality, 24 distinct scores.
inline table graded() {
  table t;
  for (int i = 0; i < 40; ++i) {
    const int a = 7 * i % 11;
    t.weak.push_back(a / 10.0);
    t.strong.push_back((std::min)(10, 6 + 3 * i % 5) / 10.0);
    t.score.push_back(17 * i % 40 + 4 * a);
  }
  return t;
}

/// The weak model is right with probability u, the strong one with (1 + u) / 2, u even; the score is u and noise,
/// rounded to multiples of @p grain.
inline table drawn(std::uint32_t stream, std::size_t rows, double noise, double grain) {
  const hone::philox random{16, stream};
  table t;
  for (std::size_t i = 0; i < rows; ++i) {
    const double u = random.uniform(4 * i);
    t.weak.push_back(random.uniform(4 * i + 1) < u);
    t.strong.push_back(random.uniform(4 * i + 2) < (1 + u) / 2);
    t.score.push_back(std::round((u + noise * (random.uniform(4 * i + 3) - 0.5)) / grain) * grain);
  }
  return t;
}

}  // namespace routing_test
