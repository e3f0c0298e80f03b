// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/critic.hpp"

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"
#include "support/gradient_error.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

constexpr config policy_shape{.d_model = 16,
                              .d_ff = 40,
                              .n_layers = 2,
                              .n_heads = 4,
                              .n_kv_heads = 2,
                              .vocab = 20,
                              .max_seq = 12,
                              .tie_embeddings = false};

/// A response of one token and the stop token to each of @p count prompts, right where the prompt's second token is 0.
responses guesses(index_t count) {
  responses r;
  for (index_t i = 0; i < count; ++i) {
    const auto number = static_cast<std::int32_t>((i * 5 + i / 7) % 7);
    r.rows.add(std::vector<std::int32_t>{15, number, static_cast<std::int32_t>(8 + i % 6), 18}, std::vector{0, 19});
    r.rewards.push_back(number == 0 ? 1 : 0);
    r.groups.push_back(i + 1);
  }
  return r;
}

double clipped_logit(double value) {
  const double v = std::clamp(value, 1e-6, 1 - 1e-6);
  return std::log(v / (1 - v));
}

double brier(const std::vector<double>& logits, const responses& r) {
  double sum = 0;
  for (std::size_t b = 0; b < logits.size(); ++b) sum += std::pow(1 / (1 + std::exp(-logits[b])) - r.rewards[b], 2);
  return sum / static_cast<double>(logits.size());
}

}  // namespace

TEST_CASE("a smaller critic has a share of the policy's width, heads and layers, and is a model") {
  for (const double share : {1.0, 0.5, 0.25, 1e-3}) {
    const auto c = critic_shape(policy_shape, share);
    CHECK_NOTHROW(validate(c));
    CHECK(c.output_width() == 1);
    CHECK(c.d_model == (std::max)(index_t{1}, static_cast<index_t>(std::lround(16 * share))));
    CHECK(c.n_layers >= 1);
    CHECK(c.vocab == policy_shape.vocab);
    CHECK(c.max_seq == policy_shape.max_seq);
    CHECK(c.head_size() == policy_shape.head_size());
  }
}

TEST_CASE("a critic begins without an opinion: with the policy's body if it has its size") {
  const auto parameters = initial_parameters<float>(policy_shape, 1);
  thread_pool pool(1);
  for (const double share : {1.0, 0.5}) {
    const auto shape = critic_shape(policy_shape, share);
    critic<float> c(true, shape, initial_critic(shape, policy_shape, parameters, 2));
    for (const double v : c.prompt_values(guesses(5).prompts(), pool)) CHECK(v == 0);
    const auto& own = c.net().parameters();
    CHECK(std::equal(own.begin(), own.begin() + shape.vocab * shape.d_model, parameters.begin()) == (share == 1));
  }
}

TEST_CASE("a critic takes nothing over from a policy of another shape") {
  const auto parameters = initial_parameters<float>(policy_shape, 1);
  const auto begins_fresh = [&](const config& shape) {
    auto fresh = initial_parameters<float>(shape, 2);
    std::fill(fresh.end() - shape.d_model, fresh.end(), 0.0f);
    return initial_critic(shape, policy_shape, parameters, 2) == fresh;
  };
  const auto near = critic_shape(policy_shape, 0.98);  // only the feed-forward width is another
  REQUIRE(near.d_model == policy_shape.d_model);
  REQUIRE(near.d_ff == policy_shape.d_ff - 1);
  CHECK(begins_fresh(near));
  auto larger = critic_shape(policy_shape, 1);
  larger.d_ff = 80;
  CHECK(begins_fresh(larger));
  larger = critic_shape(policy_shape, 1);
  larger.vocab = 30;
  CHECK(begins_fresh(larger));
  larger = critic_shape(policy_shape, 1);
  larger.n_layers = 3;
  CHECK(begins_fresh(larger));
  auto tied = policy_shape;
  tied.tie_embeddings = true;
  const auto of_tied = initial_parameters<float>(tied, 1);
  const auto shape = critic_shape(tied, 1);
  const auto critic = initial_critic(shape, tied, of_tied, 2);
  CHECK(std::equal(of_tied.begin(), of_tied.end(), critic.begin()));
}

