// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A small batch of logits, and the whole family of losses written down from the formulas, in double, from the logits:
/// with everything that is held constant in a gradient taken from logits of its own.
#pragma once
#include "hone/core/random.hpp"
#include "hone/policy/anchor.hpp"
#include "hone/policy/objective.hpp"
#include "hone/policy/rows.hpp"
#include "loss/support.hpp"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

using hone::index_t;

/// Responses of 3, 0, 1, 2 and 4 tokens, with a masked token, and a response in which all are masked.
struct sample_batch {
  index_t vocab = 6;
  double temperature = 1.3;
  std::vector<index_t> offsets = {0, 3, 3, 4, 6, 10};
  std::vector<std::int32_t> targets = {2, 0, 5, 1, -1, -100, 4, 3, -1, 0};
  std::vector<double> advantage = {1.25, 1.25, 1.25, -0.75, 0.5, 0.5, -0.8, -0.3, 0.6, 0.4};
  std::vector<double> weight = {1, 0.8, 1.5, 0.6, 1, 1, 0.9, 1.1, 1, 0.7};
  std::vector<double> logits, old_logits, reference_logits;

  explicit sample_batch(std::uint32_t stream = 1) {
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(rows() * vocab); ++i) {
      const hone::philox random{7, stream};
      old_logits.push_back(random.normal(i, 0));
      logits.push_back(old_logits.back() + 0.4 * random.normal(i, 1));
      reference_logits.push_back(old_logits.back() + 0.5 * random.normal(i, 2));
    }
  }
  [[nodiscard]] index_t rows() const { return offsets.back(); }
  [[nodiscard]] std::vector<double> probabilities(const std::vector<double>& z, std::size_t row) const {
    const auto begin = z.begin() + static_cast<index_t>(row) * vocab;
    return naive_softmax({begin, begin + vocab}, temperature);
  }
  [[nodiscard]] hone::matrix_view<const double> view(const std::vector<double>& z) const {
    return {z.data(), rows(), vocab};
  }
};

/// What the losses read, measured by the library.
struct measured {
  std::vector<double> log_probability, old, reference, entropy, log_mass, reference_mass, reference_likelihood;
  std::vector<std::int32_t> ids;
  std::vector<double> probability;
  hone::policy::support_view support;

  measured(const sample_batch& s, const std::vector<double>& z, index_t width = 3, bool keep_target = false) {
    const auto rows = static_cast<std::size_t>(s.rows());
    for (auto* x : {&log_probability, &old, &reference, &entropy, &log_mass, &reference_mass, &reference_likelihood})
      x->resize(rows);
    ids.resize(rows * static_cast<std::size_t>(width));
    probability.resize(ids.size());
    hone::policy::top_k_support(s.view(s.reference_logits), s.targets, width, {ids, probability, reference_mass},
                                {.keep_target = keep_target, .temperature = s.temperature});
    support = {ids, probability, width};
    hone::policy::measure(s.view(z), s.targets, support,
                          {.log_probability = log_probability,
                           .entropy = entropy,
                           .log_mass = log_mass,
                           .reference_likelihood = reference_likelihood},
                          s.temperature);
    hone::policy::measure(s.view(s.old_logits), s.targets, {}, {.log_probability = old}, s.temperature);
    hone::policy::measure(s.view(s.reference_logits), s.targets, {}, {.log_probability = reference}, s.temperature);
  }
  [[nodiscard]] hone::policy::token_batch batch(const sample_batch& s) const {
    return {.offsets = s.offsets,
            .targets = s.targets,
            .log_probability = log_probability,
            .old = old,
            .advantage = s.advantage,
            .weight = s.weight,
            .reference = reference,
            .entropy = entropy,
            .log_mass = log_mass,
            .reference_mass = reference_mass,
            .reference_likelihood = reference_likelihood};
  }
};

/// A loss by the names of its parts.
struct naive_setting {
  std::string level, surrogate;
  hone::policy::anchor_form form{};
  hone::policy::clip_placement placement{};
  hone::policy::kl_penalty kl{};
  double entropy = 0;
  hone::policy::aggregation mode{};
};

namespace naive {

inline double clip(double x, double low, double high) { return std::fmin(std::fmax(x, low), high); }

/// -A f(r) of the surrogates that are functions of the ratio.
inline double of_ratio(const std::string& name, double a, double r) {
  if (name == "unclipped") return -a * r;
  if (name == "sapo") return -a * 4 / (1 + std::exp(-(a > 0 ? 1.0 : 1.05) * (r - 1))) / (a > 0 ? 1.0 : 1.05);
  if (name == "delta") return std::fmax(-a * std::fmin(r, 1.3), -a * clip(r, 0.8, 1.2));
  const double high = name == "dapo" ? 1.28 : 1.2;
  const double loss = std::fmax(-a * r, -a * clip(r, 0.8, high));
  return name == "dual" && a < 0 ? std::fmin(loss, -a * 1.3) : loss;
}

/// Probabilities of every row.
using table = std::vector<std::vector<double>>;

inline table probabilities(const sample_batch& s, const std::vector<double>& z) {
  table result;
  for (index_t t = 0; t < s.rows(); ++t) result.push_back(s.probabilities(z, static_cast<std::size_t>(t)));
  return result;
}

/// The K likeliest ids of each row's reference but the target.
inline std::vector<std::vector<std::size_t>> support(const sample_batch& s, const table& reference, std::size_t width) {
  std::vector<std::vector<std::size_t>> result;
  for (std::size_t t = 0; t < s.targets.size(); ++t) {
    const auto& q = reference[t];
    std::vector<std::size_t> order(q.size()), members;
    for (std::size_t v = 0; v < q.size(); ++v) order[v] = v;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return q[x] > q[y]; });
    for (std::size_t i = 0; i < width; ++i)
      if (static_cast<std::int32_t>(order[i]) != s.targets[t] && s.targets[t] >= 0) members.push_back(order[i]);
    result.push_back(members);
  }
  return result;
}

