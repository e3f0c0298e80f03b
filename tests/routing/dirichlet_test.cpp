// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/dirichlet.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using numbers = std::vector<double>;

const numbers theta = {0.2, -0.5, 1.0};
const numbers mean = {0.2686636448, 0.1334144177, 0.5979219375};
const numbers alpha = {0.5410221421, 0.2686636448, 1.2040669205};

void check_near(const numbers& x, const numbers& expected, double error = 1e-9) {
  REQUIRE(x.size() == expected.size());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(expected[i]).epsilon(error).margin(1e-10));
}

/// To theta, and gamma last.
numbers chain(const numbers& slope) {
  double sum = 0;
  for (std::size_t l = 0; l < slope.size(); ++l) sum += alpha[l] * slope[l];
  numbers result;
  for (std::size_t l = 0; l < slope.size(); ++l) result.push_back(alpha[l] * slope[l] - mean[l] * sum);
  result.push_back(sum);
  return result;
}

numbers gradient_of(const numbers& log_variates, const numbers& upstream, gradient_form form) {
  dirichlet_draw draw;
  draw.set(log_variates);
  numbers result(alpha.size());
  dirichlet_gradient(alpha, form).add(draw, upstream, 1, result);
  return result;
}

numbers logs(const numbers& x) {
  numbers result;
  for (const double value : x) result.push_back(std::log(value));
  return result;
}

}  // namespace

TEST_CASE("routing dirichlet: the reference vectors of gradients (R.3)") {
  const numbers g = {1, -2, 0.5};
  const numbers p = gradient_of(logs({0.2, 0.3, 0.5}), g, gradient_form::beta);
  check_near(p, {0.7384324600, -2.6257225473, 0.3948321762});
  check_near(chain(p), {0.3539761414, -0.7280467962, 0.3740706549, 0.1694764840});
  const numbers q = gradient_of(logs({0.4, 0.6, 1.0}), g, gradient_form::gamma);
  check_near(q, {0.6422910498, -2.1991595024, 0.3379761456});
  check_near(gradient_of(logs({0.4, 0.6, 1.0}), g, gradient_form::beta), p, 1e-12);  // given x alone
}

TEST_CASE("routing dirichlet: the reference vectors of entropy and divergence (R.1)") {
  numbers slope(3);
  CHECK(dirichlet_entropy(alpha, slope) == Approx(-2.4390007252).epsilon(1e-9));
  check_near(slope, {1.3514024968, 10.3593438500, -0.8880375029});
  check_near(chain(slope), {0.0742396283, 2.4569726646, -2.5312122929, 2.4450611688});
  slope.assign(3, 0);
  CHECK(dirichlet_kl(alpha, numbers{1, 1, 1}, slope) == Approx(1.7458535446).epsilon(1e-9));
  check_near(slope, {-1.3514024968, -10.3593438500, 0.8880375029});
  check_near(chain(slope), {-0.0742396283, -2.4569726646, 2.5312122929, -2.4450611688});
  slope.assign(3, 0);
  CHECK(dirichlet_kl(alpha, numbers{2, 2, 2}, slope, 3) == Approx(4.9319131870).epsilon(1e-9));
  check_near(slope, {3 * -3.7514938879, 3 * -23.4683236545, 3 * 1.5449128446});
  CHECK(dirichlet_kl(alpha, alpha) == Approx(0).margin(1e-14));
  const numbers start(33, std::exp(1.0) / 33);
  CHECK(dirichlet_entropy(start) == Approx(-325.0578618338).epsilon(1e-11));
  CHECK(dirichlet_kl(start, numbers(33, 1.0)) == Approx(243.4999023776).epsilon(1e-11));
  CHECK(1 / effective_layers(start) == Approx(0.2910947116).epsilon(1e-9));
  // Gradients are added, and times the scale.
  numbers once(3), twice(3, 5.0);
  dirichlet_entropy(alpha, once);
  dirichlet_entropy(alpha, twice, -2);
  for (std::size_t l = 0; l < 3; ++l) CHECK(twice[l] == Approx(5 - 2 * once[l]).epsilon(1e-14));
  numbers kl(3), added(3, 5.0);
  dirichlet_kl(alpha, numbers{2, 1, 3}, kl);
  dirichlet_kl(alpha, numbers{2, 1, 3}, added, -2);
  for (std::size_t l = 0; l < 3; ++l) CHECK(added[l] == Approx(5 - 2 * kl[l]).epsilon(1e-14));
  dirichlet_draw draw;
  draw.set(logs({0.2, 0.3, 0.5}));
  numbers slopes(3), more(3, 5.0);
  const dirichlet_gradient of_draw(alpha, gradient_form::beta);
  of_draw.add(draw, numbers{1, -2, 0.5}, 1, slopes);
  of_draw.add(draw, numbers{1, -2, 0.5}, -2, more);
  for (std::size_t l = 0; l < 3; ++l) CHECK(more[l] == Approx(5 - 2 * slopes[l]).epsilon(1e-14));
  CHECK(effective_layers(numbers{1, 2, 1}) == Approx(5 / (1 + 4 * 0.375)).epsilon(1e-15));
}

