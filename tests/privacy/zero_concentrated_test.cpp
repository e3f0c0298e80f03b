// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/zero_concentrated.hpp"

#include "hone/privacy/gaussian.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

TEST_CASE("rho of Gaussian noise and of pure epsilon, from above") {
  CHECK(gaussian_rho(2) == Approx(0.125).epsilon(1e-14));
  CHECK(gaussian_rho(2) >= 0.125);
  CHECK(pure_rho(0.5) == Approx(0.125).epsilon(1e-14));
  CHECK(pure_rho(0.5) >= 0.125);
  CHECK(pure_rho(0) == 0);
}

TEST_CASE("epsilon of rho has the values of the literature") {
  const double rows[][4] = {{.1, 1e-5, 2.24596602629, 1.914238832},
                            {.5, 1e-6, 5.75652176976, 5.221534445},
                            {1, 1e-6, 8.4338443777, 7.766216625}};
  for (const auto& [rho, delta, simple, tight] : rows) {
    CHECK(concentrated_epsilon_simple(rho, delta) == Approx(simple).epsilon(1e-9));
    CHECK(concentrated_epsilon(rho, delta) == Approx(tight).epsilon(1e-9));
  }
}

TEST_CASE("the tight form is the least over orders, and never above the simple one") {
  for (const double rho : {1e-8, 1e-3, 0.1, 2.0, 50.0, 1e5})
    for (const double delta : {1e-12, 1e-5, 0.1}) {
      const double tight = concentrated_epsilon(rho, delta);
      double least = concentrated_epsilon_simple(rho, delta);
      for (double above = 0.011; above < 1e7; above *= 1.01)
        least = (std::min)(least, renyi_epsilon(1 + above, rho * (1 + above), delta));
      INFO(rho << " " << delta);
      CHECK(tight <= least * (1 + 1e-13));
      CHECK(tight == Approx(least).epsilon(1e-3).margin(1e-12));
      // Continuous Gaussian noise of that rho has a loss that is known exactly.
      CHECK(tight >= gaussian_epsilon(std::sqrt(2 * rho), delta));
    }
}

TEST_CASE("near delta = 1 epsilon is 0 and not negative, and it never rises with delta") {
  CHECK(concentrated_epsilon_simple(0.1, 0.9) == 0);
  CHECK(concentrated_epsilon(0.1, 0.9) == 0);
  CHECK(concentrated_epsilon(0, 1e-9) == 0);
  CHECK(concentrated_epsilon_simple(0.1, 0.3) == Approx(0.1 + 2 * std::sqrt(0.1 * std::log(1 / 0.3))));
  CHECK(concentrated_epsilon_simple(0.1, 0.31) == 0);  // 1 - e^-0.1 = 0.0952 < 0.31^2
  for (const double rho : {0.01, 0.1, 3.0}) {
    double before = 1e9, simple_before = 1e9;
    for (double delta = 1e-9; delta < 1; delta += (std::min)(delta, 0.01)) {
      const double tight = concentrated_epsilon(rho, delta), simple = concentrated_epsilon_simple(rho, delta);
      CHECK(tight <= before);
      CHECK(simple <= simple_before);
      CHECK(tight >= 0);
      before = tight;
      simple_before = simple;
    }
  }
}

TEST_CASE("the lattice multiplier has the values of the literature, and is an upper end") {
  CHECK(lattice_multiplier(.1, 1e-6) == Approx(39.463920468).epsilon(1e-9));
  CHECK(lattice_multiplier(1, 1e-5) == Approx(4.0451303583).epsilon(1e-9));
  CHECK(lattice_multiplier(1, 1e-6) == Approx(4.530877117).epsilon(1e-9));
  CHECK(lattice_multiplier(4, 1e-6) == Approx(1.2678254323).epsilon(1e-9));
  CHECK(lattice_multiplier(10, 1e-6) == Approx(.56993635854).epsilon(1e-9));
  for (const double delta : {1e-12, 1e-6, 0.2})
    for (const double epsilon : {1e-3, 0.7, 5.0, 40.0, 2000.0}) {
      const double zeta = lattice_multiplier(epsilon, delta);
      INFO(epsilon << " " << delta << " " << zeta);
      CHECK(concentrated_epsilon(gaussian_rho(zeta), delta) <= epsilon);
      CHECK(concentrated_epsilon(gaussian_rho(zeta * (1 - 1e-9)), delta) > epsilon);
      CHECK(zeta > analytic_gaussian_multiplier(epsilon, delta));
    }
}

TEST_CASE("what is no rho, epsilon, delta, sigma is refused") {
  for (const double bad : {-1e-9, privacy::detail::infinite, std::nan("")}) {
    CHECK_THROWS_AS(concentrated_epsilon(bad, 1e-5), std::invalid_argument);
    CHECK_THROWS_AS(concentrated_epsilon_simple(bad, 1e-5), std::invalid_argument);
    CHECK_THROWS_AS(pure_rho(bad), std::invalid_argument);
    CHECK_THROWS_AS(gaussian_rho(bad), std::invalid_argument);
    CHECK_THROWS_AS(lattice_multiplier(bad, 1e-5), std::invalid_argument);
  }
  for (const double bad : {0.0, 1.0, std::nan("")}) {
    CHECK_THROWS_AS(concentrated_epsilon(1, bad), std::invalid_argument);
    CHECK_THROWS_AS(concentrated_epsilon_simple(1, bad), std::invalid_argument);
    CHECK_THROWS_AS(lattice_multiplier(1, bad), std::invalid_argument);
  }
  CHECK_THROWS_AS(gaussian_rho(0), std::invalid_argument);
  CHECK_THROWS_AS(lattice_multiplier(0, 1e-5), std::invalid_argument);
}
