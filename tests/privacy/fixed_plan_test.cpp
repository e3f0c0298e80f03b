// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/fixed_plan.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

TEST_CASE("plans of equal releases cost what their composition says") {
  const auto curve = approximate_loss<replace_one>(0.1, 1e-9);
  const auto advanced = plan_advanced(curve, 100, 1e-6);
  CHECK(advanced.cost == compose_advanced(100, {0.1, 1e-9}, 1e-6));
  CHECK(advanced.steps == std::vector<planned_steps<replace_one>>{{curve, 100}});
  const auto optimal = plan_optimal(curve, 100, 1e-6);
  CHECK(optimal.cost == epsilon_delta{optimal_epsilon(100, {0.1, 1e-9}, 1e-6), 1e-6});
  CHECK(optimal.steps == advanced.steps);
  CHECK(optimal.cost.epsilon < advanced.cost.epsilon);
}

TEST_CASE("the best order is taken of the sum over all steps") {
  const auto lattice = concentrated_loss<add_or_remove>(0.01);
  const auto sampled = sampled_gaussian_loss(0.01, 1);
  const auto plan = plan_best_order<add_or_remove>({{lattice, 2}, {sampled, 1000}, {lattice, 0}}, 1e-5);
  const double expected = best_order_epsilon(
      [](double alpha) { return 2 * 0.01 * alpha + 1000 * sampled_gaussian_renyi(alpha, 0.01, 1); }, 1e-5);
  CHECK(plan.cost.epsilon == Approx(expected).epsilon(1e-12));
  CHECK(plan.cost.epsilon >= expected);
  CHECK(plan.cost.delta == 1e-5);
  CHECK(plan.steps.size() == 3);
  CHECK(plan_best_order<add_or_remove>({{sampled, 1000}}, 1e-5).cost.epsilon == Approx(2.107753075).epsilon(1e-9));
  CHECK(plan_best_order<add_or_remove>({}, 1e-5).cost == epsilon_delta{0, 1e-5});
  // A release of (epsilon, delta) has no r; one that is never made does not matter.
  const auto unknown = approximate_loss<add_or_remove>(0.1, 1e-9);
  CHECK(plan_best_order<add_or_remove>({{unknown, 1}}, 1e-5).cost.epsilon == privacy::detail::infinite);
  CHECK(plan_best_order<add_or_remove>({{unknown, 0}}, 1e-5).cost.epsilon == 0);
}

TEST_CASE("plans that cannot be are refused") {
  const auto curve = approximate_loss<replace_one>(0.1), lattice = concentrated_loss<replace_one>(0.1);
  CHECK_THROWS_AS(plan_advanced(curve, -1, 1e-6), std::invalid_argument);
  CHECK_THROWS_AS(plan_advanced(curve, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(plan_advanced(lattice, 1, 1e-6), std::invalid_argument);
  CHECK_THROWS_AS(plan_optimal(curve, -1, 1e-6), std::invalid_argument);
  CHECK_THROWS_AS(plan_optimal(curve, 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(plan_optimal(lattice, 1, 1e-6), std::invalid_argument);
  CHECK_THROWS_AS(plan_best_order<replace_one>({{curve, -1}}, 1e-6), std::invalid_argument);
  CHECK_THROWS_AS(plan_best_order<replace_one>({{curve, 1}}, 0), std::invalid_argument);
}
