// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/lbfgs.hpp"

#include "linalg/objectives.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;
using namespace objectives;

TEST_CASE("quadratics: the centre, whatever the units, within certificate over least curvature") {
  for (const std::size_t n : {1u, 2u, 5u, 20u, 300u})
    for (const double condition : {1.0, 10.0, 1e4})
      for (const double units : {1e-20, 1.0, 1e20}) {
        auto e = spread(n, condition);
        for (double& value : e) value *= units;
        const quadratic f(e, normals(n, 1), 2);
        std::vector<double> x(n);
        const auto m = minimise_lbfgs(f, x, {.tolerance = 1e-9 * units, .limit = 2000});
        CAPTURE(n, condition, units, m.evaluations, m.certificate);
        CHECK(m.converged);
        CHECK(distance(x, f.centre) <= 1.001 * m.certificate / units + 1e-14);
        CHECK(m.evaluations <= (condition < 2 ? 6 : condition < 20 ? 50 : 1600));
        std::vector<double> g(n);
        CHECK(m.value == f(x, g));
        CHECK(m.certificate == Approx(length(g)).epsilon(1e-12));
      }
}

TEST_CASE("rosenbrock, from many starts") {
  for (const std::size_t n : {2u, 5u, 10u, 50u}) {
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
      auto x = normals(n, seed);
      if (seed == 0)
        for (std::size_t i = 0; i < n; ++i) x[i] = i % 2 == 0 ? -1.2 : 1;
      const auto m = minimise_lbfgs(rosenbrock(), x, {.tolerance = 1e-9, .limit = 2000});
      CAPTURE(n, seed, m.evaluations, m.certificate);
      CHECK(m.converged);
      if (n == 2) CHECK(distance(x, std::vector<double>(n, 1.0)) < 1e-8);
      CHECK(m.evaluations < (n == 2 ? 80 : 500));
    }
  }
}

TEST_CASE("logistic models of every conditioning") {
  for (std::uint32_t seed = 0; seed < 6; ++seed)
    for (const double ridge : {1.0, 0.05, 1e-3}) {
      const auto f = random_model(60, 8, seed, ridge, seed % 2);
      std::vector<double> x(8), g(8);
      const auto m = minimise_lbfgs(f, x, {.tolerance = 1e-11});
      CAPTURE(seed, ridge, m.evaluations, m.certificate);
      CHECK(m.converged);
      f(x, g);
      CHECK(length(g) <= 1e-11);
      CHECK(m.evaluations <= (ridge > 0.01 ? 40 : 120));
    }
}

TEST_CASE("a ball: the point of the sphere whose gradient is normal, or the minimum inside") {
  for (const std::size_t n : {1u, 2u, 5u, 40u})
    for (const double condition : {1.0, 20.0, 1000.0})
      for (const double share : {1e-3, 0.3, 0.9, 0.999999, 1.5}) {
        const quadratic f(spread(n, condition), normals(n, 3), 4);
        const double radius = share * length(f.centre);
        // (H + m I) x = H c in eigenvectors, |x| = radius, by halves of m
        std::vector<double> c = f.centre, expected(n);
        f.reflect(c);
        double low = 0, high = share < 1 ? 1e7 : 0;
        for (int i = 0; i < 200; ++i) {
          const double m = share < 1 ? low + (high - low) / 2 : 0;
          for (std::size_t k = 0; k < n; ++k) expected[k] = f.eigenvalues[k] * c[k] / (f.eigenvalues[k] + m);
          (length(expected) > radius ? low : high) = m;
        }
        f.reflect(expected);
        auto x = normals(n, 5);  // outside, too
        for (double& e : x) e *= 3;
        const auto m = minimise_lbfgs(f, x, {.tolerance = 1e-10, .limit = 1000, .radius = radius});
        CAPTURE(n, condition, share, m.evaluations, m.certificate);
        CHECK(m.converged);
        CHECK(distance(x, expected) <= 1e-9);
        CHECK(length(x) <= radius * (1 + 1e-15));
        CHECK(m.evaluations <= (condition < 2 ? 12 : condition < 100 ? 80 : 500));
        std::vector<double> g(n);
        CHECK(m.value == f(x, g));
        if (share < 1) {  // the certificate is of the gradient along the sphere
          double along = 0;
          for (std::size_t i = 0; i < n; ++i) along += g[i] * x[i] / radius / radius;
          CHECK(along < 0);
          for (std::size_t i = 0; i < n; ++i) g[i] -= along * x[i];
        }
        CHECK(m.certificate == Approx(length(g)).margin(1e-12 * condition));
      }
}

