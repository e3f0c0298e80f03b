// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Responses to the problems of a task, drawn from a policy and checked.
#pragma once
#include "hone/core/thread_pool.hpp"
#include "hone/policy/diagnostics.hpp"
#include "hone/transformer/responses.hpp"
#include "support/tasks/task.hpp"

namespace tasks {

using namespace hone;

/// Problems with the same number of responses to each, side by side.
struct rollout : transformer::responses {
  std::vector<problem> problems;
  std::vector<std::uint64_t> solutions;

  /// Group @p g of @p other.
  void add(const rollout& other, index_t g) {
    const auto at = static_cast<std::size_t>(g);
    responses::add(other, g);
    problems.push_back(other.problems[at]);
    solutions.insert(solutions.end(), other.solutions.begin() + other.groups[at],
                     other.solutions.begin() + other.groups[at + 1]);
  }
};

inline transformer::token_rows prompts_of(const std::vector<problem>& problems) {
  transformer::token_rows rows;
  for (const problem& p : problems) rows.add(p.prompt);
  return rows;
}

struct drawing {
  index_t group = 1;
  double temperature = 1;  ///< 0: the likeliest token
  std::uint64_t seed = 0;
  std::uint64_t first = 0;  ///< number of the first response, for its random draws
};

/// @p how.group responses to each of @p problems from the policy that @p generate holds.
inline rollout draw_rollout(const task& t, const transformer::generator<float>& generate, std::vector<problem> problems,
                            index_t max_seq, const drawing& how, thread_pool& pool) {
  rollout r;
  r.solutions.resize(problems.size() * static_cast<std::size_t>(how.group));
  static_cast<transformer::responses&>(r) = transformer::draw_responses(
      generate, prompts_of(problems).batch(), how.group, t.stop(),
      {.max_tokens = (std::min)(t.longest_response(), max_seq),
       .sampling = {.temperature = how.temperature, .seed = how.seed},
       .first_sequence = static_cast<std::uint32_t>(how.first)},
      [&](index_t b, std::span<const std::int32_t> tokens) {
        const verdict v = t.check(problems[static_cast<std::size_t>(b / how.group)], tokens);
        r.solutions[static_cast<std::size_t>(b)] = v.solution;
        return v.reward;
      },
      pool);
  r.problems = std::move(problems);
  return r;
}

/// Problems [first, first + count) of a stream.
inline std::vector<problem> draw_problems(const task& t, std::uint64_t seed, std::uint64_t first, index_t count) {
  std::vector<problem> result;
  for (index_t i = 0; i < count; ++i) result.push_back(t.draw(seed, first + static_cast<std::uint64_t>(i)));
  return result;
}

}  // namespace tasks