TEST_CASE("routing dirichlet: the reference vectors of the density (R.1)") {
  numbers slope(3), added(3, 5.0);
  const numbers x = logs({0.2, 0.3, 0.5});
  CHECK(dirichlet_log_density(alpha, x, slope) == Approx(-0.1376007327).epsilon(1e-9));
  check_near(slope, {0.5963751751, 3.1551046305, 0.0223665017});
  dirichlet_log_density(alpha, x, added, -2);
  for (std::size_t l = 0; l < 3; ++l) CHECK(added[l] == Approx(5 - 2 * slope[l]).epsilon(1e-14));
  CHECK(dirichlet_log_density(alpha, x) == dirichlet_log_density(alpha, x, slope));
  CHECK(dirichlet_log_density(numbers{1, 1, 1}, x) == Approx(std::log(2.0)).epsilon(1e-14));
  CHECK_THROWS_WITH(dirichlet_log_density(alpha, logs({0.5, 0.5})),
                    "hone::routing::dirichlet_log_density: log_weights: has 2 elements, alpha 3");
}

TEST_CASE("routing dirichlet: entropy's and divergence's gradients by differences") {
  const numbers prior = {0.7, 3, 0.2};
  for (std::size_t l = 0; l < 3; ++l) {
    numbers up = alpha, down = alpha, entropy(3), kl(3);
    const double h = 1e-5;
    up[l] += h;
    down[l] -= h;
    dirichlet_entropy(alpha, entropy);
    dirichlet_kl(alpha, prior, kl);
    CHECK(entropy[l] == Approx((dirichlet_entropy(up) - dirichlet_entropy(down)) / (2 * h)).epsilon(1e-7));
    CHECK(kl[l] == Approx((dirichlet_kl(up, prior) - dirichlet_kl(down, prior)) / (2 * h)).epsilon(1e-7));
  }
}

TEST_CASE("routing dirichlet: both forms are unbiased, against quadrature's value (R.3)") {
  // L = 2, alpha = (0.8, 1.7), u = (1.5, -0.7): the gradient of E softplus(u x).
  const numbers a = {0.8, 1.7}, u = {1.5, -0.7};
  const int n = 60000;
  for (const gradient_form form : {gradient_form::beta, gradient_form::gamma}) {
    const dirichlet_gradient gradient(a, form);
    dirichlet_draw draw;
    numbers sum(2), squares(2);
    double value = 0;
    for (std::size_t i = 0; i < n; ++i) {
      draw.sample(a, {5, 1}, draw_index(i, 0));
      const double logit = draw.weights()[0] * u[0] + draw.weights()[1] * u[1];
      value += std::log1p(std::exp(logit)) / n;
      numbers one(2);
      gradient.add(draw, u, 1 / (1 + std::exp(-logit)), one);
      for (std::size_t l = 0; l < 2; ++l) {
        sum[l] += one[l] / n;
        squares[l] += one[l] * one[l] / n;
      }
    }
    CHECK(value == Approx(0.7316938533).margin(0.005));
    const numbers expected = {0.3051139959, -0.1585993807};
    for (std::size_t l = 0; l < 2; ++l) {
      const double error = std::sqrt(squares[l] / n);
      CHECK(sum[l] == Approx(expected[l]).margin(4.5 * error));
      CHECK(error < 0.003);
    }
    if (form == gradient_form::beta) CHECK(std::sqrt(squares[0] - sum[0] * sum[0]) == Approx(0.137).epsilon(0.1));
    if (form == gradient_form::gamma) CHECK(std::sqrt(squares[0] - sum[0] * sum[0]) == Approx(0.180).epsilon(0.1));
  }
}

