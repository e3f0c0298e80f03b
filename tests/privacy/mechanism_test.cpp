// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/mechanism.hpp"

#include "support/catch.hpp"

#include <cmath>

using namespace hone::privacy;

namespace {
const domain twelve_rows{.rows = 12, .features = 2}, many_rows{.rows = 10000, .features = 2};
constexpr double rest = 0x1p-10;

plan of(mechanism kind, const domain& d = twelve_rows, epsilon_delta promise = {1, 0}, mechanism_options options = {}) {
  options.kind = kind;
  return prepare(overlap{.ridge = .5}, owl_logistic{}, d, .05, promise, options);
}
}  // namespace

TEST_CASE("noise by its norm and in the objective, of twelve records and of many") {
  const plan norm = of(mechanism::gamma_norm), inside = of(mechanism::objective),
             many = of(mechanism::objective, many_rows);
  CHECK(norm.output.scale == Approx(3.31292096).epsilon(1e-8));
  CHECK(norm.expected_norm == Approx(9.93876289).epsilon(1e-8));
  CHECK(norm.ideal());
  CHECK((norm.cost.basic == epsilon_delta{1, 0}));
  // epsilon' = .493174753 without the 2^-10 that cover the solver; |b| has the scale S / epsilon'
  CHECK(inside.tilt == Approx(1.98775258 / (.493174753 - rest)).epsilon(1e-7));
  CHECK(many.tilt == Approx(1.98775258 / (.999337489 - rest)).epsilon(1e-7));
  CHECK(inside.ideal());
  CHECK((inside.cost.basic == epsilon_delta{1, 0}));
  CHECK(inside.expected_norm == Approx(3 * inside.tilt / (12 * .05)).epsilon(1e-5));
  CHECK(inside.output.scale > 0);
  CHECK(inside.output.scale < 1e-5);
  CHECK(of(mechanism::gamma_norm, many_rows, {.5, 0}).output.scale == Approx(2 * .00397550516).epsilon(1e-7));
}

TEST_CASE("rows of length 2: the curvature has the square") {
  const auto left = [](double length) {
    const plan p = prepare(known{.least = 1}, logistic{}, {.rows = 1000, .features = 2, .row_bound = length}, .01,
                           {1, 0}, {.kind = mechanism::objective});
    return 2 * length / p.tilt + rest;
  };
  CHECK(left(1) == Approx(.97510359).epsilon(1e-7));
  CHECK(left(2) == Approx(.90163053).epsilon(1e-7));
}

TEST_CASE("the lattice: multipliers of its own accounting, Laplace without delta") {
  const plan p = of(mechanism::lattice, twelve_rows, {1, 1e-5}), q = of(mechanism::lattice);
  CHECK(p.output.family == noise_family::lattice_gaussian);
  CHECK(p.output.scale == Approx(4.0451303583 * 3.31292096).epsilon(3e-5));
  CHECK(p.cost.basic.epsilon <= 1);
  CHECK(p.cost.basic.epsilon > .9999);
  CHECK(p.cost.basic.delta == 1e-5);
  CHECK_FALSE(p.ideal());
  CHECK(q.output.family == noise_family::lattice_laplace);
  CHECK(q.output.scale == Approx(std::sqrt(3.) * 3.31292096).epsilon(3e-5));
  CHECK((q.cost.basic == epsilon_delta{1, 0}));
  CHECK_FALSE(q.ideal());
}

