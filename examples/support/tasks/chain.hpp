// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A chain of residues: the prompt is a modulus m, a number and n operations, each a word ("+3", "*5"), the solution
/// the n residues after one another. Only all of them right is a success, and the reward comes at the end, so that a
/// step's error e makes P(success) = (1 - e)^n: a horizon in one number.
#pragma once
#include <algorithm>
#include <cmath>

#include "support/tasks/task.hpp"

namespace tasks {

class chain final : public task {
 public:
  /// @throws std::runtime_error unless horizons are in [1, 256], moduli in [2, 16] and the error in [0, 1].
  explicit chain(const task_options& o = {})
      : horizons_(choices(o.horizons, {8}, 1, 256, "--horizon")), moduli_(choices(o.moduli, {7}, 2, 16, "--moduli")),
        error_(error_rate(o.error, 0.05)), most_(*std::max_element(moduli_.begin(), moduli_.end())) {
    for (index_t r = 0; r < most_; ++r) words_.push_back(std::to_string(r));
    for (index_t r = 1; r < most_; ++r) words_.push_back(numbered("+", r));
    for (index_t r = 2; r < most_; ++r) words_.push_back(numbered("*", r));
    for (const index_t m : moduli_) words_.push_back(numbered("mod", m));
    words_.emplace_back("=");
    words_.emplace_back("stop");
  }

  [[nodiscard]] const std::vector<std::string>& words() const override { return words_; }
  [[nodiscard]] index_t longest_prompt() const override { return longest() + 3; }
  [[nodiscard]] index_t longest_response() const override { return longest() + 1; }

  /// The prompt: modulus, number, operations, "=". Hidden: m, and the residues.
  [[nodiscard]] problem draw(std::uint64_t seed, std::uint64_t number) const override {
    draws random(seed, 0x636800, number);
    const index_t n = random.one_of(horizons_);
    const auto at = static_cast<std::size_t>(random.below(std::ssize(moduli_)));
    const index_t m = moduli_[at];
    index_t residue = random.below(m);
    problem p{{id(3 * most_ - 3 + static_cast<index_t>(at)), id(residue)}, {m}};
    for (index_t i = 0; i < n; ++i) {
      const index_t operation = random.below(2 * m - 3);  // m - 1 sums, m - 2 products
      const bool sums = operation < m - 1;
      const index_t by = sums ? operation + 1 : operation - m + 3;
      residue = sums ? (residue + by) % m : residue * by % m;
      p.prompt.push_back(id(sums ? most_ + by - 1 : 2 * most_ - 1 + by - 2));
      p.hidden.push_back(residue);
    }
    p.prompt.push_back(stop() - 1);
    return p;
  }

  /// A wrong residue is any other of the modulus; the chain goes on from it.
  [[nodiscard]] std::vector<std::int32_t> trace(const problem& p, std::uint64_t seed,
                                                std::uint64_t number) const override {
    draws random(seed, 0x636801, number);
    const index_t m = p.hidden[0];
    index_t residue = p.prompt[1];
    std::vector<std::int32_t> response;
    for (std::size_t i = 2; i + 1 < p.prompt.size(); ++i) {
      const index_t operation = p.prompt[i] - most_;
      residue = operation < most_ - 1 ? (residue + operation + 1) % m : residue * (operation - most_ + 3) % m;
      if (random.happens(error_)) residue = (residue + 1 + random.below(m - 1)) % m;
      response.push_back(id(residue));
    }
    response.push_back(stop());
    return response;
  }

  [[nodiscard]] verdict check(const problem& p, std::span<const std::int32_t> response) const override {
    const bool right = std::equal(response.begin(), response.end(), p.hidden.begin() + 1, p.hidden.end());
    return right ? verdict{1, 1} : verdict{};
  }
  [[nodiscard]] double solutions(const problem&) const override { return 1; }

 private:
  static std::int32_t id(index_t word) { return static_cast<std::int32_t>(word); }
  [[nodiscard]] index_t longest() const { return *std::max_element(horizons_.begin(), horizons_.end()); }

  std::vector<index_t> horizons_, moduli_;
  double error_;
  index_t most_;
  std::vector<std::string> words_;
};

}  // namespace tasks
