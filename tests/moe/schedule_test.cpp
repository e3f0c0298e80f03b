// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/schedule.hpp"

#include "support/catch.hpp"

#include <numeric>

using namespace hone;
using namespace hone::moe;

namespace {

constexpr schedule schedules[] = {
    schedule::constant,       schedule::linear, schedule::linear_reverse, schedule::cosine,
    schedule::cosine_reverse, schedule::bell,   schedule::bell_gaussian,  schedule::bell_gaussian_reverse};

double mean_of(const std::vector<index_t>& capacities, const std::vector<double>& weights) {
  double sum = 0, total = 0;
  for (std::size_t i = 0; i < capacities.size(); ++i) {
    sum += weights[i] * static_cast<double>(capacities[i]);
    total += weights[i];
  }
  return sum / total;
}

}  // namespace

TEST_CASE("schedules give the reference vectors (R.3)") {
  struct row {
    schedule s;
    double share[3];
    index_t of_8_to_32[3], of_2_to_14[3], capacity[3];
  };
  const row rows[] = {
      {schedule::linear, {.05, .5, .95}, {9, 20, 31}, {3, 8, 13}, {96, 256, 416}},
      {schedule::linear_reverse, {.95, .5, .05}, {31, 20, 9}, {13, 8, 3}, {416, 256, 96}},
      {schedule::cosine, {.006155830, .5, .993844170}, {8, 20, 32}, {2, 8, 14}, {64, 256, 448}},
      {schedule::cosine_reverse, {.993844170, .5, .006155830}, {32, 20, 8}, {14, 8, 2}, {448, 256, 64}},
      {schedule::bell, {.19, 1, .19}, {13, 32, 13}, {4, 14, 4}, {128, 448, 128}},
      {schedule::bell_gaussian, {.051787021, 1, .051787021}, {9, 32, 9}, {3, 14, 3}, {96, 448, 96}},
      {schedule::bell_gaussian_reverse, {.948212979, 0, .948212979}, {31, 8, 31}, {13, 2, 13}, {416, 64, 416}}};
  for (const row& r : rows) {
    CAPTURE(static_cast<int>(r.s));
    for (int i = 0; i < 3; ++i) {
      const double ratio = i == 0 ? .05 : i == 1 ? .5 : .95;
      CHECK(share(r.s, ratio) == Approx(r.share[i]).margin(5e-10));
      const index_t k = experts_per_token(r.s, ratio, 8, 32);
      CHECK(k == r.of_8_to_32[i]);
      CHECK(capacity(512, k, 512) == k);
      CHECK(experts_per_token(r.s, ratio, 2, 14) == r.of_2_to_14[i]);
      CHECK(capacity(2048, r.of_2_to_14[i], 64) == r.capacity[i]);
    }
  }
  CHECK(experts_per_token(schedule::constant, 0.3, 8, 32) == 20);
}

TEST_CASE("halves go to the even number, and k keeps to its range") {
  CHECK(experts_per_token(schedule::linear, 0.5, 9, 10) == 10);
  CHECK(experts_per_token(schedule::linear, 0.5, 10, 11) == 10);
  CHECK(experts_per_token(schedule::linear, 0.25, 0, 10) == 2);
  CHECK(experts_per_token(schedule::linear, 0.75, 0, 10) == 8);
  for (const schedule s : schedules)
    for (int i = 0; i <= 1000; ++i) {
      const double r = i / 1000.0;
      REQUIRE(share(s, r) >= 0);
      REQUIRE(share(s, r) <= 1);
      const index_t k = experts_per_token(s, r, 1, 7);
      REQUIRE(k >= 1);
      REQUIRE(k <= 7);
    }
}

TEST_CASE("schedules are each other's mirror images, bells are symmetric") {
  for (int i = 0; i <= 200; ++i) {
    const double r = i / 200.0;
    CAPTURE(r);
    CHECK(share(schedule::linear, r) + share(schedule::linear_reverse, r) == Approx(1));
    CHECK(share(schedule::cosine, r) + share(schedule::cosine_reverse, r) == Approx(1));
    CHECK(share(schedule::bell_gaussian, r) + share(schedule::bell_gaussian_reverse, r) == Approx(1));
    CHECK(share(schedule::linear, r) + share(schedule::linear, 1 - r) == Approx(1));
    CHECK(share(schedule::cosine, r) + share(schedule::cosine, 1 - r) == Approx(1));
    for (const schedule s : {schedule::bell, schedule::bell_gaussian, schedule::bell_gaussian_reverse})
      CHECK(share(s, r) == Approx(share(s, 1 - r)).margin(1e-15));
    // A bell of endless width is a parabola, one of none a needle.
    for (const double wide : {1e100, 1e200, 1e299})
      CHECK(share(schedule::bell_gaussian, r, wide) == Approx(share(schedule::bell, r)).margin(1e-12));
    for (const double narrow : {1e-10, 1e-160, 1e-320})
      CHECK(share(schedule::bell_gaussian, r, narrow) == (i == 100 ? 1 : 0));
  }
}