TEST_CASE("composition: what the stages get, and with what bounds") {
  const double sigma = .662584193, beta = 2 * sigma / (12 * .5);
  const plan norm = of(mechanism::gamma_norm, twelve_rows, {1, 0}, {.composed = true});
  CHECK(norm.fit.sum == Approx(2 * sigma).epsilon(1e-8));
  CHECK(norm.parameters.sensitivity == Approx(beta).epsilon(1e-8));
  CHECK(norm.parameters.scale == Approx(beta / .25).epsilon(1e-8));
  CHECK(norm.output.scale == Approx(2 * sigma / (12 * .05) / .75).epsilon(1e-8));
  CHECK((norm.cost.basic == epsilon_delta{1, 0}));
  CHECK(norm.ideal());
  const plan half = of(mechanism::lattice, twelve_rows, {1, 0}, {.composed = true, .share = .5});
  CHECK(half.parameters.scale == Approx(std::sqrt(3.) * beta / .5).epsilon(3e-5));
  CHECK(half.output.scale == Approx(std::sqrt(3.) * 2 * sigma / (12 * .05) / .5).epsilon(3e-5));
  CHECK((half.cost.basic == epsilon_delta{1, 0}));
  CHECK_FALSE(half.ideal());
  const plan gauss = of(mechanism::lattice, twelve_rows, {1, 1e-5}, {.composed = true});
  CHECK(gauss.parameters.scale == Approx(4.0451303583 * beta * 2).epsilon(3e-5));
  CHECK(gauss.output.scale == Approx(4.0451303583 * 2 * sigma / (12 * .05) / std::sqrt(.75)).epsilon(3e-5));
  CHECK(gauss.cost.basic.epsilon <= 1);
  CHECK(gauss.cost.basic.epsilon > .9999);
  CHECK(gauss.cost.parameter >= gauss.output.cost.parameter + gauss.parameters.cost.parameter);
  // In the objective: curvature of W alone.
  const plan inside = of(mechanism::objective, twelve_rows, {1, 0}, {.composed = true});
  const double left = .75 * (1 - rest) - 3 * std::log1p(.25 * sigma / (12 * .05 * 3));
  CHECK(inside.tilt == Approx(2 * sigma / left).epsilon(1e-8));
  // Arms that are normalised move together still, S = 4 W / tau.
  const plan floored = prepare(normalised<ipw>{.scheme = {}, .floor = .9}, owl_logistic{}, twelve_rows, .05, {1, 0},
                               {.kind = mechanism::gamma_norm, .composed = true});
  CHECK(floored.fit.sum == Approx(4 * 2.49340409 / .9).epsilon(1e-8));
  // Of several parts, each solved for alone, the solver's rest adds up in squares.
  const domain four{.rows = 12, .features = 2, .arms = 4};
  const plan parts = prepare(entropy_balancing{.ridge = 4}, ad_learning{}, four, .05, {1, 0},
                             {.kind = mechanism::gamma_norm, .composed = true, .solver = {1e-3}});
  CHECK(parts.parameters.sensitivity == Approx(2 * 2 / (4 * 12.) + 2 * 2 * 1e-3 / 4).epsilon(1e-6));
}

TEST_CASE("the worst case is that all other weights move by W") {
  const plan p = of(mechanism::gamma_norm, twelve_rows, {1, 0}, {.worst_case = true});
  CHECK(p.fit.sum == Approx(13 * .662584193).epsilon(1e-8));
  CHECK_THROWS_AS(of(mechanism::gamma_norm, twelve_rows, {1, 0}, {.composed = true, .worst_case = true}),
                  std::invalid_argument);
}

TEST_CASE("a coarser certificate costs noise") {
  const plan fine = of(mechanism::gamma_norm),
             coarse = of(mechanism::gamma_norm, twelve_rows, {1, 0}, {.solver = {1e-3}});
  // D1 grows by 2 n / 4 B tau B / (2 lambda1), Delta_2 by 2 tau L W / ridge besides.
  const double moved = 2 * 12 * .25 * 1e-3 * .5 / .5;
  CHECK(coarse.output.scale - fine.output.scale ==
        Approx(moved / (12 * .05) + 2 * 1e-3 * .662584193 / .05).epsilon(1e-5));
}

