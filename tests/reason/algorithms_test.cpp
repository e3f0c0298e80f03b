// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "reason/algorithms.hpp"

#include <cmath>

#include "support/catch.hpp"

using namespace reason;

namespace {

/// Two prompts with two responses each, of 3, 1, 2 and 0 tokens that count, and one that does not.
struct sample {
  std::vector<double> rewards = {1, 0, 0, 1};
  std::vector<index_t> groups = {0, 2, 4}, offsets = {0, 3, 4, 7, 7};
  std::vector<std::int32_t> targets = {1, 2, 3, 4, 5, -1, 6};
  std::vector<double> log_p = {-1, -0.4, -2, -0.7, -1.1, -3, -0.2};
  std::vector<double> old = {-1.1, -0.4, -1.8, -0.9, -1.1, -3, -0.3};
  std::vector<double> reference = {-1.2, -0.5, -1.5, -0.6, -1, -2, -0.4};
  std::vector<double> entropy = {1, 0.8, 0.9, 0.7, 1.2, 1, 0.3};
  std::vector<double> log_mass = {-0.5, -0.9, -0.3, -1.2, -0.4, 0, -0.8};
  std::vector<double> mass = {0.7, 0.5, 0.6, 0.4, 0.8, 0, 0.3};
  std::vector<double> likelihood = {-1, -1.5, -1.2, -2, -0.9, 0, -1.4};
  std::vector<double> of_prompts = {0.3, -0.2, 0.3, -0.2}, of_tokens = {0.4, 0.6, 0.7, 0.2, 0.1, 0.9, 0.3};
  std::vector<double> greedy = {1, 0};

  [[nodiscard]] rollout_batch rollout(const algorithm& a) const {
    return {.rewards = rewards,
            .groups = groups,
            .offsets = offsets,
            .targets = targets,
            .value = a.needs.critic == critic_kind::token ? of_tokens : of_prompts,
            .old = old,
            .reference = reference,
            .greedy = greedy};
  }
  [[nodiscard]] policy::token_batch batch(const std::vector<double>& advantage) const {
    return {.offsets = offsets,
            .targets = targets,
            .log_probability = log_p,
            .old = old,
            .advantage = advantage,
            .reference = reference,
            .entropy = entropy,
            .log_mass = log_mass,
            .reference_mass = mass,
            .reference_likelihood = likelihood};
  }
};

struct outcome {
  std::vector<double> advantage, returns, weight;
  policy::policy_sum sum;
  std::vector<hone::loss::row_terms> terms;
};

outcome step(const algorithm_settings& settings) {
  const sample s;
  const algorithm a = make_algorithm(settings);
  outcome o{std::vector<double>(7), std::vector<double>(7), {}, {}, std::vector<hone::loss::row_terms>(7)};
  advantages(a, s.rollout(a), o.advantage, o.returns);
  policy::token_batch batch = s.batch(o.advantage);
  o.weight = weights(a, batch, 5);
  batch.weight = o.weight;
  o.sum = loss(a, batch, s.rewards, count_totals(s.offsets, s.targets, s.rewards), 4, {o.terms});
  return o;
}

double mean_target(const outcome& o) {
  double sum = 0;
  for (const auto& t : o.terms) sum += t.target;
  return sum;
}

}  // namespace

