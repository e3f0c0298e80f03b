// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/covariance.hpp"

#include <numeric>

#include "hone/core/thread_pool.hpp"
#include "hone/policy/objective.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

struct tokens_of_a_batch {
  std::vector<double> log_probability, advantage, covariance;
  std::vector<std::int32_t> targets;

  explicit tokens_of_a_batch(std::size_t n) : covariance(n) {
    for (std::size_t t = 0; t < n; ++t) {
      log_probability.push_back(-1 + 0.7 * philox{3}.normal(t, 0));
      advantage.push_back(2 * philox{3}.normal(t, 1));
      targets.push_back(t % 7 == 3 ? -100 : 1);
    }
    token_covariance(log_probability, advantage, targets, covariance);
  }
  /// The tokens that count, the largest covariance first.
  [[nodiscard]] std::vector<std::size_t> ranked() const {
    std::vector<std::size_t> order;
    for (std::size_t t = 0; t < targets.size(); ++t)
      if (targets[t] >= 0) order.push_back(t);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return covariance[a] > covariance[b]; });
    return order;
  }
};

}  // namespace

TEST_CASE("the covariances of tokens sum to that of the batch, for any executor") {
  const tokens_of_a_batch b(10007);
  double log_p = 0, advantage = 0, both = 0, n = 0;
  for (std::size_t t = 0; t < b.targets.size(); ++t) {
    if (b.targets[t] < 0) {
      CHECK(b.covariance[t] == 0);
      continue;
    }
    log_p += b.log_probability[t];
    advantage += b.advantage[t];
    both += b.log_probability[t] * b.advantage[t];
    n += 1;
  }
  CHECK(std::accumulate(b.covariance.begin(), b.covariance.end(), 0.0) ==
        Approx(both - log_p * advantage / n).epsilon(1e-11));
  for (const index_t workers : {2, 3}) {
    thread_pool pool(workers);
    std::vector<double> out(b.targets.size());
    token_covariance(b.log_probability, b.advantage, b.targets, out, pool);
    CHECK(out == b.covariance);
  }
  const std::vector<double> log_three = {-1, -2, -3}, a_three = {1, 0, -1};
  std::vector<double> out(3);
  token_covariance(log_three, a_three, {}, out);
  CHECK(out == std::vector<double>{1, 0, 1});
}

TEST_CASE("clip_cov takes the weight of the share that it may, of tokens in range, and of each as often") {
  const tokens_of_a_batch b(2000);
  const auto n = static_cast<double>(b.ranked().size());
  std::vector<int> hits(2000);
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    std::vector<double> weight(2000, 0.5);
    const clip_cov method{.share = 0.01, .low = 1, .high = 5, .seed = seed};
    const index_t drawn = method(b.covariance, b.targets, {}, weight);
    CHECK(drawn == static_cast<index_t>(0.01 * n));
    index_t zeros = 0;
    for (std::size_t t = 0; t < 2000; ++t) {
      CHECK((weight[t] == 0 || weight[t] == 0.5));
      if (weight[t] != 0) continue;
      ++zeros;
      ++hits[t];
      CHECK(b.targets[t] >= 0);
      CHECK((b.covariance[t] > 1 && b.covariance[t] < 5));
    }
    CHECK(zeros == drawn);
  }
  double candidates = 0, squares = 0;
  for (std::size_t t = 0; t < 2000; ++t) candidates += b.targets[t] >= 0 && b.covariance[t] > 1 && b.covariance[t] < 5;
  const double expected = 400 * std::floor(0.01 * n) / candidates;
  for (std::size_t t = 0; t < 2000; ++t)
    if (b.targets[t] >= 0 && b.covariance[t] > 1 && b.covariance[t] < 5)
      squares += (hits[t] - expected) * (hits[t] - expected) / expected;
  CHECK(std::abs(squares - candidates) < 5 * std::sqrt(2 * candidates));  // chi squared

  std::vector<double> weight(2000, 1.0);
  CHECK(clip_cov{.share = 0}(b.covariance, b.targets, {}, weight) == 1);
  CHECK(clip_cov{.low = 1e6, .high = 1e7}(b.covariance, b.targets, {}, weight) == 0);
  CHECK(clip_cov{.share = 1}(b.covariance, b.targets, {}, weight) == static_cast<index_t>(candidates));
  std::vector<loss::row_terms> clipped(2000);
  clipped[7].target = clipped[8].target = -0.1;
  weight.assign(2000, 1.0);
  CHECK(clip_cov{.share = 1, .low = -100, .high = 100}(b.covariance, b.targets, clipped, weight) == 2);
  CHECK(weight[7] == 0);
  CHECK(weight[8] == 0);
}

