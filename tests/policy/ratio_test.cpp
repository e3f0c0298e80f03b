// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/ratio.hpp"

#include "hone/policy/objective.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

TEST_CASE("GMPO clips a log-ratio only on the side that its advantage pushes to") {
  const clipped_geometric_ratio level{0.1, 0.2};
  const auto check = [&](double log_ratio, double advantage, double value, bool moves) {
    const auto clipped = level.token(log_ratio, advantage);
    CHECK(clipped.value == value);
    CHECK(clipped.moves == moves);
  };
  check(0.5, 1, 0.2, false);
  check(-0.5, 1, -0.5, true);
  check(-0.5, -1, -0.1, false);
  check(0.5, -1, 0.5, true);
  check(0.2, 1, 0.2, true);
  check(0.5, 0, 0, false);
  CHECK(std::isnan(level.token(NAN, 1).value));
  check(-0.1, -1, -0.1, true);
  check(0.2000001, 1, 0.2, false);
  check(-0.1000001, -1, -0.1, false);
  for (const double bad : {-1e-9, 1e300, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH((clipped_geometric_ratio{bad, 0}.check()), Catch::Contains("clipped_geometric_ratio: bounds"));
    CHECK_THROWS_WITH((clipped_geometric_ratio{0, bad}.check()), Catch::Contains("clipped_geometric_ratio: bounds"));
  }
  CHECK_NOTHROW((clipped_geometric_ratio{0, 9e299}.check()));
  CHECK_THROWS_WITH((clipped_geometric_ratio{-1, 0}.check()), Catch::Contains("bounds"));
  CHECK_THROWS_WITH((clipped_geometric_ratio{0, NAN}.check()), Catch::Contains("bounds"));
}

TEST_CASE("log-ratios are clamped to 20, with no gradient beyond") {
  const std::vector<index_t> offsets = {0, 1, 2, 3};
  const std::vector<double> old = {-30, -19, -1}, log_p = {-1, -1, -31}, advantage = {-1, -1, 1};
  std::vector<loss::row_terms> terms(3);
  const auto run = [&](auto ratio) {
    return policy_loss(objective{ratio, unclipped{}},
                       {.offsets = offsets, .log_probability = log_p, .old = old, .advantage = advantage},
                       constant_sum(1), {terms});
  };
  const double expected = std::exp(20.0) + std::exp(18.0) - std::exp(-20.0);
  CHECK(run(token_ratio{}).sum == Approx(expected).epsilon(1e-14));
  CHECK(terms[0].target == 0);
  CHECK(terms[1].target == Approx(std::exp(18.0)).epsilon(1e-14));
  CHECK(terms[2].target == 0);
  CHECK(run(sequence_ratio{}).sum == Approx(expected).epsilon(1e-14));
  CHECK(terms[0].target == 0);
  CHECK(terms[1].target == Approx(std::exp(18.0)).epsilon(1e-14));
}

TEST_CASE("a response of one token has the same ratio at every level") {
  const std::vector<index_t> offsets = {0, 1};
  const std::vector<double> old = {-1.1}, log_p = {-1.05}, advantage = {0.7};
  std::vector<loss::row_terms> terms(1);
  const auto run = [&](auto ratio) {
    const auto sum = policy_loss(objective{ratio, ppo_clip{}},
                                 {.offsets = offsets, .log_probability = log_p, .old = old, .advantage = advantage},
                                 constant_sum(1), {terms})
                         .sum;
    return std::pair(sum, terms[0].target);
  };
  CHECK(run(token_ratio{}) == run(geometric_ratio{}));
  CHECK(run(token_ratio{}) == run(sequence_ratio{}));
  CHECK(run(token_ratio{}) == run(clipped_geometric_ratio{}));
}

TEST_CASE("without old log-probabilities every ratio is 1, and PPO is the policy gradient") {
  const std::vector<index_t> offsets = {0, 2, 3};
  const std::vector<double> log_p = {-1, -2, -3}, advantage = {0.5, 0.5, -2};
  std::vector<loss::row_terms> terms(3), plain(3);
  const token_batch batch{.offsets = offsets, .log_probability = log_p, .advantage = advantage};
  for (const bool mean : {false, true}) {
    const aggregation mode{mean, 2};
    policy_loss(objective{token_ratio{}, reinforce{}}, batch, mode, {plain});
    const auto check = [&](auto ratio) {
      policy_loss(objective{ratio, ppo_clip{}}, batch, mode, {terms});
      for (std::size_t t = 0; t < 3; ++t) CHECK(terms[t].target == Approx(plain[t].target).epsilon(1e-15));
    };
    check(token_ratio{});
    check(geometric_ratio{});
  }
}
