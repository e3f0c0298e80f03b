// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/aligned.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("Aligned-MTL gives the reference vector (G2)", "", double, float, bfloat16) {
  using T = TestType;
  const auto a = narrowed<T>({-4, 1, 1}), b = narrowed<T>({6, 1, 1});
  std::vector<T> out(3);
  combine(aligned_mtl<2>{}, tasks(a, b), out);
  CHECK(printed<T>(out, {.213278746, .967332984, .967332984}));
  const auto w = aligned_mtl<2>{}.weights(gram(tasks(a, b)));
  CHECK(w[0] == Approx(.559071916).epsilon(1e-8));
  CHECK(w[1] == Approx(.408261068).epsilon(1e-8));
}

TEST_CASE("the balanced gradients B g are orthogonal and all of the chosen length") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    for (const auto scale : {aligned_scale::min, aligned_scale::median, aligned_scale::rmse}) {
      const auto g = family<double, K>(50, 3).gram();
      const auto eigen = linalg::decompose(g.value);
      double target = 0;
      if (scale == aligned_scale::min) target = eigen.values[K - 1];
      if (scale == aligned_scale::median) target = eigen.values[K / 2];
      for (std::size_t i = 0; scale == aligned_scale::rmse && i < K; ++i) target += g(i, i) / K;  // the trace
      std::array<std::array<double, K>, K> rows;
      for (std::size_t i = 0; i < K; ++i) {
        std::array<double, K> one{};
        one[i] = 1;
        rows[i] = aligned_mtl<K>{.scale = scale, .preference = one}.weights(g);
      }
      for (std::size_t i = 0; i < K; ++i)
        for (std::size_t j = 0; j < K; ++j) {
          double product = 0;
          for (std::size_t l = 0; l < K; ++l) product += rows[i][l] * g.dot(l, rows[j]);
          CHECK(product == Approx(i == j ? target : 0).margin(1e-9 * target));
        }
    }
  });
}

TEST_CASE("orthogonal gradients of one length are already aligned; directions without length are left out") {
  const gram_matrix<3> even{{{{4, 0, 0}, {0, 4, 0}, {0, 0, 4}}}};
  for (const double w : aligned_mtl<3>{}.weights(even)) CHECK(w == Approx(1.0 / 3));
  const gram_matrix<2> identical{{{{4, 4}, {4, 4}}}};
  CHECK(aligned_mtl<2>{}.weights(identical)[0] == Approx(.5));
  CHECK(aligned_mtl<2>{}.weights(gram_matrix<2>{}) == std::array<double, 2>{.5, .5});
  CHECK(aligned_mtl<1>{}.weights(gram_matrix<1>{{{{7}}}})[0] == Approx(1));
}

TEST_CASE("Aligned-MTL survives any Gram matrix") {
  for_each_k([](auto k) {
    for (const auto scale : {aligned_scale::min, aligned_scale::median, aligned_scale::rmse})
      check_robust<k()>(aligned_mtl<k()>{.scale = scale});
  });
  std::vector<double> x(1);
  CHECK_THROWS_AS(combine(aligned_mtl<2>{.preference = {-1, 1}}, tasks(x, x), x), std::invalid_argument);
}

TEST_CASE("each scale of a matrix without full rank is that of the directions with length; of none, the preference") {
  const std::array<double, 4> lengths = {16, 9, 4, 0}, preference = {1, 2, 3, 4};
  gram_matrix<4> g;
  for (std::size_t i = 0; i < 4; ++i) g.value[i][i] = lengths[i];
  for (const auto& [scale, target] : {std::pair(aligned_scale::min, 4.0), std::pair(aligned_scale::median, 9.0),
                                      std::pair(aligned_scale::rmse, 29.0 / 3)}) {
    const auto w = aligned_mtl<4>{.scale = scale, .preference = preference}.weights(g);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(w[i] == Approx(preference[i] * std::sqrt(target / lengths[i])).epsilon(1e-12));
    CHECK(w[3] == Approx(0).margin(1e-12));
    CHECK(aligned_mtl<4>{.scale = scale, .preference = preference}.weights(gram_matrix<4>{}) == preference);
  }
  const auto w = aligned_mtl<4>{.scale = aligned_scale::rmse}.weights(g);
  CHECK(w[0] == Approx(0.25 * std::sqrt(29.0 / 3 / 16)).epsilon(1e-12));
}
