// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/implicit.hpp"

#include "core/golden/implicit.hpp"
#include "hone/core/beta.hpp"
#include "hone/core/random.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace hone;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double slope_at(const beta_slope& slope, double log_x, double log_y) {
  return slope(std::exp(log_x), log_x, std::exp(log_y));
}

/// dx/da / (1 - x), form (P)'s factor.
double dirichlet_factor(double x, double a, double total) {
  return x * beta_slope(a, total - a)(x, std::log(x), 1 - x);
}

}  // namespace

TEST_CASE("slopes of log gamma variates in the shape: mpmath's, shapes from 1e-30 to 1e6") {
  for (const golden_gamma_slope_row& g : golden_gamma_slope) {
    INFO(g.a << ", " << g.log_y);
    // 1e-16 of log y moves a narrow density's slope by more than that.
    const double lost = 2e-16 * std::abs(g.log_y) * std::sqrt(g.a);
    CHECK(log_gamma_slope(g.a, g.log_y) == Approx(g.slope).epsilon(1e-12 + lost).margin(0));
  }
  CHECK(golden_gamma_slope.size() > 120);
}

TEST_CASE("slopes of logits of beta variates in the shape: mpmath's, shapes from 1e-30 to 1e6") {
  for (const golden_beta_slope_row& g : golden_beta_slope) {
    INFO(g.a << ", " << g.b << ", " << g.log_x << ", " << g.log_y);
    CHECK(slope_at(beta_slope(g.a, g.b), g.log_x, g.log_y) == Approx(g.slope).epsilon(1e-11).margin(0));
  }
  CHECK(golden_beta_slope.size() > 200);
}

TEST_CASE("implicit gradients: the reference vectors (R.3)") {
  const double gamma_rows[][3] = {{0.0823722372, 0.001, 0.0784883999},
                                  {0.0823722372, 0.05, 1.6456931188},
                                  {0.5, 0.2, 0.7940505663},
                                  {0.5, 1.5, 2.2395302531},
                                  {1, 0.7, 0.9732187410},
                                  {2.5, 2.0, 0.9534627029},
                                  {10, 9, 0.9641827243},
                                  {100, 105, 1.0263027070}};
  for (const auto& [a, y, slope] : gamma_rows)
    CHECK(y * log_gamma_slope(a, std::log(y)) == Approx(slope).epsilon(1e-9));
  const double total = 2.0137527074704766;
  CHECK(dirichlet_factor(0.2, 0.5410221421, total) == Approx(0.6421151826).epsilon(1e-9));
  CHECK(dirichlet_factor(0.3, 0.2686636448, total) == Approx(1.4193094850).epsilon(1e-9));
  CHECK(dirichlet_factor(0.5, 1.2040669205, total) == Approx(0.6074341173).epsilon(1e-9));
  CHECK(dirichlet_factor(0.02, 0.0823722372, std::exp(1)) == Approx(0.6860441792).epsilon(1e-9));
}

TEST_CASE("the incomplete gamma function's derivative in the shape is that of its values") {
  for (const double a : {0.05, 0.4, 1.0, 3.7, 30.0, 200.0, 2000.0})
    for (const double ratio : {0.2, 0.7, 1.0, 1.2, 2.0}) {
      const double x = ratio * a, h = 1e-4 * a;
      INFO(a << ", " << x);
      const double up = incomplete_gamma(a + h, x).lower - incomplete_gamma(a - h, x).lower;
      const double farther = incomplete_gamma(a + 2 * h, x).lower - incomplete_gamma(a - 2 * h, x).lower;
      CHECK(incomplete_gamma_slope(a, x) == Approx((8 * up - farther) / (12 * h)).epsilon(1e-6).margin(1e-12 / a));
    }
  CHECK(incomplete_gamma_slope(2, 0) == 0);
  CHECK(incomplete_gamma_slope(2, 1e4) == 0);
}

TEST_CASE("beta variates' slopes are those of the distribution's quantiles") {
  for (const double a : {0.3, 1.0, 4.0})
    for (const double b : {0.2, 1.0, 7.0})
      for (const double p : {0.05, 0.3, 0.6, 0.95}) {
        const auto logit_at = [&](double shape) { return detail::beta_logit(shape, b, p, 1 - p); };
        const double w = logit_at(a), h = 1e-3 * a;
        const double slope =
            (8 * (logit_at(a + h) - logit_at(a - h)) - logit_at(a + 2 * h) + logit_at(a - 2 * h)) / 12 / h;
        INFO(a << ", " << b << ", " << p);
        CHECK(slope_at(beta_slope(a, b), -std::log1p(std::exp(-w)), -std::log1p(std::exp(w))) ==
              Approx(slope).epsilon(1e-7));
      }
}

