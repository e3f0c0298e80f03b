// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/imtl.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("IMTL-G and ConFIG give the reference vectors (G2)", "", double, float, bfloat16) {
  using T = TestType;
  const auto a = narrowed<T>({-4, 1, 1}), b = narrowed<T>({6, 1, 1});
  std::vector<T> out(3);
  combine(imtl_g{}, tasks(a, b), out);
  CHECK(printed<T>(out, {.0766968306, 1, 1}));
  combine(conflict_free<2>{}, tasks(a, b), out);
  CHECK(printed<T>(out, {.158808976, 2.070606758, 2.070606758}));
  const auto w = imtl_g{}.weights(gram(tasks(a, b)));
  CHECK(w[0] == Approx(.592330317).epsilon(1e-8));
  CHECK(w[1] == Approx(.407669683).epsilon(1e-8));
}

TEST_CASE(
    "equal projections on the unit gradients; IMTL-G's weights sum to 1, ConFIG's length is the projections' sum") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
      const auto g = family<double, K>(40, seed, seed % 2).gram();
      const auto imtl = imtl_g{}.weights(g);
      const auto config = conflict_free<K>{}.weights(g);
      double sum = 0, projections = 0;
      const double length = std::sqrt(g.squared_norm(config));
      for (std::size_t i = 0; i < K; ++i) {
        sum += imtl[i];
        projections += g.dot(i, config) / length;
        CHECK(g.dot(i, imtl) / std::sqrt(g(i, i)) == Approx(g.dot(0, imtl) / std::sqrt(g(0, 0))).epsilon(1e-9));
        CHECK(g.dot(i, config) / std::sqrt(g(i, i)) == Approx(g.dot(0, config) / std::sqrt(g(0, 0))).epsilon(1e-9));
        CHECK(g.dot(i, config) > 0);
      }
      CHECK(sum == Approx(1).epsilon(1e-9));
      CHECK(length == Approx(projections).epsilon(1e-9));
    }
  });
}

TEST_CASE("ConFIG's cosines are in the proportions of the preference") {
  const auto g = family<double, 3>(30, 5, 1).gram();
  const auto w = conflict_free<3>{.preference = {1, 2, 0.5}}.weights(g);
  const auto cosine = [&](std::size_t i) { return g.dot(i, w) / std::sqrt(g(i, i)); };
  CHECK(cosine(1) == Approx(2 * cosine(0)).epsilon(1e-10));
  CHECK(cosine(2) == Approx(0.5 * cosine(0)).epsilon(1e-10));
}

TEST_CASE("a task may be in units of its own, where a pseudo-inverse of the Gram matrix goes blind") {
  const auto g = family<double, 3>(30, 7).gram();
  const std::array<double, 3> s = {1, 1e-9, 1e7};
  for (const bool config : {false, true}) {
    const auto plain = config ? conflict_free<3>{}.weights(g) : imtl_g{}.weights(g);
    const auto own = scaled_tasks(g, s);
    const auto w = config ? conflict_free<3>{}.weights(own) : imtl_g{}.weights(own);
    for (std::size_t i = 0; i < 3; ++i)  // the same direction
      CHECK(w[i] * s[i] / (w[0] * s[0]) == Approx(plain[i] / plain[0]).epsilon(1e-9));
  }
}

TEST_CASE("identical gradients share, zero ones stand aside, opposite ones have no common direction") {
  const gram_matrix<2> identical{{{{4, 4}, {4, 4}}}}, opposite{{{{1, -2}, {-2, 4}}}};
  CHECK(imtl_g{}.weights(identical)[0] == Approx(.5));
  CHECK(conflict_free<2>{}.weights(identical)[1] == Approx(1));
  CHECK(std::abs(imtl_g{}.weights(gram_matrix<2>{{{{1, -1}, {-1, 1}}}})[0]) < 1e-12);
  CHECK(conflict_free<2>{}.weights(opposite) == std::array<double, 2>{});
  const gram_matrix<2> aside{{{{9, 0}, {0, 0}}}};
  CHECK(imtl_g{}.weights(aside)[0] == Approx(1));
  CHECK(imtl_g{}.weights(aside)[1] == 0);
  CHECK(conflict_free<2>{}.weights(aside)[0] == Approx(1));
  const gram_matrix<2> behind{{{{0, 0}, {0, 9}}}};
  CHECK(imtl_g{}.weights(behind)[0] == 0);
  CHECK(imtl_g{}.weights(behind)[1] == Approx(1));
  CHECK(conflict_free<2>{}.weights(behind)[0] == 0);
  CHECK(conflict_free<2>{}.weights(behind)[1] == Approx(1));
  CHECK(imtl_g{}.weights(gram_matrix<4>{}) == std::array<double, 4>{.25, .25, .25, .25});
  CHECK(conflict_free<4>{.preference = {1, 2, 3, 4}}.weights(gram_matrix<4>{})[1] == .25);
  CHECK(imtl_g{}.weights(gram_matrix<1>{{{{4}}}})[0] == Approx(1));
}

TEST_CASE("two opposed pairs have no common direction either") {
  const double v[4][3] = {{.1, .7, .3}, {-.03, -.21, -.09}, {.5, -.2, .9}, {-.35, .14, -.63}};
  gram_matrix<4> g;
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t k = 0; k < 4; ++k)
      for (std::size_t j = 0; j < 3; ++j) g.value[i][k] += v[i][j] * v[k][j];
  CHECK(imtl_g{}.weights(g) == std::array<double, 4>{});
  CHECK(conflict_free<4>{}.weights(g) == std::array<double, 4>{});
}

TEST_CASE("IMTL-G and ConFIG survive any Gram matrix") {
  for_each_k([](auto k) {
    check_robust<k()>(imtl_g{});
    check_robust<k()>(conflict_free<k()>{});
  });
  std::vector<double> x(1);
  CHECK_THROWS_AS(combine(conflict_free<2>{.preference = {1, -1}}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(conflict_free<2>{.preference = {0, 0}}, tasks(x, x), x), std::invalid_argument);
}
