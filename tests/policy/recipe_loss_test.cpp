// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/recipe_loss.hpp"

#include "policy/recipe_support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>

using namespace hone;
using namespace hone::policy;

namespace {

double mean_target(const outcome& o) {
  double sum = 0;
  for (const auto& t : o.terms) sum += t.target;
  return sum;
}

}  // namespace

TEST_CASE("recipes: every name makes a step, with a KL penalty and entropy too") {
  for (const std::string& name : recipe_names()) {
    INFO(name);
    for (const recipe_options& settings :
         {recipe_options{.name = name}, recipe_options{.name = name, .kl = 0.1, .entropy = 0.01}}) {
      const outcome o = step(settings);
      CHECK(o.sum.tokens == 6);
      CHECK(o.sum.nonfinite == 0);
      CHECK(std::isfinite(o.sum.sum));
      CHECK(mean_target(o) != 0);
      CHECK(o.terms[5].target == 0);
      for (const auto& t : o.terms) CHECK((t.entropy != 0) == (settings.entropy != 0 && &t != &o.terms[5]));
    }
  }
}

TEST_CASE("recipes: advantages are those of their formulas") {
  const auto at = [](const char* name) { return step({.name = name}).advantage; };
  CHECK(at("dr_grpo")[0] == 0.5);
  CHECK(at("dr_grpo")[3] == -0.5);
  CHECK(at("grpo")[0] == Approx(0.5 / (std::sqrt(0.5) + 1e-4)));
  CHECK(at("rloo")[4] == -1);
  CHECK(at("reinforce")[1] == 1);
  CHECK(at("reinforce")[4] == 0);
  CHECK(at("remax")[0] == 0);
  CHECK(at("remax")[3] == -1);
  CHECK(at("opo")[0] == 0.25);  // the baseline by length: 3 / 4
  CHECK(at("pass_k")[0] == 1);
  CHECK(at("pass_k")[3] == 0);
  CHECK(at("sppo")[0] == Approx(1 - 1 / (1 + std::exp(-0.3))));
  CHECK(at("sppo_std")[3] == Approx(-std::exp(-0.1)));
  CHECK(at("sppo+apo") == at("sppo"));
  for (const char* name : {"ppo", "vapo", "reinforce_pp", "reinforce_pp_baseline"}) {
    const auto a = at(name);
    CHECK(a[0] + a[1] + a[2] + a[3] + a[4] + a[6] == Approx(0).margin(1e-12));
    CHECK(a[5] == 0);
  }
}

TEST_CASE("recipes: a token critic learns returns of its own lambda") {
  // The last response that counts: reward 0 on its last token, values 0.1 and 0.3.
  CHECK(step({.name = "ppo", .gae_lambda = 1.0}).returns[4] == Approx(0).margin(1e-15));
  CHECK(step({.name = "ppo", .gae_lambda = 0.0}).returns[4] == Approx(0.3));
  CHECK(step({.name = "ppo"}).returns[4] == Approx(0.05 * 0.3));
  CHECK(step({.name = "vapo"}).returns[4] == Approx(0).margin(1e-15));
  CHECK(step({.name = "vapo"}).returns[0] == Approx(1));
}

TEST_CASE("recipes: a KL is in the reward or in the loss") {
  for (const char* name : {"ppo", "vapo", "reinforce_pp"}) {
    CHECK(step({.name = name, .kl = 0.5}).advantage != step({.name = name}).advantage);
    CHECK(step({.name = name, .kl = 0.5}).sum.kl == 0);
  }
  const outcome with = step({.name = "grpo", .kl = 0.5}), without = step({.name = "grpo"});
  CHECK(with.advantage == without.advantage);
  CHECK(with.sum.sum == Approx(without.sum.sum + 0.5 * with.sum.kl));
  const outcome k2 = step({.name = "grpo", .kl = 0.5, .kl_estimator = kl_estimator::k2});
  CHECK(k2.sum.kl != with.sum.kl);
}

