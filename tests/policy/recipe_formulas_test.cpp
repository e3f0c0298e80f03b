// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Every recipe from its formula, naively, against the library's advantages and gradients.
#include "policy/recipe_support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>

using namespace hone;
using namespace hone::policy;

namespace {

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

/// Every algorithm from its formula, of the sample; the lengths of its responses are 3, 1, 2 and 0.
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
      const double r = s.rewards[b], other = s.rewards[b ^ 1], mean = (r + other) / 2, v = logistic(s.of_prompts[b]);
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
    if (is({"sapo"})) return -a * 4 * logistic((a > 0 ? 1 : 1.05) * (rho - 1)) / (a > 0 ? 1 : 1.05);
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
