// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/erm.hpp"
#include "hone/privacy/weights.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/distributed/threads.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

#include <string>

using namespace hone::privacy;
using hone::index_t;

namespace {
const hone::serial alone;

template <class Loss>
std::vector<double> fit(const Loss& loss, const records& data, std::span<const double> w, double ridge,
                        double* value = nullptr) {
  std::vector<double> theta(static_cast<std::size_t>(bound(loss, data.limits()).products * data.columns()), 7.0);
  const auto result = minimise(loss, data, w, ridge, 8, theta, alone, certificate{1e-13});
  CHECK(result.converged);
  if (value != nullptr) *value = result.value;
  return theta;
}

}  // namespace

TEST_CASE("fits of twelve records") {
  const records data = twelve().clipped();
  std::vector<double> w(12), one(12, 1.0), o(12);
  double value = 0;
  weigh(ipw{.ridge = .1}, data, w, alone, {1e-13});
  const std::vector<double> theta = fit(owl_logistic{}, data, w, .05, &value);
  check_near(theta, {0.8749340064, 1.1145658472, 0.1793307690});
  CHECK(value == Approx(0.6045910627).margin(2e-10));
  std::string rule;
  for (hone::index_t i = 0; i < 12; ++i) {
    const std::vector<double> x{data(i, 0), data(i, 1), data(i, 2)};
    rule += decide(owl_logistic{}, 2, x, theta) == 1 ? '+' : '-';
  }
  CHECK(rule == "++-+-+-+--++");
  check_near(fit(owl_huber{}, data, w, .05, &value), {1.2587953337, 1.5733167632, 0.1949071125});
  CHECK(value == Approx(0.6520704315).margin(2e-10));
  weigh(ipw{.ridge = .1, .clip = 2}, data, w, alone, {1e-13});
  check_near(fit(owl_logistic{}, data, w, .05, &value), {0.9086945465, 1.1008821324, 0.2268369397});
  CHECK(value == Approx(0.5866851594).margin(2e-10));
  check_near(fit(owl_logistic{}, data, one, .05, &value), {0.7134099128, 0.7407572227, 0.2687135866});
  CHECK(value == Approx(0.3478225990).margin(2e-10));
  weigh(ipw{.ridge = .1}, data, w, alone, {1e-13});
  weigh(overlap{.ridge = .1}, data, o, alone, {1e-13});
  check_near(fit(a_learning{.radius = 5}, data, w, .05), {0.5117107809, 0.5740910549, 0.0279743861});
  check_near(fit(a_learning{.radius = 5}, data, o, .05), {0.4058874743, 0.4733857645, 0.0286144081});
}

TEST_CASE("more arms: the fit is the solution of the normal equations") {
  for (const index_t arms : {2, 3, 4}) {
    const records data = random_records({.rows = 90, .features = 2, .arms = arms}, 17, true).clipped();
    std::vector<double> w(90);
    for (std::size_t i = 0; i < 90; ++i) w[i] = hone::philox{2, 2}.uniform(i) * 8;
    const std::vector<double> theta = fit(ad_learning{.radius = 50}, data, w, .03), u = simplex_corners(arms);
    const index_t k = arms - 1;
    const double stretch = static_cast<double>(arms) / static_cast<double>(k);
    // Every record's residual times its row and corner, and the ridge, cancel.
    std::vector<double> g(theta.size());
    for (index_t i = 0; i < 90; ++i) {
      if (data.arm()[i] < 0) continue;
      double left = stretch * data.outcome()[i];
      const auto corner = [&](index_t c) { return u[static_cast<std::size_t>(data.arm()[i] * k + c)]; };
      for (index_t c = 0; c < k; ++c)
        for (index_t j = 0; j < 3; ++j) left -= data(i, j) * theta[static_cast<std::size_t>(c * 3 + j)] * corner(c);
      for (index_t c = 0; c < k; ++c)
        for (index_t j = 0; j < 3; ++j)
          g[static_cast<std::size_t>(c * 3 + j)] -=
              2 * w[static_cast<std::size_t>(i)] * left * data(i, j) * corner(c) / 90;
    }
    for (std::size_t j = 0; j < g.size(); ++j) CHECK(g[j] + .03 * theta[j] == Approx(0).margin(2e-10));
  }
}