TEST_CASE("recipes: the loss of parts with the counts of the whole is the loss of the whole") {
  const sample s;
  const recipe_options cases[] = {{.name = "grpo"},
                                  {.name = "vapo"},
                                  {.name = "sppo+apo"},
                                  {.name = "rloo"},
                                  {.name = "clip_cov", .cov_share = 0.5, .cov_low = -9.0},
                                  {.name = "kl_cov", .cov_share = 0.5}};
  for (const auto& settings : cases) {
    INFO(settings.name);
    const outcome whole = step(settings);
    const recipe a = make_recipe(settings);
    const token_batch all = s.batch(whole.advantage);
    batch_totals totals;
    std::vector<loss::row_terms> terms(7);
    const index_t cuts[] = {0, 2, 4};
    for (const bool counting : {true, false})
      for (int part = 0; part < 2; ++part) {
        const auto from = static_cast<std::size_t>(cuts[part]), n = std::size_t{2};
        std::vector<index_t> offsets;
        for (std::size_t b = from; b <= from + n; ++b) offsets.push_back(s.offsets[b] - s.offsets[from]);
        const auto first = static_cast<std::size_t>(s.offsets[from]), count = static_cast<std::size_t>(offsets.back());
        const auto rewards = std::span(s.rewards).subspan(from, n);
        const auto targets = all.targets.subspan(first, count);
        const auto of = [&](std::span<const double> x) { return x.subspan(first, count); };
        if (counting)
          totals += count_totals(offsets, targets, rewards);
        else
          recipe_loss(a,
                      {.offsets = offsets,
                       .targets = targets,
                       .log_probability = of(s.log_p),
                       .old = of(s.old),
                       .advantage = of(whole.advantage),
                       .weight = whole.weight.empty() ? std::span<const double>() : of(whole.weight),
                       .log_mass = of(s.log_mass),
                       .reference_mass = of(s.mass)},
                      rewards, totals, 4, {std::span(terms).subspan(first, count)});
      }
    for (std::size_t t = 0; t < 7; ++t) {
      CHECK(terms[t].target == whole.terms[t].target);
      CHECK(terms[t].subset == whole.terms[t].subset);
    }
  }
}

TEST_CASE("recipes: vapo has the likelihood of right answers beside its objective") {
  const sample s;
  const outcome o = step({.name = "vapo"});
  recipe plain = make_recipe({.name = "vapo"});
  CHECK(plain.imitation == 0.1);
  plain.imitation = 0;
  std::vector<loss::row_terms> terms(7);
  recipe_loss(plain, s.batch(o.advantage), s.rewards, count_totals(s.offsets, s.targets, s.rewards), 4, {terms});
  for (std::size_t t = 0; t < 7; ++t)
    CHECK(o.terms[t].target - terms[t].target == Approx(t < 3 ? -0.1 / 3 : 0).margin(1e-15));
}

TEST_CASE("recipes: an answer is right above a reward of one half, and imitated alike however much above") {
  sample s;
  s.rewards = {0.7, 0.5, 0.3, 1};
  const batch_totals totals = count_totals(s.offsets, s.targets, s.rewards);
  CHECK(totals.right == 3);  // of lengths 3, 1, 2 and 0
  recipe vapo = make_recipe({.name = "vapo"});
  const std::vector<double> advantage(7, 0.25);
  std::vector<loss::row_terms> with(7), without(7);
  recipe_loss(vapo, s.batch(advantage), s.rewards, totals, 4, {with});
  vapo.imitation = 0;
  recipe_loss(vapo, s.batch(advantage), s.rewards, totals, 4, {without});
  for (std::size_t t = 0; t < 7; ++t)
    CHECK(with[t].target - without[t].target == Approx(t < 3 ? -0.1 / 3 : 0).margin(1e-15));
}