TEST_CASE("routing dirichlet: gradients by differences of the exact expectation") {
  // E f(x) over Beta(a, b) by the trapezoid rule in the logit, where the integrand is smooth: both forms' means by the
  // same rule, the second over its two gamma variates.
  const double a = 0.6, b = 1.1;
  const numbers u = {2, -1};
  const auto softplus = [](double z) { return std::log1p(std::exp(z)); };
  const auto expectation = [&](double p, double q, auto&& f) {
    const double constant = log_gamma(p + q) - log_gamma(p) - log_gamma(q), step = 0.05;
    double sum = 0;
    for (double w = -120; w < 90; w += step) {
      const double log_x = -std::log1p(std::exp(-w)), log_y = -std::log1p(std::exp(w));
      sum += step * std::exp(constant + p * log_x + q * log_y) * f(log_x, log_y);
    }
    return sum;
  };
  const auto value = [&](double p, double q) {
    return expectation(
        p, q, [&](double log_x, double) { return softplus(u[0] * std::exp(log_x) + u[1] * (1 - std::exp(log_x))); });
  };
  const double h = 1e-4;
  const numbers expected = {(value(a + h, b) - value(a - h, b)) / (2 * h),
                            (value(a, b + h) - value(a, b - h)) / (2 * h)};
  const dirichlet_gradient by_beta(numbers{a, b}, gradient_form::beta), by_gamma(numbers{a, b}, gradient_form::gamma);
  dirichlet_draw draw;
  for (std::size_t l = 0; l < 2; ++l) {
    const double mean_beta = expectation(a, b, [&](double log_x, double log_y) {
      draw.set(numbers{log_x, log_y});
      numbers one(2);
      const double logit = u[0] * draw.weights()[0] + u[1] * draw.weights()[1];
      by_beta.add(draw, u, 1 / (1 + std::exp(-logit)), one);
      return one[l];
    });
    CHECK(mean_beta == Approx(expected[l]).epsilon(1e-6));
    // Given x the sum S of the variates is Gamma(a + b): 200 of its quantiles do for the second form.
    const double mean_gamma = expectation(a, b, [&](double log_x, double log_y) {
      double sum = 0, weight = 0;
      for (double v = -30; v < 5; v += 0.25) {
        const double density = std::exp((a + b) * v - std::exp(v));
        draw.set(numbers{log_x + v, log_y + v});
        numbers one(2);
        const double logit = u[0] * draw.weights()[0] + u[1] * draw.weights()[1];
        by_gamma.add(draw, u, 1 / (1 + std::exp(-logit)), one);
        sum += density * one[l];
        weight += density;
      }
      return sum / weight;
    });
    CHECK(mean_gamma == Approx(expected[l]).epsilon(1e-5));
  }
}

TEST_CASE("routing dirichlet: draws at concentrations of 0.001 and far below") {
  // E of the sum of squares, (1 + 0.003 / 3) / 1.003; no draw is (1/3, 1/3, 1/3) [pytorch#76030].
  const numbers small(3, 0.001);
  dirichlet_draw draw;
  double squares = 0, biggest = 0;
  for (std::size_t i = 0; i < 20000; ++i) {
    draw.sample(small, {1}, draw_index(i, 0));
    double own = 0;
    for (const double x : draw.weights()) own += x * x;
    squares += own / 20000;
    biggest += draw.weights()[draw.largest()] < 0.34;
  }
  CHECK(squares == Approx(0.9980059821).margin(0.001));
  CHECK(biggest == 0);
  CHECK(1 / effective_layers(small) == Approx(0.9980059821).epsilon(1e-9));
}

TEST_CASE("routing dirichlet: weights are log_dirichlet's, and know what is left beside the largest") {
  const numbers a = {0.08, 2, 0.3, 1e-3};
  dirichlet_draw draw;
  numbers log_weights(4);
  for (std::size_t i = 0; i < 300; ++i) {
    draw.sample(a, {3, 2}, draw_index(i, 1));
    philox{3, 2}.log_dirichlet(a, draw_index(i, 1), log_weights);
    double sum = 0;
    for (std::size_t l = 0; l < 4; ++l) {
      CHECK(draw.log_weight(l) == Approx(log_weights[l]).epsilon(1e-12).margin(1e-12));
      CHECK(draw.weights()[l] == Approx(std::exp(log_weights[l])).epsilon(1e-11).margin(1e-300));
      double rest = 0;
      for (std::size_t j = 0; j < 4; ++j) rest += j == l ? 0 : draw.weights()[j];
      CHECK(draw.rest(l) == Approx(rest).epsilon(1e-9).margin(1e-14));
      sum += draw.weights()[l];
    }
    CHECK(sum == Approx(1).epsilon(1e-14));
  }
}

