// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/loss_composition.hpp"

#include "golden/accounting.hpp"
#include "hone/privacy/gaussian.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

namespace {

/// delta at @p epsilon of every sum of losses, one mass with another, in long double.
double direct_delta(const std::vector<loss_distribution>& each, double epsilon) {
  std::vector<long double> sum = {1};
  index_t first = 0;
  long double delta = 0;
  for (const loss_distribution& d : each) {
    std::vector<long double> next(sum.size() + d.mass.size() - 1);
    for (std::size_t i = 0; i < sum.size(); ++i)
      for (std::size_t j = 0; j < d.mass.size(); ++j) next[i + j] += sum[i] * static_cast<long double>(d.mass[j]);
    sum = next;
    first += d.first;
    delta += static_cast<long double>(d.infinite);  // up to their products
  }
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const long double loss = each[0].interval * static_cast<long double>(first + static_cast<index_t>(i));
    if (loss > static_cast<long double>(epsilon)) delta += sum[i] * -std::expm1(epsilon - loss);
  }
  return static_cast<double>(delta);
}

}  // namespace

TEST_CASE("sums of losses are those of the convolution, far below what a transform alone would resolve") {
  const discretisation how{.interval = 0.05};
  const auto a = sampled_gaussian_distribution(0.2, 1, loss_direction::remove, how);
  const auto b = sampled_gaussian_distribution(0.5, 3, loss_direction::add, how);
  const auto c = approximate_distribution({0.3, 1e-20}, how);
  const std::vector<loss_steps> steps = {{a, 3}, {b, 2}, {c, 1}};
  for (const double delta : {0.1, 1e-3, 1e-9, 1e-15}) {
    const composed_loss all = compose(steps, delta);
    const double epsilon = epsilon_of(all, delta);
    const double exact = direct_delta({a, a, a, b, b, c}, epsilon);
    INFO(delta << " " << epsilon << " " << all.lambda);
    CHECK(exact <= delta);
    CHECK(exact == Approx(delta).epsilon(1e-6));
    for (const double other : {0.5 * epsilon, 0.9 * epsilon, 1.2 * epsilon, epsilon + 3}) {
      CHECK(delta_of(all, other) >= direct_delta({a, a, a, b, b, c}, other));
      CHECK(delta_of(all, other) <= 1);
    }
    CHECK(delta_of(all, 1.1 * epsilon) <= direct_delta({a, a, a, b, b, c}, 1.1 * epsilon) * 1.001 + 1e-19);
  }
  CHECK(compose(steps, 1e-9).infinite >= 1e-20);
}

TEST_CASE("without sampling the exact Gaussian is just below; a lower bound just above is none") {
  for (const auto& [sigma, k, delta] :
       std::vector<std::tuple<double, index_t, double>>{{1, 1, 1e-5}, {4, 10, 1e-5}, {10, 100, 1e-6}, {2, 1, 1e-10}}) {
    const double exact = gaussian_epsilon(std::sqrt(static_cast<double>(k)) / sigma, delta);
    const double above = sampled_gaussian_epsilon(1, sigma, k, delta, {.interval = 1e-3});
    const double below = sampled_gaussian_epsilon(1, sigma, k, delta, {1e-3, loss_rounding::down});
    INFO(sigma << " " << k << " " << exact << " " << above);
    CHECK(above >= exact);
    CHECK(above <= exact + 1e-4);
    CHECK(below <= exact);
    CHECK(below >= exact - 1e-3 * static_cast<double>(k) - 1e-6);
  }
}

TEST_CASE("below the losses that were transformed delta is the chord to 1, above the curve") {
  const loss_steps steps{sampled_gaussian_distribution(1, 0.25, loss_direction::remove, {.interval = 0.05}), 64};
  const composed_loss all = compose({&steps, 1}, 1e-3);
  REQUIRE(all.first > 0);
  const double bottom = all.interval * static_cast<double>(all.first);
  for (const double share : {0.0, 0.5, 0.9, 0.99, 1.0}) {
    CHECK(1 - delta_of(all, share * bottom) <= (1 - gaussian_delta(share * bottom, 32)) * (1 + 1e-6) + 1e-14);
    CHECK(delta_of(all, share * bottom) <= 1);
  }
}

TEST_CASE("training runs cost what dp-accounting says") {
  struct row {
    double rate, sigma;
    index_t steps;
    double fine, coarse, up, down, coarse_up;
  };
  for (const row& r : {row{.01, 1, 1000, 1.82824, 1.82893, 1.87824, 1.77824, 2.32793},
                       row{.004, .8, 3000, 1.97479, 1.97664, 2.12476, 1.82476, 3.52172}}) {
    const auto of = [&](double interval, loss_rounding rounding) {
      return sampled_gaussian_epsilon(r.rate, r.sigma, r.steps, 1e-5, {interval, rounding});
    };
    const double best = of(1e-4, loss_rounding::dots);
    CHECK(best == Approx(r.fine).margin(2e-5));
    CHECK(of(1e-3, loss_rounding::dots) == Approx(r.coarse).margin(2e-5));
    CHECK(of(1e-3, loss_rounding::up) == Approx(r.coarse_up).margin(2e-4));
    if (r.steps > 1000) continue;  // they take seconds
    CHECK(of(1e-4, loss_rounding::up) == Approx(r.up).margin(2e-5));
    CHECK(of(1e-4, loss_rounding::down) == Approx(r.down).margin(2e-5));
    CHECK(r.down < best);
  }
  for (const auto& r : golden_training) {
    const auto of = [&](loss_rounding rounding) {
      return sampled_gaussian_epsilon(r.rate, r.sigma, static_cast<index_t>(r.steps), r.delta, {1e-3, rounding});
    };
    const double dots = of(loss_rounding::dots);
    INFO(r.rate << " " << r.sigma << " " << r.steps);
    CHECK(dots == Approx(r.dots).epsilon(2e-4));
    CHECK(of(loss_rounding::up) == Approx(r.up).epsilon(2e-3));
    CHECK(of(loss_rounding::down) == Approx(r.down).epsilon(2e-3));
    CHECK(of(loss_rounding::down) <= dots);
    CHECK(dots <= of(loss_rounding::up));
    CHECK(dots <= r.renyi);
  }
}

