// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/conformal.hpp"

#include "hone/core/philox.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

/// By trying every score.
double threshold_by_trying(const vector& scores, const vector& losses, const conformal_options& options) {
  const auto n = static_cast<double>(scores.size());
  const auto allowed = [&](double threshold) {
    double sum = options.largest;
    for (std::size_t i = 0; i < scores.size(); ++i) sum += scores[i] >= threshold ? losses[i] : 0;
    return sum / (n + 1) <= options.risk * (1 + 1e-15);
  };
  if (allowed(-infinity)) return -infinity;
  double best = infinity;
  for (const double s : scores)
    if (allowed(s)) best = (std::min)(best, s);
  return best;
}

}  // namespace

TEST_CASE("conformal: worked by hand") {
  // Of 9 items 1 / 10 is one wrong at most less the next item's own.
  const vector s = {9, 8, 7, 6, 5, 4, 3, 2, 1}, wrong = {0, 0, 1, 0, 0, 1, 1, 1, 1};
  const auto strict = control_risk(s, wrong, {.risk = 0.1});
  CHECK(strict.value == 8);
  CHECK(strict.bound == Approx(0.1));
  CHECK(strict.kept == 2);
  CHECK(strict.count == 9);
  const auto looser = control_risk(s, wrong, {.risk = 0.2});
  CHECK(looser.value == 5);
  CHECK(looser.kept == 5);
  CHECK(looser.keeps(5));
  CHECK(!looser.keeps(4.9));
  CHECK(!looser.keeps(not_a_number));
  CHECK(control_risk(s, wrong, {.risk = 0.6}).value == -infinity);
  CHECK(control_risk(s, wrong, {.risk = 0.6}).bound == Approx(0.6));
  CHECK(control_risk(s, wrong, {.risk = 0.6}).kept == 9);
  const auto none = control_risk(s, wrong, {.risk = 0.05});
  CHECK(none.value == infinity);
  CHECK(none.bound == 0);
  CHECK(none.kept == 0);
  CHECK(!none.keeps(infinity));
}

TEST_CASE("conformal: the lowest score that is allowed, with ties, graded losses and any order of the items") {
  std::uint64_t at = 0;
  for (const std::size_t n : {1u, 5u, 30u, 99u})
    for (const double grain : {1e-9, 0.1, 0.5})
      for (const double risk : {0.02, 0.1, 0.29, 0.5})
        for (const double largest : {1.0, 2.5}) {
          vector s, l;
          for (std::size_t i = 0; i < n; ++i, ++at) {
            const double u = philox{6, 1}.uniform(at);
            s.push_back(std::round(u / grain) * grain);
            l.push_back(largest * (grain == 0.5 ? philox{6, 2}.uniform(at) : philox{6, 2}.uniform(at) > u ? 1 : 0));
          }
          const conformal_options options{.risk = risk, .largest = largest};
          const auto t = control_risk(s, l, options);
          CHECK(t.value == threshold_by_trying(s, l, options));
          CHECK(t.bound <= risk * (1 + 1e-14));
          CHECK(t.kept == std::count_if(s.begin(), s.end(), [&](double score) { return t.keeps(score); }));
          std::reverse(s.begin(), s.end());
          std::reverse(l.begin(), l.end());
          CHECK(control_risk(s, l, options).value == t.value);
        }
}

