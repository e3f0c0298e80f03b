// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/hull.hpp"

#include "linalg/support.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;

namespace {
// A random point of the simplex, often near its border.
template <std::size_t K>
std::array<double, K> simplex_draw(std::uint32_t seed, std::uint32_t draw) {
  std::array<double, K> w;
  double total = 0;
  for (std::size_t i = 0; i < K; ++i) total += w[i] = std::pow(hone::philox{seed, draw}.uniform(i), draw % 7 + 0.0);
  for (double& x : w) x /= total;
  return w;
}

template <std::size_t K>
double form(const square<K>& g, const std::array<double, K>& a, const std::array<double, K>& b) {
  const auto product = times(g, b);
  double sum = 0;
  for (std::size_t i = 0; i < K; ++i) sum += a[i] * product[i];
  return sum;
}
}  // namespace

TEST_CASE("no point of the hull is shorter than the shortest, and the gap is closed") {
  for_each_k([](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 60; ++seed) {
      const auto g = random_gram<K>(std::array{2, 5, 16, 100}[seed % 4], seed, static_cast<int>(seed % 3));
      const auto point = shortest_in_hull(g);
      double sum = 0, longest = 0;
      for (std::size_t i = 0; i < K; ++i) {
        CHECK(point.w[i] >= 0);
        sum += point.w[i];
        longest = (std::max)(longest, g[i][i]);
      }
      CHECK(sum == Approx(1).epsilon(1e-12));
      CHECK(point.squared == Approx(form(g, point.w, point.w)).margin(1e-12 * longest));
      CHECK(point.gap <= 1e-11 * longest);
      for (std::uint32_t draw = 0; draw < 100; ++draw) {
        const auto w = simplex_draw<K>(seed, draw);
        REQUIRE(point.squared <= form(g, w, w) + 1e-11 * longest);
      }
    }
  });
}

TEST_CASE("the step that helps the worst row reaches its bound and stays within the radius") {
  for_each_k([](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 80; ++seed) {
      const auto g = random_gram<K>(std::array{2, 5, 16, 100}[seed % 4], seed, static_cast<int>(seed % 3));
      std::array<double, K> u;
      for (std::size_t i = 0; i < K; ++i) u[i] = seed % 2 == 0 ? 1.0 / K : hone::philox{3, seed}.normal(i);
      const auto b = times(g, u);
      const double length = std::sqrt(form(g, u, u)), radius = length * std::array{0.05, 0.4, 0.99}[seed % 3];
      const auto step = help_worst(g, b, length, radius);
      double longest = 0;
      for (std::size_t i = 0; i < K; ++i) longest = (std::max)(longest, std::sqrt(g[i][i]));
      for (const double z : step.z) CHECK(z >= 0);
      CHECK(std::sqrt(form(g, step.z, step.z)) <= radius * (1 + 1e-9));
      const bool opposed = shortest_in_hull(g).squared <= 1e-12 * longest * longest;
      if (!opposed) CHECK(step.gap <= 1e-9 * longest * length);
      if (opposed) CHECK(step.worst <= 1e-6 * longest * length);
      // No other direction within the radius does better.
      for (std::uint32_t draw = 0; draw < 100; ++draw) {
        std::array<double, K> e;
        for (std::size_t i = 0; i < K; ++i) e[i] = hone::philox{seed, draw}.normal(i);
        const double scale = radius / std::sqrt(form(g, e, e));
        const auto moved = times(g, e);
        double worst = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < K; ++i) worst = (std::min)(worst, b[i] + scale * moved[i]);
        REQUIRE(worst <= step.worst + 1e-9 * longest * length);
      }
    }
  });
}

TEST_CASE("two rows: the closed form, in extreme units too") {
  for (const double s : {1.0, 1e-300, 1e290}) {
    const auto point = shortest_in_hull(square<2>{{{18 * s, -22 * s}, {-22 * s, 38 * s}}});
    CHECK(point.w[0] == Approx(0.6));
    CHECK(point.squared == Approx(2 * s));
  }
}

