// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every router, random logits, and a plan with what it was made of, checked against tests/moe/reference.hpp.
#pragma once
#include "hone/core/random.hpp"
#include "moe/reference.hpp"
#include "support/catch.hpp"
#include "support/gradient_error.hpp"

#include <set>

namespace moe_routed {

using namespace hone;
using moe_reference::rows;

struct named {
  const char* name;
  moe::router router;
};
inline moe::router covered(moe::router r) {
  r.best_if_none = true;
  return r;
}
inline const std::vector<named>& all_routers() {
  static const std::vector<named> routers = {
      {"expert choice", moe::expert_choice(2)},
      {"expert choice of the batch", moe::expert_choice(3, moe::pool::batch)},
      {"sigmoid expert choice", moe::expert_choice_sigmoid(2)},
      {"Zhou", moe::zhou_expert_choice(2)},
      {"Switch", moe::switch_transformer()},
      {"Switch, tight", moe::switch_transformer({1, 2})},
      {"GShard", moe::gshard()},
      {"GShard, roomy", moe::gshard({9, 2})},
      {"top k, softmax", moe::top_k_then_softmax(3)},
      {"top k, softmax, gates dropped", moe::top_k_then_softmax(2, {1, 1})},
      {"top k, softmax, places dropped", moe::top_k_then_softmax(2, {3, 4}, moe::drop_policy::position)},
      {"top k, softmax, choices dropped", moe::top_k_then_softmax(3, {3, 4}, moe::drop_policy::choice)},
      {"softmax, top k", moe::softmax_then_top_k(2)},
      {"softmax, top k, gates dropped", moe::softmax_then_top_k(3, {5, 4})},
      {"loss-free", moe::loss_free(2)},
      {"sinkhorn", moe::sinkhorn_balanced(2)},
      {"sinkhorn, one", moe::sinkhorn_balanced(1)},
      {"ReMoE", moe::remoe()},
      {"threshold", moe::expert_threshold(2)},
      {"race", moe::expert_race(2)},
      {"race of the batch", moe::expert_race(1, moe::pool::batch)},
      {"expert choice, all covered", covered(moe::expert_choice(1))},
      {"Zhou, all covered", covered(moe::zhou_expert_choice(1, moe::pool::batch))},
      {"race, all covered", covered(moe::expert_race(1))},
      {"threshold, all covered", covered(moe::expert_threshold(1))},
      {"relu of the best",
       {.chosen = moe::selection::row_top, .gate = moe::activation::relu, .renormalised = false, .per_token = 2}},
      {"capacity a sequence", {.chosen = moe::selection::row_top, .per_token = 2, .capacity_numerator = 1}},
  };
  return routers;
}

inline rows random_logits(index_t tokens, index_t experts, std::uint32_t stream, bool wild) {
  const philox random{11, stream};
  rows x(static_cast<std::size_t>(tokens), std::vector<double>(static_cast<std::size_t>(experts)));
  std::uint64_t i = 0;
  for (auto& row : x)
    for (double& v : row) {
      const double u = random.uniform(++i), normal = static_cast<float>(random.normal(i));
      v = !wild      ? normal
          : u < 0.1  ? NAN
          : u < 0.2  ? -INFINITY
          : u < 0.25 ? INFINITY
          : u < 0.6  ? std::round(normal)
                     : normal;
    }
  return x;
}

template <class T>
struct routed {
  std::vector<T> logits;  // experts x tokens
  moe::routing_plan<T> plan;
  moe::route_memory<T> memory;

  explicit routed(const rows& x) {
    for (std::size_t e = 0; !x.empty() && e < x[0].size(); ++e)
      for (const auto& row : x) logits.push_back(static_cast<T>(row[e]));
    plan.experts = x.empty() ? 1 : static_cast<index_t>(x[0].size());
    plan.tokens = static_cast<index_t>(x.size());
  }
  [[nodiscard]] matrix_view<const T> view() const { return {logits.data(), plan.experts, plan.tokens}; }
  template <class E = const serial>
  void operator()(const moe::router& r, const moe::route_options<T>& options, E&& pool = serial{}) {
    moe::route(r, view(), options, plan, memory, pool);
  }
};

/// What every plan holds to, whatever made it.
template <class T>
void check_plan(const moe::routing_plan<T>& plan) {
  REQUIRE(static_cast<index_t>(plan.offsets.size()) == plan.experts + 1);
  REQUIRE(static_cast<index_t>(plan.token_offsets.size()) == plan.tokens + 1);
  REQUIRE((plan.offsets.front() == 0 && plan.offsets.back() == plan.size()));
  REQUIRE((plan.token_offsets.front() == 0 && plan.token_offsets.back() == plan.size()));
  REQUIRE((plan.gate.size() == plan.token.size() && plan.slot.size() == plan.token.size()));
  bool ascends = true, transposed = true;
  std::set<std::pair<index_t, index_t>> pairs;
  for (index_t e = 0; e < plan.experts; ++e)
    for (index_t s = plan.offsets[static_cast<std::size_t>(e)]; s < plan.offsets[static_cast<std::size_t>(e) + 1];
         ++s) {
      const std::int32_t t = plan.token[static_cast<std::size_t>(s)];
      ascends = ascends &&
                (s == plan.offsets[static_cast<std::size_t>(e)] || plan.token[static_cast<std::size_t>(s) - 1] < t);
      pairs.insert({e, t});
    }
  for (index_t t = 0; t < plan.tokens; ++t)
    for (index_t i = plan.token_offsets[static_cast<std::size_t>(t)];
         i < plan.token_offsets[static_cast<std::size_t>(t) + 1]; ++i) {
      const std::int32_t s = plan.slot[static_cast<std::size_t>(i)];
      transposed =
          transposed && plan.token[static_cast<std::size_t>(s)] == t &&
          (i == plan.token_offsets[static_cast<std::size_t>(t)] || plan.slot[static_cast<std::size_t>(i) - 1] < s);
    }
  CHECK(ascends);
  CHECK(transposed);
  CHECK(static_cast<index_t>(pairs.size()) == plan.size());
}

template <class T>
void check_against(const moe_reference::result& expected, const moe::routing_plan<T>& plan, double tolerance) {
  std::map<std::pair<index_t, index_t>, double> found;
  for (index_t e = 0; e < plan.experts; ++e)
    for (index_t s = plan.offsets[static_cast<std::size_t>(e)]; s < plan.offsets[static_cast<std::size_t>(e) + 1]; ++s)
      found[{e, plan.token[static_cast<std::size_t>(s)]}] = static_cast<double>(plan.gate[static_cast<std::size_t>(s)]);
  REQUIRE(found.size() == expected.gate.size());
  double error = 0;
  for (const auto& [pair, gate] : expected.gate) {
    REQUIRE(found.count(pair) == 1);
    error = worst(error, std::abs(found[pair] - gate));
  }
  CHECK(error < tolerance);
  REQUIRE(plan.dropped.size() == expected.dropped.size());
  auto wanted = expected.dropped.begin();
  for (const auto& d : plan.dropped) {
    CHECK(std::pair<index_t, index_t>(d.expert, d.token) == wanted->first);
    CHECK(static_cast<double>(d.gate) == Approx(wanted->second).margin(tolerance));
    ++wanted;
  }
  CHECK(plan.nonfinite == expected.nonfinite);
}

}  // namespace moe_routed
