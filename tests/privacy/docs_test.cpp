// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/privacy.md shows.
#include "hone/privacy.hpp"

#include "hone/core/thread_pool.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

using namespace hone;

TEST_CASE("docs: exact noise") {
  privacy::chacha20 random;                                              // keys of the system, none of yours
  const double zeta = privacy::lattice_multiplier(1, 1e-6);              // sigma / sensitivity, here 4.53
  const auto scale = static_cast<std::int64_t>(std::ceil(zeta * 1000));  // of a sum of integers that moves by 1000
  const std::int64_t noisy = 123456 + privacy::discrete_gaussian(scale, random);
  const std::int64_t pure = privacy::saturated_sum(123456, privacy::discrete_laplace(1000, random));  // epsilon 1
  CHECK(scale == 4531);
  CHECK(std::abs(noisy - 123456) < 20 * scale);
  CHECK(std::abs(pure - 123456) < 60 * 1000);
}

TEST_CASE("docs: a budget") {
  using privacy::replace_one;
  privacy::budget<replace_one> budget({1, 1e-6}, {.of = privacy::filter::sum::concentrated});
  const auto cost = privacy::concentrated_loss<replace_one>(privacy::gaussian_rho(10));  // noise of 10 sensitivities
  int releases = 0;
  try {
    for (;; ++releases) {
      auto claim = budget.reserve(cost);  // before data are read; throws budget_exhausted
      // ... read the data, add the noise ...
      claim.commit();  // before anything is shown; what is not committed is not given back
    }
  } catch (const privacy::budget_exhausted&) {
  }
  // releases is 4: one at a time, each of epsilon 0.43 at the same delta, a basic sum has room for 2
  CHECK(releases == 4);
  CHECK(privacy::concentrated_epsilon(privacy::gaussian_rho(10), 1e-6) == Approx(0.43).margin(5e-4));
  CHECK(budget.spent().epsilon <= 1);
}

TEST_CASE("docs: what training costs") {
  const auto step = privacy::sampled_gaussian_loss(0.01, 1);  // a record is in a batch with probability 0.01; sigma 1
  const auto by_orders = privacy::plan_best_order<privacy::add_or_remove>({{step, 1000}}, 1e-5);
  const auto exact = privacy::plan_loss_distribution<privacy::add_or_remove>({{step, 1000}}, 1e-5);
  // by_orders.cost.epsilon is 2.108, exact.cost.epsilon 1.828
  CHECK(by_orders.cost.epsilon == Approx(2.1078).epsilon(1e-4));
  CHECK(exact.cost.epsilon == Approx(1.8282).epsilon(1e-4));
}

TEST_CASE("docs: a private rule from logged choices") {
  const raw_records log = random_records({.rows = 2000, .features = 4}, 77);
  const matrix_view<const double> x(log.x.data(), 2000, 4);
  const std::vector<index_t>& arm = log.arm;
  const std::vector<double>& outcome = log.outcome;
  thread_pool pool(2);

  using namespace privacy;
  const domain limits{.rows = 2000, .features = 4, .row_bound = 1, .outcome_bound = 1};  // public
  const overlap weights{.ridge = 1};
  const plan p = choose(weights, owl_logistic{}, limits, 0.02, {1, 1e-6});  // before data: noise, or a refusal
  budget<replace_one> funds({2, 1e-5});
  chacha20 random;
  const auto rule = release(p, weights, owl_logistic{}, funds, x, arm, outcome, {}, random, pool);
  const index_t best = decide(owl_logistic{}, 2, std::vector{0.3, 0.1, 0.0, -0.2, 0.5}, rule.theta());
  // p is composed: sensitivity 0.0299, p.output.scale 0.157; p and rule.theta() may be published, nothing else

  CHECK((best == 0 || best == 1));
  CHECK(p.options.composed);
  CHECK(p.fit.sensitivity == Approx(0.0299).margin(5e-5));
  CHECK(p.output.scale == Approx(0.157).margin(5e-4));
}