TEST_CASE("equal, zero and opposite rows, and one row") {
  const std::array<double, 2> halves = {.5, .5};
  CHECK(shortest_in_hull(square<2>{{{1, 1}, {1, 1}}}).w == halves);
  CHECK(shortest_in_hull(square<2>{}).w == halves);
  CHECK(shortest_in_hull(square<2>{{{4, -2}, {-2, 1}}}).w[0] == Approx(1.0 / 3));
  CHECK(shortest_in_hull(square<1>{{{7}}}).squared == 7);
  const auto step = help_worst(square<1>{{{4}}}, {1}, 0.5, 3);
  CHECK(step.worst == Approx(1 + 3 * 2));
  CHECK(help_worst(square<2>{{{1, -1}, {-1, 1}}}, {1, -1}, 1, 0.5).worst == Approx(-0.5));
}

TEST_CASE("rows of which none can be helped: the nearest step that hurts none, however large the radius") {
  for (const double radius : {1.5, 3.0, 100.0}) {
    const auto two = help_worst(square<2>{{{1, -1}, {-1, 1}}}, {1, -1}, 1, radius);
    CHECK(two.converged);
    CHECK(two.worst == Approx(0).margin(1e-12));
    CHECK(two.z[0] == Approx(0).margin(1e-12));
    CHECK(two.z[1] == Approx(1).epsilon(1e-12));
    CHECK(two.gap == Approx(radius - 1).epsilon(1e-9));  // <z, b> = -1, |J^T z| = 1, of weights that sum to 1
    // Three rows of a plane, 120 degrees apart, and x along the first: only 0 hurts none.
    const auto three =
        help_worst(square<3>{{{1, -0.5, -0.5}, {-0.5, 1, -0.5}, {-0.5, -0.5, 1}}}, {1, -0.5, -0.5}, 1, radius);
    CHECK(three.converged);
    const double total = three.z[0] + three.z[1] + three.z[2];
    CHECK(three.gap == Approx((three.z[0] - 0.5 * three.z[1] - 0.5 * three.z[2] + radius) / total).epsilon(1e-9));
    CHECK(three.worst == Approx(0).margin(1e-12));
    CHECK(std::sqrt(form(square<3>{{{1, -0.5, -0.5}, {-0.5, 1, -0.5}, {-0.5, -0.5, 1}}}, three.z, three.z)) ==
          Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("rows of very different lengths, down to none: the shortest sets the scale") {
  for (const double s : {1.0, 1e-200, 1e200}) {
    const auto none = shortest_in_hull(square<3>{{{s, 0, 0}, {0, 0, 0}, {0, 0, 4 * s}}});
    CHECK(none.w[1] == Approx(1).epsilon(1e-12));
    CHECK(none.squared <= 1e-20 * s);
    CHECK(none.converged);
  }
  for_each_k([](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 30; ++seed) {
      const auto g = random_gram<K>(100, seed, 12);
      double shortest = g[0][0];
      for (std::size_t i = 1; i < K; ++i) shortest = (std::min)(shortest, g[i][i]);
      const auto point = shortest_in_hull(g);
      CHECK(point.converged);
      CHECK(point.squared <= shortest);
      CHECK(point.gap <= 1e-7 * shortest);
    }
  });
  // Equal weights stay where they solve: rows of a plane with nothing in common but their sum.
  const auto equal = shortest_in_hull(square<3>{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}});
  CHECK(equal.w == std::array<double, 3>{1.0 / 3, 1.0 / 3, 1.0 / 3});
  CHECK(equal.squared == Approx(1.0 / 3).epsilon(1e-14));
  CHECK(shortest_in_hull(square<2>{{{1, 0.25}, {0.25, 2}}}).w[1] == Approx(0.3).epsilon(1e-12));
}

TEST_CASE("the tolerance says which rows hold nothing in their hull") {
  const double c = -1 + 1e-8;  // the hull comes as near to 0 as 7e-5
  const square<2> near{{{1, c}, {c, 1}}};
  const std::array<double, 2> b{0, 0};
  CHECK(help_worst(near, b, 0, 1).worst == Approx(std::sqrt(0.5e-8)).epsilon(1e-3));
  CHECK(help_worst(near, b, 0, 1, 1e-6).worst == Approx(0).margin(1e-12));
  // It is a share of the longest row.
  const auto scaled = [&](double s) { return square<2>{{{s, c * s}, {c * s, s}}}; };
  CHECK(help_worst(scaled(1e-6), b, 0, 1).worst == Approx(std::sqrt(0.5e-14)).epsilon(1e-3));
  CHECK(help_worst(scaled(1e6), b, 0, 1, 1e-6).worst == Approx(0).margin(1e-9));
}