TEST_CASE("conformal: nothing, one, all right, all wrong, equal, infinite, NaN; misuse") {
  CHECK(control_risk({}, {}).value == infinity);
  CHECK(!control_risk({}, {}).keeps(1));
  CHECK(control_risk({}, {}, {.risk = 1}).value == -infinity);
  CHECK(control_risk({}, {}, {.risk = 1}).keeps(-infinity));
  CHECK(control_risk(vector{3}, vector{0}, {.risk = 0.5}).value == -infinity);
  CHECK(control_risk(vector{3}, vector{0}, {.risk = 0.4}).value == infinity);
  CHECK(control_risk(vector{3}, vector{1}, {.risk = 0.5}).value == infinity);
  const vector s = {5, 5, 5, 5, 5, 5, 5, 5, 5}, wrong = {0, 0, 1, 0, 0, 0, 0, 0, 0};
  CHECK(control_risk(s, wrong, {.risk = 0.1}).value == infinity);
  CHECK(control_risk(s, wrong, {.risk = 0.2}).value == -infinity);
  const auto ends = control_risk(vector{infinity, infinity, -infinity}, vector{0, 0, 1}, {.risk = 0.25});
  CHECK(ends.value == infinity);
  CHECK(ends.kept == 2);
  CHECK(ends.keeps(infinity));
  CHECK(!ends.keeps(1e300));
  const auto broken = control_risk(vector{1, not_a_number, not_a_number}, vector{0, 0, 0}, {.risk = 0.9});
  CHECK(broken.nans == 2);
  CHECK(std::isnan(broken.value));
  CHECK(std::isnan(broken.bound));
  CHECK(!broken.keeps(infinity));
  CHECK_THROWS_WITH(control_risk(vector{1}, {}), "hone::statistics::control_risk: losses: has 0, scores 1");
  CHECK_THROWS_WITH(control_risk(vector{1, 2}, vector{0, 1.5}),
                    "hone::statistics::control_risk: losses: element 1 is not in [0, 1]: 1.5");
  CHECK_THROWS_WITH(control_risk(vector{1, 2}, vector{-0.5, 0}),
                    "hone::statistics::control_risk: losses: element 0 is not in [0, 1]: -0.5");
  CHECK(control_risk(vector{1, 2}, vector{2, 0}, {.risk = 0.9, .largest = 2}).value == 2);
  CHECK_THROWS_AS(control_risk(vector{1}, vector{not_a_number}), std::invalid_argument);
  for (const double bad : {0.0, -1.0, infinity, not_a_number}) {
    CHECK_THROWS_AS(control_risk({}, {}, {.risk = bad}), std::invalid_argument);
    CHECK_THROWS_AS(control_risk({}, {}, {.largest = bad}), std::invalid_argument);
  }
}

TEST_CASE("coverage: the expected loss of the next item is at most the risk, and little below") {
  // Scores are uniform and an item is wrong with probability 1 - score: above a threshold t in [0, 1] the expected loss
  // is (1 - t)^2 / 2. Rounded scores have ties.
  for (const std::size_t n : {20u, 50u, 200u})
    for (const double risk : {0.06, 0.1, 0.25})
      for (const double grain : {0.0, 0.1}) {
        constexpr std::uint64_t runs = 4000;
        double mean = 0, squares = 0;
        for (std::uint64_t run = 0; run < runs; ++run) {
          vector s, l;
          for (std::size_t i = 0; i < n; ++i) {
            const philox random{run, static_cast<std::uint32_t>(n)};
            const double u = random.uniform(i);
            s.push_back(grain > 0 ? std::floor(u / grain) * grain : u);
            l.push_back(random.uniform(i, 1) < 1 - u ? 1 : 0);
          }
          const auto t = control_risk(s, l, {.risk = risk});
          const double from = (std::min)(1.0, (std::max)(0.0, t.value)), loss = (1 - from) * (1 - from) / 2;
          mean += loss / runs;
          squares += loss * loss / runs;
        }
        const double error = std::sqrt((squares - mean * mean) / runs);
        INFO("n " << n << ", risk " << risk << ", grain " << grain << ": " << mean << " +- " << error);
        CHECK(mean <= risk + 4 * error);
        if (grain == 0) CHECK(mean >= risk - 3 / (static_cast<double>(n) + 1) - 4 * error);
      }
}

TEST_CASE("conformal: what nobody sets") {
  CHECK(conformal_options{}.risk == 0.1);
  CHECK(conformal_options{}.largest == 1);
}
