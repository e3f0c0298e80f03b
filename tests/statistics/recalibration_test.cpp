// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/recalibration.hpp"

#include "hone/core/random.hpp"
#include "statistics/golden/scores.hpp"
#include "support/catch.hpp"

#include <algorithm>

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

const vector score = {.95, .15, .70, .55, .45, .30, .85, .60, .20, .40};
const vector small = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0};

vector logits_of(const vector& p) {
  vector z;
  for (const double value : p) z.push_back(logit(value));
  return z;
}

double log_loss(const vector& x, const vector& y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sum += std::log1p(std::exp(-std::abs(x[i]))) + (std::max)(x[i], 0.0) - y[i] * x[i];
  return sum / static_cast<double>(x.size());
}

vector line(const vector& x, double slope, double intercept = 0) {
  vector z;
  for (const double value : x) z.push_back(slope * value + intercept);
  return z;
}

struct sample {
  vector scores, outcomes;
};

sample draw(std::uint64_t seed, std::size_t n, bool graded, double grain) {
  sample x;
  for (std::size_t i = 0; i < n; ++i) {
    const double z = 2 * philox{seed, 1}.normal(i), u = philox{seed, 2}.uniform(i);
    x.scores.push_back(std::round(z / grain) * grain);
    x.outcomes.push_back(graded && i % 3 == 0 ? 0.3 : u < sigmoid(0.5 * z - 0.4) ? 1 : 0);
  }
  return x;
}

/// The nearest function that never falls, by the largest mean from anywhere below to the smallest up to anywhere above.
vector isotonic_by_means(const sample& x) {
  vector points = x.scores;
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  const auto mean = [&](double low, double high) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < x.scores.size(); ++i)
      if (x.scores[i] >= low && x.scores[i] <= high) sum += x.outcomes[i], ++count;
    return sum / count;
  };
  vector values;
  for (const double s : x.scores) {
    double largest = -1;
    for (const double low : points) {
      if (low > s) continue;
      double smallest = 2;
      for (const double high : points)
        if (high >= s) smallest = (std::min)(smallest, mean(low, high));
      largest = (std::max)(largest, smallest);
    }
    values.push_back(largest);
  }
  return values;
}

}  // namespace

TEST_CASE("recalibration: the reference vectors (routing, R.8)") {
  const vector z = logits_of(score);
  const auto t = fit_temperature(z, small);
  // R.8 has 0.2919432395, a minimiser's, whose last two digits are not those of the root (by mpmath).
  CHECK(t.temperature == Approx(0.291943234064121).epsilon(1e-13));
  CHECK(t.log_loss == Approx(0.2769716790).epsilon(1e-9));
  const auto platt = fit_platt(z, small, {.smooth_targets = false});
  CHECK(platt.slope == Approx(4.503174).epsilon(1e-6));
  CHECK(platt.intercept == Approx(-1.451329).epsilon(1e-6));
  CHECK(platt.log_loss == Approx(0.2126868051).epsilon(1e-9));
  vector sorted = score, values;
  std::sort(sorted.begin(), sorted.end());
  const auto isotonic = fit_isotonic(score, small);
  for (const double s : sorted) values.push_back(isotonic(s));
  CHECK(values == vector{0, 0, 0, 0, 0, .5, .5, 1, 1, 1});
}

TEST_CASE("recalibration: scikit-learn's, SciPy's and statsmodels' results") {
  for (const golden_scores_row& g : golden_scores) {
    CHECK(fit_temperature(g.first, g.outcomes).temperature == Approx(g.temperature).epsilon(1e-7));
    const auto smooth = fit_platt(g.first, g.outcomes),
               plain = fit_platt(g.first, g.outcomes, {.smooth_targets = false});
    CHECK(smooth.slope == Approx(g.platt_slope).epsilon(1e-11));
    CHECK(smooth.intercept == Approx(g.platt_intercept).epsilon(1e-11));
    CHECK(plain.slope == Approx(g.slope).epsilon(1e-11));
    CHECK(plain.intercept == Approx(g.intercept).epsilon(1e-11));
    const auto isotonic = fit_isotonic(g.first, g.outcomes);
    for (std::size_t i = 0; i < g.at.size(); ++i) CHECK(isotonic(g.at[i]) == Approx(g.isotonic[i]).epsilon(1e-12));
  }
}

