// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/kl.hpp"

#include "hone/loss/divergence.hpp"
#include "hone/policy/objective.hpp"
#include "hone/policy/reward.hpp"
#include "hone/policy/rows.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

const std::vector<double> z = {1, .5, -.2, .1, -1.5}, z_ref = {.6, .9, .3, -.4, -.8};
const std::vector<double> reverse_gradient = {0.140342521, -0.117360295, -0.070848117, 0.074025007, -0.026159115};
const std::vector<double> forward_gradient = {0.147401814, -0.111216352, -0.074255466, 0.070371377, -0.032301373};

void close(const std::vector<double>& x, const std::vector<double>& y) {
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(y[i]).margin(2e-9));
}

/// Every token of the vocabulary once, weighted by its probability: exact expectations over y ~ pi.
struct enumeration {
  std::vector<double> p = naive_softmax(z), q = naive_softmax(z_ref), log_p, log_q, logits;
  std::vector<std::int32_t> targets = {0, 1, 2, 3, 4};
  std::vector<index_t> offsets = {0, 5};
  double value = 0;

  enumeration() {
    for (std::size_t v = 0; v < 5; ++v) {
      log_p.push_back(std::log(p[v]));
      log_q.push_back(std::log(q[v]));
      logits.insert(logits.end(), z.begin(), z.end());
    }
  }
  /// The expected gradient of @p f, given each token's advantage.
  template <class Objective>
  std::vector<double> gradient(const Objective& f, const std::vector<double>& advantage) {
    std::vector<loss::row_terms> terms(5);
    const token_batch batch{
        .offsets = offsets, .log_probability = log_p, .old = log_p, .advantage = advantage, .reference = log_q};
    policy_loss(f, batch, constant_sum(1), {terms});
    auto rows = logits;
    write_gradient(matrix_view<double>(rows.data(), 5, 5), targets, terms);
    std::vector<double> result(5);
    value = 0;
    for (std::size_t y = 0; y < 5; ++y) {
      for (std::size_t v = 0; v < 5; ++v) result[v] += p[y] * rows[5 * y + v];
      value += p[y] * f.kl(log_p[y], log_q[y], 0).value;
    }
    return result;
  }
  std::vector<double> of(kl_estimator estimator, kl_gradient gradient_kind) {
    return gradient(objective{token_ratio{}, ppo_clip{},
                              kl_penalty{.coefficient = 1, .estimator = estimator, .gradient = gradient_kind}},
                    std::vector<double>(5));
  }
};

}  // namespace

TEST_CASE("the estimators give the reference vectors (G4)") {
  const double log_p[] = {-1, -2, -.3}, log_q[] = {-1.2, -1.5, -.3};
  const double k1[] = {.2, -.5, 0}, k2[] = {.02, .125, 0}, k3[] = {0.018730753, 0.148721271, 0},
               slope[] = {0.181269247, -0.648721271, 0};
  for (int i = 0; i < 3; ++i) {
    CHECK(estimate_kl(kl_estimator::k1, log_p[i], log_q[i]).value == Approx(k1[i]).margin(1e-15));
    CHECK(estimate_kl(kl_estimator::k2, log_p[i], log_q[i]).value == Approx(k2[i]).margin(1e-15));
    CHECK(estimate_kl(kl_estimator::k3, log_p[i], log_q[i]).value == Approx(k3[i]).margin(1e-9));
    CHECK(estimate_kl(kl_estimator::k3, log_p[i], log_q[i]).slope == Approx(slope[i]).margin(1e-9));
  }
}

TEST_CASE("what the estimators push the policy to, by enumeration (G4)") {
  enumeration e;
  const double divergence = 0.099451657;
  close(e.of(kl_estimator::k1, kl_gradient::own), std::vector<double>(5, 0.0));
  CHECK(e.value == Approx(divergence).epsilon(1e-8));
  close(e.of(kl_estimator::k2, kl_gradient::own), reverse_gradient);
  CHECK(e.value == Approx(0.101859851).epsilon(1e-8));
  close(e.of(kl_estimator::k3, kl_gradient::own), forward_gradient);
  CHECK(e.value == Approx(divergence).epsilon(1e-8));
  for (const auto estimator : {kl_estimator::k1, kl_estimator::k2, kl_estimator::k3})
    close(e.of(estimator, kl_gradient::straight_through), reverse_gradient);
  close(e.of(kl_estimator::k1, kl_gradient::importance), reverse_gradient);
  close(e.of(kl_estimator::k3, kl_gradient::importance), reverse_gradient);
  CHECK(e.value == Approx(divergence).epsilon(1e-8));
}