TEST_CASE("a ball that binds, a tilt, zero weights, one class") {
  const records data = random_records({.rows = 200, .features = 3}, 18, true).clipped();
  std::vector<double> w(200, 1.0), none(200);
  const std::vector<double> inside = fit(a_learning{.radius = 1e-2}, data, w, .05);
  double length = 0;
  for (const double value : inside) length += value * value;
  CHECK(std::sqrt(length) == Approx(1e-2).epsilon(1e-9));
  CHECK(std::sqrt(length) <= 1e-2 * (1 + 1e-15));
  for (const double value : fit(owl_logistic{}, data, none, .05)) CHECK(value == Approx(0).margin(1e-12));

  // <tilt, theta> / n moves the minimiser of the ridge alone by -tilt / (n ridge).
  std::vector<double> theta(4);
  const std::vector<double> tilt{1, -2, 3, 4};
  CHECK(minimise(owl_logistic{}, data, none, .05, 8, theta, alone, {1e-13}, tilt).converged);
  for (std::size_t j = 0; j < 4; ++j) CHECK(theta[j] == Approx(-tilt[j] / (200 * .05)).epsilon(1e-10));

  raw_records raw = random_records({.rows = 30, .features = 1}, 18);
  for (double& r : raw.outcome) r = 1;
  for (index_t& arm : raw.arm) arm = 1;
  for (const double value : fit(owl_logistic{}, raw.clipped(), std::vector<double>(30, 8.0), 1e-4))
    CHECK(std::isfinite(value));
}

TEST_CASE("the fit does not depend on threads or ranks") {
  const raw_records raw = random_records({.rows = 3 * block_rows + 70, .features = 5}, 19, true);
  const auto both = [&](const records& data, hone::executor_reference pool) {
    std::vector<double> w(static_cast<std::size_t>(data.held())), theta(6);
    weigh(normalised<ipw>{}, data, w, pool);
    minimise(owl_logistic{}, data, w, .02, bound(normalised<ipw>{}, raw.limits).largest, theta, pool);
    return theta;
  };
  const std::vector<double> theta = both(raw.clipped(), alone);
  hone::thread_pool four(4);
  CHECK(both(raw.clipped(), four) == theta);
  const std::vector<index_t> border{0, 2 * block_rows, 2 * block_rows, raw.limits.rows};
  hone::distributed::thread_ranks all(3);
  all.run([&](hone::distributed::threads& comm) {
    const records own = held_by(raw, border, comm);
    if (both(own, alone) != theta) throw std::runtime_error("other bits");
  });
}

TEST_CASE("sensitivities of twelve records and of ten thousand") {
  const auto exact = [](index_t rows, const auto& scheme) {
    const domain d{.rows = rows, .features = 2};
    const stability s = bound(scheme, d);
    return bound_minimum(owl_logistic{}, d, .05, s.largest, s.moved);
  };
  CHECK(exact(12, overlap{.ridge = .5}).sum == Approx(1.98775258).epsilon(1e-8));
  CHECK(exact(12, overlap{.ridge = .5}).exact == Approx(3.31292096).epsilon(1e-8));
  CHECK(exact(10000, overlap{.ridge = .5}).exact == Approx(.00397550516).epsilon(1e-8));
  CHECK(exact(10000, ipw{.ridge = .5}).sum == Approx(11.131877).epsilon(1e-8));
  CHECK(bound_minimum(owl_logistic{}, {.rows = 12, .features = 2}, .05, 1, 1).exact == Approx(5).epsilon(1e-9));
  CHECK(bound_minimum(owl_logistic{}, {.rows = 10000, .features = 2}, .05, 1, 1).exact == Approx(.006).epsilon(1e-9));
  // What the solver leaves: 2 tau / ridge, tau in units of L W; and a little for rounding.
  const sensitivity_bound b =
      bound_minimum(owl_logistic{}, {.rows = 12, .features = 2, .row_bound = 2, .outcome_bound = 3}, .05, 4, 1, {1e-3});
  CHECK(b.tau == Approx(1e-3 * 24).epsilon(1e-9));
  CHECK(b.sensitivity - b.exact == Approx(2 * .024 / .05).epsilon(1e-6));
  // u (L W (1024 / 8 + 24 + log2(n + 1)) + (c W + ridge) (d + 2) reach), reach = L W / ridge
  CHECK(b.rounding == Approx(0x1p-53 * (24 * (152 + std::log2(13.0)) + (3 * 4 + .05) * 5 * 24 / .05)).epsilon(1e-9));
  CHECK(b.exact == Approx(6 * 9 / (12 * .05)).epsilon(1e-9));
}