TEST_CASE("temperature: no other has less loss; graded outcomes; any scale") {
  for (const bool graded : {false, true}) {
    const sample x = draw(3, 200, graded, 1e-9);
    const auto t = fit_temperature(x.scores, x.outcomes);
    const auto at = [&](double temperature) { return log_loss(line(x.scores, 1 / temperature), x.outcomes); };
    CHECK(t.log_loss == Approx(at(t.temperature)).epsilon(1e-13));
    for (const double other : {0.5, 0.9, 0.999, 1.001, 1.1, 3.0}) CHECK(at(other * t.temperature) > t.log_loss);
    for (const double scale : {1e-200, 1e-3, 1e200})
      CHECK(fit_temperature(line(x.scores, scale), x.outcomes).temperature ==
            Approx(scale * t.temperature).epsilon(1e-12));
    CHECK(t(x.scores[0]) == Approx(sigmoid(x.scores[0] / t.temperature)).epsilon(1e-15));
    CHECK(t(0) == 0.5);
    CHECK(t.count == 200);
  }
}

TEST_CASE("temperature: certain, useless, contrary, zero, few, none, invalid") {
  const vector z = {-2, -1, 1, 3}, right = {0, 0, 1, 1};
  const auto certain = fit_temperature(z, right);
  CHECK(certain.temperature == 0);
  CHECK(certain.log_loss == 0);
  CHECK(certain(0.1) == 1);
  CHECK(certain(-0.1) == 0);
  CHECK(certain(0) == 0.5);
  CHECK(fit_temperature(vector{-2, 0, 0, 3}, right).log_loss == Approx(std::log(2.0) / 2));
  const auto contrary = fit_temperature(z, vector{1, 1, 0, 0});
  CHECK(contrary.temperature == infinity);
  CHECK(contrary.log_loss == Approx(std::log(2.0)));
  CHECK(contrary(3) == 0.5);
  CHECK(fit_temperature(vector{1, 1}, vector{0, 1}).temperature == infinity);
  CHECK(fit_temperature(vector{2}, vector{1}).temperature == 0);
  CHECK(fit_temperature(vector{2}, vector{0}).temperature == infinity);
  CHECK(fit_temperature(vector{1, 1}, vector{1, 1}).temperature == 0);  // one outcome
  const auto zero = fit_temperature(vector(4, 0.0), right);
  CHECK(std::isnan(zero.temperature));
  CHECK(zero.log_loss == Approx(std::log(2.0)));
  CHECK(std::isnan(zero(0)));
  CHECK(std::isnan(fit_temperature({}, {}).temperature));
  CHECK(std::isnan(fit_temperature({}, {}).log_loss));
  // Nearly certain: one of a tiny logit is on the wrong side.
  const auto nearly = fit_temperature(vector{-1, 1, 1e-12}, vector{0, 1, 0});
  CHECK(nearly.temperature > 0);
  CHECK(nearly.temperature < 0.1);
  for (const double bad : {not_a_number, infinity, -infinity}) {
    const auto broken = fit_temperature(vector{1, bad, bad, 2}, right);
    CHECK(broken.invalid == 2);
    CHECK(std::isnan(broken.temperature));
    CHECK(std::isnan(broken(1)));
  }
  CHECK(fit_temperature(z, vector{0, 0, 1, 1.5}).invalid == 1);
  CHECK_THROWS_WITH(fit_temperature(z, {}), "hone::statistics::fit_temperature: outcomes: has 0, scores 4");
}

