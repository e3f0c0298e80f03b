// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans, gates, outputs and gradients of inputs small enough to follow by hand. Values: double, from automatic
// differentiation where they are gradients.
#include "hone/moe/route.hpp"

#include "support/catch.hpp"

#include <array>
#include <vector>

using namespace hone;

namespace {

using table = std::vector<std::vector<double>>;  // by token

const table first = {{1.2, -0.4, 0.3}, {0.5, 0.9, -1.1}, {1.7, 0.2, 0.8},
                     {2.0, 1.5, -0.5}, {0.9, -1.0, 0.6}, {0.7, 1.3, -0.2}};
const table first_softmax = {{0.621710306, 0.125521146, 0.252768548}, {0.371233665, 0.553815550, 0.074950784},
                             {0.613609935, 0.136914883, 0.249475182}, {0.592201070, 0.359188106, 0.048610824},
                             {0.528992256, 0.079120641, 0.391887102}, {0.309723286, 0.564352623, 0.125924091}};
const table second = {
    {.6, -.9, 1.4, .1}, {-.3, 1.1, .2, .8}, {1.6, .4, -.7, -1.2}, {.05, -.5, .9, 1.7}, {.75, .3, -.15, .45}};

/// A plan of logits by token: experts x tokens is their transpose, in place.
struct routed {
  std::vector<double> logits;
  index_t tokens, experts;
  moe::routing_plan<double> plan;
  moe::route_memory<double> memory;

  routed(const table& x, const moe::router& r, const moe::route_options<double>& options)
      : tokens(static_cast<index_t>(x.size())), experts(static_cast<index_t>(x[0].size())) {
    for (const auto& row : x) logits.insert(logits.end(), row.begin(), row.end());
    moe::route(r, view(), options, plan, memory);
  }
  [[nodiscard]] matrix_view<const double> view() const { return {logits.data(), experts, tokens, 1, experts}; }
  /// Gates by token; 0 where there is no slot.
  [[nodiscard]] table gates() const {
    table g(static_cast<std::size_t>(tokens), std::vector<double>(static_cast<std::size_t>(experts), 0));
    for (index_t e = 0; e < experts; ++e)
      for (index_t s = plan.offsets[static_cast<std::size_t>(e)]; s < plan.offsets[static_cast<std::size_t>(e) + 1];
           ++s)
        g[static_cast<std::size_t>(plan.token[static_cast<std::size_t>(s)])][static_cast<std::size_t>(e)] =
            plan.gate[static_cast<std::size_t>(s)];
    return g;
  }
  [[nodiscard]] std::vector<std::vector<std::int32_t>> chosen() const {
    std::vector<std::vector<std::int32_t>> result;
    for (index_t e = 0; e < experts; ++e)
      result.emplace_back(plan.token.begin() + plan.offsets[static_cast<std::size_t>(e)],
                          plan.token.begin() + plan.offsets[static_cast<std::size_t>(e) + 1]);
    return result;
  }
};

void check_close(const table& found, const table& expected, double tolerance) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t t = 0; t < found.size(); ++t)
    for (std::size_t i = 0; i < expected[t].size(); ++i) {
      CAPTURE(t, i);
      CHECK(std::abs(found[t][i] - expected[t][i]) < tolerance);
    }
}

