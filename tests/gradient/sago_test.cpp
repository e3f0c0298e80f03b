// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/sago.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("SAGO and its relatives give the reference vectors (G1)", "", double, float, bfloat16) {
  using T = TestType;
  for (const g1_row& row : g1) {
    CHECK(near<T>(combined<T>(sago{row.alpha, row.gamma}, row), row.sago));
    CHECK(near<T>(combined<T>(sago_prefer_retain{row.alpha, row.gamma}, row), row.prefer_retain));
    std::vector<double> plain;
    for (std::size_t i = 0; i < row.f.size(); ++i) plain.push_back(row.gamma * row.f[i] + row.alpha * row.r[i]);
    CHECK(near<T>(combined<T>(gradient::sum{row.alpha, row.gamma}, row), plain));
  }
}

TEST_CASE("signs decide, not the product, which may underflow") {
  const std::vector<float> f = {-1e-30f, 1e-30f, -1e-45f}, r = {1e-30f, 1e-30f, 1e-45f};
  std::vector<float> out(3);
  const auto report = combine(sago{}, tasks(f, r), out, {.geometry = true});
  CHECK(out == std::vector<float>{1e-30f, 1e-30f, 1e-45f});
  CHECK(report.conflicts == 2);
}

TEST_CASE("zeros agree; a policy keeps the retain gradient where the forget gradient is zero") {
  const std::vector<double> f = {0, -0.0, 3, -2, 0}, r = {5, -5, 0, -0.0, 0};
  std::vector<double> out(5);
  combine(sago{.retain = 2, .forget = 3}, tasks(f, r), out);
  CHECK(out == std::vector<double>{0, 0, 9, -6, 0});
  combine(sago{.retain = 2, .forget = 3, .where_forget_is_zero = zero_forget::keep_retain}, tasks(f, r), out);
  CHECK(out == std::vector<double>{10, -10, 9, -6, 0});
}

TEST_CASE("non-finite numbers: infinities have a sign, a NaN in r is hidden and one in f is not; all are counted") {
  constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> f = {-inf, 1, 4, nan}, r = {2, -inf, nan, -1};
  std::vector<double> out(4);
  const auto report = combine(sago{}, tasks(f, r), out);
  CHECK(out[0] == 2);
  CHECK(out[1] == -inf);
  CHECK(out[2] == 4);
  CHECK(std::isnan(out[3]));
  CHECK(report.nonfinite == std::array<index_t, 2>{2, 2});
}

TEST_CASE("SAGO of a gradient with itself, with its opposite, and of zero gradients") {
  const auto f = normals<double>(5000, 0);
  std::vector<double> opposite, out(f.size());
  for (const double x : f) opposite.push_back(-x);
  combine(sago{.retain = 0.25, .forget = 2}, tasks(f, f), out);
  for (std::size_t i = 0; i < f.size(); ++i) REQUIRE(out[i] == 2 * f[i]);
  combine(sago{.retain = 0.25, .forget = 2}, tasks(opposite, f), out);
  for (std::size_t i = 0; i < f.size(); ++i) REQUIRE(out[i] == 0.25 * f[i]);
  const auto zero = zero_gradient<double>(5000);
  combine(sago{}, tasks(f, zero), out);
  CHECK(out == f);
  combine(sago{}, tasks(zero, f), out);
  CHECK(hone::squared_norm(out) == 0);
}

TEST_CASE("no element of SAGO's result opposes the retain gradient, and the cosine has its closed form (P2, P3)") {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const auto f = normals<double>(999, 2 * seed), r = normals<double>(999, 2 * seed + 1);
    std::vector<double> out(f.size());
    const double alpha = 0.7, gamma = 1.3;
    const auto report = combine(sago{alpha, gamma}, tasks(f, r), out, {.geometry = true});
    double rc = 0, xs = 0, fs = 0, rr = 0;
    for (std::size_t i = 0; i < f.size(); ++i) {
      REQUIRE(out[i] * r[i] >= 0);
      rr += r[i] * r[i];
      if (f[i] * r[i] < 0)
        rc += r[i] * r[i];
      else
        xs += f[i] * r[i], fs += f[i] * f[i];
    }
    const double expected = (alpha * rc + gamma * xs) / std::sqrt(rr * (alpha * alpha * rc + gamma * gamma * fs));
    CHECK(report.combined_cosine(1) == Approx(expected).epsilon(1e-12));
    CHECK(report.opposed[1] == 0);
  }
}

