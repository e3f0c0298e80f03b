// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/certified_minimum.hpp"

#include "linalg/golden/minima.hpp"
#include "linalg/objectives.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace objectives;
using linalg::certified_options;
using linalg::minimise_certified;
using linalg::minimum;

namespace {
// A model of section G1 of the methods of privacy: weights are estimated from 12 rows, then a rule is learnt with them.
linear_model twelve_rows(double ridge, bool exponential) {
  const double x1[] = {.60, -.30, .10, .70, -.50, .20, -.60, .40, -.10, .30, -.20, .50};
  const double x2[] = {.20, .50, -.40, -.10, -.30, .60, .10, .40, -.70, -.50, .30, .00};
  linear_model m{{}, {1, -1, 1, 1, -1, 1, -1, -1, 1, -1, 1, 1}, std::vector<double>(12, 1.0), ridge, exponential};
  for (int i = 0; i < 12; ++i) m.rows.insert(m.rows.end(), {x1[i], x2[i], 0.5});
  return m;
}
}  // namespace

TEST_CASE("the vectors of the specification: propensities, balance, the rule") {
  const auto compare = [](const linear_model& f, double smooth, const std::vector<double>& expected) {
    std::vector<double> x(3);
    const auto m =
        minimise_certified(f, x, {.tolerance = 1e-13, .bounds = {f.ridge, smooth + f.ridge}, .gradient_at_start = 4});
    CHECK(m.converged);
    for (std::size_t i = 0; i < 3; ++i) CHECK(x[i] == Approx(expected[i]).margin(6e-11));
    return m;
  };
  compare(twelve_rows(0.1, false), 0.25, {0.7081990763, -0.1005732890, 0.2097959202});
  compare(twelve_rows(0.5, true), 10, {0.6227013616, -0.0829713857, 0.1927283357});
  auto rule = twelve_rows(0.05, false);
  const double r[] = {.8, .5, -.4, 1.0, .3, .6, -.7, .2, -.9, .4, .1, .9};
  for (std::size_t i = 0; i < 12; ++i) {
    rule.weights[i] = std::abs(r[i]);
    rule.signs[i] *= r[i] < 0 ? -1 : 1;
  }
  const auto m = compare(rule, 0.25, {0.7134099128, 0.7407572227, 0.2687135866});
  CHECK(m.value == Approx(0.3478225990).margin(6e-11));
}

TEST_CASE("minima of SciPy, free and in balls") {
  for (const auto& golden : golden_minima) {
    linear_model f{{}, {}, {}, golden.ridge};
    for (int i = 0; i < 40; ++i) {
      for (int j = 0; j < 4; ++j) f.rows.push_back(((i * 37 + j * 101 + i * j * 13) % 64 - 31.5) / 64);
      f.signs.push_back((i * 29 + 7) % 5 < 2 + i % 2 ? 1 : -1);
      f.weights.push_back((i % 7 + 1) / 4.0);
    }
    for (const bool hessian : {true, false}) {
      std::vector<double> x(4);
      const certified_options options{.tolerance = 1e-12,
                                      .bounds = {golden.ridge, 0.25 * 1.75 + golden.ridge},
                                      .gradient_at_start = 1,
                                      .radius = golden.radius > 0 ? golden.radius : infinite};
      const minimum m =
          hessian ? minimise_certified(f, x, options) : minimise_certified(without_hessian(f), x, options);
      CAPTURE(golden.ridge, golden.radius, hessian, m.evaluations);
      CHECK(m.converged);
      CHECK(distance(x, golden.x) <= 2e-9 / (golden.ridge + 0.01));
      CHECK(m.value == Approx(golden.value).epsilon(1e-11));
      CHECK(m.evaluations <= 60);
    }
  }
}

