// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/deferral.hpp"

#include "routing/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

/// phi(k) by its definition, the rows in the order of the file among equal scores.
double by_definition(const table& t, std::size_t calls) {
  double sum = 0;
  for (std::size_t i = 0; i < t.score.size(); ++i) {
    std::size_t before = 0;
    for (std::size_t j = 0; j < t.score.size(); ++j)
      before += t.score[j] < t.score[i] || (t.score[j] == t.score[i] && j < i);
    sum += before < calls ? t.strong[i] : t.weak[i];
  }
  return sum / static_cast<double>(t.score.size());
}

/// The mean of phi(k) over all orders of equal scores: each row is called with the share of its block that is.
double over_orders(const table& t, std::size_t calls) {
  double sum = 0;
  for (std::size_t i = 0; i < t.score.size(); ++i) {
    double below = 0, equal = 0;
    for (std::size_t j = 0; j < t.score.size(); ++j) {
      below += t.score[j] < t.score[i];
      equal += t.score[j] == t.score[i];
    }
    const double called = std::clamp((static_cast<double>(calls) - below) / equal, 0.0, 1.0);
    sum += called * t.strong[i] + (1 - called) * t.weak[i];
  }
  return sum / static_cast<double>(t.score.size());
}

deferral_curve curve_of(const table& t, ties how = ties::averaged) { return curve(t.weak, t.strong, t.score, how); }

double trapezoids(const vector& phi) {
  double sum = 0;
  for (std::size_t k = 1; k < phi.size(); ++k) sum += (phi[k] + phi[k - 1]) / 2;
  return sum / static_cast<double>(phi.size() - 1);
}

}  // namespace

TEST_CASE("the curve is that of the definition, in the file's order and over all orders of equal scores") {
  std::uint32_t stream = 0;
  for (const std::size_t rows : {1u, 2u, 7u, 40u})
    for (const double grain : {1e-9, 0.1, 0.5})
      for (int repeat = 0; repeat < 5; ++repeat) {
        const table t = drawn(++stream, rows, 1, grain);
        const deferral_curve file = curve_of(t, ties::file_order), averaged = curve_of(t);
        vector phi, mean;
        for (std::size_t k = 0; k <= rows; ++k) {
          phi.push_back(by_definition(t, k));
          mean.push_back(over_orders(t, k));
          CHECK(file.at(static_cast<double>(k)) == Approx(phi.back()).margin(1e-13));
          CHECK(averaged.at(static_cast<double>(k)) == Approx(mean.back()).margin(1e-13));
        }
        CHECK(*curve_area(file).value == Approx(trapezoids(phi)).margin(1e-13));
        CHECK(*curve_area(averaged).value == Approx(trapezoids(mean)).margin(1e-13));
        CHECK(averaged.weak() == phi.front());
        CHECK(averaged.strong() == phi.back());
        if (phi.back() <= phi.front()) {
          CHECK(apgr(file).why == absence::strong_no_better);
          continue;
        }
        const double scale = phi.back() - phi.front();
        CHECK(*apgr(file).value == Approx((trapezoids(phi) - phi.front()) / scale).margin(1e-12));
        CHECK(*apgr(averaged).value == Approx((trapezoids(mean) - phi.front()) / scale).margin(1e-12));
        CHECK(*recovery(averaged, 1).value == Approx((mean[1] - phi.front()) / scale).margin(1e-12));
        // The first crossing, looked for in small steps.
        for (const double share : {0.0, 0.2, 0.5, 0.8, 1.0}) {
          const double found = *call_threshold(averaged, share).value * static_cast<double>(rows);
          CHECK(*recovery(averaged, found).value == Approx(share).margin(1e-9));
          for (int step = 0; step < 200; ++step) {
            const double earlier = found * step / 200;
            CHECK(*recovery(averaged, earlier).value < share + 1e-9);
          }
        }
      }
}

TEST_CASE("a share that is met exactly is met, whatever rounding does, also of tenths that are added up") {
  for (const double unit : {1.0, 0.1})
    for (const int share : {7, 14, 28, 29, 55, 57, 58, 70, 80, 90}) {  // percent; then nothing is gained for 50 calls
      table t;
      for (int i = 0; i < 150; ++i) {
        t.weak.push_back(i % 7 * unit);
        t.strong.push_back((i % 7 + (i < share || i >= share + 50)) * unit);
        t.score.push_back(i);
      }
      CHECK(*call_threshold(curve_of(t), share / 100.0).value * 150 == Approx(share).epsilon(1e-9));
    }
}

