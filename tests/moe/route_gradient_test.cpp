// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From gates back to logits, against differences, where logits are not finite, and bad input.
#include "hone/moe/route.hpp"

#include "hone/core/thread_pool.hpp"
#include "moe/routed.hpp"

using namespace hone;
using namespace moe_routed;

TEST_CASE("gradients of every router's gates are those of differences at a held selection") {
  const std::vector<index_t> offsets = {0, 5, 14};
  const double scale[] = {0, 1, 1.5, 2, 2.25};
  for (const auto& [name, r] : all_routers())
    for (const bool scaled : {false, true}) {
      CAPTURE(name, scaled);
      const rows x = random_logits(14, 4, 21, false);
      routed<double> own(x);
      moe::route_options<double> options{.offsets = offsets, .causal = false, .seed = 2};
      if (scaled) options.scale = scale;
      own(r, options);
      REQUIRE(own.plan.size() > 0);
      std::vector<double> weight;
      const philox random{5, 5};
      for (std::size_t s = 0; s < own.plan.token.size(); ++s) weight.push_back(random.normal(s));
      std::vector<double> gradient(own.logits.size(), 0.5);
      moe::route_backward(r, own.view(), options, own.plan, weight, matrix_view<double>(gradient.data(), 4, 14),
                          own.memory);
      for (double& g : gradient) g -= 0.5;  // added to
      const auto value = [&](const std::vector<double>& logits) {
        routed<double> moved(x);
        moved.logits = logits;
        moved(r, options);
        REQUIRE(moved.plan.token == own.plan.token);
        double sum = 0;
        for (std::size_t s = 0; s < weight.size(); ++s) sum += weight[s] * moved.plan.gate[s];
        return sum;
      };
      CHECK(gradient_error(own.logits, gradient, value, 1e-6) < 1e-8);
      // Of any executor, any strides.
      std::vector<double> across(own.logits.size(), 0.0), logits;
      for (std::size_t t = 0; t < 14; ++t)
        for (std::size_t e = 0; e < 4; ++e) logits.push_back(own.logits[e * 14 + t]);
      thread_pool two(2);
      moe::route_backward(r, matrix_view<const double>(logits.data(), 4, 14, 1, 4), options, own.plan, weight,
                          matrix_view<double>(across.data(), 4, 14, 1, 4), own.memory, two);
      double difference = 0;
      for (std::size_t t = 0; t < 14; ++t)
        for (std::size_t e = 0; e < 4; ++e)
          difference = worst(difference, std::abs(across[t * 4 + e] - gradient[e * 14 + t]));
      CHECK(difference < 1e-15);
    }
}

TEST_CASE("a logit that is not finite has gate 0 and no gradient, and leaves the token's others as they are") {
  const rows x = {{1, NAN, 2}, {INFINITY, 0, 1}, {-INFINITY, -INFINITY, 0.5}, {NAN, NAN, NAN}};
  for (const moe::router& r : {moe::top_k_then_softmax(2), moe::softmax_then_top_k(2), moe::loss_free(2)}) {
    routed<double> own(x);
    own(r, {});
    check_against(moe_reference::route<double>(r, x, {}), own.plan, 1e-14);
    CHECK(own.plan.nonfinite == 7);
    std::vector<double> dgate(own.plan.token.size(), 1), gradient(12, 0);
    dgate[0] = 3;
    moe::route_backward(r, own.view(), {}, own.plan, dgate, matrix_view<double>(gradient.data(), 3, 4), own.memory);
    for (std::size_t e = 0; e < 3; ++e)
      for (std::size_t t = 0; t < 4; ++t) {
        CHECK(std::isfinite(gradient[e * 4 + t]));
        if (!std::isfinite(x[t][e])) CHECK(gradient[e * 4 + t] == 0);
      }
  }
}

TEST_CASE("a gradient of what does not fit is refused before anything is written") {
  routed<double> own(random_logits(6, 3, 1, false));
  const moe::router r = moe::top_k_then_softmax(2);
  own(r, {});
  std::vector<double> dgate(12, 1), gradient(18, 0);
  const auto refused = [&](std::span<const double> slopes, matrix_view<double> to, const char* part) {
    CHECK_THROWS_WITH(moe::route_backward(r, own.view(), {}, own.plan, slopes, to, own.memory), Catch::Contains(part));
  };
  refused(std::span(dgate).first(11), {gradient.data(), 3, 6}, "dgate: has 11 elements for 12 slots");
  refused(dgate, {gradient.data(), 6, 3}, "dlogits: is 6 x 3, must be 3 x 6");
  refused(dgate, {gradient.data(), 3, 6, 0, 1}, "no two elements in one place");
  CHECK_THROWS_WITH(moe::route_backward(r, matrix_view<const double>(own.logits.data(), 6, 3), {}, own.plan, dgate,
                                        matrix_view<double>(gradient.data(), 6, 3), own.memory),
                    Catch::Contains("plan: is of 3 experts x 6 tokens"));
  CHECK(gradient == std::vector<double>(18, 0));
}