TEST_CASE("means over ratios are those of the tables") {
  const auto mean = [](schedule s, double sigma) {
    double sum = 0;
    constexpr int n = 100000;
    for (int i = 0; i < n; ++i) sum += share(s, (i + 0.5) / n, sigma);
    return sum / n;
  };
  CHECK(mean(schedule::bell, 0.22) == Approx(2.0 / 3).epsilon(1e-8));
  CHECK(mean(schedule::bell_gaussian, 0.22) == Approx(0.501043).epsilon(1e-6));
  CHECK(mean(schedule::bell_gaussian_reverse, 0.22) == Approx(0.498957).epsilon(1e-6));
  CHECK(mean(schedule::bell_gaussian, 0.2192127) == Approx(0.5).epsilon(1e-7));
  CHECK(mean(schedule::bell_gaussian, 0.2) == Approx(0.4719).epsilon(1e-4));
  const auto rounded = [](schedule s) {
    double sum = 0;
    constexpr int n = 200000;
    for (int i = 0; i < n; ++i) sum += static_cast<double>(experts_per_token(s, (i + 0.5) / n, 8, 32));
    return sum / n;
  };
  CHECK(rounded(schedule::bell) == Approx(24.011561).margin(1e-4));
  CHECK(rounded(schedule::bell_gaussian) == Approx(20.028418).margin(1e-4));
  CHECK(rounded(schedule::bell_gaussian_reverse) == Approx(19.971582).margin(1e-4));
}

TEST_CASE("capacities are cut to the tokens there are, and are at least 1") {
  CHECK(capacity(3, 3, 2) == 3);  // floor(9 / 2) is more than there are
  CHECK(capacity(5, 2, 4) == 2);
  CHECK(capacity(4, 1, 16) == 1);
  CHECK(capacity(4, 0, 2) == 1);
  CHECK(capacity(1, 8, 64) == 1);
  CHECK(capacity(0, 8, 64) == 0);
  CHECK(capacity(index_t{1} << 40, 8, 8) == index_t{1} << 40);
}

TEST_CASE("budgets give the reference vectors (R.6)") {
  struct row {
    schedule s;
    std::vector<index_t> plain, clamped;
  };
  const row rows[] = {
      {schedule::constant, {4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4}, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}},
      {schedule::linear, {2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6}, {1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5}},
      {schedule::linear_reverse, {6, 6, 5, 5, 5, 4, 4, 3, 3, 3, 2, 2}, {6, 5, 5, 4, 4, 3, 3, 2, 1, 1, 1, 1}},
      {schedule::cosine, {1, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 6}, {1, 1, 1, 1, 2, 3, 3, 4, 5, 5, 5, 5}},
      {schedule::cosine_reverse, {7, 6, 6, 5, 5, 4, 4, 3, 2, 2, 2, 2}, {6, 6, 5, 5, 4, 3, 2, 1, 1, 1, 1, 1}},
      {schedule::bell, {2, 4, 4, 5, 6, 6, 6, 5, 4, 3, 2, 1}, {1, 2, 3, 4, 5, 5, 5, 4, 3, 2, 1, 1}},
      {schedule::bell_gaussian, {2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1}, {1, 2, 3, 4, 5, 6, 5, 4, 3, 1, 1, 1}},
      {schedule::bell_gaussian_reverse, {6, 5, 4, 3, 2, 2, 2, 3, 4, 5, 6, 6}, {5, 4, 3, 2, 1, 1, 1, 1, 3, 4, 5, 6}}};
  for (const row& r : rows) {
    CAPTURE(static_cast<int>(r.s));
    CHECK(budget(r.s, 12, {.mean = 4, .swing = 5}) == r.plain);
    CHECK(budget(r.s, 12, {.mean = 3, .swing = 6}) == r.clamped);
  }
  std::vector<double> weights;
  for (int n = 1; n <= 12; ++n) weights.push_back(1.0 / n);
  const auto weighted = budget(schedule::linear_reverse, 12, {.mean = 4, .swing = 5, .weights = weights});
  CHECK(weighted == std::vector<index_t>{5, 5, 4, 4, 4, 3, 3, 2, 2, 2, 1, 1});
  CHECK(mean_of(weighted, weights) == Approx(3.9985584915).epsilon(1e-10));
}

