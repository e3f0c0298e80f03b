// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support/tasks/chain.hpp"

#include "examples/support.hpp"
#include "support/tasks/make_task.hpp"

namespace {

/// The residues, from the words of the prompt.
tokens solve(const tasks::task& task, const tasks::problem& p) {
  const auto word = [&](std::size_t i) { return task.words()[static_cast<std::size_t>(p.prompt[i])]; };
  const int modulus = std::stoi(word(0).substr(3));
  int residue = std::stoi(word(1));
  tokens result;
  for (std::size_t i = 2; i + 1 < p.prompt.size(); ++i) {
    const int by = std::stoi(word(i).substr(1));
    residue = (word(i)[0] == '+' ? residue + by : residue * by) % modulus;
    result.push_back(residue);
  }
  return result;
}

}  // namespace

TEST_CASE("chain: draws are functions of their arguments") {
  check_draws(tasks::chain(), 200);
  check_draws(tasks::chain({.horizons = {1, 4, 32}, .error = 1, .moduli = {2, 5, 16}}), 200);
}

TEST_CASE("chain: the words are a vocabulary") {
  const tasks::chain task({.moduli = {3, 5}});
  CHECK(task.text(tokens{0, 4, 5, 8, 9, 11, 12, 13, 14, 15, -1, 99}) == "0 4 +1 +4 *2 *4 mod3 mod5 = stop ? ?");
  CHECK(task.vocab() == 16);
}

TEST_CASE("chain: residues worked out from the words are the one solution") {
  const tasks::chain task({.horizons = {1, 4, 8}, .moduli = {2, 3, 7, 11}});
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto p = task.draw(5, i);
    const tokens solution = solve(task, p);
    check_rejections(task, p, solution);
    CHECK(task.solutions(p) == 1);
    for (std::size_t at = 0; at < solution.size(); ++at) {
      tokens other = solution;
      other[at] = (other[at] + 1) % 11;
      CHECK(task.check(p, other).reward == 0);
    }
  }
}

TEST_CASE("chain: every response of a short problem, tried") {
  const tasks::chain task({.horizons = {3}, .moduli = {3}});
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto p = task.draw(9, i);
    int right = 0;
    for (std::int32_t a = 0; a < task.vocab(); ++a)
      for (std::int32_t b = 0; b < task.vocab(); ++b)
        for (std::int32_t c = 0; c < task.vocab(); ++c) right += task.check(p, tokens{a, b, c}).reward > 0;
    CHECK(right == 1);
  }
}

TEST_CASE("chain: a trace without noise is right, one with noise as often as (1 - e)^n") {
  const tasks::chain clean({.horizons = {4, 8}, .error = 0});
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto p = clean.draw(1, i);
    CHECK(clean.check(p, body(clean.trace(p, 2, i))).reward == 1);
  }
  for (const index_t n : {4, 16}) {
    const tasks::chain noisy({.horizons = {n}, .error = 0.1});
    double right = 0;
    const std::uint64_t count = 4000;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto p = noisy.draw(1, i);
      right += noisy.check(p, body(noisy.trace(p, 2, i))).reward;
    }
    const double expected = std::pow(0.9, static_cast<double>(n));
    CHECK(right / count == Approx(expected).margin(4 * std::sqrt(expected * (1 - expected) / count)));
  }
  const tasks::chain wrong({.horizons = {1}, .error = 1, .moduli = {2, 5}});
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto p = wrong.draw(1, i);
    CHECK(wrong.check(p, body(wrong.trace(p, 2, i))).reward == 0);
  }
}

TEST_CASE("chain: every horizon and modulus is drawn") {
  const tasks::chain task({.horizons = {2, 3}, .moduli = {5, 7}});
  int counts[2][2] = {};
  for (std::uint64_t i = 0; i < 400; ++i) {
    const auto p = task.draw(1, i);
    ++counts[p.prompt.size() == 5][p.hidden[0] == 5];
  }
  for (const auto& row : counts)
    for (const int n : row) CHECK(n > 60);
}

TEST_CASE("chain: what makes no task is refused") {
  CHECK_THROWS_WITH(tasks::chain({.horizons = {4, 0}}), Catch::Contains("--horizon:") && Catch::Contains("one is 0"));
  CHECK_THROWS_WITH(tasks::chain({.moduli = {17}}), Catch::Contains("--moduli:") && Catch::Contains("one is 17"));
  CHECK_THROWS_WITH(tasks::chain({.error = 1.5}), Catch::Contains("--error:") && Catch::Contains("is 1.5"));
  CHECK_THROWS_WITH(tasks::make_task("chian"), Catch::Contains("\"chian\""));
}
