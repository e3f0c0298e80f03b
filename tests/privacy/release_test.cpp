// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/release.hpp"

#include "hone/distributed/threads.hpp"
#include "hone/statistics/intervals.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

using namespace hone::privacy;
using hone::index_t;

namespace {
const hone::serial alone;

template <class Scheme, class Loss = owl_logistic>
std::vector<double> simulate(const raw_records& raw, const Scheme& scheme, epsilon_delta promise, std::uint64_t seed,
                             const mechanism_options& options = {}, const Loss& loss = {},
                             const std::vector<double>& propensity = {}) {
  const plan p = prepare(scheme, loss, raw.limits, .05, promise, options);
  budget<replace_one> funds(promise);
  test_random random(seed);
  const hone::matrix_view<const double> x(raw.x.data(), raw.limits.rows, raw.limits.features);
  const auto result = release(p, scheme, loss, funds, x, raw.arm, raw.outcome, propensity, random, alone);
  CHECK(funds.spent().epsilon <= promise.epsilon * (1 + 1e-12));
  CHECK(funds.spent().epsilon > promise.epsilon * .999);
  return result.simulated();
}

template <class Random>
concept may_be_published = requires(const released<Random>& r) { r.theta(); };
}  // namespace

TEST_CASE("only noise that cannot be repeated may be published") {
  STATIC_REQUIRE(may_be_published<chacha20>);
  STATIC_REQUIRE_FALSE(may_be_published<test_random>);
  const raw_records raw = twelve();
  const plan p = prepare(overlap{}, owl_logistic{}, raw.limits, .05, {1, 1e-6});
  budget<replace_one> funds({2.1, 3e-6});
  chacha20 random;
  const hone::matrix_view<const double> x(raw.x.data(), 12, 2);
  const auto one = release(p, overlap{}, owl_logistic{}, funds, x, raw.arm, raw.outcome, {}, random, alone),
             two = release(p, overlap{}, owl_logistic{}, funds, x, raw.arm, raw.outcome, {}, random, alone);
  CHECK(one.theta().size() == 3);
  CHECK(one.theta() != two.theta());
  for (const double value : one.theta()) CHECK(value / p.output.lattice == std::round(value / p.output.lattice));
}

TEST_CASE("with a large epsilon the noise vanishes, and the fit is left") {
  const raw_records raw = random_records({.rows = 500, .features = 3}, 31, true);
  const records data = raw.clipped();
  const auto plain = [&](const auto& scheme, const auto& loss, std::size_t size) {
    std::vector<double> w(500), theta(size);
    weigh(scheme, data, w, alone);
    minimise(loss, data, w, .05, bound(scheme, raw.limits).largest, theta, alone);
    return theta;
  };
  const auto near = [](const std::vector<double>& x, const std::vector<double>& y) {
    REQUIRE(x.size() == y.size());
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(y[i]).margin(2e-3));
  };
  const epsilon_delta much{1e5, 0};
  near(simulate(raw, ipw{}, much, 1), plain(ipw{}, owl_logistic{}, 4));
  near(simulate(raw, ipw{}, much, 1, {.kind = mechanism::gamma_norm}), plain(ipw{}, owl_logistic{}, 4));
  near(simulate(raw, ipw{}, much, 1, {.kind = mechanism::objective}), plain(ipw{}, owl_logistic{}, 4));
  near(simulate(raw, ipw{}, much, 1, {.composed = true}), plain(ipw{}, owl_logistic{}, 4));
  near(simulate(raw, ipw{}, {1e5, 1e-6}, 1, {.composed = true}), plain(ipw{}, owl_logistic{}, 4));
  near(simulate(raw, overlap{}, much, 1, {.kind = mechanism::objective, .composed = true}),
       plain(overlap{}, owl_logistic{}, 4));
  near(simulate(raw, entropy_balancing{}, much, 1, {.composed = true}), plain(entropy_balancing{}, owl_logistic{}, 4));
  near(simulate(raw, kernel_balancing{}, much, 1), plain(kernel_balancing{}, owl_logistic{}, 4));
  near(simulate(raw, normalised<ipw>{}, much, 1, {.composed = true}), plain(normalised<ipw>{}, owl_logistic{}, 4));
  near(simulate(raw, ipw{}, much, 1, {}, ad_learning{.radius = 2}), plain(ipw{}, ad_learning{.radius = 2}, 4));
  const std::vector<double> half(500, .5);
  std::vector<double> w(500, 2.0), theta(4);
  minimise(owl_logistic{}, data, w, .05, 2, theta, alone);
  near(simulate(raw, known{.least = .5}, much, 1, {}, owl_logistic{}, half), theta);
}

