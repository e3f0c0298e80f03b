// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The losses of TRL and verl and their gradients by autograd (golden/formulas.py).
#include "hone/loss/sequence.hpp"
#include "hone/policy/advantage.hpp"
#include "hone/policy/anchor.hpp"
#include "hone/policy/gae.hpp"
#include "hone/policy/objective.hpp"
#include "hone/policy/rows.hpp"
#include "policy/golden/formulas.hpp"
#include "support/catch.hpp"
#include "support/gradient_error.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

void compare(const std::vector<double>& got, const std::vector<double>& expected, double tolerance = 1e-11) {
  double scale = 0, error = 0;
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    scale = worst(scale, std::abs(expected[i]));
    error = worst(error, std::abs(got[i] - expected[i]));
    REQUIRE(got[i] == got[i]);
  }
  INFO("differs by " << error << " of " << scale);
  CHECK(error <= tolerance * scale);
}

const golden::row& named(const std::string& name) {
  for (const auto& row : golden::rows)
    if (row.name == name) return row;
  throw std::invalid_argument(name);
}

struct golden_batch {
  std::size_t tokens = golden::targets.size();
  std::vector<double> log_p, old, reference, entropy, log_mass, mass, likelihood, probability;
  std::vector<std::int32_t> ids;
  support_view support;
  token_batch batch;
  batch_counts counts = count(golden::offsets, golden::targets);

  static matrix_view<const double> view(const std::vector<double>& z) {
    return {z.data(), static_cast<index_t>(golden::targets.size()), golden::vocab};
  }
  golden_batch() {
    for (auto* x : {&log_p, &old, &reference, &entropy, &log_mass, &mass, &likelihood}) x->resize(tokens);
    ids.resize(3 * tokens);
    probability.resize(3 * tokens);
    top_k_support(view(golden::reference_logits), golden::targets, 3, {ids, probability, mass});
    support = {ids, probability, 3};
    measure(view(golden::logits), golden::targets, support,
            {.log_probability = log_p, .entropy = entropy, .log_mass = log_mass, .reference_likelihood = likelihood});
    measure(view(golden::old_logits), golden::targets, {}, {.log_probability = old});
    measure(view(golden::reference_logits), golden::targets, {}, {.log_probability = reference});
    batch = {.offsets = golden::offsets,
             .targets = golden::targets,
             .log_probability = log_p,
             .old = old,
             .advantage = golden::advantage,
             .reference = reference,
             .entropy = entropy,
             .log_mass = log_mass,
             .reference_mass = mass,
             .reference_likelihood = likelihood};
  }
  template <class Objective>
  void check(const std::string& name, const Objective& f, const aggregation& mode) const {
    INFO(name);
    std::vector<loss::row_terms> terms(tokens);
    const auto& expected = named(name);
    CHECK(policy_loss(f, batch, mode, {terms}).sum / mode.denominator == Approx(expected.loss).epsilon(1e-12));
    auto gradient = golden::logits;
    write_gradient(matrix_view<double>(gradient.data(), static_cast<index_t>(tokens), golden::vocab), golden::targets,
                   terms, support);
    compare(gradient, expected.gradient);
  }
};

}  // namespace

TEST_CASE("verl's losses and gradients") {
  golden_batch g;
  const auto mean = token_mean(g.counts), by_sequence = sequence_token_mean(g.counts);
  const objective vanilla{token_ratio{}, ppo_clip{.high = 0.28, .dual = 3}};
  g.check("verl vanilla token_mean", vanilla, mean);
  g.check("verl vanilla sequence_token_mean", vanilla, by_sequence);
  g.check("verl vanilla sequence_token_sum", vanilla, sequence_token_sum(g.counts));
  g.check("verl vanilla constant_mean", vanilla, constant_mean(g.counts, 5));
  g.check("verl vanilla constant_sum", vanilla, constant_sum(5));
  g.check("verl dual clip", objective{token_ratio{}, ppo_clip{.dual = 1.1}}, mean);
  g.check("verl gspo", objective{geometric_ratio{}, ppo_clip{.low = 3e-4, .high = 4e-4}}, by_sequence);
  g.check("verl gspo token mean", objective{geometric_ratio{}, ppo_clip{.low = 0.1, .high = 0.2}}, mean);
  g.check("verl cispo", objective{token_ratio{}, cispo{0.8, 1.28}}, mean);
  g.check("verl gmpo", objective{clipped_geometric_ratio{0.1, 0.1}, unclipped{}}, by_sequence);
  g.check("verl gpg", objective{token_ratio{}, reinforce{}}, mean);
  g.check("verl entropy", objective{token_ratio{}, ppo_clip{.dual = 3}, {}, 0.01}, by_sequence);
  g.batch.weight = golden::correction;
  g.check("verl corrected", objective{token_ratio{}, ppo_clip{.dual = 3}}, mean);
  g.batch.weight = {};
  const std::vector<double> nothing(g.tokens);
  g.batch.advantage = nothing;
  const auto penalty = [&](const std::string& name, kl_penalty kl) {
    kl.coefficient = 0.05;
    g.check(name, objective{token_ratio{}, ppo_clip{}, kl}, mean);
  };
  penalty("verl k1", {.estimator = kl_estimator::k1});
  penalty("verl k2", {.estimator = kl_estimator::k2});
  penalty("verl k3", {.estimator = kl_estimator::k3});
  penalty("verl k3+", {.gradient = kl_gradient::straight_through});
}

