// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/update.hpp"

#include "hone/moe/balance.hpp"

#include "moe/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::moe;

TEST_CASE("a loss-free step gives the reference vector (R.2)") {
  const auto plan = plan_of<float>(3, {{0, 2}, {1, 0}, {0, 2}, {0, 1}, {0, 2}, {1, 0}});
  std::vector<index_t> counts(3);
  count_chosen<float>(plan, counts);
  CHECK(counts == std::vector<index_t>{6, 3, 3});
  std::vector<double> bias(3, 0.0);
  update_bias(bias, counts);
  CHECK(bias == std::vector<double>{-1e-3, 1e-3, 1e-3});
  std::vector<double> centred(3, 0.0);
  update_bias(centred, counts, 1e-3, true);
  CHECK(centred[0] == Approx(-4e-3 / 3));
  CHECK(centred[1] == Approx(2e-3 / 3));
  CHECK(centred[0] + centred[1] + centred[2] == Approx(0).margin(1e-18));
  // Steps -1, 1, 0, -1 of a mean of 4, less -1/4.
  std::vector<double> four(4, 1.0);
  update_bias(four, std::vector<index_t>{6, 1, 4, 5}, 0.5, true);
  CHECK(four == std::vector<double>{0.625, 1.625, 1.125, 0.625});
}

TEST_CASE("counts that are dropped count, counts of microbatches and ranks add up") {
  auto plan = plan_of<float>(3, {{0}, {0}, {2}});
  plan.dropped = {{0, 1, 0.5f}, {2, 0, 0.5f}, {2, 1, 0.5f}};
  std::vector<index_t> counts = {10, 20, 30};
  count_chosen<float>(plan, counts);
  CHECK(counts == std::vector<index_t>{13, 20, 33});
  // Two ranks that are balanced together: each alone would move its biases, and apart.
  const std::vector<index_t> first = {4, 0}, second = {0, 4}, both = {4, 4};
  std::vector<float> bias = {0.5f, -0.5f}, left = bias, right = bias;
  update_bias(bias, both);
  CHECK(bias == std::vector<float>{0.5f, -0.5f});
  update_bias(left, first);
  update_bias(right, second);
  CHECK(left != right);
}

TEST_CASE("the sign of a bias step is that of integers") {
  const index_t large = (index_t{1} << 54) + 1;  // no double
  std::vector<double> bias(2, 0.0);
  const std::vector<index_t> counts = {large, large - 1};
  update_bias(bias, counts, 0.25);
  CHECK(bias == std::vector<double>{-0.25, 0.25});
  const std::vector<index_t> none(2, 0);
  update_bias(bias, none, 0.25);
  CHECK(bias == std::vector<double>{-0.25, 0.25});
  const index_t half = index_t{1} << 61;  // times four experts there is no such integer
  std::vector<double> four(4, 0.0);
  const std::vector<index_t> counts_of_four = {half + 1, half - 1, half / 2, 0};
  update_bias(four, counts_of_four, 0.25);
  CHECK(four == std::vector<double>{-0.25, -0.25, 0.25, 0.25});
}

TEST_CASE("a bias in any memory and type, and an expert that is excluded") {
  std::vector<float> memory = {0, 9, 0, 9, -INFINITY, 9, 0, 9};
  const std::vector<index_t> counts = {6, 1, 0, 2};  // mean of those that are not excluded: 3
  update_bias(vector_view<float>(memory.data(), 4, 2), counts, 0.5);
  CHECK(memory == std::vector<float>{-0.5f, 9, 0.5f, 9, -INFINITY, 9, 0.5f, 9});
  update_bias(vector_view<float>(memory.data(), 4, 2), counts, 0.375, true);  // steps -1, 1, 1, less 1/3
  CHECK(memory[0] == -1.0f);
  CHECK(memory[2] == 0.75f);
  CHECK(memory[4] == -INFINITY);
  std::vector<double> none;
  update_bias(none, {}, 1, true);
}