TEST_CASE("Platt: the gradient vanishes; graded outcomes; scores anywhere") {
  for (const bool smooth : {true, false}) {
    const sample x = draw(4, 300, !smooth, 1e-9);
    const auto fit = fit_platt(x.scores, x.outcomes, {.smooth_targets = smooth});
    const double positives = static_cast<double>(std::count(x.outcomes.begin(), x.outcomes.end(), 1.0));
    double by_slope = 0, by_intercept = 0;
    for (std::size_t i = 0; i < 300; ++i) {
      const double y = x.outcomes[i];
      const double t = !smooth ? y : y == 1 ? (positives + 1) / (positives + 2) : 1 / (300 - positives + 2);
      by_slope += (fit(x.scores[i]) - t) * x.scores[i];
      by_intercept += fit(x.scores[i]) - t;
    }
    CHECK(by_slope == Approx(0).margin(1e-10));
    CHECK(by_intercept == Approx(0).margin(1e-10));
    CHECK(fit.log_loss == Approx(log_loss(line(x.scores, fit.slope, fit.intercept), x.outcomes)).epsilon(1e-13));
    for (const double scale : {-1e-100, 1e-3, 1e100}) {
      const auto other = fit_platt(line(x.scores, scale, 3 * scale), x.outcomes, {.smooth_targets = smooth});
      CHECK(other.slope == Approx(fit.slope / scale).epsilon(1e-9));
      CHECK(other.intercept == Approx(fit.intercept - 3 * fit.slope).epsilon(1e-9));
    }
  }
}

TEST_CASE("Platt: separated scores, one outcome, equal scores, few, none, invalid") {
  const vector s = {1, 2, 3, 4}, y = {0, 0, 1, 1}, ones = {1, 1, 1, 1};
  const auto separated = fit_platt(s, y);
  CHECK(separated.slope > 0);
  CHECK(separated.slope < 10);
  CHECK(separated(2.5) == Approx(0.5).epsilon(1e-12));
  CHECK(fit_platt(vector{0, 0, 0, 1, 1}, vector{0, 0, 0, 1, 1})(1) == Approx(3.0 / 4).epsilon(1e-12));  // his targets
  CHECK(fit_platt(vector{0, 0, 0, 1, 1}, vector{0, 0, 0, 1, 1})(0) == Approx(1.0 / 5).epsilon(1e-12));
  CHECK(fit_platt(vector{4, 3, 2, 1}, y).slope == Approx(-separated.slope).epsilon(1e-12));
  const vector wide = {-1e300, 0, 1, 1e300};
  CHECK(fit_platt(wide, y).slope > 0);
  const auto one = fit_platt(s, ones);
  CHECK(one.slope == Approx(0).margin(1e-12));
  CHECK(one(7) == Approx(5.0 / 6).epsilon(1e-12));
  for (const double constant : {0.0, 0.1, 1e300}) {
    const auto equal = fit_platt(vector(4, constant), vector{0, 0, 0, 1});
    CHECK(equal.slope == 0);
    CHECK(equal(constant) == Approx((3 * 0.2 + 2.0 / 3) / 4).epsilon(1e-12));
    CHECK(fit_platt(vector(4, constant), vector{0, 0, 0, 1}, {.smooth_targets = false})(constant) == Approx(0.25));
  }
  CHECK(fit_platt(vector{5}, vector{1})(5) == Approx(2.0 / 3));
  const platt_options plain{.smooth_targets = false};
  for (const auto& none :
       {fit_platt(s, y, plain), fit_platt(vector{4, 3, 2, 1}, y, plain), fit_platt(vector{1, 2, 2, 3}, y, plain),
        fit_platt(s, ones, plain), fit_platt(vector(4, 1.0), ones, plain), fit_platt({}, {}), fit_platt({}, {}, plain),
        fit_platt(vector{1, 2, 3, infinity}, y), fit_platt(vector{1, not_a_number, 3, 4}, y),
        fit_platt(s, vector{0, 0, 1, not_a_number})}) {
    CHECK(std::isnan(none.slope));
    CHECK(std::isnan(none.intercept));
    CHECK(std::isnan(none.log_loss));
    CHECK(std::isnan(none(1)));
  }
  CHECK(fit_platt(vector{1, not_a_number, 3, infinity}, y).invalid == 2);
  CHECK(std::isfinite(fit_platt(vector{1, 3, 2, 4}, y, plain).slope));
  CHECK_THROWS_WITH(fit_platt(s, vector{0, 0.5, 1, 1}),
                    "hone::statistics::fit_platt: outcomes: element 1 is neither 0 nor 1: 0.5");
  CHECK_THROWS_WITH(fit_platt(s, vector{1}), "hone::statistics::fit_platt: outcomes: has 1, scores 4");
  CHECK(fit_platt(s, y).count == 4);
  CHECK(fit_platt(s, vector{0, -0.5, 1, 1}, plain).invalid == 1);
  CHECK(fit_platt(s, vector{0, 1, 1.5, 1}, plain).invalid == 1);
}