/// sum_e gate FFN_e(x) with the affine experts of the first input.
table output(const table& gates) {
  const double x[6][2] = {{1, .5}, {-.5, 2}, {.25, -1}, {1.5, 1}, {-1, .75}, {0, -.5}};
  const double a[3][2][2] = {{{1, 0}, {0, 1}}, {{0, 1}, {-1, 0}}, {{2, .5}, {.25, -1}}};
  const double b[3][2] = {{0, 0}, {.1, -.1}, {-.2, .3}};
  table y(6, std::vector<double>(2, 0));
  for (std::size_t t = 0; t < 6; ++t)
    for (std::size_t e = 0; e < 3; ++e)
      for (std::size_t i = 0; i < 2; ++i)
        y[t][i] += gates[t][e] * (a[e][i][0] * x[t][0] + a[e][i][1] * x[t][1] + b[e][i]);
  return y;
}
/// What each gate is worth to the sum of that output; to h y with the experts of the second input.
double worth(std::size_t t, std::size_t e) {
  table one(6, std::vector<double>(3, 0));
  one[t][e] = 1;
  const table y = output(one);
  return y[t][0] + y[t][1];
}
double second_worth(std::size_t t, std::size_t e) {
  static const double y[5][4][2] = {{{.5, -1}, {1, .25}, {-.75, 2}, {0, 1.5}},
                                    {{1.25, .5}, {-.5, -.25}, {.8, .4}, {2, -1}},
                                    {{-.6, .2}, {.3, .9}, {1.1, -.4}, {.7, .1}},
                                    {{.9, 1}, {-1.5, .6}, {.2, .35}, {.45, -.8}},
                                    {{0, .7}, {1.4, -.3}, {-.2, .5}, {.65, .15}}};
  return y[t][e][0] - .5 * y[t][e][1];
}

table gradient(routed& own, const moe::router& r, const moe::route_options<double>& options,
               double (*value)(std::size_t, std::size_t)) {
  std::vector<double> dgate;
  const auto chosen = own.chosen();
  for (std::size_t e = 0; e < chosen.size(); ++e)
    for (const std::int32_t t : chosen[e]) dgate.push_back(value(static_cast<std::size_t>(t), e));
  std::vector<double> d(own.logits.size(), 0);
  moe::route_backward(r, own.view(), options, own.plan, dgate,
                      matrix_view<double>(d.data(), own.experts, own.tokens, 1, own.experts), own.memory);
  table rows;
  for (index_t t = 0; t < own.tokens; ++t)
    rows.emplace_back(d.begin() + t * own.experts, d.begin() + (t + 1) * own.experts);
  return rows;
}

double total(const routed& own, double (*value)(std::size_t, std::size_t)) {
  double sum = 0;
  const table g = own.gates();
  for (std::size_t t = 0; t < g.size(); ++t)
    for (std::size_t e = 0; e < g[t].size(); ++e) sum += g[t][e] * value(t, e);
  return sum;
}

const moe::route_options<double> diffusion{.causal = false};
constexpr double nine = 1.5e-9, ten = 1.5e-10;

}  // namespace

TEST_CASE("expert choice, softmax over choosers") {
  routed one(first, moe::expert_choice(1), diffusion);
  CHECK(one.chosen() == std::vector<std::vector<std::int32_t>>{{2, 3}, {3, 5}, {2, 4}});
  for (index_t t = 0; t < 6; ++t)
    CHECK(one.plan.experts_of(t) == std::array{0, 0, 2, 2, 1, 1}[static_cast<std::size_t>(t)]);
  check_close(
      one.gates(),
      {{0, 0, 0}, {0, 0, 0}, {0.710949503, 0, 0.289050497}, {0.622459331, 0.377540669, 0}, {0, 0, 1}, {0, 1, 0}}, nine);
  check_close(output(one.gates()),
              {{0, 0}, {0, 0}, {0.119927276, -0.317118200}, {1.348983732, 0.018394261}, {-1.825, -0.7}, {-0.4, -0.1}},
              nine);
  check_close(
      gradient(one, moe::expert_choice(1), diffusion, worth),
      {{0, 0, 0}, {0, 0, 0}, {-0.393019338, 0, 0.393019338}, {0.705011137, -0.705011137, 0}, {0, 0, 0}, {0, 0, 0}},
      nine);

  routed two(first, moe::expert_choice(2), diffusion);
  CHECK(two.chosen() == std::vector<std::vector<std::int32_t>>{{0, 2, 3, 4}, {1, 2, 3, 5}, {0, 2, 4, 5}});
  check_close(two.gates(),
              {{0.710949503, 0, 0.289050497},
               {0, 1, 0},
               {0.613609935, 0.136914883, 0.249475182},
               {0.622459331, 0.377540669, 0},
               {0.574442517, 0, 0.425557483},
               {0, 0.817574476, 0.182425524}},
              nine);
  check_close(output(two.gates()),
              {{1.303503022, 0.369927276},
               {2.1, 0.4},
               {-0.019715947, -0.321620208},
               {1.348983732, 0.018394261},
               {-1.351084924, 0.132941649},
               {-0.409121276, 0.064182971}},
              nine);
  check_close(gradient(two, moe::expert_choice(2), diffusion, worth),
              {{-0.123300184, 0, 0.123300184},
               {0, 0, 0},
               {-0.250760195, -0.124409604, 0.375169799},
               {0.705011137, -0.705011137, 0},
               {0.556142659, 0, -0.556142659},
               {0, -0.126774484, 0.126774484}},
              nine);
}