TEST_CASE("column thresholds let c tokens through") {
  for (const index_t tokens : {1, 2, 7, 64, 301})
    for (const index_t k : {1, 2, 5, 9}) {
      CAPTURE(tokens, k);
      const auto logits = router_logits<double>(tokens, 5, 3);
      std::vector<std::uint8_t> competes;
      for (index_t t = 0; t < tokens; ++t) competes.push_back(t % 4 == 1 ? 0 : 1);
      std::vector<double> q(5, 7.0);
      column_thresholds(by_expert(logits, 5), k, q, competes);
      index_t competing = 0;
      for (const auto c : competes) competing += c;
      const index_t c = (std::min)((std::max)(competing * k / 5, index_t{1}), competing);
      for (std::size_t e = 0; e < 5; ++e) {
        index_t above = 0, at = 0;
        for (index_t t = 0; t < tokens; ++t) {
          const double z = logits[static_cast<std::size_t>(t) * 5 + e];
          if (competes[static_cast<std::size_t>(t)] != 0) above += z > q[e], at += z == q[e];
        }
        CHECK(above + at == c);
        CHECK(at == (c == competing ? 1 : 0));
      }
    }
  // Equal ones, and those that are not finite.
  const std::vector<float> z = {3, 1, -INFINITY, std::nanf(""), 3, 2, INFINITY, 0};
  std::vector<double> q(1);
  column_thresholds(matrix_view<const float>(z.data(), 1, 8), 1, q);
  CHECK(q[0] == 0);  // c = 8, of which 5 are finite: the smallest
  const std::vector<float> two = {3, 3, 1, 1, 5, std::nanf(""), 2, INFINITY};
  std::vector<double> both(2);
  column_thresholds(by_expert(two, 2), 1, both);  // c = 2 of 4
  CHECK(both[0] == 2.5);
  CHECK(both[1] == 1);
  const std::vector<float> bad(4, std::nanf(""));
  column_thresholds(by_expert(bad, 2), 1, both);
  CHECK(std::isnan(both[0]));
  column_thresholds(matrix_view<const float>(nullptr, 2, 0), 1, both);
  CHECK(std::isnan(both[1]));
}

TEST_CASE("column thresholds between neighbours, and of the smallest and largest numbers") {
  const double least = std::numeric_limits<double>::denorm_min(), most = std::numeric_limits<double>::max();
  const std::vector<double> z = {1, std::nextafter(1.0, 0.0), 3 * least, 3 * least, most, -most, least, 0};
  std::vector<double> q(4);
  column_thresholds(matrix_view<const double>(z.data(), 4, 2), 2, q);  // c = 1
  CHECK(q[0] == z[1]);
  CHECK(q[1] == 3 * least);
  CHECK(q[2] == 0);
  CHECK(q[3] == 0);
}

TEST_CASE("thresholds are moving averages of what was observed") {
  std::vector<float> tau = {std::nanf(""), 1, 2, INFINITY};
  const std::vector<double> seen = {4, 3, -INFINITY, std::nan("")};
  update_thresholds(tau, seen, 0.75);
  CHECK(tau[0] == 4.0f);
  CHECK(tau[1] == 1.5f);
  CHECK(tau[2] == 2.0f);
  CHECK(tau[3] == INFINITY);
  update_thresholds(tau, seen, 1);
  CHECK(tau[1] == 1.5f);
  update_thresholds(tau, seen, 0);
  CHECK(tau[1] == 3.0f);
  // Constant columns: the threshold goes to the quantile.
  const auto logits = router_logits<double>(100, 2, 4);
  std::vector<double> q(2), t = {100.0, -100.0};
  column_thresholds(by_expert(logits, 2), 1, q);
  for (int i = 0; i < 400; ++i) update_thresholds(t, q, 0.9);
  CHECK(t[0] == Approx(q[0]).margin(1e-12));
  CHECK(t[1] == Approx(q[1]).margin(1e-12));
}

TEST_CASE("lambda follows the sparsity (R.2)") {
  // 13 of 18 pairs: sparsity 0.2777 below the target of 1/3 for k = 2 of 3.
  CHECK(update_lambda(1e-8, 13, 6, 2) == Approx(1.2e-8));
  CHECK(update_lambda(1e-8, 11, 6, 2) == Approx(1e-8 / 1.2));
  CHECK(update_lambda(1e-8, 12, 6, 2) == 1e-8);
  CHECK(update_lambda(1e-8, 0, 0, 2) == 1e-8);
  CHECK(update_lambda(2, 13, 6, 2, 1.5) == 3);
}

