// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/surrogate.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

token_state state(double advantage, double log_probability = -1) {
  return {.log_probability = log_probability, .advantage = advantage};
}

/// Derivatives by central differences, ratio by ratio.
template <class S>
void check_slopes(const S& surrogate) {
  for (const double a : {-1.5, -0.2, 0.0, 0.7, 2.0})
    for (const double r : {1e-3, 0.3, 0.79, 0.9, 1.0, 1.1, 1.25, 1.5, 3.5, 8.0}) {
      INFO("A " << a << " ratio " << r);
      const auto value = surrogate(state(a), r);
      const double step = 1e-6;
      const double moved = (surrogate(state(a), r + step).loss - surrogate(state(a), r - step).loss) / (2 * step);
      CHECK(value.by_ratio == Approx(moved).margin(1e-7));
    }
}

}  // namespace

TEST_CASE("slopes of surrogates of the ratio are their derivatives") {
  check_slopes(ppo_clip{});
  check_slopes(ppo_clip{.low = 0.2, .high = 0.28, .dual = 3});
  check_slopes(ppo_clip{.delta = 2});
  check_slopes(ppo_clip{.dual = 1.15});
  check_slopes(unclipped{});
  check_slopes(sapo{});
}

TEST_CASE("dual clip (G3): 3.75 becomes 2.25, and stops learning") {
  const auto plain = ppo_clip{}(state(-.75), 5), dual = ppo_clip{.dual = 3}(state(-.75), 5);
  CHECK(plain.loss == Approx(3.75));
  CHECK(plain.by_ratio == .75);
  CHECK(dual.loss == 2.25);
  CHECK(!dual.active());
  CHECK(ppo_clip{.dual = 3}(state(-.75), 3).active());
  CHECK(ppo_clip{.dual = 3}(state(.75), 5).loss == ppo_clip{}(state(.75), 5).loss);
}

TEST_CASE("the clip is inactive past its bound, on the side that A pushes to, and active at it") {
  const ppo_clip clip{.low = 0.25, .high = 0.5};
  CHECK(clip(state(1), 1.5).by_ratio == -1);
  CHECK(clip(state(1), 1.51).by_ratio == 0);
  CHECK(clip(state(1), 0.1).by_ratio == -1);
  CHECK(clip(state(-1), 0.75).by_ratio == 1);
  CHECK(clip(state(-1), 0.74).by_ratio == 0);
  CHECK(clip(state(-1), 9).by_ratio == 1);
  CHECK(!clip(state(0), 1).active());
}

TEST_CASE("delta bounds the unclipped ratio, so that a punished token's loss does not run away") {
  const ppo_clip clip{.delta = 4};
  CHECK(clip(state(-1), 100).loss == 4);
  CHECK(clip(state(-1), 100).by_ratio == 0);
  CHECK(clip(state(1), 100).loss == -1.2);
}

TEST_CASE("SAPO has PPO's slope at ratio 1, less away from it, and a punished token's falls faster") {
  CHECK(sapo{}(state(2), 1).by_ratio == -2);
  CHECK(sapo{}(state(-2), 1).by_ratio == 2);
  CHECK(std::abs(sapo{}(state(2), 2).by_ratio) < 2);
  CHECK(std::abs(sapo{}(state(-2), 2).by_ratio) < std::abs(sapo{}(state(2), 2).by_ratio));
}

TEST_CASE("CISPO: TRL bounds the ratio from above, verl from both sides; the weight is held constant") {
  const cispo trl, verl{0.8, 1.28};
  CHECK(trl(state(2, -3), 0.5).loss == 3);
  CHECK(verl(state(2, -3), 0.5).loss == Approx(0.8 * 6));
  CHECK(trl(state(2, -3), 7).loss == 30);
  CHECK(verl(state(2, -3), 7).by_log_probability == -2.56);
  CHECK(verl(state(2, -3), 7).by_ratio == 0);
}