TEST_CASE("an objective is never asked outside the ball") {
  const auto inner = random_model(40, 5, 1, 0.001);
  for (const double radius : {0.1, 1.0, 30.0}) {
    const auto f = [&](point x, output g) {
      CHECK(length(x) <= radius * (1 + 1e-15));
      return inner(x, g);
    };
    std::vector<double> x(5);
    CHECK(minimise_lbfgs(f, x, {.radius = radius}).converged);
  }
}

TEST_CASE("values that drown in rounding, or are rounded coarsely: slopes go on") {
  const quadratic f(spread(10, 100), normals(10, 6), 7);
  for (const double offset : {0.0, 1.0, 1e6, -1e10}) {
    std::vector<double> x(10);
    const auto shifted = [&](point at, output g) { return f(at, g) + offset; };
    const auto m = minimise_lbfgs(shifted, x, {.tolerance = 1e-11});
    CAPTURE(offset, m.evaluations);
    CHECK(m.converged);
    CHECK(distance(x, f.centre) <= 1e-10);
  }
  // values of float with gradients of double, from where a library of float did not move
  std::vector<double> x{1.3, 0.7, 0.8, 1.9, 1.2};
  const auto coarse = [](point at, output g) { return static_cast<double>(static_cast<float>(rosenbrock()(at, g))); };
  CHECK(minimise_lbfgs(coarse, x, {.tolerance = 1e-6}).converged);
  CHECK(distance(x, std::vector<double>(5, 1.0)) < 1e-5);
  // nearly flat: 1 + 1e-18 |x - c|^2 is 1 in every bit
  std::vector<double> flat(3);
  const auto m = minimise_lbfgs(
      [](point at, output g) {
        for (std::size_t i = 0; i < 3; ++i) g[i] = 2e-18 * (at[i] - 2);
        return 1.0;
      },
      flat, {.tolerance = 1e-26});
  CHECK(m.converged);
  CHECK(distance(flat, std::vector<double>(3, 2.0)) < 1e-7);
}

TEST_CASE("a tolerance below rounding ends with the best point there was") {
  for (const double condition : {1.0, 100.0, 1e4}) {
    const quadratic f(spread(6, condition), normals(6, 8), 9);
    std::vector<double> x(6);
    const auto m = minimise_lbfgs(f, x, {.tolerance = 1e-300, .limit = 100000});
    CAPTURE(condition, m.evaluations, m.certificate);
    CHECK(m.certificate <= 1e-14 * condition);
    CHECK(m.converged == (m.certificate <= 1e-300));
    CHECK(m.evaluations < 3000);
    std::vector<double> g(6);
    CHECK(m.value == f(x, g));
    CHECK(m.certificate == Approx(length(g)).epsilon(1e-10));
  }
}

TEST_CASE("what is not finite is too far, and a start that is not finite is the end") {
  // log(x) is NaN left of 0, exp overflows: minimum of e^x - log x at x e^x = 1
  std::vector<double> x{30};
  const auto m = minimise_lbfgs(
      [](point at, output g) {
        g[0] = std::exp(at[0]) - 1 / at[0];
        return std::exp(at[0]) - std::log(at[0]);
      },
      x, {.tolerance = 1e-12});
  CHECK(m.converged);
  CHECK(x[0] == Approx(0.5671432904097838).epsilon(1e-12));

  for (const double value : {not_a_number, infinite, -infinite})
    for (const double slope : {not_a_number, infinite, 1.0}) {
      int calls = 0;
      std::vector<double> start{1, 2};
      const auto end = minimise_lbfgs(
          [&](point, output g) {
            ++calls;
            g[0] = g[1] = slope;
            return value;
          },
          start);
      CHECK(!end.converged);
      CHECK(end.certificate == infinite);
      CHECK(end.evaluations == 1);
      CHECK(calls == 1);
      CHECK(start == std::vector<double>{1, 2});
    }
  // finite at the start alone
  std::vector<double> only{1, 2};
  const auto end = minimise_lbfgs(
      [](point at, output g) {
        g[0] = 3, g[1] = 4;
        return at[0] == 1 && at[1] == 2 ? 0 : not_a_number;
      },
      only);
  CHECK(!end.converged);
  CHECK(end.certificate == 5);
  CHECK(end.evaluations <= 130);
  CHECK(only == std::vector<double>{1, 2});
}