TEST_CASE("a composed fit uses the released parameters, in their ball") {
  const raw_records raw = random_records({.rows = 40, .features = 2}, 33);
  const records data = raw.clipped();
  // Stage one at a tiny share has noise far beyond the ball; stage two nearly none. What comes out is then the fit of
  // weights by those parameters, put back on the sphere.
  const mechanism_options options{.composed = true, .share = 1e-9};
  const plan p = prepare(ipw{}, owl_logistic{}, raw.limits, .05, {1e6, 0}, options);
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const std::vector<double> theta = simulate(raw, ipw{}, {1e6, 0}, seed, options);
    std::vector<double> beta(3), w(40), expected(3);
    solve(ipw{}, data, beta, alone);
    test_random random(seed);
    add_noise(p.parameters, beta, random);
    double squared = 0;
    for (const double value : beta) squared += value * value;
    REQUIRE(std::sqrt(squared) > 100 * p.weights.radius);
    for (double& value : beta) value *= p.weights.radius / std::sqrt(squared);
    weigh_by(ipw{}, data, beta, w, alone);
    minimise(owl_logistic{}, data, w, .05, p.weights.largest, expected, alone);
    check_near(theta, expected, 1e-3);
  }
}

TEST_CASE("an exhausted budget does not read a record, and a spent one stays spent") {
  const raw_records raw = twelve();
  const plan p = prepare(overlap{}, owl_logistic{}, raw.limits, .05, {1, 0});
  budget<replace_one> funds({1.5, 0});
  test_random random(1);
  const hone::matrix_view<const double> x(raw.x.data(), 12, 2);
  (void)release(p, overlap{}, owl_logistic{}, funds, x, raw.arm, raw.outcome, {}, random, alone);
  CHECK(funds.spent().epsilon == Approx(1));
  // These records would be refused for their shape, were they looked at.
  const hone::matrix_view<const double> none(nullptr, 0, 0);
  CHECK_THROWS_AS(release(p, overlap{}, owl_logistic{}, funds, none, raw.arm, raw.outcome, {}, random, alone),
                  budget_exhausted);
  CHECK(funds.spent().epsilon == Approx(1));
  budget<replace_one> fresh({1.5, 0});
  CHECK_THROWS_AS(release(p, overlap{}, owl_logistic{}, fresh, none, raw.arm, raw.outcome, {}, random, alone),
                  std::invalid_argument);
  CHECK(fresh.spent().epsilon == 0);
  // What is public and does not fit does not touch it either.
  const std::vector<double> short_one(11, .5);
  const plan of_known =
      prepare(normalised<known>{.scheme = {.least = .5}, .floor = .25}, owl_logistic{}, raw.limits, .05, {1, 0});
  CHECK_THROWS_WITH(release(of_known, normalised<known>{.scheme = {.least = .5}, .floor = .25}, owl_logistic{}, fresh,
                            x, raw.arm, raw.outcome, short_one, random, alone),
                    "hone::privacy::release: propensity: has 11 elements, not 12");
  const plan of_kernel = prepare(kernel_balancing{}, owl_logistic{}, raw.limits, .05, {1, 0});
  hone::distributed::thread_ranks two(2);
  two.run([&](hone::distributed::threads& comm) {
    budget<replace_one> own({1.5, 0});
    test_random bits(1);
    const row_shards shards(12, comm.rank() == 0 ? 12 : 0, comm);
    const hone::matrix_view<const double> rows(raw.x.data(), shards.held(), 2);
    const auto count = static_cast<std::size_t>(shards.held());
    if (comm.rank() == 0) return;  // it holds all rows, and is not refused
    try {
      (void)release(of_kernel, kernel_balancing{}, owl_logistic{}, own, rows, std::span(raw.arm).first(count),
                    std::span(raw.outcome).first(count), {}, bits, alone, shards);
    } catch (const std::invalid_argument&) {
      if (own.reserved().epsilon == 0) return;
    }
    throw std::runtime_error("not refused before the budget");
  });
  const std::vector<double> half(11, .5);
  CHECK_THROWS_AS(release(p, overlap{}, owl_logistic{}, fresh, x, raw.arm, raw.outcome, half, random, alone),
                  std::invalid_argument);
}