/// The losses of a batch at the logits z, the constants of their gradients held at the batch's own logits.
struct family {
  sample_batch s;
  table constant = probabilities(s, s.logits), old = probabilities(s, s.old_logits),
        reference = probabilities(s, s.reference_logits);
  std::vector<std::vector<std::size_t>> members = support(s, reference, 3);

  [[nodiscard]] double log_p(const table& p, std::size_t t) const {
    return std::log(p[t][static_cast<std::size_t>(s.targets[t])]);
  }
  [[nodiscard]] double ratio(const naive_setting& set, const table& p, std::size_t t,
                             const std::vector<std::size_t>& rows) const {
    if (set.level == "token") return std::exp(log_p(p, t) - log_p(old, t));
    double x = 0;
    for (const std::size_t u : rows) {
      const double r = log_p(p, u) - log_p(old, u);
      x += set.level != "clipped_geometric" ? r : s.advantage[u] > 0 ? std::fmin(r, 0.1) : std::fmax(r, -0.1);
    }
    return std::exp(set.level == "sequence" ? x : x / static_cast<double>(rows.size()));
  }
  [[nodiscard]] double anchored(const naive_setting& set, const table& p, std::size_t t, double rho) const {
    using hone::policy::anchor_form, hone::policy::clip_placement;
    const double a = s.advantage[t];
    double m = 0, reference_mass = 0, r = 0;
    for (const std::size_t v : members[t]) m += p[t][v], reference_mass += reference[t][v];
    if (set.form == anchor_form::mass) r = m / reference_mass;
    if (set.form == anchor_form::log_mass) r = std::log(m);
    if (set.form == anchor_form::log_ratio) r = 1 + std::log(m / reference_mass);
    if (set.form == anchor_form::reference_likelihood)
      for (const std::size_t v : members[t]) r += reference[t][v] / reference_mass * std::log(p[t][v]);
    const double rectified = 1.05 * rho - 0.1 * r;
    if (set.placement == clip_placement::clip_rectified) return of_ratio("ppo", a, rectified);
    if (set.placement == clip_placement::no_clip) return -a * rectified;
    return 1.05 * of_ratio("ppo", a, rho) + a * 0.1 * r;
  }
  [[nodiscard]] double penalty(const naive_setting& set, const table& p, std::size_t t, bool value) const {
    using hone::policy::kl_estimator, hone::policy::kl_gradient;
    const double k1 = log_p(p, t) - log_p(reference, t), k2 = k1 * k1 / 2, k3 = std::exp(-k1) + k1 - 1;
    double k = set.kl.estimator == kl_estimator::k1 ? k1 : set.kl.estimator == kl_estimator::k2 ? k2 : k3;
    if (set.kl.gradient == kl_gradient::straight_through && !value) k = k2;
    if (set.kl.gradient == kl_gradient::importance) k *= std::exp(log_p(p, t) - log_p(old, t));
    return set.kl.coefficient * k;
  }
  /// @p value: the value of what has another gradient than its own.
  [[nodiscard]] double operator()(const naive_setting& set, const std::vector<double>& z, bool value) const {
    const table p = probabilities(s, z);
    double sum = 0;
    for (std::size_t b = 0; b + 1 < s.offsets.size(); ++b) {
      std::vector<std::size_t> rows;
      for (auto t = static_cast<std::size_t>(s.offsets[b]); t < static_cast<std::size_t>(s.offsets[b + 1]); ++t)
        if (s.targets[t] >= 0) rows.push_back(t);
      double response = 0;
      for (const std::size_t t : rows) {
        const double a = s.advantage[t], rho = ratio(set, p, t, rows), held = ratio(set, constant, t, rows);
        double l = 0;
        if (set.surrogate == "reinforce") {
          l = -a * log_p(p, t);
        } else if (set.surrogate == "cispo") {
          l = -clip(held, 0.8, 1.28) * a * log_p(p, t);
        } else if (set.surrogate == "vespo") {
          const double k = a > 0 ? 2 : 3, lambda = a > 0 ? 3 : 2;
          l = -std::exp(lambda) * std::pow(held, k) * std::exp(-lambda * held) * a * log_p(p, t);
        } else if (set.surrogate == "anchor") {
          l = a < 0 ? anchored(set, p, t, rho) : of_ratio("ppo", a, rho);
        } else {
          l = of_ratio(set.surrogate, a, rho);
        }
        response += s.weight[t] * l + penalty(set, p, t, value);
        for (const double x : p[t]) response += set.entropy * x * std::log(x);
      }
      if (!rows.empty()) sum += set.mode.mean_of_tokens ? response / static_cast<double>(rows.size()) : response;
    }
    return sum / set.mode.denominator;
  }
};

}  // namespace naive