TEST_CASE("routing dirichlet: gradients are finite for concentrations from 1e-100 to 1e6") {
  for (const double scale : {1e-99, 1e-30, 1e-10, 1e-3, 0.08, 1.0, 30.0, 1e3, 1e6})
    for (const gradient_form form : {gradient_form::beta, gradient_form::gamma}) {
      const numbers a = {scale, 2 * scale, 0.5 * scale, (max)(scale, 0.1), scale * 1e-10 + 1e-100};
      const dirichlet_gradient gradient(a, form);
      const numbers g = {1, -2, 0.5, 3, 0};
      dirichlet_draw draw;
      for (std::size_t i = 0; i < 50; ++i) {
        INFO(scale << ", draw " << i);
        numbers slope(5);
        draw.sample(a, {9}, draw_index(i, 0));
        gradient.add(draw, g, 1, slope);
        for (std::size_t l = 0; l < 5; ++l) {
          CHECK(std::isfinite(slope[l]));
          CHECK(std::isfinite(a[l] * slope[l]));
        }
        double sum = 0;
        for (const double x : draw.weights()) sum += x;
        CHECK(sum == Approx(1).epsilon(1e-14));
      }
    }
}

TEST_CASE("routing dirichlet: addresses, one layer, misuse") {
  CHECK(draw_index(3, 2) == 3 * 65536 + 2);
  CHECK(epoch_random({1, 7}, 0).seed != epoch_random({1, 7}, 1).seed);
  CHECK(epoch_random({1, 7}, 4).stream == 7);
  // Both halves of the seed are of the epoch, of the seed and of the stream.
  for (const philox& other : {epoch_random({1, 7}, 5), epoch_random({2, 7}, 4), epoch_random({1, 8}, 4)}) {
    const std::uint64_t changed = other.seed ^ epoch_random({1, 7}, 4).seed;
    CHECK((changed >> 32) != 0);
    CHECK((changed & 0xffffffff) != 0);
  }
  CHECK((epoch_random({1, 7}, 4).seed >> 32) != (epoch_random({1, 7}, 4).seed & 0xffffffff));
  const numbers one = {0.5};
  dirichlet_draw draw;
  draw.sample(one, {1}, 0);
  CHECK(draw.weights()[0] == 1);
  numbers slope(1);
  dirichlet_gradient(one, gradient_form::beta).add(draw, numbers{4}, 1, slope);
  CHECK(slope[0] == 0);
  for (const double bad : {0.0, -1.0, 1e-200, 1e301, std::nan("")})
    for (const numbers& a : {numbers{1, bad}, numbers{bad, 1}})
      for (const gradient_form form : {gradient_form::beta, gradient_form::gamma})
        CHECK_THROWS_AS(dirichlet_gradient(a, form), std::invalid_argument);
  CHECK_THROWS_WITH(dirichlet_gradient(numbers{1, 1e300}, gradient_form::gamma),
                    "hone::routing::dirichlet_gradient: concentrations: must be in [1e-100, 1e300), one is 1e+300");
  // Weights of 0 as they may be given.
  draw.set(numbers{0, -std::numeric_limits<double>::infinity()});
  CHECK(draw.weights()[1] == 0);
  CHECK(draw.weights()[0] == 1);
  // A smaller draw after a larger one.
  draw.set(logs({0.1, 0.7, 0.2}));
  CHECK(draw.largest() == 1);
  CHECK(draw.rest(1) == Approx(0.3).epsilon(1e-14));
  draw.set(logs({2, 1}));
  CHECK(draw.size() == 2);
  CHECK(draw.largest() == 0);
  check_near({draw.weights().begin(), draw.weights().end()}, {2.0 / 3, 1.0 / 3}, 1e-14);
  draw.set(numbers{});
  CHECK(draw.size() == 0);
}
