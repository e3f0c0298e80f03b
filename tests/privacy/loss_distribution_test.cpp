// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/loss_distribution.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

namespace {

constexpr loss_direction directions[] = {loss_direction::remove, loss_direction::add};

double at(const loss_distribution& d, std::size_t i) {
  return d.interval * static_cast<double>(d.first + static_cast<index_t>(i));
}
double delta_at(const loss_distribution& d, double epsilon) {
  double sum = d.infinite;
  for (std::size_t i = 0; i < d.mass.size(); ++i)
    if (at(d, i) > epsilon) sum += d.mass[i] * -std::expm1(epsilon - at(d, i));
  return sum;
}

/// delta of one step, from the normal distribution: the loss is above epsilon on one side of a point.
double exact_delta(double rate, double sigma, loss_direction direction, double epsilon) {
  const double e = direction == loss_direction::remove ? std::exp(epsilon) : std::exp(-epsilon);
  if (!(e > 1 - rate)) return direction == loss_direction::remove ? 1 - e : 0;
  const double x = 0.5 + sigma * sigma * std::log((e - 1 + rate) / rate);
  if (direction == loss_direction::remove) {
    const double without = normal_cdf(-x / sigma), with = normal_cdf((1 - x) / sigma);
    return (1 - rate) * without + rate * with - e * without;
  }
  const double without = normal_cdf(x / sigma), with = normal_cdf((x - 1) / sigma);
  return without - ((1 - rate) * without + rate * with) / e;
}

}  // namespace

TEST_CASE("dots touch the true curve at grid points, are above it between, and nearer than rounding up") {
  for (const loss_direction direction : directions)
    for (const auto& [rate, sigma] : std::vector<std::pair<double, double>>{{0.01, 1}, {0.3, 0.6}, {1, 2}, {0.5, 4}}) {
      const double interval = 0.02;
      const auto dots = sampled_gaussian_distribution(rate, sigma, direction, {.interval = interval});
      const auto up = sampled_gaussian_distribution(rate, sigma, direction, {interval, loss_rounding::up});
      const auto down = sampled_gaussian_distribution(rate, sigma, direction, {interval, loss_rounding::down});
      CHECK(dots.interval == interval);
      for (int half = -9; half < 40; ++half) {
        const double epsilon = 0.5 * half * interval, exact = exact_delta(rate, sigma, direction, epsilon);
        INFO(rate << " " << sigma << " " << epsilon << " " << exact);
        CHECK(delta_at(dots, epsilon) >= exact * (1 - 1e-12) - 1e-15);
        CHECK(delta_at(up, epsilon) >= delta_at(dots, epsilon) * (1 - 1e-9));
        CHECK(delta_at(down, epsilon) <= exact + 1e-15);
        if (half % 2 == 0) CHECK(delta_at(dots, epsilon) == Approx(exact).epsilon(1e-9).margin(1e-14));
        CHECK(delta_at(up, epsilon) <= exact_delta(rate, sigma, direction, epsilon - interval) * (1 + 1e-9) + 1e-14);
        CHECK(delta_at(down, epsilon) >= exact_delta(rate, sigma, direction, epsilon + interval) * (1 - 1e-9) - 1e-14);
      }
    }
}

TEST_CASE("masses are those of P, and e^-loss times them those of Q") {
  for (const loss_direction direction : directions)
    for (const double rate : {0.05, 1.0}) {
      const auto d = sampled_gaussian_distribution(rate, 1.5, direction, {.interval = 0.01});
      double p = 0, q = 0;
      for (std::size_t i = 0; i < d.mass.size(); ++i) {
        CHECK(d.mass[i] >= 0);
        p += d.mass[i];
        q += d.mass[i] * std::exp(-at(d, i));
      }
      CHECK(p == Approx(1).epsilon(1e-8));
      CHECK(p >= 1);
      CHECK(q == Approx(1).epsilon(1e-6));
      CHECK(d.infinite >= 1e-18);
      CHECK(d.infinite < 1.1e-18);
    }
}

