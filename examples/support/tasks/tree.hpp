// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Walks in a tree of actions. A fixed map leads from each of 8 states by each of 8 actions to another state, so that
/// two actions lead from anywhere to anywhere, the first one free. The prompt names the start, a waypoint for every
/// second step, the goal, and the strategy, which is the first action; for a share of the prompts, the aliased ones, it
/// has "?" there: then any of the eight may be the right one, by `strategy_prior`, and only the checker knows. Beside
/// that are a context, with which the actions of the traces correlate although it says nothing of what is right, and
/// distractors. The solution names every action and the state that it leads to.
/// [after RL-Wall, arXiv 2505.22756 (20 states, 20 actions, up to 10 steps; contexts with Dirichlet 0.3); the aliasing
/// and the free actions are ours]
#pragma once
#include <algorithm>
#include <cmath>

#include "hone/core/shuffler.hpp"
#include "support/tasks/task.hpp"

namespace tasks {

class tree final : public task {
 public:
  static constexpr index_t states = 8, actions = 8, contexts = 4, distractors = 10;
  static constexpr index_t shortest = 2, longest = 6;
  static constexpr index_t noise = 4;  ///< distractors of a prompt

  /// @throws std::runtime_error unless horizons are in [2, 6], aliasing and error in [0, 1].
  explicit tree(const task_options& o = {})
      : horizons_(choices(o.horizons, {4}, shortest, longest, "--horizon")), error_(error_rate(o.error, 0.05)),
        aliasing_(o.aliasing) {
    program::require(aliasing_ >= 0 && aliasing_ <= 1, "--aliasing: must be in [0, 1], is %g", aliasing_);
    const hone::philox of_context{world, 0x747201};
    for (std::size_t s = 0; s < states; ++s) {
      draws random(world, 0x747200, s);
      auto& leads = map_[s];
      for (std::size_t a = 0; a < actions; ++a) leads[a] = static_cast<index_t>(a);
      hone::shuffle(leads, [&](std::size_t) { return random.uniform(); });
    }
    for (std::size_t c = 0; c < contexts; ++c) {
      double sum = 0;
      for (std::size_t a = 0; a < actions; ++a) sum += habits_[c][a] = of_context.gamma(0.3, c * actions + a);
      for (double& share : habits_[c]) share /= sum;
    }
    const auto add = [&](const char* letter, index_t first, index_t count) {
      for (index_t i = 0; i < count; ++i) words_.push_back(numbered(letter, first + i));
    };
    add("s", 0, states);
    add("a", 0, actions);
    add("c", 0, contexts);
    add("d", 0, distractors);
    add("in", shortest, longest - shortest + 1);
    for (const char* word : {"?", "via", "to", "=", "stop"}) words_.emplace_back(word);
  }

  [[nodiscard]] const std::vector<std::string>& words() const override { return words_; }
  [[nodiscard]] index_t longest_prompt() const override { return 5 + noise + 2 * segments(longest_horizon()); }
  [[nodiscard]] index_t longest_response() const override { return 2 * longest_horizon() + 1; }

  /// The prompt: strategy or "?", context, distractors, number of steps, start, waypoints, goal, "=". Hidden: strategy,
  /// number of steps, start, waypoints, goal.
  [[nodiscard]] problem draw(std::uint64_t seed, std::uint64_t number) const override {
    draws random(seed, 0x747202, number);
    const index_t n = random.one_of(horizons_);
    const auto strategy = static_cast<index_t>(random.weighted(strategy_prior));
    problem p{{random.happens(aliasing_) ? unknown : action_id(strategy)}, {strategy, n}};
    p.prompt.push_back(id(states + actions + random.below(contexts)));
    for (index_t i = 0; i < noise; ++i) p.prompt.push_back(id(states + actions + contexts + random.below(distractors)));
    p.prompt.push_back(id(states + actions + contexts + distractors + n - shortest));
    for (index_t i = 0; i <= segments(n); ++i) {
      const index_t state = random.below(states);
      if (i > 0) p.prompt.push_back(i < segments(n) ? via : to);
      p.prompt.push_back(id(state));
      p.hidden.push_back(state);
    }
    p.prompt.push_back(to + 1);
    return p;
  }