TEST_CASE("kl_cov selects the largest covariances, at least one of them, of equals the first") {
  const tokens_of_a_batch b(501);
  const auto order = b.ranked();
  std::vector<double> selected(501, 9.0);
  for (const double share : {0.0, 0.002, 0.01, 0.5, 1.0}) {
    const index_t n = kl_cov{share}(b.covariance, b.targets, selected);
    const auto floor = static_cast<index_t>(share * static_cast<double>(order.size()));
    CHECK(n == (share > 0 && floor == 0 ? 1 : floor));
    std::vector<double> expected(501, 0.0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) expected[order[i]] = 1;
    CHECK(selected == expected);
  }
  const std::vector<double> equal = {1, 2, 2, NAN, 2, 0};
  std::vector<double> few(6);
  CHECK(kl_cov{0.34}(equal, {}, few) == 2);
  CHECK(few == std::vector<double>{0, 1, 1, 0, 0, 0});
  CHECK(kl_cov{1}(equal, {}, few) == 5);
  CHECK(few == std::vector<double>{1, 1, 1, 0, 1, 1});
}

TEST_CASE("KL-Cov: an unclipped loss, and |log rho| on the selected tokens") {
  const tokens_of_a_batch b(60);
  std::vector<double> old = b.log_probability, selected(60);
  for (std::size_t t = 0; t < 60; ++t) old[t] += 0.3 * philox{5}.normal(t);
  kl_cov{0.1}(b.covariance, b.targets, selected);
  const std::vector<index_t> offsets = {0, 20, 60};
  token_batch batch{.offsets = offsets,
                    .targets = b.targets,
                    .log_probability = b.log_probability,
                    .old = old,
                    .advantage = b.advantage};
  const auto mode = token_mean(count(offsets, b.targets));
  std::vector<loss::row_terms> terms(60);
  double sum = policy_loss(objective{token_ratio{}, unclipped{}}, batch, mode, {terms}).sum;
  batch.weight = selected;
  sum += policy_loss(objective{token_ratio{}, log_ratio_distance{0.8}}, batch, mode, {terms, {}, true}).sum;
  double expected = 0;
  for (std::size_t t = 0; t < 60; ++t) {
    if (b.targets[t] < 0) continue;
    const double x = b.log_probability[t] - old[t], a = b.advantage[t], rho = std::exp(x);
    expected += -a * rho + selected[t] * 0.8 * std::abs(x);
    const double slope = -a * rho + selected[t] * 0.8 * (x > 0 ? 1 : -1);
    CHECK(terms[t].target == Approx(slope / mode.denominator).epsilon(1e-12));
  }
  CHECK(sum == Approx(expected).epsilon(1e-12));
  CHECK(log_ratio_distance{}({}, 1).by_ratio == 0);
  CHECK(std::isnan(log_ratio_distance{}({}, NAN).by_ratio));
}

TEST_CASE("misuse of covariances throws; nothing that counts is no error") {
  std::vector<double> three(3), two(2);
  CHECK_THROWS_AS(token_covariance(three, two, {}, three), std::invalid_argument);
  CHECK_THROWS_AS(token_covariance(three, three, {}, two), std::invalid_argument);
  CHECK_THROWS_AS(clip_cov{.share = 2}(three, {}, {}, three), std::invalid_argument);
  CHECK_THROWS_AS((clip_cov{.low = 2, .high = 1}(three, {}, {}, three)), std::invalid_argument);
  CHECK_THROWS_AS(clip_cov{}(three, {}, {}, two), std::invalid_argument);
  CHECK_THROWS_AS(kl_cov{-1}(three, {}, three), std::invalid_argument);
  CHECK_THROWS_AS(kl_cov{}(three, {}, two), std::invalid_argument);
  CHECK_THROWS_AS(log_ratio_distance{-1}.check(), std::invalid_argument);
  const std::vector<std::int32_t> label = {0};
  const std::vector<loss::row_terms> terms(2);
  CHECK_THROWS_WITH(token_covariance(three, three, label, three), Catch::Contains("token_covariance: targets"));
  CHECK_THROWS_WITH(token_covariance(three, {}, {}, three), Catch::Contains("advantage: has 0 tokens"));
  CHECK_THROWS_WITH(token_covariance(three, three, {}, {}), Catch::Contains("out: has 0 tokens"));
  CHECK_THROWS_WITH(clip_cov{}(three, label, {}, three), Catch::Contains("clip_cov: targets"));
  CHECK_THROWS_WITH(clip_cov{}(three, {}, terms, three), Catch::Contains("clip_cov: terms"));
  CHECK_THROWS_WITH(clip_cov{}(three, {}, {}, {}), Catch::Contains("clip_cov: weight"));
  CHECK_THROWS_WITH(kl_cov{}(three, label, three), Catch::Contains("kl_cov: targets"));
  CHECK_THROWS_WITH(kl_cov{}(three, {}, {}), Catch::Contains("kl_cov: selected"));
  for (const double bad : {-1e-9, 1.0000001, double(NAN)}) {
    CHECK_THROWS_WITH(clip_cov{.share = bad}.check(), Catch::StartsWith("hone::policy::clip_cov: share"));
    CHECK_THROWS_WITH(kl_cov{bad}.check(), Catch::StartsWith("hone::policy::kl_cov: share"));
  }
  CHECK_THROWS_WITH(clip_cov{.low = NAN}.check(), Catch::StartsWith("hone::policy::clip_cov: low"));
  CHECK_NOTHROW((clip_cov{.share = 0, .low = 2, .high = 2}.check()));
  CHECK_NOTHROW(clip_cov{.share = 1}.check());
  CHECK_NOTHROW(kl_cov{0}.check());
  CHECK_NOTHROW(kl_cov{1}.check());
  const std::vector<std::int32_t> masked = {-1, -1, -1};
  std::vector<double> weight(3, 1.0), covariance(3);
  token_covariance(three, three, masked, covariance);
  CHECK(covariance == std::vector<double>(3, 0.0));
  CHECK(clip_cov{.low = -1, .high = 1}(covariance, masked, {}, weight) == 0);
  CHECK(weight == std::vector<double>(3, 1.0));
  CHECK(kl_cov{1}(covariance, masked, weight) == 0);
  token_covariance({}, {}, {}, {});
}

