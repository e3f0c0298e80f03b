// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What routers and balance losses give beside what the authors' code gave.
#pragma once
#include "hone/moe/balance.hpp"
#include "hone/moe/route.hpp"
#include "moe/golden/routers.hpp"
#include "support/catch.hpp"

#include <numeric>

namespace moe_golden {

using namespace hone;
using namespace hone::moe;

using table = std::vector<std::vector<double>>;  // tokens x experts; 0 where there is no slot

inline const golden::routed& named(const std::string& name) {
  for (const golden::routed& row : golden::all_routed)
    if (row.name == name) return row;
  throw std::invalid_argument(name);
}

struct options {
  std::vector<index_t> offsets = {}, capacities = {};
  golden::list bias = {}, scale = {};
  std::vector<std::uint8_t> competes = {};
};

template <class T>
struct routed {
  index_t tokens, experts;
  std::vector<T> logits;  // by token
  std::vector<T> bias;
  route_options<T> given;
  routing_plan<T> plan;
  route_memory<T> memory;

  routed(bool wide, const router& r, const options& o)
      : tokens(wide ? 40 : 24), experts(wide ? 16 : 8), bias(o.bias.begin(), o.bias.end()) {
    for (const int x : wide ? golden::wide : golden::small) logits.push_back(static_cast<T>(x) / 1024);
    given = {.offsets = o.offsets,
             .competes = o.competes,
             .bias = bias,
             .capacities = o.capacities,
             .scale = o.scale,
             .causal = false};
    route<T>(r, view(), given, plan, memory);
  }
  [[nodiscard]] matrix_view<const T> view() const { return {logits.data(), experts, tokens, 1, experts}; }

