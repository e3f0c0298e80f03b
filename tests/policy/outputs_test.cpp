// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Everything in policy/ that writes memory, offered memory that nobody may write to.
#include "support/outputs.hpp"

#include "hone/policy.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

const std::vector<double> one = {0.5, 0.25};
const std::vector<index_t> offsets = {0, 1, 2}, group = {0, 2};
const std::vector<std::int32_t> targets = {0, 1};
const std::vector<float> logits(6);
const matrix_view<const float> rows(logits.data(), 2, 3);

}  // namespace

TEST_CASE("rows of a policy are not written where they share memory") {
  const std::vector<loss::row_terms> terms(2, {.target = 1});
  check_refuses_matrices<float>(
      2, 3, "hone::policy::write_gradient: logits: ", [&](matrix_view<float> z) { write_gradient(z, targets, terms); });
}

TEST_CASE("a policy's outputs without memory are refused") {
  using span = std::span<double>;
  std::vector<double> kept(2, 3.0);
  std::vector<std::int32_t> ids(2);
  check_refuses_spans<std::int32_t>(2, "hone::policy::top_k_support: ids: ", [&](std::span<std::int32_t> s) {
    top_k_support(rows, targets, 1, {s, kept});
  });
  check_refuses_spans<double>(
      2, "hone::policy::top_k_support: probability: ", [&](span s) { top_k_support(rows, targets, 1, {ids, s}); });
  check_refuses_spans<double>(
      2, "hone::policy::top_k_support: mass: ", [&](span s) { top_k_support(rows, targets, 1, {ids, kept, s}); });
  const std::vector<std::int32_t> members = {1, 2};
  const support_view support{members, one, 1};
  const auto refuses = [&](const std::string& name, span row_measures::* member) {
    check_refuses_spans<double>(2, "hone::policy::measure: " + name + ": ", [&](span s) {
      row_measures out{.log_probability = kept};
      out.*member = s;
      measure(rows, targets, support, out);
    });
  };
  refuses("log_probability", &row_measures::log_probability);
  refuses("entropy", &row_measures::entropy);
  refuses("top_mass", &row_measures::top_mass);
  refuses("log_mass", &row_measures::log_mass);
  refuses("reference_likelihood", &row_measures::reference_likelihood);
  refuses("rare", &row_measures::rare);
  check_refuses_spans<double>(
      2, "hone::policy::gae: advantages: ", [&](span s) { gae(one, one, offsets, targets, s, {}); });
  check_refuses_spans<double>(
      2, "hone::policy::gae: returns: ", [&](span s) { gae(one, one, offsets, targets, kept, s); });
  check_refuses_spans<double>(
      2, "hone::policy::returns_to_go: out: ", [&](span s) { returns_to_go(one, offsets, targets, s); });
  check_refuses_spans<double>(2, "hone::policy::whiten: x: ", [](span s) { whiten(s); });
  check_refuses_spans<double>(2, "hone::policy::correct_sampler: weight: ", [&](span s) {
    correct_sampler({}, one, one, offsets, targets, s);
  });
  check_refuses_spans<double>(
      2, "hone::policy::token_covariance: out: ", [&](span s) { token_covariance(one, one, targets, s); });
  check_refuses_spans<double>(2, "hone::policy::clip_cov: weight: ", [&](span s) { clip_cov{}(one, targets, {}, s); });
  check_refuses_spans<double>(2, "hone::policy::kl_cov: selected: ", [&](span s) { kl_cov{}(one, targets, s); });
  check_refuses_spans<double>(
      2, "hone::policy::sequence_critic_loss: slope: ", [&](span s) { sequence_critic_loss(one, one, s); });
  check_refuses_spans<double>(2, "hone::policy::token_critic_loss: slope: ", [&](span s) {
    token_critic_loss(one, one, one, offsets, targets, {}, s);
  });
  check_refuses_spans<double>(2, "hone::policy::token_critic_loss: losses: ", [&](span s) {
    token_critic_loss(one, one, one, offsets, targets, {}, kept, 0.5, s);
  });
  check_refuses_spans<double>(2, "hone::policy::probability_critic_loss: slope: ", [&](span s) {
    probability_critic_loss(one, one, one, offsets, targets, {}, s);
  });
  check_refuses_spans<double>(
      2, "hone::policy::place_outcomes: out: ", [&](span s) { place_outcomes(one, offsets, targets, s); });
  check_refuses_spans<double>(
      2, "hone::policy::subtract_kl: rewards: ", [&](span s) { subtract_kl(one, one, targets, 0.1, s); });
  check_refuses_spans<std::uint8_t>(1, "hone::policy::informative_groups: keep: ", [&](std::span<std::uint8_t> s) {
    informative_groups(one, group, s);
  });
  const std::vector<std::uint64_t> solution = {1, 2};
  check_refuses_spans<index_t>(1, "hone::policy::count_distinct: distinct: ", [&](std::span<index_t> s) {
    count_distinct(solution, one, group, s);
  });
  check_refuses_spans<double>(
      2, "hone::policy::group_advantages: out: ", [&](span s) { group_advantages(grpo{}, one, group, s); });
  check_refuses_spans<double>(
      2, "hone::policy::sequence_value_advantage: out: ", [&](span s) { sequence_value_advantage(one, one, s); });
  check_refuses_spans<double>(2, "hone::policy::sequence_deviation_advantage: out: ", [&](span s) {
    sequence_deviation_advantage(one, one, s);
  });
  const objective f{token_ratio{}, reinforce{}};
  const token_batch batch{.offsets = offsets, .targets = targets, .log_probability = one, .advantage = one};
  check_refuses_spans<loss::row_terms>(2, "hone::policy::policy_loss: terms: ", [&](std::span<loss::row_terms> s) {
    policy_loss(f, batch, {}, {.terms = s});
  });
  check_refuses_spans<double>(
      2, "hone::policy::policy_loss: losses: ", [&](span s) { policy_loss(f, batch, {}, {.terms = {}, .losses = s}); });
  const recipe r = make_recipe({.name = "grpo"});
  check_refuses_spans<double>(2, "hone::policy::token_advantages: out: ", [&](span s) {
    token_advantages(r, {.rewards = one, .groups = group, .offsets = offsets, .targets = targets}, s);
  });
  check_refuses_spans<double>(2, "hone::policy::token_advantages: returns: ", [&](span s) {
    token_advantages(r, {.rewards = one, .groups = group, .offsets = offsets, .targets = targets}, kept, s);
  });
  CHECK(kept == std::vector<double>(2, 3.0));
}