TEST_CASE("TRL's losses and gradients") {
  const golden_batch g;
  const auto mean = token_mean(g.counts), by_sequence = sequence_token_mean(g.counts, true);
  const kl_penalty kl{.coefficient = 0.04}, unbiased{.coefficient = 0.04, .gradient = kl_gradient::importance};
  g.check("trl grpo", objective{token_ratio{}, ppo_clip{}, kl}, by_sequence);
  g.check("trl delta", objective{token_ratio{}, ppo_clip{.delta = 1.25}}, mean);
  g.check("trl bias correction", objective{token_ratio{}, ppo_clip{}, unbiased}, mean);
  g.check("trl sequence", objective{geometric_ratio{}, ppo_clip{.low = 0.02, .high = 0.03}}, by_sequence);
  g.check("trl luspo", objective{geometric_ratio{}, ppo_clip{.low = 0.02, .high = 0.03}}, sequence_token_sum(g.counts));
  g.check("trl cispo", objective{token_ratio{}, cispo{}}, mean);
  g.check("trl sapo", objective{token_ratio{}, sapo{}}, by_sequence);
  g.check("trl vespo", objective{sequence_ratio{}, vespo{}}, mean);
  g.check("trl rloo", objective{sequence_ratio{}, ppo_clip{}}, by_sequence);
}

TEST_CASE("anchored policies and their gradients by autograd") {
  const golden_batch g;
  const auto mean = token_mean(g.counts);
  const ppo_clip base{.dual = 3};
  const auto anchored = [&](double pull, anchor_form form) {
    return objective{token_ratio{}, support_anchor{base, 1.05, pull, form, clip_placement::clip_rectified}};
  };
  g.check("apo mass", anchored(0.1, anchor_form::mass), mean);
  g.check("apo log_mass", anchored(0.1, anchor_form::log_mass), mean);
  g.check("apo reference_likelihood", anchored(0.1, anchor_form::reference_likelihood), mean);
  g.check("apo dominant", anchored(0.3, anchor_form::mass), mean);
}

TEST_CASE("TRL's and verl's advantages") {
  const auto check = [](const std::string& name, const auto& method) {
    INFO(name);
    std::vector<double> out(golden::rewards.size());
    group_advantages(method, golden::rewards, golden::groups, out);
    for (const auto& row : golden::advantages)
      if (row.name == name) return compare(out, row.value);
    FAIL("no golden row");
  };
  check("trl grpo", grpo{});
  check("verl grpo", grpo{.epsilon = 1e-6});
  check("dr_grpo", dr_grpo{});
  check("trl batch", batch_scaled{});
  check("rloo", rloo{});
  check("remax", remax{golden::greedy});
  check("opo", opo{golden::lengths});
  check("gpg", gpg{});
  check("pass k", pass_k_best{});
  check("pass k scaled", pass_k_best{.scaled = true});
}

TEST_CASE("verl's GAE over masked tokens, whitened") {
  std::vector<double> advantage(golden::gae.size()), returns(golden::gae.size());
  gae(golden::token_reward, golden::token_value, golden::offsets, golden::targets, advantage, returns,
      {.gamma = 0.99, .lambda = 0.95});
  compare(advantage, golden::gae);
  compare(returns, golden::gae_returns);
  whiten(advantage, golden::targets);
  compare(advantage, golden::whitened, 1e-9);
}
