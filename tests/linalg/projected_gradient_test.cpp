// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/projected_gradient.hpp"

#include "linalg/objectives.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;
using namespace objectives;

namespace {
// eigenvalues in [1, condition]: both ends, the middle, random ones
std::vector<double> adversarial(int kind, double condition) {
  if (kind == 0) return {condition, 1};
  if (kind == 1) return std::vector<double>(3, 1.0);
  if (kind == 2) return std::vector<double>(3, condition);
  if (kind == 3) return spread(40, condition);
  std::vector<double> e(5);
  for (std::size_t i = 0; i < 5; ++i)
    e[i] = 1 + (condition - 1) * hone::philox{static_cast<std::uint32_t>(kind), 0}.uniform(i);
  return e;
}
}  // namespace

TEST_CASE("the steps of the specification: weighted logistic models of rows in the unit ball") {
  const auto steps = [](double weight, double ridge) {
    return steps_that_suffice({.least = ridge, .largest = 0.25 * weight + ridge}, 1e-12, 1);
  };
  const double overlap = 0.598941862, propensity = 2.49340409;
  CHECK(steps(overlap, 0.05) == 111);
  CHECK(steps(overlap, 0.01) == 235);
  CHECK(steps(overlap, 0.001) == 749);
  CHECK(steps(propensity, 0.05) == 215);
  CHECK(steps(propensity, 0.01) == 479);
  CHECK(steps(propensity, 0.001) == 1559);
}

TEST_CASE("steps by the formula, both terms, with and without a radius") {
  CHECK(steps_that_suffice({1, 2}, 1e-6, 1) == 28);           // 2 ln 1e6 = 27.63, accelerated 41.03
  CHECK(steps_that_suffice({2, 4}, 1e-6, 1) == 28);           // Q, not M
  CHECK(steps_that_suffice({1, 100}, 1e-6, 1) == 330);        // 20 (ln 1e6 + ln 200 / 2) = 329.3
  CHECK(steps_that_suffice({1, 100}, 1e-6, 1, 7) == 331);     // the first is a plain one
  CHECK(steps_that_suffice({1, 100}, 1e-6, 1, 1e-4) == 239);  // G is at most M radius = 0.01: 237.2 and 1
  CHECK(steps_that_suffice({1, 2}, 1e-6, infinite, 0.5) == 28);
  CHECK(steps_that_suffice({1, 1}, 1e-6, 1) == 14);
  CHECK(steps_that_suffice({1, 10}, 1e-6, 1e-6) == 0);
  CHECK(steps_that_suffice({1, 10}, 1e-6, 0) == 0);
  CHECK(steps_that_suffice({1e-300, 1e-299}, 1e-320, 1e300) > 1000);
}

TEST_CASE("they suffice, and are not many times too many") {
  for (const double condition : {1.0, 1.7, 4.1, 4.4, 30.0, 3000.0})
    for (int kind = 0; kind < 8; ++kind)
      for (const double share : {0.2, 0.999, 2.0, infinite})
        for (const double tolerance : {1e-3, 1e-9}) {
          const auto e = adversarial(kind, condition);
          const quadratic f(e, normals(e.size(), static_cast<std::uint32_t>(kind)), 3);
          std::vector<double> x(e.size()), g(e.size());
          f(x, g);
          const double start = length(g), radius = share * length(f.centre);
          const convexity bounds{1, condition};
          for (const double known : {start, infinite}) {
            if (known == infinite && radius == infinite) continue;
            const auto steps = steps_that_suffice(bounds, tolerance, known, radius);
            x.assign(e.size(), 0.0);
            const auto m = descend(f, x, bounds, steps, radius);
            CAPTURE(condition, kind, share, tolerance, known, steps, m.certificate);
            CHECK(m.certificate <= tolerance);
            CHECK(m.evaluations <= steps + (radius < infinite ? 2 : 1));
            CHECK(length(x) <= radius * (1 + 1e-15));
            if (kind != 3 || share != infinite || known != start || condition < 2) continue;
            // a sixth of them does not suffice
            x.assign(e.size(), 0.0);
            CHECK(descend(f, x, bounds, steps / 6, radius).certificate > tolerance);
          }
        }
}

TEST_CASE("the certificate bounds the distance on balls that bind, by Karush-Kuhn-Tucker's conditions") {
  const quadratic f(spread(8, 50), normals(8, 4), 5);
  for (const double radius : {0.01, 0.5, 1.5}) {
    std::vector<double> x(8), g(8);
    const auto m = descend(f, x, {1, 50}, 100000, radius, 1e-12);
    CHECK(m.converged);
    CHECK(m.value == f(x, g));
    CHECK(length(x) == Approx(radius).epsilon(1e-14));
    double along = 0;
    for (std::size_t i = 0; i < 8; ++i) along += g[i] * x[i] / radius / radius;
    CHECK(along < 0);
    for (std::size_t i = 0; i < 8; ++i) g[i] -= along * x[i];
    CHECK(length(g) <= 2e-12);
    // stopped early: no farther from the minimum than certificate / lambda
    for (const double tolerance : {1e-1, 1e-3, 1e-6}) {
      std::vector<double> y(8);
      const auto early = descend(f, y, {1, 50}, 100000, radius, tolerance);
      CHECK(early.certificate <= tolerance);
      CHECK(early.evaluations < m.evaluations);
      CHECK(distance(x, y) <= early.certificate + 1e-11);
    }
  }
}

TEST_CASE("bounds that hold on the ball alone: nothing outside is asked for") {
  const quadratic inner(spread(6, 200), normals(6, 8), 9);
  const auto f = [&](point x, output g) {
    CHECK(length(x) <= 0.7 * (1 + 1e-15));
    return inner(x, g);
  };
  auto x = normals(6, 1);
  descend(f, x, {1, 200}, 300, 0.7);
}

