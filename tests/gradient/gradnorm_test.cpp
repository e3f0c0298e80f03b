// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/gradnorm.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEST_CASE("one update against the formula, by central differences of the balancing loss") {
  const auto g = family<double, 3>(20, 1).gram();
  const std::array<double, 3> initial = {2, 3, 1}, loss = {1, 2.9, .7};
  gradnorm_state<3> state{.weight = {.5, 1.5, 1}, .initial_loss = initial};
  std::array<double, 3> target{}, length{};
  double mean = 0, rate = 0, gradient = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    length[i] = state.weight[i] * std::sqrt(g(i, i));
    mean += length[i] / 3;
    rate += loss[i] / initial[i] / 3;
    gradient += std::sqrt(g(i, i)) / 3;
  }
  for (std::size_t i = 0; i < 3; ++i) target[i] = mean * std::pow(loss[i] / initial[i] / rate, 1.5);
  const auto balance = [&](const std::array<double, 3>& w) {
    double total = 0;
    for (std::size_t i = 0; i < 3; ++i) total += std::abs(w[i] * std::sqrt(g(i, i)) - target[i]);
    return total;
  };
  std::array<double, 3> expected;
  double sum = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    auto up = state.weight, down = state.weight;
    up[i] += 1e-6, down[i] -= 1e-6;
    expected[i] = state.weight[i] - .1 * (balance(up) - balance(down)) / 2e-6 / gradient;
    sum += expected[i];
  }
  const auto report = update_gradnorm(state, loss, g, {.learning_rate = .1});
  CHECK(report.updated);
  CHECK(report.loss == Approx(balance({.5, 1.5, 1})));
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(state.weight[i] == Approx(expected[i] * 3 / sum).epsilon(1e-8));
    CHECK(report.length[i] == Approx(length[i]));
    CHECK(report.target[i] == Approx(target[i]));
  }
}

TEST_CASE("weights sum to K and come to rest where the weighted lengths follow the training rates") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    const auto g = family<double, K>(40, 2).gram();
    gradnorm_state<K> state;
    std::array<double, K> loss;
    double mean = 0;
    for (std::size_t i = 0; i < K; ++i) {
      state.initial_loss[i] = 2;
      loss[i] = 1 + .02 * static_cast<double>(i);
      mean += loss[i] / K;
    }
    for (int step = 0; step < 6000; ++step)
      update_gradnorm(state, loss, g, {.learning_rate = step < 3000 ? 1e-2 : 2e-5});
    double sum = 0, length = 0;
    for (std::size_t i = 0; i < K; ++i) {
      sum += state.weight[i];
      length += state.weight[i] * std::sqrt(g(i, i)) / std::pow(loss[i] / mean, 1.5) / K;
    }
    CHECK(sum == Approx(K));
    for (std::size_t i = 0; i < K; ++i)
      CHECK(state.weight[i] * std::sqrt(g(i, i)) == Approx(length * std::pow(loss[i] / mean, 1.5)).epsilon(2e-2));
  });
}

TEST_CASE("a weighted length on its target moves its weight neither up nor down") {
  gram_matrix<3> g;
  for (std::size_t i = 0; i < 3; ++i) g.value[i][i] = static_cast<double>((i + 1) * (i + 1));  // lengths 1, 2, 3
  gradnorm_state<3> state{.initial_loss = {1, 1, 1}};
  const auto report = update_gradnorm(state, {1, 1, 1}, g, {.alpha = 0, .learning_rate = .25});
  REQUIRE(report.length[1] == report.target[1]);
  const std::array<double, 3> expected = {1 + .25 * 1 / 2, 1, 1 - .25 * 3 / 2};
  for (std::size_t i = 0; i < 3; ++i) CHECK(state.weight[i] == Approx(expected[i] * 3 / 2.75).epsilon(1e-14));
}

TEST_CASE("scale does not matter; bad numbers leave the state alone; a weight driven to 0 comes back") {
  const auto g = family<double, 2>(20, 3).gram();
  gradnorm_state<2> a{.initial_loss = {1, 1}}, b = a;
  update_gradnorm(a, {.5, .9}, g);
  update_gradnorm(b, {.5, .9}, scaled_tasks(g, {1e-20, 1e-20}));
  CHECK(a.weight[0] == Approx(b.weight[0]).epsilon(1e-12));
  const auto before = a.weight;
  CHECK(!update_gradnorm(a, {std::nan(""), 1}, g).updated);
  CHECK(!update_gradnorm(a, {-1, 1}, g).updated);
  CHECK(!update_gradnorm(a, {std::numeric_limits<double>::infinity(), 1}, g).updated);
  CHECK(!update_gradnorm(a, {1, 1}, gram_matrix<2>{}).updated);
  CHECK(!update_gradnorm(a, {0, 0}, g).updated);
  CHECK(!update_gradnorm(a, {1, 1}, gram_matrix<2>{{{{1, std::nan("")}, {std::nan(""), 1}}}}).updated);
  CHECK(a.weight == before);
  gradnorm_state<2> zero{.weight = {0, 2}, .initial_loss = {1, 1}};
  update_gradnorm(zero, {1, 1}, g);
  CHECK(zero.weight[0] > 0);
  gram_matrix<2> unequal;  // lengths 10 and 1: a step that would take the first weight below 0
  unequal.value = {{{100, 0}, {0, 1}}};
  gradnorm_state<2> clipped{.initial_loss = {1, 1}};
  CHECK(update_gradnorm(clipped, {1, 1}, unequal, {.alpha = 0, .learning_rate = 3}).updated);
  CHECK(clipped.weight[0] == 0);
  CHECK(clipped.weight[1] == Approx(2).epsilon(1e-14));
  gradnorm_state<2> unset;
  CHECK_THROWS_AS(update_gradnorm(unset, {1, 1}, g), std::invalid_argument);
  CHECK_THROWS_AS(update_gradnorm(a, {1, 1}, g, {.alpha = -1}), std::invalid_argument);
  CHECK_THROWS_AS(update_gradnorm(a, {1, 1}, g, {.learning_rate = std::nan("")}), std::invalid_argument);
  const std::string name = "hone::gradient::update_gradnorm: ";
  for (const double bad : {-1e-9, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH(update_gradnorm(a, {1, 1}, g, {.alpha = bad}), Catch::StartsWith(name + "alpha"));
    CHECK_THROWS_WITH(update_gradnorm(a, {1, 1}, g, {.learning_rate = bad}), Catch::StartsWith(name + "learning_rate"));
    gradnorm_state<2> broken{.initial_loss = {1, bad}};
    CHECK_THROWS_WITH(update_gradnorm(broken, {1, 1}, g), Catch::Contains("state: initial loss 1 must be positive"));
  }
  CHECK(a.weight == before);
  CHECK(update_gradnorm(a, {0, 1}, g, {.alpha = 0, .learning_rate = 0}).updated);
  CHECK(a.weight[0] == Approx(before[0]).epsilon(1e-14));
  gram_matrix<2> one_alone;  // of gradients of which one is zero
  one_alone.value = {{{4, 0}, {0, 0}}};
  gradnorm_state<2> half{.initial_loss = {1, 1}};
  const auto report = update_gradnorm(half, {1, 1}, one_alone, {.learning_rate = .5});
  CHECK((report.updated && report.length == std::array<double, 2>{2, 0} && report.loss == 2));
  CHECK((half.weight[0] == 0 && half.weight[1] == 2));
}
