// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support/tasks/countdown.hpp"

#include <map>
#include <set>

#include "examples/support.hpp"
#include "support/tasks/make_task.hpp"

using tasks::countdown;

namespace {

tokens read(const tasks::task& task, const std::string& text) {
  tokens ids;
  for (const char c : text)
    for (std::int32_t id = 0; id < task.vocab(); ++id)
      if (task.words()[static_cast<std::size_t>(id)] == std::string(1, c)) ids.push_back(id);
  return ids;
}

tasks::problem problem(std::vector<std::int64_t> numbers, std::int64_t target) {
  numbers.insert(numbers.begin(), target);
  return {{}, numbers};
}

/// A partial result: its value, and the value of the same polynomial at a random point modulo a prime.
struct partial {
  std::int64_t value, point;
};
constexpr std::int64_t prime = 1'000'000'007;

/// The polynomials, by their values at the point, of all trees over all orders of @p parts, for each value.
void count(const std::vector<partial>& parts, std::map<std::int64_t, std::set<std::int64_t>>& found) {
  if (parts.size() == 1) found[parts[0].value].insert(parts[0].point);
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (std::size_t j = 0; j < parts.size(); ++j) {
      if (i == j) continue;
      const partial a = parts[i], b = parts[j];
      for (const partial& c : {partial{a.value + b.value, (a.point + b.point) % prime},
                               partial{a.value - b.value, (a.point - b.point + prime) % prime},
                               partial{a.value * b.value, a.point * b.point % prime}}) {
        std::vector<partial> rest = {c};
        for (std::size_t k = 0; k < parts.size(); ++k)
          if (k != i && k != j) rest.push_back(parts[k]);
        count(rest, found);
      }
    }
}

}  // namespace

TEST_CASE("countdown: draws are functions of their arguments") {
  check_draws(countdown(), 60);
  check_draws(countdown({.horizons = {2}}), 60);
}

TEST_CASE("countdown: the prompt says everything") {
  const countdown task;
  for (std::uint64_t i = 0; i < 60; ++i) {
    const auto p = task.draw(3, i);
    std::string text;
    for (std::size_t k = 1; k < p.hidden.size(); ++k) text.append(std::to_string(p.hidden[k])).append(" ");
    text.append("to ");
    for (const char digit : std::to_string(p.hidden[0])) text.append({digit, ' '});
    text.append("=");
    CHECK(task.text(p.prompt) == text);
    CHECK(task.solutions(p) > 1);
  }
}

TEST_CASE("countdown: expressions are worked out, and what is none is rejected") {
  const countdown task;
  const auto p = problem({3, 5, 2, 7}, 20);
  CHECK(task.check(p, read(task, "3+5*2+7")).reward == 1);
  CHECK(task.check(p, read(task, "7+3*2+5")).reward == 0);
  CHECK(task.check(p, read(task, "(7-2)*5-3-2")).reward == 0);
  CHECK(task.check(p, read(task, "(7-3)*5")).reward == 0);
  const auto q = problem({3, 5, 2}, 16);
  for (const char* right : {"(3+5)*2", "2*(5+3)", "((3+5))*2", "(2*(3+5))", "((2)*((3)+5))"}) {
    INFO(right);
    CHECK(task.check(q, read(task, right)).reward == 1);
    CHECK(task.check(q, read(task, right)).solution == task.check(q, read(task, "(3+5)*2")).solution);
  }
  for (const char* wrong : {"",
                            "3+5*2",
                            "(3+5)*2+",
                            "(3+5)*2)",
                            "((3+5)*2",
                            "(3+5)2",
                            "+(3+5)*2",
                            "(3+5)**2",
                            "()",
                            "16",
                            "(3+5)*2=",
                            "3+5+2+3+3",
                            "8*2",
                            "2*8",
                            "(5+5+5+2)",
                            "(3+5)*(2)*()",
                            "-(-3-5)*2",
                            "1 6",
                            "((((((3+5))))))*2))))",
                            "((((((((3+5))))))))*2"}) {
    INFO(wrong);
    CHECK(task.check(q, read(task, wrong)).reward == 0);
    CHECK(task.check(q, read(task, wrong)).solution == 0);
  }
  CHECK(task.check(problem({3, 3, 2}, 9), read(task, "3*2+3")).reward == 1);
  CHECK(task.check(problem({3, 3, 2}, 8), read(task, "3*2+2")).reward == 0);
  CHECK(task.check(problem({2, 5}, -3), read(task, "2-5")).reward == 1);
  CHECK(task.check(q, tokens(1000, tasks::expression::open)).reward == 0);
}

