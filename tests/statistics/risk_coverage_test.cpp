// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/risk_coverage.hpp"

#include "hone/core/philox.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;

/// The mean over k of the expected loss of the k highest, equal scores in any order.
double by_definition(const vector& scores, const vector& losses) {
  double sum = 0;
  for (std::size_t k = 1; k <= scores.size(); ++k)
    for (std::size_t i = 0; i < scores.size(); ++i) {
      double above = 0, equal = 0;
      for (const double s : scores) {
        above += s > scores[i];
        equal += s == scores[i];
      }
      const double kept = std::clamp((static_cast<double>(k) - above) / equal, 0.0, 1.0);
      sum += kept * losses[i] / static_cast<double>(k);
    }
  return sum / static_cast<double>(scores.size());
}

}  // namespace

TEST_CASE("AURC: the reference vector (routing, R.5)") {
  const vector small = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0}, score = {.95, .15, .70, .55, .45, .30, .85, .60, .20, .40};
  vector wrong;
  for (const double s : small) wrong.push_back(1 - s);
  const risk_coverage r = measure_risk_coverage(score, wrong);
  CHECK(r.area == Approx(0.2867460317).epsilon(1e-9));
  CHECK(r.risk == Approx(0.6));
  CHECK(r.count == 10);
}

TEST_CASE("AURC is that of the definition, over all orders of equal scores") {
  std::uint64_t at = 0;
  for (const std::size_t n : {1u, 2u, 9u, 40u})
    for (const double grain : {1e-9, 0.2, 2.0})
      for (int repeat = 0; repeat < 5; ++repeat) {
        vector s, l;
        for (std::size_t i = 0; i < n; ++i, ++at) {
          s.push_back(std::round(philox{8, 1}.uniform(at) / grain) * grain);
          l.push_back(repeat % 2 ? philox{8, 2}.uniform(at) : philox{8, 2}.uniform(at) < 0.4);
        }
        const double area = measure_risk_coverage(s, l).area;
        CHECK(area == Approx(by_definition(s, l)).margin(1e-13));
        if (grain == 2.0 && n < 3) continue;
        std::reverse(s.begin(), s.end());
        std::reverse(l.begin(), l.end());
        CHECK(measure_risk_coverage(s, l).area == Approx(area).margin(1e-13));
      }
}

TEST_CASE("AURC: equal and infinite scores have the risk of all; NaN, nothing, misuse") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {1.0, infinity, -infinity})
    CHECK(measure_risk_coverage(vector(4, value), vector{1, 0, 0, 1}).area == Approx(0.5));
  const risk_coverage none = measure_risk_coverage(vector{1, std::nan("")}, vector{1, 0});
  CHECK(std::isnan(none.area));
  CHECK(none.nans == 1);
  CHECK(none.risk == 0.5);
  CHECK(std::isnan(measure_risk_coverage({}, {}).area));
  CHECK_THROWS_WITH(measure_risk_coverage(vector{1}, vector{}),
                    "hone::statistics::measure_risk_coverage: losses: has 0, scores 1");
  CHECK_THROWS_WITH(measure_risk_coverage(vector{1}, vector{infinity}),
                    "hone::statistics::measure_risk_coverage: losses: element 0 is inf");
  CHECK_THROWS_WITH(measure_risk_coverage(vector{1, 2}, vector{-1, std::nan("")}),
                    Catch::StartsWith("hone::statistics::measure_risk_coverage: losses: element 1 is "));
  CHECK(measure_risk_coverage(vector{2, 1}, vector{-3, 1}).area == Approx(-2));
  CHECK(none.count == 2);
  CHECK(std::isnan(measure_risk_coverage({}, {}).risk));
  CHECK(measure_risk_coverage(vector{std::nan(""), std::nan("")}, vector{1, 3}).nans == 2);
}
