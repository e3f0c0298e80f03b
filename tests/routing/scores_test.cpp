// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/scores.hpp"

#include "hone/core/philox.hpp"
#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"
#include "support/outputs.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The formulas, in double and two passes.
logit_scores naive(const std::vector<double>& z) {
  logit_scores s;
  std::vector<double> sorted = z;
  std::sort(sorted.rbegin(), sorted.rend());
  const double v = static_cast<double>(z.size());
  double sum = 0, entropy = 0;
  for (const double x : z) sum += std::exp(x - sorted[0]);
  for (const double x : z) {
    const double log_p = x - sorted[0] - std::log(sum);
    if (x > -infinity) entropy -= std::exp(log_p) * log_p;
  }
  const std::size_t top = std::min<std::size_t>(10, z.size());
  double mean = 0, variance = 0;
  for (std::size_t i = 0; i < top; ++i) mean += sorted[i] / static_cast<double>(top);
  for (std::size_t i = 0; i < top; ++i) variance += std::pow(sorted[i] - mean, 2) / static_cast<double>(top - 1);
  const auto logistic = [](double x) { return 1 / (1 + std::exp(-x)); };
  s.maximum_probability = 1 / sum;
  s.log_probability = -std::log(sum);
  s.sigmoid_maximum = logistic(sorted[0]);
  s.maximum_logit = sorted[0];
  s.certainty = 1 - entropy / std::log(v);
  s.negative_entropy = -entropy;
  s.margin = 1 / sum - std::exp(sorted[1] - sorted[0]) / sum;
  s.logit_margin = sorted[0] - sorted[1];
  s.sigmoid_margin = logistic(s.logit_margin);
  s.exp_variance = std::exp(-variance);
  s.negative_variance = -variance;
  return s;
}

std::array<double, 11> values(const logit_scores& s) {
  return {s.maximum_probability, s.log_probability,  s.sigmoid_maximum,  s.maximum_logit,
          s.certainty,           s.negative_entropy, s.margin,           s.sigmoid_margin,
          s.logit_margin,        s.exp_variance,     s.negative_variance};
}

void check_near(const logit_scores& s, const logit_scores& expected, double tolerance) {
  for (std::size_t i = 0; i < 11; ++i) {
    CAPTURE(i);
    CHECK(values(s)[i] == Approx(values(expected)[i]).epsilon(tolerance).margin(tolerance));
  }
}

void check_none(const logit_scores& s, index_t nonfinite) {
  for (const double value : values(s)) CHECK(std::isnan(value));
  CHECK(s.nonfinite == nonfinite);
}

std::vector<double> logits(std::size_t n, double spread, std::uint64_t seed = 1) {
  std::vector<double> z;
  for (std::size_t i = 0; i < n; ++i) z.push_back(spread * (philox{seed}.uniform(i) - 0.5));
  return z;
}

template <class T>
std::vector<T> stored(const std::vector<double>& z) {
  std::vector<T> result;
  for (const double x : z) result.push_back(from_accumulator<T>(static_cast<accumulator_t<T>>(x)));
  return result;
}

template <class T>
std::vector<double> read(const std::vector<T>& z) {
  std::vector<double> result;
  for (const T x : z) result.push_back(static_cast<double>(to_accumulator(x)));
  return result;
}

const std::vector<double> specified = {2, 1, 0.5, 0, -1, -2, 0.25, 1.5, -0.5, 0.75, 0.1, -3};

}  // namespace

TEST_CASE("routing scores: the specification's row") {
  const std::vector<double> logits = {2, 1, 0.5, 0, -1, -2, 0.25, 1.5, -0.5, 0.75, 0.1, -3};
  const routing::logit_scores s = routing::score_logits(logits);  // one read of the row
  const double sure = s.certainty, to_rank_by = s.negative_entropy;
  CHECK(sure == Approx(1 + to_rank_by / std::log(12)).epsilon(1e-14));
  CHECK(s.sigmoid_maximum == Approx(0.8807970780).margin(5e-11));
  CHECK(s.exp_variance == Approx(0.4458972803).margin(5e-11));
  CHECK(s.certainty == Approx(0.1962115409).margin(5e-11));
  CHECK(s.margin == Approx(0.1269399847).margin(5e-11));
  CHECK(s.sigmoid_margin == Approx(0.6224593312).margin(5e-11));
  CHECK(s.maximum_logit == 2);
  CHECK(s.logit_margin == 0.5);
  CHECK(s.nonfinite == 0);
}

TEMPLATE_TEST_CASE("routing scores: against the formulas", "", float, double, bfloat16, float16) {
  constexpr bool wide = std::is_same_v<TestType, double>;
  for (const std::size_t n : {2u, 3u, 9u, 10u, 11u, 15u, 16u, 17u, 1023u, 1024u, 1025u, 4097u, 32000u})
    for (const double spread : {0.5, 10.0, 200.0}) {
      CAPTURE(n, spread);
      const auto z = stored<TestType>(logits(n, spread, n));
      check_near(score_logits(z), naive(read(z)), wide ? 1e-12 : 3e-6);
    }
}

TEST_CASE("routing scores: the largest logits are found wherever they are") {
  for (const std::size_t n : {40u, 5000u})
    for (const int order : {0, 1, 2}) {
      std::vector<double> z = logits(n, 20);
      if (order == 1) std::sort(z.begin(), z.end());
      if (order == 2) std::sort(z.rbegin(), z.rend());
      check_near(score_logits(z), naive(z), 1e-12);
      check_near(score_logits(stored<float>(z)), naive(read(stored<float>(z))), 3e-6);
    }
}

