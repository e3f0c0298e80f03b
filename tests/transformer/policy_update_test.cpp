// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/policy_update.hpp"

#include <memory>

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

constexpr std::int32_t stop = 7;

/// Six responses to each of five prompts, right where their second token is even.
responses drawn(const config& c, const std::vector<float>& parameters) {
  const decoder<float> model(c);
  const generator<float> generate(model, parameters);
  token_rows prompts;
  for (std::int32_t g = 0; g < 5; ++g) prompts.add(std::vector<std::int32_t>{1, g, static_cast<std::int32_t>(9 - g)});
  return draw_responses(generate, prompts.batch(), 6, stop,
                        {.max_tokens = 5, .sampling = {.temperature = 1, .seed = 2}},
                        [](index_t, std::span<const std::int32_t> t) { return t.size() > 1 && t[1] % 2 == 0 ? 1 : 0; });
}

/// The policy that drew, and its reference, which is another.
std::unique_ptr<learner<float>> make_learner(const config& c, const learner_options& options) {
  auto l = std::make_unique<learner<float>>(c, initial_parameters<float>(c, 4), options);
  l->remember_reference();
  const auto parameters = normals<float>(l->model().parameters(), 1, 0.4);
  copy(parameters, l->trained());
  return l;
}

constexpr learner_options whole{.rows = 1000};

}  // namespace

TEST_CASE("policy update: responses are measured by the policy and its reference, and get the recipe's advantages") {
  const config c = small_models()[0];
  const auto l = make_learner(c, {.rows = 12});
  const responses r = drawn(c, l->parameters());
  const policy::recipe recipe = policy::make_recipe({.name = "apo", .kl = 0.1});
  const measured_responses m = measure_responses(*l, recipe, r, {.temperature = 1.3});
  const std::size_t rows = r.rows.tokens.size();
  std::vector<double> log_p(rows), entropy(rows), log_q(rows), mass(rows);
  std::vector<std::int32_t> ids(rows * 8);
  std::vector<double> probability(rows * 8);
  workspace<float> w(c, static_cast<index_t>(rows));
  l->model().forward(l->parameters(), r.rows.batch(), w);
  policy::measure(w.logits(), r.rows.targets, {}, {.log_probability = log_p, .entropy = entropy}, 1.3);
  l->model().forward(l->reference(), r.rows.batch(), w);
  policy::measure(w.logits(), r.rows.targets, {}, {.log_probability = log_q}, 1.3);
  policy::top_k_support(w.logits(), r.rows.targets, 8, {ids, probability, mass}, {.temperature = 1.3});
  std::vector<double> of_response(r.rewards.size()), advantage(rows);
  policy::group_advantages(policy::grpo{}, r.rewards, r.groups, of_response);
  loss::spread(of_response, r.rows.offsets, advantage);
  CHECK(m.advantage == advantage);
  for (std::size_t t = 0; t < rows; ++t) {
    CHECK(m.old[t] == Approx(log_p[t]).margin(1e-5));
    CHECK(m.entropy[t] == Approx(entropy[t]).margin(1e-5));
    CHECK(m.reference.log_probability[t] == Approx(log_q[t]).margin(1e-5));
    CHECK(m.reference.mass[t] == Approx(mass[t]).margin(1e-5));
  }
  CHECK(m.reference.ids == ids);
  CHECK(m.reference.support(3, 2).ids.data() == m.reference.ids.data() + 24);

  const measured_responses plain = measure_responses(*l, policy::make_recipe({.name = "grpo"}), r);
  CHECK(plain.reference.log_probability.empty());
  CHECK(plain.reference.support(3, 2).width == 0);
  for (const char* name : {"ppo", "reinforce_pp", "remax", "sppo"}) {  // each reads other parts of what is known
    INFO(name);
    const policy::recipe other = policy::make_recipe({.name = name, .kl = 0.1});
    const std::size_t count = std::string_view(name) == "ppo" ? rows : r.rewards.size();
    const auto values = normals<double>(static_cast<index_t>(count), 3), greedy = normals<double>(5, 4);
    const measured_responses known = measure_responses(*l, other, r, {.values = values, .greedy = greedy});
    std::vector<double> returns(rows);
    policy::token_advantages(other,
                             {.rewards = r.rewards,
                              .groups = r.groups,
                              .offsets = r.rows.offsets,
                              .targets = r.rows.targets,
                              .value = values,
                              .old = known.old,
                              .reference = known.reference.log_probability,
                              .greedy = greedy},
                             advantage, returns);
    CHECK(known.advantage == advantage);
    CHECK(known.returns == returns);
  }
  const auto with_critic = policy::make_recipe({.name = "sppo"});
  CHECK_THROWS(measure_responses(*l, with_critic, r));
  CHECK(measure_responses(*l, with_critic, r, {.values = std::vector<double>(30)}).advantage[0] == r.rewards[0] - 0.5);
}