TEST_CASE("expert choice, other gates and pools") {
  const routed sigmoid(first, moe::expert_choice_sigmoid(1), diffusion);
  check_close(
      sigmoid.gates(),
      {{0, 0, 0}, {0, 0, 0}, {0.550654289, 0, 0.449345711}, {0.518612712, 0.481387288, 0}, {0, 0, 1}, {0, 1, 0}}, nine);
  const routed zhou(first, moe::zhou_expert_choice(1), diffusion);
  CHECK(zhou.chosen() == std::vector<std::vector<std::int32_t>>{{0, 2}, {1, 5}, {0, 4}});
  table expected(6, std::vector<double>(3, 0));
  for (const auto& [t, e] :
       std::vector<std::pair<std::size_t, std::size_t>>{{0, 0}, {2, 0}, {1, 1}, {5, 1}, {0, 2}, {4, 2}})
    expected[t][e] = first_softmax[t][e];
  check_close(zhou.gates(), expected, nine);
  check_close(output(zhou.gates()),
              {{1.139885829, 0.323493581},
               {1.163012656, 0.221526220},
               {0.153402484, -0.613609935},
               {0, 0},
               {-0.715193961, -0.274320972},
               {-0.225741049, -0.056435262}},
              nine);
  const std::vector<index_t> offsets = {0, 3, 6}, capacities = {1, 2};
  const routed halves(first, moe::expert_choice(1), {.offsets = offsets, .capacities = capacities, .causal = false});
  check_close(halves.gates(),
              {{0, 0, 0},
               {0, 1, 0},
               {0.710949503, 0, 0.289050497},
               {0.622459331, 0.377540669, 0},
               {0.574442517, 0, 0.425557483},
               {0, 0.817574476, 0.182425524}},
              nine);
  const routed race(first, moe::expert_race(1), diffusion);
  CHECK(race.chosen() == std::vector<std::vector<std::int32_t>>{{0, 2, 3}, {1, 3, 5}, {}});
}

