// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whom the authors' code chooses, with which gates, what it drops, its balance losses, their gradients, and its updates
// (golden/routers.py).
#include "moe/golden/compare.hpp"

using namespace hone;
using namespace hone::moe;
using namespace moe_golden;

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
