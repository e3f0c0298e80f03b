// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/gae.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/policy/advantage.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

const std::vector<double> r = {0, -.1, .2, 1}, v = {.5, .4, .7, .9};
const std::vector<index_t> one = {0, 4};

void close(const std::vector<double>& x, const std::vector<double>& y) {
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(y[i]).epsilon(1e-8));
}

/// A_t = sum_k (gamma lambda)^k delta_{t+k}, from the definition.
std::vector<double> naive_gae(const std::vector<double>& rewards, const std::vector<double>& values, double gamma,
                              double lambda) {
  std::vector<double> out(rewards.size());
  for (std::size_t t = 0; t < out.size(); ++t)
    for (std::size_t k = t; k < out.size(); ++k) {
      const double next = k + 1 < out.size() ? values[k + 1] : 0;
      out[t] += std::pow(gamma * lambda, static_cast<double>(k - t)) * (rewards[k] + gamma * next - values[k]);
    }
  return out;
}

}  // namespace

TEST_CASE("GAE gives the reference vectors (G1)") {
  std::vector<double> advantage(4), returns(4);
  const gae_options options{.gamma = .99, .lambda = .95};
  gae(r, v, one, {}, advantage, returns, options);
  close(advantage, {0.506562748, 0.649189525, 0.485050000, 0.100000000});
  close(returns, {1.006562748, 1.049189525, 1.185050000, 1.0});
  whiten(advantage);
  close(advantage, {0.303620060, 0.910444999, 0.212091159, -1.426156218});
  gae(r, v, one, {}, advantage, {}, {.gamma = 1, .lambda = 1});
  close(advantage, {0.6, 0.7, 0.5, 0.1});
  const std::vector<std::int32_t> masked = {1, -1, 1, 1};
  gae(r, v, one, masked, advantage, returns, options);
  close(advantage, {0.649189525, 0.485050000, 0.485050000, 0.1});
}

TEST_CASE("whitened returns of REINFORCE++ give the reference vectors (G2)") {
  const std::vector<index_t> offsets = {0, 4, 6};
  const std::vector<double> outcome = {0, 0, 0, 1, 0, 0};
  std::vector<double> out(6);
  returns_to_go(outcome, offsets, {}, out);
  CHECK(out == std::vector<double>{1, 1, 1, 1, 0, 0});
  whiten(out);
  for (std::size_t t = 0; t < 6; ++t) CHECK(out[t] == Approx(t < 4 ? 0.645497215 : -1.290994423).epsilon(1e-8));
}

TEST_CASE("REINFORCE++ with a baseline: the group's mean first, then the batch's whitening") {
  const std::vector<double> rewards = {1, 0, 0, 1};
  const std::vector<index_t> groups = {0, 2, 4}, offsets = {0, 1, 4, 6, 7};
  std::vector<double> of_response(4), tokens(7);
  group_advantages(dr_grpo{}, rewards, groups, of_response);
  loss::spread(of_response, offsets, tokens);
  whiten(tokens);
  // 0.5, -0.5 x 3, -0.5 x 2, 0.5
  const double mean = -1.5 / 7, deviation = std::sqrt((7 * 0.25 - 7 * mean * mean) / 6);
  CHECK(tokens[0] == Approx((0.5 - mean) / deviation).epsilon(1e-7));
  CHECK(tokens[4] == Approx((-0.5 - mean) / deviation).epsilon(1e-7));
}

TEST_CASE("GAE is its definition; masked tokens are as if cut out; lambda 1 and 0 are returns and one step") {
  std::vector<double> rewards, values;
  std::vector<std::int32_t> targets;
  for (std::uint64_t t = 0; t < 40; ++t) {
    rewards.push_back(philox{2}.normal(t));
    values.push_back(philox{3}.normal(t));
    targets.push_back(philox{4}.uniform(t) < 0.3 ? -1 : 0);
  }
  const std::vector<index_t> offsets = {0, 13, 13, 14, 40};
  std::vector<double> advantage(40), returns(40), kept_rewards, kept_values, kept;
  const gae_options options{.gamma = 0.97, .lambda = 0.8};
  gae(rewards, values, offsets, targets, advantage, returns, options);
  for (std::size_t b = 0; b < 4; ++b) {
    kept_rewards.clear(), kept_values.clear(), kept.clear();
    for (auto t = static_cast<std::size_t>(offsets[b]); t < static_cast<std::size_t>(offsets[b + 1]); ++t) {
      CHECK(returns[t] == advantage[t] + values[t]);
      if (targets[t] < 0) continue;
      kept_rewards.push_back(rewards[t]);
      kept_values.push_back(values[t]);
      kept.push_back(advantage[t]);
    }
    const auto expected = naive_gae(kept_rewards, kept_values, 0.97, 0.8);
    for (std::size_t i = 0; i < kept.size(); ++i) CHECK(kept[i] == Approx(expected[i]).epsilon(1e-12));
  }
  std::vector<double> to_go(40), full(40);
  gae(rewards, values, offsets, targets, full, {}, {.gamma = 0.97, .lambda = 1});
  returns_to_go(rewards, offsets, targets, to_go, 0.97);
  for (std::size_t t = 0; t < 40; ++t)
    if (targets[t] >= 0) CHECK(full[t] + values[t] == Approx(to_go[t]).epsilon(1e-12));
}

