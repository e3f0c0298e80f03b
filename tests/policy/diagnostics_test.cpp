// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/diagnostics.hpp"

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

const std::vector<double> rewards = {1, 0, 0, 0, 1, 1, 0, 0, 0, 1};
const std::vector<index_t> groups = {0, 4, 6, 8, 10};

}  // namespace

TEST_CASE("pass@k over prompts, coverage, and groups without variance") {
  CHECK(mean_pass_at_k(rewards, groups, 1) == Approx((0.25 + 1 + 0 + 0.5) / 4));
  CHECK(mean_pass_at_k(rewards, groups, 2) == Approx((0.5 + 1 + 0 + 1) / 4));
  CHECK(mean_pass_at_k({}, std::vector<index_t>{0}, 2) == 0);
  const auto shares = share_groups(rewards, groups);
  CHECK(shares.solved == 0.75);
  CHECK(shares.zero_variance == 0.5);
  CHECK(shares.all_correct == 0.25);
  CHECK_THROWS_WITH(mean_pass_at_k(rewards, groups, 3), Catch::Contains("k"));
  CHECK_THROWS_WITH(share_groups(rewards, std::vector<index_t>{0, 4}), Catch::Contains("offsets"));
}

TEST_CASE("distinct solutions are counted among the correct responses") {
  const std::vector<std::uint64_t> solution = {7, 8, 7, 7, 3, 3, 9, 9, 4, 5};
  const std::vector<double> right = {1, 1, 1, 0, 1, 1, 0, 0, 1, 1};
  std::vector<index_t> distinct(4);
  CHECK(count_distinct(solution, right, groups, distinct) == 5);
  CHECK(distinct == std::vector<index_t>{2, 1, 0, 2});
  const std::vector<std::uint64_t> few(3);
  CHECK_THROWS_WITH(count_distinct(few, right, groups, distinct), Catch::Contains("solution"));
  CHECK_THROWS_WITH(count_distinct(solution, right, groups, std::span(distinct).first(3)), Catch::Contains("distinct"));
}

TEST_CASE("means over tokens, and over the punished ones") {
  std::vector<double> log_mass, advantage;
  std::vector<std::int32_t> targets;
  double all = 0, negative = 0, n = 0, m = 0;
  for (int t = 0; t < 9000; ++t) {
    log_mass.push_back(-0.001 * (t % 100));
    advantage.push_back(t % 3 - 1);
    targets.push_back(t % 7 == 0 ? -1 : 0);
    if (t % 7 == 0) continue;
    all += std::exp(log_mass.back());
    n += 1;
    if (t % 3 == 0) negative += std::exp(log_mass.back());
    if (t % 3 == 0) m += 1;
  }
  const auto exp = [](double x) { return std::exp(x); };
  const auto means = mean_over_tokens(log_mass, advantage, targets, exp);
  CHECK(means.all == Approx(all / n).epsilon(1e-12));
  CHECK(means.negative == Approx(negative / m).epsilon(1e-12));
  CHECK(means.tokens == static_cast<index_t>(n));
  CHECK(means.negatives == static_cast<index_t>(m));
  thread_pool pool(3);
  CHECK(mean_over_tokens(log_mass, advantage, targets, exp, pool).all == means.all);
  CHECK(mean_over_tokens(log_mass, {}, targets, exp).negative == 0);
  CHECK(mean_over_tokens({}, {}, {}, exp).all == 0);
  CHECK_THROWS_WITH(mean_over_tokens(log_mass, std::vector<double>(3), {}, exp), Catch::Contains("advantage"));
}

TEST_CASE("diagnostics: thresholds of their own, a threshold that is not passed, no groups, sizes that do not fit") {
  const std::vector<double> r = {0.5, 0.2, 0.9, 0.9, 0.1, 0.3};
  const std::vector<index_t> groups = {0, 2, 4, 6}, none = {0}, wrong = {0, 5};
  const auto half = share_groups(r, groups), low = share_groups(r, groups, 0.15);
  CHECK(half.solved == Approx(1.0 / 3));  // 0.5 is not above 0.5
  CHECK((half.all_correct == Approx(1.0 / 3) && half.zero_variance == Approx(1.0 / 3)));
  CHECK((low.solved == 1 && low.all_correct == Approx(2.0 / 3) && low.zero_variance == Approx(1.0 / 3)));
  const auto empty = share_groups({}, none);
  CHECK((empty.solved == 0 && empty.zero_variance == 0 && empty.all_correct == 0));
  CHECK(mean_pass_at_k(r, groups, 1) == Approx(1.0 / 3));
  CHECK(mean_pass_at_k(r, groups, 1, 0.15) == Approx(2.5 / 3));
  CHECK(mean_pass_at_k(r, groups, 2, 0.25) == 1);
  CHECK(mean_pass_at_k({}, none, 1) == 0);
  CHECK_THROWS_WITH(mean_pass_at_k(r, wrong, 1), Catch::StartsWith("hone::policy::mean_pass_at_k: offsets"));
  const std::vector<std::uint64_t> solution = {1, 1, 2, 2, 3, 4};
  std::vector<index_t> distinct(3);
  CHECK(count_distinct(solution, r, groups, distinct, 0.15) == 3);
  CHECK(distinct == std::vector<index_t>{1, 1, 1});
  CHECK(count_distinct(solution, r, groups, distinct) == 1);
  CHECK(distinct == std::vector<index_t>{0, 1, 0});
  CHECK_THROWS_WITH(count_distinct(solution, r, wrong, distinct), Catch::StartsWith("hone::policy::count_distinct"));
  CHECK_THROWS_WITH(count_distinct({}, r, groups, distinct), Catch::Contains("solution: has 0 tokens"));
  const auto same = [](double x) { return x; };
  const std::vector<double> advantage = {1, 1, 0, -1, 1, 1};
  const auto one = mean_over_tokens(r, advantage, {}, same);  // of one punished token
  CHECK((one.negative == 0.9 && one.negatives == 1 && one.tokens == 6));
  CHECK(one.all == Approx(2.9 / 6));
  CHECK_THROWS_WITH(mean_over_tokens(r, advantage, std::vector<std::int32_t>{1}, same), Catch::Contains("targets"));
}

TEST_CASE("diagnostics: one half where nobody says, rewards on it, a difference in the middle, empty groups") {
  const std::vector<double> r = {0.9, 0.5, 1, 2, 1, 0.6, 0.7};
  const std::vector<index_t> groups = {0, 2, 5, 5, 7};
  const auto shares = share_groups(r, groups);
  CHECK((shares.solved == 0.75 && shares.all_correct == 0.5));
  CHECK(shares.zero_variance == 0.25);  // the empty one
  const std::vector<index_t> one = {0, 2};
  CHECK(mean_pass_at_k(std::vector<double>{0.6, 0.1}, one, 1) == 0.5);
  CHECK(share_groups(std::vector<double>{0.6, 0.1}, one).solved == 1);
  std::vector<index_t> distinct(1);
  const std::vector<std::uint64_t> same = {4, 4};
  CHECK(count_distinct(same, std::vector<double>{0.6, 0.1}, one, distinct) == 1);
  CHECK(count_distinct(same, std::vector<double>{0.1, 0.6}, one, distinct) == 1);
  CHECK(count_distinct(same, std::vector<double>{0.5, 0.6}, one, distinct) == 1);
  CHECK(count_distinct(same, std::vector<double>{0.6, 0.6}, one, distinct) == 1);
  CHECK_THROWS_WITH(count_distinct(same, std::vector<double>{1, 1}, std::vector<index_t>{0, 1}, distinct),
                    Catch::Contains("offsets"));
}
