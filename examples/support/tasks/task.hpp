// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A task with a reward that can be verified: problems, supervised answers to start from, and a checker that accepts
/// every solution and nothing else. `make_task` is in make_task.hpp.
#pragma once
#include <array>
#include <span>
#include <string>
#include <vector>

#include "hone/core/random.hpp"
#include "support/program.hpp"

namespace tasks {

using hone::index_t;

/// How likely each of eight strategies is the right one, where a prompt does not say which (bandit, tree).
inline constexpr std::array<double, 8> strategy_prior = {0.30, 0.20, 0.15, 0.10, 0.09, 0.07, 0.05, 0.04};

struct problem {
  std::vector<std::int32_t> prompt;
  std::vector<std::int64_t> hidden;  ///< what only the checker knows
};

struct verdict {
  double reward = 0;           ///< 0 or 1
  std::uint64_t solution = 0;  ///< name of the solution found: the same for the same solution; 0: none
};

/// What tasks can be told; what is empty or negative is the task's own choice.
struct task_options {
  /// Drawn from, with equal chances, for each problem. chain: operations (8); tree: actions, 2 to 6 (4); countdown:
  /// numbers, 2 to 4 (3, 4).
  std::vector<index_t> horizons = {};
  /// Noise of the traces. chain: chance of a wrong residue, a step (0.05); tree: chance of a stray action, a step
  /// (0.05); countdown: chance of a wrong expression (0.6).
  double error = -1;
  double aliasing = 0.5;             ///< tree: share of the problems whose prompt does not say which paths are valid
  std::vector<index_t> moduli = {};  ///< chain: drawn from, with equal chances, for each problem (7)
};

/// Const, without state, and safe from many threads: every problem and trace is a function of its arguments alone.
class task {
 public:
  task() = default;
  task(const task&) = delete;
  task& operator=(const task&) = delete;
  virtual ~task() = default;

  /// The words, of which ids are numbers; the last one is `stop`, unless a task says otherwise.
  [[nodiscard]] virtual const std::vector<std::string>& words() const = 0;
  [[nodiscard]] index_t vocab() const { return std::ssize(words()); }
  [[nodiscard]] virtual std::int32_t stop() const { return static_cast<std::int32_t>(words().size()) - 1; }
  /// In tokens, the stop token included. No solution is longer, so that a response cut at this length never is one.
  [[nodiscard]] virtual index_t longest_prompt() const = 0;
  [[nodiscard]] virtual index_t longest_response() const = 0;

  /// Problem @p number of the stream @p seed.
  [[nodiscard]] virtual problem draw(std::uint64_t seed, std::uint64_t number) const = 0;
  /// Supervised response @p number of the stream @p seed, with the noise of the options, and the stop token.
  [[nodiscard]] virtual std::vector<std::int32_t> trace(const problem& p, std::uint64_t seed,
                                                        std::uint64_t number) const = 0;
  /// Of any response, without its stop token.
  [[nodiscard]] virtual verdict check(const problem& p, std::span<const std::int32_t> response) const = 0;
  /// How many solutions there are, as `verdict` tells them apart.
  [[nodiscard]] virtual double solutions(const problem& p) const = 0;

  /// The words of @p tokens, a space between them; "?" for what is none.
  [[nodiscard]] std::string text(std::span<const std::int32_t> tokens) const {
    std::string result;
    for (const std::int32_t token : tokens) {
      if (!result.empty()) result += ' ';
      result += token >= 0 && token < vocab() ? words()[static_cast<std::size_t>(token)] : "?";
    }
    return result;
  }
};

/// "+", 3: "+3".
inline std::string numbered(const char* word, index_t number) {
  return std::string(word).append(std::to_string(number));
}

/// The number in whose share of the line of @p weights the point @p at is; the last one if rounding leaves none.
inline std::size_t pick(std::span<const double> weights, double at) {
  std::size_t i = 0;
  while (i + 1 < weights.size() && at >= weights[i]) at -= weights[i++];
  return i;
}

/// One random number after the other, of item @p number.
class draws {
 public:
  draws(std::uint64_t seed, std::uint32_t stream, std::uint64_t number) : random_{seed, stream}, number_(number) {}

  double uniform() { return random_.uniform(number_, next_++); }
  /// In [0, n).
  index_t below(index_t n) { return static_cast<index_t>(uniform() * static_cast<double>(n)); }
  /// Whether something of chance @p p happens.
  bool happens(double p) { return uniform() < p; }
  template <class T>
  const T& one_of(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(below(std::ssize(list)))];
  }
  /// A number by its weight.
  std::size_t weighted(std::span<const double> weights) {
    double sum = 0;
    for (const double w : weights) sum += w;
    return pick(weights, uniform() * sum);
  }

 private:
  hone::philox random_;
  std::uint64_t number_;
  std::uint32_t next_ = 0;
};

/// What @p option gives, or @p own if that is empty. @throws std::runtime_error if one is not in [least, most].
inline std::vector<index_t> choices(const std::vector<index_t>& given, std::vector<index_t> own, index_t least,
                                    index_t most, const char* option) {
  for (const index_t x : given)
    program::require(x >= least && x <= most, "%s: must be in [%td, %td], one is %td", option, least, most, x);
  return given.empty() ? own : given;
}

/// What --error gives, or @p own if that is negative. @throws std::runtime_error if it is above 1 or NaN.
inline double error_rate(double given, double own) {
  program::require(given <= 1, "--error: must be at most 1, is %g", given);
  return given < 0 ? own : given;
}

}  // namespace tasks