TEST_CASE("the reference vectors (routing, R.5)") {
  const table t = toy();
  for (const ties how : {ties::averaged, ties::file_order}) {
    const deferral_curve c = curve_of(t, how);
    const vector phi = {.4, .5, .6, .7, .7, .8, .7, .8, .8, .8, .8};
    for (std::size_t k = 0; k <= 10; ++k) CHECK(c.at(static_cast<double>(k)) == Approx(phi[k]).epsilon(1e-15));
    CHECK(c.at(2.5) == Approx(.65).epsilon(1e-15));
    CHECK(c.random(5) == Approx(.6).epsilon(1e-15));
    CHECK(*curve_area(c).value == Approx(0.70).epsilon(1e-15));
    CHECK(*apgr(c).value == Approx(0.75).epsilon(1e-15));
    CHECK(*call_threshold(c, 0.2).value == Approx(0.08).epsilon(1e-14));
    CHECK(*call_threshold(c, 0.5).value == Approx(0.20).epsilon(1e-14));
    CHECK(*call_threshold(c, 0.8).value == Approx(0.42).epsilon(1e-14));
    CHECK(c.points[0].kept_from == .15);
    CHECK(c.points[9].kept_from == .95);
    CHECK(c.points[10].kept_from == infinity);
  }
}

TEST_CASE("ties: the reference vectors (routing, R.6)") {
  const table t = graded();
  const deferral_curve file = curve_of(t, ties::file_order), averaged = curve_of(t);
  const vector in_file = {.505, .5725, .645, .6925, .73, .7575, .78, .795, .8025, .8125, .8};
  const vector mean = {.505, .5725, .645, .6925, .73, .7575, .7741666667, .7891666667, .8025, .8125, .8};
  for (std::size_t k = 0; k <= 10; ++k) {
    CHECK(file.at(4 * static_cast<double>(k)) == Approx(in_file[k]).epsilon(1e-12));
    CHECK(averaged.at(4 * static_cast<double>(k)) == Approx(mean[k]).epsilon(1e-9));
  }
  CHECK(averaged.points.size() == 25);
  CHECK(file.points.size() == 41);
}

TEST_CASE("what is ranked sees no increasing maps, ties averaged no order of the rows; the oracle is above all") {
  std::uint32_t stream = 100;
  for (const double grain : {1e-9, 0.1, 0.5}) {
    table t = drawn(++stream, 6000, 1, grain);  // more than what is compared one by one
    const deferral_curve c = curve_of(t), oracle = oracle_curve(t.weak, t.strong);
    for (double calls = 0; calls <= 6000; calls += 37.5) CHECK(oracle.at(calls) >= c.at(calls) - 1e-12);
    CHECK(*apgr(oracle).value > 1);
    table mapped = t;
    for (double& s : mapped.score) s = std::exp(3 * s) - 7;
    CHECK(*apgr(curve_of(mapped)).value == *apgr(c).value);
    table reversed = t;
    for (vector* v : {&reversed.weak, &reversed.strong, &reversed.score}) std::reverse(v->begin(), v->end());
    const deferral_curve other = curve_of(reversed);
    CHECK(*apgr(other).value == *apgr(c).value);
    CHECK(*call_threshold(other, 0.7).value == *call_threshold(c, 0.7).value);
    if (grain == 0.5)
      CHECK(*apgr(curve_of(reversed, ties::file_order)).value != *apgr(curve_of(t, ties::file_order)).value);
  }
}

TEST_CASE("a random score has the straight line on average, and equal scores have it themselves") {
  double sum = 0;
  for (std::uint32_t stream = 0; stream < 400; ++stream) {
    table t = drawn(stream + 1000, 100, 0, 1e-9);
    for (std::size_t i = 0; i < t.score.size(); ++i) t.score[i] = philox{17, stream}.uniform(i);
    sum += *apgr(curve_of(t)).value;
  }
  CHECK(sum / 400 == Approx(0.5).margin(0.05));
  table t = toy();
  for (double& s : t.score) s = 3;
  const deferral_curve c = curve_of(t);
  CHECK(c.points.size() == 2);
  CHECK(*apgr(c).value == 0.5);
  CHECK(*call_threshold(c, 0.2).value == Approx(0.2));
  CHECK(c.at(3) == Approx(c.random(3)));
}

