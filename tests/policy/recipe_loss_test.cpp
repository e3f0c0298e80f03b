// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/recipe_loss.hpp"

#include <algorithm>
#include <cmath>

#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

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

  [[nodiscard]] drawn_batch rollout(const recipe& a) const {
    return {.rewards = rewards,
            .groups = groups,
            .offsets = offsets,
            .targets = targets,
            .value = a.needs.critic == critic_kind::token ? of_tokens : of_prompts,
            .old = old,
            .reference = reference,
            .greedy = greedy};
  }
  [[nodiscard]] token_batch batch(const std::vector<double>& advantage) const {
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
  policy_sum sum;
  std::vector<loss::row_terms> terms;
};

/// Farther from where the tokens were drawn, so that clips are reached.
sample shifted(double by) {
  sample s;
  for (double& x : s.log_p) x += by;
  return s;
}

outcome step(const recipe_options& settings, const sample& s = {}) {
  const recipe a = make_recipe(settings);
  outcome o{std::vector<double>(7), std::vector<double>(7), {}, {}, std::vector<loss::row_terms>(7)};
  token_advantages(a, s.rollout(a), o.advantage, o.returns);
  token_batch batch = s.batch(o.advantage);
  o.weight = token_weights(a, batch, 5);
  batch.weight = o.weight;
  o.sum = recipe_loss(a, batch, s.rewards, count_totals(s.offsets, s.targets, s.rewards), 4, {o.terms});
  return o;
}

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

