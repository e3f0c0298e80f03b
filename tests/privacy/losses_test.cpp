// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/losses.hpp"

#include "hone/core/sigmoid.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

#include <string>

using namespace hone::privacy;
using hone::index_t;

namespace {
const hone::serial alone;

/// The loss of one record, from the formula.
long double plain(const owl_logistic&, const records& data, index_t i, const std::vector<long double>& z) {
  const double r = data.outcome()[i], s = data.sign()[i] * (r < 0 ? -1 : 1);
  return std::abs(r) * std::log1p(std::exp(-s * z[0]));
}
long double plain(const owl_huber& loss, const records& data, index_t i, const std::vector<long double>& z) {
  const double r = data.outcome()[i], h = loss.half_width;
  const long double m = data.sign()[i] * (r < 0 ? -1 : 1) * z[0];
  return std::abs(r) * (m > 1 + h ? 0 : std::abs(1 - m) <= h ? (1 + h - m) * (1 + h - m) / (4 * h) : 1 - m);
}
long double plain(const logistic&, const records& data, index_t i, const std::vector<long double>& z) {
  return std::log1p(std::exp(-(data.outcome()[i] > 0 ? 1 : -1) * z[0]));
}
long double plain(const a_learning&, const records& data, index_t i, const std::vector<long double>& z) {
  return std::pow(data.outcome()[i] - data.sign()[i] * z[0], 2.0L);
}
long double plain(const ad_learning&, const records& data, index_t i, const std::vector<long double>& z) {
  const index_t arms = data.limits().arms;
  const std::vector<double> u = simplex_corners(arms);
  long double left = data.outcome()[i] * static_cast<double>(arms) / static_cast<double>(arms - 1);
  for (std::size_t c = 0; c < z.size(); ++c)
    left -= z[c] * u[static_cast<std::size_t>(std::max<index_t>(data.arm()[i], 0)) * z.size() + c];
  return left * left;
}

template <class Loss>
void check_loss(const Loss& loss, domain limits) {
  const raw_records raw = random_records(limits, 21, true);
  const records data = raw.clipped();
  const auto d = static_cast<std::size_t>(data.columns()), m = static_cast<std::size_t>(bound(loss, limits).products);
  std::vector<double> w(static_cast<std::size_t>(limits.rows)), theta(m * d), gradient(m * d);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = hone::philox{4, 4}.uniform(i) * 3;
  for (std::size_t k = 0; k < theta.size(); ++k) theta[k] = 2 * hone::philox{5, 5}.normal(k);
  const detail::loss_rows<Loss> rows(loss, data, w);
  constexpr std::size_t products = std::same_as<Loss, ad_learning> ? most_arms - 1 : 1;
  const auto value_at = [&](const std::vector<double>& at) {
    long double sum = 0;
    for (index_t i = 0; i < limits.rows; ++i) {
      std::vector<long double> z(m);
      for (std::size_t c = 0; c < m; ++c)
        for (std::size_t j = 0; j < d; ++j)
          z[c] += static_cast<long double>(at[c * d + j]) * data(i, static_cast<index_t>(j));
      if (data.valid()[i] != 0) sum += w[static_cast<std::size_t>(i)] * plain(loss, data, i, z);
    }
    return sum;
  };
  CHECK(sum_rows<products>(data, theta, gradient, rows, alone) ==
        Approx(static_cast<double>(value_at(theta))).epsilon(1e-13));
  double longest = 0;
  for (std::size_t k = 0; k < theta.size(); ++k) {
    std::vector<double> up = theta, down = theta;
    const double step = 1e-5;
    up[k] += step;
    down[k] -= step;
    CHECK(gradient[k] ==
          Approx(static_cast<double>((value_at(up) - value_at(down)) / (2 * step))).epsilon(1e-6).margin(1e-6));
    longest = std::max(longest, std::abs(gradient[k]));
  }
  CHECK(longest > .1);
  if constexpr (requires { rows.curvature(index_t{}, lanes{}); }) {
    std::vector<double> hessian(d * d), up_gradient(d), down_gradient(d);
    sum_row_products(
        data, theta, hessian, [&](index_t first, const lanes& z) { return rows.curvature(first, z); }, alone);
    for (std::size_t k = 0; k < d; ++k) {
      std::vector<double> up = theta, down = theta;
      const double step = 1e-6;
      up[k] += step;
      down[k] -= step;
      sum_rows<products>(data, up, up_gradient, rows, alone);
      sum_rows<products>(data, down, down_gradient, rows, alone);
      for (std::size_t j = k; j < d; ++j)
        CHECK(hessian[j * d + k] ==
              Approx((up_gradient[j] - down_gradient[j]) / (2 * step)).epsilon(1e-5).margin(2e-5));
    }
  }
}

/// The largest gradient and trace of one record's Hessian, over many records and parameters, never pass L and c.
template <class Loss>
void check_bounds(const Loss& loss, domain limits, double tightness) {
  const loss_bound b = bound(loss, limits);
  double longest = 0, curved = 0;
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    limits.rows = 8;
    raw_records raw = random_records(limits, seed);
    if (seed % 2 == 0)
      for (double& value : raw.x) value *= 10;
    const records data = raw.clipped();
    const auto d = static_cast<std::size_t>(data.columns()), m = static_cast<std::size_t>(b.products);
    constexpr std::size_t products = std::same_as<Loss, ad_learning> ? most_arms - 1 : 1;
    for (std::size_t i = 0; i < 8; ++i) {
      std::vector<double> w(8), theta(m * d), gradient(m * d);
      w[i] = 1;
      for (std::size_t k = 0; k < theta.size(); ++k) theta[k] = hone::philox{seed, 6}.normal(8 * i + k) * 8;
      if (seed % 4 == 2)
        for (std::size_t j = 0; j < d; ++j)
          theta[j] = (j % 3 == seed % 3 ? 9 : -9) * data(static_cast<index_t>(i), static_cast<index_t>(j));
      double squared = 0;
      for (const double value : theta) squared += value * value;
      if (std::isfinite(b.radius))
        for (double& value : theta) value *= b.radius / std::sqrt(squared);
      const detail::loss_rows<Loss> rows(loss, data, w);
      sum_rows<products>(data, theta, gradient, rows, alone);
      double norm = 0;
      for (const double value : gradient) norm += value * value;
      longest = std::max(longest, std::sqrt(norm));
      if constexpr (requires { rows.curvature(index_t{}, lanes{}); }) {
        std::vector<double> hessian(d * d);
        for (double& value : theta) value /= 50;
        sum_row_products(
            data, theta, hessian, [&](index_t first, const lanes& z) { return rows.curvature(first, z); }, alone);
        double trace = 0;
        for (std::size_t j = 0; j < d; ++j) trace += hessian[j * d + j];
        curved = std::max(curved, trace);
      }
    }
  }
  CHECK(longest <= b.gradient);
  CHECK(longest > tightness * b.gradient);
  CHECK(curved <= b.curvature);
  if constexpr (!std::same_as<Loss, ad_learning>) CHECK(curved > .9 * b.curvature);
}
}  // namespace