TEST_CASE("a budget of a million lengths is exact to the token") {
  const index_t length = 1 << 20;
  const auto c = budget(schedule::linear, length, {.mean = 2000000.25, .swing = 1e6, .tokens = 1 << 22});
  index_t sum = 0;
  for (const index_t taken : c) sum += taken;
  CHECK(sum == 2000000 * length + length / 4);
}

TEST_CASE("a budget's mean is exact for every schedule, length and swing") {
  for (const schedule s : schedules)
    for (const index_t length : {1, 2, 3, 64, 100, 127, 512, 777, 1000, 2048})
      for (const double mean : {1.0, 1.37, 6.0, 16.0})
        for (const double swing : {0.0, 12.0, -12.0, 1000.0}) {
          if (mean > static_cast<double>(length)) continue;
          CAPTURE(static_cast<int>(s), length, mean, swing);
          const auto c = budget(s, length, {.mean = mean, .swing = swing});
          CHECK(std::accumulate(c.begin(), c.end(), index_t{0}) ==
                static_cast<index_t>(std::floor(mean * static_cast<double>(length) + 1e-6)));
          CHECK(*std::min_element(c.begin(), c.end()) >= 1);
          CHECK(*std::max_element(c.begin(), c.end()) <= length);
        }
  // As many tokens as a prompt and an answer have, where the answer alone is masked.
  const auto c = budget(schedule::linear, 100, {.mean = 250, .swing = 400, .tokens = 300});
  CHECK(std::accumulate(c.begin(), c.end(), index_t{0}) == 25000);
  CHECK(*std::max_element(c.begin(), c.end()) == 300);
}

TEST_CASE("with weights a budget's mean is short by less than the largest weight") {
  for (const schedule s : schedules)
    for (const index_t length : {5, 64, 333}) {
      std::vector<double> weights;
      double total = 0, largest = 0;
      for (index_t n = 1; n <= length; ++n) {
        weights.push_back(n % 7 == 3 ? 0.0 : 1.0 / static_cast<double>(n) + (n % 5 == 0 ? 2.0 : 0.0));
        total += weights.back();
        largest = (std::max)(largest, weights.back());
      }
      CAPTURE(static_cast<int>(s), length);
      for (const double mean : {1.0, 2.5, 4.0, static_cast<double>(length)}) {
        const double reached = mean_of(budget(s, length, {.mean = mean, .swing = 5, .weights = weights}), weights);
        CHECK(reached <= mean * (1 + 1e-11));
        CHECK(reached > mean - largest / total - 1e-11);
      }
    }
}

TEST_CASE("sigma is that of experts and of budgets, too") {
  // Gaussians of sigma 0.1 and 0.5 at a quarter: exp(-(1/4)^2 / (2 sigma^2)), less its end, over 1 less its end.
  for (const double sigma : {0.1, 0.5}) {
    const auto bell = [&](double x) { return std::exp(-(x - 0.5) * (x - 0.5) / (2 * sigma * sigma)); };
    const double expected = (bell(0.25) - bell(0)) / (1 - bell(0));
    CHECK(share(schedule::bell_gaussian, 0.25, sigma) == Approx(expected).epsilon(1e-12));
    CHECK(experts_per_token(schedule::bell_gaussian, 0.25, 100, 1100, sigma) == std::lround(100 + 1000 * expected));
  }
  const auto narrow = budget(schedule::bell_gaussian, 9, {.mean = 3, .swing = 6, .sigma = 0.05});
  CHECK(narrow == budget(schedule::bell_gaussian, 9, {.mean = 3, .swing = 6, .sigma = 0.05}));
  CHECK(narrow != budget(schedule::bell_gaussian, 9, {.mean = 3, .swing = 6}));
  // A wide bell is the parabola.
  CHECK(budget(schedule::bell_gaussian, 9, {.mean = 3, .swing = 6, .sigma = 1e6}) ==
        budget(schedule::bell, 9, {.mean = 3, .swing = 6}));
}