TEST_CASE("data sets of one shape all have one result: an empty arm, one class, equal rows, no valid record, n = 1") {
  for (const index_t arms : {2, 3}) {
    raw_records raw = random_records({.rows = 20, .features = 2, .arms = arms}, 3);
    const auto total = [&](const raw_records& data) {
      const std::vector<double> fit = arms == 2 ? simulate(data, entropy_balancing{}, {1, 1e-6}, 5)
                                                : simulate(data, entropy_balancing{}, {1, 1e-6}, 5, {}, ad_learning{});
      CHECK(fit.size() == static_cast<std::size_t>(arms == 2 ? 3 : 6));
      for (const double value : fit) CHECK(std::isfinite(value));
    };
    total(raw);
    raw_records other = raw;
    for (index_t& arm : other.arm) arm = 1;
    total(other);
    for (index_t& arm : other.arm) arm = 99;
    total(other);
    other = raw;
    for (double& r : other.outcome) r = 1;
    total(other);
    for (double& r : other.outcome) r = NAN;
    total(other);
    other = raw;
    for (double& value : other.x) value = .25;
    total(other);
    for (double& value : other.x) value = INFINITY;
    total(other);
    total(random_records({.rows = 1, .features = 2, .arms = arms}, 3));
  }
}

TEST_CASE("ranks: rank 0's noise, the bits of one process") {
  const raw_records raw = random_records({.rows = 2 * block_rows + 30, .features = 2}, 35, true);
  for (const mechanism kind : {mechanism::lattice, mechanism::objective}) {
    const mechanism_options options{.kind = kind, .composed = true};
    const std::vector<double> one = simulate(raw, ipw{}, {1, 0}, 7, options);
    const plan p = prepare(ipw{}, owl_logistic{}, raw.limits, .05, {1, 0}, options);
    hone::distributed::thread_ranks all(2);
    all.run([&](hone::distributed::threads& comm) {
      const index_t begin = comm.rank() == 0 ? 0 : block_rows,
                    held = comm.rank() == 0 ? block_rows : raw.limits.rows - block_rows;
      const auto at = static_cast<std::size_t>(begin), count = static_cast<std::size_t>(held);
      budget<replace_one> funds({1, 0});
      test_random random(comm.rank() == 0 ? 7 : 8);
      const hone::matrix_view<const double> x(raw.x.data() + begin * 2, held, 2);
      const auto result = release(p, ipw{}, owl_logistic{}, funds, x, std::span(raw.arm).subspan(at, count),
                                  std::span(raw.outcome).subspan(at, count), {}, random, alone,
                                  row_shards(raw.limits.rows, held, comm));
      if (result.simulated() != one) throw std::runtime_error("other bits");
    });
  }
}

TEST_CASE("an audit from outside finds hardly less than epsilon, never more, and sees noise that was halved") {
  // One record of weight 1 changes sides: all of the sensitivity, as the margin lies in the straight part of the hinge.
  const raw_records raw{{}, {1}, {1}, {.rows = 1, .features = 0, .intercept = 1}}, other{{}, {0}, {1}, raw.limits};
  const std::vector<double> certain{1};
  constexpr double epsilon = 1, ridge = 10;
  constexpr int draws = 6000;
  const known weights{.least = 1};
  const auto audit = [&](const plan& p) {
    // The event: theta lies beyond the fit of the first data set, 1 / ridge.
    const auto count = [&](const raw_records& data, std::uint64_t seed) {
      int above = 0;
      test_random random(seed);
      const hone::matrix_view<const double> x(nullptr, 1, 0);
      for (int k = 0; k < draws; ++k) {
        budget<replace_one> funds({epsilon, 0});
        const auto result = release(p, weights, owl_huber{}, funds, x, data.arm, data.outcome, certain, random, alone);
        above += result.simulated()[0] > 1 / ridge ? 1 : 0;
      }
      return above;
    };
    return std::log(hone::statistics::clopper_pearson_lower(count(raw, 11), draws, .99) /
                    hone::statistics::clopper_pearson_upper(count(other, 12), draws, .99));
  };
  for (const mechanism kind : {mechanism::lattice, mechanism::gamma_norm, mechanism::objective}) {
    plan p = prepare(weights, owl_huber{}, raw.limits, ridge, {epsilon, 0}, {.kind = kind});
    CAPTURE(static_cast<int>(kind));
    const double audited = audit(p);
    CHECK(audited <= epsilon);
    CHECK(audited > .7 * epsilon);
    p.output.integer /= 2;
    p.output.scale /= 2;
    p.tilt /= 2;
    CHECK(audit(p) > 1.3 * epsilon);
  }
}
