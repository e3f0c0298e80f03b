// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support/tasks/tree.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "examples/support.hpp"
#include "support/tasks/make_task.hpp"

using tasks::tree;

namespace {

/// The map of the world, learnt from traces: where each action leads from each state.
using atlas = std::map<std::pair<int, int>, int>;

atlas explore(const tasks::task& task) {
  atlas map;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const auto p = task.draw(11, i);
    const tokens walk = body(task.trace(p, 12, i));
    int state = static_cast<int>(p.hidden[2]);
    for (std::size_t at = 0; at < walk.size(); at += 2) {
      const auto [found, fresh] = map.emplace(std::pair(state, walk[at] - 8), walk[at + 1]);
      CHECK(found->second == walk[at + 1]);
      state = walk[at + 1];
    }
  }
  return map;
}

/// The walk by @p actions, as a response.
tokens walk(const atlas& map, int state, const std::vector<int>& actions) {
  tokens response;
  for (const int a : actions) {
    state = map.at({state, a});
    response.push_back(8 + a);
    response.push_back(state);
  }
  return response;
}

/// Calls f with every sequence of @p n actions.
template <class F>
void for_each_path(std::size_t n, F&& f) {
  std::vector<int> path(n, 0);
  for (;;) {
    f(path);
    std::size_t at = 0;
    while (at < n && ++path[at] == 8) path[at++] = 0;
    if (at == n) return;
  }
}

}  // namespace

TEST_CASE("tree: draws are functions of their arguments") {
  check_draws(tree(), 200);
  check_draws(tree({.horizons = {2, 3, 4, 5, 6}, .error = 0.5, .aliasing = 1}), 200);
}

TEST_CASE("tree: every action leads from a state to another state") {
  const tree task({.horizons = {6}, .error = 1});
  const atlas map = explore(task);
  REQUIRE(map.size() == 64);
  for (int s = 0; s < 8; ++s) {
    std::set<int> reached;
    for (int a = 0; a < 8; ++a) reached.insert(map.at({s, a}));
    CHECK(reached.size() == 8);
  }
}

TEST_CASE("tree: of all walks the checker accepts those by strategy, waypoints and goal, and counts them") {
  for (const index_t n : {2, 3, 4, 5}) {
    const atlas map = explore(tree({.horizons = {6}, .error = 1}));
    const tree task({.horizons = {n}, .aliasing = 0.5});
    for (std::uint64_t i = 0; i < (n == 5 ? 2 : 10); ++i) {
      const auto p = task.draw(1, i);
      INFO(task.text(p.prompt));
      std::vector<int> stops;  // start, waypoints, goal, as the prompt has them
      for (std::size_t at = p.prompt.size() - 2; stops.size() < static_cast<std::size_t>(n + 1) / 2 + 1; at -= 2)
        stops.insert(stops.begin(), p.prompt[at]);
      std::set<std::uint64_t> names;
      index_t accepted = 0;
      bool right = true;
      for_each_path(static_cast<std::size_t>(n), [&](const std::vector<int>& path) {
        const tokens response = walk(map, stops[0], path);
        bool valid = path[0] == p.hidden[0] && response.back() == stops.back();
        for (std::size_t w = 1; w + 1 < stops.size(); ++w) valid = valid && response[4 * w - 1] == stops[w];
        const auto verdict = task.check(p, response);
        right = right && (verdict.reward == 1) == valid && (verdict.solution != 0) == valid;
        if (verdict.reward > 0) names.insert(verdict.solution), ++accepted;
      });
      CHECK(right);
      CHECK(static_cast<double>(accepted) == task.solutions(p));
      CHECK(std::ssize(names) == accepted);
    }
  }
  CHECK(tree({.horizons = {6}}).solutions(tree({.horizons = {6}}).draw(1, 1)) == 64);
}

TEST_CASE("tree: a trace without noise is right where the prompt says how, and is rejected in parts") {
  const tree task({.horizons = {2, 3, 4, 5, 6}, .error = 0, .aliasing = 0});
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto p = task.draw(1, i);
    const tokens solution = body(task.trace(p, 2, i));
    check_rejections(task, p, solution);
    for (std::size_t at = 0; at < solution.size(); ++at) {
      tokens other = solution;
      other[at] = at % 2 == 0 ? 8 + (other[at] - 8 + 1) % 8 : (other[at] + 1) % 8;
      CHECK(task.check(p, other).reward == 0);
    }
  }
}