TEST_CASE("policy update: an update is the one made by hand, to the bit") {
  const config c = small_models()[0];
  for (const policy::recipe_options& options :
       {policy::recipe_options{.name = "grpo", .kl = 0.1, .entropy = 0.01},
        policy::recipe_options{.name = "gspo", .clip_low = 0.5, .clip_high = 0.5},
        policy::recipe_options{.name = "dapo+apo"},
        policy::recipe_options{.name = "clip_cov", .cov_share = 0.2, .cov_low = 0.0},
        policy::recipe_options{.name = "kl_cov", .cov_share = 0.2}, policy::recipe_options{.name = "dr_grpo"},
        policy::recipe_options{.name = "apo", .anchor_form = policy::anchor_form::reference_likelihood}}) {
    INFO(options.name);
    const auto l = make_learner(c, whole);
    const responses r = drawn(c, l->parameters());
    const policy::recipe recipe = policy::make_recipe(options);
    const measured_responses m = measure_responses(*l, recipe, r);
    // Off the policy that drew, so that ratios are not 1.
    std::vector<float> p = l->parameters();
    axpy(0.02f, normals<float>(std::ssize(p), 9), p);
    copy(p, l->trained());
    const policy_update_options how{
        .temperature = 1.3, .longest = 6, .seed = 3, .step = {.rate = 1e-2, .weight_decay = 0.1, .clip = 1}};
    const auto [sum, length] = update_policy(*l, recipe, r, m, 1, 4, how);

    const index_t first = 6, last = 24;
    const batch_slice slice(r.rows.batch(), first, last);
    const batch b = slice.batch();
    const auto n = static_cast<std::size_t>(slice.rows());
    const auto of = [&](const auto& x) { return rows_of(x, slice.first_row(), slice.rows()); };
    const policy::support_view support = m.reference.support(slice.first_row(), slice.rows());
    workspace<float> w(c, slice.rows());
    l->model().forward(p, b, w);
    std::vector<double> log_p(n), entropy(n), log_mass(n), likelihood(recipe.needs.likelihood ? n : 0);
    policy::row_measures measures{.log_probability = log_p, .entropy = entropy, .reference_likelihood = likelihood};
    if (support.width > 0) measures.log_mass = log_mass;
    policy::measure(w.logits(), of(r.rows.targets), support, measures, 1.3);
    policy::token_batch tokens{.offsets = b.offsets,
                               .targets = of(r.rows.targets),
                               .log_probability = log_p,
                               .old = of(m.old),
                               .advantage = of(m.advantage),
                               .reference = of(m.reference.log_probability),
                               .entropy = entropy,
                               .log_mass = log_mass,
                               .reference_mass = of(m.reference.mass),
                               .reference_likelihood = likelihood};
    const auto weight = policy::token_weights(recipe, tokens, 3);
    tokens.weight = weight;
    const auto rewards = rows_of(r.rewards, first, last - first);
    std::vector<loss::row_terms> terms(n);
    const policy::policy_sum expected = policy::recipe_loss(
        recipe, tokens, rewards, policy::count_totals(b.offsets, tokens.targets, rewards), 6, {terms});
    policy::write_gradient(w.logits(), tokens.targets, terms, support, 1.3);
    std::vector<float> g(p.size()), moment(p.size()), square(p.size());
    l->model().backward(p, b, w, g);
    CHECK(length == descend(std::span(p), std::span(moment), std::span(square), g, 1, how.step));
    CHECK(l->parameters() == p);
    CHECK(sum.tokens == expected.tokens);
    CHECK(sum.negative == expected.negative);
    CHECK(sum.inactive == expected.inactive);
    CHECK(sum.sum == Approx(expected.sum));
    CHECK(length > 0);
  }
}

