// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/scored.hpp"

#include "hone/core/philox.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::statistics;

TEST_CASE("sorting by score is stable, of few items and of many, whatever the scores") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const std::size_t count : {0u, 1u, 2u, 100u, 4999u, 5000u, 20000u})
    for (const double grain : {1e-12, 0.1, 10.0}) {
      std::vector<scored> items;
      for (std::size_t i = 0; i < count; ++i) {
        const double u = philox{3}.uniform(i), drawn = std::round((u - 0.5) / grain) * grain;  // zeros of both signs
        items.push_back({u < 0.01 ? -infinity : u > 0.99 ? infinity : drawn, static_cast<double>(i)});
      }
      std::vector<scored> expected = items;
      std::sort(expected.begin(), expected.end(), [](const scored& a, const scored& b) {
        return a.score < b.score || (a.score == b.score && a.value < b.value);
      });
      sort_by_score(items);
      bool equal = true;
      for (std::size_t i = 0; i < count; ++i)
        equal = equal && items[i].score == expected[i].score && items[i].value == expected[i].value;
      CHECK(equal);
    }
  // Digit by digit: every bit decides somewhere.
  for (int bit = 0; bit < 52; ++bit) {
    std::vector<scored> items(5000, {1, 0});
    for (std::size_t i = 0; i < items.size(); i += 2) items[i] = {1 + std::ldexp(1.0, -52 + bit), 1};
    sort_by_score(items);
    CHECK(items[2499].value == 0);
    CHECK(items[2500].value == 1);
    CHECK(
        std::is_sorted(items.begin(), items.end(), [](const scored& a, const scored& b) { return a.score < b.score; }));
  }
}