TEST_CASE("k1 in the reward has the gradient of KL(pi || q)") {
  enumeration e;
  std::vector<double> rewards(5);
  const auto kl = subtract_kl(e.log_p, e.log_q, {}, 1, rewards);
  CHECK(kl.count == 5);
  close(e.gradient(objective{token_ratio{}, reinforce{}}, rewards), reverse_gradient);
}

TEST_CASE("the expected gradients are those of the full divergences") {
  for (const auto direction : {loss::kl_direction::reverse, loss::kl_direction::forward}) {
    auto row = z;
    loss::kl_to_reference(matrix_view<double>(row.data(), 1, 5), matrix_view<const double>(z_ref.data(), 1, 5), {},
                          direction);
    close(row, direction == loss::kl_direction::reverse ? reverse_gradient : forward_gradient);
  }
}

TEST_CASE("the entropy bonus gives the reference vectors (G4)") {
  std::vector<double> entropy(1), log_p(1), advantage(1), row = z;
  const std::vector<std::int32_t> target = {0};
  const std::vector<index_t> offsets = {0, 1};
  measure(matrix_view<const double>(z.data(), 1, 5), target, {}, {.log_probability = log_p, .entropy = entropy});
  CHECK(entropy[0] == Approx(1.389663514).epsilon(1e-9));
  std::vector<loss::row_terms> terms(1);
  const auto result =
      policy_loss(objective{token_ratio{}, ppo_clip{}, {}, -1.0},
                  {.offsets = offsets, .log_probability = log_p, .advantage = advantage, .entropy = entropy},
                  constant_sum(1), {terms});
  CHECK(result.entropy == entropy[0]);
  CHECK(result.sum == entropy[0]);
  write_gradient(matrix_view<double>(row.data(), 1, 5), target, terms);
  close(row, {-0.215201490, -0.003974841, 0.086007186, 0.065199569, 0.067969575});
}

TEST_CASE("k3 is at least 0, exact near 0, clamped far out and NaN where it has no value") {
  for (const double k1 : {-25.0, -3.0, -1e-9, 1e-9, 0.5, 7.0, 40.0}) {
    const auto k = estimate_kl(kl_estimator::k3, k1, 0);
    CHECK(k.value >= 0);
    CHECK(std::isfinite(k.value));
    if (std::abs(k1) < 1e-6) CHECK(k.value == Approx(k1 * k1 / 2).epsilon(1e-6).margin(1e-17));
    if (k1 < -20) CHECK(k.slope == 0);
  }
  // Where k1 is large nothing overflows: k3 and its slope are what they are.
  for (const double k1 : {19.9, 20.0, 20.1, 40.0, 1e5}) {
    const auto k = estimate_kl(kl_estimator::k3, k1, 0);
    CHECK(k.value == Approx(k1 - 1 + std::exp(-k1)).epsilon(1e-15));
    CHECK(k.slope == Approx(1 - std::exp(-k1)).epsilon(1e-15));
  }
  CHECK(estimate_kl(kl_estimator::k3, 0, -INFINITY).value == INFINITY);
  CHECK(estimate_kl(kl_estimator::k3, 0, -INFINITY).slope == 1);
  CHECK(estimate_kl(kl_estimator::k3, -25, 0).value == estimate_kl(kl_estimator::k3, -20, 0).value);
  CHECK(estimate_kl(kl_estimator::k3, -25, 0, 30).value == Approx(std::exp(25) - 26).epsilon(1e-14));
  CHECK(std::isnan(estimate_kl(kl_estimator::k3, NAN, 0).value));
  CHECK(std::isnan(estimate_kl(kl_estimator::k3, NAN, 0).slope));
  const kl_penalty verl{.coefficient = 1, .value_limit = 10};
  CHECK(verl(-5, 0, 0).value == 10);
  CHECK(verl(-5, 0, 0).slope == 0);
  CHECK(kl_penalty{.gradient = kl_gradient::straight_through, .value_limit = 10}(-5, 0, 0).slope == -5);
}

