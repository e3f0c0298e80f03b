// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "reason/bandit.hpp"

#include "support/catch.hpp"

using namespace reason;

namespace {

bandit after(long steps, const policy::recipe_options& algorithm, bandit_settings s = {}) {
  bandit b(s, algorithm);
  for (long i = 0; i < steps; ++i) b.step();
  return b;
}

}  // namespace

TEST_CASE("bandit: the measures of the start, worked out from the prior") {
  const auto q = bandit::reference();
  double sum = 0, pass[3] = {}, entropy = 0;
  for (const double x : q) sum += x, entropy -= x * std::log(x);
  for (std::size_t i = 0; i < 8; ++i)
    for (int k = 0; k < 3; ++k) pass[k] += bandit::prior[i] * (1 - std::pow(1 - q[i], std::pow(8, k)));
  CHECK(sum == Approx(1));
  const auto m = bandit({}, {.name = "grpo"}).measure();
  CHECK(m.pass_1 == Approx(pass[0]));
  CHECK(m.pass_8 == Approx(pass[1]));
  CHECK(m.pass_64 == Approx(pass[2]));
  CHECK(m.entropy == Approx(entropy));
  CHECK(m.pass_1 == Approx(0.148).margin(5e-4));
  CHECK(m.pass_8 == Approx(0.695).margin(5e-4));
  CHECK(m.pass_64 == Approx(0.999).margin(5e-4));
  CHECK(m.entropy == Approx(2.24).margin(5e-3));
  CHECK(m.kept == 8);
  CHECK(m.active == 0);
}

TEST_CASE("bandit: a run is a function of its seed") {
  const auto a = after(20, {.name = "grpo"}), b = after(20, {.name = "grpo"});
  CHECK(a.probabilities() == b.probabilities());
  CHECK(a.probabilities() != after(20, {.name = "grpo"}, {.seed = 2}).probabilities());
}

TEST_CASE("bandit: GRPO collapses to the likeliest strategy") {
  const auto early = after(50, {.name = "grpo"}).measure(), late = after(400, {.name = "grpo"}).measure();
  CHECK(early.pass_64 < 0.9);
  CHECK(late.pass_64 < 0.4);
  CHECK(late.pass_1 > 0.29);
  CHECK(late.kept < 8);
  CHECK(late.active == 1);
}

TEST_CASE("bandit: a KL penalty keeps the support, at the price of pass@1") {
  const auto m = after(400, {.name = "grpo", .kl = 0.2, .kl_estimator = policy::kl_estimator::k2}).measure();
  CHECK(m.kept == 8);
  CHECK(m.pass_64 > 0.9);
  CHECK(m.pass_1 < 0.27);
}

TEST_CASE("bandit: the anchor keeps the support above a threshold, by punishing less") {
  const auto weak = after(400, {.name = "apo"}).measure();
  const auto strong = after(400, {.name = "apo", .anchor_beta = 0.25}).measure();
  CHECK(weak.pass_64 < 0.4);
  CHECK(weak.active > 0.99);
  CHECK(strong.kept == 8);
  CHECK(strong.pass_64 > 0.85);
  CHECK(strong.active < 0.7);
}

TEST_CASE("bandit: it recovers from a collapse, where GRPO does not") {
  const bandit_settings collapsed{.collapse = 300};
  const auto start = after(0, {.name = "apo"}, collapsed);
  CHECK(start.probabilities() == after(300, {.name = "grpo"}).probabilities());
  CHECK(start.measure().pass_64 < 0.42);
  CHECK(start.measure().active == 0);
  CHECK(after(300, {.name = "apo", .anchor_beta = 0.3}, collapsed).measure().pass_64 > 0.6);
  CHECK(after(300, {.name = "grpo"}, collapsed).measure().pass_64 < start.measure().pass_64);
}

TEST_CASE("bandit: where the prompt tells the strategy, sharpening costs nothing") {
  const auto m = after(400, {.name = "grpo"}, {.identifiable = true}).measure();
  CHECK(m.pass_1 > 0.99);
  CHECK(m.pass_64 == Approx(1));
  CHECK(m.pass_64 >= m.pass_8);
}

TEST_CASE("bandit: a critic learns the chance of success") {
  const auto sequence = after(400, {.name = "sppo"});
  CHECK(1 / (1 + std::exp(-sequence.value())) == Approx(sequence.measure().pass_1).margin(0.1));
  CHECK(sequence.measure().pass_1 > 0.28);
  const auto token = after(400, {.name = "ppo"});
  CHECK(token.value() == Approx(token.measure().pass_1).margin(0.15));
}

TEST_CASE("bandit: every algorithm learns something") {
  for (const std::string& name : policy::recipe_names()) {
    INFO(name);
    const auto m = after(60, {.name = name, .entropy = 0.001}).measure();
    CHECK(std::isfinite(m.entropy));
    CHECK(m.pass_1 > 0.15);
  }
  const auto likelihood =
      after(60, {.name = "apo", .anchor_form = policy::anchor_form::reference_likelihood}).measure();
  CHECK(likelihood.pass_1 > 0.15);
}

TEST_CASE("bandit: sizes that do not fit are refused") {
  using Catch::Contains;
  CHECK_THROWS_WITH(bandit({.responses = 100}, {.name = "grpo"}), Contains("--batch 100: must be a multiple"));
  CHECK_THROWS_WITH(bandit({.group = 1}, {.name = "grpo"}), Contains("--group-size 1:"));
  CHECK_THROWS_WITH(bandit({.minibatches = 3}, {.name = "grpo"}), Contains("--minibatches 3:"));
  CHECK_THROWS_WITH(bandit({}, {.name = "nothing"}), Contains("nothing"));
  CHECK_THROWS_WITH(bandit({}, {.name = "apo", .anchor_k = 17}), Contains("--anchor-k 17: there are 16 actions"));
}