TEST_CASE("VAPO's lambda grows with the response, and is never negative") {
  CHECK(policy::detail::lambda_of({.length_adaptive = 0.05}, 100) == Approx(0.8));
  CHECK(policy::detail::lambda_of({.length_adaptive = 0.05}, 1000) == Approx(0.98));
  CHECK(policy::detail::lambda_of({.length_adaptive = 0.05}, 5) == 0);
  CHECK(policy::detail::lambda_of({}, 5) == 0.95);
  std::vector<double> adaptive(4), fixed(4);
  gae(r, v, one, {}, adaptive, {}, {.length_adaptive = 0.5});
  gae(r, v, one, {}, fixed, {}, {.lambda = 0.5});
  CHECK(adaptive == fixed);
}

TEST_CASE("nothing depends on workers; outputs may be inputs") {
  std::vector<double> rewards, values;
  std::vector<index_t> offsets = {0};
  for (std::uint64_t t = 0; t < 20000; ++t) {
    rewards.push_back(philox{5}.normal(t));
    values.push_back(philox{6}.normal(t));
    if (t % 37 == 36) offsets.push_back(static_cast<index_t>(t) + 1);
  }
  offsets.push_back(20000);
  std::vector<double> a(20000), g(20000);
  gae(rewards, values, offsets, {}, a, g);
  thread_pool pool(3);
  auto first = rewards, second = values;
  gae(first, second, offsets, {}, first, second, {}, pool);
  CHECK(first == a);
  CHECK(second == g);
  whiten(a);
  whiten(first, {}, 1e-8, false, pool);
  CHECK(first == a);
}

TEST_CASE("whitening: mean 0 and variance 1 over what counts, 0 elsewhere; equal numbers, one and none are 0") {
  std::vector<double> x = {3, 100, 5, 10, -2};
  const std::vector<std::int32_t> targets = {0, -1, 0, 0, 0};
  whiten(x, targets);
  CHECK(x[1] == 0);
  CHECK(x[0] + x[2] + x[3] + x[4] == Approx(0).margin(1e-14));
  CHECK(x[0] * x[0] + x[2] * x[2] + x[3] * x[3] + x[4] * x[4] == Approx(3).epsilon(1e-8));
  std::vector<double> kept = {3, 100, 5, 10, -2};
  whiten(kept, targets, 1e-8, true);
  CHECK(kept[0] == Approx(x[0] + 4));
  std::vector<double> same(5, 0.1), single = {7}, none, masked = {1, 2};
  whiten(same);
  for (const double y : same) CHECK(std::abs(y) < 1e-10);
  whiten(single);
  CHECK(single[0] == 0);
  whiten(none);
  whiten(masked, std::vector<std::int32_t>{-1, -1});
  CHECK(masked == std::vector<double>{0, 0});
  std::vector<double> broken = {1, NAN, 2};
  whiten(broken);
  CHECK(std::isnan(broken[0]));
}

TEST_CASE("whitening of many blocks is that of one") {
  std::vector<double> x;
  std::vector<std::int32_t> targets;
  const philox random{3, 1};
  for (std::uint64_t t = 0; t < 3 * 4096 + 17; ++t) {
    x.push_back(random.normal(t) * (t < 4096 ? 1 : 5) +
                (t > 8192 ? 7 : 0));  // blocks of means and spreads of their own
    targets.push_back(t % 5 == 2 ? -1 : 1);
  }
  double mean = 0, squares = 0, count = 0;
  for (std::size_t t = 0; t < x.size(); ++t)
    if (targets[t] >= 0) mean += x[t], ++count;
  mean /= count;
  for (std::size_t t = 0; t < x.size(); ++t)
    if (targets[t] >= 0) squares += (x[t] - mean) * (x[t] - mean);
  auto white = x;
  whiten(white, targets, 1e-8);
  for (const std::size_t t : {0u, 4095u, 4096u, 9000u, 12304u})
    CHECK(white[t] == Approx(targets[t] < 0 ? 0 : (x[t] - mean) / std::sqrt(squares / (count - 1) + 1e-8)));
}