TEST_CASE("values, gradients and curvatures are those of the formulas") {
  const domain two{.rows = 61, .features = 3, .row_bound = 2, .outcome_bound = 1.5};
  check_loss(owl_logistic{}, two);
  check_loss(owl_huber{}, two);
  check_loss(owl_huber{.half_width = .2}, two);
  check_loss(logistic{}, two);
  check_loss(a_learning{}, two);
  check_loss(ad_learning{}, two);
  domain more = two;
  more.arms = 5;
  check_loss(ad_learning{}, more);
  check_loss(logistic{}, more);
}

TEST_CASE("one record's gradient and curvature keep to L and c") {
  const domain two{.rows = 8, .features = 3, .row_bound = 2, .outcome_bound = 1.5, .intercept = 1};
  check_bounds(owl_logistic{}, two, .98);
  check_bounds(owl_huber{}, two, .98);
  check_bounds(owl_huber{.half_width = 1.25}, two, .98);
  check_bounds(logistic{}, two, .98);
  check_bounds(a_learning{.radius = 2}, two, .9);
  domain more = two;
  more.arms = 4;
  check_bounds(ad_learning{.radius = 3}, more, .6);
}

TEST_CASE("the constants L and c") {
  const domain d{.rows = 10, .features = 2, .row_bound = 2, .outcome_bound = 3, .arms = 2};
  const auto check = [](const loss_bound& b, double gradient, double curvature, double radius, index_t products) {
    CHECK(b.gradient == Approx(gradient).epsilon(1e-9));
    CHECK(b.curvature == Approx(curvature).epsilon(1e-9));
    CHECK(b.radius == radius);
    CHECK(b.products == products);
  };
  check(bound(owl_logistic{}, d), 6, 3, INFINITY, 1);
  check(bound(owl_huber{}, d), 6, 12, INFINITY, 1);
  check(bound(owl_huber{.half_width = 2}, d), 6, 3, INFINITY, 1);
  check(bound(logistic{}, d), 2, 1, INFINITY, 1);
  check(bound(a_learning{.radius = 5}, d), 2 * 2 * (3 + 2 * 5), 8, 5, 1);
  check(bound(ad_learning{.radius = 5}, d), 2 * 2 * (3 * 2 + 2 * 5), 8, 5, 1);
  domain four = d;
  four.arms = 4;
  check(bound(ad_learning{.radius = 5}, four), 2 * 2 * (4 + 2 * 5), 8, 5, 3);
  CHECK_THROWS_WITH(bound(owl_logistic{}, four),
                    "hone::privacy::bound(owl_logistic): arms: are 4, and this loss knows two");
  CHECK_THROWS_AS(bound(owl_huber{}, four), std::invalid_argument);
  CHECK_THROWS_AS(bound(a_learning{}, four), std::invalid_argument);
  CHECK_NOTHROW(bound(logistic{}, four));
  for (const double bad : {0.0, -1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK_THROWS_AS(bound(owl_huber{.half_width = bad}, d), std::invalid_argument);
    CHECK_THROWS_AS(bound(a_learning{.radius = bad}, d), std::invalid_argument);
    CHECK_THROWS_AS(bound(ad_learning{.radius = bad}, d), std::invalid_argument);
  }
  four.rows = 0;
  CHECK_THROWS_AS(bound(logistic{}, four), std::invalid_argument);
}

TEST_CASE("corners of a simplex") {
  for (const index_t arms : {2, 3, 4, 9}) {
    const std::vector<double> u = simplex_corners(arms);
    const index_t k = arms - 1;
    REQUIRE(std::ssize(u) == arms * k);
    for (index_t a = 0; a < arms; ++a)
      for (index_t b = 0; b < arms; ++b) {
        double product = 0;
        for (index_t c = 0; c < k; ++c)
          product += u[static_cast<std::size_t>(a * k + c)] * u[static_cast<std::size_t>(b * k + c)];
        CHECK(product == Approx(a == b ? 1 : -1 / static_cast<double>(k)).epsilon(1e-12));
      }
    CHECK(u[0] == Approx(1 / std::sqrt(static_cast<double>(k))).epsilon(1e-14));
  }
  CHECK(simplex_corners(2)[0] == 1);
}

TEST_CASE("rules, and the arm of a tie") {
  const std::vector<double> x{1, 2}, up{2, -.5}, tie{2, -1}, down{2, -1.5};
  CHECK(decide(owl_logistic{}, 2, x, up) == 1);
  CHECK(decide(owl_huber{}, 2, x, tie) == 1);
  CHECK(decide(a_learning{}, 2, x, down) == 0);
  CHECK(decide(ad_learning{}, 2, x, up) == 0);  // arm 0 is the corner 1
  CHECK(decide(ad_learning{}, 2, x, down) == 1);
  CHECK(decide(ad_learning{}, 2, x, tie) == 0);
  const std::vector<double> u = simplex_corners(4);
  for (index_t a = 0; a < 4; ++a) {
    std::vector<double> theta(6);
    for (std::size_t c = 0; c < 3; ++c) theta[2 * c + 1] = u[static_cast<std::size_t>(a) * 3 + c] / 2;
    CHECK(decide(ad_learning{}, 4, x, theta) == a);
  }
  CHECK(decide(ad_learning{}, 4, x, std::vector<double>(6)) == 0);
}
