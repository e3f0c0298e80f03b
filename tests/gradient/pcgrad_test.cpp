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
        for (std::size_t i = 0; i < f.size(); ++i)
          f[i] = ratio * (rho * r[i] + std::sqrt(1 - rho * rho) * f[i]);
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

TEMPLATE_TEST_CASE("scale does not matter (P5), where the authors' epsilon leaves the conflict in place", "", float, double) {
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

TEST_CASE("a NaN switches the projection off and passes through, counted") {
  const std::vector<double> f = {std::nan(""), -1}, r = {1, 1};
  std::vector<double> out(2);
  const auto report = combine(pcgrad{}, tasks(f, r), out);
  CHECK(std::isnan(out[0]));
  CHECK(out[1] == 0);
  CHECK(report.nonfinite == std::array<index_t, 2>{1, 0});
}

TEST_CASE("hyper-parameters are finite and not negative") {
  std::vector<double> x(1);
  CHECK_THROWS_AS(combine(pcgrad{.retain = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(blur{.forget = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(a_gem{.epsilon = -1}, tasks(x, x), x), std::invalid_argument);
}
