// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/mgda.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {
const std::vector<double> first = {-4, 1, 1}, second = {6, 1, 1};

template <std::size_t K>
double objective(const gram_matrix<K>& g, const std::array<double, K>& w, double c) {
  double squared = 0, with_mean = 0, mean = 0;
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = 0; j < K; ++j) {
      squared += w[i] * g(i, j) * w[j];
      with_mean += w[i] * g(i, j) / K;
      mean += g(i, j) / (K * K);
    }
  return c < 0 ? squared : with_mean + c * std::sqrt(mean) * std::sqrt(squared);
}
}  // namespace

TEMPLATE_TEST_CASE("MGDA and CAGrad give the reference vectors (G2)", "", double, float) {
  using T = TestType;
  const auto a = narrowed<T>(first), b = narrowed<T>(second);
  std::vector<T> out(3);
  combine(mgda{}, tasks(a, b), out);
  CHECK(near<T>(out, {0, 1, 1}));
  combine(cagrad{.c = 0.5}, tasks(a, b), out);
  for (std::size_t i = 0; i < 3; ++i)  // the reference adds 1e-8 to a norm
    CHECK(static_cast<double>(out[i]) ==
          Approx(std::vector{.183503423, 1.20412415, 1.20412415}[i]).margin(std::is_same_v<T, double> ? 1e-8 : 1e-6));
}

TEST_CASE("MGDA is the min-norm point: its product with every gradient is at least its squared norm") {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    const auto a = normals<double>(6, 4 * seed), b = normals<double>(6, 4 * seed + 1),
               c = normals<double>(6, 4 * seed + 2), d = normals<double>(6, 4 * seed + 3);
    std::vector<double> out(6);
    const auto report = combine(mgda{}, tasks(a, b, c, d), out, {.geometry = true});
    for (std::size_t i = 0; i < 4; ++i) CHECK(report.combined_dot[i] >= report.combined_squared - 1e-8);
  }
}

TEST_CASE("CAGrad's weights minimise its objective over a grid of the simplex") {
  for (const double c : {0.1, 0.4, 0.9}) {
    const auto a = normals<double>(3, 1), b = normals<double>(3, 2), d = normals<double>(3, 3);
    gram_matrix<3> g = gram(tasks(a, b, d));
    const auto out = cagrad{.c = c}.weights(g);
    double total = 0;
    std::array<double, 3> w;
    for (std::size_t i = 0; i < 3; ++i) total += w[i] = out[i] - 1.0 / 3;
    for (double& x : w) x /= total;
    const double found = objective(g, w, c);
    for (int i = 0; i <= 50; ++i)
      for (int j = 0; i + j <= 50; ++j)
        REQUIRE(found <= objective(g, {i / 50.0, j / 50.0, (50 - i - j) / 50.0}, c) + 1e-9);
  }
}

TEST_CASE("scale does not matter") {
  for (const double s : {1e-20, 1e-5, 1e12}) {
    gram_matrix<2> g{{{{18 * s, -22 * s}, {-22 * s, 38 * s}}}};
    CHECK(mgda{}.weights(g)[0] == Approx(.6).epsilon(1e-10));
    CHECK(cagrad{}.weights(g)[0] == Approx(.704124149).epsilon(1e-8));
  }
}

TEST_CASE("zero, identical, opposite and non-finite gradients are no failure") {
  const std::array<double, 2> equal = {.5, .5};
  CHECK(mgda{}.weights(gram_matrix<2>{}) == equal);
  CHECK(cagrad{}.weights(gram_matrix<2>{}) == equal);
  CHECK(mgda{}.weights(gram_matrix<2>{{{{1, 1}, {1, 1}}}}) == equal);
  CHECK(mgda{}.weights(gram_matrix<2>{{{{1, -1}, {-1, 1}}}}) == equal);
  CHECK(cagrad{}.weights(gram_matrix<2>{{{{1, -1}, {-1, 1}}}}) == equal);
  CHECK(mgda{}.weights(gram_matrix<2>{{{{std::nan(""), 1}, {1, 1}}}}) == equal);
  CHECK(cagrad{}.weights(gram_matrix<2>{{{{1, 1}, {1, std::numeric_limits<double>::infinity()}}}}) == equal);
  CHECK(mgda{}.weights(gram_matrix<1>{{{{4}}}}) == std::array<double, 1>{1});
  CHECK(mgda{}.weights(gram_matrix<2>{{{{0, 0}, {0, 1}}}})[0] == Approx(1));
}

TEST_CASE("CAGrad helps the worst task as much as any direction near the mean, and with opposed gradients hurts none") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
      const auto g = family<double, K>(seed % 2 == 0 ? 3 : 60, seed, 1).gram();
      const auto mean = gradient::detail::filled<K>(1.0 / K), w = cagrad{.c = 0.5}.weights(g);
      std::array<double, K> moved;
      double worst = 1e300, mean_worst = 1e300, longest = 0;
      for (std::size_t i = 0; i < K; ++i) {
        moved[i] = w[i] - mean[i];
        worst = (std::min)(worst, g.dot(i, w));
        mean_worst = (std::min)(mean_worst, g.dot(i, mean));
        longest = (std::max)(longest, g(i, i));
      }
      CHECK(g.squared_norm(moved) <= 0.25 * g.squared_norm(mean) * (1 + 1e-9));
      CHECK(worst >= mean_worst - 1e-9 * longest);
    }
    check_robust<K>(mgda{});
    check_robust<K>(cagrad{});
  });
}

TEST_CASE("c lies in [0, 1); at 0 CAGrad is the mean") {
  std::vector<double> x(1);
  CHECK_THROWS_AS(combine(cagrad{.c = 1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(cagrad{.c = -.1}, tasks(x, x), x), std::invalid_argument);
  for (const double c : {1.0, -1e-9, double(NAN)})
    CHECK_THROWS_WITH(cagrad{.c = c}.check(), Catch::StartsWith("hone::gradient::cagrad: c: must be in [0, 1)"));
  CHECK_NOTHROW(cagrad{.c = 0}.check());
  CHECK_NOTHROW(cagrad{.c = 0.999999}.check());
  const auto mean = cagrad{.c = 0}.weights(gram_matrix<2>{{{{18, -22}, {-22, 38}}}});
  CHECK(mean == std::array<double, 2>{.5, .5});
}
