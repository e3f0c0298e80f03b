// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/pcgrad.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("PCGrad and BLUR give the reference vectors (G1)", "", double, float, bfloat16) {
  using T = TestType;
  for (const g1_row& row : g1) {
    CHECK(near<T>(combined<T>(pcgrad{row.alpha, row.gamma, 1e-10}, row), row.pcgrad));
    CHECK(near<T>(combined<T>(blur{row.alpha, row.gamma, 1e-10}, row), row.blur));
  }
}

TEST_CASE("cosines of the reference vectors, among them those where PCGrad is closer to r than SAGO") {
  for (const g1_row& row : g1) {
    std::vector<double> out(row.f.size());
    const auto p = combine(pcgrad{row.alpha, row.gamma}, tasks(row.f, row.r), out, {.geometry = true});
    const auto s = combine(sago{row.alpha, row.gamma}, tasks(row.f, row.r), out, {.geometry = true});
    CHECK(p.combined_cosine(1) == Approx(row.pcgrad_cosine).margin(1e-9));
    CHECK(s.combined_cosine(1) == Approx(row.sago_cosine).margin(1e-9));
  }
  // "SAGO is always tighter" is false: without conflict (T5) and with one (T6) PCGrad is closer.
  CHECK(g1[3].pcgrad_cosine > g1[3].sago_cosine);
  CHECK(g1[4].pcgrad_cosine > g1[4].sago_cosine);
}

TEST_CASE("A-GEM gives the reference vector (G2)") {
  std::vector<double> out(3);
  combine(a_gem{}, tasks(g1[0].f, g1[0].r), out);
  CHECK(near<double>(out, {1.1666666666666667, -1.9166666666666667, .4166666666666667}));
}

TEST_CASE("SAGO against PCGrad for random gradients: tighter from equal norms on, looser for small forget gradients") {
  for (const double rho : {-0.5, -0.2, 0.0}) {
    for (const double ratio : {0.3, 1.0, 3.0}) {
      for (std::uint32_t draw = 0; draw < 50; ++draw) {
        const auto r = normals<double>(1000, 1000 + draw);
        auto f = normals<double>(1000, 2000 + draw);
        for (std::size_t i = 0; i < f.size(); ++i) f[i] = ratio * (rho * r[i] + std::sqrt(1 - rho * rho) * f[i]);
        std::vector<double> out(f.size());
        const double s = combine(sago{}, tasks(f, r), out, {.geometry = true}).combined_cosine(1);
        const double p = combine(pcgrad{}, tasks(f, r), out, {.geometry = true}).combined_cosine(1);
        if (ratio >= 1) CHECK(s > p);
        if (ratio == 0.3) CHECK(s < p);
      }
    }
  }
}

TEST_CASE("PCGrad never opposes the retain gradient of a group, and its cosine has a closed form (P1)") {
  const std::vector<index_t> groups = {0, 100, 100, 4500, 9001};
  const double alpha = 0.5, gamma = 2;
  for (std::uint32_t seed = 0; seed < 10; ++seed) {
    const auto f = normals<double>(9001, 2 * seed), r = normals<double>(9001, 2 * seed + 1);
    std::vector<double> out(f.size());
    combine(pcgrad{alpha, gamma}, tasks(f, r), out, {.groups = groups});
    for (std::size_t i = 0; i + 1 < groups.size(); ++i) {
      const auto part = [&](const std::vector<double>& x) {
        return as_vector(x).subvector(groups[i], groups[i + 1] - groups[i]);
      };
      const double rr = squared_norm(part(r)), fr = dot(part(f), part(r)), gr = dot(part(out), part(r));
      CHECK(gr >= -1e-9 * rr);
      if (fr < 0) {
        CHECK(gr == Approx(alpha * rr).epsilon(1e-10));
        const double projected = squared_norm(part(f)) - fr * fr / rr;
        CHECK(gr / std::sqrt(rr * squared_norm(part(out))) ==
              Approx(alpha * std::sqrt(rr) / std::sqrt(alpha * alpha * rr + gamma * gamma * projected)).epsilon(1e-10));
      }
    }
  }
}