TEST_CASE("routing scores: a shift changes what is made of logits alone, a permutation nothing") {
  const std::vector<double> z = logits(3000, 12);
  std::vector<double> shifted = z, turned = z;
  for (double& x : shifted) x += 64;
  std::rotate(turned.begin(), turned.begin() + 1234, turned.end());
  const logit_scores s = score_logits(z), moved = score_logits(shifted);
  check_near(score_logits(turned), s, 1e-12);
  CHECK(moved.maximum_probability == Approx(s.maximum_probability).epsilon(1e-12));
  CHECK(moved.negative_entropy == Approx(s.negative_entropy).epsilon(1e-12));
  CHECK(moved.logit_margin == Approx(s.logit_margin).margin(1e-13 * 64));
  CHECK(moved.negative_variance == Approx(s.negative_variance).margin(1e-13 * 64));
  CHECK(moved.maximum_logit == Approx(s.maximum_logit + 64).epsilon(1e-12));
  CHECK(moved.sigmoid_maximum == 1);  // saturated: a tie of every such row, and why maximum_logit is there
}

TEST_CASE("routing scores: certain and uncertain rows") {
  const logit_scores even = score_logits(std::vector<float>(5000, 3.0f));
  CHECK(even.maximum_probability == Approx(1 / 5000.0).epsilon(1e-6));
  CHECK(even.certainty == Approx(0).margin(1e-7));
  CHECK(even.certainty >= 0);
  CHECK(even.margin == 0);
  CHECK(even.exp_variance == 1);
  std::vector<float> one(5000, -500.0f);
  one[4321] = 500;
  const logit_scores sure = score_logits(one);
  CHECK(sure.maximum_probability == 1);
  CHECK(sure.certainty == 1);
  CHECK(sure.margin == 1);
  CHECK(sure.logit_margin == 1000);
  CHECK(sure.negative_entropy == 0);
  const float most = std::numeric_limits<float>::max();
  const logit_scores apart = score_logits(std::vector<float>{most, -most, 0});
  CHECK(apart.maximum_probability == 1);
  CHECK(apart.certainty == 1);
  CHECK(apart.logit_margin == static_cast<double>(most));
}

TEST_CASE("routing scores: absent, infinite and NaN logits, short rows") {
  const float absent = -std::numeric_limits<float>::infinity(), nan = std::nanf("");
  std::vector<float> z = stored<float>(specified), with_absent = z;
  with_absent.insert(with_absent.begin() + 3, 2000, absent);
  const logit_scores s = score_logits(with_absent), plain = score_logits(z);
  CHECK(s.nonfinite == 2000);
  CHECK(s.negative_entropy == Approx(plain.negative_entropy).epsilon(1e-6));
  CHECK(s.margin == Approx(plain.margin).epsilon(1e-6));
  CHECK(s.negative_variance == plain.negative_variance);
  CHECK(s.certainty == Approx(1 + plain.negative_entropy / std::log(2012.0)).epsilon(1e-6));
  const logit_scores alone = score_logits(std::vector<float>{absent, 1, absent});
  CHECK(alone.maximum_probability == 1);
  CHECK(alone.margin == 1);
  CHECK(alone.logit_margin == infinity);
  CHECK(alone.sigmoid_margin == 1);
  CHECK(std::isnan(alone.negative_variance));
  CHECK(alone.nonfinite == 2);
  for (const std::size_t at : {0u, 7u, 1500u, 2011u})
    for (const float bad : {nan, -absent}) {
      std::vector<float> broken(2012, 1.0f);
      broken[at] = bad;
      check_none(score_logits(broken), 1);
      broken[(at + 1100) % 2012] = bad;
      check_none(score_logits(broken), 2);
    }
  std::vector<float> first_absent(3000, absent);
  first_absent[5] = nan;
  first_absent[2500] = 1;
  check_none(score_logits(first_absent), 2999);
  check_none(score_logits(std::vector<float>(40, absent)), 40);
  check_none(score_logits(std::vector<double>{}), 0);
  const logit_scores one = score_logits(std::vector<double>{3});
  CHECK(one.maximum_probability == 1);
  CHECK(one.maximum_logit == 3);
  CHECK(std::isnan(one.certainty));
  CHECK(std::isnan(one.margin));
  CHECK(std::isnan(one.negative_variance));
}

TEST_CASE("routing scores: rows of a matrix, strides, executors") {
  const std::vector<double> z = logits(7 * 1500, 9);
  const auto narrow = stored<bfloat16>(z);
  const matrix_view<const bfloat16> rows(narrow.data(), 7, 1500);
  std::vector<logit_scores> serial_scores(7), pool_scores(7);
  score_logits(rows, std::span(serial_scores));
  thread_pool pool(3);
  score_logits(rows, std::span(pool_scores), pool);
  for (std::size_t i = 0; i < 7; ++i) {
    const logit_scores alone = score_logits(rows.row(static_cast<index_t>(i)));
    CHECK(values(serial_scores[i]) == values(alone));
    CHECK(values(pool_scores[i]) == values(alone));
  }
  std::vector<double> spread(3 * 1500);
  for (std::size_t i = 0; i < 1500; ++i) spread[3 * i] = z[i];
  const std::vector<double> first(z.begin(), z.begin() + 1500);
  CHECK(values(score_logits(vector_view<const double>(spread.data(), 1500, 3))) == values(score_logits(first)));
  std::vector<logit_scores> few(6);
  CHECK_THROWS_WITH(score_logits(rows, std::span(few)),
                    "hone::routing::score_logits: scores: has 6 elements, logits 7 rows");
  check_refuses_spans<logit_scores>(
      7, "hone::routing::score_logits: scores: ", [&](std::span<logit_scores> out) { score_logits(rows, out); });
}
