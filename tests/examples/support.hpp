// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every task must hold.
#pragma once
#include "support/catch.hpp"
#include "support/tasks/task.hpp"

#include <cstdint>
#include <vector>

using hone::index_t;
using tokens = std::vector<std::int32_t>;

/// @p trace without its stop token.
inline tokens body(tokens trace) {
  trace.pop_back();
  return trace;
}

/// Problems and traces are functions of (seed, number), of ids in the vocabulary, and no longer than the task says.
inline void check_draws(const tasks::task& task, std::uint64_t count) {
  CHECK(task.words().back() == "stop");
  CHECK(task.stop() == task.vocab() - 1);
  std::uint64_t same = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto p = task.draw(1, i), again = task.draw(1, i);
    CHECK(p.prompt == again.prompt);
    CHECK(p.hidden == again.hidden);
    same += p.prompt == task.draw(2, i).prompt;
    CHECK(std::ssize(p.prompt) <= task.longest_prompt());
    const auto trace = task.trace(p, 3, i);
    CHECK(trace == task.trace(again, 3, i));
    CHECK(std::ssize(trace) <= task.longest_response());
    REQUIRE(!trace.empty());
    CHECK(trace.back() == task.stop());
    for (const auto& ids : {p.prompt, body(trace)})
      for (const std::int32_t id : ids) CHECK((id >= 0 && id < task.stop()));
  }
  CHECK(same < count / 2);
}

/// What is never a solution: nothing, a part of @p solution, more than it, a stop token, ids that are none.
inline void check_rejections(const tasks::task& task, const tasks::problem& p, const tokens& solution) {
  REQUIRE(task.check(p, solution).reward == 1);
  CHECK(task.check(p, solution).solution != 0);
  CHECK(std::ssize(solution) < task.longest_response());
  std::vector<tokens> wrong = {{}, solution, solution, solution};
  for (std::size_t n = 1; n < solution.size(); ++n)
    wrong.emplace_back(solution.begin(), solution.begin() + static_cast<index_t>(n));
  wrong[1].push_back(solution.back());
  wrong[2].push_back(task.stop());
  wrong[3].insert(wrong[3].begin(), solution.front());
  for (const std::int32_t id : {-1, task.stop(), static_cast<std::int32_t>(task.vocab()), 0x7fffffff})
    for (std::size_t at = 0; at < solution.size(); ++at) {
      wrong.push_back(solution);
      wrong.back()[at] = id;
    }
  for (const auto& response : wrong) {
    INFO(task.text(p.prompt) << " -> " << task.text(response));
    CHECK(task.check(p, response).reward == 0);
    CHECK(task.check(p, response).solution == 0);
  }
}