TEST_CASE("global PCGrad guarantees the whole, not each tensor") {
  const std::vector<double> f = {-1, 10}, r = {1, 1};
  std::vector<double> out(2);
  combine(pcgrad{}, tasks(f, r), out);
  CHECK(out[0] * r[0] + out[1] * r[1] > 0);
  const std::vector<double> f2 = {-4, 1}, r2 = {1, 1};
  combine(pcgrad{}, tasks(f2, r2), out);
  CHECK(out[0] * r2[0] < 0);
  const std::vector<index_t> groups = {0, 1, 2};
  combine(pcgrad{}, tasks(f2, r2), out, {.groups = groups});
  CHECK(out[0] * r2[0] >= 0);
  CHECK(out[1] * r2[1] >= 0);
}

TEMPLATE_TEST_CASE("scale does not matter (P5), where the authors' epsilon leaves the conflict in place", "", float,
                   double) {
  using T = TestType;
  for (const double s : {1.0, 1e-3, 1e-6, 1e-20, 1e15}) {
    const auto f = narrowed<T>({1 * s, -2 * s, .5 * s}), r = narrowed<T>({2 * s, 1 * s, -1 * s});
    std::vector<T> out(3);
    const auto exact = combine(pcgrad{.retain = 0}, tasks(f, r), out, {.geometry = true});
    CHECK(exact.combined_cosine(1) == Approx(0).margin(1e-6));
  }
  const auto f = narrowed<T>({1e-6, -2e-6, .5e-6}), r = narrowed<T>({2e-6, 1e-6, -1e-6});
  std::vector<T> out(3);
  const auto official = combine(pcgrad{.retain = 0, .epsilon = 1e-10}, tasks(f, r), out, {.geometry = true});
  CHECK(official.combined_cosine(1) == Approx(-0.0841).margin(1e-4));
}

TEST_CASE("PCGrad of a gradient with its opposite, of orthogonal and of zero gradients") {
  const std::vector<double> f = {1, 2}, g = {-1, -2}, h = {2, -1}, zero = {0, 0};
  std::vector<double> out(2);
  combine(pcgrad{.retain = 0.5, .forget = 3}, tasks(g, f), out);
  CHECK(near<double>(out, {0.5, 1}));
  combine(pcgrad{}, tasks(f, h), out);
  CHECK(out == std::vector<double>{3, 1});
  combine(pcgrad{.forget = 3}, tasks(f, zero), out);
  CHECK(out == std::vector<double>{3, 6});
  combine(pcgrad{.retain = 3}, tasks(zero, f), out);
  CHECK(out == std::vector<double>{3, 6});
  const std::vector<double> tiny = {1e-200, 1e-200};
  combine(pcgrad{}, tasks(g, tiny), out);
  CHECK(out == g);
}

TEST_CASE("the gradient of a memorised batch, of no normal length: the projection is left out") {
  const float p = std::exp(-92.1f);
  const std::vector<float> forget = {.5f, -.5f}, retain = {(1 - p) - 1, p};
  std::vector<float> out(2);
  const auto report = combine(pcgrad{}, tasks(forget, retain), out);
  CHECK(out == std::vector<float>{.5f + retain[0], -.5f + retain[1]});
  CHECK(report.nonfinite_combined == 0);
}

TEST_CASE("a retain gradient whose squared length is no normal number is left out") {
  CHECK(pcgrad{}.weights(gram_matrix<2>{{{{1, -1e-160}, {-1e-160, 1e-310}}}}) == std::array<double, 2>{1, 1});
  CHECK(pcgrad{}.weights(gram_matrix<2>{{{{1, -1e-150}, {-1e-150, 1e-290}}}})[1] > 1e100);
}

TEST_CASE("a NaN switches the projection off and passes through, counted") {
  const std::vector<double> f = {std::nan(""), -1}, r = {1, 1};
  std::vector<double> out(2);
  const auto report = combine(pcgrad{}, tasks(f, r), out);
  CHECK(std::isnan(out[0]));
  CHECK(out[1] == 0);
  CHECK(report.nonfinite == std::array<index_t, 2>{1, 0});
}

TEMPLATE_TEST_CASE("symmetric PCGrad gives the reference vector (G2)", "", double, float, bfloat16) {
  using T = TestType;
  const auto a = narrowed<T>({-4, 1, 1}), b = narrowed<T>({6, 1, 1});
  std::vector<T> out(3);
  for (const bool random : {false, true}) {
    combine(pcgrad_symmetric{.order = {.random = random}}, tasks(a, b), out);
    CHECK(printed<T>(out, {.584795322, 3.801169591, 3.801169591}));
  }
}

