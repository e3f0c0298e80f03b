// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Responses drawn from a policy, checked, and packed as rows of a decoder: a row is the position that a token of the
/// response was drawn from, and that token its target.
#pragma once
#include "hone/policy/diagnostics.hpp"
#include "hone/transformer/generate.hpp"
#include "reason/network.hpp"
#include "reason/task.hpp"
#include "support/lessons.hpp"

namespace reason {

/// Problems with the same number of responses to each, side by side.
struct rollout {
  std::vector<problem> problems;
  std::vector<index_t> groups = {0};  ///< offsets into the responses
  lessons::rows rows;                 ///< a response has its stop token, if it came to it
  std::vector<double> rewards;
  std::vector<std::uint64_t> solutions;

  [[nodiscard]] std::size_t responses() const { return rewards.size(); }
  [[nodiscard]] index_t tokens() const { return rows.label_count(); }
  [[nodiscard]] const std::vector<index_t>& lengths() const { return rows.labels; }

  /// Takes groups of @p other that @p keep says.
  void take(const rollout& other, std::span<const std::uint8_t> keep) {
    for (std::size_t g = 0; g < other.problems.size(); ++g) {
      if (keep[g] == 0) continue;
      problems.push_back(other.problems[g]);
      for (auto b = static_cast<std::size_t>(other.groups[g]); b < static_cast<std::size_t>(other.groups[g + 1]); ++b) {
        const auto begin = other.rows.offsets[b], end = other.rows.offsets[b + 1];
        rows.tokens.insert(rows.tokens.end(), other.rows.tokens.begin() + begin, other.rows.tokens.begin() + end);
        rows.targets.insert(rows.targets.end(), other.rows.targets.begin() + begin, other.rows.targets.begin() + end);
        rows.offsets.push_back(static_cast<index_t>(rows.tokens.size()));
        rows.labels.push_back(other.rows.labels[b]);
        rewards.push_back(other.rewards[b]);
        solutions.push_back(other.solutions[b]);
      }
      groups.push_back(static_cast<index_t>(rewards.size()));
    }
  }
};

struct drawing {
  index_t group = 1;
  double temperature = 1;  ///< 0: the likeliest token
  std::uint64_t seed = 0;
  std::uint64_t first = 0;  ///< number of the first response, for its random draws
};

/// @p how.group responses to each of @p problems from the policy that @p generate holds.
inline rollout draw_responses(const task& t, const transformer::generator<float>& generate,
                              std::vector<problem> problems, index_t max_seq, const drawing& how, thread_pool& pool) {
  std::vector<std::int32_t> prompts;
  std::vector<index_t> offsets = {0};
  for (const problem& p : problems)
    for (index_t i = 0; i < how.group; ++i) {
      prompts.insert(prompts.end(), p.prompt.begin(), p.prompt.end());
      offsets.push_back(static_cast<index_t>(prompts.size()));
    }
  const std::int32_t stop[] = {t.stop()};
  const auto said = generate({prompts, offsets},
                             {.max_tokens = (std::min)(t.longest_response(), max_seq),
                              .stop = stop,
                              .sampling = {.temperature = how.temperature, .seed = how.seed},
                              .first_sequence = static_cast<std::uint32_t>(how.first)},
                             pool);
  rollout r;
  r.rewards.resize(said.size());
  r.solutions.resize(said.size());
  pool.parallel_for(static_cast<index_t>(said.size()), index_t{8}, [&](index_t begin, index_t end) {
    for (auto b = static_cast<std::size_t>(begin); b < static_cast<std::size_t>(end); ++b) {
      const problem& p = problems[b / static_cast<std::size_t>(how.group)];
      // What did not come to its end is no answer.
      const verdict v = said[b].stopped ? t.check(p, said[b].tokens) : verdict{};
      r.rewards[b] = v.reward;
      r.solutions[b] = v.solution;
    }
  });
  for (std::size_t b = 0; b < said.size(); ++b) {
    std::vector<std::int32_t> response = said[b].tokens;
    if (said[b].stopped) response.push_back(t.stop());
    r.rows.add(problems[b / static_cast<std::size_t>(how.group)].prompt, response);
    if ((b + 1) % static_cast<std::size_t>(how.group) == 0) r.groups.push_back(static_cast<index_t>(b) + 1);
  }
  r.problems = std::move(problems);
  return r;
}

/// Problems [first, first + count) of a stream.
inline std::vector<problem> draw_problems(const task& t, std::uint64_t seed, std::uint64_t first, index_t count) {
  std::vector<problem> result;
  for (index_t i = 0; i < count; ++i) result.push_back(t.draw(seed, first + static_cast<std::uint64_t>(i)));
  return result;
}

}  // namespace reason