TEST_CASE("token choice, dropless and with a capacity") {
  routed own(first, moe::top_k_then_softmax(2), {});
  check_close(own.gates(),
              {{0.710949503, 0, 0.289050497},
               {0.401312340, 0.598687660, 0},
               {0.710949503, 0, 0.289050497},
               {0.622459331, 0.377540669, 0},
               {0.574442517, 0, 0.425557483},
               {0.354343694, 0.645656306, 0}},
              nine);
  for (const index_t e : {0, 1, 2}) CHECK(own.plan.load(e) == (e == 0 ? 6 : 3));
  check_close(output(own.gates()),
              {{1.303503022, 0.369927276},
               {1.056587916, 1.042099744},
               {0.119927276, -0.317118200},
               {1.348983732, 0.018394261},
               {-1.351084924, 0.132941649},
               {-0.258262522, -0.241737478}},
              nine);
  const auto dropped = [](moe::capacity_factor factor, moe::drop_policy policy) {
    const routed r(first, moe::top_k_then_softmax(2, factor, policy), diffusion);
    std::vector<std::pair<int, int>> pairs;
    for (const auto& d : r.plan.dropped) pairs.emplace_back(d.token, d.expert);
    return pairs;
  };
  using pairs = std::vector<std::pair<int, int>>;
  CHECK(dropped({1, 1}, moe::drop_policy::gate) == pairs{{1, 0}, {5, 0}});
  CHECK(dropped({1, 1}, moe::drop_policy::position) == pairs{{4, 0}, {5, 0}});
  CHECK(dropped({5, 4}, moe::drop_policy::gate) == pairs{{5, 0}});
  CHECK(dropped({5, 4}, moe::drop_policy::position) == pairs{{5, 0}});
  const routed tight(first, moe::top_k_then_softmax(2, {1, 1}), diffusion);
  const table y = output(tight.gates());
  check_close({y[1], y[5]}, {{1.257244086, 0.239475064}, {-0.258262522, -0.064565631}}, nine);
  // A bias ranks and is in no gate: EC-DLM's loss-free router with gates that sum to 1.
  const std::vector<double> bias = {-1, .5, .5};
  const routed biased(first, moe::top_k_then_softmax(2), {.bias = bias});
  check_close({biased.gates()[5], biased.gates()[0]}, {{0, 0.817574476, 0.182425524}, {0.710949503, 0, 0.289050497}},
              nine);
  for (const index_t e : {0, 1, 2}) CHECK(biased.plan.load(e) == 5 - (e > 0) - (e == 1));
}

TEST_CASE("ReMoE, ties, one token") {
  const routed relu(first, moe::remoe(), {});
  double sum = 0;
  for (const double g : relu.plan.gate) sum += g;
  CHECK((relu.plan.load(0) == 6 && relu.plan.load(1) == 4 && relu.plan.load(2) == 3));
  CHECK(sum / 18 == Approx(0.7).epsilon(1e-12));
  const routed ties({{.5}, {.5}, {.5}, {.2}}, {.per_token = 1},
                    {.capacities = std::vector<index_t>{2}, .causal = false});
  CHECK(ties.chosen() == std::vector<std::vector<std::int32_t>>{{0, 1}});
  const routed one({{1, 2, 3}}, moe::expert_choice(1), diffusion);
  CHECK(one.plan.size() == 3);
  const routed excluded({{-INFINITY, 0}, {1, 1}, {0, 1}}, moe::expert_choice(2), diffusion);
  CHECK(excluded.plan.load(0) == 3);
  const routed later({{-INFINITY}, {1}, {-5}}, {}, {.capacities = std::vector<index_t>{2}, .causal = false});
  CHECK(later.chosen() == std::vector<std::vector<std::int32_t>>{{1, 2}});
}