TEST_CASE("a step of Newton's at the end, on the sphere too: what L-BFGS left is squared") {
  const auto f = random_model(200, 5, 1, 0.1);
  for (const double radius : {infinite, 0.3, 50.0}) {
    std::vector<double> x(5), y(5);
    const certified_options loose{.tolerance = 1e-5, .bounds = {0.1, 0.6}, .gradient_at_start = 1, .radius = radius};
    const auto without = minimise_certified(without_hessian(f), x, loose);
    const auto with = minimise_certified(f, y, loose);
    CHECK(without.certificate > 1e-9);
    CHECK(with.certificate < 1e-9);
    CHECK(with.evaluations == without.evaluations + 2);
    CHECK(length(y) <= radius);
  }
  const quadratic bowl(spread(6, 50), normals(6, 4), 5);
  std::vector<double> u(6), v(6);
  const certified_options on_sphere{
      .tolerance = 0.05, .bounds = {1, 50}, .gradient_at_start = 500, .radius = 0.7 * length(bowl.centre)};
  const auto rough = minimise_certified(without_hessian(bowl), u, on_sphere);
  const auto polished = minimise_certified(bowl, v, on_sphere);
  CHECK(rough.certificate > 1e-3);
  CHECK(polished.certificate < 0.01 * rough.certificate);
  // a Hessian that is wrong: its step is not kept
  struct wrong : linear_model {
    void hessian(point x, output h) const {
      linear_model::hessian(x, h);
      for (double& e : h) e *= 0.1;
    }
  };
  std::vector<double> x(5), y(5);
  const certified_options options{.tolerance = 1e-6, .bounds = {0.1, 0.6}, .gradient_at_start = 1};
  const auto with = minimise_certified(wrong{f}, x, options);
  const auto without = minimise_certified(without_hessian(f), y, options);
  CHECK(with.certificate == without.certificate);
  CHECK(x == y);
}

TEST_CASE("the last resort: the steps that suffice, where values mislead the line search") {
  const quadratic inner(spread(6, 30), normals(6, 2), 3);
  std::vector<double> start(6), g(6);
  inner(start, g);
  // The value says nothing, and rises with every call: no line search can go on.
  for (const double share : {infinite, 0.4}) {
    double calls = 0;
    const auto f = [&](point x, output out) {
      inner(x, out);
      return ++calls;
    };
    std::vector<double> x(6);
    const double radius = share * length(inner.centre);
    const certified_options options{
        .tolerance = 1e-9, .bounds = {1, 30}, .gradient_at_start = length(g), .radius = radius};
    const auto m = minimise_certified(f, x, options);
    CHECK(m.converged);
    CHECK(m.certificate <= 1e-9);
    CHECK(m.evaluations == static_cast<int>(calls));
    CHECK(m.evaluations > linalg::steps_that_suffice({1, 30}, 1e-9, length(g), radius) / 4);
    CHECK(m.evaluations <= linalg::steps_that_suffice({1, 30}, 1e-9, length(g), radius) + 200);
    std::vector<double> y(6);
    linalg::minimise_lbfgs(inner, y, {.tolerance = 1e-11, .radius = radius});
    CHECK(distance(x, y) <= 2e-9);
    // without a bound on the gradient the ball's has to do, from 0
    if (radius < infinite) {
      auto z = normals(6, 7);
      auto from_radius = options;
      from_radius.gradient_at_start = infinite;
      CHECK(minimise_certified(f, z, from_radius).converged);
      CHECK(distance(z, y) <= 2e-9);
    }
  }
}

TEST_CASE("where the last resort starts: at the best point if the bounds cover it, else at 0 for the radius's") {
  const auto same = [](point x, point y) { return distance(x, y) < 1e-12; };
  const quadratic inner(spread(4, 20), normals(4, 2), 3);
  const auto start = normals(4, 8);
  std::vector<double> g(4);
  inner(start, g);
  int calls = 0, at_start = 0;
  auto x = start;
  const auto honest_at_first = [&](point at, output out) {
    at_start += same(at, start);
    const double value = inner(at, out);
    return ++calls <= 4 ? value : 1e9 * calls;
  };
  CHECK(minimise_certified(honest_at_first, x, {.tolerance = 1e-9, .bounds = {1, 20}, .gradient_at_start = length(g)})
            .converged);
  CHECK(at_start == 1);
  // The gradient, of length 180 at the start, is above M radius = 30.
  int at_zero = 0;
  const auto rising = [&](point at, output out) {
    at_zero += at[0] == 0 && at[1] == 0;
    out[0] = 30 * (at[0] - 5), out[1] = at[1] - 1;
    return static_cast<double>(++calls);
  };
  std::vector<double> y{-1, 0};
  CHECK(
      minimise_certified(rising, y, {.tolerance = 1e-9, .bounds = {1, 30}, .gradient_at_start = infinite, .radius = 1})
          .converged);
  CHECK(at_zero >= 1);
  // What the last resort makes worse is not handed back.
  std::vector<double> z{1, 2};
  const auto once = minimise_certified(
      [](point at, output out) {
        out[0] = 3, out[1] = 4;
        return at[0] == 1 && at[1] == 2 ? 0 : not_a_number;
      },
      z, {.tolerance = 1e-9, .bounds = {1, 30}, .gradient_at_start = 5});
  CHECK(!once.converged);
  CHECK(once.certificate == 5);
  CHECK(z == std::vector<double>{1, 2});
}

