// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Countdown with several solutions: a few numbers from 1 to 9 and a target from 1 to 99, each number to be used once,
/// with +, -, * and parentheses. Solutions that differ by order or grouping alone are one (expression.hpp), so that the
/// coverage of the solution set is exact. Every expression over every choice of numbers is worked out once, when the
/// task is made.
#pragma once
#include <cmath>

#include "support/tasks/expression.hpp"
#include "support/tasks/task.hpp"

namespace tasks {

class countdown final : public task {
 public:
  /// @throws std::runtime_error unless horizons are in [2, 4] and the error in [0, 1].
  explicit countdown(const task_options& o = {})
      : horizons_(choices(o.horizons, {3, 4}, 2, 4, "--horizon")), error_(error_rate(o.error, 0.6)) {
    for (int digit = 0; digit < 10; ++digit) words_.push_back(std::to_string(digit));
    for (const char* word : {"+", "-", "*", "(", ")", "to", "=", "stop"}) words_.emplace_back(word);
    std::vector<std::int64_t> numbers;
    prepare(numbers, *std::max_element(horizons_.begin(), horizons_.end()));
  }

  [[nodiscard]] const std::vector<std::string>& words() const override { return words_; }
  [[nodiscard]] index_t longest_prompt() const override {
    return *std::max_element(horizons_.begin(), horizons_.end()) + 4;
  }
  /// Four numbers need 11 tokens; the others are for parentheses that change nothing.
  [[nodiscard]] index_t longest_response() const override { return 20; }

  /// A target that several expressions have; of two numbers, any. The prompt: numbers, "to", target, "=".
  /// Hidden, though the prompt has them too: target, numbers.
  [[nodiscard]] problem draw(std::uint64_t seed, std::uint64_t number) const override {
    draws random(seed, 0x636400, number);
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(random.one_of(horizons_)));
    std::vector<std::int64_t> targets;
    while (targets.empty()) {
      for (auto& x : numbers) x = 1 + random.below(9);
      std::map<std::int64_t, int> ways;
      for (const worked_out& e : expressions(numbers))
        if (e.value >= 1 && e.value <= 99) ++ways[e.value];
      for (const auto& [value, n] : ways)
        if (n > 1 || numbers.size() == 2) targets.push_back(value);
    }
    const std::int64_t target = random.one_of(targets);
    problem p{{}, {target}};
    for (const std::int64_t x : numbers) {
      p.prompt.push_back(static_cast<std::int32_t>(x));
      p.hidden.push_back(x);
    }
    p.prompt.push_back(expression::close + 1);
    if (target > 9) p.prompt.push_back(static_cast<std::int32_t>(target / 10));
    p.prompt.push_back(static_cast<std::int32_t>(target % 10));
    p.prompt.push_back(expression::close + 2);
    return p;
  }

  /// One of the solutions or, with the chance of an error, an expression that misses the target, the likelier the
  /// closer it comes.
  [[nodiscard]] std::vector<std::int32_t> trace(const problem& p, std::uint64_t seed,
                                                std::uint64_t number) const override {
    draws random(seed, 0x636401, number);
    const bool errs = random.happens(error_);
    std::vector<const worked_out*> list;
    std::vector<double> weights;
    for (const worked_out& e : expressions(std::span(p.hidden).subspan(1))) {
      if ((e.value != p.hidden[0]) != errs) continue;
      list.push_back(&e);
      weights.push_back(std::exp(-static_cast<double>(std::abs(e.value - p.hidden[0])) / temperature));
    }
    const std::string& text = list[random.weighted(weights)]->text;
    std::vector<std::int32_t> response(text.begin(), text.end());
    response.push_back(stop());
    return response;
  }

  [[nodiscard]] verdict check(const problem& p, std::span<const std::int32_t> response) const override {
    if (std::ssize(response) >= longest_response()) return {};
    std::vector<std::int64_t> used;
    const auto read = expression_reader(response).read(used);
    const bool right = read && read->value() == p.hidden[0] &&
                       std::is_permutation(used.begin(), used.end(), p.hidden.begin() + 1, p.hidden.end());
    return right ? verdict{1, read->name()} : verdict{};
  }

  [[nodiscard]] double solutions(const problem& p) const override {
    double n = 0;
    for (const worked_out& e : expressions(std::span(p.hidden).subspan(1))) n += e.value == p.hidden[0];
    return n;
  }

 private:
  static constexpr double temperature = 8;  // of wrong traces, in units of the target

  /// An expression, its words a byte each: short enough to fit in the string itself.
  struct worked_out {
    std::int64_t value;
    std::string text;
  };

  /// Works out what can be made of @p numbers and up to @p more that are no smaller.
  void prepare(std::vector<std::int64_t>& numbers, index_t more) {
    if (numbers.size() > 1) {
      std::vector<worked_out>& list = expressions_[numbers];
      for (const auto& [name, e] : enumerate(numbers))
        list.push_back({e.value(), std::string(e.text().begin(), e.text().end())});
    }
    if (more == 0) return;
    for (std::int64_t x = numbers.empty() ? 1 : numbers.back(); x <= 9; ++x) {
      numbers.push_back(x);
      prepare(numbers, more - 1);
      numbers.pop_back();
    }
  }
  /// By name.
  [[nodiscard]] const std::vector<worked_out>& expressions(std::span<const std::int64_t> numbers) const {
    std::vector<std::int64_t> ascending(numbers.begin(), numbers.end());
    std::sort(ascending.begin(), ascending.end());
    return expressions_.at(ascending);
  }

  std::vector<index_t> horizons_;
  double error_;
  std::vector<std::string> words_;
  std::map<std::vector<std::int64_t>, std::vector<worked_out>> expressions_;  // of numbers in ascending order
};

}  // namespace tasks
