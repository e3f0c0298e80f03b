// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whom the authors' code chooses, with which gates, what it drops, its balance losses, their gradients, and its updates
// (golden/routers.py).
#include "hone/moe/balance.hpp"
#include "hone/moe/coverage.hpp"
#include "hone/moe/route.hpp"
#include "hone/moe/scale.hpp"
#include "hone/moe/update.hpp"

#include "moe/golden/routers.hpp"
#include "support/catch.hpp"

#include <numeric>

using namespace hone;
using namespace hone::moe;

namespace {

using table = std::vector<std::vector<double>>;  // tokens x experts; 0 where there is no slot

const golden::routed& named(const std::string& name) {
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

void check_gates(const golden::routed& theirs, const table& ours) {
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

void check(const std::string& name, const router& r, const options& o = {}) {
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

router with(router r, void (*change)(router&)) {
  change(r);
  return r;
}

constexpr auto position = drop_policy::position, choice = drop_policy::choice;
const std::vector<index_t> halves = {0, 12, 24};

std::vector<std::uint8_t> every_fourth_padded() {
  std::vector<std::uint8_t> competes(24, 1);
  for (std::size_t t = 1; t < 24; t += 4) competes[t] = 0;
  return competes;
}
std::vector<int> loads(const std::vector<int>& kept) {
  std::vector<int> n(16);
  for (const int bits : kept)
    for (std::size_t e = 0; e < n.size(); ++e) n[e] += bits >> e & 1;
  return n;
}
/// Their gates, where ours are made to sum to 1 again.
void check_renormalised(const std::string& name, const router& r) {
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

}  // namespace

TEST_CASE("golden: Megatron-LM") {
  check("megatron post", top_k_then_softmax(4));
  check("megatron post, gradient", top_k_then_softmax(2));
  check("megatron pre", softmax_then_top_k(3));
  check("megatron pre, k = 1", softmax_then_top_k(1));
  check("megatron post, probs, 1", top_k_then_softmax(2, {1, 1}));
  check("megatron post, probs, 5/4", top_k_then_softmax(2, {5, 4}));
  check("megatron pre, probs, 3/4", softmax_then_top_k(2, {3, 4}));
  check("megatron sigmoid", loss_free(2));
  check("megatron sigmoid, bias, scaled", loss_free(4), {.bias = golden::wide_bias, .scale = {2.5}});
  check("megatron sinkhorn, k = 1", sinkhorn_balanced(1));
  check("megatron sinkhorn, k = 2", sinkhorn_balanced(2));
  check("megatron sinkhorn, k = 2, inference", softmax_then_top_k(2));
}

TEST_CASE("golden: EC-DLM") {
  check("ec-dlm", expert_choice(2), {.offsets = halves});
  check("ec-dlm, 1 sequence", expert_choice(3));
  check("ec-dlm, batch", expert_choice(2, pool::batch), {.offsets = {0, 20, 40}});
  check("ec-dlm, sigmoid", expert_choice_sigmoid(2), {.offsets = halves});
  check("ec-dlm, k of each sequence", expert_choice(2),
        {.offsets = {0, 8, 16, 24}, .capacities = {capacity(8, 1, 8), capacity(8, 2, 8), capacity(8, 5, 8)}});
  check("ec-dlm, k of each sequence, sigmoid", expert_choice_sigmoid(2),
        {.offsets = {0, 20, 40}, .capacities = {capacity(20, 4, 16), capacity(20, 1, 16)}});
  check("ec-dlm, pre", zhou_expert_choice(3), {.offsets = halves});
  check("ec-dlm, pre, batch", zhou_expert_choice(2, pool::batch), {.offsets = {0, 20, 40}});
  check("ec-dlm, scaled", expert_choice(3), {.offsets = halves, .scale = golden::scales});
  check("ec-dlm, tokens choose, scaled", top_k_then_softmax(2, {5, 4}), {.scale = {golden::token_scale}});
  check("ec-dlm, loss-free", softmax_then_top_k(2), {.bias = golden::small_bias});
  // Its batch takes the most experts that a sequence asks for, whatever the others do.
  check("ec-dlm, k of each sequence, batch", expert_choice(3, pool::batch), {.offsets = halves});
}

TEST_CASE("golden: Transformers") {
  check("mixtral", top_k_then_softmax(2));
  check("olmoe", softmax_then_top_k(3));
  check("qwen3-moe", top_k_then_softmax(3));
  check("deepseek-v3", loss_free(3), {.bias = golden::small_bias, .scale = {2.5}});
  check("switch", switch_transformer());
  check("switch, each sequence's", with(switch_transformer(), [](router& r) { r.over = pool::sequence; }),
        {.offsets = halves});
}

TEST_CASE("golden: flaxformer") {
  check("flaxformer, experts choose", zhou_expert_choice(2), {.offsets = halves});
  check("flaxformer, experts choose, batch", zhou_expert_choice(2, pool::batch));
  check("flaxformer, k = 1", switch_transformer({1, 1}));
  check("flaxformer, k = 2", softmax_then_top_k(2, {5, 6}, choice));
  check("flaxformer, k = 4", softmax_then_top_k(4, {1, 1}, choice));
  check("flaxformer, padding", softmax_then_top_k(2, {1, 1}, choice), {.competes = every_fourth_padded()});
}

TEST_CASE("golden: Tutel's and DeepSpeed's gates, torchtitan's router, ReMoE") {
  check("tutel, k = 2", with(gshard(), [](router& r) { r.second_at_random = false; }));
  check("tutel, k = 4, not normalised", softmax_then_top_k(4, {6, 5}, choice));
  check("deepspeed, k = 2, roomy", with(gshard({4, 1}), [](router& r) { r.second_at_random = false; }));
  check("torchtitan, sigmoid", loss_free(3), {.bias = golden::small_bias, .scale = {1.5}});
  check("torchtitan, softmax", softmax_then_top_k(2));
  check("remoe", remoe());
}

// Each: what theirs gives, what ours gives, why.

TEST_CASE("golden: others leave to torch.topk which of equal scores are taken") {
  // The order of scores is part of the plan here: the higher, then the lower token, then the lower expert.
  const std::vector<double> equal(48);
  const auto route_equal = [&](const router& r, routing_plan<double>& plan) {
    route_memory<double> memory;
    route<double>(r, {equal.data(), 8, 6}, {.capacities = {}, .causal = false}, plan, memory);
  };
  routing_plan<double> rows, columns;
  route_equal(top_k_then_softmax(2), rows);
  CHECK(golden::tied_experts == std::vector<long>{5, 6});
  CHECK((rows.load(0) == 6 && rows.load(1) == 6));
  route_equal(expert_choice(3), columns);  // floor(6 * 3 / 8) = 2 tokens
  CHECK(golden::tied_tokens == std::vector<long>{3, 5});
  CHECK((columns.token[0] == 0 && columns.token[1] == 1));

  // "position" takes the top of a map of 0 and 1: as many stay, but not the first. DeepSpeed's one expert likewise.
  const auto check_position = [](const std::string& name, const router& r) {
    INFO(name);
    const routed<double> ours(false, r, {});
    CHECK(loads(ours.kept()) == loads(named(name).kept));
    CHECK(ours.kept() != named(name).kept);
    router unlimited = r;
    unlimited.capacity_numerator = 0;
    const routed<double> all(false, unlimited, {});
    std::vector<int> chosen = named(name).kept;
    for (std::size_t t = 0; t < chosen.size(); ++t) chosen[t] |= named(name).dropped[t];
    CHECK(all.kept() == chosen);
  };
  check_position("megatron post, position, 1", top_k_then_softmax(2, {1, 1}, position));
  check_position("megatron pre, position, 1", softmax_then_top_k(3, {1, 1}, position));
  check_position("deepspeed, k = 1", switch_transformer({1, 1}));
}

TEST_CASE("golden: DeepSpeed makes what stays within the capacity sum to 1 again") {
  // Here, as in the GShard paper, Tutel and Megatron-LM, what a token dropped stays in its sum.
  check_renormalised("deepspeed, k = 2", with(gshard(), [](router& r) { r.second_at_random = false; }));
  check_renormalised("deepspeed, probs", softmax_then_top_k(4, {1, 1}));
  check_renormalised("deepspeed, position", softmax_then_top_k(2, {1, 1}, position));
}

TEST_CASE("golden: a capacity in floating point may be one too many") {
  // ceil((25 * 2 / 11) * 1.1) is 6 in Megatron-LM; 25 * 2 * 11 / (11 * 10) is 5.
  const index_t tokens = golden::capacity[0], experts = golden::capacity[1], k = golden::capacity[2];
  const std::vector<double> equal(static_cast<std::size_t>(tokens * experts));
  routing_plan<double> plan;
  route_memory<double> memory;
  route<double>(top_k_then_softmax(k, {11, 10}, position), {equal.data(), experts, tokens}, {}, plan, memory);
  CHECK(golden::capacity[3] == 6);
  CHECK(plan.load(0) == 5);
}

TEST_CASE("golden: EC-DLM takes NaN first, and its token's other gate is NaN; Megatron-LM's sinkhorn overflows") {
  // Here NaN comes last and is counted, and gates are those of finite logits.
  CHECK(golden::nan_gates_of_token_5 == std::vector<long>{0, 3});
  std::vector<double> logits;
  for (const int x : golden::small) logits.push_back(x / 1024.0);
  logits[5 * 8 + 3] = NAN;
  routing_plan<double> plan;
  route_memory<double> memory;
  route<double>(expert_choice(1), {logits.data(), 8, 24, 1, 8}, {.causal = false}, plan, memory);
  CHECK(plan.nonfinite == 1);
  CHECK(plan.experts_of(5) == 1);
  for (const double g : plan.gate) CHECK(g > 0);

  CHECK(golden::nan_plans_of_100 == std::vector<long>{2});
  const std::vector<double> large = {100, 0, 0, 1};
  route<double>(sinkhorn_balanced(1), {large.data(), 2, 2, 1, 2}, {.causal = false}, plan, memory);
  for (const double share : memory.scores) CHECK((share >= 0 && share < 0.51));
}

TEST_CASE("golden: experts of flaxformer may choose padding") {
  // The mask multiplies probabilities: with 20 slots and 18 tokens two of padding are taken, with gate 0, and padding
  // counts for the capacity. Here padding does not compete.
  const golden::routed& theirs = named("flaxformer, experts choose padding");
  CHECK((theirs.kept[1] == 255 && theirs.kept[5] == 255));
  const routed<double> ours(false, zhou_expert_choice(1), {.capacities = {20}, .competes = every_fourth_padded()});
  std::vector<int> kept = theirs.kept;
  kept[1] = kept[5] = 0;
  CHECK(ours.kept() == kept);
}

TEST_CASE("golden: gates of one expert a token") {
  // Megatron-LM does not make one sigmoid sum to 1; DeepSeek-V3 and torchtitan do, as loss_free does.
  check("megatron sigmoid, k = 1", with(loss_free(1), [](router& r) { r.renormalised = false; }));
  for (const double g : routed<double>(false, loss_free(1), {}).plan.gate) CHECK(g == 1);
  // Its sinkhorn router has the sigmoid's gate at inference, too, where it does not balance.
  check("megatron sinkhorn, k = 1, inference",
        with(sinkhorn_balanced(1), [](router& r) { r.ranked_by = ranking::logit; }));
}

TEST_CASE("golden: EC-DLM's loss-free router drops by gates with the bias") {
  // Here a bias decides who is chosen and nothing else.
  const golden::routed& theirs = named("ec-dlm, loss-free, capacity 1");
  const routed<double> ours(false, softmax_then_top_k(2, {1, 1}), {.bias = golden::small_bias});
  CHECK(loads(ours.kept()) == loads(theirs.kept));
  CHECK(ours.kept() != theirs.kept);
}

TEST_CASE("golden: balance losses and their gradients") {
  const router two = softmax_then_top_k(2);
  const options padded{.competes = every_fourth_padded()};
  const auto by_switch = [](auto logits, const auto& plan, auto dlogits, const balance_options& o) {
    return switch_loss(logits, plan, dlogits, o);
  };
  const auto by_sequence = [](auto logits, const auto& plan, auto dlogits, const balance_options& o) {
    return sequence_loss(logits, plan, halves, dlogits, o);
  };
  const auto by_z = [](auto logits, const auto&, auto dlogits, const balance_options& o) {
    return z_loss(logits, dlogits, o);
  };
  const auto by_coverage = [](auto logits, const auto& plan, auto dlogits, const balance_options& o) {
    return coverage_loss(logits, plan, 2, {}, dlogits, o);
  };
  const auto by_relu = [](auto logits, const auto& plan, auto dlogits, const balance_options& o) {
    std::vector<index_t> counts(8);
    count_chosen(plan, counts);
    return relu_loss(logits, counts, 2 * 24, dlogits, o);
  };
  check_loss("megatron switch", two, {}, 1, by_switch);
  check_loss("megatron switch, padding", two, padded, 1, by_switch);
  check_loss("megatron sequence", two, {}, 1, by_sequence);
  check_loss("megatron z", two, {}, 1, by_z);
  check_loss("megatron z, padding", two, padded, 1, by_z);
  check_loss("ec-dlm coverage", expert_choice(2, pool::batch), {}, 1, by_coverage);
  check_loss("deepspeed, k = 3", softmax_then_top_k(3), {}, 1, by_switch);

  // Others do not divide by what they sum over: Transformers and flaxformer by k, ReMoE by the experts.
  check_loss("mixtral", two, {}, 2, by_switch);
  check_loss("flaxformer", two, {}, 2, by_switch);
  check_loss("remoe", remoe(), {}, 8, by_relu);
  // DeepSpeed's loss of two and Tutel's count the first choice alone.
  check_loss("deepspeed, k = 2", softmax_then_top_k(1), {}, 1, by_switch);
  check_loss("tutel", softmax_then_top_k(1), {}, 1, by_switch);
}

TEST_CASE("golden: Transformers adds up the counts of layers, so that those of one hide those of another") {
  // The second layer has the experts of the first in reverse order, and its loss; here the mean of both is that loss.
  double one = 0, both = 0;
  for (const golden::balance_loss& theirs : golden::losses) {
    if (theirs.name == "mixtral") one = theirs.value;
    if (theirs.name == "mixtral, 2 layers") both = theirs.value;
  }
  routed<double> layer(false, softmax_then_top_k(2), {});
  loss_sum sum;
  for (int i = 0; i < 2; ++i) {
    sum += switch_loss(layer.view(), layer.plan, matrix_view<double>(layer.logits.data(), 0, 0));
    for (std::size_t t = 0; t < 24; ++t) std::reverse(layer.logits.data() + 8 * t, layer.logits.data() + 8 * t + 8);
    route<double>(softmax_then_top_k(2), layer.view(), layer.given, layer.plan, layer.memory);
  }
  CHECK(2 * sum.mean() == Approx(one).epsilon(1e-6));
  CHECK(both < one - 0.05);
}

TEST_CASE("golden: updates of biases and of ReMoE's coefficient") {
  const std::vector<index_t> counts(golden::counts.begin(), golden::counts.end());
  const auto check_bias = [&](const golden::list& expected, bool centred) {
    golden::list bias = golden::small_bias;
    update_bias(bias, counts, 1e-3, centred);
    for (std::size_t e = 0; e < bias.size(); ++e) CHECK(bias[e] == Approx(expected[e]).margin(1e-7));
  };
  check_bias(golden::megatron_bias, false);
  check_bias(golden::ec_dlm_bias, false);
  check_bias(golden::torchtitan_bias, true);

  double lambda = 1e-8;
  for (std::size_t i = 0; i + 1 < golden::active.size(); ++i) {
    lambda = update_lambda(lambda, golden::active[i], 2 * 24, 2);
    CHECK(lambda == Approx(golden::lambdas[i]).epsilon(1e-12));
  }
  // At the target itself theirs becomes smaller; the paper's sign is 0 there.
  CHECK(golden::lambdas.back() == Approx(lambda / 1.2).epsilon(1e-12));
  CHECK(update_lambda(lambda, golden::active.back(), 2 * 24, 2) == lambda);
}

TEST_CASE("golden: scales of EC-DLM's draws and of own ones") {
  // Five standard errors of a difference: those of 10 000 draws are 0.0041 at most, 0.0011 of two that tokens choose.
  const std::vector<double> own = expert_choice_scales(8, {.shared = 2});
  REQUIRE(own.size() == golden::scales.size());
  for (std::size_t n = 0; n < own.size(); ++n) CHECK(own[n] == Approx(golden::scales[n]).margin(0.03));
  CHECK(token_choice_scale(8, 2, {.shared = 2}) == Approx(golden::token_scale).margin(0.01));
}