TEST_CASE("total: degenerate data, rounding, what is not finite") {
  // one class, separable, zero weights, a row of zeros, one row
  for (const int kind : {0, 1, 2, 3}) {
    auto f = random_model(kind == 3 ? 1 : 30, 3, 5, 0.01);
    for (std::size_t i = 0; i < f.signs.size(); ++i) {
      if (kind == 0) f.signs[i] = 1;
      if (kind == 1) f.weights[i] = 0;
      if (kind == 2) f.rows[3 * i] = f.rows[3 * i + 1] = f.rows[3 * i + 2] = 0;
    }
    std::vector<double> x(3);
    CHECK(minimise_certified(f, x, {.tolerance = 1e-12, .bounds = {0.01, 0.51}, .gradient_at_start = 2}).converged);
    if (kind == 1 || kind == 2) CHECK(x == std::vector<double>(3));
  }
  const auto f = random_model(30, 3, 6, 0.01);
  std::vector<double> x(3);
  const auto m = minimise_certified(f, x, {.tolerance = 1e-30, .bounds = {0.01, 0.51}, .gradient_at_start = 2});
  CHECK((!m.converged || m.certificate == 0));
  CHECK(m.certificate < 1e-15);
  std::vector<double> y{1, 2};
  const auto broken = minimise_certified(
      [](point, output g) {
        g[0] = g[1] = not_a_number;
        return 1.0;
      },
      y, {.tolerance = 1, .bounds = {1, 2}, .gradient_at_start = 100, .radius = 1});
  CHECK(!broken.converged);
  CHECK(broken.certificate == infinite);
  CHECK(broken.evaluations <= 3);
  CHECK(length(y) <= 1);
  std::vector<double> none;
  CHECK(minimise_certified([](point, output) { return 1.0; }, none, {.tolerance = 1, .bounds = {1, 2}}).converged);
  CHECK_THROWS_AS(minimise_certified(f, x, {.tolerance = 0, .bounds = {1, 2}}), std::invalid_argument);
  CHECK_THROWS_AS(minimise_certified(f, x, {.tolerance = 1, .bounds = {}}), std::invalid_argument);
  CHECK_THROWS_AS(minimise_certified(f, x, {.tolerance = 1, .bounds = {1, 2}, .gradient_at_start = infinite}),
                  std::invalid_argument);
  CHECK_THROWS_AS(minimise_certified(f, x, {.tolerance = 1, .bounds = {1, 2}, .radius = -1}), std::invalid_argument);
}

TEST_CASE("documentation: a ridge regression to a public tolerance") {
  const std::vector<double> rows{0.6, 0.2, -0.3, 0.5, 0.1, -0.4}, outcomes{0.8, 0.5, -0.4};
  const double ridge = 0.05;
  const auto loss = [&](std::span<const double> b, std::span<double> gradient) {
    double value = ridge / 2 * (b[0] * b[0] + b[1] * b[1]);
    for (std::size_t j = 0; j < 2; ++j) gradient[j] = ridge * b[j];
    for (std::size_t i = 0; i < 3; ++i) {
      const double rest = rows[2 * i] * b[0] + rows[2 * i + 1] * b[1] - outcomes[i];
      value += rest * rest / 6;
      for (std::size_t j = 0; j < 2; ++j) gradient[j] += rest * rows[2 * i + j] / 3;
    }
    return value;
  };
  std::vector<double> b(2);
  const linalg::minimum fit =
      linalg::minimise_certified(loss, b, {.tolerance = 1e-12, .bounds = {ridge, 1 + ridge}, .gradient_at_start = 1});
  // |b - minimiser| <= fit.certificate / ridge <= 2e-11, whatever the rows in the unit ball
  CHECK(fit.converged);
  const double a00 = (.36 + .09 + .01) / 3 + ridge, a01 = (.12 - .15 - .04) / 3, a11 = (.04 + .25 + .16) / 3 + ridge;
  const double c0 = (.48 - .15 - .04) / 3, c1 = (.16 + .25 + .16) / 3, determinant = a00 * a11 - a01 * a01;
  CHECK(b[0] == Approx((a11 * c0 - a01 * c1) / determinant).margin(2e-11));
  CHECK(b[1] == Approx((a00 * c1 - a01 * c0) / determinant).margin(2e-11));
}
