// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/objective.hpp"

#include "policy/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

/// Value against the formulas, gradient on logits against central differences of them, under every penalty and
/// aggregation.
template <class Ratio, class Surrogate>
void check_family(const Ratio& ratio, const Surrogate& surrogate, naive_setting set) {
  static const naive::family formulas;
  const sample_batch& s = formulas.s;
  static const measured m(s, s.logits);
  const batch_counts counts = count(s.offsets, s.targets);
  const kl_penalty penalties[] = {
      {},
      {.coefficient = 0.3, .estimator = kl_estimator::k1},
      {.coefficient = 0.3, .estimator = kl_estimator::k2},
      {.coefficient = 0.3, .estimator = kl_estimator::k3},
      {.coefficient = 0.3, .estimator = kl_estimator::k3, .gradient = kl_gradient::straight_through},
      {.coefficient = 0.3, .estimator = kl_estimator::k3, .gradient = kl_gradient::importance},
      {.coefficient = 0.3, .estimator = kl_estimator::k1, .gradient = kl_gradient::importance}};
  const aggregation modes[] = {
      token_mean(counts),         sequence_token_mean(counts), sequence_token_mean(counts, true),
      sequence_token_sum(counts), constant_mean(counts, 4),    constant_sum(4)};
  int turn = 0;
  for (const auto& kl : penalties)
    for (const auto& mode : modes) {
      set.kl = kl;
      set.mode = mode;
      set.entropy = turn++ % 2 == 0 ? 0.0 : 0.2;
      std::vector<loss::row_terms> terms(10);
      const auto result = policy_loss(objective{ratio, surrogate, set.kl, set.entropy}, m.batch(s), mode, {terms});
      INFO(set.level << ' ' << set.surrogate << " form " << int(set.form) << " placement " << int(set.placement)
                     << " kl " << int(kl.estimator) << ' ' << int(kl.gradient) << " mode " << mode.mean_of_tokens << ' '
                     << mode.denominator);
      const double expected = formulas(set, s.logits, true);
      REQUIRE(result.sum / mode.denominator == Approx(expected).epsilon(1e-11));
      REQUIRE(result.tokens == 7);
      REQUIRE(result.nonfinite == 0);
      auto gradient = s.logits;
      write_gradient(matrix_view<double>(gradient.data(), s.rows(), s.vocab), s.targets, terms, m.support,
                     s.temperature);
      REQUIRE(gradient_error(s.logits, gradient,
                             [&](const std::vector<double>& z) { return formulas(set, z, false); }) < 1e-7);
    }
}

template <class Ratio>
void check_level(const Ratio& ratio, const std::string& level) {
  check_family(ratio, ppo_clip{}, {.level = level, .surrogate = "ppo"});
  check_family(ratio, ppo_clip{.high = 0.28}, {.level = level, .surrogate = "dapo"});
  check_family(ratio, ppo_clip{.dual = 1.3}, {.level = level, .surrogate = "dual"});
  check_family(ratio, ppo_clip{.delta = 1.3}, {.level = level, .surrogate = "delta"});
  check_family(ratio, unclipped{}, {.level = level, .surrogate = "unclipped"});
  check_family(ratio, sapo{}, {.level = level, .surrogate = "sapo"});
  check_family(ratio, reinforce{}, {.level = level, .surrogate = "reinforce"});
  check_family(ratio, cispo{0.8, 1.28}, {.level = level, .surrogate = "cispo"});
  check_family(ratio, vespo{}, {.level = level, .surrogate = "vespo"});
  for (const auto form :
       {anchor_form::mass, anchor_form::log_mass, anchor_form::log_ratio, anchor_form::reference_likelihood})
    for (const auto placement :
         {clip_placement::clip_rectified, clip_placement::clip_raw_then_pull, clip_placement::no_clip})
      check_family(ratio, support_anchor{ppo_clip{}, 1.05, 0.1, form, placement},
                   {.level = level, .surrogate = "anchor", .form = form, .placement = placement});
}

}  // namespace