TEST_CASE("recipes: clip_cov takes a surrogate away, kl_cov holds tokens to where they were") {
  const sample s;
  // The covariances by their formula, of the six tokens that count: means of log p and A over them.
  const outcome clipped = step({.name = "clip_cov", .cov_share = 0.34, .cov_low = -9.0});
  double mean_log_p = 0, mean_advantage = 0;
  for (const std::size_t t : {0u, 1u, 2u, 3u, 4u, 6u}) {
    mean_log_p += s.log_p[t] / 6;
    mean_advantage += clipped.advantage[t] / 6;
  }
  const auto covariance = [&](std::size_t t) {
    return (s.log_p[t] - mean_log_p) * (clipped.advantage[t] - mean_advantage);
  };
  const outcome plain = step({.name = "grpo"});
  index_t zeros = 0;
  for (std::size_t t = 0; t < 7; ++t) {
    CHECK(clipped.advantage[t] == plain.advantage[t]);
    zeros += clipped.weight[t] == 0;
    CHECK((clipped.terms[t].target == 0) == (clipped.weight[t] == 0 || t == 5));
  }
  CHECK(zeros == 2);
  CHECK(clipped.sum.inactive == 2);
  bool other = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    other = other || token_weights(make_recipe({.name = "clip_cov", .cov_share = 0.34, .cov_low = -9.0}),
                                   s.batch(clipped.advantage), seed) != clipped.weight;
  CHECK(other);
  // A KL in the loss gives clipped tokens a gradient, but no reason to be drawn.
  CHECK(step({.name = "clip_cov", .kl = 0.5, .cov_share = 0.34, .cov_low = -9.0}).weight == clipped.weight);

  const outcome held = step({.name = "kl_cov", .cov_share = 0.34, .cov_kl = 0.5});
  std::vector<std::size_t> order = {0, 1, 2, 3, 4, 6};
  std::sort(order.begin(), order.end(), [&](auto x, auto y) { return covariance(x) > covariance(y); });
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t t = order[i];
    CHECK(held.weight[t] == (i < 2));
    const double x = s.log_p[t] - s.old[t], sign = x > 0 ? 1 : x < 0 ? -1 : 0;
    CHECK(held.terms[t].target == Approx((-held.advantage[t] * std::exp(x) + (i < 2 ? 0.5 * sign : 0)) / 6));
  }
  CHECK(token_weights(make_recipe({.name = "grpo"}), s.batch(plain.advantage), 0).empty());
}

TEST_CASE("recipes: an anchor pulls, and without a pull changes nothing") {
  for (const std::string& name : recipe_names()) {
    INFO(name);
    bool goes = true;
    for (const char* without : {"reinforce", "gpg", "cispo", "vespo", "apo", "pass_k"}) goes = goes && name != without;
    if (!goes) continue;
    const outcome plain = step({.name = name});
    const outcome same = step({.name = name + "+apo", .anchor_beta = 0, .anchor_lambda = 1});
    const outcome anchored = step({.name = name + "+apo", .anchor_beta = 0.05});
    bool pulls = false;
    for (std::size_t t = 0; t < 7; ++t) {
      CHECK(same.terms[t].target == plain.terms[t].target);
      CHECK(same.terms[t].subset == 0);
      pulls = pulls || anchored.terms[t].subset != 0;
    }
    CHECK(pulls);
  }
  CHECK(step({.name = "apo", .anchor_form = anchor_form::reference_likelihood}).sum.nonfinite == 0);
}

TEST_CASE("recipes: totals refuse rewards that do not fit") {
  const sample s;
  CHECK_THROWS_WITH(count_totals(s.offsets, s.targets, std::span(s.rewards).first(3)),
                    "hone::policy::count_totals: rewards: has 3 responses, offsets 4");
  batch_totals sum = count_totals(s.offsets, s.targets, s.rewards);
  sum += sum;
  CHECK((sum.right == 6 && sum.counts.tokens == 12 && sum.counts.sequences == 8 && sum.counts.nonempty == 6));
}

TEST_CASE("recipes: the estimator of a KL in the reward, and a mean over the longest response") {
  const sample s;
  // REINFORCE++ before whitening: the outcome less the divergences to come.
  recipe r = make_recipe({.name = "reinforce_pp", .kl = 0.5, .kl_estimator = kl_estimator::k2});
  r.whitens = false;
  std::vector<double> a(7);
  token_advantages(r, s.rollout(r), a);
  const auto k2 = [&](std::size_t t) { return 0.5 * std::pow(s.old[t] - s.reference[t], 2); };
  CHECK(a[2] == Approx(1 - 0.5 * k2(2)).epsilon(1e-14));
  CHECK(a[1] == Approx(1 - 0.5 * (k2(1) + k2(2))).epsilon(1e-14));
  CHECK(a[3] == Approx(-0.5 * k2(3)).epsilon(1e-14));
  const recipe plain = make_recipe({.name = "dr_grpo"});
  const std::vector<double> advantage(7, 0.5);
  const auto at = [&](index_t longest) {
    std::vector<loss::row_terms> terms(7);
    recipe_loss(plain, s.batch(advantage), s.rewards, count_totals(s.offsets, s.targets, s.rewards), longest, {terms});
    return terms[0].target;
  };
  CHECK(at(8) == Approx(at(4) / 2).epsilon(1e-14));
  CHECK(at(1) == Approx(-0.5 * std::exp(0.1) / 4).epsilon(1e-14));
}