  /// The first action is the strategy that the prompt names; where it names none, one of the prior or, as often, of the
  /// context's habits, which also choose where the walk is free. A stray action is any, and the walk goes on from where
  /// it leads.
  [[nodiscard]] std::vector<std::int32_t> trace(const problem& p, std::uint64_t seed,
                                                std::uint64_t number) const override {
    draws random(seed, 0x747203, number);
    const auto& habits = habits_of(p);
    const index_t n = p.hidden[1];
    index_t state = p.hidden[2];
    std::vector<std::int32_t> response;
    for (index_t step = 1; step <= n; ++step) {
      index_t action;
      if (step == 1)
        action = !aliased(p) ? p.hidden[0]
                             : static_cast<index_t>(random.happens(0.5) ? random.weighted(strategy_prior)
                                                                        : random.weighted(habits));
      else if (arrives(step, n))
        action = std::find(map_of(state).begin(), map_of(state).end(), target(p, step)) - map_of(state).begin();
      else
        action = static_cast<index_t>(random.weighted(habits));
      if (random.happens(error_)) action = random.below(actions);
      state = map_of(state)[static_cast<std::size_t>(action)];
      response.push_back(action_id(action));
      response.push_back(id(state));
    }
    response.push_back(stop());
    return response;
  }

  [[nodiscard]] verdict check(const problem& p, std::span<const std::int32_t> response) const override {
    const index_t n = p.hidden[1];
    if (std::ssize(response) != 2 * n) return {};
    index_t state = p.hidden[2];
    std::uint64_t path = 0;
    for (index_t step = 1; step <= n; ++step) {
      const index_t action = index_t{response[static_cast<std::size_t>(2 * step - 2)]} - states;
      if (action < 0 || action >= actions || (step == 1 && action != p.hidden[0])) return {};
      state = map_of(state)[static_cast<std::size_t>(action)];
      if (response[static_cast<std::size_t>(2 * step - 1)] != state) return {};
      if (arrives(step, n) && state != target(p, step)) return {};
      path = path * actions + static_cast<std::uint64_t>(action);
    }
    return {1, path + 1};
  }

  [[nodiscard]] double solutions(const problem& p) const override {
    return std::pow(actions, static_cast<double>(p.hidden[1] / 2 - 1));
  }
  /// Whether the prompt hides the strategy.
  [[nodiscard]] static bool aliased(const problem& p) { return p.prompt[0] == unknown; }

 private:
  static constexpr std::uint64_t world = 1;  // seed of the map and of the misleading contexts
  static constexpr std::int32_t unknown = states + actions + contexts + distractors + longest - shortest + 1;
  static constexpr std::int32_t via = unknown + 1, to = unknown + 2;

  static std::int32_t id(index_t word) { return static_cast<std::int32_t>(word); }
  static std::int32_t action_id(index_t action) { return id(states + action); }
  /// A waypoint ends every second step, the goal the last one.
  static index_t segments(index_t n) { return (n + 1) / 2; }
  static bool arrives(index_t step, index_t n) { return step % 2 == 0 || step == n; }
  static index_t target(const problem& p, index_t step) {
    return p.hidden[static_cast<std::size_t>(2 + (step + 1) / 2)];
  }
  [[nodiscard]] index_t longest_horizon() const { return *std::max_element(horizons_.begin(), horizons_.end()); }
  [[nodiscard]] const std::array<index_t, actions>& map_of(index_t state) const {
    return map_[static_cast<std::size_t>(state)];
  }
  [[nodiscard]] const std::array<double, actions>& habits_of(const problem& p) const {
    return habits_[static_cast<std::size_t>(p.prompt[1] - states - actions)];
  }

  std::vector<index_t> horizons_;
  double error_, aliasing_;
  std::array<std::array<index_t, actions>, states> map_{};
  std::array<std::array<double, actions>, contexts> habits_{};  // shares of the actions in traces
  std::vector<std::string> words_;
};

}  // namespace tasks
