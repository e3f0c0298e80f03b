// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/hinge.hpp"

#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

TEMPLATE_TEST_CASE("the inverted hinge gives the reference vectors (G4)", "", double, float, bfloat16) {
  using T = TestType;
  std::vector<T> z;
  for (const double x : {2.0, 1.0, 0.0, -1.0, .5, .5, .5, 3.0}) z.push_back(to<T>(x));  // exact in every type
  const std::vector<std::int32_t> targets = {0, 2};
  const matrix_view<T> rows(z.data(), 2, 4);
  auto again = z;
  const matrix_view<T> first(again.data(), 1, 4), second(again.data() + 4, 1, 4);
  const double tolerance = std::is_same_v<T, double> ? 1e-11 : 1e-6;
  CHECK(inverted_hinge(rows, targets).mean() == Approx(.835246384200).epsilon(tolerance));
  CHECK(inverted_hinge(first, std::vector<std::int32_t>{0}).sum == Approx(1.407031441798).epsilon(tolerance));
  CHECK(inverted_hinge(second, std::vector<std::int32_t>{2}).sum == Approx(.263461326601).epsilon(tolerance));
}

TEMPLATE_TEST_CASE("the inverted hinge is the formula and lies in [0, 2]", "", double, float, bfloat16, float16) {
  using T = TestType;
  for (const index_t vocab : {1, 2, 33, 1100}) {
    auto z = random_logits<T>(5, vocab, 1);
    const auto before = widened(z);
    const auto last = static_cast<std::int32_t>(vocab) - 1;
    const std::vector<std::int32_t> targets = {0, last, ignored, last / 2, 0};
    const double temperature = 1.5;
    const std::vector<double> weights = {2, 0.5, 7, 0, -1};
    const auto total = inverted_hinge(matrix_view<T>(z.data(), 5, vocab), targets,
                                      {.scale = 3, .weights = weights, .temperature = temperature});
    double expected = 0;
    for (std::size_t t = 0; t < 5; ++t) {
      const auto begin = before.begin() + static_cast<index_t>(t) * vocab;
      const std::vector<double> row(begin, begin + vocab);
      std::vector<double> gradient(row.size(), 0.0);
      if (targets[t] >= 0) {
        const auto p = naive_softmax(row, temperature);
        std::size_t best = p.size();
        for (std::size_t v = 0; v < p.size(); ++v)
          if (v != static_cast<std::size_t>(targets[t]) && (best == p.size() || p[v] > p[best])) best = v;
        const double py = p[static_cast<std::size_t>(targets[t])], ps = best < p.size() ? p[best] : 0;
        const double hinge = 1 + py - ps;
        CHECK((0 <= hinge && hinge <= 2));
        expected += weights[t] * hinge;
        for (std::size_t v = 0; v < p.size(); ++v)
          gradient[v] = 3 * weights[t] / temperature *
                        (py * ((v == static_cast<std::size_t>(targets[t])) - p[v]) - ps * ((v == best) - p[v]));
      }
      for (std::size_t v = 0; v < row.size(); ++v)
        REQUIRE(from(z[t * row.size() + v]) == Approx(gradient[v]).epsilon(rounding<T>).margin(4 * rounding<T>));
    }
    CHECK(total.sum == Approx(expected).epsilon(std::is_same_v<T, double> ? 1e-12 : 1e-5));
    CHECK(total.count == 4);
  }
}

TEST_CASE("the inverted hinge passes the gradient check") {
  auto z = random_logits<double>(3, 30, 2);
  const auto before = z;
  const std::vector<std::int32_t> targets = {29, 4, 0};
  inverted_hinge(matrix_view<double>(z.data(), 3, 30), targets);
  CHECK(gradient_error(before, z, [&](std::vector<double> x) {
          return inverted_hinge(matrix_view<double>(x.data(), 3, 30), targets).sum;
        }) < 1e-8);
}

