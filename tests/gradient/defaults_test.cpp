// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The values that options have where nobody sets them: those that sources publish; and those that are refused.
#include "hone/gradient.hpp"

#include "support/catch.hpp"

#include <cmath>

using namespace hone::gradient;

namespace {

/// Each of @p weights must be finite and at least 0.
template <class Method, class... Weight>
void check_weights(Weight Method::*... weights) {
  Method{}.check();
  const auto check = [](auto weight) {
    for (const double bad : {-1.0, std::nan(""), double{INFINITY}}) {
      Method method;
      method.*weight = bad;
      CHECK_THROWS_AS(method.check(), std::invalid_argument);
    }
  };
  (check(weights), ...);
}

/// Preferences must be finite and at least 0, one of them more.
template <class Method>
void check_preferences() {
  for (const double bad : {-1.0, std::nan(""), double{INFINITY}})
    CHECK_THROWS_AS((Method{.preference = {bad, 1}}.check()), std::invalid_argument);
  CHECK_THROWS_AS((Method{.preference = {}}.check()), std::invalid_argument);
  CHECK_NOTHROW((Method{.preference = {0, 1}}.check()));
}

}  // namespace

TEST_CASE("defaults of optimisers, schedules and clipping") {
  CHECK(adamw_options{}.learning_rate == 1e-3);
  CHECK(adamw_options{}.beta1 == 0.9);
  CHECK(adamw_options{}.beta2 == 0.999);
  CHECK(adamw_options{}.epsilon == 1e-8);
  CHECK(adamw_options{}.weight_decay == 0.01);
  CHECK(sgd_options{}.learning_rate == 1e-3);
  CHECK(sgd_options{}.momentum == 0);
  CHECK(sgd_options{}.weight_decay == 0);
  CHECK(!sgd_options{}.nesterov);
  CHECK(adafactor_options{}.learning_rate == 0);
  CHECK(adafactor_options{}.decay_exponent == 0.8);
  CHECK(adafactor_options{}.epsilon1 == 1e-30);
  CHECK(adafactor_options{}.epsilon2 == 1e-3);
  CHECK(adafactor_options{}.clip_threshold == 1);
  CHECK(adafactor_options{}.weight_decay == 0);
  CHECK(adafactor_options{}.scale_by_parameter);
  CHECK(step_options{}.rate == 1e-3);
  CHECK(step_options{}.weight_decay == 0);
  CHECK(step_options{}.clip == 0);
  CHECK(schedule{}.steps == 1000);
  CHECK(schedule{}.warmup == 0);
  CHECK(schedule{}.floor == 0);
}

TEST_CASE("defaults of gradient methods") {
  CHECK(sago{}.retain == 1);
  CHECK(sago{}.forget == 1);
  CHECK(sago_prefer_retain{}.retain == 1);
  CHECK(sago_prefer_retain{}.forget == 1);
  CHECK(sago_soft{}.retain == 1);
  CHECK(sago_soft{}.forget == 1);
  CHECK(sago_soft{}.sharpness == 8);
  CHECK(sago_noise_aware{}.retain == 1);
  CHECK(sago_noise_aware{}.forget == 1);
  CHECK(sago_noise_aware{}.threshold == 0);
  CHECK(pcgrad{}.retain == 1);
  CHECK(pcgrad{}.forget == 1);
  CHECK(pcgrad{}.epsilon == 0);
  CHECK(pcgrad_symmetric{}.epsilon == 0);
  CHECK(blur{}.retain == 1);
  CHECK(blur{}.forget == 1);
  CHECK(blur{}.epsilon == 0);
  CHECK(gradvac_one_sided{}.retain == 1);
  CHECK(gradvac_one_sided{}.forget == 1);
  CHECK(gradvac_one_sided{}.target == 0);
  CHECK(cagrad{}.c == 0.5);
  CHECK(gradnorm_options{}.alpha == 1.5);
  CHECK(gradnorm_options{}.learning_rate == 0.025);
}

TEST_CASE("weights and preferences out of range are refused, each of them") {
  check_weights(&sago::retain, &sago::forget);
  check_weights(&sago_prefer_retain::retain, &sago_prefer_retain::forget);
  check_weights(&sago_soft::retain, &sago_soft::forget, &sago_soft::sharpness);
  check_weights(&sago_noise_aware::retain, &sago_noise_aware::forget, &sago_noise_aware::threshold);
  check_weights(&sum::retain, &sum::forget);
  check_weights(&pcgrad::retain, &pcgrad::forget, &pcgrad::epsilon);
  check_weights(&pcgrad_symmetric::epsilon);
  check_weights(&a_gem::epsilon);
  check_weights(&blur::retain, &blur::forget, &blur::epsilon);
  check_weights(&gradvac_one_sided::retain, &gradvac_one_sided::forget);
  check_weights(&retain_orthogonal::retain, &retain_orthogonal::forget);
  check_weights(&upgrad<2>::regularisation);
  check_weights(&dual_projection<2>::regularisation);
  check_weights(&gem::margin);
  check_weights(&clipped<pcgrad>::max_norm);
  check_weights(&scaled<pcgrad>::factor);
  check_preferences<upgrad<2>>();
  check_preferences<dual_projection<2>>();
  check_preferences<aligned_mtl<2>>();
  check_preferences<conflict_free<2>>();
}
