// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Plans by hand, router logits, and softmaxes written down naively in double.
#pragma once
#include "hone/core/random.hpp"
#include "hone/core/view.hpp"
#include "hone/moe/plan.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

/// The plan in which token t has the experts sets[t]; gates are 1.
template <class T = float>
hone::moe::routing_plan<T> plan_of(hone::index_t experts, const std::vector<std::vector<std::int32_t>>& sets) {
  hone::moe::routing_plan<T> plan;
  plan.tokens = std::ssize(sets);
  plan.experts = experts;
  plan.offsets.push_back(0);
  for (std::int32_t e = 0; e < experts; ++e) {
    for (std::size_t t = 0; t < sets.size(); ++t)
      if (std::find(sets[t].begin(), sets[t].end(), e) != sets[t].end())
        plan.token.push_back(static_cast<std::int32_t>(t));
    plan.offsets.push_back(std::ssize(plan.token));
  }
  plan.gate.assign(plan.token.size(), T(1));
  transpose(plan);
  return plan;
}

/// Each token's k largest logits, ties to the lower expert. @param logits token by token
template <class T>
std::vector<std::vector<std::int32_t>> best_experts(const std::vector<T>& logits, hone::index_t experts,
                                                    hone::index_t k) {
  std::vector<std::vector<std::int32_t>> sets;
  for (std::size_t t = 0; t < logits.size(); t += static_cast<std::size_t>(experts)) {
    std::vector<std::int32_t> order;
    for (std::int32_t e = 0; e < experts; ++e) order.push_back(e);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return logits[t + static_cast<std::size_t>(a)] > logits[t + static_cast<std::size_t>(b)];
    });
    order.resize(static_cast<std::size_t>(k));
    sets.push_back(order);
  }
  return sets;
}

/// Logits as the references print them, a row a token, seen as experts x tokens.
template <class T>
hone::matrix_view<T> by_expert(std::vector<T>& logits, hone::index_t experts) {
  return {logits.data(), experts, std::ssize(logits) / experts, 1, experts};
}
template <class T>
hone::matrix_view<const T> by_expert(const std::vector<T>& logits, hone::index_t experts) {
  return {logits.data(), experts, std::ssize(logits) / experts, 1, experts};
}

/// Normal logits of deviation 2, token by token.
template <class T>
std::vector<T> router_logits(hone::index_t tokens, hone::index_t experts, std::uint32_t stream) {
  std::vector<T> z(static_cast<std::size_t>(tokens * experts));
  for (std::size_t i = 0; i < z.size(); ++i) z[i] = static_cast<T>(2 * hone::philox{7, stream}.normal(i));
  return z;
}

/// softmax over the finite ones; 0 for the others.
inline std::vector<double> finite_softmax(const std::vector<double>& z) {
  double top = -INFINITY, sum = 0;
  for (const double x : z)
    if (std::isfinite(x)) top = std::fmax(top, x);
  std::vector<double> p;
  for (const double x : z) p.push_back(std::isfinite(x) ? std::exp(x - top) : 0);
  for (const double x : p) sum += x;
  for (double& x : p) x = sum > 0 ? x / sum : 0;
  return p;
}

/// Inputs of the references R.1 and R.5.
inline const std::vector<double> reference_logits = {1.2, -0.4, 0.3,  0.5, 0.9,  -1.1, 1.7, 0.2, 0.8,
                                                     2.0, 1.5,  -0.5, 0.9, -1.0, 0.6,  0.7, 1.3, -0.2};
inline const std::vector<double> second_logits = {.6,  -.9,  1.4, .1,  -.3, 1.1, .2,  .8, 1.6,  .4,
                                                  -.7, -1.2, .05, -.5, .9,  1.7, .75, .3, -.15, .45};