TEST_CASE("algorithms: every name makes a step, with a KL penalty and entropy too") {
  for (const std::string& name : algorithm_names()) {
    INFO(name);
    for (const algorithm_settings& settings :
         {algorithm_settings{.name = name}, algorithm_settings{.name = name, .kl = 0.1, .entropy = 0.01}}) {
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

TEST_CASE("algorithms: advantages are those of their formulas") {
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

TEST_CASE("algorithms: a token critic learns returns of its own lambda") {
  // The last response that counts: reward 0 on its last token, values 0.1 and 0.3.
  CHECK(step({.name = "ppo", .gae_lambda = 1.0}).returns[4] == Approx(0).margin(1e-15));
  CHECK(step({.name = "ppo", .gae_lambda = 0.0}).returns[4] == Approx(0.3));
  CHECK(step({.name = "ppo"}).returns[4] == Approx(0.05 * 0.3));
  CHECK(step({.name = "vapo"}).returns[4] == Approx(0).margin(1e-15));
  CHECK(step({.name = "vapo"}).returns[0] == Approx(1));
}

TEST_CASE("algorithms: a KL stands in the reward or in the loss") {
  for (const char* name : {"ppo", "vapo", "reinforce_pp"}) {
    CHECK(step({.name = name, .kl = 0.5}).advantage != step({.name = name}).advantage);
    CHECK(step({.name = name, .kl = 0.5}).sum.kl == 0);
  }
  const outcome with = step({.name = "grpo", .kl = 0.5}), without = step({.name = "grpo"});
  CHECK(with.advantage == without.advantage);
  CHECK(with.sum.sum == Approx(without.sum.sum + 0.5 * with.sum.kl));
  const outcome k2 = step({.name = "grpo", .kl = 0.5, .kl_estimator = policy::kl_estimator::k2});
  CHECK(k2.sum.kl != with.sum.kl);
}

TEST_CASE("algorithms: the denominators are each algorithm's own") {
  // 6 tokens that count in 3 of 4 responses, of at most 4 tokens.
  const auto denominator = [](const char* name) {
    const sample s;
    return make_algorithm({.name = name}).denominator(policy::count(s.offsets, s.targets), 4);
  };
  CHECK(denominator("dapo").denominator == 6);
  CHECK(denominator("dr_grpo").denominator == 16);
  CHECK(denominator("grpo").denominator == 4);
  CHECK(denominator("sppo").denominator == 3);
  CHECK(denominator("sppo").mean_of_tokens);
  CHECK_FALSE(denominator("luspo").mean_of_tokens);
}

TEST_CASE("algorithms: the loss of parts with the counts of the whole is the loss of the whole") {
  const sample s;
  const algorithm_settings cases[] = {{.name = "grpo"},
                                      {.name = "vapo"},
                                      {.name = "sppo+apo"},
                                      {.name = "rloo"},
                                      {.name = "clip_cov", .cov_share = 0.5, .cov_low = -9.0},
                                      {.name = "kl_cov", .cov_share = 0.5}};
  for (const auto& settings : cases) {
    INFO(settings.name);
    const outcome whole = step(settings);
    const algorithm a = make_algorithm(settings);
    const policy::token_batch all = s.batch(whole.advantage);
    batch_totals totals;
    std::vector<hone::loss::row_terms> terms(7);
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
          loss(a,
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

TEST_CASE("algorithms: vapo has the likelihood of right answers beside its objective") {
  const sample s;
  const outcome o = step({.name = "vapo"});
  algorithm plain = make_algorithm({.name = "vapo"});
  CHECK(plain.imitation == 0.1);
  plain.imitation = 0;
  std::vector<hone::loss::row_terms> terms(7);
  loss(plain, s.batch(o.advantage), s.rewards, count_totals(s.offsets, s.targets, s.rewards), 4, {terms});
  for (std::size_t t = 0; t < 7; ++t)
    CHECK(o.terms[t].target - terms[t].target == Approx(t < 3 ? -0.1 / 3 : 0).margin(1e-15));
}

TEST_CASE("algorithms: clip_cov takes a surrogate away, kl_cov holds tokens to where they were") {
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
    other = other || weights(make_algorithm({.name = "clip_cov", .cov_share = 0.34, .cov_low = -9.0}),
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
  CHECK(weights(make_algorithm({.name = "grpo"}), s.batch(plain.advantage), 0).empty());
}

TEST_CASE("algorithms: an anchor goes around any surrogate of a ratio") {
  for (const std::string& name : algorithm_names()) {
    INFO(name);
    bool goes = true;
    for (const char* without : {"reinforce", "gpg", "cispo", "vespo", "apo", "pass_k"}) goes = goes && name != without;
    if (!goes) {
      CHECK_THROWS_WITH(make_algorithm({.name = name + "+apo"}), Catch::Contains(name + "+apo"));
      continue;
    }
    CHECK(make_algorithm({.name = name + "+apo"}).needs.support == 8);
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
  CHECK(step({.name = "apo", .anchor_form = policy::anchor_form::reference_likelihood}).sum.nonfinite == 0);
  CHECK(make_algorithm({.name = "apo", .anchor_form = policy::anchor_form::reference_likelihood}).needs.likelihood);
  CHECK(make_algorithm({.name = "apo", .anchor_beta = 0}).needs.support == 0);
  CHECK(fires_at_start(make_algorithm({.name = "apo"})));
  CHECK(fires_at_start(make_algorithm({.name = "grpo"})));
  CHECK_FALSE(fires_at_start(make_algorithm({.name = "apo", .anchor_beta = 0.3})));
}

TEST_CASE("algorithms: what each needs") {
  const auto needs = [](const char* name) { return make_algorithm({.name = name}).needs; };
  CHECK(needs("ppo").critic == critic_kind::token);
  CHECK(needs("sppo").critic == critic_kind::sequence);
  CHECK(needs("grpo").critic == critic_kind::none);
  CHECK(needs("remax").greedy);
  CHECK(needs("dapo").informative);
  for (const char* name : {"ppo", "vapo", "reinforce", "reinforce_pp", "remax", "sppo", "sppo_std"})
    CHECK(needs(name).group == 1);
  for (const char* name : {"grpo", "rloo", "reinforce_pp_baseline", "pass_k", "apo", "gspo"})
    CHECK((needs(name).group == 8 && needs(name).least_group == 2));
  CHECK_FALSE(needs("grpo").reference);
  CHECK(make_algorithm({.name = "grpo", .kl = 0.1}).needs.reference);
  CHECK(make_algorithm({.name = "grpo", .entropy = 0.1}).needs.entropy);
}

TEST_CASE("algorithms: options that one does not have are refused") {
  using Catch::Contains;
  CHECK_THROWS_WITH(make_algorithm({.name = "grop"}), Contains("grop") && Contains("dr_grpo"));
  CHECK_THROWS_WITH(make_algorithm({.name = "+apo"}), Contains("is none of"));
  CHECK_THROWS_WITH(make_algorithm({.name = "grpo", .gae_lambda = 0.9}), Contains("lambda"));
  CHECK_THROWS_WITH(make_algorithm({.name = "gpg", .clip_low = 0.2}), Contains("clip"));
  CHECK_THROWS_WITH(make_algorithm({.name = "cispo", .clip_dual = 3.0}), Contains("dual"));
  CHECK_THROWS_WITH(make_algorithm({.name = "apo", .anchor_k = 0}), Contains("anchor-k"));
  CHECK_THROWS_WITH(make_algorithm({.name = "pass_k+apo"}), Contains("punishes nothing"));
  CHECK_THROWS_WITH(make_algorithm({.name = "grpo", .cov_share = 0.1}), Contains("chooses no tokens"));
  CHECK_THROWS_WITH(make_algorithm({.name = "kl_cov", .cov_low = 2.0}), Contains("range of covariances"));
  CHECK_THROWS_WITH(make_algorithm({.name = "clip_cov", .cov_kl = 2.0}), Contains("holds no tokens"));
  CHECK_THROWS_WITH(make_algorithm({.name = "clip_cov", .cov_low = 9.0}), Contains("at most high"));
  for (const char* name : {"clip_cov", "kl_cov"})
    CHECK_THROWS_WITH(make_algorithm({.name = name, .cov_share = 1.5}), Contains("share"));
  CHECK_THROWS_WITH(make_algorithm({.name = "kl_cov", .cov_kl = -1.0}), Contains("coefficient"));
  CHECK_THROWS_WITH(make_algorithm({.name = "apo", .anchor_beta = -1}), Contains("push and pull"));
  for (const char* name : {"grpo", "ppo"})
    CHECK_THROWS_WITH(make_algorithm({.name = name, .kl = -0.1}), Contains("coefficient"));
  const auto cispo = make_algorithm({.name = "cispo", .clip_low = 0.2, .clip_high = 0.28});
  const auto& f = std::get<policy::objective<policy::token_ratio, policy::cispo>>(cispo.objective);
  CHECK(f.surrogate.lower == 0.8);
  CHECK(f.surrogate.upper == 1.28);
}
