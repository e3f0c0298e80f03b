// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/critic.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

TEST_CASE("the sequence critic gives the reference vectors (G6)") {
  const std::vector<double> v = {-1.2, .3, 2, 0}, r = {1, 0, 1, 0};
  std::vector<double> slope(4), scratch(1);
  const auto total = sequence_critic_loss(v, r, slope);
  CHECK(total.mean() == Approx(0.784428226).epsilon(1e-8));
  const double loss[] = {1.463282467, 0.854355244, 0.126928011, 0.693147181};
  for (std::size_t b = 0; b < 4; ++b)
    CHECK(sequence_critic_loss(std::span(v).subspan(b, 1), std::span(r).subspan(b, 1), scratch).sum ==
          Approx(loss[b]).epsilon(1e-8));
  const std::vector<double> soft = {0.3, 0.9, 0.5, 1};
  sequence_critic_loss(v, soft, slope, 0.5);
  CHECK(gradient_error(v, slope, [&](const std::vector<double>& x) {
          std::vector<double> s(4);
          return 0.5 * sequence_critic_loss(x, soft, s).sum;
        }) < 1e-8);
}

TEST_CASE("the sequence critic does not overflow, counts NaN, and refuses what is no probability") {
  std::vector<double> slope(2);
  const std::vector<double> far = {1000, -1000}, wrong = {0, 1};
  CHECK(sequence_critic_loss(far, wrong, slope).sum == 2000);
  CHECK(slope == std::vector<double>{1, -1});
  const std::vector<double> broken = {NAN, 1};
  CHECK(sequence_critic_loss(broken, wrong, slope).nonfinite == 1);
  CHECK(std::isnan(slope[0]));
  CHECK(sequence_critic_loss(far, broken, slope).nonfinite == 1);
  CHECK(sequence_critic_loss({}, {}, {}).count == 0);
  CHECK_THROWS_WITH(sequence_critic_loss(far, std::vector<double>{0, 1.5}, slope), Catch::Contains("reward 1"));
  CHECK_THROWS_WITH(sequence_critic_loss(far, std::vector<double>{0}, slope), Catch::Contains("rewards"));
  CHECK_THROWS_WITH(sequence_critic_loss(far, wrong, slope, NAN), Catch::Contains("scale"));
  slope = {7, 7};
  CHECK_THROWS_WITH(sequence_critic_loss(far, std::vector<double>{-1e-9, 1}, slope), Catch::Contains("reward 0 must"));
  CHECK_THROWS_WITH(sequence_critic_loss(far, wrong, std::span(slope).first(1)), Catch::Contains("slope: has 1"));
  CHECK_THROWS_WITH(sequence_critic_loss(far, {}, slope), Catch::Contains("rewards: has 0 tokens"));
  for (const double bad : {1e300, -1e300, double(INFINITY)})
    CHECK_THROWS_WITH(sequence_critic_loss(far, wrong, slope, bad), Catch::Contains("scale: must be finite"));
  CHECK(slope == std::vector<double>{7, 7});
  CHECK(sequence_critic_loss(far, wrong, slope, -9e299).count == 2);
}

TEST_CASE(
    "a critic that is certain, at infinity: no loss where it is right, an infinite one, counted, where it is not") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> v = {inf, -inf, inf, -inf, inf, -inf}, r = {1, 0, 0, 1, 0.5, 0.25};
  std::vector<double> slope(6), one(1);
  const auto total = sequence_critic_loss(v, r, slope);
  CHECK(total.sum == inf);
  CHECK(total.nonfinite == 4);
  CHECK(slope == std::vector<double>{0, 0, 1, -1, 0.5, -0.25});
  for (std::size_t b = 0; b < 6; ++b)
    CHECK(sequence_critic_loss(std::span(v).subspan(b, 1), std::span(r).subspan(b, 1), one).sum == (b < 2 ? 0 : inf));
  CHECK(std::isnan(sequence_critic_loss(std::span(v).first(1), std::vector<double>{NAN}, one).sum));
  const std::vector<index_t> offsets = {0, 6};
  const std::vector<double> old(6, 0.0);
  const auto clipped = probability_critic_loss(v, old, r, offsets, {}, constant_sum(1), slope, 0.25);
  CHECK(clipped.nonfinite == 4);
  CHECK(slope == std::vector<double>{0, 0, 1, -1, 0.5, -0.25});  // clipped where it is right
  CHECK(token_critic_loss(v, old, r, offsets, {}, constant_sum(1), slope, 0.25).nonfinite == 6);
}

TEST_CASE("the clipped value loss gives the reference vector (G3)") {
  const std::vector<index_t> offsets = {0, 1};
  std::vector<double> slope(1);
  const auto loss = token_critic_loss(std::vector<double>{.9}, std::vector<double>{.2}, std::vector<double>{.5},
                                      offsets, {}, constant_sum(1), slope, 0.5);
  CHECK(loss.sum == Approx(0.08));
  CHECK(slope[0] == Approx(0.4));
}

