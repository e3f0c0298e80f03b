// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/advantage.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/policy/critic.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

template <class Method>
std::vector<double> of(const Method& method, const std::vector<double>& rewards, std::vector<index_t> groups = {}) {
  if (groups.empty()) groups = {0, std::ssize(rewards)};
  std::vector<double> out(rewards.size());
  group_advantages(method, rewards, groups, out);
  return out;
}

const std::vector<double> binary = {1, 0, 0, 1, 0, 0, 0, 0};

}  // namespace

TEST_CASE("group advantages give the reference vectors (G2)") {
  const auto check = [](const auto& method, double right, double wrong) {
    const auto out = of(method, binary);
    for (std::size_t i = 0; i < 8; ++i) CHECK(out[i] == Approx(binary[i] > 0 ? right : wrong).epsilon(1e-8));
  };
  check(grpo{.epsilon = 1e-6}, 1.620181675, -0.540060558);
  check(grpo{}, 1.619835250, -0.539945083);
  check(dr_grpo{}, .75, -.25);
  check(rloo{}, 0.857142857, -0.285714286);
  check(gpg{}, .75 * 4, -.25 * 4);
  check(gpg{.norm = 2}, .75 * 2, -.25 * 2);
  check(reward_itself{}, 1, 0);
  check(reward_itself{0.5}, 0.5, -0.5);
  CHECK(reward_group{binary}.deviation() == Approx(0.462910050).epsilon(1e-8));
}

TEST_CASE("RLOO is the reward less the mean of the others; lengths and greedy responses are baselines") {
  const std::vector<double> r = {0.3, -1, 2, 0.7, 5, 6};
  const std::vector<index_t> groups = {0, 4, 6}, lengths = {3, 5, 0, 2, 0, 0};
  const std::vector<double> greedy = {0.5, 7};
  const auto leave = of(rloo{}, r, groups);
  CHECK(leave[2] == Approx(2 - (0.3 - 1 + 0.7) / 3));
  CHECK(leave[5] == Approx(1));
  CHECK(of(remax{greedy}, r, groups)[4] == -2);
  CHECK(of(opo{lengths}, r, groups)[0] == Approx(0.3 - (3 * 0.3 - 5 + 2 * 0.7) / 10));
  CHECK(of(opo{lengths}, r, groups)[4] == -0.5);
}

TEST_CASE("pass@k's advantage is the gap between the best and the second, for the best alone") {
  const std::vector<double> r = {0.3, 2, 0.7, 1, 1, 0};
  const std::vector<index_t> groups = {0, 3, 6};
  CHECK(of(pass_k_best{}, r, groups) == std::vector<double>{0, 2 - 0.7, 0, 0, 0, 0});
  const auto scaled = of(pass_k_best{.scaled = true}, r, groups);
  CHECK(scaled[1] == Approx(1.3 / (reward_group{std::span(r).first(3)}.deviation() + 1e-6)));
}

TEST_CASE("the batch's deviation scales differences within groups") {
  const std::vector<double> r = {1, 0, 5, 7};
  const std::vector<index_t> groups = {0, 2, 4};
  const double deviation = reward_group{r}.deviation();
  const auto out = of(batch_scaled{}, r, groups);
  CHECK(out[0] == Approx(0.5 / (deviation + 1e-4)));
  CHECK(out[3] == Approx(1 / (deviation + 1e-4)));
}

TEST_CASE("equal rewards teach exactly nothing, whatever they are") {
  for (const double value : {0.0, 0.1, 1.0 / 3, 1e300, -7e-310}) {
    const std::vector<double> same(7, value);
    const std::vector<index_t> lengths = {1, 2, 3, 4, 5, 6, 7};
    const auto zero = [&](const auto& method) {
      for (const double a : of(method, same)) CHECK(a == 0);
    };
    zero(grpo{});
    zero(grpo{.epsilon = 1e-12});
    zero(dr_grpo{});
    zero(batch_scaled{});
    zero(rloo{});
    zero(opo{lengths});
    zero(gpg{});
    zero(pass_k_best{.scaled = true});
  }
}