TEST_CASE("slopes at one shape are positive, finite and go on smoothly where the method changes") {
  for (double a = 1e-30; a < 1e7; a *= 7) {
    double last = infinity;
    for (double z = -8; z < 8; z += 0.03125) {
      // A grid about the variates of the shape, to -30 / a below 1.
      const double v = a < 1 ? (z < 0 ? z * 4 / a : 0.4 * z) : std::log(a) + z / std::sqrt(a);
      const double slope = log_gamma_slope(a, v);
      INFO(a << ", " << v);
      CHECK(slope > 0);
      CHECK(std::isfinite(slope));
      CHECK(slope <= last * (1 + 1e-9));  // log y moves the less, the larger it is
      last = slope;
    }
  }
  for (double a = 1e-30; a < 1e7; a *= 1e3)
    for (double b = 1e-30; b < 1e7; b *= 1e3) {
      const beta_slope slope(a, b);
      for (const double w : {-1e30, -1e10, -700.0, -30.0, -3.0, -0.1, 0.0, 0.1, 3.0, 30.0, 700.0, 1e30}) {
        const double log_x = w > 0 ? -std::log1p(std::exp(-w)) : w - std::log1p(std::exp(w));
        const double log_y = w > 0 ? -w - std::log1p(std::exp(-w)) : -std::log1p(std::exp(w));
        INFO(a << ", " << b << ", " << w);
        const double x = std::exp(log_x);
        if (x * slope_at(slope, log_x, log_y) > 1e300 || std::exp(-a * log_x) == infinity) continue;
        CHECK(x * slope_at(slope, log_x, log_y) >= 0);
        CHECK(std::isfinite(x * slope_at(slope, log_x, log_y)));
      }
    }
}

TEST_CASE("the difference of two digammas keeps its digits") {
  for (const double a : {1e-30, 1e-4, 0.3, 2.0, 9.9, 10.0, 300.0, 1e6})
    for (const double b : {1e-3, 0.5, 20.0, 1e5})
      CHECK(detail::digamma_difference(a, b) ==
            Approx(digamma(a + b) - digamma(a)).epsilon(1e-13).margin(2e-15 * (1 + std::abs(digamma(a)))));
  for (const double a : {1e-3, 0.3, 2.0, 9.9, 10.0, 300.0, 1e6})
    CHECK(detail::digamma_difference(a, 1e-9 * a) == Approx(1e-9 * a * trigamma(a)).epsilon(3e-9).margin(0));
}

TEST_CASE("slopes outside their domain") {
  for (const double bad : {0.0, -1.0, std::nan("")}) {
    CHECK(std::isnan(log_gamma_slope(bad, 0)));
    CHECK(std::isnan(incomplete_gamma_slope(bad, 1)));
  }
  CHECK(std::isnan(log_gamma_slope(1, std::nan(""))));
  CHECK(std::isnan(incomplete_gamma_slope(1, -1)));
  CHECK(std::isnan(beta_slope(1, 1)(std::nan(""), -1, 0.5)));
}

TEST_CASE("the mean of implicit gradients is the gradient of the mean") {
  // E y = a and E log y = psi(a), E x = a / (a + b).
  for (const double a : {0.08, 0.7, 3.0}) {
    double mean = 0, of_log = 0, of_x = 0;
    const int n = 40000;
    const double b = 1.5;
    const beta_slope slope(a, b);
    for (std::uint64_t i = 0; i < n; ++i) {
      const double v = philox{7}.log_gamma(a, i), u = philox{8}.log_gamma(b, i);
      mean += std::exp(v) * log_gamma_slope(a, v) / n;
      of_log += log_gamma_slope(a, v) / n;
      const double w = v - u, log_x = w > 0 ? -std::log1p(std::exp(-w)) : w - std::log1p(std::exp(w));
      const double log_y = log_x - w;
      of_x += std::exp(log_x + log_y) * slope_at(slope, log_x, log_y) / n;
    }
    CHECK(mean == Approx(1).epsilon(0.05));
    CHECK(of_log == Approx(trigamma(a)).epsilon(0.05));
    CHECK(of_x == Approx(b / (a + b) / (a + b)).epsilon(0.05));
  }
}