TEST_CASE("a critic's share and the policy's parameters are checked") {
  for (const double share : {0.0, -1.0, 1.5, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_WITH(critic_shape(policy_shape, share), Catch::Contains("share"));
  const auto shape = critic_shape(policy_shape, 1);
  CHECK_THROWS_WITH(initial_critic(shape, policy_shape, std::vector<float>(7), 2), Catch::Contains("has 7 elements"));
}

TEST_CASE("critics of prompts and of tokens learn who succeeds, the same for any number of threads") {
  const auto parameters = initial_parameters<float>(policy_shape, 1);
  const auto shape = critic_shape(policy_shape, 1);
  const responses r = guesses(96);
  for (const bool of_prompts : {true, false}) {
    std::vector<double> first;
    for (const index_t threads : {1, 3}) {
      thread_pool pool(threads);
      critic<float> c(of_prompts, shape, initial_critic(shape, policy_shape, parameters, 2));
      std::vector<double> returns(r.rows.tokens.size());
      for (std::size_t b = 0; b < r.rewards.size(); ++b)
        std::fill(returns.begin() + r.rows.offsets[b], returns.begin() + r.rows.offsets[b + 1], r.rewards[b]);
      for (int step = 0; step < 60; ++step)
        if (of_prompts)
          c.learn_rewards(r, 2, {.rate = 1e-2, .clip = 1}, pool);
        else
          c.learn_returns(r, c.values(r, pool), returns, 0.5, 2, {.rate = 1e-2, .clip = 1}, pool);
      std::vector<double> logits = c.prompt_values(r.prompts(), pool);
      if (!of_prompts)
        for (double& v : logits) v = clipped_logit(v);
      CHECK(brier(logits, r) < 0.02);
      if (first.empty()) first = logits;
      CHECK(logits == first);
    }
  }
}

TEST_CASE("a critic of prompts learns the mean reward of each group, however many responses that has") {
  responses all, means;
  const double rewards[][4] = {{1}, {0, 1, 1, 0}, {1, 0, 0}, {0}, {1, 1}};
  const std::size_t counts[] = {1, 4, 3, 1, 2};
  for (std::size_t g = 0; g < 5; ++g) {
    const std::vector<std::int32_t> prompt = {15, static_cast<std::int32_t>(g), 18};
    double sum = 0;
    for (std::size_t b = 0; b < counts[g]; ++b) {
      all.rows.add(prompt, std::vector{static_cast<std::int32_t>(b), 19});
      all.rewards.push_back(rewards[g][b]);
      sum += rewards[g][b];
    }
    all.groups.push_back(all.rows.sequences());
    means.rows.add(prompt, std::vector{0, 19});
    means.rewards.push_back(sum / static_cast<double>(counts[g]));
    means.groups.push_back(means.rows.sequences());
  }
  const auto shape = critic_shape(policy_shape, 1);
  critic<float> one(true, shape, initial_parameters<float>(shape, 3)), other(true, shape, one.net().parameters());
  one.learn_rewards(all, 2, {.rate = 1e-2});
  other.learn_rewards(means, 2, {.rate = 1e-2});
  CHECK(one.net().parameters() == other.net().parameters());
  const auto values = one.values(all), of_prompts = other.values(means);
  REQUIRE(values.size() == 11);
  for (std::size_t g = 0, b = 0; g < 5; ++g)
    for (std::size_t i = 0; i < counts[g]; ++i) CHECK(values[b++] == of_prompts[g]);
}

TEST_CASE("a critic of prompts says one logit for all responses to a prompt, one of tokens a value at every row") {
  responses r;
  const std::vector<std::int32_t> one = {15, 2, 18}, two = {15, 3, 9, 18};
  r.rows.add(one, std::vector{0, 19});
  r.rows.add(one, std::vector{1, 4, 19});
  r.rows.add(two, std::vector{5, 19});
  r.groups = {0, 2, 3};
  r.rewards = {1, 0, 1};
  const auto shape = critic_shape(policy_shape, 1);
  const auto parameters = initial_parameters<float>(shape, 3);  // an output that is not 0
  critic<float> of_prompts(true, shape, parameters), of_tokens(false, shape, parameters);
  const auto v = of_prompts.values(r);
  const auto all = of_tokens.values(r);
  REQUIRE(v.size() == 3);
  REQUIRE(all.size() == r.rows.tokens.size());
  CHECK(v[0] == v[1]);
  CHECK(v[0] != v[2]);
  for (index_t b = 0; b < 3; ++b)
    CHECK(all[static_cast<std::size_t>(r.rows.prompt_end(b))] == Approx(v[static_cast<std::size_t>(b)]).epsilon(1e-5));
}

TEST_CASE("a critic's update is that of its loss, made by hand") {
  const responses r = guesses(12);
  const auto shape = critic_shape(policy_shape, 1);
  const auto parameters = initial_parameters<float>(shape, 3);
  const gradient::step_options how{.rate = 1e-2, .clip = 1};
  const auto by_hand = [&](const batch& b, auto&& slope_of) {
    const decoder<float> model(shape);
    workspace<float> w(shape, b.rows());
    std::vector<float> p = parameters, g(p.size()), m(p.size()), v(p.size());
    model.forward(p, b, w);
    std::vector<double> value;
    for (index_t t = 0; t < b.rows(); ++t) value.push_back(static_cast<double>(w.logits()(t, 0)));
    const std::vector<double> slope = slope_of(value);
    for (index_t t = 0; t < b.rows(); ++t) w.logits()(t, 0) = static_cast<float>(slope[static_cast<std::size_t>(t)]);
    model.backward(p, b, w, g);
    gradient::descend(std::span(p), std::span(m), std::span(v), g, 1, how);
    return p;
  };
  const auto near = [](const std::vector<float>& x, const std::vector<float>& y) {
    double error = 0;
    for (std::size_t i = 0; i < x.size(); ++i) error = worst(error, std::abs(static_cast<double>(x[i] - y[i])));
    return error;
  };

  critic<float> of_prompts(true, shape, parameters);
  of_prompts.learn_rewards(r, 1, how);
  const token_rows prompts = r.prompts();
  CHECK(near(of_prompts.net().parameters(), by_hand(prompts.batch(), [&](const std::vector<double>& value) {
               std::vector<double> slope(value.size());
               for (std::size_t g = 0; g < 12; ++g) {
                 const auto t = static_cast<std::size_t>(prompts.offsets[g + 1]) - 1;
                 slope[t] = (1 / (1 + std::exp(-value[t])) - r.rewards[g]) / 12;
               }
               return slope;
             })) < 1e-4);  // a step is 1e-2

  critic<float> of_tokens(false, shape, parameters);
  const std::vector<double> old = of_tokens.values(r);
  std::vector<double> returns(old.size(), 0.25);
  of_tokens.learn_returns(r, old, returns, 0.5, 1, how);
  CHECK(near(of_tokens.net().parameters(), by_hand(r.rows.batch(), [&](const std::vector<double>& value) {
               std::vector<double> slope(value.size());
               for (std::size_t t = 0; t < value.size(); ++t)
                 if (r.rows.targets[t] >= 0) slope[t] = (value[t] - 0.25) / 24;
               return slope;
             })) < 1e-4);
  CHECK(near(parameters, of_tokens.net().parameters()) > 5e-3);
}

TEST_CASE("a critic learns in parts, each an update") {
  const responses r = guesses(5);
  const auto shape = critic_shape(policy_shape, 0.5);
  critic<float> c(true, shape, initial_parameters<float>(shape, 3));
  CHECK(c.learn_rewards(r, 3, {}) > 0);
  CHECK(c.net().updates() == 3);
  c.learn_rewards(r, 8, {});  // three of the parts are empty
  CHECK(c.net().updates() == 8);
}

TEST_CASE("a critic's shape, number by number") {
  config expected = policy_shape, policy = policy_shape;
  policy.n_heads = expected.n_heads = 8, policy.n_kv_heads = 4, policy.rope_base = expected.rope_base = 50;
  expected.outputs = 1, expected.head_width = 2;
  expected.d_model = 10, expected.d_ff = 24, expected.n_layers = 1, expected.n_heads = 5, expected.n_kv_heads = 1;
  CHECK(critic_shape(policy, 0.6) == expected);
  policy.n_heads = 12, policy.n_kv_heads = 6, policy.head_width = expected.head_width = 6;
  expected.n_heads = 7, expected.n_kv_heads = 1;  // of 7 and 4
  CHECK(critic_shape(policy, 0.6) == expected);
  policy.tie_embeddings = true;
  expected.d_model = 4, expected.d_ff = 10, expected.n_heads = 3, expected.n_kv_heads = 1;  // of 3 and 2
  CHECK(critic_shape(policy, 0.25) == expected);
  policy.experts = {.count = 4, .d_ff = 10, .every = 2};
  expected.experts = {.count = 4, .d_ff = 3, .every = 2};
  CHECK(critic_shape(policy, 0.25) == expected);
  CHECK(critic_shape(policy_shape, 1).n_layers == 2);
}

TEST_CASE("updates of parts are those of their groups alone, in turn, and the longest gradient is told") {
  const responses ascending = guesses(12);
  responses descending;
  for (index_t g = 12; g-- > 0;) descending.add(ascending, g);
  const auto shape = critic_shape(policy_shape, 1);
  const auto parameters = initial_parameters<float>(shape, 3);
  const gradient::step_options how{.rate = 1e-2, .clip = 1};
  const auto part = [](const std::vector<double>& x, const responses& r, index_t first, index_t count) {
    const auto from = static_cast<std::size_t>(r.rows.offsets[static_cast<std::size_t>(first)]);
    const auto to = static_cast<std::size_t>(r.rows.offsets[static_cast<std::size_t>(first + count)]);
    return std::vector<double>(x.begin() + static_cast<std::ptrdiff_t>(from),
                               x.begin() + static_cast<std::ptrdiff_t>(to));
  };
  for (const responses& r : {ascending, descending})
    for (const bool of_prompts : {true, false}) {
      critic<float> whole(of_prompts, shape, parameters, {.rows = 12}),
          halves(of_prompts, shape, parameters, {.rows = 12});
      std::vector<double> old = critic<float>(false, shape, parameters).values(r), returns(old.size());
      for (std::size_t i = 0; i < old.size(); ++i) returns[i] = std::sin(static_cast<double>(i)), old[i] -= 0.3;
      const double longest =
          of_prompts ? whole.learn_rewards(r, 2, how) : whole.learn_returns(r, old, returns, 0.5, 2, how);
      double expected = 0;
      for (const index_t first : {0, 6}) {
        responses own;
        for (index_t g = first; g < first + 6; ++g) own.add(r, g);
        expected = worst(expected, of_prompts ? halves.learn_rewards(own, 1, how)
                                              : halves.learn_returns(own, part(old, r, first, 6),
                                                                     part(returns, r, first, 6), 0.5, 1, how));
      }
      CHECK(whole.net().parameters() == halves.net().parameters());
      CHECK(longest == expected);
      // In one microbatch the sums are others in their last bits alone.
      critic<float> cut(of_prompts, shape, parameters, {.rows = 12}), at_once(of_prompts, shape, parameters);
      for (critic<float>* c : {&cut, &at_once})
        of_prompts ? c->learn_rewards(r, 1, how) : c->learn_returns(r, old, returns, 0.5, 1, how);
      index_t far = 0;
      for (std::size_t i = 0; i < parameters.size(); ++i)
        far += std::abs(cut.net().parameters()[i] - at_once.net().parameters()[i]) > 1e-4f;
      CHECK(far < std::ssize(parameters) / 100);
    }
}

TEST_CASE("values move no further than the range from what they were, and an update that was left out is told") {
  const responses r = guesses(4);
  const auto shape = critic_shape(policy_shape, 1);
  const auto parameters = initial_parameters<float>(shape, 3);
  critic<float> near(false, shape, parameters), far(false, shape, parameters);
  std::vector<double> old = near.values(r), returns = old;
  for (std::size_t i = 0; i < old.size(); ++i) returns[i] += 5, old[i] -= 1;
  CHECK(near.learn_returns(r, old, returns, 0.5, 1, {}) == 0);
  CHECK(far.learn_returns(r, old, returns, 2, 1, {}) > 0);
  returns[0] = returns[3] = std::numeric_limits<double>::quiet_NaN();
  critic<float> lost(false, shape, parameters);
  CHECK_FALSE(std::isfinite(lost.learn_returns(r, old, returns, 2, 2, {})));  // the first of two
  CHECK(lost.net().updates() == 1);
}