TEST_CASE("updates refuse what does not fit, before anything is written") {
  std::vector<double> x = {1, 2, 3};
  const std::vector<index_t> two = {1, 2}, negative = {1, -1, 2}, three = {1, 2, 3};
  CHECK_THROWS_WITH(update_bias(x, two), Catch::Contains("update_bias: counts"));
  CHECK_THROWS_WITH(update_bias(x, negative), Catch::Contains("counts: that of expert 1"));
  for (const double rate : {-1.0, std::nan(""), 1e301})
    CHECK_THROWS_WITH(update_bias(x, three, rate), Catch::Contains("rate"));
  CHECK_THROWS_WITH(update_bias(vector_view<double>(x.data(), 3, 0), three), Catch::Contains("update_bias: bias"));
  const auto logits = router_logits<double>(4, 3, 5);
  std::vector<double> small(2, 5.0);
  CHECK_THROWS_WITH(column_thresholds(by_expert(logits, 3), 1, small), Catch::Contains("column_thresholds: out"));
  CHECK_THROWS_WITH(column_thresholds(by_expert(logits, 3), 0, x), Catch::Contains("per_token"));
  CHECK_THROWS_WITH(column_thresholds(by_expert(logits, 3), index_t{1} << 62, x), Catch::Contains("per_token"));
  const std::vector<std::uint8_t> mask(3, 1);
  CHECK_THROWS_WITH(column_thresholds(by_expert(logits, 3), 1, x, mask), Catch::Contains("competes"));
  CHECK_THROWS_WITH(update_thresholds(x, small, 0.5), Catch::Contains("update_thresholds: observed"));
  for (const double decay : {-0.1, 1.1, std::nan("")})
    CHECK_THROWS_WITH(update_thresholds(x, x, decay), Catch::Contains("decay"));
  CHECK(x == std::vector<double>{1, 2, 3});
  CHECK(small == std::vector<double>{5, 5});
  CHECK_THROWS_WITH(update_lambda(-1, 1, 1, 1), Catch::Contains("lambda"));
  CHECK_THROWS_WITH(update_lambda(std::nan(""), 1, 1, 1), Catch::Contains("lambda"));
  CHECK_THROWS_WITH(update_lambda(1, -1, 1, 1), Catch::Contains("active"));
  CHECK_THROWS_WITH(update_lambda(1, 1, 1, 1, 0.5), Catch::Contains("multiplier"));
  CHECK_THROWS_WITH(update_lambda(1, 1, -1, 1), Catch::Contains("active: counts must not be negative: 1 of -1"));
  CHECK_THROWS_WITH(update_lambda(1, 1, 1, -1), Catch::Contains("active: counts must not be negative"));
  for (const double bad : {double{INFINITY}, 1e300}) {
    CHECK_THROWS_WITH(update_lambda(bad, 1, 1, 1), Catch::Contains("lambda"));
    CHECK_THROWS_WITH(update_lambda(1, 1, 1, 1, bad), Catch::Contains("multiplier"));
    CHECK_THROWS_WITH(update_bias(x, three, bad), Catch::Contains("rate"));
  }
  CHECK_THROWS_WITH(update_lambda(1, 1, 1, 1, std::nan("")), Catch::Contains("multiplier"));
  CHECK(update_lambda(0, 2, 1, 1) == 0);
  CHECK(update_lambda(1, 5, 5, 0) == 1.2);
  CHECK(update_lambda(1, 0, 5, 0) == 1);
  column_thresholds(matrix_view<const double>(nullptr, 0, 4), 1, std::span<double>());
  CHECK_THROWS_WITH(column_thresholds(by_expert(logits, 3), 1, std::span<double>(static_cast<double*>(nullptr), 3)),
                    Catch::Contains("column_thresholds: out"));
  CHECK(update_lambda(3, 2, 1, 1, 1) == 3);
  update_bias(x, three, 0);
  CHECK(x == std::vector<double>{1, 2, 3});
  const std::vector<std::uint8_t> many(5, 1);
  CHECK_THROWS_WITH(column_thresholds(by_expert(logits, 3), 1, x, many), Catch::Contains("competes"));
  CHECK_THROWS_WITH(column_thresholds(by_expert(logits, 3), -1, x), Catch::Contains("per_token"));
}