TEST_CASE("policy update: the same bits for any workers, and nearly the same however it is cut") {
  const config c = small_models()[0];
  const policy::recipe recipe = policy::make_recipe({.name = "grpo", .kl = 0.1});
  std::vector<float> first;
  for (const index_t workers : {1, 3}) {
    thread_pool pool(workers);
    const auto l = make_learner(c, {.rows = 12});
    const responses r = drawn(c, l->parameters());
    const measured_responses m = measure_responses(*l, recipe, r, {}, pool);
    update_policy(*l, recipe, r, m, 0, 5, {.step = {.rate = 1e-3, .clip = 1}}, pool);
    if (first.empty()) first = l->parameters();
    CHECK(l->parameters() == first);
  }
  const auto l = make_learner(c, whole);
  const responses r = drawn(c, l->parameters());
  const measured_responses m = measure_responses(*l, recipe, r);
  update_policy(*l, recipe, r, m, 0, 5, {.step = {.rate = 1e-3, .clip = 1}});
  index_t far = 0;
  for (std::size_t i = 0; i < first.size(); ++i) far += std::abs(first[i] - l->parameters()[i]) > 1e-4f;
  CHECK(far < std::ssize(first) / 100);  // AdamW's first step is the gradient's sign: those near 0 may differ
  CHECK_THROWS_WITH(update_policy(*l, recipe, r, m, 3, 3, {}), Catch::Contains("no groups of 5"));
  CHECK_THROWS_WITH(update_policy(*l, recipe, r, m, 3, 6, {}), Catch::Contains("no groups of 5"));
}

TEST_CASE("policy update: what is rewarded becomes likelier") {
  const config c = small_models()[0];
  for (const char* name : {"grpo", "rloo", "reinforce_pp", "apo"}) {
    INFO(name);
    const auto l = make_learner(c, {.rows = 12});
    const responses r = drawn(c, l->parameters());
    const policy::recipe recipe = policy::make_recipe({.name = name});
    const measured_responses m = measure_responses(*l, recipe, r);
    const auto before = l->sequence_nll(r.rows);
    for (int i = 0; i < 5; ++i) update_policy(*l, recipe, r, m, 0, 5, {.step = {.rate = 1e-3, .clip = 1}});
    const auto after = l->sequence_nll(r.rows);
    double right = 0, wrong = 0;
    for (std::size_t b = 0; b < before.size(); ++b) (r.rewards[b] > 0 ? right : wrong) += before[b] - after[b];
    CHECK(right > 0);
    CHECK(right > wrong);
  }
}

TEST_CASE("policy update: the page's example raises the reward") {
  const config shape = small_models()[0];
  thread_pool pool(2);
  learner<float> l(shape, initial_parameters<float>(shape, 4), {.rows = 12});
  token_rows prompts;
  for (std::int32_t g = 0; g < 5; ++g) prompts.add(std::vector<std::int32_t>{1, g, static_cast<std::int32_t>(9 - g)});
  const auto reward = [](index_t, std::span<const std::int32_t> tokens) { return !tokens.empty() && tokens[0] == 3; };
  double first = 0, last = 0;

  const policy::recipe grpo = policy::make_recipe({.name = "grpo", .kl = 0.01});
  l.remember_reference();
  for (std::uint32_t step = 0; step < 30; ++step) {
    const generator<float> generate(l.model(), l.parameters());
    const responses r = draw_responses(generate, prompts.batch(), grpo.needs.group, stop,
                                       {.max_tokens = 20, .sampling = {.temperature = 1, .seed = step}}, reward, pool);
    const measured_responses m = measure_responses(l, grpo, r, {}, pool);
    for (index_t i = 0; i < 2; ++i) {  // two minibatches
      const auto [begin, end] = part_of(r.group_count(), i, 2);
      update_policy(l, grpo, r, m, begin, end, {.longest = 20, .step = {.rate = 1e-2, .clip = 1}}, pool);
    }
    double mean = 0;
    for (const double x : r.rewards) mean += x / static_cast<double>(r.count());
    (step == 0 ? first : last) = mean;
  }
  CHECK(last > first + 0.3);
}

TEST_CASE("policy update: a reference's likeliest tokens are with the one drawn or without") {
  const config c = small_models()[0];
  const auto l = make_learner(c, {.rows = 12});
  const responses r = drawn(c, l->parameters());
  const auto members = [&](bool keep) { return measure_reference(*l, l->reference(), r.rows, 11, keep); };
  const reference_measures with = members(true), without = members(false);
  for (std::size_t t = 0; t < r.rows.tokens.size(); ++t) {
    if (r.rows.targets[t] < 0) continue;
    CHECK(with.mass[t] == Approx(1));
    CHECK(without.mass[t] == Approx(1 - std::exp(without.log_probability[t])));
  }
  CHECK(measure_reference(*l, l->reference(), r.rows, 0, true).ids.empty());
  CHECK_THROWS_WITH(update_policy(*l, policy::make_recipe({.name = "grpo"}), r,
                                  measure_responses(*l, policy::make_recipe({.name = "grpo"}), r), -1, 2, {}),
                    Catch::Contains("[-1, 2) are no groups of 5"));
}