TEST_CASE("recipes: a KL stands in the reward or in the loss") {
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

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Every algorithm from its formula, of the sample above; the lengths of its responses are 3, 1, 2 and 0.
struct naive {
  std::string name;
  sample s{};
  double kl = 0;
  std::vector<double> held = s.log_p;  ///< where gradients stop

  [[nodiscard]] bool is(std::initializer_list<const char*> names) const {
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  [[nodiscard]] std::vector<std::size_t> tokens(std::size_t b) const {
    std::vector<std::size_t> result;
    for (auto t = static_cast<std::size_t>(s.offsets[b]); t < static_cast<std::size_t>(s.offsets[b + 1]); ++t)
      if (s.targets[t] >= 0) result.push_back(t);
    return result;
  }

  [[nodiscard]] std::vector<double> advantages() const {
    std::vector<double> a(7);
    for (std::size_t b = 0; b < 4; ++b) {
      const double r = s.rewards[b], other = s.rewards[b ^ 1], mean = (r + other) / 2, v = sigmoid(s.of_prompts[b]);
      const auto all = tokens(b);
      const double lengths[] = {3, 1, 2, 0};
      for (std::size_t i = 0; i < all.size(); ++i) {
        double x = (r - mean) / (std::sqrt(0.5) + 1e-4);  // deviation of {0, 1} with n - 1
        if (is({"dr_grpo", "reinforce_pp_baseline"})) x = r - mean;
        if (is({"reinforce", "reinforce_pp"})) x = r;
        if (is({"rloo"})) x = r - other;
        if (is({"remax"})) x = r - s.greedy[b / 2];
        if (is({"opo"})) x = r - (lengths[b] * r + lengths[b ^ 1] * other) / (lengths[b] + lengths[b ^ 1]);
        if (is({"gpg"})) x = (r - mean) * 4 / 2;  // two of four rewards are not 0
        if (is({"pass_k"})) x = r > other ? r - other : 0;
        if (is({"sppo"})) x = r - v;
        if (is({"sppo_std"})) x = (r - v) / std::sqrt(v * (1 - v));
        if (is({"reinforce_pp"}))
          for (std::size_t j = i; j < all.size(); ++j) x -= kl * (s.old[all[j]] - s.reference[all[j]]);
        if (is({"ppo", "vapo"})) {
          const double lambda = is({"ppo"}) ? 0.95 : std::fmax(0, 1 - 1 / (0.05 * static_cast<double>(all.size())));
          x = 0;
          for (std::size_t j = i; j < all.size(); ++j) {
            const bool last = j + 1 == all.size();
            const double reward = (last ? r : 0) - kl * (s.old[all[j]] - s.reference[all[j]]);
            const double next = last ? 0 : s.of_tokens[all[j + 1]];
            x += std::pow(lambda, static_cast<double>(j - i)) * (reward + next - s.of_tokens[all[j]]);
          }
        }
        a[all[i]] = x;
      }
    }
    if (is({"ppo", "vapo", "reinforce_pp", "reinforce_pp_baseline"})) {
      double mean = 0, squares = 0;
      for (const double x : a) mean += x / 6;
      for (std::size_t t = 0; t < 7; ++t) squares += t == 5 ? 0 : (a[t] - mean) * (a[t] - mean);
      for (std::size_t t = 0; t < 7; ++t) a[t] = t == 5 ? 0 : (a[t] - mean) / std::sqrt(squares / 5 + 1e-8);
    }
    return a;
  }

  [[nodiscard]] double surrogate(double a, double rho, double held_rho, double log_p, double mass, double z) const {
    const double high = is({"dapo", "vapo"}) ? 0.28 : is({"gspo"}) ? 4e-4 : 0.2, low = is({"gspo"}) ? 3e-4 : 0.2;
    const bool dual = is({"sppo", "sppo_std", "apo"});
    if (is({"apo"}) && a < 0) rho = 1.05 * rho - 0.1 * mass / z;
    if (is({"reinforce", "gpg"})) return -a * log_p;
    if (is({"gmpo", "kl_cov"})) return -a * rho;
    if (is({"cispo"})) return -std::fmin(held_rho, 5) * a * log_p;
    if (is({"sapo"})) return -a * 4 * sigmoid((a > 0 ? 1 : 1.05) * (rho - 1)) / (a > 0 ? 1 : 1.05);
    if (is({"vespo"})) {
      const double k = a > 0 ? 2 : 3, l = a > 0 ? 3 : 2;
      return -std::exp(l) * std::pow(held_rho, k) * std::exp(-l * held_rho) * a * log_p;
    }
    const double clipped = std::fmax(-a * rho, -a * std::fmin(std::fmax(rho, 1 - low), 1 + high));
    return dual && a < 0 ? std::fmin(clipped, -a * 3) : clipped;
  }

  /// The whole loss at @p log_p, M being @p mass.
  [[nodiscard]] double operator()(const std::vector<double>& log_p, const std::vector<double>& mass) const {
    const std::vector<double> a = advantages();
    double loss = 0, mean_log_p = 0, mean_advantage = 0;
    for (std::size_t t = 0; t < 7; ++t) {
      mean_log_p += t == 5 ? 0 : held[t] / 6;
      mean_advantage += a[t] / 6;
    }
    std::size_t chosen = 0;  // by KL-Cov: 2e-4 of 6 tokens, at least one
    const auto covariance = [&](std::size_t t) { return (held[t] - mean_log_p) * (a[t] - mean_advantage); };
    for (std::size_t t = 1; t < 7; ++t)
      if (t != 5 && covariance(t) > covariance(chosen)) chosen = t;
    for (std::size_t b = 0; b < 4; ++b) {
      const auto all = tokens(b);
      const auto n = static_cast<double>(all.size());
      const auto ratio_of_response = [&](const std::vector<double>& x) {
        double sum = 0;
        for (const std::size_t t : all) {
          double log_ratio = x[t] - s.old[t];
          if (is({"gmpo"})) log_ratio = a[t] > 0 ? std::fmin(log_ratio, 0.4) : std::fmax(log_ratio, -0.4);
          sum += log_ratio;
        }
        return std::exp(is({"gspo", "gmpo", "luspo"}) ? sum / n : sum);
      };
      for (const std::size_t t : all) {
        const bool of_response = is({"rloo", "gspo", "gmpo", "luspo", "vespo"});
        const double rho = of_response ? ratio_of_response(log_p) : std::exp(log_p[t] - s.old[t]);
        const double held_rho = of_response ? ratio_of_response(held) : std::exp(held[t] - s.old[t]);
        double token = surrogate(a[t], rho, held_rho, log_p[t], mass[t], s.mass[t]);
        const double k1 = log_p[t] - s.reference[t];
        if (!is({"ppo", "vapo", "reinforce_pp"})) token += kl * (std::exp(-k1) + k1 - 1);
        double share = 1.0 / 6;                                                           // a mean over tokens
        if (is({"rloo", "gspo", "gmpo", "sapo", "sppo", "sppo_std"})) share = 1 / n / 3;  // over responses
        if (is({"grpo"})) share = 1 / n / 4;                                              // the empty one too
        if (is({"luspo"})) share = 1.0 / 3;
        if (is({"dr_grpo"})) share = 1.0 / (4 * 4);  // responses of at most four tokens
        if (is({"kl_cov"}) && t == chosen) token += std::abs(log_p[t] - s.old[t]);
        loss += share * token;
        if (is({"vapo"}) && s.rewards[b] == 1) loss -= 0.1 * log_p[t] / 3;
      }
    }
    return loss;
  }
};

}  // namespace

TEST_CASE("recipes: advantages and gradients are those of the formulas, for every name") {
  for (const std::string& name : recipe_names())
    for (const auto& [kl, shift] :
         {std::pair(0.0, 0.0), {0.2, 0.0}, {0.0, 0.22}, {0.0, 0.9}, {0.2, 1.3}, {0.0, 1.7}, {0.0, -0.7}}) {
      INFO(name << ", KL " << kl << ", shift " << shift);
      const outcome o = step({.name = name, .kl = kl}, shifted(shift));
      const naive reference{.name = name, .s = shifted(shift), .kl = kl};
      const std::vector<double> a = reference.advantages();
      for (const std::size_t t : {0u, 1u, 2u, 3u, 4u, 6u}) CHECK(o.advantage[t] == Approx(a[t]).margin(1e-12));
      std::vector<double> log_p = reference.s.log_p, mass;
      for (const double x : reference.s.log_mass) mass.push_back(std::exp(x));
      const auto slope = [&](double& x) {
        const double at = x, step = 1e-6;
        x = at + step;
        const double above = reference(log_p, mass);
        x = at - step;
        const double below = reference(log_p, mass);
        x = at;
        return (above - below) / (2 * step);
      };
      for (std::size_t t = 0; t < 7; ++t) {
        CHECK(o.terms[t].target == Approx(slope(log_p[t])).margin(1e-8));
        CHECK(o.terms[t].subset == Approx(slope(mass[t])).margin(1e-8));
        CHECK(o.terms[t].forward_kl == 0);
      }
    }
}
