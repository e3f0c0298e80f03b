// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/vector_noise.hpp"

#include "hone/privacy/chacha20.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

using namespace hone::privacy;
using hone::index_t;

TEST_CASE("Gaussian noise on a lattice: its scale, its step and its cost") {
  for (const double sensitivity : {3.31292096, 0x1p-30, 1e9})
    for (const index_t dimension : {1, 3, 50}) {
      const double rho = gaussian_rho(lattice_multiplier(1, 1e-5));
      const vector_noise noise = lattice_gaussian(sensitivity, dimension, 100 * sensitivity, rho, 1e-5);
      CHECK(noise.scale / sensitivity == Approx(4.0451303583).epsilon(4e-5));  // of which the lattice is the rest
      CHECK(noise.scale / sensitivity > 4.0451303583);
      CHECK(noise.integer >= std::int64_t{1} << 20);
      CHECK(noise.integer <= std::int64_t{1} << 21);
      CHECK(noise.scale == static_cast<double>(noise.integer) * noise.lattice);
      int exponent = 0;
      CHECK(std::frexp(noise.lattice, &exponent) == .5);
      const double moved = sensitivity / noise.lattice + std::sqrt(static_cast<double>(dimension)),
                   exact =
                       moved * moved / (2 * static_cast<double>(noise.integer) * static_cast<double>(noise.integer));
      CHECK(noise.cost.family == loss_family::concentrated);
      CHECK(noise.cost.parameter == Approx(exact).epsilon(1e-11));
      CHECK(noise.cost.parameter >= exact);
      CHECK(noise.cost.basic.epsilon <= 1 + 1e-9);
      CHECK(noise.cost.basic.epsilon > .9999);
      CHECK(noise.cost.basic.delta == 1e-5);
      CHECK(noise.expected_norm == Approx(noise.scale * std::sqrt(static_cast<double>(dimension))).epsilon(1e-12));
      CHECK(noise.hardened());
    }
}

TEST_CASE("Laplace noise on a lattice, and noise by its norm") {
  const vector_noise laplace = lattice_laplace(2, 9, 50, .5);
  CHECK(laplace.scale == Approx(3 * 2 / .5).epsilon(2e-5));
  CHECK(laplace.scale > 3 * 2 / .5);
  CHECK(static_cast<double>(laplace.integer) * .5 >= 3 * 2 / laplace.lattice + 9);
  CHECK(laplace.expected_norm == Approx(laplace.scale * std::sqrt(18.)).epsilon(1e-12));
  CHECK((laplace.cost.basic == epsilon_delta{.5, 0}));
  CHECK(laplace.hardened());
  const vector_noise norm = gamma_norm_noise(2, 9, .5);
  CHECK(norm.scale == Approx(4).epsilon(1e-11));
  CHECK(norm.expected_norm == Approx(36).epsilon(1e-11));
  CHECK((norm.cost.basic == epsilon_delta{.5, 0}));
  CHECK_FALSE(norm.hardened());
  CHECK(norm.lattice == 0);
}

TEST_CASE("what has no room on the lattice, and bad constants, are refused before data") {
  CHECK_NOTHROW(lattice_gaussian(1, 2, 1e11, 1, 0));
  CHECK_THROWS_AS(lattice_gaussian(1, 2, 1e13, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(lattice_laplace(1, 2, 1e13, 1), std::invalid_argument);
  CHECK_THROWS_AS(lattice_gaussian(1e-300, 2, 1e-300, 1, 0), std::invalid_argument);
  for (const double bad : {0.0, -1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK_THROWS_AS(lattice_gaussian(bad, 2, 1, 1, 0), std::invalid_argument);
    CHECK_THROWS_AS(lattice_gaussian(1, 2, bad, 1, 0), std::invalid_argument);
    CHECK_THROWS_AS(lattice_gaussian(1, 2, 1, bad, 0), std::invalid_argument);
    CHECK_THROWS_AS(lattice_laplace(bad, 2, 1, 1), std::invalid_argument);
    CHECK_THROWS_AS(lattice_laplace(1, 2, bad, 1), std::invalid_argument);
    CHECK_THROWS_AS(lattice_laplace(1, 2, 1, bad), std::invalid_argument);
    CHECK_THROWS_AS(gamma_norm_noise(bad, 2, 1), std::invalid_argument);
    CHECK_THROWS_AS(gamma_norm_noise(1, 2, bad), std::invalid_argument);
  }
}

TEST_CASE("results lie on the lattice, whatever the value; their moments are the noise's") {
  test_random random(3);
  for (const bool gaussian : {true, false}) {
    const vector_noise noise = gaussian ? lattice_gaussian(.1, 2, 3, .5, 0) : lattice_laplace(.1, 2, 3, 1);
    double sum[2] = {}, squares[2] = {};
    constexpr int draws = 4000;
    for (int k = 0; k < draws; ++k) {
      double x[2] = {2.123456789012345, -1e-3};
      add_noise(noise, x, random);
      for (int i = 0; i < 2; ++i) {
        CHECK(x[i] / noise.lattice == std::round(x[i] / noise.lattice));
        const double own = x[i] - (i == 0 ? 2.123456789012345 : -1e-3);
        sum[i] += own;
        squares[i] += own * own;
      }
    }
    const double deviation = noise.scale * (gaussian ? 1 : std::sqrt(2.));
    for (int i = 0; i < 2; ++i) {
      CHECK(std::abs(sum[i] / draws) < 4 * deviation / std::sqrt(draws));
      CHECK(std::sqrt(squares[i] / draws) == Approx(deviation).epsilon(.08));
    }
  }
  // No private value is so large: a stranger's is clamped, and no cast overflows.
  const vector_noise noise = lattice_gaussian(.1, 2, 3, .5, 0);
  double large[2] = {1e300, -1e300};
  add_noise(noise, large, random);
  CHECK(large[0] == Approx(0x1p60 * noise.lattice).epsilon(1e-9));
  CHECK(large[1] == Approx(-0x1p60 * noise.lattice).epsilon(1e-9));
}

TEST_CASE("lengths are Gamma distributed, directions uniform") {
  test_random random(9);
  for (const index_t d : {1, 3, 10}) {
    constexpr int draws = 3000;
    std::vector<double> lengths, angles, x(static_cast<std::size_t>(d));
    double mean = 0;
    for (int k = 0; k < draws; ++k) {
      draw_gamma_norm(.5, x, random);
      double squared = 0;
      for (const double value : x) squared += value * value;
      lengths.push_back(std::sqrt(squared));
      mean += std::sqrt(squared) / draws;
      angles.push_back(x[0] / std::sqrt(squared));
    }
    CHECK(mean == Approx(.5 * static_cast<double>(d)).epsilon(4 / std::sqrt(static_cast<double>(d) * draws)));
    std::sort(lengths.begin(), lengths.end());
    double median = 0, tail = 0;
    for (const double length : lengths) {
      median += length <= 1.33703016 ? 1.0 / draws : 0;
      tail += length <= 3.14789681 ? 1.0 / draws : 0;
    }
    if (d == 3) {
      CHECK(median == Approx(.5).margin(.035));
      CHECK(tail == Approx(.95).margin(.016));
      // In three dimensions a coordinate of the direction is uniform in [-1, 1].
      int low = 0, outer = 0;
      for (const double a : angles) {
        low += a < 0 ? 1 : 0;
        outer += std::abs(a) > .5 ? 1 : 0;
      }
      CHECK(low == Approx(draws / 2).margin(4 * std::sqrt(draws / 4.)));
      CHECK(outer == Approx(draws / 2).margin(4 * std::sqrt(draws / 4.)));
    }
  }
}