TEST_CASE("VESPO's weight is 1 at ratio 1 and largest at k / lambda") {
  const vespo v;
  CHECK(v(state(2, -3), 1).loss == 6);
  const auto weight = [&](double a, double r) { return v(state(a), r).loss / a; };
  for (const double a : {1.0, -1.0}) {
    const double top = a > 0 ? 2.0 / 3 : 1.5;
    CHECK(weight(a, top) > weight(a, top * 1.01));
    CHECK(weight(a, top) > weight(a, top * 0.99));
    CHECK(weight(a, top) == Approx(std::exp(a > 0 ? 3 : 2) * std::pow(top, a > 0 ? 2 : 3) * std::exp(a > 0 ? -2 : -3)));
  }
  CHECK(v(state(1), 0).loss == 0);
}

TEST_CASE("plain surrogates") {
  CHECK(reinforce{}(state(2, -3), 9).loss == 6);
  CHECK(reinforce{}(state(2, -3), 9).by_log_probability == -2);
  CHECK(unclipped{}(state(2, -3), 9).loss == -18);
}

TEST_CASE("NaN goes through every surrogate") {
  const auto check = [](auto surrogate) {
    const auto by_ratio = surrogate(state(1, NAN), NAN), by_advantage = surrogate(state(NAN), 1);
    CHECK(std::isnan(by_ratio.loss));
    CHECK(std::isnan(by_advantage.loss));
    CHECK(std::isnan(by_advantage.by_ratio + by_advantage.by_log_probability));
  };
  check(ppo_clip{});
  check(ppo_clip{.dual = 3, .delta = 2});
  check(unclipped{});
  check(sapo{});
  check(reinforce{});
  check(cispo{});
  check(vespo{});
}

TEST_CASE("parameters of surrogates out of range are refused") {
  CHECK_THROWS_WITH((ppo_clip{.low = -0.1}.check()), Catch::Contains("low"));
  CHECK_THROWS_WITH((ppo_clip{.high = NAN}.check()), Catch::Contains("high"));
  CHECK_THROWS_WITH((ppo_clip{.dual = 1}.check()), Catch::Contains("dual"));
  CHECK_THROWS_WITH((ppo_clip{.delta = 1.1}.check()), Catch::Contains("delta"));
  CHECK_THROWS_WITH((ppo_clip{.low = 0.1, .high = 0.3, .delta = 1.2}.check()), Catch::Contains("delta"));
  CHECK_NOTHROW((ppo_clip{.low = 0.3, .high = 0.1, .delta = 1.1}.check()));
  CHECK_THROWS_WITH((sapo{.positive = 0}.check()), Catch::Contains("temperature"));
  CHECK_THROWS_WITH((sapo{.negative = 0}.check()), Catch::Contains("temperature"));
  CHECK_THROWS_WITH((cispo{2, 1}.check()), Catch::Contains("upper"));
  CHECK_THROWS_WITH((cispo{-1, 1}.check()), Catch::Contains("lower"));
  for (const vespo& broken :
       {vespo{.positive_k = -1}, vespo{.positive_lambda = -1}, vespo{.negative_k = -1}, vespo{.negative_lambda = -1}})
    CHECK_THROWS_WITH(broken.check(), Catch::Contains("parameters"));
  CHECK_THROWS_WITH((log_ratio_distance{.coefficient = -1}.check()), Catch::Contains("coefficient"));
  CHECK_NOTHROW((ppo_clip{.low = 0, .high = 0, .dual = infinity}.check()));
}