TEST_CASE("functions that have no minimum, and gradients that are wrong, end") {
  std::vector<double> x{1};
  const auto falling = minimise_lbfgs(
      [](point at, output g) {
        g[0] = -1;
        return -at[0];
      },
      x);
  CHECK(!falling.converged);
  CHECK(falling.evaluations < 5000);
  CHECK(std::isfinite(x[0]));
  // the sign of the gradient is wrong: every step rises
  std::vector<double> y{1, 1};
  const auto rising = minimise_lbfgs(
      [](point at, output g) {
        g[0] = -at[0], g[1] = -2 * at[1];
        return 0.5 * at[0] * at[0] + at[1] * at[1];
      },
      y);
  CHECK(!rising.converged);
  CHECK(rising.evaluations < 200);
  CHECK(y == std::vector<double>{1, 1});
  // a kink, where no gradient is small
  std::vector<double> z{1, -0.3};
  const auto kink = minimise_lbfgs(
      [](point at, output g) {
        g[0] = at[0] > 0 ? 1 : -1, g[1] = at[1] > 0 ? 2 : -2;
        return std::abs(at[0]) + 2 * std::abs(at[1]);
      },
      z);
  CHECK(!kink.converged);
  CHECK(kink.evaluations < 5000);
  CHECK(kink.value < 1.6);
}

TEST_CASE("sizes 0 and 1, starts at the minimum, limits") {
  std::vector<double> none;
  const auto empty = minimise_lbfgs([](point, output) { return 3.0; }, none);
  CHECK(empty.converged);
  CHECK(empty.value == 3);
  CHECK(empty.certificate == 0);
  const quadratic f({2.0, 3.0}, {1.0, 1.0}, 1);
  std::vector<double> x{1, 1};
  const auto there = minimise_lbfgs(f, x, {.tolerance = 0});
  CHECK(there.converged);
  CHECK(there.evaluations == 1);
  for (const int limit : {0, 1, 2}) {
    std::vector<double> y{5, -3};
    const auto m = minimise_lbfgs(f, y, {.limit = limit});
    CHECK(!m.converged);
    CHECK(m.evaluations >= 1 + limit);
    CHECK(m.evaluations <= 1 + 3 * limit);
  }
}

TEST_CASE("a longer history needs fewer calls; the same bits each time; memory is taken once") {
  const quadratic f(spread(60, 1e3), normals(60, 11), 12);
  std::vector<int> calls;
  for (const int history : {1, 3, 10, 60}) {
    std::vector<double> x(60), again(60);
    const auto m = minimise_lbfgs(f, x, {.history = history, .limit = 3000});
    CHECK(m.converged);
    minimise_lbfgs(f, again, {.history = history, .limit = 3000});
    CHECK(x == again);
    calls.push_back(m.evaluations);
  }
  CAPTURE(calls);
  CHECK(calls[3] < calls[2]);
  CHECK(calls[2] < calls[1]);
  CHECK(calls[1] < calls[0]);
  std::vector<double> x(2);
  const std::size_t before = allocations::count;
  minimise_lbfgs(rosenbrock(), x);
  CHECK(allocations::count == before + 1);
}

