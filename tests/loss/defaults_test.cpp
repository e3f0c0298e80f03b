// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The values that options have where nobody sets them: those that sources publish.
#include "hone/loss/likelihood.hpp"
#include "hone/loss/preference.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/loss/unpaired.hpp"

#include "support/catch.hpp"

using namespace hone::loss;

TEST_CASE("defaults of losses") {
  CHECK(row_options{}.scale == 1);
  CHECK(row_options{}.temperature == 1);
  CHECK(satimp_options{}.beta1 == 5);
  CHECK(satimp_options{}.beta2 == 1);
  CHECK(simnpo_options{}.beta == 4.5);
  CHECK(simnpo_options{}.delta == 0);
  CHECK(kto_options{}.beta == 0.1);
  CHECK(kto_options{}.desirable == 1);
  CHECK(kto_options{}.undesirable == 1);
}

TEST_CASE("defaults of preference losses") {
  CHECK(dpo_loss{}.beta == 0.1);
  CHECK(dpo_loss{}.label_smoothing == 0);
  CHECK(!dpo_loss{}.robust);
  CHECK(ipo_loss{}.beta == 0.1);
  CHECK(hinge_loss{}.beta == 0.1);
  CHECK(exo_loss{}.beta == 0.1);
  CHECK(exo_loss{}.label_smoothing == 1e-3);
  CHECK(nca_loss{}.beta == 0.01);
  CHECK(bco_loss{}.beta == 0.01);
  CHECK(bco_loss{}.shift == 0);
  CHECK(discopop_loss{}.beta == 0.05);
  CHECK(discopop_loss{}.tau == 0.05);
  CHECK(apo_zero_loss{}.beta == 0.1);
  CHECK(apo_down_loss{}.beta == 0.1);
  CHECK(self_play_loss{}.beta == 0.001);
  CHECK(simpo_loss{}.beta == 2);
  CHECK(simpo_loss{}.gamma == 1);
  CHECK(cpo_loss{}.beta == 0.1);
  CHECK(cpo_loss{}.likelihood == 1);
  CHECK(orpo_loss{}.lambda == 0.1);
  CHECK(orpo_loss{}.likelihood == 1);
}
