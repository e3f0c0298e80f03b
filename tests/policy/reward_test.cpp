// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/reward.hpp"

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

TEST_CASE("the soft overlong penalty gives the reference vectors (G3)") {
  const soft_overlong penalty{.longest = 20, .band = 4};
  const std::pair<index_t, double> expected[] = {{0, 0},     {15, 0},  {16, 0},  {17, -.25},
                                                 {19, -.75}, {20, -1}, {21, -1}, {1000, -1}};
  for (const auto& [length, value] : expected) CHECK(penalty(length) == value);
  CHECK_THROWS_WITH((soft_overlong{20, 0}(3)), Catch::Contains("band"));
  CHECK_THROWS_WITH((soft_overlong{20, 21}(3)), Catch::Contains("band"));
  CHECK(soft_overlong{20, 20}(5) == -.25);
}

TEST_CASE("outcomes are on the last token that counts") {
  const std::vector<index_t> offsets = {0, 3, 3, 5, 7};
  const std::vector<std::int32_t> targets = {1, 2, -1, 3, 4, -1, -1};
  const std::vector<double> rewards = {1, 9, -2, 7};
  std::vector<double> out(7, 5.0);
  place_outcomes(rewards, offsets, targets, out);
  CHECK(out == std::vector<double>{0, 1, 0, 0, -2, 0, 0});
  place_outcomes(rewards, offsets, {}, out);
  CHECK(out == std::vector<double>{0, 0, 1, 0, -2, 0, 7});
  CHECK_THROWS_WITH(place_outcomes(std::vector<double>{1}, offsets, {}, out), Catch::Contains("rewards"));
}

TEST_CASE("the divergence leaves the rewards of tokens that count") {
  const std::vector<double> old = {-1, -2, -.3}, reference = {-1.2, -1.5, -.3};
  const std::vector<std::int32_t> targets = {0, -1, 0};
  std::vector<double> rewards = {0, 0, 1};
  thread_pool pool(2);
  auto sum = subtract_kl(old, reference, targets, 0.5, rewards, kl_estimator::k1, pool);
  CHECK(sum.count == 2);
  CHECK(sum.sum == Approx(0.2));
  CHECK(rewards[0] == Approx(-0.1));
  CHECK(rewards[1] == 0);
  CHECK(rewards[2] == 1);
  rewards = {0, 0, 0};
  sum = subtract_kl(old, reference, {}, 1, rewards, kl_estimator::k3);
  CHECK(rewards[1] == Approx(-0.148721271).epsilon(1e-8));
  CHECK(sum.sum == Approx(0.018730753 + 0.148721271).epsilon(1e-8));
  const std::vector<double> broken = {NAN, -1, -1};
  CHECK(subtract_kl(broken, reference, {}, 1, rewards).nonfinite == 1);
  CHECK(std::isnan(rewards[0]));
  CHECK_THROWS_WITH(subtract_kl(old, std::vector<double>{1}, {}, 1, rewards), Catch::Contains("reference"));
  CHECK_THROWS_WITH(subtract_kl(old, reference, {}, NAN, rewards), Catch::Contains("coefficient"));
}

TEST_CASE("groups whose rewards differ are kept") {
  const std::vector<double> r = {1, 1, 0, 1, 0.1, 0.1, 0.1, 5, NAN, NAN};
  const std::vector<index_t> groups = {0, 2, 4, 7, 8, 10};
  std::vector<std::uint8_t> keep(5);
  CHECK(informative_groups(r, groups, keep) == 3);
  CHECK(keep == std::vector<std::uint8_t>{0, 1, 0, 1, 1});
  CHECK(informative_groups(r, groups, keep, false) == 2);
  CHECK(keep == std::vector<std::uint8_t>{0, 1, 0, 0, 1});
  CHECK_THROWS_WITH(informative_groups(r, groups, std::span(keep).first(2)), Catch::Contains("groups"));
}

TEST_CASE("rewards that do not fit are refused, and nothing is written") {
  const std::vector<double> old = {-1, -2, -3}, reference = {-1, -1, -1}, none;
  const std::vector<index_t> offsets = {0, 2, 3}, early = {0, 2};
  const std::vector<std::int32_t> label = {1};
  std::vector<double> out(3, 5.0);
  const std::string place = "hone::policy::place_outcomes: ", kl = "hone::policy::subtract_kl: ";
  const std::vector<double> two = {1, 2};
  CHECK_THROWS_WITH(place_outcomes(two, std::vector<index_t>{0, 2, 4}, {}, out), Catch::StartsWith(place + "offsets"));
  CHECK_THROWS_WITH(place_outcomes(two, offsets, label, out), Catch::StartsWith(place + "targets"));
  CHECK_THROWS_WITH(place_outcomes(std::vector<double>(3), offsets, {}, out),
                    place + "rewards: has 3 responses, offsets 2");
  CHECK_THROWS_WITH(subtract_kl(two, reference, {}, 1, out), kl + "old: has 2 tokens, the batch has 3");
  CHECK_THROWS_WITH(subtract_kl(none, reference, {}, 1, out), kl + "old: has 0 tokens, the batch has 3");
  CHECK_THROWS_WITH(subtract_kl(old, none, {}, 1, out), kl + "reference: has 0 tokens, the batch has 3");
  CHECK_THROWS_WITH(subtract_kl(old, reference, label, 1, out), Catch::StartsWith(kl + "targets"));
  for (const double bad : {1e300, -1e300, double(INFINITY)})
    CHECK_THROWS_WITH(subtract_kl(old, reference, {}, bad, out), Catch::StartsWith(kl + "coefficient"));
  CHECK(out == std::vector<double>(3, 5.0));
  std::vector<std::uint8_t> keep(1, 9);
  CHECK_THROWS_WITH(informative_groups(old, early, keep), Catch::StartsWith("hone::policy::informative_groups: offs"));
  CHECK(keep[0] == 9);
  CHECK_THROWS_WITH((soft_overlong{20, -1}(3)), Catch::Contains("soft_overlong: band: must be in [1, 20], is -1"));
  CHECK(soft_overlong{1, 1}(1) == -1);
  const auto sum = subtract_kl(old, reference, {}, 1, out);
  CHECK((sum.count == 3 && sum.nonfinite == 0 && out == std::vector<double>{5, 6, 7}));
}
