// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/upgrad.hpp"

#include "hone/gradient/pcgrad.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {
// The projection of x on {y: <y, g_i> >= 0} by Dykstra's alternating projections on the half-spaces.
std::vector<double> dykstra(std::vector<double> x, const std::vector<std::vector<double>>& rows) {
  std::vector<std::vector<double>> correction(rows.size(), std::vector<double>(x.size()));
  for (int sweep = 0; sweep < 20000; ++sweep)
    for (std::size_t r = 0; r < rows.size(); ++r) {
      double dot = 0, squared = 0;
      for (std::size_t e = 0; e < x.size(); ++e) {
        x[e] += correction[r][e];
        dot += x[e] * rows[r][e];
        squared += rows[r][e] * rows[r][e];
      }
      for (std::size_t e = 0; e < x.size(); ++e) {
        correction[r][e] = dot < 0 ? dot / squared * rows[r][e] : 0;
        x[e] -= correction[r][e];
      }
    }
  return x;
}
}  // namespace

TEMPLATE_TEST_CASE("UPGrad and DualProj give the reference vectors (G2)", "", double, float, bfloat16) {
  using T = TestType;
  const auto a = narrowed<T>({-4, 1, 1}), b = narrowed<T>({6, 1, 1});
  std::vector<T> out(3);
  combine(upgrad<2>{}, tasks(a, b), out);
  CHECK(printed<T>(out, {.292397661, 1.900584795, 1.900584795}));
  combine(dual_projection<2>{}, tasks(a, b), out);
  CHECK(printed<T>(out, {.555555556, 1.111111111, 1.111111111}));
  combine(upgrad<2>{.regularisation = 1e-4}, tasks(a, b), out);  // as TorchJD, to the printed digits
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(static_cast<double>(to_accumulator(out[i])) ==
          Approx(std::array{.292902, 1.900352, 1.900352}[i]).margin(std::is_same_v<T, bfloat16> ? .02 : 1e-6));
}

TEST_CASE("against alternating projections on the half-spaces") {
  for (std::uint32_t seed = 0; seed < 6; ++seed) {
    const family<double, 4> f(6, seed, 1);
    const std::vector<std::vector<double>> rows(f.g.begin(), f.g.end());
    std::vector<double> mean(6), expected(6), out(6);
    for (const auto& row : rows) {
      const auto projected = dykstra(row, rows);
      for (std::size_t e = 0; e < 6; ++e) mean[e] += row[e] / 4, expected[e] += projected[e] / 4;
    }
    combine(upgrad<4>{}, f.tasks(), out);
    for (std::size_t e = 0; e < 6; ++e) CHECK(out[e] == Approx(expected[e]).margin(1e-6));
    combine(dual_projection<4>{}, f.tasks(), out);
    const auto projected = dykstra(mean, rows);
    for (std::size_t e = 0; e < 6; ++e) CHECK(out[e] == Approx(projected[e]).margin(1e-6));
    combine(gem{}, f.tasks(), out);
    const auto kept = dykstra(rows[0], {rows[1], rows[2], rows[3]});
    for (std::size_t e = 0; e < 6; ++e) CHECK(out[e] == Approx(kept[e]).margin(1e-6));
  }
}

TEST_CASE("no task is opposed; without conflict nothing is changed; UPGrad is linear under scaling of a task") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
      const auto g = family<double, K>(std::array<index_t, 3>{4, 20, 200}[seed % 3], seed, seed % 4).gram();
      const auto up = upgrad<K>{}.weights(g);
      const auto dual = dual_projection<K>{}.weights(g);
      const auto one = gem{}.weights(g);
      double longest = 0;
      for (std::size_t i = 0; i < K; ++i) longest = (std::max)(longest, g(i, i));
      for (std::size_t i = 0; i < K; ++i) {
        CHECK(up[i] >= 1.0 / K - 1e-12);
        CHECK(g.dot(i, up) >= -1e-9 * longest);
        CHECK(g.dot(i, dual) >= -1e-9 * longest);
        if (i > 0) CHECK(g.dot(i, one) >= -1e-9 * longest);
      }
      CHECK(one[0] == 1);
      gram_matrix<K> agreed = g;
      for (auto& row : agreed.value)
        for (double& x : row) x = std::abs(x);
      CHECK(upgrad<K>{}.weights(agreed) == gradient::detail::filled<K>(1.0 / K));
      CHECK(dual_projection<K>{}.weights(agreed) == gradient::detail::filled<K>(1.0 / K));
      // Linear: scaling task 0 scales its projection, and no other.
      std::array<double, K> s;
      s.fill(1);
      s[0] = 3;
      const auto more = scaled_tasks(g, s);
      std::array<double, K> only{}, expected, scaled = upgrad<K>{}.weights(more);
      only[0] = 1.0 / K;
      const auto mine = upgrad<K>{.preference = only}.weights(g);
      for (std::size_t i = 0; i < K; ++i) {
        expected[i] = up[i] + 2 * mine[i];
        scaled[i] *= s[i];
      }
      CHECK(same_combination(g, scaled, expected, 1e-8));
    }
  });
}