TEST_CASE("isotonic: the largest of the smallest means, in any order of the items") {
  std::uint64_t seed = 0;
  for (const std::size_t n : {1u, 2u, 7u, 40u})
    for (const double grain : {1e-9, 0.5, 2.0})
      for (const bool graded : {false, true}) {
        sample x = draw(++seed, n, graded, grain);
        const auto fit = fit_isotonic(x.scores, x.outcomes);
        const vector expected = isotonic_by_means(x);
        index_t count = 0;
        double sum = 0, of_outcomes = 0;
        for (std::size_t i = 0; i < n; ++i) {
          CHECK(fit(x.scores[i]) == Approx(expected[i]).epsilon(1e-13).margin(1e-15));
          of_outcomes += x.outcomes[i];
        }
        for (std::size_t b = 0; b < fit.blocks.size(); ++b) {
          if (b > 0) CHECK(fit.blocks[b - 1].value < fit.blocks[b].value);
          if (b > 0) CHECK(fit.blocks[b - 1].last < fit.blocks[b].first);
          CHECK(fit.blocks[b].first <= fit.blocks[b].last);
          count += fit.blocks[b].count;
          sum += static_cast<double>(fit.blocks[b].count) * fit.blocks[b].value;
        }
        CHECK(count == static_cast<index_t>(n));
        CHECK(sum == Approx(of_outcomes).epsilon(1e-13).margin(1e-15));
        std::reverse(x.scores.begin(), x.scores.end());
        std::reverse(x.outcomes.begin(), x.outcomes.end());
        const auto turned = fit_isotonic(x.scores, x.outcomes);
        for (const double s : x.scores) CHECK(turned(s) == fit(s));
      }
}

TEST_CASE("isotonic: between blocks a straight line, beyond them the ends; ties, infinite, one, none, invalid") {
  const auto fit = fit_isotonic(vector{1, 2, 4, 6}, vector{0, 0, 1, 1});
  CHECK(fit(-infinity) == 0);
  CHECK(fit(2) == 0);
  CHECK(fit(2.5) == 0.25);
  CHECK(fit(4) == 1);
  CHECK(fit(infinity) == 1);
  CHECK(std::isnan(fit(not_a_number)));
  CHECK(fit_isotonic(vector(4, 7.0), vector{0, 1, 1, 1})(3) == 0.75);
  CHECK(fit_isotonic(vector{1, 2, 3}, vector{1, 0.5, 0}).blocks.size() == 1);
  const auto ends = fit_isotonic(vector{-infinity, infinity}, vector{0, 1});
  CHECK(ends(-infinity) == 0);
  CHECK(ends(5) == 0.5);
  CHECK(ends(infinity) == 1);
  const auto low = fit_isotonic(vector{-infinity, 3}, vector{0, 1}),
             high = fit_isotonic(vector{3, infinity}, vector{0, 1});
  CHECK(low(-1e9) == 1);
  CHECK(high(1e9) == 0);
  const auto huge = fit_isotonic(vector{-1.7e308, 1.7e308}, vector{0, 1});
  CHECK(huge(0) == Approx(0.5));
  CHECK(fit_isotonic(vector{1}, vector{0.3})(9) == 0.3);
  CHECK(std::isnan(fit_isotonic({}, {})(1)));
  const auto broken = fit_isotonic(vector{1, not_a_number, 3}, vector{0, 1, 2});
  CHECK(broken.invalid == 2);
  CHECK(broken.blocks.empty());
  CHECK(std::isnan(broken(1)));
  CHECK(broken.count == 3);
  CHECK(fit_isotonic(vector{1, 2}, vector{-0.5, 1}).invalid == 1);
  CHECK_THROWS_WITH(fit_isotonic(vector{1}, {}), "hone::statistics::fit_isotonic: outcomes: has 0, scores 1");
}

TEST_CASE("recalibration: what nobody sets") { CHECK(platt_options{}.smooth_targets); }