TEST_CASE("the adaptive coefficient follows its target (G7)") {
  adaptive_kl kl;
  kl.update(8, 256);
  CHECK(kl.coefficient == Approx(0.201024).epsilon(1e-12));
  const double before = kl.coefficient;
  kl.update(6, 256);
  CHECK(kl.coefficient == before);
  kl.update(3, 256);
  CHECK(kl.coefficient < before);
  const double low = kl.coefficient;
  for (const double broken : {NAN, INFINITY, -INFINITY}) {
    kl.update(broken, 256);
    CHECK(kl.coefficient == low);
  }
  for (adaptive_kl broken : {adaptive_kl{.coefficient = 0}, adaptive_kl{.target = 0}, adaptive_kl{.horizon = 0}})
    CHECK_THROWS_WITH(broken.update(1, 1), Catch::Contains("parameters"));
  CHECK_THROWS_WITH((kl_penalty{.coefficient = -1}.check()), Catch::Contains("coefficient"));
  CHECK_THROWS_WITH((kl_penalty{.value_limit = 0}.check()), Catch::Contains("value_limit"));
  for (const double bad : {1e300, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH((kl_penalty{.coefficient = bad}.check()), Catch::StartsWith("hone::policy::kl_penalty: coeff"));
    for (adaptive_kl broken :
         {adaptive_kl{.coefficient = bad}, adaptive_kl{.target = bad}, adaptive_kl{.horizon = bad}})
      CHECK_THROWS_WITH(broken.update(1, 1), Catch::StartsWith("hone::policy::adaptive_kl: parameters"));
  }
  for (const double bad : {-1.0, double(NAN)})
    CHECK_THROWS_WITH((kl_penalty{.value_limit = bad}.check()), Catch::StartsWith("hone::policy::kl_penalty: value_l"));
  CHECK_NOTHROW((kl_penalty{.coefficient = 9e299, .value_limit = 1e-300}.check()));
}

TEST_CASE("the adaptive coefficient's step is proportional within a fifth, on both sides") {
  const auto after = [](double current) {
    adaptive_kl kl{.coefficient = 0.5, .target = 2, .horizon = 1000};
    kl.update(current, 10);
    return kl.coefficient;
  };
  CHECK(after(2.2) == Approx(0.5 * (1 + 0.1 * 10 / 1000)).epsilon(1e-14));
  CHECK(after(1.9) == Approx(0.5 * (1 - 0.05 * 10 / 1000)).epsilon(1e-14));
  CHECK(after(100) == Approx(0.5 * (1 + 0.2 * 10 / 1000)).epsilon(1e-14));
  CHECK(after(0) == Approx(0.5 * (1 - 0.2 * 10 / 1000)).epsilon(1e-14));
}

TEST_CASE("a limit on the estimate is one on both sides, and stops the gradient but not its importance") {
  const double log_p = -1, log_q = -3;
  const kl_penalty cut{.coefficient = 1, .estimator = kl_estimator::k1, .value_limit = 0.5};
  CHECK((cut(log_p, log_q, 0.3).value == 0.5 && cut(log_p, log_q, 0.3).slope == 0));
  CHECK((cut(log_q, log_p, 0.3).value == -0.5 && cut(log_q, log_p, 0.3).slope == 0));
  CHECK((cut(-1, -1.5, 0.3).value == 0.5 && cut(-1, -1.5, 0.3).slope == 1));  // on the limit
  kl_penalty weighted = cut;
  weighted.gradient = kl_gradient::importance;
  CHECK(weighted(log_p, log_q, 0.3).value == Approx(0.5 * std::exp(0.3)).epsilon(1e-14));
  CHECK(weighted(log_p, log_q, 0.3).slope == Approx(0.5 * std::exp(0.3)).epsilon(1e-14));
  CHECK(weighted(log_p, log_q, 25).slope == 0);
  CHECK(weighted(log_p, log_q, -25).value == Approx(0.5 * std::exp(-20.0)).epsilon(1e-14));
  weighted.value_limit = 10;
  CHECK(weighted(log_p, log_q, 0.3).slope == Approx(3 * std::exp(0.3)).epsilon(1e-14));
  CHECK(weighted(log_p, log_q, 20).slope == Approx(3 * std::exp(20.0)).epsilon(1e-14));
  weighted.gradient = kl_gradient::straight_through;
  weighted.estimator = kl_estimator::k3;
  CHECK(weighted(log_p, log_q, 0.3).slope == 2);
}
