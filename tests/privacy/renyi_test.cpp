// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/renyi.hpp"

#include <vector>

#include "golden/accounting.hpp"
#include "hone/privacy/gaussian.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

namespace {

/// Renyi divergence of order alpha of two densities, by the midpoint rule.
template <class P, class Q>
double divergence(double alpha, P&& p, Q&& q, double low, double high) {
  const int points = 200000;
  const double step = (high - low) / points;
  double sum = 0;
  for (int i = 0; i < points; ++i) {
    const double x = low + (i + 0.5) * step, density = q(x);
    if (density > 0) sum += std::pow(p(x) / density, alpha) * density;
  }
  return std::log(sum * step) / (alpha - 1);
}
double normal_density(double x, double mean, double sigma) {
  const double z = (x - mean) / sigma;
  return std::exp(-0.5 * z * z) / sigma * 0.3989422804014327;
}

/// The least epsilon over whole orders 2..128 of @p steps sampled Gaussian steps.
double of_whole_orders(double rate, double sigma, double steps, double delta,
                       double (*convert)(double, double, double)) {
  double best = 1e9;
  for (int alpha = 2; alpha <= 128; ++alpha)
    best = (std::min)(best, convert(alpha, steps * sampled_gaussian_renyi(alpha, rate, sigma), delta));
  return best;
}

}  // namespace

TEST_CASE("both conversions have the values of the literature") {
  const double rows[][5] = {
      {2, .5, 1e-5, 12.012925465, 10.6266311039},     {8, .25, 1e-5, 1.89470363785, 1.46410916785},
      {16, 1, 1e-6, 1.9210340372, 1.67165626791},     {32, .1, 1e-5, 0.471384692418, 0.327838061755},
      {1.5, .02, 1e-5, 23.0458509299, 21.1363084251}, {64, 2.5, 1e-8, 2.79239175784, 2.71062938368}};
  for (const auto& [alpha, r, delta, basic, improved] : rows) {
    CHECK(renyi_epsilon_basic(alpha, r, delta) == Approx(basic).epsilon(1e-10));
    CHECK(renyi_epsilon(alpha, r, delta) == Approx(improved).epsilon(1e-10));
  }
}

TEST_CASE("orders up to 1.01 are converted by the basic formula, small losses are within delta, none is negative") {
  CHECK(renyi_epsilon(1.01, 0.1, 1e-5) == renyi_epsilon_basic(1.01, 0.1, 1e-5));
  CHECK(renyi_epsilon(1.0100001, 0.1, 1e-5) < renyi_epsilon_basic(1.0100001, 0.1, 1e-5) - 1);
  CHECK(renyi_epsilon(1 + 1e-12, 0.1, 0.1) > 1e11);
  // delta^2 + e^-r - 1 > 0
  CHECK(renyi_epsilon_basic(1.5, 0.24, 0.5) == 0);
  CHECK(renyi_epsilon_basic(1.5, 0.29, 0.5) > 0);
  CHECK(renyi_epsilon_basic(1.5, 0, 1e-8) == 0);
  CHECK(renyi_epsilon(1.5, 0.9, 0.999) == 0);
  CHECK(renyi_epsilon(3, 0.7, 0.7) == 0);  // -0.13 by the formula
  CHECK(renyi_epsilon_basic(3, 0.7, 0.7) > 0);
  CHECK(renyi_epsilon(2, privacy::detail::infinite, 1e-5) == privacy::detail::infinite);
  for (const double alpha : {1.005, 1.5, 4.0, 90.0}) {
    double before = 1e9;
    for (double delta = 1e-12; delta < 1; delta = delta < 0.1 ? 3 * delta : delta + 0.09) {
      const double epsilon = renyi_epsilon(alpha, 0.3, delta);
      CHECK(epsilon <= before);
      CHECK(epsilon >= 0);
      CHECK(epsilon <= renyi_epsilon_basic(alpha, 0.3, delta));
      before = epsilon;
    }
  }
}