TEST_CASE("weights that are taken for fixed promise half of the truth") {
  // d = 1, x = 1, half of the arms; one record goes from (1, -1) to (-1, -1). All margins lie in the straight part of
  // the hinge, so that theta = sum w s |r| / (n ridge).
  const index_t n = 1000;
  const domain d{.rows = n, .features = 0, .intercept = 1};
  const auto theta_of = [&](index_t arm_of_last, double ridge) {
    std::vector<index_t> arm(static_cast<std::size_t>(n), 0);
    std::vector<double> outcome(arm.size(), 1.0);
    for (std::size_t i = 500; i < arm.size(); ++i) arm[i] = 1;
    arm.back() = arm_of_last;
    outcome.back() = -1;
    const records data(d, hone::matrix_view<const double>(nullptr, n, 0), arm, outcome, alone);
    // The bound of a ridge of 1e-6 is infinite; the weights are not.
    std::vector<double> beta(1), w(arm.size()), theta(1);
    const detail::arm_rows rows{data};
    detail::ridge_objective<1, detail::arm_rows> objective{data, rows, ridge, {}, alone};
    hone::linalg::minimise_newton(objective, beta, {.tolerance = 1e-15});
    weigh_by(ipw{}, data, beta, w, alone);
    minimise(owl_huber{}, data, w, 10, 2.1, theta, alone, {1e-13});
    return theta[0];
  };
  const double fixed = 2 * 2.004008 / (n * 10);
  CHECK(std::abs(theta_of(1, 1e-6) - theta_of(0, 1e-6)) == Approx(7.99200e-4).epsilon(1e-5));
  CHECK(std::abs(theta_of(1, 1e-6) - theta_of(0, 1e-6)) / fixed == Approx(1.99400).epsilon(1e-5));
  CHECK(std::abs(theta_of(1, .1) - theta_of(0, .1)) == Approx(6.85143e-4).epsilon(1e-5));
  // The library's bound, with a ridge that has one, holds.
  const stability s = bound(ipw{.ridge = .1}, d);
  const double honest = bound_minimum(owl_huber{}, d, 10, s.largest, s.moved_solved({})).sensitivity;
  CHECK(std::abs(theta_of(1, .1) - theta_of(0, .1)) <= honest);
}

TEST_CASE("arguments that do not fit are refused") {
  const records data = twelve().clipped();
  std::vector<double> w(12, 1.0), theta(3);
  const auto with = [&](std::span<const double> weight, double ridge, double largest, std::span<double> out,
                        certificate c, std::span<const double> tilt) {
    minimise(owl_logistic{}, data, weight, ridge, largest, out, alone, c, tilt);
  };
  CHECK_NOTHROW(with(w, .1, 1, theta, {}, {}));
  CHECK_THROWS_WITH(with(std::span(w).first(11), .1, 1, theta, {}, {}),
                    "hone::privacy::minimise: weight: has 11 elements, there are 12 rows");
  CHECK_THROWS_WITH(with(w, .1, 1, std::span(theta).first(2), {}, {}),
                    "hone::privacy::minimise: theta: has 2 elements, not 3");
  CHECK_THROWS_WITH(with(w, .1, 1, theta, {}, std::span(w).first(2)),
                    "hone::privacy::minimise: tilt: has 2 elements, theta 3");
  for (const double bad : {0.0, -1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK_THROWS_AS(with(w, bad, 1, theta, {}, {}), std::invalid_argument);
    CHECK_THROWS_AS(with(w, .1, bad, theta, {}, {}), std::invalid_argument);
    CHECK_THROWS_AS(with(w, .1, 1, theta, {bad}, {}), std::invalid_argument);
  }
  CHECK_THROWS_AS(bound_minimum(owl_logistic{}, data.limits(), .1, 1, -1), std::invalid_argument);
  CHECK_NOTHROW(bound_minimum(owl_logistic{}, data.limits(), .1, 1, 0));
}