TEST_CASE("symmetric PCGrad against the algorithm on the vectors, in fixed and in random order") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
      const family<double, K> f(30, seed, 1);
      const task_order order{.random = seed % 2 == 1, .seed = 11, .step = seed};
      std::vector<double> expected(30);
      for (std::size_t i = 0; i < K; ++i) {
        auto p = f.g[i];
        for (const std::size_t j : order.of<K>(i)) {
          const double dot = hone::dot(p, f.g[j]);
          if (j == i || dot >= 0) continue;
          hone::axpy(-dot / hone::squared_norm(f.g[j]), f.g[j], p);
        }
        for (std::size_t e = 0; e < 30; ++e) expected[e] += p[e];
      }
      CHECK(near<double>(f.weighted(pcgrad_symmetric{.order = order}.weights(f.gram())), expected));
    }
  });
}

TEST_CASE("a task order: 0, 1, 2 … or a permutation addressed by seed, step and task, each as likely as another") {
  CHECK(task_order{}.of<4>(2) == std::array<std::size_t, 4>{0, 1, 2, 3});
  const task_order random{.random = true, .seed = 3, .step = 5};
  CHECK(random.of<8>(1) == random.of<8>(1));
  CHECK(random.of<8>(1) != random.of<8>(2));
  CHECK(random.of<8>(1) != task_order{.random = true, .seed = 3, .step = 6}.of<8>(1));
  CHECK(random.of<8>(1) != task_order{.random = true, .seed = 4, .step = 5}.of<8>(1));
  std::array<int, 27> seen{};
  for (std::uint64_t step = 0; step < 6000; ++step) {
    const auto p = task_order{.random = true, .seed = 1, .step = step}.of<3>(0);
    ++seen[9 * p[0] + 3 * p[1] + p[2]];
  }
  for (const std::size_t permutation : {5u, 7u, 11u, 15u, 19u, 21u}) {  // 012 021 102 120 201 210
    CHECK(seen[permutation] > 850);
    CHECK(seen[permutation] < 1150);
  }
}

TEST_CASE("symmetric PCGrad survives any Gram matrix; without conflict it is the sum") {
  for_each_k([](auto k) {
    check_robust<k()>(pcgrad_symmetric{}, true);
    check_robust<k()>(pcgrad_symmetric{.order = {.random = true}}, true);
    auto agreed = family<double, k()>(9, 1, 1).gram();
    for (auto& row : agreed.value)
      for (double& x : row) x = std::abs(x);
    CHECK(pcgrad_symmetric{}.weights(agreed) == gradient::detail::filled<k()>(1));
  });
}

TEST_CASE("hyper-parameters are finite and not negative") {
  std::vector<double> x(1);
  CHECK_THROWS_AS(combine(pcgrad_symmetric{.epsilon = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(pcgrad{.retain = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(blur{.forget = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(a_gem{.epsilon = -1}, tasks(x, x), x), std::invalid_argument);
}

TEST_CASE("epsilon is added to the squared length that is divided by, in every relative") {
  const gram_matrix<2> g{{{{4, -3}, {-3, 9}}}};
  const auto close = [](const std::array<double, 2>& w, double x, double y) {
    CHECK(w[0] == Approx(x).epsilon(1e-14));
    CHECK(w[1] == Approx(y).epsilon(1e-14));
  };
  close(pcgrad{.retain = .5, .forget = 2, .epsilon = 1}.weights(g), 2, .5 + 2 * .3);
  close(pcgrad{.epsilon = 3}.weights(g), 1, 1.25);
  close(a_gem{.epsilon = 1}.weights(g), 1, .3);
  close(a_gem{.epsilon = 3}.weights(g), 1, .25);
  close(blur{.retain = .5, .forget = 2, .epsilon = 1}.weights(g), 2 + .5 * .6, .5);
  close(blur{.epsilon = 2}.weights(g), 1.5, 1);
  close(pcgrad_symmetric{.epsilon = 1}.weights(g), 1 + .6, 1 + .3);
  const gram_matrix<2> agreed{{{{4, 3}, {3, 9}}}};  // BLUR takes out what agrees, too
  close(blur{.epsilon = 1}.weights(agreed), 1 - .6, 1);
  close(pcgrad{.retain = .5, .forget = 2, .epsilon = 1}.weights(agreed), 2, .5);
}