TEST_CASE("a group of one has baseline 0 and deviation 1, as in verl; pass@k's needs two") {
  const std::vector<double> one = {0.8};
  const std::vector<index_t> length = {5};
  CHECK(of(grpo{.epsilon = 1e-6}, one)[0] == Approx(0.8 / (1 + 1e-6)));
  CHECK(of(dr_grpo{}, one)[0] == 0.8);
  CHECK(of(rloo{}, one)[0] == 0.8);
  CHECK(of(opo{length}, one)[0] == 0.8);
  CHECK_THROWS_WITH(of(pass_k_best{}, one), Catch::Contains("group 0 has 1 responses, needs 2"));
}

TEST_CASE("a NaN reward makes its own group NaN") {
  const std::vector<double> r = {1, NAN, 0, 1, 0, 0};
  const std::vector<index_t> groups = {0, 3, 6};
  const auto check = [&](const auto& method) {
    const auto out = of(method, r, groups);
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::isnan(out[i]));
    for (std::size_t i = 3; i < 6; ++i) CHECK(std::isfinite(out[i]));
  };
  check(grpo{});
  check(rloo{});
  check(pass_k_best{});
}

TEST_CASE("advantages do not depend on workers or on the groups beside theirs, and may overwrite the rewards") {
  std::vector<double> r;
  std::vector<index_t> groups = {0};
  for (std::uint64_t g = 0; g < 200; ++g) {
    for (std::uint64_t i = 0; i < 1 + g % 9; ++i) r.push_back(philox{1}.normal(100 * g + i));
    groups.push_back(std::ssize(r));
  }
  const auto whole = of(grpo{}, r, groups);
  auto in_place = r;
  thread_pool pool(3);
  group_advantages(grpo{}, in_place, groups, in_place, pool);
  CHECK(in_place == whole);
  std::vector<double> alone(9);
  group_advantages(grpo{}, std::span(r).subspan(static_cast<std::size_t>(groups[8]), 9), std::vector<index_t>{0, 9},
                   alone);
  CHECK(std::vector<double>(whole.begin() + groups[8], whole.begin() + groups[9]) == alone);
}

TEST_CASE("SPPO's advantage gives the reference vectors (G6), and is minus the critic's slope") {
  const std::vector<double> v = {-1.2, .3, 2, 0}, r = {1, 0, 1, 0};
  std::vector<double> out(4), slope(4), scaled(4);
  sequence_value_advantage(r, v, out);
  const double expected[] = {0.768524783, -0.574442517, 0.119202922, -0.5},
               deviations[] = {1.822118800, -1.161834243, 0.367879441, -1.0};
  sequence_critic_loss(v, r, slope);
  sequence_deviation_advantage(r, v, scaled);
  for (std::size_t b = 0; b < 4; ++b) {
    CHECK(out[b] == Approx(expected[b]).epsilon(1e-8));
    CHECK(out[b] == -slope[b]);
    CHECK(scaled[b] == Approx(deviations[b]).epsilon(1e-8));
    const double p = 1 / (1 + std::exp(-v[b]));
    CHECK(scaled[b] == Approx((r[b] - p) / std::sqrt(p * (1 - p))).epsilon(1e-12));
  }
}