TEST_CASE("Gaussian and Laplace noise have the divergence of their densities") {
  CHECK(gaussian_renyi(3, 2) == Approx(0.375).epsilon(1e-14));
  CHECK(gaussian_renyi(3, 2) >= 0.375);
  CHECK(laplace_renyi(2, 2) == Approx(0.200303896174).epsilon(1e-11));
  CHECK(laplace_renyi(8, 2) == Approx(0.410267881762).epsilon(1e-11));
  for (const double alpha : {1.3, 2.0, 6.0}) {
    const double of_normal = divergence(
        alpha, [](double x) { return normal_density(x, 1, 1.5); }, [](double x) { return normal_density(x, 0, 1.5); },
        -20, 30);
    CHECK(gaussian_renyi(alpha, 1.5) == Approx(of_normal).epsilon(1e-8));
    const double of_laplace = divergence(
        alpha, [](double x) { return std::exp(-std::abs(x - 1) / 0.8) / 1.6; },
        [](double x) { return std::exp(-std::abs(x) / 0.8) / 1.6; }, -40, 40);
    CHECK(laplace_renyi(alpha, 0.8) == Approx(of_laplace).epsilon(1e-6));
  }
  for (const auto& row : golden_laplace) {
    INFO(row.order << " " << row.scale);
    CHECK(laplace_renyi(row.order, row.scale) == Approx(row.r).epsilon(1e-9));
  }
  CHECK(laplace_renyi(1e6, 0.5) == Approx(2).epsilon(1e-5));
  CHECK(laplace_renyi(1e6, 0.5) <= 2 + 1e-15);
  CHECK(laplace_renyi(1e6, 1e-9) == Approx(1e9));
}

TEST_CASE("the sampled Gaussian has the values of the literature, and of the densities' divergence") {
  const double rows[][2] = {{2, 1.718134221e-4}, {3, 2.646375746e-4}, {4, 3.631540489e-4},
                            {8, 8.936439076e-4}, {16, 3.087850784},   {32, 11.24627594}};
  for (const auto& [alpha, r] : rows) CHECK(sampled_gaussian_renyi(alpha, 0.01, 1) == Approx(r).epsilon(1e-9));
  for (const auto& row : golden_sampled_renyi) {
    INFO(row.order << " " << row.rate << " " << row.sigma);
    CHECK(sampled_gaussian_renyi(row.order, row.rate, row.sigma) == Approx(row.r).epsilon(1e-7));
  }
  const auto one = [](double x) { return normal_density(x, 0, 1.5); };
  const auto mixed = [](double x) { return 0.7 * normal_density(x, 0, 1.5) + 0.3 * normal_density(x, 1, 1.5); };
  for (const double alpha : {2.0, 3.0, 7.0})
    CHECK(sampled_gaussian_renyi(alpha, 0.3, 1.5) == Approx(divergence(alpha, mixed, one, -20, 30)).epsilon(1e-7));
  for (const double alpha : {1.2, 1.9, 2.5, 3.75, 6.01}) {  // between whole orders a bound, and near
    const double exact = divergence(alpha, mixed, one, -20, 30), bound = sampled_gaussian_renyi(alpha, 0.3, 1.5);
    CHECK(bound >= exact * (1 - 1e-9));
    CHECK(bound <= exact * (alpha < 2 ? 2 : 1.25));
  }
  CHECK(sampled_gaussian_renyi(1.5, 0.3, 1.5) == Approx(sampled_gaussian_renyi(2, 0.3, 1.5)));
  CHECK(sampled_gaussian_renyi(1 + 1e-9, 1e-3, 1.5) <= sampled_gaussian_renyi(2, 1e-3, 1.5) * (1 + 1e-12));
  CHECK(sampled_gaussian_renyi(5, 0, 1) == 0);
  CHECK(sampled_gaussian_renyi(5, 1, 2) == gaussian_renyi(5, 2));
  CHECK(sampled_gaussian_renyi(5, 1 - 1e-12, 2) == Approx(gaussian_renyi(5, 2)).epsilon(1e-9));
  CHECK(sampled_gaussian_renyi(4000, 0.5, 0.1) <= gaussian_renyi(4000, 0.1));
  CHECK(sampled_gaussian_renyi(4000, 0.5, 0.1) == Approx(gaussian_renyi(4000, 0.1) - std::log(2)).epsilon(1e-6));
  CHECK(sampled_gaussian_renyi(2, 1e-150, 1) == Approx(1e-300 * std::expm1(1)).epsilon(1e-9));
}

