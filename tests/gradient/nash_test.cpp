// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/nash.hpp"

#include "hone/gradient/clip.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("Nash-MTL gives the reference vectors (G2), and with clipping those of TorchJD's documentation", "",
                   double, float, bfloat16) {
  using T = TestType;
  const auto a = narrowed<T>({-4, 1, 1}), b = narrowed<T>({6, 1, 1});
  std::vector<T> out(3);
  combine(nash_mtl{}, tasks(a, b), out);
  CHECK(printed<T>(out, {.0765842884, .998532635, .998532635}));
  combine(clipped<nash_mtl>{.method = {}, .max_norm = 1}, tasks(a, b), out);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(static_cast<double>(to_accumulator(out[i])) ==
          Approx(std::array{.0542, .7061, .7061}[i]).margin(std::is_same_v<T, bfloat16> ? .005 : 5e-5));
}

TEST_CASE(
    "the fixed point G w = 1 / w; the length is the root of the number of tasks; a task's scale does not matter") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
      const auto g = family<double, K>(40, seed, seed % 3).gram();
      const auto w = nash_mtl{}.weights(g);
      for (std::size_t i = 0; i < K; ++i) CHECK(g.dot(i, w) == Approx(1 / w[i]).epsilon(1e-9));
      CHECK(g.squared_norm(w) == Approx(K).epsilon(1e-9));
      std::array<double, K> s;
      for (std::size_t i = 0; i < K; ++i) s[i] = std::pow(10.0, static_cast<double>(i % 5) * 4 - 8);
      const auto own = nash_mtl{}.weights(scaled_tasks(g, s));
      for (std::size_t i = 0; i < K; ++i) CHECK(own[i] * s[i] == Approx(w[i]).epsilon(1e-8));
    }
  });
}

TEST_CASE("zero gradients stand aside, a stationary point is no bargain, large losses are no trouble") {
  CHECK(nash_mtl{}.weights(gram_matrix<2>{{{{4, 0}, {0, 0}}}})[0] == Approx(.5));
  CHECK(nash_mtl{}.weights(gram_matrix<2>{{{{4, 0}, {0, 0}}}})[1] == 0);
  CHECK(nash_mtl{}.weights(gram_matrix<2>{{{{1, -1}, {-1, 1}}}}) == std::array<double, 2>{});
  CHECK(nash_mtl{}.weights(gram_matrix<2>{}) == std::array<double, 2>{.5, .5});
  const auto large = nash_mtl{}.weights(gram_matrix<2>{{{{18e12, -22e12}, {-22e12, 38e12}}}});
  CHECK(large[0] == Approx(.591461152e-6).epsilon(1e-8));
  for_each_k([](auto k) { check_robust<k()>(nash_mtl{}); });
}