TEST_CASE("gradients on a second input") {
  const auto check = [](const moe::router& r, double value, const table& expected, std::vector<std::size_t> tokens) {
    routed own(second, r, diffusion);
    CHECK(std::abs(total(own, second_worth) - value) < ten);
    const table d = gradient(own, r, diffusion, second_worth);
    table some;
    for (const std::size_t t : tokens) some.push_back(d[t]);
    check_close(some, expected, ten);
  };
  const routed zhou(second, moe::zhou_expert_choice(2), diffusion);
  CHECK(zhou.chosen() == std::vector<std::vector<std::int32_t>>{{2, 4}, {1, 4}, {0, 3}, {1, 3}});
  check(moe::zhou_expert_choice(2), -0.1014282849,
        {{0.2368365376, 0.0528453746, -0.4333305335, 0.1436486214},
         {-0.0635534046, -0.4143643599, -0.1047818500, 0.5826996145},
         {-0.1513339027, 0.0986037903, 0.0328223505, 0.0199077619},
         {-0.0538736544, -0.0310823947, -0.1196343344, 0.2045903834},
         {-0.2079698145, 0.3023967259, -0.0334595806, -0.0609673308}},
        {0, 1, 2, 3, 4});
  const routed post(second, moe::expert_choice(2), diffusion);
  CHECK(post.chosen() == std::vector<std::vector<std::int32_t>>{{2, 4}, {1, 2}, {0, 3}, {1, 3}});
  const table held = {
      {0, -0.7028176461, 0, 0.7028176461}, {-0.0978419424, 0.0978419424, 0, 0}, {0, 0, -0.1764754996, 0.1764754996}};
  check(moe::expert_choice(2), -1.2299819198, {{0, 0, 0, 0}, held[0], held[1], held[2], {0, 0, 0, 0}}, {0, 1, 2, 3, 4});
  const routed sigmoid(second, moe::expert_choice_sigmoid(2), diffusion);
  check_close(
      {sigmoid.gates()[1], sigmoid.gates()[2], sigmoid.gates()[3]},
      {{0, 0.5209290990, 0, 0.4790709010}, {0.5815439083, 0.4184560917, 0, 0}, {0, 0, 0.4567662720, 0.5432337280}},
      ten);
  check(moe::expert_choice_sigmoid(2), -1.0943524836,
        {{0, -0.1791860446, 0, 0.2224404178}, {-0.0224831339, 0.0537127773, 0, 0}, {0, 0, -0.0591709339, 0.0316202673}},
        {1, 2, 3});
  check(moe::top_k_then_softmax(2), 0.0162289290,
        {{0.5882516654, 0, -0.5882516654, 0}, held[0], held[1], held[2], {-0.2261239383, 0, 0, 0.2261239383}},
        {0, 1, 2, 3, 4});
}

TEST_CASE("capacity beyond the tokens takes all of them") {
  const routed experts({{0, 1}, {1, 0}, {.5, .25}}, moe::expert_choice(3), diffusion);
  CHECK(experts.chosen() == std::vector<std::vector<std::int32_t>>{{0, 1, 2}, {0, 1, 2}});
  const table same(5, {1, 0, 0, 0});
  const routed tight(same, moe::switch_transformer({1, 1}), {});
  CHECK(tight.chosen() == std::vector<std::vector<std::int32_t>>{{0, 1}, {}, {}, {}});
  REQUIRE(tight.plan.dropped.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(tight.plan.dropped[i].token == static_cast<std::int32_t>(i) + 2);
  const routed roomy(same, moe::switch_transformer({5, 1}), {});
  CHECK((roomy.plan.load(0) == 5 && roomy.plan.dropped.empty()));
  // In floats ceil((29 8 / 7) 1.75) is 59.
  const routed whole(table(29, std::vector<double>(14, 0)),
                     moe::top_k_then_softmax(8, {7, 8}, moe::drop_policy::position), {});
  CHECK(whole.plan.load(0) == 15);
  CHECK(moe::detail::row_capacity(moe::top_k_then_softmax(8, {7, 4}), 7, 29) == 29);
  CHECK(moe::detail::row_capacity(moe::top_k_then_softmax(2, {7, 4}), 7, 29) == 15);
  CHECK(moe::detail::row_capacity(moe::top_k_then_softmax(1000000, {1000000, 1}), 1, 2000000000) == 2000000000);
}

TEST_CASE("an excluded expert is not chosen twice") {
  const std::vector<double> bias = {-INFINITY, -INFINITY, 0, -INFINITY};
  const routed own({{0, 0, 0, 0}}, moe::top_k_then_softmax(3), {.bias = bias});
  check_close(own.gates(), {{1 / 3.0, 1 / 3.0, 1 / 3.0, 0}}, 1e-15);
  CHECK(own.memory.chosen == std::vector<std::int32_t>{2, 0, 1});
  CHECK(own.plan.nonfinite == 0);
}
