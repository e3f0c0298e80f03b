// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/policy.md shows and no other test has.
#include "hone/core/thread_pool.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/policy/advantage.hpp"
#include "hone/policy/anchor.hpp"
#include "hone/policy/critic.hpp"
#include "hone/policy/objective.hpp"
#include "hone/policy/recipe_loss.hpp"
#include "hone/policy/rows.hpp"
#include "policy/support.hpp"
#include "support/catch.hpp"

TEST_CASE("docs: a step of GRPO from rewards and logits to dL/dlogits") {
  using namespace hone;
  using namespace hone::policy;
  sample_batch s;
  const std::vector<double> rewards = {1, 0, 0, 1, 0};
  const std::vector<index_t> groups = {0, 2, 5};
  const measured m(s, s.logits);
  const auto& offsets = s.offsets;
  const auto& targets = s.targets;
  const auto &old = m.old, &reference = m.reference;
  const matrix_view<double> logits(s.logits.data(), 10, s.vocab);
  std::vector<double> of_response(5), advantage(10), log_probability(10), losses(5);
  std::vector<loss::row_terms> terms(10);
  thread_pool pool(2);

  group_advantages(grpo{}, rewards, groups, of_response);
  loss::spread(of_response, offsets, advantage);
  measure(logits, targets, {}, {.log_probability = log_probability}, 1.0, pool);

  const token_batch batch{.offsets = offsets,
                          .targets = targets,
                          .log_probability = log_probability,
                          .old = old,
                          .advantage = advantage,
                          .reference = reference};
  const auto mode = token_mean(count(offsets, targets));  // counts of the whole batch
  const objective f{token_ratio{}, ppo_clip{.low = 0.2, .high = 0.28}, kl_penalty{.coefficient = 0.04}};
  const policy_sum sum = policy_loss(f, batch, mode, {terms, losses}, pool);
  write_gradient(logits, targets, terms, {}, 1.0, pool);

  CHECK(sum.tokens == 7);
  CHECK(total(std::span<const double>(losses)) == sum.sum);
  CHECK(s.logits[0] != 0);
}

TEST_CASE("docs: a batch in parts") {
  using namespace hone;
  using namespace hone::policy;
  const std::vector<index_t> first = {0, 3, 5}, second = {0, 4};
  batch_counts counts = count(first);
  counts += count(second);
  const auto mode = sequence_token_mean(counts);
  CHECK(mode.denominator == 3);
}

TEST_CASE("docs: APO asks for the reference's likeliest tokens") {
  using namespace hone;
  using namespace hone::policy;
  const sample_batch s;
  const auto reference_logits = s.view(s.reference_logits), logits = s.view(s.logits);
  const auto& targets = s.targets;
  const index_t k = 3;
  std::vector<std::int32_t> ids(30);
  std::vector<double> q(30), reference_mass(10), log_probability(10), log_mass(10);
  std::vector<loss::row_terms> terms(10);

  top_k_support(reference_logits, targets, k, {ids, q, reference_mass});
  const support_view support{ids, q, k};
  measure(logits, targets, support, {.log_probability = log_probability, .log_mass = log_mass});
  const objective apo{token_ratio{}, support_anchor{ppo_clip{.dual = 3}, 1.05, 0.1}};

  const policy_sum sum = policy_loss(apo,
                                     {.offsets = s.offsets,
                                      .targets = targets,
                                      .log_probability = log_probability,
                                      .advantage = s.advantage,
                                      .log_mass = log_mass,
                                      .reference_mass = reference_mass},
                                     token_mean(count(s.offsets, targets)), {terms});
  CHECK(sum.negative == 3);
  CHECK(apo.surrogate.fires_at_start());
}

TEST_CASE("docs: SPPO needs one response a prompt") {
  using namespace hone;
  using namespace hone::policy;
  const std::vector<index_t> offsets = {0, 2, 5};
  const std::vector<double> value = {0.3, -1}, rewards = {1, 0};
  std::vector<double> slope(2), of_response(2), advantage(5);

  sequence_critic_loss(value, rewards, slope, 1.0 / 2);  // slope: of the mean, for the critic's backward pass
  sequence_value_advantage(rewards, value, of_response);
  loss::spread(of_response, offsets, advantage);

  CHECK(of_response[0] == -2 * slope[0]);
  CHECK(advantage[4] == of_response[1]);
}

TEST_CASE("docs: a recipe by its name") {
  using namespace hone;
  using namespace hone::policy;
  const std::vector<index_t> groups = {0, 2}, offsets = {0, 2, 5};
  const std::vector<std::int32_t> targets = {1, 2, 3, 4, 5};
  const std::vector<double> rewards = {1, 0}, log_probability = {-1, -2, -1, -3, -0.5}, old = log_probability;
  std::vector<double> advantage(5);
  std::vector<loss::row_terms> terms(5);

  const recipe dapo = make_recipe({.name = "dapo", .clip_high = 0.3});
  token_advantages(dapo, {.rewards = rewards, .groups = groups, .offsets = offsets, .targets = targets}, advantage);
  recipe_loss(
      dapo,
      {.offsets = offsets, .targets = targets, .log_probability = log_probability, .old = old, .advantage = advantage},
      rewards, count_totals(offsets, targets, rewards), 16, {terms});

  for (std::size_t t = 0; t < 5; ++t) CHECK(terms[t].target == Approx(-advantage[t] / 5));
}