TEST_CASE("a calibrated critic's advantage has mean 0 and variance p (1 - p), and lies in [-1, 1]") {
  for (const double v : {-3.0, -0.4, 0.0, 2.2}) {
    const double p = 1 / (1 + std::exp(-v));
    std::vector<double> out(2);
    sequence_value_advantage(std::vector<double>{1, 0}, std::vector<double>{v, v}, out);
    CHECK(p * out[0] + (1 - p) * out[1] == Approx(0).margin(1e-15));
    CHECK(p * out[0] * out[0] + (1 - p) * out[1] * out[1] == Approx(p * (1 - p)).epsilon(1e-12));
  }
  std::vector<double> far(4);
  const std::vector<double> r = {1, 0, 1, 0}, v = {1000, 1000, -1000, -1000};
  sequence_value_advantage(r, v, far);
  CHECK(far == std::vector<double>{0, -1, 1, 0});
  sequence_deviation_advantage(r, v, far, 5);
  CHECK(far[1] == -5);
  CHECK(far[2] == 5);
  CHECK(far[0] == Approx(std::exp(-500.0)).margin(0));
  // e^1000 is infinite: 0 times it is 0.
  const std::vector<double> certain = {2000, -2000, 2000, -2000}, right = {1, 0, 0, 1};
  sequence_deviation_advantage(right, certain, far, 5);
  CHECK(far == std::vector<double>{0, 0, -5, 5});
  std::vector<double> half(1);
  sequence_value_advantage(std::vector<double>{0.25}, std::vector<double>{40}, half);
  CHECK(half[0] == Approx(0.25 - 1));
}

