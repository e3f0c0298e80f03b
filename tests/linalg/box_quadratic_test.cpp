// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/box_quadratic.hpp"

#include "linalg/objectives.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;
using namespace objectives;

namespace {
struct problem {
  quadratic h;
  std::vector<double> b;
  double condition;

  problem(std::size_t n, std::uint32_t seed, double c)
      : h(spread(n, c), std::vector<double>(n), seed), b(normals(n, seed, 4)), condition(c) {}
  [[nodiscard]] auto product() const {
    return [this](point w, output out) { h.product(w, out); };
  }
  [[nodiscard]] minimum solve(std::vector<double>& w, double lower, double upper, double tolerance) const {
    return minimise_box(
        product(), b, w,
        {.lower = lower, .upper = upper, .bounds = {1, condition}, .steps = 1000000, .tolerance = tolerance});
  }
};

// The minimum over all ways to put each element at a bound or between, each solved by elimination.
std::vector<double> enumerate(const problem& p, double lower, double upper) {
  const std::size_t n = p.b.size();
  std::vector<double> h(n * n), best;
  p.h.hessian({}, h);
  const auto entry = [&](std::size_t i, std::size_t j) { return i >= j ? h[i * n + j] : h[j * n + i]; };
  double least = infinite;
  std::size_t ways = 1;
  for (std::size_t i = 0; i < n; ++i) ways *= 3;
  for (std::size_t way = 0; way < ways; ++way) {
    std::vector<double> a(n * n), w(n);
    std::size_t rest = way;
    for (std::size_t i = 0; i < n; ++i, rest /= 3) {
      for (std::size_t j = 0; j < n; ++j) a[i * n + j] = rest % 3 == 0 ? entry(i, j) : i == j ? 1 : 0;
      w[i] = rest % 3 == 0 ? -p.b[i] : rest % 3 == 1 ? lower : upper;
    }
    for (std::size_t k = 0; k < n;
         ++k) {  // Gauss and Jordan; the free rows are definite, the others of the unit matrix
      for (std::size_t i = 0; i < n; ++i) {
        if (i == k) continue;
        const double factor = a[i * n + k] / a[k * n + k];
        for (std::size_t j = 0; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
        w[i] -= factor * w[k];
      }
    }
    bool inside = true;
    for (std::size_t i = 0; i < n; ++i) {
      w[i] /= a[i * n + i];
      inside = inside && w[i] >= lower - 1e-12 && w[i] <= upper + 1e-12;
    }
    if (!inside) continue;
    std::vector<double> hw(n);
    p.h.product(w, hw);
    double value = 0;
    for (std::size_t i = 0; i < n; ++i) value += w[i] * (0.5 * hw[i] + p.b[i]);
    if (value < least) least = value, best = w;
  }
  return best;
}
}  // namespace

TEST_CASE("the least over every active set") {
  for (std::size_t n = 1; n <= 6; ++n)
    for (std::uint32_t seed = 0; seed < 8; ++seed)
      for (const double condition : {1.0, 3.0, 100.0})
        for (const auto& [lower, upper] : {std::pair{0.0, 0.4}, {-0.1, 5.0}, {0.2, 0.2}}) {
          const problem p(n, seed, condition);
          std::vector<double> w(n, 1.0);
          const auto m = p.solve(w, lower, upper, 1e-12);
          CAPTURE(n, seed, condition, lower, upper, m.evaluations);
          CHECK(m.converged);
          CHECK(distance(w, enumerate(p, lower, upper)) <= 1e-10);
        }
}

TEST_CASE("Karush-Kuhn-Tucker at many elements, open boxes too") {
  for (const std::size_t n : {30u, 500u})
    for (const auto& [lower, upper] :
         {std::pair{0.0, infinite}, {-infinite, 0.1}, {-0.2, 0.3}, {-infinite, infinite}}) {
      const problem p(n, 3, 50);
      std::vector<double> w(n), g(n);
      const auto m = p.solve(w, lower, upper, 1e-11);
      CHECK(m.converged);
      p.h.product(w, g);
      double value = 0;
      int bound = 0;
      for (std::size_t i = 0; i < n; ++i) {
        value += w[i] * (0.5 * g[i] + p.b[i]);
        g[i] += p.b[i];
        CHECK((w[i] >= lower && w[i] <= upper));
        bound += w[i] == lower || w[i] == upper;
        CHECK((w[i] == upper || g[i] >= -1e-10));
        CHECK((w[i] == lower || g[i] <= 1e-10));
      }
      CHECK(m.value == Approx(value).epsilon(1e-12));
      CHECK((bound > 0) == (lower > -infinite || upper < infinite));
    }
}

TEST_CASE("the steps that suffice, from a start in the box") {
  for (const double condition : {1.5, 4.2, 40.0, 1000.0})
    for (std::uint32_t seed = 0; seed < 5; ++seed) {
      const problem p(20, seed, condition);
      std::vector<double> w(20, 1.0), g(20);
      p.h.product(w, g);
      for (std::size_t i = 0; i < 20; ++i) g[i] += p.b[i];
      const auto steps = steps_that_suffice({1, condition}, 1e-8, length(g), 5 * std::sqrt(20.));
      const auto m = minimise_box(p.product(), p.b, w, {.upper = 5, .bounds = {1, condition}, .steps = steps});
      CHECK(m.certificate <= 1e-8);
      CHECK(m.evaluations <= steps + 2);
    }
}

TEST_CASE("what is not finite, sizes 0, memory, misuse") {
  const problem p(3, 1, 10);
  std::vector<double> w(3), none;
  const auto broken =
      minimise_box([](point, output out) { out[0] = not_a_number; }, p.b, w, {.bounds = {1, 2}, .steps = 100});
  CHECK(!broken.converged);
  CHECK(broken.evaluations == 1);
  CHECK(minimise_box([](point, output) {}, none, none, {.bounds = {1, 2}, .steps = 100}).converged);
  const auto run = [&](const box_options& o) { return minimise_box(p.product(), p.b, w, o); };
  CHECK_THROWS_AS(run({.lower = 1, .upper = 0, .bounds = {1, 2}}), std::invalid_argument);
  CHECK_THROWS_AS(run({.lower = not_a_number, .bounds = {1, 2}}), std::invalid_argument);
  CHECK_THROWS_AS(run({.lower = infinite, .bounds = {1, 2}}), std::invalid_argument);
  CHECK_THROWS_AS(run({.lower = -infinite, .upper = -infinite, .bounds = {1, 2}}), std::invalid_argument);
  CHECK_THROWS_AS(run({.bounds = {}}), std::invalid_argument);
  CHECK_THROWS_AS(run({.bounds = {1, 2}, .steps = -1}), std::invalid_argument);
  CHECK_THROWS_AS(run({.bounds = {1, 2}, .tolerance = -1}), std::invalid_argument);
  CHECK_THROWS_AS(minimise_box(p.product(), none, w, {.bounds = {1, 2}}), std::invalid_argument);
  w.assign(3, -7.0);
  const auto start = run({.lower = -1, .bounds = {1, 10}});
  CHECK(start.evaluations == 2);
  for (const double e : w) CHECK(e >= -1);
}
