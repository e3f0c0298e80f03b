// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/bargaining.hpp"

#include "linalg/support.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;

TEST_CASE("G w = 1 / w, and the certificate says so") {
  for_each_k([](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
      const auto g = random_gram<K>(seed % 2 == 0 ? 4 : 64, seed, seed % 3 == 0 ? 30 : 0);
      const auto result = solve_bargain(g);
      if (!result.agreed) {
        CHECK(K > 4);
        CHECK(result.w == std::array<double, K>{});
        continue;
      }
      CHECK(result.residual <= 1e-9);
      const auto product = times(g, result.w);
      for (std::size_t i = 0; i < K; ++i) {
        CHECK(result.w[i] > 0);
        CHECK(result.w[i] * product[i] == Approx(1).epsilon(1e-8));
      }
    }
  });
}

TEST_CASE("two rows have the closed form w_i = 1 / (length_i sqrt(1 + cosine))") {
  const auto result = solve_bargain(square<2>{{{18, -22}, {-22, 38}}});
  const double factor = std::sqrt(1 - 22 / std::sqrt(18.0 * 38.0));
  CHECK(result.w[0] == Approx(1 / std::sqrt(18.0) / factor).epsilon(1e-12));
  CHECK(result.w[1] == Approx(1 / std::sqrt(38.0) / factor).epsilon(1e-12));
}

TEST_CASE("rows without length stand aside; opposite rows do not agree; near-opposite ones do") {
  const auto aside = solve_bargain(square<3>{{{4, 0, 0}, {0, 0, 0}, {0, 0, 9}}});
  CHECK(aside.w[0] == Approx(0.5));
  CHECK(aside.w[1] == 0);
  CHECK(aside.w[2] == Approx(1.0 / 3));
  CHECK(aside.agreed);
  CHECK(solve_bargain(square<2>{}).w == std::array<double, 2>{});
  CHECK(solve_bargain(square<2>{}).agreed);  // nobody who could disagree
  CHECK(!solve_bargain(square<2>{{{1, -1}, {-1, 1}}}).agreed);
  CHECK(!solve_bargain(square<3>{{{1, -0.5, -0.5}, {-0.5, 1, -0.5}, {-0.5, -0.5, 1}}}).agreed);
  const double c = -1 + 1e-8;
  const auto near = solve_bargain(square<2>{{{1, c}, {c, 1}}});
  CHECK(near.agreed);
  CHECK(near.w[0] == Approx(1e4).epsilon(1e-6));
}

TEST_CASE("equal cosines are solved by the first guess; others in few steps, to rounding") {
  for (const double c : {-0.3, 0.0, 0.9}) {
    const auto one = solve_bargain(square<3>{{{1, c, c}, {c, 1, c}, {c, c, 1}}});
    CHECK(one.steps <= 1);
    for (const double w : one.w) CHECK(w == Approx(1 / std::sqrt(1 + 2 * c)).epsilon(1e-13));
    CHECK(one.residual <= 1e-14);
    CHECK(one.converged);
  }
  const auto aside = solve_bargain(square<3>{{{4, 0, -1}, {0, 0, 0}, {-1, 0, 1}}});  // a row that takes no part
  CHECK(aside.steps <= 1);
  CHECK(aside.w[2] == Approx(1 / std::sqrt(0.5)).epsilon(1e-13));
  for_each_k([](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
      const auto result = solve_bargain(random_gram<K>(64, seed));
      CHECK(result.steps <= 7);
      CHECK(result.residual <= 1e-13);
    }
  });
}

TEST_CASE("who disagrees is the tolerance's to say, and weights of a residual above one in a hundred are none") {
  const double c = -1 + 1e-8;
  const square<2> near{{{1, c}, {c, 1}}};
  CHECK(solve_bargain(near, 1e-10).agreed);
  CHECK(solve_bargain(near, 0.4e-8).agreed);  // (w, G w) = 0.5e-8 of the square of the sum of w
  CHECK(!solve_bargain(near, 0.6e-8).agreed);
  const auto opposed = solve_bargain(near, 1e-6);
  CHECK(!opposed.agreed);
  CHECK(opposed.w == std::array<double, 2>{});
  int lost = 0;
  for (std::uint32_t seed = 0; seed < 1000; ++seed) {
    const auto result = solve_bargain(random_gram<6>(5, seed), 1e-40);  // singular: rounding alone decides
    if (!result.agreed) continue;
    CHECK(result.converged == (result.residual <= 1e-2));
    if (result.converged) continue;
    ++lost;
    CHECK(result.w == std::array<double, 6>{});
  }
  CHECK(lost > 0);
}