TEST_CASE("countdown: order, grouping and signs do not make another solution") {
  const countdown task;
  const auto name = [&](std::vector<std::int64_t> numbers, std::int64_t target, const char* text) {
    const auto verdict = task.check(problem(std::move(numbers), target), read(task, text));
    CHECK(verdict.reward == 1);
    return verdict.solution;
  };
  CHECK(name({9, 4, 1}, 6, "9-(4-1)") == name({9, 4, 1}, 6, "1+9-4"));
  CHECK(name({9, 4, 8, 2}, 30, "(9-4)*(8-2)") == name({9, 4, 8, 2}, 30, "(2-8)*(4-9)"));
  CHECK(name({2, 3, 1}, 5, "2*1+3") != name({2, 3, 1}, 5, "2+3*1"));
}

TEST_CASE("countdown: as many solutions as there are polynomials, for every value") {
  const countdown task;
  for (const auto& numbers : {std::vector<std::int64_t>{2, 5}, {1, 2, 3}, {4, 7, 9}, {1, 2, 3, 4}, {2, 5, 7, 8}}) {
    std::vector<partial> parts;
    parts.reserve(numbers.size());
    for (const std::int64_t x : numbers) parts.push_back({x, (x * 912'345'678'901 + 12'345'677 * x * x * x) % prime});
    std::map<std::int64_t, std::set<std::int64_t>> found;
    count(parts, found);
    CHECK(found.size() > numbers.size());
    for (const auto& [value, polynomials] : found) {
      INFO(value);
      CHECK(task.solutions(problem(numbers, value)) == static_cast<double>(polynomials.size()));
    }
  }
}

TEST_CASE("countdown: of all words of five symbols the checker accepts the expressions") {
  const countdown task;
  const auto p = problem({2, 3, 1}, 5);
  std::set<std::uint64_t> names;
  tokens word(5, 0);
  for (int i = 0; i < 15 * 15 * 15 * 15 * 15; ++i) {
    int rest = i;
    for (auto& id : word) id = rest % 15, rest /= 15;
    const auto verdict = task.check(p, word);
    if (verdict.reward > 0) names.insert(verdict.solution);
  }
  // 2*3-1, 2+3*1 and 2*1+3; (2+3)*1 takes seven.
  CHECK(names.size() == 3);
  CHECK(task.solutions(p) == 4);
}

TEST_CASE("countdown: traces without noise are right and cover the solutions, with noise as often as asked for") {
  const countdown clean({.error = 0}), wrong({.error = 1}), noisy;
  double right = 0;
  for (std::uint64_t i = 0; i < 60; ++i) {
    const auto p = clean.draw(1, i);
    check_rejections(clean, p, body(clean.trace(p, 2, i)));
    CHECK(wrong.check(p, body(wrong.trace(p, 2, i))).reward == 0);
    for (std::uint64_t k = 0; k < 10; ++k) right += noisy.check(p, body(noisy.trace(p, 2, 10 * i + k))).reward;
  }
  CHECK(right / 600 == Approx(0.4).margin(0.08));
  const auto p = problem({2, 3, 1}, 5);
  std::set<std::uint64_t> names;
  for (std::uint64_t i = 0; i < 100; ++i) names.insert(clean.check(p, body(clean.trace(p, 2, i))).solution);
  CHECK(names.size() == 4);
}

TEST_CASE("countdown: a wrong number, a number too often or too rarely, is rejected") {
  const countdown task({.error = 0});
  for (std::uint64_t i = 0; i < 60; ++i) {
    const auto p = task.draw(1, i);
    const tokens solution = body(task.trace(p, 2, i));
    for (std::size_t at = 0; at < solution.size(); ++at) {
      if (solution[at] > 9) continue;
      tokens other = solution;
      other[at] = (other[at] + 1) % 10;
      CHECK(task.check(p, other).reward == 0);
    }
    auto changed = p;
    ++changed.hidden[0];
    CHECK(task.check(changed, solution).reward == 0);
  }
}

TEST_CASE("countdown: what makes no task is refused") {
  CHECK_THROWS_WITH(countdown({.horizons = {5}}), Catch::Contains("--horizon:") && Catch::Contains("one is 5"));
  CHECK(tasks::make_task("countdown")->words() == countdown().words());
}