namespace {

struct tokens {
  std::vector<index_t> offsets = {0, 7, 7, 9, 30};
  std::vector<std::int32_t> targets;
  std::vector<double> value, old, returns, shares;

  tokens() {
    for (std::uint64_t t = 0; t < 30; ++t) {
      targets.push_back(philox{1}.uniform(t) < 0.3 ? -1 : 0);
      old.push_back(philox{2}.normal(t));
      value.push_back(old.back() + philox{3}.normal(t));
      returns.push_back(philox{4}.normal(t));
      shares.push_back(t % 5 == 0 ? static_cast<double>(t % 2) : philox{5}.uniform(t));
    }
  }
};

}  // namespace

TEST_CASE("token critics: formula, gradient, aggregation, any cut and any workers") {
  const tokens k;
  const auto counts = count(k.offsets, k.targets);
  for (const auto& mode : {token_mean(counts), sequence_token_mean(counts)})
    for (const double range : {0.1, 0.5, double(INFINITY)}) {
      double squares = 0, entropies = 0;
      for (std::size_t b = 0; b < 4; ++b) {
        double of_squares = 0, of_entropies = 0, n = 0;
        for (auto t = static_cast<std::size_t>(k.offsets[b]); t < static_cast<std::size_t>(k.offsets[b + 1]); ++t) {
          if (k.targets[t] < 0) continue;
          const double g = k.returns[t], r = k.shares[t];
          const double clipped = std::fmin(std::fmax(k.value[t], k.old[t] - range), k.old[t] + range);
          of_squares += std::fmax(std::pow(k.value[t] - g, 2), std::pow(clipped - g, 2)) / 2;
          const auto p = [](double x) { return 1 / (1 + std::exp(-x)); };
          const double edge = std::fmin(std::fmax(p(k.value[t]), p(k.old[t]) - range), p(k.old[t]) + range);
          const auto entropy = [&](double q) { return -r * std::log(q) - (1 - r) * std::log(1 - q); };
          of_entropies += std::fmax(entropy(p(k.value[t])), entropy(edge));
          n += 1;
        }
        const double share = mode.mean_of_tokens && n > 0 ? n : 1;
        squares += of_squares / share;
        entropies += of_entropies / share;
      }
      std::vector<double> slope(30), losses(4);
      const auto check = [&](auto&& run, double expected) {
        const auto total = run(k.value, slope, losses, serial{});
        CHECK(total.sum == Approx(expected).epsilon(1e-12));
        CHECK(total.count == counts.tokens);
        CHECK(policy::total(std::span<const double>(losses)) == total.sum);
        std::vector<double> again(30), other(4);
        thread_pool pool(3);
        CHECK(run(k.value, again, other, pool).sum == total.sum);
        CHECK(again == slope);
        CHECK(other == losses);
        CHECK(gradient_error(k.value, slope, [&](const std::vector<double>& x) {
                return run(x, again, other, serial{}).sum / mode.denominator;
              }) < 1e-7);
      };
      check(
          [&](const auto& value, auto& s, auto& l, auto&& pool) {
            return token_critic_loss(value, k.old, k.returns, k.offsets, k.targets, mode, s, range, l, pool);
          },
          squares);
      check(
          [&](const auto& value, auto& s, auto& l, auto&& pool) {
            return probability_critic_loss(value, k.old, k.shares, k.offsets, k.targets, mode, s, range, l, pool);
          },
          entropies);
    }
}

TEST_CASE("token critics refuse what does not fit") {
  const tokens k;
  std::vector<double> slope(30), three(3);
  const auto mode = constant_sum(1);
  const auto run = [&](const auto& value, const auto& old, const auto& returns, const aggregation& by, double range,
                       std::span<double> losses = {}) {
    token_critic_loss(value, old, returns, k.offsets, k.targets, by, slope, range, losses);
  };
  CHECK_THROWS_WITH(run(three, k.old, k.returns, mode, 1), Catch::Contains("value"));
  CHECK_THROWS_WITH(run(k.value, three, k.returns, mode, 1), Catch::Contains("old"));
  CHECK_THROWS_WITH(run(k.value, k.old, three, mode, 1), Catch::Contains("returns"));
  CHECK_THROWS_WITH(run(k.value, k.old, k.returns, mode, 0), Catch::Contains("range"));
  CHECK_THROWS_WITH(run(k.value, k.old, k.returns, constant_sum(0), 1), Catch::Contains("denominator"));
  CHECK_THROWS_WITH(run(k.value, k.old, k.returns, mode, 1, three), Catch::Contains("losses"));
  const std::vector<double> none;
  CHECK_THROWS_WITH(run(none, k.old, k.returns, mode, 1), Catch::Contains("value: has 0 tokens"));
  CHECK_THROWS_WITH(run(k.value, none, k.returns, mode, 1), Catch::Contains("old: has 0 tokens"));
  CHECK_THROWS_WITH(run(k.value, k.old, none, mode, 1), Catch::Contains("returns: has 0 tokens"));
  for (const double bad : {-1.0, double(NAN)})
    CHECK_THROWS_WITH(run(k.value, k.old, k.returns, mode, bad), Catch::Contains("range: must be positive"));
  CHECK_THROWS_WITH(probability_critic_loss(k.value, k.old, k.shares, k.offsets, k.targets, mode, slope, 0),
                    Catch::StartsWith("hone::policy::probability_critic_loss: range"));
  CHECK_THROWS_WITH(token_critic_loss(k.value, k.old, k.returns, std::vector<index_t>{0, 29}, k.targets, mode, slope),
                    Catch::Contains("offsets"));
  CHECK_THROWS_WITH(token_critic_loss(k.value, k.old, k.returns, k.offsets, std::vector<std::int32_t>{1}, mode, slope),
                    Catch::Contains("targets: has 1 tokens"));
  CHECK_THROWS_WITH(probability_critic_loss(k.value, k.old, k.returns, k.offsets, k.targets, mode, slope),
                    Catch::Contains("must be in [0, 1]"));
  std::vector<double> broken = k.value;
  broken[8] = NAN;
  const std::vector<std::int32_t> all(30, 1);
  CHECK(token_critic_loss(broken, k.old, k.returns, k.offsets, all, mode, slope).nonfinite == 1);
  CHECK(probability_critic_loss(broken, k.old, k.shares, k.offsets, all, mode, slope).nonfinite == 1);
  CHECK(std::isnan(slope[8]));
}

