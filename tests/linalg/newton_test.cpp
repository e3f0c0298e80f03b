// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/newton.hpp"

#include "linalg/objectives.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;
using namespace objectives;

TEST_CASE("quadratics in one step, whatever the units and the condition") {
  for (const std::size_t n : {1u, 2u, 7u, 60u})
    for (const double condition : {1.0, 1e3, 1e6})
      for (const double units : {1e-20, 1.0, 1e20}) {
        auto e = spread(n, condition);
        for (double& value : e) value *= units;
        const quadratic f(e, normals(n, 1), 2);
        std::vector<double> x(n), g(n);
        const auto m = minimise_newton(f, x, {.tolerance = 1e-12 * condition * units});
        CAPTURE(n, condition, units, m.certificate);
        CHECK(m.converged);
        CHECK(m.evaluations <= 3);
        CHECK(distance(x, f.centre) <= 1e-14 * condition * std::sqrt(static_cast<double>(n)) + 1e-13);
        CHECK(m.value == f(x, g));
        CHECK(m.certificate == Approx(length(g)).epsilon(1e-10));
      }
}

TEST_CASE("logistic and exponential models to the last bits, L-BFGS beside them") {
  for (std::uint32_t seed = 0; seed < 8; ++seed)
    for (const double ridge : {1.0, 0.05, 1e-3, 1e-6})
      for (const bool exponential : {false, true}) {
        auto f = random_model(80, 6, seed, ridge, seed % 2);
        f.exponential = exponential;
        std::vector<double> x(6), y(6), g(6);
        const double tolerance = exponential && ridge < 1e-4 ? 1e-10 : 1e-13;  // weights of 1e6 are summed
        const auto m = minimise_newton(f, x, {.tolerance = tolerance});
        CAPTURE(seed, ridge, exponential, m.evaluations, m.certificate);
        CHECK(m.converged);
        CHECK(m.evaluations <= 40);
        f(x, g);
        CHECK(length(g) <= tolerance);
        const auto fast = minimise_lbfgs(f, y, {.tolerance = 1e-9, .limit = 2000});
        CHECK(fast.converged);
        CHECK(distance(x, y) <= (fast.certificate + m.certificate) / ridge);
      }
}

TEST_CASE("where the Hessian is not definite it is made so") {
  for (std::uint32_t seed = 0; seed < 10; ++seed) {
    auto x = normals(2, seed);
    const auto m = minimise_newton(rosenbrock(), x, {.limit = 200});
    CHECK(m.converged);
    CHECK(distance(x, std::vector<double>{1, 1}) < 1e-9);
  }
  // cosine: starts where the curvature is negative, and one where it is 0
  struct cosine {
    double operator()(point x, output g) const {
      g[0] = -std::sin(x[0]);
      return std::cos(x[0]);
    }
    void hessian(point x, output h) const { h[0] = -std::cos(x[0]); }
  };
  for (const double start : {0.1, 1.0, std::acos(0.0), 3.0}) {
    std::vector<double> x{start};
    const auto m = minimise_newton(cosine(), x);
    CHECK(m.converged);
    CHECK(m.value == Approx(-1));
  }
  // singular: 1/2 (x_1 + x_2 - 1)^2 has a line of minima
  struct line {
    double operator()(point x, output g) const {
      const double rest = x[0] + x[1] - 1;
      g[0] = g[1] = rest;
      return 0.5 * rest * rest;
    }
    void hessian(point, output h) const { h[0] = h[2] = h[3] = 1; }
  };
  std::vector<double> x{5, 7};
  const auto m = minimise_newton(line(), x);
  CHECK(m.converged);
  CHECK(x[0] + x[1] == Approx(1));
  // no curvature at all: falls until it stops to
  struct slope {
    double operator()(point at, output g) const {
      g[0] = at[0] > -100 ? 1 : 0;
      return (std::max)(at[0], -100.0);
    }
    void hessian(point, output h) const { h[0] = 0; }
  };
  std::vector<double> y{3};
  CHECK(minimise_newton(slope(), y).converged);
  CHECK(y[0] <= -100);
}