TEST_CASE("logits between 0 and 1 are logits; a decided row has no gradient") {
  std::vector<double> z = {0.9, 0.1, 0.5};
  const auto p = naive_softmax(z);
  CHECK(inverted_hinge(matrix_view<double>(z.data(), 1, 3), std::vector<std::int32_t>{1}).sum ==
        Approx(1 + p[1] - p[0]).epsilon(1e-14));
  std::vector<double> decided = {-1000, 1000, 0};
  CHECK(inverted_hinge(matrix_view<double>(decided.data(), 1, 3), std::vector<std::int32_t>{0}).sum == 0);
  CHECK(decided == std::vector<double>{0, 0, 0});
}

TEST_CASE("the runner-up is the first of the largest others") {
  const std::vector<float> z = {1, 5, 5, 2};
  CHECK(runner_up(z, 1) == 2);
  CHECK(runner_up(z, 2) == 1);
  CHECK(runner_up(z, 0) == 1);
  CHECK(runner_up(std::vector<float>{3}, 0) == -1);
}

TEMPLATE_TEST_CASE("the hinge of masked rows, of a masked label, of one id that is left, and of none", "", double,
                   float, bfloat16, float16) {
  using T = TestType;
  auto z = random_logits<T>(1, 2048, 3);
  std::fill_n(z.begin(), 1024, to<T>(-INFINITY));
  const auto run = [](std::vector<T> x, std::int64_t label) {
    const std::vector<std::int64_t> target = {label};
    const auto sum = inverted_hinge(matrix_view<T>(x.data(), 1, std::ssize(x)), target, {.temperature = 0.6});
    return std::pair(sum, x);
  };
  const auto p = naive_softmax(widened(z), 0.6);
  const auto second = static_cast<std::size_t>(runner_up(z, 1500));
  const auto [sum, g] = run(z, 1500);
  CHECK(sum.sum == Approx(1 + p[1500] - p[second]).epsilon(1e-5));
  CHECK(sum.nonfinite == 0);
  for (std::size_t v = 0; v < 1024; ++v) REQUIRE(from(g[v]) == 0);
  const auto [of_masked, h] = run(z, 3);
  CHECK(of_masked.sum == Approx(1 - *std::max_element(p.begin(), p.end())).epsilon(1e-5));
  for (const T x : h) REQUIRE(std::isfinite(from(x)));
  std::vector<T> one(2048, to<T>(-INFINITY));
  one[2000] = to<T>(-3);
  CHECK(run(one, 2000).first.sum == 2);
  CHECK(run(one, 0).first.sum == 0);
  for (const T x : run(one, 2000).second) REQUIRE(from(x) == 0);
  const auto [none, zeros] = run(std::vector<T>(2048, to<T>(-INFINITY)), 5);
  CHECK(none.nonfinite == 1);
  for (const T x : zeros) REQUIRE(from(x) == 0);
}

TEST_CASE("the hinge of no rows is nothing") {
  const auto nothing = inverted_hinge(matrix_view<float>(nullptr, 0, 7), {});
  CHECK(nothing.count == 0);
  CHECK(nothing.sum == 0);
}

TEST_CASE("the hinge refuses labels, weights and temperatures that do not fit, and writes nothing") {
  std::vector<float> z = {1, 2, 3, 4, 5, 6};
  const auto before = z;
  const matrix_view<float> rows(z.data(), 2, 3);
  const std::vector<std::int32_t> y = {0, 2}, beyond = {0, 3}, one = {0};
  const std::vector<double> three(3);
  const std::string name = "hone::loss::inverted_hinge: ";
  CHECK_THROWS_WITH(inverted_hinge(rows, one), name + "targets: has 1 labels, logits has 2 rows");
  CHECK_THROWS_WITH(inverted_hinge(rows, beyond), Catch::Contains("label 3 of row 1"));
  CHECK_THROWS_WITH(inverted_hinge(rows, y, {.weights = three}), Catch::StartsWith(name + "weights"));
  CHECK_THROWS_WITH(inverted_hinge(rows, y, {.temperature = 0}), Catch::StartsWith(name + "temperature"));
  CHECK(z == before);
}