TEST_CASE("training runs cost what the literature and dp-accounting say") {
  CHECK(of_whole_orders(.01, 1, 1000, 1e-5, renyi_epsilon) == Approx(2.107753075).epsilon(1e-9));
  CHECK(of_whole_orders(.01, 1, 1000, 1e-5, renyi_epsilon_basic) == Approx(2.538347545).epsilon(1e-9));
  CHECK(of_whole_orders(.004, .8, 3000, 1e-5, renyi_epsilon) == Approx(2.463947038).epsilon(1e-9));
  CHECK(of_whole_orders(.004, .8, 3000, 1e-5, renyi_epsilon_basic) == Approx(3.004620489).epsilon(1e-9));
  for (const auto& row : golden_training) {
    INFO(row.rate << " " << row.sigma << " " << row.steps);
    CHECK(of_whole_orders(row.rate, row.sigma, row.steps, row.delta, renyi_epsilon) == Approx(row.renyi).epsilon(1e-7));
  }
}

TEST_CASE("exact Gaussian losses are below the improved conversion, which is below the basic one") {
  const double rows[][5] = {{1, 1, 1e-5, 5.298525912, 4.728386985},
                            {4, 10, 1e-5, 4.106067823, 3.616966247},
                            {10, 100, 1e-6, 5.75652177, 5.221534445},
                            {2, 1, 1e-6, 2.753260885, 2.419093177}};
  for (const auto& [sigma, k, delta, basic, improved] : rows) {
    double best[2] = {1e9, 1e9};
    each_order([&, s = sigma, n = k, d = delta](double alpha) {
      const double r = n * gaussian_renyi(alpha, s);
      best[0] = (std::min)(best[0], renyi_epsilon_basic(alpha, r, d));
      best[1] = (std::min)(best[1], renyi_epsilon(alpha, r, d));
    });
    CHECK(best[0] == Approx(basic).epsilon(1e-3));
    CHECK(best[0] >= basic * (1 - 1e-9));
    CHECK(best[1] == Approx(improved).epsilon(1e-3));
    CHECK(best[1] >= improved * (1 - 1e-9));
    CHECK(gaussian_epsilon(std::sqrt(k) / sigma, delta) < best[1]);
  }
}

TEST_CASE("the orders of which the best is taken") {
  std::vector<double> orders;
  each_order([&](double alpha) { orders.push_back(alpha); });
  CHECK(orders.front() == Approx(1.1));
  CHECK(orders[98] == Approx(10.9));
  CHECK(orders[99] == 11);
  CHECK(orders[151] == 63);
  CHECK(orders[152] == 64);
  CHECK(orders[153] == 72);
  CHECK(orders[160] == 128);
  CHECK(orders.back() == 3840);
  CHECK(std::is_sorted(orders.begin(), orders.end()));
}

TEST_CASE("what is no order, loss, delta, rate, scale is refused") {
  for (const double bad : {1.0, 0.5, -2.0, privacy::detail::infinite, std::nan("")}) {
    CHECK_THROWS_AS(gaussian_renyi(bad, 1), std::invalid_argument);
    CHECK_THROWS_AS(laplace_renyi(bad, 1), std::invalid_argument);
    CHECK_THROWS_AS(sampled_gaussian_renyi(bad, 0.1, 1), std::invalid_argument);
    CHECK_THROWS_AS(renyi_epsilon(bad, 1, 1e-5), std::invalid_argument);
  }
  for (const double bad : {0.0, -1.0, privacy::detail::infinite, std::nan("")}) {
    CHECK_THROWS_AS(gaussian_renyi(2, bad), std::invalid_argument);
    CHECK_THROWS_AS(laplace_renyi(2, bad), std::invalid_argument);
    CHECK_THROWS_AS(sampled_gaussian_renyi(2, 0.1, bad), std::invalid_argument);
  }
  for (const double bad : {-0.1, 1.1, std::nan("")})
    CHECK_THROWS_AS(sampled_gaussian_renyi(2, bad, 1), std::invalid_argument);
  for (const double bad : {0.0, 1.0, std::nan("")}) {
    CHECK_THROWS_AS(renyi_epsilon(2, 1, bad), std::invalid_argument);
    CHECK_THROWS_AS(renyi_epsilon_basic(2, 1, bad), std::invalid_argument);
  }
  CHECK_THROWS_AS(renyi_epsilon(2, -1e-9, 1e-5), std::invalid_argument);
  CHECK_THROWS_AS(sampled_gaussian_renyi(100001, 0.1, 1), std::invalid_argument);
}