TEST_CASE("token ratios: every surrogate, anchor, penalty and aggregation is the formula, and its gradient") {
  check_level(token_ratio{}, "token");
}

TEST_CASE("sequence ratios: every surrogate, anchor, penalty and aggregation is the formula, and its gradient") {
  check_level(sequence_ratio{}, "sequence");
}

TEST_CASE("geometric ratios: every surrogate, anchor, penalty and aggregation is the formula, and its gradient") {
  check_level(geometric_ratio{}, "geometric");
}

TEST_CASE("clipped geometric ratios: every surrogate, penalty and aggregation is the formula, and its gradient") {
  check_level(clipped_geometric_ratio{0.1, 0.1}, "clipped_geometric");
}

TEST_CASE("what is counted: tokens, punished ones, and those that clipping or a weight of 0 silences") {
  const std::vector<index_t> offsets = {0, 6};
  const std::vector<std::int32_t> targets = {0, 0, 0, 0, 0, -1};
  const std::vector<double> log_p = {-1, -1, -1, -1, -1, -1}, old = {-2, -2, -0.5, -1, -1, -9},
                            advantage = {1, -1, -1, -1, 0, 1}, weight = {1, 1, 1, 0, 1, 1};
  const token_batch batch{.offsets = offsets,
                          .targets = targets,
                          .log_probability = log_p,
                          .old = old,
                          .advantage = advantage,
                          .weight = weight};
  const auto sum = policy_loss(objective{token_ratio{}, ppo_clip{}}, batch, constant_sum(1), {});
  CHECK(sum.tokens == 5);
  CHECK(sum.negative == 3);
  CHECK(sum.negative_active == 1);
  CHECK(sum.inactive == 3);
  CHECK(sum.drift == Approx(-1 - 1 + 0.5));
  CHECK(sum.sum == sum.surrogate);
  CHECK(sum.sum == Approx(-1.2 + std::exp(1.0) + 0.8));
}

TEST_CASE("parameters of an objective out of range are refused") {
  CHECK_THROWS_WITH((objective{token_ratio{}, ppo_clip{}, {}, double(NAN)}.check()), Catch::Contains("entropy"));
  CHECK_THROWS_WITH((objective{token_ratio{}, ppo_clip{}, kl_penalty{.coefficient = -1}}.check()),
                    Catch::Contains("coefficient"));
  CHECK_THROWS_WITH((objective{clipped_geometric_ratio{-1, 1}, unclipped{}}.check()), Catch::Contains("bounds"));
}

TEST_CASE("a second objective is added: coefficients and the losses of responses") {
  const std::vector<double> log_p = {-1, -2, -0.5}, old = {-1.1, -1.7, -0.6}, advantage = {1, -0.5, 2};
  const std::vector<index_t> offsets = {0, 2, 3};
  const token_batch batch{.offsets = offsets, .log_probability = log_p, .old = old, .advantage = advantage};
  const objective first{token_ratio{}, ppo_clip{}};
  const objective second{token_ratio{}, reinforce{}};
  const aggregation mode{.denominator = 3};
  std::vector<double> one(2), two(2), both(2, 99.0);
  std::vector<loss::row_terms> a(3), b(3), sum(3, {.target = 99, .entropy = 99});
  const policy_sum counts = policy_loss(first, batch, mode, {.terms = a, .losses = one});
  CHECK(counts.tokens == 3);
  CHECK(counts.negative == 1);  // below 1 - 0.2: clipped
  CHECK(counts.negative_active == 0);
  CHECK(counts.inactive == 1);
  CHECK(policy_loss(second, batch, mode, {}).negative_active == 1);
  policy_loss(second, batch, mode, {.terms = b, .losses = two});
  policy_loss(first, batch, mode, {.terms = sum, .losses = both});
  policy_loss(second, batch, mode, {.terms = sum, .losses = both, .add = true});
  for (std::size_t i = 0; i < 2; ++i) CHECK(both[i] == one[i] + two[i]);
  for (std::size_t t = 0; t < 3; ++t) {
    CHECK(sum[t].target == a[t].target + b[t].target);
    CHECK(sum[t].entropy == 0);
  }
}