TEST_CASE("how much is added to make a matrix definite") {
  std::vector<double> l(4);
  CHECK(detail::factor_definite(std::vector<double>{4, 0, 2, 10}, 0, 2, l) == 0);
  CHECK(l[0] == 2);
  CHECK(l[2] == 1);
  CHECK(l[3] == 3);
  CHECK(detail::factor_definite(std::vector<double>{4, 0, 2, 10}, 5, 2, l) == 0);
  CHECK(l[0] == 3);
  CHECK(detail::factor_definite(std::vector<double>{-2}, 0, 1, l) == Approx(20));
  CHECK(detail::factor_definite(std::vector<double>{0}, 0, 1, l) == Approx(1e-12));
  CHECK(detail::factor_definite(std::vector<double>{1, 0, 1, 1}, 0, 2, l) <= 1e-11);
  CHECK(detail::factor_definite(std::vector<double>{not_a_number}, 0, 1, l) == infinite);
}

TEST_CASE("what is right of the diagonal is not read") {
  struct half : quadratic {
    using quadratic::quadratic;
    void hessian(point x, output h) const {
      for (double& e : h) e = not_a_number;
      quadratic::hessian(x, h);
    }
  };
  const half f(spread(5, 10), normals(5, 1), 2);
  std::vector<double> x(5);
  CHECK(minimise_newton(f, x).converged);
}

TEST_CASE("offsets, tolerances below rounding, limits") {
  const auto f = random_model(50, 4, 3, 0.01);
  struct shifted {
    const linear_model& f;
    double offset;
    double operator()(point x, output g) const { return f(x, g) + offset; }
    void hessian(point x, output h) const { f.hessian(x, h); }
  };
  for (const double offset : {0.0, 1e8, -1e12}) {
    std::vector<double> x(4);
    const auto m = minimise_newton(shifted{f, offset}, x, {.tolerance = 1e-13});
    CHECK(m.converged);
    const auto below = minimise_newton(shifted{f, offset}, x, {.tolerance = 0, .limit = 1000});
    CHECK(below.certificate <= 1e-15);
    CHECK(below.evaluations < 100);
  }
  for (const int limit : {0, 1, 2}) {
    std::vector<double> x(4);
    const auto m = minimise_newton(f, x, {.tolerance = 1e-15, .limit = limit});
    CHECK(!m.converged);
    CHECK(m.evaluations == 1 + limit);
  }
}

TEST_CASE("nothing that is not finite is handed back, sizes 0 and 1") {
  struct broken {
    double value, slope, curvature;
    double operator()(point, output g) const {
      g[0] = slope;
      return value;
    }
    void hessian(point, output h) const { h[0] = curvature; }
  };
  for (const double value : {not_a_number, infinite, 1.0})
    for (const double slope : {not_a_number, -infinite, 1.0})
      for (const double curvature : {not_a_number, infinite, 1.0}) {
        std::vector<double> x{2};
        const auto m = minimise_newton(broken{value, slope, curvature}, x);
        CHECK(!m.converged);
        CHECK(m.evaluations < 200);
        CHECK(std::isfinite(x[0]));
      }
  std::vector<double> none;
  const quadratic empty({}, {}, 1);
  const auto m = minimise_newton(empty, none);
  CHECK(m.converged);
  CHECK(m.evaluations == 1);
  std::vector<double> x(4);
  const auto f = random_model(50, 4, 3, 0.01);
  const std::size_t before = allocations::count;
  minimise_newton(f, x);
  CHECK(allocations::count == before + 1);
  CHECK_THROWS_AS(minimise_newton(f, x, {.tolerance = -1}), std::invalid_argument);
  CHECK_THROWS_AS(minimise_newton(f, x, {.tolerance = not_a_number}), std::invalid_argument);
  CHECK_THROWS_AS(minimise_newton(f, x, {.limit = -1}), std::invalid_argument);
}