TEST_CASE("a task that is a multiple of another, rounded, does not lengthen the step") {
  const std::vector<float> a = {-.5f, .7f, 0, .2f}, b = {-.1f, .9f, -.4f, .7f}, c = {-.1f, -.3f, .6f, -.4f};
  std::vector<float> d(4), out(4);
  for (std::size_t i = 0; i < 4; ++i) d[i] = -.3f * a[i];
  const auto report = combine(upgrad<4>{}, tasks(a, b, c, d), out, {.geometry = true});
  CHECK(std::sqrt(report.combined_squared) == Approx(0.149).margin(1e-3));
  CHECK(report.unconverged == 0);
  for (std::size_t i = 0; i < 4; ++i) CHECK(report.combined_cosine(i) > -1e-5);
}

TEST_CASE("with two tasks UPGrad is half of symmetric PCGrad, and GEM is A-GEM") {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const auto g = family<double, 2>(5, seed, 1).gram();
    const auto up = upgrad<2>{}.weights(g);
    const auto pc = pcgrad_symmetric{}.weights(g);
    const auto one = gem{}.weights(g);
    const auto a = a_gem{}.weights(g);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(2 * up[i] == Approx(pc[i]).epsilon(1e-12));
      CHECK(one[i] == Approx(a[i]).epsilon(1e-12).margin(1e-15));
    }
  }
}

TEST_CASE("GEM's margin is the least weight of a retain gradient") {
  const gram_matrix<3> g{{{{1, 0.1, -0.9}, {0.1, 1, 0}, {-0.9, 0, 1}}}};
  const auto w = gem{.margin = 0.5}.weights(g);
  CHECK(w[1] == 0.5);
  CHECK(w[2] == Approx(0.9));
  CHECK(gem{.margin = 0.5}.weights(gram_matrix<2>{}) == std::array<double, 2>{1, 0.5});
}

TEST_CASE("the dual-cone methods survive any Gram matrix") {
  for_each_k([](auto k) {
    check_robust<k()>(upgrad<k()>{});
    check_robust<k()>(upgrad<k()>{.regularisation = 1e-4});
    check_robust<k()>(dual_projection<k()>{});
    check_robust<k()>(gem{}, true);
  });
  CHECK(upgrad<2>{}.weights(gram_matrix<2>{}) == std::array<double, 2>{.5, .5});
  CHECK(upgrad<1>{}.weights(gram_matrix<1>{{{{3}}}}) == std::array<double, 1>{1});
  const auto opposite = upgrad<2>{}.weights(gram_matrix<2>{{{{1, -1}, {-1, 1}}}});
  CHECK(opposite[0] == Approx(opposite[1]));
  std::vector<double> x(1);
  CHECK_THROWS_AS(combine(upgrad<2>{.regularisation = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(dual_projection<2>{.preference = {0, 0}}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(gem{.margin = std::nan("")}, tasks(x, x), x), std::invalid_argument);
}

TEST_CASE("without a gradient that is one the weights are the preference, or GEM's own") {
  const std::array<double, 3> preference = {.5, .25, 2};
  gram_matrix<3> broken;
  broken.value[1][1] = std::nan("");
  for (const auto& g : {gram_matrix<3>{}, broken}) {
    CHECK(std::array<double, 3>(upgrad<3>{.preference = preference}.weights(g)) == preference);
    CHECK(std::array<double, 3>(dual_projection<3>{.preference = preference}.weights(g)) == preference);
    CHECK(std::array<double, 3>(gem{.margin = .5}.weights(g)) == std::array<double, 3>{1, .5, .5});
  }
}