TEST_CASE("releases of pure epsilon cost what optimal composition says") {
  const auto each = approximate_loss<replace_one>(0.1);
  const auto plan = plan_loss_distribution<replace_one>({{each, 100}}, 1e-6, {.interval = 0.01});
  const double optimal = optimal_epsilon(100, {0.1, 0}, 1e-6);
  CHECK(plan.cost.epsilon >= optimal * (1 - 1e-9));
  CHECK(plan.cost.epsilon == Approx(optimal).epsilon(1e-6));
  CHECK(plan.cost.delta == 1e-6);
  CHECK(plan.steps == std::vector<planned_steps<replace_one>>{{each, 100}});
}

TEST_CASE("plans of several kinds; Gaussian noise cannot be worse than its Renyi losses") {
  const std::vector<planned_steps<add_or_remove>> steps = {
      {sampled_gaussian_loss(0.05, 2), 40},       {gaussian_loss<add_or_remove>(6), 2},
      {approximate_loss<add_or_remove>(0.05), 1}, {laplace_loss<add_or_remove>(30), 2},
      {sampled_gaussian_loss(0, 1), 5},           {gaussian_loss<add_or_remove>(1), 0}};
  const auto plan = plan_loss_distribution(steps, 1e-6, {.interval = 1e-3});
  CHECK(plan.steps == steps);
  CHECK(plan.cost.epsilon < plan_best_order(steps, 1e-6).cost.epsilon);
  for (std::size_t i = 0; i < 4; ++i) {  // each of them counts
    auto fewer = steps;
    fewer[i].count = 0;
    CHECK(plan_loss_distribution(fewer, 1e-6, {.interval = 1e-3}).cost.epsilon < plan.cost.epsilon - 1e-3);
  }
  CHECK(plan_loss_distribution<add_or_remove>({}, 1e-6).cost == epsilon_delta{0, 1e-6});
  CHECK(plan_loss_distribution<add_or_remove>({{approximate_loss<add_or_remove>(0.1, 2e-6), 1}}, 1e-6).cost.epsilon ==
        privacy::detail::infinite);
  CHECK_THROWS_AS(plan_loss_distribution<add_or_remove>({{concentrated_loss<add_or_remove>(0.1), 1}}, 1e-6),
                  std::invalid_argument);
  CHECK_THROWS_AS(plan_loss_distribution(steps, 1e-6, {.rounding = loss_rounding::down}), std::invalid_argument);
}

TEST_CASE("more noise, less sampling, fewer steps and more delta never cost more") {
  const discretisation how{.interval = 2e-3};
  const double here = sampled_gaussian_epsilon(0.05, 1.5, 50, 1e-6, how);
  CHECK(sampled_gaussian_epsilon(0.05, 1.6, 50, 1e-6, how) < here);
  CHECK(sampled_gaussian_epsilon(0.04, 1.5, 50, 1e-6, how) < here);
  CHECK(sampled_gaussian_epsilon(0.05, 1.5, 40, 1e-6, how) < here);
  CHECK(sampled_gaussian_epsilon(0.05, 1.5, 50, 1e-5, how) < here);
  CHECK(sampled_gaussian_epsilon(0.05, 1.5, 50, 0.9, how) == 0);
  const loss_steps steps{sampled_gaussian_distribution(0.05, 1.5, loss_direction::remove, how), 50};
  const composed_loss all = compose({&steps, 1}, 1e-6);
  double before = 1;
  for (double epsilon = 0; epsilon < 4; epsilon += 0.05) {
    const double delta = delta_of(all, epsilon);
    CHECK(delta <= before);
    before = delta;
  }
}

TEST_CASE("what cannot be composed is refused") {
  const auto d = approximate_distribution({0.1, 0}), other = approximate_distribution({0.1, 0}, {.interval = 1e-3});
  const auto lower = approximate_distribution({0.1, 0}, {.rounding = loss_rounding::down});
  const auto with = [](std::vector<loss_steps> steps, double delta = 1e-6) { return compose(steps, delta); };
  CHECK_THROWS_AS(with({}), std::invalid_argument);
  CHECK_THROWS_AS(with({{d, 0}}), std::invalid_argument);
  CHECK_THROWS_AS(with({{d, 1}}, 0), std::invalid_argument);
  CHECK_THROWS_AS(with({{d, 1}}, 1), std::invalid_argument);
  CHECK_THROWS_AS(with({{d, 1}, {other, 1}}), std::invalid_argument);
  CHECK_THROWS_AS(with({{d, 1}, {lower, 1}}), std::invalid_argument);
  CHECK_THROWS_AS(with({{d, index_t{1} << 40}}), std::invalid_argument);  // more points than memory
  CHECK_THROWS_AS(delta_of(with({{d, 1}}), -1), std::invalid_argument);
  CHECK_THROWS_AS(epsilon_of(with({{d, 1}}), 0), std::invalid_argument);
}