TEST_CASE("surrogates with parameters of their own, by their formulas") {
  const auto logistic = [](double x) { return 1 / (1 + std::exp(-x)); };
  for (const double r : {0.3, 1.0, 1.7, 4.0})
    for (const double a : {-1.5, 0.5}) {
      INFO("A " << a << " ratio " << r);
      const double tau = a > 0 ? 0.5 : 2.0, p = logistic(tau * (r - 1));
      const auto soft = sapo{.positive = 0.5, .negative = 2}(state(a), r);
      CHECK(soft.loss == Approx(-a * 4 * p / tau).epsilon(1e-14));
      CHECK(soft.by_ratio == Approx(-a * 4 * p * (1 - p)).epsilon(1e-13));
      const double k = a > 0 ? 1.5 : 0.5, l = a > 0 ? 0.7 : 2.5;
      const auto variational = vespo{1.5, 0.7, 0.5, 2.5}(state(a, -3), r);
      const double slope = -std::exp(l) * std::pow(r, k) * std::exp(-l * r) * a;
      CHECK(variational.by_log_probability == Approx(slope).epsilon(1e-13));
      CHECK(variational.loss == Approx(-3 * slope).epsilon(1e-13));
      const auto distance = log_ratio_distance{0.7}(state(a), r);
      CHECK(distance.loss == Approx(0.7 * std::abs(std::log(r))).epsilon(1e-14).margin(0));
      CHECK(distance.by_ratio == Approx(0.7 * (r > 1 ? 1 : r < 1 ? -1 : 0) / r).epsilon(1e-14).margin(0));
      check_slopes(log_ratio_distance{0});
    }
  CHECK(surrogate_value{.by_ratio = 1}.active());
  CHECK(surrogate_value{.by_log_probability = 1}.active());
  CHECK(surrogate_value{.by_mass = 1}.active());
  CHECK(surrogate_value{.by_reference_likelihood = 1}.active());
  CHECK(!surrogate_value{.loss = 1}.active());
}

TEST_CASE("the last parameters of surrogates that are taken, the first that are not") {
  const auto refused = [](const auto& s, const char* part) { CHECK_THROWS_WITH(s.check(), Catch::Contains(part)); };
  for (const double bad : {-1e-9, double(NAN)}) {
    refused(ppo_clip{.low = bad}, "hone::policy::ppo_clip: low");
    refused(ppo_clip{.high = bad}, "hone::policy::ppo_clip: high");
    refused(cispo{.lower = bad}, "hone::policy::cispo: lower");
  }
  for (const double bad : {1.0, 0.5, double(NAN)}) refused(ppo_clip{.dual = bad}, "hone::policy::ppo_clip: dual");
  for (const double bad : {1.1999, double(NAN)}) refused(ppo_clip{.delta = bad}, "hone::policy::ppo_clip: delta");
  for (const double bad : {0.0, -1e-9, 1e300, infinity, double(NAN)}) {
    refused(sapo{.positive = bad}, "hone::policy::sapo: temperature");
    refused(sapo{.negative = bad}, "hone::policy::sapo: temperature");
  }
  for (const double bad : {0.0, -1.0, double(NAN)}) refused(cispo{.upper = bad}, "hone::policy::cispo: upper");
  for (const double bad : {-1e-9, 1e300, infinity, double(NAN)}) {
    refused(vespo{.positive_k = bad}, "hone::policy::vespo: parameters");
    refused(vespo{.positive_lambda = bad}, "hone::policy::vespo: parameters");
    refused(vespo{.negative_k = bad}, "hone::policy::vespo: parameters");
    refused(vespo{.negative_lambda = bad}, "hone::policy::vespo: parameters");
    refused(log_ratio_distance{bad}, "hone::policy::log_ratio_distance: coefficient");
  }
  CHECK_NOTHROW((ppo_clip{.high = 0.5, .dual = 1.0000001, .delta = 1.5}.check()));
  CHECK_NOTHROW((sapo{1e-300, 9e299}.check()));
  CHECK_NOTHROW((cispo{2, 2}.check()));
  CHECK_NOTHROW((cispo{0, 1e-300}.check()));
  CHECK_NOTHROW((vespo{0, 9e299, 0, 9e299}.check()));
  CHECK_NOTHROW(log_ratio_distance{0}.check());
  CHECK((cispo{}.lower == 0 && cispo{}.upper == 5 && sapo{}.positive == 1 && sapo{}.negative == 1.05));
  CHECK((vespo{}.positive_k == 2 && vespo{}.positive_lambda == 3 && vespo{}.negative_k == 3));
  CHECK((vespo{}.negative_lambda == 2 && log_ratio_distance{}.coefficient == 1));
}