TEST_CASE("plain and accelerated steps: the first few by hand") {
  const auto f = [](point x, output g) {
    g[0] = 2 * x[0] - 1, g[1] = 32 * x[1] - 1;
    return x[0] * x[0] + 16 * x[1] * x[1] - x[0] - x[1];
  };
  std::vector<double> x{0, 0};
  descend(f, x, {2, 32}, 1);  // one plain step of length 1 / 32
  CHECK(x == std::vector<double>{1. / 32, 1. / 32});
  // Q = 16, a = 1/4: 100 accelerated steps are sure to be nearer than plain ones
  const double a = 0.25;
  double px[2] = {0, 0}, pz[2] = {0, 0};
  for (int k = 0; k < 100; ++k)
    for (int i = 0; i < 2; ++i) {
      const double y = (px[i] + a * pz[i]) / (1 + a), g = (i == 0 ? 2 : 32) * y - 1;
      pz[i] = (1 - a) * pz[i] + a * y - a / 2 * g;
      px[i] = (1 - a) * px[i] + a * pz[i];
    }
  x = {0, 0};
  const auto m = descend(f, x, {2, 32}, 100);
  CHECK(x[0] == Approx(px[0]).epsilon(1e-14));
  CHECK(x[1] == Approx(px[1]).epsilon(1e-14));
  CHECK(m.evaluations == 101);
  CHECK(!m.converged);
  // on a ball, even one that does not bind, the first step is plain, and the last a projection
  double bx[2] = {1. / 32, 1. / 32}, bz[2] = {1. / 32, 1. / 32};
  for (int k = 1; k < 100; ++k)
    for (int i = 0; i < 2; ++i) {
      const double y = (bx[i] + a * bz[i]) / (1 + a), g = (i == 0 ? 2 : 32) * y - 1;
      bz[i] = (1 - a) * bz[i] + a * y - a / 2 * g;
      bx[i] = (1 - a) * bx[i] + a * bz[i];
    }
  x = {0, 0};
  descend(f, x, {2, 32}, 100, 1000);
  CHECK(x[0] == Approx(bx[0] - (2 * bx[0] - 1) / 32).epsilon(1e-14));
  CHECK(x[1] == Approx(1. / 32).epsilon(1e-14));
  // whichever are sure to be nearer: (k - 1) / 20 - ln(200) / 2 > k / 100
  CHECK(!detail::accelerates({1, 100}, 66, false));
  CHECK(detail::accelerates({1, 100}, 67, false));
  CHECK(!detail::accelerates({1, 100}, 67, true));
  CHECK(detail::accelerates({1, 100}, 68, true));
  // a gradient too short to move x
  x = {1, 1};
  const auto still = descend(
      [](point, output g) {
        g[0] = g[1] = 1e-30;
        return 1.0;
      },
      x, {1, 1}, 1000, infinite, 1e-300);
  CHECK(still.evaluations == 1);
  CHECK(still.certificate > 0);
}

TEST_CASE("ends where nothing moves or something is not finite; sizes 0 and 1; memory once") {
  const auto f = [](point x, output g) {
    g[0] = 3 * (x[0] - 1);
    return 1.5 * (x[0] - 1) * (x[0] - 1);
  };
  std::vector<double> x{5};
  const std::size_t before = allocations::count;
  const auto m = descend(f, x, {3, 3}, 1000000, infinite, 1e-300);
  CHECK(allocations::count == before + 1);
  CHECK(m.converged);
  CHECK(m.evaluations <= 3);
  CHECK(x[0] == 1);
  CHECK(descend(f, x, {3, 3}, 50).evaluations == 51);  // without a tolerance all steps, for ranks that count them
  std::vector<double> none;
  CHECK(descend([](point, output) { return 2.0; }, none, {1, 2}, 5, 1).value == 2);
  for (const double value : {not_a_number, infinite, 1.0})
    for (const double slope : {not_a_number, infinite, 1e308})
      for (const double radius : {1.0, infinite}) {
        std::vector<double> y{0.5, -0.5};
        const auto end = descend(
            [&](point, output g) {
              g[0] = g[1] = slope;
              return value;
            },
            y, {1e-3, 1e-2}, 1000, radius, 1);
        CHECK(!end.converged);
        CHECK(end.evaluations <= 1001);
        CHECK((std::isfinite(y[0]) && std::isfinite(y[1])));
      }
}

TEST_CASE("misuse of steps and descend") {
  CHECK_THROWS_AS(steps_that_suffice({0, 1}, 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({2, 1}, 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({1, infinite}, 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({1, not_a_number}, 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({1, 2}, 0, 1), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({1, 2}, 1, -1), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({1, 2}, 1, not_a_number), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({1, 2}, 1, infinite), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({1, 2}, 1, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(steps_that_suffice({1, 1e20}, 1e-10, 1), std::invalid_argument);
  CHECK_NOTHROW(steps_that_suffice({1, 1e14}, 1e-10, 1));
  std::vector<double> x(2);
  const auto run = [&](const convexity& c, std::int64_t steps, double radius, double tolerance) {
    return descend(rosenbrock(), x, c, steps, radius, tolerance);
  };
  CHECK_THROWS_AS(run({0, 1}, 1, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(run({1, 2}, -1, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(run({1, 2}, std::int64_t{1} << 31, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(run({1, 2}, 1, -1, 0), std::invalid_argument);
  CHECK_THROWS_AS(run({1, 2}, 1, 1, -1), std::invalid_argument);
  CHECK_NOTHROW(run({1, 2}, 0, 1, 0));
}