TEST_CASE("the last good values of schedules, capacities and budgets") {
  CHECK(share(schedule::linear, 0) == 0);
  CHECK(share(schedule::linear, 1) == 1);
  CHECK(experts_per_token(schedule::linear, 0.5, 3, 3) == 3);
  CHECK(experts_per_token(schedule::constant, 0.5, 0, 0) == 0);
  constexpr index_t most = (std::numeric_limits<index_t>::max)();
  CHECK(capacity(2, most / 2, 1) == 2);
  CHECK_THROWS_WITH(capacity(2, most / 2 + 1, 1), Catch::Contains("per_token"));
  CHECK(capacity(0, most, 1) == 0);
  CHECK(budget(schedule::linear, 1, {.mean = 1}) == std::vector<index_t>{1});
  CHECK(budget(schedule::linear, 4, {.mean = 4}) == std::vector<index_t>(4, 4));
  CHECK(budget(schedule::linear, 2, {.mean = 1, .swing = 1e9}) == std::vector<index_t>{1, 1});
  CHECK(budget(schedule::linear, 2, {.mean = 2, .swing = -1e9, .tokens = 3}) == std::vector<index_t>{3, 1});
  const std::vector<double> huge(4, 9e299), one = {0, 0, 0, 2}, infinite = {1, 1, 1, INFINITY};
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.weights = huge}), Catch::Contains("positive, finite sum"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.weights = infinite}), Catch::Contains("that of 4"));
  CHECK(budget(schedule::constant, 4, {.mean = 3, .weights = one})[3] == 3);
  CHECK_THROWS_WITH(budget(schedule::linear, -1, {}), Catch::Contains("length"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.mean = 4.5, .tokens = 4}),
                    Catch::Contains("mean: must be in [1, 4]"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.sigma = 0}), Catch::Contains("sigma"));
  CHECK_THROWS_WITH(capacity(1, 1, -1), Catch::Contains("experts"));
}

TEST_CASE("what is no schedule is refused") {
  const double nan = std::nan("");
  for (const double bad : {-1e-9, 1.0000001, nan}) {
    CHECK_THROWS_WITH(share(schedule::linear, bad), Catch::Contains("mask_ratio"));
    CHECK_THROWS_WITH(experts_per_token(schedule::linear, bad, 1, 2), Catch::Contains("mask_ratio"));
  }
  for (const double bad : {0.0, -1.0, nan, 1e301})
    CHECK_THROWS_WITH(share(schedule::bell_gaussian, 0.5, bad), Catch::Contains("sigma"));
  CHECK_THROWS_WITH(experts_per_token(schedule::linear, 0.5, -1, 2), Catch::Contains("least"));
  CHECK_THROWS_WITH(experts_per_token(schedule::linear, 0.5, 3, 2), Catch::Contains("least"));
  CHECK_THROWS_WITH(capacity(-1, 1, 1), Catch::Contains("tokens"));
  CHECK_THROWS_WITH(capacity(1, -1, 1), Catch::Contains("per_token"));
  CHECK_THROWS_WITH(capacity(index_t{1} << 40, index_t{1} << 40, 1), Catch::Contains("per_token"));
  CHECK_THROWS_WITH(capacity(1, 1, 0), Catch::Contains("experts"));
  CHECK_THROWS_WITH(budget(schedule::linear, 0, {}), Catch::Contains("length"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.tokens = -1}), Catch::Contains("tokens"));
  for (const double bad : {0.99, 4.01, nan})
    CHECK_THROWS_WITH(budget(schedule::linear, 4, {.mean = bad}), Catch::Contains("mean"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.swing = nan}), Catch::Contains("swing"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.swing = 1e308 * 10}), Catch::Contains("swing"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.swing = -1e16}),
                    Catch::Contains("swing"));  // rounding is whole tokens
  const std::vector<double> three(3, 1.0), none(4, 0.0), negative = {1, -1, 1, 1}, undefined = {1, 1, nan, 1};
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.weights = three}), Catch::Contains("weights"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.weights = none}), Catch::Contains("positive"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.weights = negative}), Catch::Contains("that of 2"));
  CHECK_THROWS_WITH(budget(schedule::linear, 4, {.weights = undefined}), Catch::Contains("that of 3"));
}
