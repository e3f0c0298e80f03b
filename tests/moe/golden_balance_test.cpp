// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Balance losses, updates and scales beside their authors' own code; see tests/moe/golden_test.cpp.
#include "hone/moe/coverage.hpp"
#include "hone/moe/scale.hpp"
#include "hone/moe/update.hpp"
#include "moe/golden/compare.hpp"

using namespace hone;
using namespace hone::moe;
using namespace moe_golden;

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