TEST_CASE("the choice is the least noise, hardened unless told otherwise") {
  const auto kind = [](const auto& scheme, const domain& d, epsilon_delta promise, bool ideal) {
    return choose(scheme, owl_logistic{}, d, .05, promise, ideal);
  };
  // S / epsilon against 2 W / (3/4 epsilon): ipw 6.776 and 6.649, overlap 1.497 and 1.597.
  CHECK(kind(ipw{}, many_rows, {1, 0}, false).options.composed);
  CHECK_FALSE(kind(overlap{}, many_rows, {1, 0}, false).options.composed);
  for (const bool ideal : {false, true}) {
    const plan p = kind(kernel_balancing{}, many_rows, {1, 1e-6}, ideal);
    CHECK_FALSE(p.options.composed);
    CHECK((ideal || p.options.kind == mechanism::lattice));
  }
  CHECK(kind(overlap{}, many_rows, {1, 0}, true).options.kind == mechanism::gamma_norm);
  CHECK(kind(overlap{}, many_rows, {1, 1e-5}, true).expected_norm <=
        kind(overlap{}, many_rows, {1, 1e-5}, false).expected_norm);
  // Options hold for every mechanism that is compared.
  const auto with = [](const mechanism_options& options, bool ideal) {
    return choose(overlap{.ridge = .1}, owl_logistic{}, many_rows, .05, {1, 0}, ideal, options);
  };
  for (const bool ideal : {false, true}) {
    const plan composed = with({.composed = true, .share = .5}, ideal);
    CHECK(composed.options.composed);
    CHECK(composed.options.share == .5);
    CHECK((composed.options.kind == mechanism::lattice) == !ideal);
    CHECK(with({.curvature = .3}, ideal).fit.sum <= with({}, ideal).fit.sum);
    CHECK(with({.curvature = .3}, ideal).options.curvature == .3);
    CHECK_FALSE(with({.worst_case = true}, ideal).options.composed);
    CHECK(with({.worst_case = true}, ideal).fit.sum > 8000);
    CHECK(with({.solver = {1e-3}}, ideal).fit.tau > 1e7 * with({}, ideal).fit.tau);
  }
  CHECK_THROWS_AS(choose(kernel_balancing{}, owl_logistic{}, many_rows, .05, {1, 0}, false, {.composed = true}),
                  std::invalid_argument);
  // Where curvature leaves nothing for the objective, others are left.
  CHECK_NOTHROW(choose(ipw{}, owl_logistic{}, {.rows = 10, .features = 2}, 1e-4, {.1, 0}, true));
  CHECK_NOTHROW(choose(overlap{}, a_learning{}, many_rows, .05, {1, 0}, true));
}

TEST_CASE("promises that cannot be kept are refused before data") {
  CHECK_THROWS_WITH(of(mechanism::gamma_norm, twelve_rows, {0, 0}),
                    "hone::privacy::prepare: epsilon: must be positive and finite, is 0");
  for (const double bad : {-1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    CHECK_THROWS_AS(of(mechanism::lattice, twelve_rows, {bad, 1e-5}), std::invalid_argument);
  for (const double bad : {-.1, 1.0, static_cast<double>(NAN)})
    CHECK_THROWS_AS(of(mechanism::lattice, twelve_rows, {1, bad}), std::invalid_argument);
  for (const double bad : {0.0, 1.0, static_cast<double>(NAN)})
    CHECK_THROWS_AS(of(mechanism::lattice, twelve_rows, {1, 0}, {.composed = true, .share = bad}),
                    std::invalid_argument);
  CHECK_THROWS_WITH(of(mechanism::objective, twelve_rows, {.5, 0}, {.worst_case = true}),
                    Catch::Contains("hone::privacy::prepare: ridge: is 0.05, at which curvature alone costs"));
  const auto composed = [](const auto& scheme) {
    return prepare(scheme, owl_logistic{}, twelve_rows, .05, {1, 0}, {.composed = true});
  };
  CHECK_THROWS_AS(composed(kernel_balancing{}), std::invalid_argument);
  CHECK_THROWS_AS(composed(softmax_balancing{.least_arm = 3}), std::invalid_argument);
  CHECK_THROWS_AS(composed(known{.least = .5}), std::invalid_argument);
  CHECK_NOTHROW(composed(entropy_balancing{}));
  CHECK_THROWS_AS(prepare(overlap{}, a_learning{}, twelve_rows, .05, {1, 0}, {.kind = mechanism::objective}),
                  std::invalid_argument);
  for (const double bad : {0.0, -1.0, static_cast<double>(NAN)})
    CHECK_THROWS_AS(prepare(overlap{}, owl_logistic{}, twelve_rows, bad, {1, 0}), std::invalid_argument);
}
