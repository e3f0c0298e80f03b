// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Several tasks as one, of one vocabulary: what the models are taught, and the sets that routers are trained on and
/// judged by.
#pragma once
#include <map>
#include <memory>

#include "support/tasks/make_task.hpp"

namespace route {

using hone::index_t;
using tasks::problem;

/// A task as it is set for some prompts. Routers are trained on the ones in domain; the models are taught all.
struct domain {
  const char* name;
  const char* task;
  bool in_domain;
  std::vector<index_t> horizons, moduli = {};
};

/// The table of RouterXBench in small: three domains, and three shifts.
inline const std::vector<domain>& domains() {
  static const std::vector<domain> all = {{"chain", "chain", true, {3, 4, 5}, {5}},
                                          {"countdown", "countdown", true, {3}},
                                          {"tree", "tree", true, {2, 3}},
                                          {"chain mod 7", "chain", false, {3, 4, 5}, {7}},
                                          {"countdown of 4", "countdown", false, {4}},
                                          {"tree, longer", "tree", false, {4}}};
  return all;
}

class mixture final : public tasks::task {
 public:
  mixture() {
    std::map<std::string, std::int32_t> numbers;
    for (const domain& d : domains()) {
      own_.push_back(tasks::make_task(d.task, {.horizons = d.horizons, .error = 0, .moduli = d.moduli}));
      for (const std::string& word : own_.back()->words())
        if (word != stop_word && numbers.emplace(word, static_cast<std::int32_t>(words_.size())).second)
          words_.push_back(word);
    }
    numbers.emplace(stop_word, static_cast<std::int32_t>(words_.size()));
    words_.emplace_back(stop_word);
    for (const auto& t : own_) {
      std::vector<std::int32_t>& ids = joint_.emplace_back();
      for (const std::string& word : t->words()) ids.push_back(numbers.at(word));
    }
  }

  [[nodiscard]] const std::vector<std::string>& words() const override { return words_; }
  [[nodiscard]] index_t longest_prompt() const override {
    return longest([](const task& t) { return t.longest_prompt(); });
  }
  [[nodiscard]] index_t longest_response() const override {
    return longest([](const task& t) { return t.longest_response(); });
  }

  /// Of a domain that is drawn.
  [[nodiscard]] problem draw(std::uint64_t seed, std::uint64_t number) const override {
    return draw_of(static_cast<std::size_t>(tasks::draws(seed, 0x6d6978, number).below(std::ssize(own_))), seed,
                   number);
  }
  /// Problem @p number of domain @p d. Hidden: the domain, and what the task itself hides.
  [[nodiscard]] problem draw_of(std::size_t d, std::uint64_t seed, std::uint64_t number) const {
    problem p = own_[d]->draw(seed, number);
    p.prompt = to_joint(d, p.prompt);
    p.hidden.insert(p.hidden.begin(), static_cast<std::int64_t>(d));
    return p;
  }
  [[nodiscard]] std::vector<std::int32_t> trace(const problem& p, std::uint64_t seed,
                                                std::uint64_t number) const override {
    const auto [d, own] = own_problem(p);
    return to_joint(d, own_[d]->trace(own, seed, number));
  }
  [[nodiscard]] tasks::verdict check(const problem& p, std::span<const std::int32_t> response) const override {
    const auto [d, own] = own_problem(p);
    return own_[d]->check(own, to_own(d, response));
  }
  [[nodiscard]] double solutions(const problem& p) const override {
    const auto [d, own] = own_problem(p);
    return own_[d]->solutions(own);
  }

 private:
  static constexpr const char* stop_word = "stop";

  template <class F>
  [[nodiscard]] index_t longest(F&& of) const {
    index_t most = 0;
    for (const auto& t : own_) most = (std::max)(most, of(*t));
    return most;
  }
  [[nodiscard]] std::vector<std::int32_t> to_joint(std::size_t d, std::vector<std::int32_t> ids) const {
    for (std::int32_t& id : ids) id = joint_[d][static_cast<std::size_t>(id)];
    return ids;
  }
  /// -1 for a word that is not the task's.
  [[nodiscard]] std::vector<std::int32_t> to_own(std::size_t d, std::span<const std::int32_t> ids) const {
    std::vector<std::int32_t> result;
    for (const std::int32_t id : ids) {
      const auto at = std::find(joint_[d].begin(), joint_[d].end(), id);
      result.push_back(at == joint_[d].end() ? -1 : static_cast<std::int32_t>(at - joint_[d].begin()));
    }
    return result;
  }
  [[nodiscard]] std::pair<std::size_t, problem> own_problem(const problem& p) const {
    const auto d = static_cast<std::size_t>(p.hidden[0]);
    return {d, {to_own(d, p.prompt), {p.hidden.begin() + 1, p.hidden.end()}}};
  }

  std::vector<std::unique_ptr<task>> own_;
  std::vector<std::vector<std::int32_t>> joint_;  ///< of each domain's words the numbers here
  std::vector<std::string> words_;
};

}  // namespace route