TEST_CASE("the probability critic on both sides of its range, for wrong, right and shared outcomes; the range is 0.5") {
  const std::vector<index_t> offsets = {0, 6};
  const std::vector<double> value = {3, -3, 3, -3, 3, -3}, old(6, 0), returns = {1, 0, 0, 1, 0.25, 0.25};
  std::vector<double> slope(6, 9);
  const auto at = [](double r, double p) { return -(r * std::log(p) + (1 - r) * std::log1p(-p)); };
  const double p = 1 / (1 + std::exp(-3.0));
  const auto sum = probability_critic_loss(value, old, returns, offsets, {}, constant_sum(1), slope, 0.1);
  // Right by more than the range: the clipped one counts and teaches nothing. Wrong: the free one.
  const double clipped = at(1, 0.6), wrong = at(0, p);
  double expected = 2 * clipped + 2 * wrong;
  for (const double q : {p, 1 - p}) expected += std::max(at(0.25, q), at(0.25, q > 0.5 ? 0.6 : 0.4));
  CHECK(sum.sum == Approx(expected).epsilon(1e-13));
  CHECK((slope[0] == 0 && slope[1] == 0));
  CHECK(slope[2] == Approx(p).epsilon(1e-14));
  CHECK(slope[3] == Approx(-p).epsilon(1e-14));
  CHECK(slope[4] == Approx(p - 0.25).epsilon(1e-13));
  const double low = at(0.25, 0.4), free = at(0.25, 1 - p);
  CHECK(slope[5] == Approx(free >= low ? 0.75 - p : 0).epsilon(1e-13));
  // Where nobody says, the range is a half: of probabilities from 1 / 2 that is all of them.
  std::vector<double> wide(6), same(6);
  const std::vector<double> far(6, 2), before(6, -2);
  const auto by_default = probability_critic_loss(far, before, returns, offsets, {}, constant_sum(1), wide);
  CHECK(by_default.sum == probability_critic_loss(far, before, returns, offsets, {}, constant_sum(1), same, 0.5).sum);
  CHECK(by_default.sum != probability_critic_loss(far, before, returns, offsets, {}, constant_sum(1), same, 0.8).sum);
  const auto tokens_by_default = token_critic_loss(far, old, returns, offsets, {}, constant_sum(1), wide);
  CHECK(tokens_by_default.sum == token_critic_loss(far, old, returns, offsets, {}, constant_sum(1), same, 0.5).sum);
  CHECK(wide == same);
}

TEST_CASE("a return that is no probability is refused where its token counts, and only there; masked slopes are 0") {
  const std::vector<index_t> offsets = {0, 3};
  const std::vector<double> v(3, 0.5);
  std::vector<double> slope(3, 9);
  for (std::size_t bad = 0; bad < 3; ++bad)
    for (const double value : {-1e-9, 1.0000001}) {
      std::vector<double> returns(3, 1);
      returns[bad] = value;
      std::vector<std::int32_t> targets(3, 0);
      const auto run = [&](label_view labels) {
        return probability_critic_loss(v, v, returns, offsets, labels, constant_sum(1), slope);
      };
      CHECK_THROWS_WITH(run(targets), Catch::Contains("return " + std::to_string(bad) + " must be in [0, 1]"));
      CHECK_THROWS_WITH(run({}), Catch::Contains("return " + std::to_string(bad)));
      CHECK(slope == std::vector<double>(3, 9));
      targets[bad] = -1;
      CHECK(run(targets).count == 2);
      CHECK(slope[bad] == 0);
      slope.assign(3, 9);
      CHECK(token_critic_loss(v, v, returns, offsets, targets, constant_sum(1), slope).count == 2);
      CHECK(slope[bad] == 0);
      slope.assign(3, 9);
    }
}