TEST_CASE("kl_cov: the k-th largest is that of a sort, with equals and in any order") {
  for (const std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{50}, std::size_t{333}})
    for (const double levels : {1.0, 5.0, 1e9}) {
      std::vector<double> x(n);
      for (std::size_t i = 0; i < n; ++i) x[i] = std::floor(levels * philox{9}.uniform(i));
      for (const bool ascending : {false, true}) {
        std::vector<double> sorted = x;
        std::sort(sorted.begin(), sorted.end(), std::greater<>());
        if (ascending) x.assign(sorted.rbegin(), sorted.rend());
        for (std::size_t k = 1; k <= n; k += 1 + n / 7) {
          std::vector<double> own = x;
          CHECK(policy::detail::kth_largest(own, k) == sorted[k - 1]);
        }
      }
    }
}

TEST_CASE("covariances token by token, about both means; label 0 counts, with labels and without") {
  const std::vector<double> log_p = {-1, -2, -4, -9}, advantage = {3, 1, 5, 100};
  std::vector<double> out(4);
  token_covariance(log_p, advantage, std::vector<std::int32_t>{0, 2, 0, -1}, out);
  CHECK(out[0] == Approx(0).margin(1e-15));
  CHECK(out[1] == Approx((-2 + 7.0 / 3) * -2));
  CHECK(out[2] == Approx((-4 + 7.0 / 3) * 2));
  CHECK(out[3] == 0);
  token_covariance(log_p, advantage, {}, out);
  CHECK(out[0] == Approx(3 * -24.25));
  CHECK(out[3] == Approx(-5 * 72.75));
}

TEST_CASE("clip_cov: the first and the last token, label 0, no labels, bounds left out") {
  const std::vector<double> covariance = {2, 1, 5, 3, 4};
  const std::vector<std::int32_t> labels = {0, 1, 1, -1, 0};
  std::vector<double> weight(5, 1);
  CHECK(clip_cov{.share = 1}(covariance, {}, {}, weight) == 3);
  CHECK(weight == std::vector<double>{0, 1, 1, 0, 0});
  weight.assign(5, 1);
  CHECK(clip_cov{.share = 1}(covariance, labels, {}, weight) == 2);
  CHECK(weight == std::vector<double>{0, 1, 1, 1, 0});
  CHECK(clip_cov{.share = 0.4}(covariance, {}, {}, weight) == 2);      // of five
  CHECK(clip_cov{.share = 0.5}(covariance, labels, {}, weight) == 2);  // of four
  CHECK(clip_cov{.share = 0.49}(covariance, labels, {}, weight) == 1);
  std::vector<double> selected(5, 7);
  CHECK(kl_cov{0.5}(covariance, labels, selected) == 2);
  CHECK(selected == std::vector<double>{0, 0, 1, 0, 1});
  CHECK(kl_cov{0.75}(covariance, labels, selected) == 3);
  CHECK(selected == std::vector<double>{1, 0, 1, 0, 1});
  const std::vector<double> equals = {3, 3, 3, 9, 3};
  CHECK(kl_cov{0.6}(equals, {}, selected) == 3);
  CHECK(selected == std::vector<double>{1, 1, 0, 1, 0});
  CHECK(kl_cov{0}(equals, {}, selected) == 0);
  CHECK(selected == std::vector<double>(5, 0));
}