TEST_CASE("tree: traces succeed as often as the actions that they draw let them") {
  const double error = 0.2, stray = error / 8;
  // The third of four actions is free: what is drawn there, by context.
  const tree free({.horizons = {4}, .error = error});
  std::map<std::int32_t, std::array<double, 8>> drawn;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const auto p = free.draw(3, i);
    ++drawn[p.prompt[1]][static_cast<std::size_t>(free.trace(p, 4, i)[4] - 8)];
  }
  for (auto& [context, counts] : drawn) {
    const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
    for (double& n : counts) n /= all;
  }
  for (const double aliasing : {0.0, 1.0}) {
    const tree task({.horizons = {2, 4, 5}, .error = error, .aliasing = aliasing});
    double right = 0, expected = 0, variance = 0;
    for (std::uint64_t i = 0; i < 8000; ++i) {
      const auto p = task.draw(1, i);
      const auto strategy = static_cast<std::size_t>(p.hidden[0]);
      const double by_prior = (1 - error) * tasks::strategy_prior[strategy] + stray;
      const double first = tree::aliased(p) ? (by_prior + drawn[p.prompt[1]][strategy]) / 2 : 1 - error + stray;
      const double arrivals = static_cast<double>((p.hidden[1] + 1) / 2);
      const double chance = first * std::pow(1 - error + stray, arrivals);
      right += task.check(p, body(task.trace(p, 2, i))).reward;
      expected += chance;
      variance += chance * (1 - chance);
    }
    CHECK(right == Approx(expected).margin(4 * std::sqrt(variance)));
  }
}

TEST_CASE("tree: an aliased prompt says nothing of the strategy") {
  const tree open({.aliasing = 0}), hidden({.aliasing = 1});
  std::map<std::int32_t, double> by_context;
  double first = 0;
  const std::uint64_t count = 4000;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto told = open.draw(1, i), aliased = hidden.draw(1, i);
    CHECK(told.hidden == aliased.hidden);
    CHECK(told.prompt[0] == 8 + told.hidden[0]);
    CHECK(hidden.text(std::span(aliased.prompt).first(1)) == "?");
    CHECK(std::equal(told.prompt.begin() + 1, told.prompt.end(), aliased.prompt.begin() + 1, aliased.prompt.end()));
    for (const std::int32_t id : aliased.prompt) CHECK((id < 8 || id >= 16));
    first += told.hidden[0] == 0;
    by_context[told.prompt[1]] += told.hidden[0] == 0;
  }
  CHECK(first / count == Approx(0.3).margin(0.03));
  CHECK(by_context.size() == 4);
  for (const auto& [context, n] : by_context) CHECK(n / count * 4 == Approx(0.3).margin(0.07));
  // The trace of an aliased problem does not know it either.
  auto p = hidden.draw(1, 1);
  const tokens before = hidden.trace(p, 2, 1);
  p.hidden[0] = (p.hidden[0] + 1) % 8;
  CHECK(hidden.trace(p, 2, 1) == before);
}

TEST_CASE("tree: the share of aliased prompts is the one asked for, and contexts correlate with the traces") {
  const tree task({.aliasing = 0.25});
  int aliased = 0;
  std::map<std::int32_t, std::map<std::int32_t, int>> third;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const auto p = task.draw(1, i);
    aliased += tree::aliased(p);
    ++third[p.prompt[1]][task.trace(p, 2, i)[4]];
  }
  CHECK(aliased == Approx(1000).margin(120));
  for (auto& [context, counts] : third) {
    int most = 0, all = 0;
    for (const auto& [action, n] : counts) most = (std::max)(most, n), all += n;
    CHECK(most > all / 4);
  }
}

TEST_CASE("tree: what makes no task is refused") {
  CHECK_THROWS_WITH(tree({.horizons = {7}}), Catch::Contains("--horizon:") && Catch::Contains("one is 7"));
  CHECK_THROWS_WITH(tree({.aliasing = 1.5}), Catch::Contains("--aliasing:"));
  CHECK_THROWS_WITH(tree({.error = 2}), Catch::Contains("--error:"));
  CHECK(tasks::make_task("tree")->words() == tree().words());
}