  template <class F>
  void for_each_slot(F&& f) const {
    for (index_t e = 0; e < experts; ++e)
      for (index_t s = plan.offsets[static_cast<std::size_t>(e)]; s < plan.offsets[static_cast<std::size_t>(e) + 1];
           ++s)
        f(static_cast<std::size_t>(plan.token[static_cast<std::size_t>(s)]), static_cast<std::size_t>(e),
          static_cast<std::size_t>(s));
  }
  /// Experts of each token as bits.
  [[nodiscard]] std::vector<int> kept() const {
    std::vector<int> bits(static_cast<std::size_t>(tokens));
    for_each_slot([&](std::size_t t, std::size_t e, std::size_t) { bits[t] |= 1 << e; });
    return bits;
  }
  [[nodiscard]] std::vector<int> dropped() const {
    std::vector<int> bits(plan.dropped.empty() ? 0 : static_cast<std::size_t>(tokens));
    for (const auto& d : plan.dropped) bits[static_cast<std::size_t>(d.token)] |= 1 << d.expert;
    return bits;
  }
  [[nodiscard]] table gates() const {
    table g(static_cast<std::size_t>(tokens), std::vector<double>(static_cast<std::size_t>(experts)));
    for_each_slot([&](std::size_t t, std::size_t e, std::size_t s) { g[t][e] = static_cast<double>(plan.gate[s]); });
    return g;
  }
  /// Of the sum of gate times ((5 t + 3 e) mod 17 - 8) / 8, by token.
  [[nodiscard]] std::vector<T> gradient(const router& r) {
    std::vector<T> dgate(plan.token.size()), d(logits.size());
    for_each_slot(
        [&](std::size_t t, std::size_t e, std::size_t s) { dgate[s] = static_cast<T>((5 * t + 3 * e) % 17) / 8 - 1; });
    route_backward<T>(r, view(), given, plan, dgate, matrix_view<T>(d.data(), experts, tokens, 1, experts), memory);
    return d;
  }
};

inline void check_gates(const golden::routed& theirs, const table& ours) {
  std::size_t i = 0;
  double error = 0;
  for (std::size_t t = 0; t < ours.size(); ++t)
    for (std::size_t e = 0; e < ours[t].size(); ++e) {
      const double expected = (theirs.kept[t] >> e & 1) != 0 ? theirs.gates[i++] / 1e7 : 0;
      error = (std::max)(error, std::abs(ours[t][e] - expected));
    }
  CHECK(i == theirs.gates.size());
  CHECK(error < 1e-6);
}

/// Of every third token.
template <class T>
void check_gradient(const std::vector<int>& theirs, const std::vector<T>& ours, index_t experts) {
  const auto row = static_cast<std::size_t>(experts);
  double error = 0;
  for (std::size_t i = 0; i < theirs.size(); ++i)
    error = (std::max)(error, std::abs(static_cast<double>(ours[i / row * 3 * row + i % row]) - theirs[i] / 1e7));
  CHECK(error < 1e-6);
}

template <class T>
void check_as(const golden::routed& theirs, const router& r, const options& o) {
  routed<T> ours(theirs.wide, r, o);
  CHECK(ours.kept() == theirs.kept);
  CHECK(ours.dropped() == theirs.dropped);
  if (ours.kept() != theirs.kept) return;
  check_gates(theirs, ours.gates());
  if (!theirs.gradient.empty()) check_gradient(theirs.gradient, ours.gradient(r), ours.experts);
}

inline void check(const std::string& name, const router& r, const options& o = {}) {
  INFO(name);
  check_as<float>(named(name), r, o);
  check_as<double>(named(name), r, o);
}

/// Their loss is @p factor times the mean of ours, loss(logits, plan, dlogits, options), of r's plan.
template <class T, class F>
void check_loss_as(const golden::balance_loss& theirs, const router& r, const options& o, double factor, F&& loss) {
  const routed<T> ours(false, r, o);
  std::vector<T> d(ours.logits.size());
  balance_options given{.competes = o.competes};
  const loss_sum value = loss(ours.view(), ours.plan, matrix_view<T>(d.data(), 0, 0), given);
  CHECK(factor * value.mean() == Approx(theirs.value).epsilon(1e-6));
  given.scale = factor / static_cast<double>(value.count);
  loss(ours.view(), ours.plan, matrix_view<T>(d.data(), ours.experts, ours.tokens, 1, ours.experts), given);
  check_gradient(theirs.gradient, d, ours.experts);
}

template <class F>
void check_loss(const std::string& name, const router& r, const options& o, double factor, F&& loss) {
  INFO(name);
  for (const golden::balance_loss& theirs : golden::losses)
    if (theirs.name == name) {
      check_loss_as<float>(theirs, r, o, factor, loss);
      return check_loss_as<double>(theirs, r, o, factor, loss);
    }
  FAIL("no such loss");
}

inline router with(router r, void (*change)(router&)) {
  change(r);
  return r;
}

constexpr auto position = drop_policy::position, choice = drop_policy::choice;
inline const std::vector<index_t> halves = {0, 12, 24};

inline std::vector<std::uint8_t> every_fourth_padded() {
  std::vector<std::uint8_t> competes(24, 1);
  for (std::size_t t = 1; t < 24; t += 4) competes[t] = 0;
  return competes;
}
inline std::vector<int> loads(const std::vector<int>& kept) {
  std::vector<int> n(16);
  for (const int bits : kept)
    for (std::size_t e = 0; e < n.size(); ++e) n[e] += bits >> e & 1;
  return n;
}
/// Their gates, where ours are made to sum to 1 again.
inline void check_renormalised(const std::string& name, const router& r) {
  INFO(name);
  const routed<double> ours(named(name).wide, r, {});
  CHECK(ours.kept() == named(name).kept);
  table gates = ours.gates();
  for (auto& row : gates) {
    const double sum = std::accumulate(row.begin(), row.end(), 0.0);
    for (double& g : row) g = sum > 0 ? g / sum : 0;
  }
  check_gates(named(name), gates);
}

}  // namespace moe_golden