TEST_CASE("pairs stand for the curvature along the last step, and shifted, for that and the shift") {
  const quadratic f(spread(6, 40), std::vector<double>(6), 3);
  for (const std::size_t history : {2u, 4u, 9u}) {
    std::vector<double> memory(detail::curvature_pairs::doubles(6, history));
    detail::curvature_pairs pairs(memory, 6, history);
    pairs.reset(7);
    std::vector<double> v{1, 2, 3, 4, 5, 6};
    pairs.solve(3, v);
    CHECK(v[5] == Approx(0.6));
    for (std::uint32_t k = 0; k < 7; ++k) {
      const auto s = normals(6, k);
      std::vector<double> y(6);
      f.product(s, y);
      hone::copy(s, pairs.next_s());
      hone::copy(y, pairs.next_y());
      pairs.keep();
      for (const double shift : {0.0, 0.3, 20.0}) {
        for (std::size_t i = 0; i < 6; ++i) v[i] = y[i] + shift * s[i];
        pairs.solve(shift, v);
        CHECK(distance(v, s) <= 1e-12);
        auto a = normals(6, 20), b = normals(6, 21);  // and they are symmetric
        const auto left = a, right = b;
        pairs.solve(shift, a);
        pairs.solve(shift, b);
        CHECK(hone::dot(a, right) == Approx(hone::dot(left, b)).epsilon(1e-9));
      }
    }
    CHECK(pairs.scale() > 1);  // y y / s y of the last
    CHECK(pairs.scale() < 40);
    for (double& e : pairs.next_s()) e = 1;
    for (double& e : pairs.next_y()) e = -1;  // negative curvature is not kept
    const double before = pairs.scale();
    pairs.keep();
    CHECK(pairs.scale() == before);
  }
}

TEST_CASE("what rounding may lift, when steps bring nothing, and the first step") {
  detail::rounding_slack slack;
  CHECK(slack(-8) == Approx(8e-10));
  CHECK(slack(1) == Approx(4e-10));
  CHECK(slack(0) == Approx(2e-10));
  // Gradients of length 1, at right angles to the step: every step is taken, none is better.
  std::vector<double> last{0, 0};
  std::vector<double> x{0, 0};
  const auto m = minimise_lbfgs(
      [&](point at, output g) {
        const double a = at[0] - last[0], b = at[1] - last[1], norm = std::hypot(a, b);
        g[0] = norm > 0 ? -b / norm : 1;
        g[1] = norm > 0 ? a / norm : 0;
        last.assign(at.begin(), at.end());
        return 1.0;
      },
      x);
  CHECK(m.evaluations >= 22);
  CHECK(m.evaluations <= 30);  // by the last bits of the lengths
  for (const auto& [radius, first] : {std::pair{0.5, 0.25}, {1.9, 0.95}, {10.0, 1.0}, {infinite, 1.0}}) {
    std::vector<double> trial, y{0, 0};
    minimise_lbfgs(
        [&](point at, output g) {
          if (trial.empty() && at[0] != 0) trial.assign(at.begin(), at.end());
          g[0] = 1e8 * (at[0] - 3), g[1] = 0;
          return 5e7 * (at[0] - 3) * (at[0] - 3);
        },
        y, {.radius = radius});
    CHECK(trial[0] == Approx(first));
  }
  // a step inside the ball may grow up to the sphere: 1, 10, 100
  std::vector<double> z{0, 0};
  const auto line = minimise_lbfgs(
      [](point at, output g) {
        g[0] = -1, g[1] = 0;
        return -at[0];
      },
      z, {.radius = 100});
  CHECK(line.converged);
  CHECK(line.evaluations == 4);
  CHECK(z[0] == Approx(100));
}

TEST_CASE("misuse of lbfgs") {
  std::vector<double> x(2);
  const auto minimise = [&](const lbfgs_options& o) { return minimise_lbfgs(rosenbrock(), x, o); };
  CHECK_THROWS_AS(minimise({.tolerance = -1}), std::invalid_argument);
  CHECK_THROWS_AS(minimise({.tolerance = not_a_number}), std::invalid_argument);
  CHECK_THROWS_AS(minimise({.history = 0}), std::invalid_argument);
  CHECK_THROWS_AS(minimise({.limit = -1}), std::invalid_argument);
  CHECK_THROWS_AS(minimise({.radius = 0}), std::invalid_argument);
  CHECK_THROWS_AS(minimise({.radius = not_a_number}), std::invalid_argument);
  CHECK_NOTHROW(minimise({.tolerance = 0, .history = 1, .limit = 0}));
}
