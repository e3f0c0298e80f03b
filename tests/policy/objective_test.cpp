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
  for (const double bad : {1e300, -1e300, double(INFINITY)})
    CHECK_THROWS_WITH((objective{token_ratio{}, ppo_clip{}, {}, bad}.check()), Catch::Contains("objective: entropy"));
  CHECK_NOTHROW((objective{token_ratio{}, ppo_clip{}, {}, -9e299}.check()));
  CHECK_THROWS_WITH((objective{token_ratio{}, ppo_clip{.low = -1}}.check()), Catch::Contains("low"));
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

TEST_CASE("the parts of a loss add up, weighted by responses; each field of a sum is added to its own") {
  const std::vector<double> log_p = {-1, -2, -0.5}, old = {-1.1, -1.9, -0.6}, advantage = {1, -0.5, 2},
                            q = {-1.2, -1.5, -0.9}, entropy = {0.5, 0.25, 2}, weight = {0.5, 2, 3};
  const std::vector<index_t> offsets = {0, 2, 3};
  const token_batch batch{.offsets = offsets,
                          .log_probability = log_p,
                          .old = old,
                          .advantage = advantage,
                          .weight = weight,
                          .reference = q,
                          .entropy = entropy};
  const objective f{token_ratio{}, unclipped{}, kl_penalty{.coefficient = 0.3, .estimator = kl_estimator::k1}, 0.2};
  for (const bool mean : {false, true}) {
    std::vector<double> losses(2);
    std::vector<loss::row_terms> terms(3);
    const policy_sum sum = policy_loss(f, batch, {mean, 7}, {terms, losses});
    const double share = mean ? 0.5 : 1;
    const auto l = [&](std::size_t t) { return -weight[t] * advantage[t] * std::exp(log_p[t] - old[t]); };
    CHECK(sum.surrogate == Approx((l(0) + l(1)) * share + l(2)).epsilon(1e-14));
    CHECK(sum.kl == Approx((0.2 - 0.5) * share + 0.4).epsilon(1e-13));
    CHECK(sum.entropy == Approx(0.75 * share + 2).epsilon(1e-14));
    CHECK(sum.sum == Approx(sum.surrogate + 0.3 * sum.kl - 0.2 * sum.entropy).epsilon(1e-13));
    CHECK(sum.drift == Approx(-0.1 + 0.1 - 0.1).epsilon(1e-13));
    CHECK(losses[0] + losses[1] == Approx(sum.sum).epsilon(1e-14));
    CHECK(losses[1] == Approx(l(2) + 0.3 * 0.4 - 0.2 * 2).epsilon(1e-13));
    for (std::size_t t = 0; t < 3; ++t) {
      const double scale = (t < 2 ? share : 1) / 7;
      CHECK(terms[t].target == Approx(scale * (l(t) + 0.3)).epsilon(1e-13));
      CHECK(terms[t].entropy == Approx(scale * 0.2).epsilon(1e-14));
    }
  }
  policy_sum total{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  total += {10, 20, 30, 40, 50, 60, 70, 80, 90, 100};
  CHECK((total.sum == 11 && total.surrogate == 22 && total.kl == 33 && total.entropy == 44 && total.drift == 55));
  CHECK((total.tokens == 66 && total.inactive == 77 && total.negative == 88 && total.negative_active == 99));
  CHECK(total.nonfinite == 110);
}

TEST_CASE("weights of tokens weigh the slope of a response's ratio") {
  const std::vector<double> log_p = {-1, -2}, old = {-1.2, -1.9}, advantage = {1, 1}, weight = {0.5, 3};
  const std::vector<index_t> offsets = {0, 2};
  const token_batch batch{
      .offsets = offsets, .log_probability = log_p, .old = old, .advantage = advantage, .weight = weight};
  std::vector<loss::row_terms> terms(2);
  for (const bool geometric : {false, true}) {
    const double rho = std::exp(geometric ? 0.05 : 0.1), expected = -3.5 * rho * (geometric ? 0.5 : 1);
    const auto run = [&](auto ratio) {
      return policy_loss(objective{ratio, unclipped{}}, batch, constant_sum(1), {terms});
    };
    const policy_sum sum = geometric ? run(geometric_ratio{}) : run(sequence_ratio{});
    CHECK(sum.sum == Approx(-3.5 * rho).epsilon(1e-13));
    for (std::size_t t = 0; t < 2; ++t) CHECK(terms[t].target == Approx(expected).epsilon(1e-13));
  }
}

TEST_CASE("an anchor alone is a gradient too, weighted and added; each count is its own") {
  const std::vector<double> log_p(5, -1), advantage = {-1, -2, -3, 0, 2}, weight = {2, 0, 3, 1, 1},
                                          log_mass(5, std::log(0.2)), mass(5, 0.5), likelihood(5, -2);
  const std::vector<index_t> offsets = {0, 5};
  token_batch batch{.offsets = offsets,
                    .log_probability = log_p,
                    .advantage = advantage,
                    .weight = weight,
                    .log_mass = log_mass,
                    .reference_mass = mass,
                    .reference_likelihood = likelihood};
  for (const auto form : {anchor_form::mass, anchor_form::reference_likelihood}) {
    const objective f{token_ratio{}, support_anchor{unclipped{}, 0, 0.1, form, clip_placement::no_clip}};
    std::vector<loss::row_terms> terms(5);
    const policy_sum sum = policy_loss(f, batch, {.denominator = 4}, {terms});
    CHECK((sum.tokens == 5 && sum.negative == 3 && sum.negative_active == 2 && sum.inactive == 1));
    policy_loss(f, batch, {.denominator = 4}, {.terms = terms, .add = true});
    for (std::size_t t = 0; t < 3; ++t) {
      const double anchor = 2 * weight[t] * 0.1 * advantage[t] / 4;  // twice
      CHECK(terms[t].target == 0);
      CHECK(terms[t].subset == Approx(form == anchor_form::mass ? anchor / 0.5 : 0).margin(0));
      CHECK(terms[t].forward_kl == Approx(form == anchor_form::mass ? 0 : -anchor).margin(0));
    }
    CHECK((terms[3].target == 0 && terms[4].target == Approx(-1)));
  }
}

TEST_CASE(
    "a divergence or an entropy that is not finite is counted, a ratio far below has no slope, options are checked") {
  const std::vector<double> log_p = {-1, -1}, old = {-1, -1}, far = {30, 1}, advantage = {1, 1}, q = {-INFINITY, -1},
                            entropy = {0.5, NAN};
  const std::vector<index_t> offsets = {0, 2};
  token_batch batch{.offsets = offsets,
                    .log_probability = log_p,
                    .old = old,
                    .advantage = advantage,
                    .reference = q,
                    .entropy = entropy};
  const kl_penalty k1{.coefficient = 0.1, .estimator = kl_estimator::k1};
  CHECK(policy_loss(objective{token_ratio{}, unclipped{}, k1}, batch, {}, {}).nonfinite == 1);
  CHECK(policy_loss(objective{token_ratio{}, unclipped{}, {}, 0.1}, batch, {}, {}).nonfinite == 1);
  CHECK(policy_loss(objective{token_ratio{}, unclipped{}, k1, 0.1}, batch, {}, {}).nonfinite == 2);
  CHECK(policy_loss(objective{token_ratio{}, unclipped{}}, batch, {}, {}).nonfinite == 0);
  std::vector<loss::row_terms> terms(2);
  batch.old = far;
  const policy_sum sum = policy_loss(objective{sequence_ratio{}, unclipped{}}, batch, {}, {terms});
  CHECK(sum.sum == Approx(-2 * std::exp(-20.0)).epsilon(1e-14));
  CHECK((terms[0].target == 0 && terms[1].target == 0 && sum.inactive == 2));
  CHECK_THROWS_WITH(policy_loss(objective{token_ratio{}, ppo_clip{.low = -1}}, batch, {}, {}), Catch::Contains("low"));
}
