// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/loss_curve.hpp"

#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

static_assert(!std::is_convertible_v<loss_curve<replace_one>, loss_curve<add_or_remove>>);
static_assert(std::is_same_v<decltype(sampled_gaussian_loss(0.1, 1)), loss_curve<add_or_remove>>);

TEST_CASE("what a basic sum charges") {
  CHECK(approximate_loss<replace_one>(0.5, 1e-6).basic == epsilon_delta{0.5, 1e-6});
  CHECK(approximate_loss<replace_one>(0.5).basic == epsilon_delta{0.5, 0});
  CHECK(concentrated_loss<replace_one>(0.1, 1e-5).basic == epsilon_delta{concentrated_epsilon(0.1, 1e-5), 1e-5});
  CHECK(concentrated_loss<replace_one>(0.1).basic == epsilon_delta{privacy::detail::infinite, 0});
  CHECK(concentrated_loss<replace_one>(0).basic == epsilon_delta{0, 0});
  CHECK(gaussian_loss<replace_one>(2, 1e-5).basic == epsilon_delta{concentrated_epsilon(gaussian_rho(2), 1e-5), 1e-5});
  CHECK(laplace_loss<replace_one>(4).basic.epsilon == Approx(0.25).epsilon(1e-14));
  CHECK(laplace_loss<replace_one>(3).basic.epsilon >= 1.0 / 3);
  CHECK(laplace_loss<replace_one>(4).basic.delta == 0);
  const auto sampled = sampled_gaussian_loss(0.01, 1, 1e-5);
  double best = 1e9;
  each_order([&](double a) { best = (std::min)(best, renyi_epsilon(a, sampled_gaussian_renyi(a, 0.01, 1), 1e-5)); });
  CHECK(sampled.basic == epsilon_delta{best, 1e-5});
  CHECK(best > 0.1);
  CHECK(sampled_gaussian_loss(0.01, 1).basic == epsilon_delta{privacy::detail::infinite, 0});
  CHECK(sampled_gaussian_loss(0, 1).basic == epsilon_delta{0, 0});
}

TEST_CASE("each family's losses are its formula's") {
  const auto pure = approximate_loss<replace_one>(0.5), mixed = approximate_loss<replace_one>(0.5, 1e-9);
  const auto lattice = concentrated_loss<replace_one>(0.3, 1e-6);
  const auto gaussian = gaussian_loss<replace_one>(2, 1e-6);
  const auto laplace = laplace_loss<replace_one>(4);
  const auto sampled = sampled_gaussian_loss(0.05, 2, 1e-6);
  for (const double alpha : {1.5, 2.0, 3.0, 20.0}) {
    CHECK(renyi(pure, alpha) == Approx((std::min)(0.5, 0.125 * alpha)).epsilon(1e-14));
    CHECK(renyi(mixed, alpha) == privacy::detail::infinite);
    CHECK(renyi(lattice, alpha) == Approx(0.3 * alpha).epsilon(1e-14));
    CHECK(renyi(lattice, alpha) >= 0.3 * alpha);
    CHECK(renyi(gaussian, alpha) == gaussian_renyi(alpha, 2));
    CHECK(renyi(laplace, alpha) == laplace_renyi(alpha, 4));
    CHECK(renyi(sampled, alpha) == sampled_gaussian_renyi(alpha, 0.05, 2));
    CHECK(renyi(laplace, alpha) <= renyi(approximate_loss<replace_one>(0.25), alpha) * (1 + 1e-12));
  }
  CHECK(concentrated(pure) == pure_rho(0.5));
  CHECK(concentrated(mixed) == privacy::detail::infinite);
  CHECK(concentrated(lattice) == 0.3);
  CHECK(concentrated(gaussian) == gaussian_rho(2));
  CHECK(concentrated(laplace) == pure_rho(laplace.basic.epsilon));
  CHECK(concentrated(sampled) == gaussian_rho(2));
  CHECK(concentrated(sampled_gaussian_loss(0, 2)) == 0);
}

TEST_CASE("curves differ where a parameter does") {
  const std::vector<loss_curve<add_or_remove>> curves = {
      approximate_loss<add_or_remove>(0.5),  approximate_loss<add_or_remove>(0.5, 1e-6),
      concentrated_loss<add_or_remove>(0.5), concentrated_loss<add_or_remove>(0.5, 1e-6),
      gaussian_loss<add_or_remove>(0.5),     laplace_loss<add_or_remove>(2),
      sampled_gaussian_loss(0.1, 0.5),       sampled_gaussian_loss(0.2, 0.5),
      sampled_gaussian_loss(0.1, 0.6)};
  for (std::size_t i = 0; i < curves.size(); ++i)
    for (std::size_t j = 0; j < curves.size(); ++j) CHECK((curves[i] == curves[j]) == (i == j));
}

TEST_CASE("the best order of a sum") {
  const auto sum = [](double alpha) { return 3 * gaussian_renyi(alpha, 2); };
  const double best = best_order_epsilon(sum, 1e-5);
  for (const double alpha : {2.0, 4.7, 8.0, 30.0}) CHECK(best <= renyi_epsilon(alpha, sum(alpha), 1e-5));
  CHECK(best == Approx(concentrated_epsilon(3.0 / 8, 1e-5)).epsilon(1e-4));
  CHECK(best_order_epsilon([](double) { return privacy::detail::infinite; }, 1e-5) == privacy::detail::infinite);
}

TEST_CASE("what is no loss is refused") {
  for (const double bad : {-1e-9, privacy::detail::infinite, std::nan("")}) {
    CHECK_THROWS_AS(approximate_loss<replace_one>(bad), std::invalid_argument);
    CHECK_THROWS_AS(approximate_loss<replace_one>(1, bad), std::invalid_argument);
    CHECK_THROWS_AS(concentrated_loss<replace_one>(bad), std::invalid_argument);
    CHECK_THROWS_AS(concentrated_loss<replace_one>(1, bad), std::invalid_argument);
    CHECK_THROWS_AS(gaussian_loss<replace_one>(bad), std::invalid_argument);
    CHECK_THROWS_AS(laplace_loss<replace_one>(bad), std::invalid_argument);
    CHECK_THROWS_AS(sampled_gaussian_loss(bad, 1), std::invalid_argument);
    CHECK_THROWS_AS(sampled_gaussian_loss(0, bad), std::invalid_argument);
    CHECK_THROWS_AS(sampled_gaussian_loss(0.1, 1, bad), std::invalid_argument);
    CHECK_THROWS_AS(renyi(laplace_loss<replace_one>(1), bad), std::invalid_argument);
  }
  CHECK_THROWS_AS(approximate_loss<replace_one>(1, 1), std::invalid_argument);
  CHECK_THROWS_AS(gaussian_loss<replace_one>(0), std::invalid_argument);
  CHECK_THROWS_AS(laplace_loss<replace_one>(0), std::invalid_argument);
  CHECK_THROWS_AS(sampled_gaussian_loss(1.1, 1), std::invalid_argument);
}