TEST_CASE("what is truncated is at infinity, or of lower bounds nowhere") {
  const discretisation coarse{.interval = 0.01, .truncated = 1e-4};
  const auto cut = sampled_gaussian_distribution(0.2, 1, loss_direction::remove, coarse);
  CHECK(cut.infinite >= 1e-4);
  CHECK(cut.infinite < 1.001e-4);
  for (const double epsilon : {0.0, 0.5, 2.0, 9.0}) {
    CHECK(delta_at(cut, epsilon) >= exact_delta(0.2, 1, loss_direction::remove, epsilon));
    CHECK(delta_at(cut, epsilon) <= exact_delta(0.2, 1, loss_direction::remove, epsilon) * 1.001 + 1.1e-4);
  }
  const auto below = sampled_gaussian_distribution(0.2, 1, loss_direction::add, {0.01, loss_rounding::down, 1e-4});
  CHECK(below.infinite == 0);
  double sum = 0;
  for (const double p : below.mass) sum += p;
  CHECK(sum < 1 - 1e-4);
  CHECK(sum > 1 - 3e-4);
}

TEST_CASE("an (epsilon, delta) release is randomised response and delta at infinity") {
  for (const double interval : {0.1, 0.07, 1e-3}) {
    const auto d = approximate_distribution({0.5, 1e-3}, {.interval = interval});
    CHECK(d.infinite == Approx(1e-3).epsilon(1e-9));
    for (const double epsilon : {0.0, 0.2, 0.45, 0.5, 0.7}) {
      const double exact =
          1e-3 + 0.999 * (epsilon < 0.5 ? (std::exp(0.5) - std::exp(epsilon)) / (1 + std::exp(0.5)) : 0);
      CHECK(delta_at(d, epsilon) >= exact * (1 - 1e-12));
      CHECK(delta_at(d, epsilon) <= exact + 0.6 * interval);
    }
    const auto low = approximate_distribution({0.5, 1e-3}, {interval, loss_rounding::down});
    const auto high = approximate_distribution({0.5, 1e-3}, {interval, loss_rounding::up});
    CHECK(delta_at(low, 0.2) <= delta_at(d, 0.2));
    CHECK(delta_at(high, 0.2) >= delta_at(d, 0.2) * (1 - 1e-9));
    CHECK(low.infinite <= 1e-3);
  }
  const auto nothing = approximate_distribution({0, 0});
  CHECK(delta_at(nothing, 0) < 1e-3);
  CHECK(nothing.infinite == 0);
}

TEST_CASE("what cannot be discretised is refused") {
  const auto made = [](double rate, double sigma, const discretisation& how = {}) {
    return sampled_gaussian_distribution(rate, sigma, loss_direction::add, how);
  };
  for (const double bad : {0.0, -0.1, 1.1, std::nan("")}) CHECK_THROWS_AS(made(bad, 1), std::invalid_argument);
  for (const double bad : {0.0, 0.04, 2e6, std::nan("")}) CHECK_THROWS_AS(made(0.1, bad), std::invalid_argument);
  for (const double bad : {0.0, 9e-7, 1.1, std::nan("")}) {
    CHECK_THROWS_AS(made(0.1, 1, {.interval = bad}), std::invalid_argument);
    CHECK_THROWS_AS(approximate_distribution({1, 0}, {.interval = bad}), std::invalid_argument);
  }
  for (const double bad : {0.0, 0.01, std::nan("")})
    CHECK_THROWS_AS(made(0.1, 1, {.truncated = bad}), std::invalid_argument);
  CHECK_THROWS_AS(approximate_distribution({-1, 0}), std::invalid_argument);
  CHECK_THROWS_AS(approximate_distribution({1001, 0}), std::invalid_argument);
  CHECK_THROWS_AS(approximate_distribution({1, 1}), std::invalid_argument);
}