TEST_CASE("SAGO commutes with any partition of the parameters (P6)") {
  const auto f = normals<float>(20000, 4), r = normals<float>(20000, 5);
  std::vector<float> whole(f.size()), parts(f.size());
  combine(sago{}, tasks(f, r), whole);
  const auto g = tasks(f, r);
  for (index_t begin = 0; begin < 20000; begin += 777) {
    const index_t count = (min)(index_t{777}, 20000 - begin);
    combine(sago{}, g.slice(begin, count), as_vector(parts).subvector(begin, count));
  }
  CHECK(whole == parts);
}

TEST_CASE("weights are finite and not negative") {
  std::vector<double> x(3), out(3, 7.0);
  for (const double bad : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    CHECK_THROWS_AS(combine(sago{.retain = bad}, tasks(x, x), out), std::invalid_argument);
    CHECK_THROWS_AS(combine(sago_prefer_retain{.forget = bad}, tasks(x, x), out), std::invalid_argument);
    CHECK_THROWS_AS(combine(gradient::sum{.forget = bad}, tasks(x, x), out), std::invalid_argument);
  }
  CHECK(out == std::vector<double>(3, 7.0));
}

TEMPLATE_TEST_CASE("soft-gated SAGO against its formula; sharp it is SAGO, flat half of the sum", "", double, float) {
  using T = TestType;
  const auto f = normals<T>(5000, 1), r = normals<T>(5000, 2);
  std::vector<T> out(f.size()), hard(f.size());
  std::vector<double> expected, half;
  for (std::size_t i = 0; i < f.size(); ++i) {
    const double x = static_cast<double>(f[i]), y = static_cast<double>(r[i]);
    const double gate = 1 / (1 + std::exp(3 * 2 * x * y / (x * x + y * y)));
    expected.push_back(gate * 0.5 * y + (1 - gate) * 2 * x);
    half.push_back((x + y) / 2);
  }
  combine(sago_soft{.retain = 0.5, .forget = 2, .sharpness = 3}, tasks(f, r), out);
  CHECK(near<T>(out, expected));
  combine(sago_soft{.sharpness = 0}, tasks(f, r), out);
  CHECK(near<T>(out, half));
  combine(sago{}, tasks(f, r), hard);
  combine(sago_soft{.sharpness = 1e6}, tasks(f, r), out);
  std::size_t same = 0;
  for (std::size_t i = 0; i < f.size(); ++i) same += std::abs(out[i] - hard[i]) <= T(1e-6) ? 1u : 0u;
  CHECK(same >= 4995);
}

TEST_CASE("soft-gated SAGO does not depend on the scale of the pair, and zeros, infinities and NaNs pass through") {
  const std::vector<float> f = {1, -3, 0, 2, 0}, r = {-2, 1, 4, 0, 0};
  std::vector<float> out(5), small(5);
  combine(sago_soft{}, tasks(f, r), out);
  CHECK(out[2] == 2);
  CHECK(out[3] == 1);
  CHECK(out[4] == 0);
  std::vector<float> tiny_f, tiny_r;
  for (std::size_t i = 0; i < 5; ++i) tiny_f.push_back(std::ldexp(f[i], -90)), tiny_r.push_back(std::ldexp(r[i], -90));
  combine(sago_soft{}, tasks(tiny_f, tiny_r), small);
  for (std::size_t i = 0; i < 5; ++i) CHECK(small[i] == std::ldexp(out[i], -90));
  const std::vector<float> bad = {std::numeric_limits<float>::quiet_NaN(), 1, 1, 1, 1};
  const auto report = combine(sago_soft{}, tasks(bad, r), out);
  CHECK(std::isnan(out[0]));
  CHECK(report.nonfinite[0] == 1);
}

TEST_CASE("noise-aware SAGO disbelieves small disagreements; at threshold 0 it is SAGO, underflow included") {
  const std::vector<float> f = {-1, -0.1f, 1e-30f, 3, -2}, r = {0.5f, 0.5f, -1e-30f, 2, 0};
  std::vector<float> out(5), plain(5);
  combine(sago_noise_aware{.threshold = 0.1}, tasks(f, r), out);
  CHECK(out == std::vector<float>{0.5f, -0.1f, 1e-30f, 3, -2});
  combine(sago_noise_aware{.retain = 2, .forget = 3}, tasks(f, r), out);
  combine(sago{.retain = 2, .forget = 3}, tasks(f, r), plain);
  CHECK(out == plain);
  std::vector<double> x(1);
  CHECK_THROWS_AS(combine(sago_noise_aware{.threshold = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(sago_soft{.sharpness = std::nan("")}, tasks(x, x), x), std::invalid_argument);
}
