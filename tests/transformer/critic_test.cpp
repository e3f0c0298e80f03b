// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "reason/critic.hpp"

#include "reason/chain.hpp"
#include "support/catch.hpp"

using namespace reason;

namespace {

transformer::config small_policy(const task& t) {
  return {.d_model = 16,
          .d_ff = 40,
          .n_layers = 2,
          .n_heads = 4,
          .n_kv_heads = 2,
          .vocab = t.vocab(),
          .max_seq = 12,
          .tie_embeddings = false};
}

/// A response of one token to each of @p count problems, right where the first number is 0.
rollout guesses(const chain& t, index_t count) {
  rollout r;
  r.problems = draw_problems(t, 5, 0, count);
  for (const problem& p : r.problems) {
    r.rows.add(p.prompt, {0, t.stop()});
    r.rewards.push_back(p.prompt[1] == 0 ? 1 : 0);
    r.groups.push_back(std::ssize(r.rewards));
  }
  return r;
}

double brier(const std::vector<double>& logits, const rollout& r) { return policy::calibrate(logits, r.rewards).brier; }

}  // namespace

TEST_CASE("a smaller critic has a share of the policy's width, heads and layers, and is a model") {
  const chain t({.horizons = {2}});
  const transformer::config policy = small_policy(t);
  for (const double share : {1.0, 0.5, 0.25, 1e-3}) {
    const auto c = critic_shape(policy, share);
    CHECK_NOTHROW(transformer::validate(c));
    CHECK(c.output_width() == 1);
    CHECK(c.d_model == (std::max)(index_t{1}, static_cast<index_t>(std::lround(16 * share))));
    CHECK(c.n_layers >= 1);
    CHECK(c.vocab == policy.vocab);
    CHECK(c.max_seq == policy.max_seq);
    CHECK(c.head_size() == policy.head_size());
  }
}

TEST_CASE("a critic begins without an opinion: with the policy's body if it has its size") {
  const chain t({.horizons = {2}});
  const transformer::config policy = small_policy(t);
  const auto parameters = program::fresh_parameters(policy, 1);
  thread_pool pool(1);
  for (const double share : {1.0, 0.5}) {
    const auto shape = critic_shape(policy, share);
    critic c(true, shape, critic_start(shape, policy, parameters, 2));
    for (const double v : c.prompt_values(draw_problems(t, 3, 0, 5), pool)) CHECK(v == 0);
    const auto& own = c.net().parameters();
    CHECK(std::equal(own.begin(), own.begin() + shape.vocab * shape.d_model, parameters.begin()) == (share == 1));
  }
}

TEST_CASE("critics of prompts and of tokens learn who succeeds, the same for any number of threads") {
  const chain t({.horizons = {1}});
  const transformer::config policy = small_policy(t);
  const auto parameters = program::fresh_parameters(policy, 1);
  const auto shape = critic_shape(policy, 1);
  const rollout r = guesses(t, 96);
  for (const bool of_sequences : {true, false}) {
    std::vector<double> first;
    for (const index_t threads : {1, 3}) {
      thread_pool pool(threads);
      critic c(of_sequences, shape, critic_start(shape, policy, parameters, 2));
      std::vector<double> returns(r.rows.tokens.size());
      for (std::size_t b = 0; b < r.rewards.size(); ++b)
        std::fill(returns.begin() + r.rows.offsets[b], returns.begin() + r.rows.offsets[b + 1], r.rewards[b]);
      for (int step = 0; step < 60; ++step)
        if (of_sequences)
          c.learn_rewards(r, 2, {.rate = 1e-2}, pool);
        else
          c.learn_returns(r, c.values(r, pool), returns, 0.5, 2, {.rate = 1e-2}, pool);
      std::vector<double> logits = c.prompt_values(r.problems, pool);
      if (!of_sequences)
        for (double& v : logits) v = logit_of_value(v);
      CHECK(brier(logits, r) < 0.02);
      if (first.empty()) first = logits;
      CHECK(logits == first);
    }
  }
}

TEST_CASE("parts of a batch are all of it, about equal, and may be empty") {
  for (const std::size_t groups : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{16}})
    for (const long parts : {1L, 2L, 5L}) {
      index_t next = 0;
      for (long i = 0; i < parts; ++i) {
        const auto [first, last] = part_of(groups, i, parts);
        CHECK(first == next);
        CHECK(last - first <= static_cast<index_t>(groups) / parts + 1);
        next = last;
      }
      CHECK(next == static_cast<index_t>(groups));
    }
}