TEST_CASE("rewards and groups that do not fit are refused, and nothing is written") {
  std::vector<double> r = {1, 2, 3, 4}, out(4, 9.0), three(3);
  const std::vector<index_t> groups = {0, 2, 4}, lengths = {1, 2, -1, 1};
  const auto run = [&](const auto& method, const std::vector<index_t>& g) { group_advantages(method, r, g, out); };
  CHECK_THROWS_WITH(run(grpo{}, {0, 2, 5}), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(run(grpo{}, {0, 2, 2, 4}), Catch::Contains("group 1 has 0 responses"));
  CHECK_THROWS_WITH(run(grpo{}, {}), Catch::Contains("groups"));
  CHECK_THROWS_WITH(run(grpo{.epsilon = 0}, groups), Catch::Contains("epsilon"));
  CHECK_THROWS_WITH(run(gpg{.norm = 0}, groups), Catch::Contains("norm"));
  CHECK_THROWS_WITH(run(remax{three}, groups), Catch::Contains("greedy"));
  CHECK_THROWS_WITH(run(opo{lengths}, groups), Catch::Contains("response 2 has -1 tokens"));
  CHECK_THROWS_WITH(run(reward_itself{NAN}, groups), Catch::Contains("baseline"));
  CHECK_THROWS_WITH(group_advantages(grpo{}, r, groups, three), Catch::Contains("out"));
  CHECK_THROWS_WITH(sequence_value_advantage(r, three, out), Catch::Contains("value"));
  CHECK_THROWS_WITH(sequence_deviation_advantage(r, r, out, 0), Catch::Contains("limit"));
  const std::string group = "hone::policy::group_advantages: ";
  const std::vector<index_t> few = {1, 2, 3}, first = {-1, 1, 1, 1}, none(4);
  CHECK_THROWS_WITH(run(opo{few}, groups), group + "lengths: has 3 elements for 4 responses");
  CHECK_THROWS_WITH(run(opo{first}, groups), Catch::Contains("response 0 has -1 tokens"));
  CHECK_THROWS_WITH(run(remax{std::span(three).first(1)}, groups), group + "greedy: has 1 rewards for 2 groups");
  CHECK_THROWS_WITH(run(grpo{}, {0, 0, 4}), group + "groups: group 0 has 0 responses, needs 1");
  for (const double bad : {0.0, -1e-9, 1e300, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH(run(grpo{bad}, groups), Catch::StartsWith("hone::policy::grpo: epsilon: must be positive"));
    CHECK_THROWS_WITH(run(batch_scaled{bad}, groups), Catch::StartsWith("hone::policy::batch_scaled: epsilon"));
    CHECK_THROWS_WITH(run(pass_k_best{.epsilon = bad}, groups), Catch::StartsWith("hone::policy::pass_k_best: eps"));
    CHECK_THROWS_WITH(run(gpg{bad}, groups), Catch::StartsWith("hone::policy::gpg: norm: must be positive"));
  }
  for (const double bad : {1e300, -1e300, double(INFINITY)})
    CHECK_THROWS_WITH(run(reward_itself{bad}, groups), Catch::StartsWith("hone::policy::reward_itself: baseline"));
  const std::string value = "hone::policy::sequence_value_advantage: ",
                    deviation = "hone::policy::sequence_deviation_advantage: ";
  CHECK_THROWS_WITH(sequence_value_advantage(r, r, three), value + "out: has 3 responses, rewards has 4");
  CHECK_THROWS_WITH(sequence_deviation_advantage(r, three, out), deviation + "value: has 3 logits, rewards has 4");
  for (const double bad : {0.0, -1.0, double(NAN)})
    CHECK_THROWS_WITH(sequence_deviation_advantage(r, r, out, bad), Catch::StartsWith(deviation + "limit"));
  CHECK(out == std::vector<double>(4, 9.0));
  CHECK_NOTHROW(run(opo{none}, groups));
  CHECK_NOTHROW(run(grpo{1e-300}, groups));
  CHECK_NOTHROW(run(gpg{9e299}, groups));
  CHECK_NOTHROW(run(reward_itself{-9e299}, groups));
  CHECK_NOTHROW(sequence_deviation_advantage(r, r, out, 1e-9));
}

TEST_CASE("the best of a group and the second wherever they are; a NaN too") {
  CHECK(of(pass_k_best{}, {2, 0.3, 0.7}) == std::vector<double>{2 - 0.7, 0, 0});
  CHECK(of(pass_k_best{}, {1.5, 2, 0.7}) == std::vector<double>{0, 0.5, 0});
  CHECK(of(pass_k_best{}, {0.3, 1.5, 2}) == std::vector<double>{0, 0, 0.5});
  CHECK(of(pass_k_best{}, {-3, -1}) == std::vector<double>{0, 2});
  for (std::size_t i = 0; i < 3; ++i) {
    std::vector<double> r = {1, 2, 3};
    r[i] = NAN;
    for (const double a : of(pass_k_best{}, r)) CHECK(std::isnan(a));
  }
}

TEST_CASE("lengths that add up to little, rewards that are few") {
  const std::vector<index_t> one = {1, 0}, two = {1, 3}, zero = {0, 0};
  CHECK(of(opo{one}, {5, 8}) == std::vector<double>{0, 3});
  CHECK(of(opo{two}, {5, 8}) == std::vector<double>{-2.25, 0.75});
  CHECK(of(opo{zero}, {5, 8}) == std::vector<double>{-1.5, 1.5});
  CHECK(of(gpg{}, {0, 3, 0}) == std::vector<double>{-3, 6, -3});
  CHECK(of(gpg{.norm = 0.5}, {2, 4}) == std::vector<double>{-2, 2});
}

TEST_CASE("advantages of fractions of success, cut at 10 where nobody says, and small ones to their last digit") {
  const std::vector<double> r = {0.25, 0.75, 0.5, 0, 1}, v = {1.2, -0.7, 0.3, 7, -7};
  std::vector<double> out(5), plain(5);
  sequence_deviation_advantage(r, v, out);
  sequence_value_advantage(r, v, plain);
  for (std::size_t b = 0; b < 3; ++b) {
    const double p = 1 / (1 + std::exp(-v[b]));
    CHECK(out[b] == Approx((r[b] - p) / std::sqrt(p * (1 - p))).epsilon(1e-12));
    CHECK(plain[b] == Approx(r[b] - p).epsilon(1e-12));
  }
  CHECK((out[3] == -10 && out[4] == 10));
  const std::vector<double> sure = {1, 0}, far = {40, -40};
  std::vector<double> rest(2);
  sequence_value_advantage(sure, far, rest);
  CHECK(rest[0] == Approx(4.248354255291589e-18).epsilon(1e-12).margin(0));
  CHECK(rest[1] == Approx(-4.248354255291589e-18).epsilon(1e-12).margin(0));
}