TEST_CASE("an empty response has no advantage; a NaN stays in its response") {
  const std::vector<index_t> offsets = {0, 0, 2, 4};
  const std::vector<double> rewards = {1, NAN, 1, 1}, values(4);
  std::vector<double> a(4);
  gae(rewards, values, offsets, {}, a, {});
  CHECK(std::isnan(a[0]));
  CHECK(std::isfinite(a[2]));
  const std::vector<index_t> nobody = {0};
  gae({}, {}, nobody, {}, {}, {});
}

TEST_CASE("tokens that do not fit are refused") {
  std::vector<double> out(4), three(3);
  const std::vector<index_t> wrong = {0, 5};
  CHECK_THROWS_WITH(gae(r, three, one, {}, out, out), Catch::Contains("values"));
  CHECK_THROWS_WITH(gae(r, v, wrong, {}, out, out), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(gae(r, v, one, {}, three, out), Catch::Contains("advantages"));
  CHECK_THROWS_WITH(gae(r, v, one, {}, out, three), Catch::Contains("returns"));
  CHECK_THROWS_WITH(gae(r, v, one, {}, out, out, {.gamma = 1.1}), Catch::Contains("gamma"));
  CHECK_THROWS_WITH(gae(r, v, one, {}, out, out, {.lambda = NAN}), Catch::Contains("lambda"));
  CHECK_THROWS_WITH(gae(r, v, one, {}, out, out, {.length_adaptive = -1}), Catch::Contains("length_adaptive"));
  CHECK_THROWS_WITH(returns_to_go(r, one, {}, three), Catch::Contains("out"));
  CHECK_THROWS_WITH(returns_to_go(r, one, {}, out, -1), Catch::Contains("gamma"));
  CHECK_THROWS_WITH(whiten(out, std::vector<std::int32_t>{1}), Catch::Contains("targets"));
  CHECK_THROWS_WITH(whiten(out, {}, 0), Catch::Contains("epsilon"));
  out = {7, 7, 7, 7};
  const std::vector<std::int32_t> label = {1};
  CHECK_THROWS_WITH(gae(r, {}, one, {}, out, out), "hone::policy::gae: values: has 0 tokens, the batch has 4");
  CHECK_THROWS_WITH(gae(r, v, one, {}, {}, out), "hone::policy::gae: advantages: has 0 tokens, the batch has 4");
  CHECK_THROWS_WITH(gae(r, v, one, label, out, out), Catch::Contains("targets: has 1 tokens"));
  CHECK_THROWS_WITH(returns_to_go(r, wrong, {}, out), Catch::StartsWith("hone::policy::returns_to_go: offsets"));
  CHECK_THROWS_WITH(returns_to_go(r, one, label, out), Catch::Contains("targets: has 1 tokens"));
  CHECK_THROWS_WITH(returns_to_go(r, one, {}, {}), Catch::Contains("out: has 0 tokens"));
  for (const double bad : {-1e-9, 1.0000001, double(NAN)}) {
    CHECK_THROWS_WITH(gae(r, v, one, {}, out, out, {.gamma = bad}), Catch::Contains("gae: gamma: must be in [0, 1]"));
    CHECK_THROWS_WITH(gae(r, v, one, {}, out, out, {.lambda = bad}), Catch::Contains("gae: lambda: must be in [0, 1]"));
    CHECK_THROWS_WITH(returns_to_go(r, one, {}, out, bad), Catch::Contains("returns_to_go: gamma"));
  }
  CHECK_THROWS_WITH(gae(r, v, one, {}, out, out, {.length_adaptive = NAN}), Catch::Contains("length_adaptive"));
  for (const double bad : {-1e-9, 1e300, double(INFINITY), double(NAN)})
    CHECK_THROWS_WITH(whiten(out, {}, bad), Catch::StartsWith("hone::policy::whiten: epsilon"));
  CHECK(out == std::vector<double>{7, 7, 7, 7});
  CHECK_NOTHROW(gae(r, v, one, {}, out, {}, {.gamma = 0, .lambda = 0}));
  CHECK_NOTHROW(gae(r, v, one, {}, out, {}, {.gamma = 1, .lambda = 1}));
  CHECK_NOTHROW(whiten(out, {}, 1e-300));
}

TEST_CASE("returns of masked tokens are 0; whitening of two") {
  const std::vector<index_t> offsets = {0, 3};
  const std::vector<double> rewards = {1, 5, 2};
  std::vector<double> out(3, 9);
  returns_to_go(rewards, offsets, std::vector<std::int32_t>{0, -1, 0}, out, 0.5);
  CHECK(out == std::vector<double>{2, 0, 2});
  std::vector<double> x = {1, 3, 100};
  whiten(x, std::vector<std::int32_t>{0, 0, -1}, 2);
  CHECK((x[0] == -0.5 && x[1] == 0.5 && x[2] == 0));
  x = {1, 3};
  whiten(x, {}, 2, true);
  CHECK((x[0] == 1.5 && x[1] == 2.5));
}