TEST_CASE("what has no value says why: no rows, NaN, a strong model that is no better; infinite scores have an order") {
  const deferral_curve none = curve({}, {}, {});
  CHECK(none.points.empty());
  CHECK(curve_area(none).why == absence::no_rows);
  CHECK(apgr(none).why == absence::no_rows);
  CHECK(!apgr(none).value);
  CHECK(std::isnan(none.at(0)));

  table t = toy();
  t.score[3] = t.score[7] = not_a_number;
  const deferral_curve unordered = curve_of(t, ties::file_order);
  CHECK(unordered.nans == 2);
  CHECK(unordered.count == 10);
  CHECK(unordered.weak() == Approx(0.4));
  for (const measure& m :
       {curve_area(unordered), apgr(unordered), call_threshold(unordered, 0.5), recovery(unordered, 3)}) {
    CHECK(!m.value);
    CHECK(m.why == absence::nan_scores);
  }

  t = toy();
  std::swap(t.weak, t.strong);
  CHECK(*curve_area(curve_of(t)).value == Approx(0.5));
  CHECK(apgr(curve_of(t)).why == absence::strong_no_better);
  CHECK(call_threshold(curve_of(t), 0.5).why == absence::strong_no_better);
  CHECK(recovery(curve_of(t), 5).why == absence::strong_no_better);
  t.strong = t.weak;
  CHECK(apgr(curve_of(t)).why == absence::strong_no_better);

  t = toy();
  for (double& s : t.score) s = infinity;
  CHECK(*apgr(curve_of(t)).value == 0.5);
  t.score[1] = t.score[5] = -infinity;
  CHECK(curve_of(t).points.size() == 3);
  CHECK(curve_of(t).at(2) == Approx(0.6));
  t.score = {0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0};
  CHECK(curve_of(t).points.size() == 2);

  for (int a = 1; a <= static_cast<int>(absence::no_probability); ++a) CHECK(*text_of(static_cast<absence>(a)) != '\0');
}

TEST_CASE("curve: beyond its ends it is its ends; one row; NaN comes before no gain") {
  const table t = toy();
  CHECK(curve_of(t).at(0) == Approx(.4));
  CHECK(curve_of(t).at(11) == Approx(.8));
  const deferral_curve one = curve(vector{2}, vector{5}, vector{7});
  REQUIRE(one.points.size() == 2);
  CHECK(one.points[0].kept_from == 7);
  CHECK(one.points[1].calls == 1);
  CHECK(one.at(0.25) == 2.75);
  CHECK(*apgr(one).value == 0.5);
  CHECK(*recovery(one, 0.25).value == 0.25);
  CHECK(one.random(0.25) == 2.75);
  const deferral_curve unordered = curve(vector{1}, vector{0}, vector{not_a_number});
  CHECK(unordered.points.empty());
  CHECK(unordered.why_no_recovery() == absence::nan_scores);
  CHECK(unordered.strong_total == 0);
  CHECK(curve(vector{1}, vector{-3}, vector{0}).slack() == Approx(4e-12).epsilon(1e-12));
  CHECK(curve(vector{1}, vector{-3}, vector{0}, ties::file_order).how == ties::file_order);
}

TEST_CASE("curve: misuse") {
  const table t = toy();
  const vector few = {1, 0};
  CHECK_THROWS_WITH(curve(few, t.strong, t.score), "hone::routing::curve: weak: has 2, scores 10");
  CHECK_THROWS_WITH(curve(t.weak, few, t.score), "hone::routing::curve: strong: has 2, scores 10");
  CHECK_THROWS_WITH(oracle_curve(few, t.strong), "hone::routing::oracle_curve: weak: has 2, strong 10");
  vector bad = t.weak;
  bad[4] = infinity;
  CHECK_THROWS_WITH(curve(bad, t.strong, t.score), "hone::routing::curve: weak: element 4 is inf");
  CHECK_THROWS_WITH(curve(t.weak, bad, t.score), "hone::routing::curve: strong: element 4 is inf");
  CHECK_THROWS_WITH(call_threshold(curve_of(t), 1.5),
                    "hone::routing::call_threshold: share: must be in [0, 1], is 1.5");
  CHECK_THROWS(call_threshold(curve_of(t), not_a_number));
  CHECK_THROWS_WITH(call_threshold(curve_of(t), -0.1),
                    "hone::routing::call_threshold: share: must be in [0, 1], is -0.1");
  CHECK(call_threshold(curve_of(t), 0).value == 0.0);
}
