// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "reason/idle.hpp"

#include "support/catch.hpp"

using namespace reason;

namespace {

bool idle(const std::string& option, const settings& s, bool table = false) {
  return program::idle_options(wants_of(s, table)).contains(option);
}

settings with(const policy::recipe_options& a, const std::string& task = "chain") {
  settings s;
  s.task = task;
  s.algorithm = a;
  return s;
}

struct one_run {
  settings options;
  told_options told;
};

}  // namespace

TEST_CASE("idle options: an anchor's, a penalty's and a critic's need one") {
  for (const char* option : {"--anchor-k", "--anchor-beta", "--anchor-lambda", "--anchor-form", "--anchor-clip"}) {
    INFO(option);
    CHECK(idle(option, with({.name = "grpo"})));
    CHECK_FALSE(idle(option, with({.name = "apo"})));
    CHECK_FALSE(idle(option, with({.name = "sppo+apo"})));
  }
  CHECK(idle("--anchor-k", with({.name = "apo", .anchor_beta = 0})));
  CHECK_FALSE(idle("--anchor-lambda", with({.name = "apo", .anchor_beta = 0})));
  for (const char* option : {"--kl-estimator", "--kl-gradient"}) {
    CHECK(idle(option, with({.name = "grpo"})));
    CHECK_FALSE(idle(option, with({.name = "grpo", .kl = 0.1})));
  }
  for (const char* name : {"ppo", "vapo", "reinforce_pp"}) {
    CHECK(idle("--kl-gradient", with({.name = name, .kl = 0.1})));
    CHECK_FALSE(idle("--kl-estimator", with({.name = name, .kl = 0.1})));
  }
  for (const char* option : {"--critic-rate", "--critic-size"}) {
    CHECK(idle(option, with({.name = "grpo"})));
    CHECK_FALSE(idle(option, with({.name = "sppo"})));
  }
}

TEST_CASE("idle options: what a task has not, and a model of a file") {
  for (const char* option : {"--horizon", "--error", "--width", "--sft-rate", "--epochs", "--samples"}) {
    INFO(option);
    CHECK_FALSE(idle(option, with({.name = "grpo"})));
    CHECK(idle(option, with({.name = "grpo"}, "bandit")));
  }
  CHECK_FALSE(idle("--moduli", with({.name = "grpo"})));
  CHECK(idle("--moduli", with({.name = "grpo"}, "tree")));
  CHECK_FALSE(idle("--aliasing", with({.name = "grpo"}, "tree")));
  CHECK(idle("--aliasing", with({.name = "grpo"})));
  CHECK(idle("--collapse", with({.name = "grpo"})));
  CHECK_FALSE(idle("--collapse", with({.name = "grpo"}, "bandit")));
  CHECK(idle("--critic-size", with({.name = "sppo"}, "bandit")));
  CHECK_FALSE(idle("--critic-rate", with({.name = "sppo"}, "bandit")));
  CHECK(idle("--kl", with({.name = "grpo"}, "bandit"), true));
  CHECK_FALSE(idle("--kl", with({.name = "grpo"}, "bandit")));
  settings own = with({.name = "grpo"});
  own.model = "model";
  for (const char* option : {"--task", "--horizon", "--width", "--sft-rate"}) CHECK(idle(option, own));
  own.sft_steps = 5;
  CHECK_FALSE(idle("--sft-rate", own));
}

TEST_CASE("idle options: one is refused that does nothing in any of the runs it was told for") {
  using Catch::Contains;
  const settings grpo = with({.name = "grpo"}), apo = with({.name = "apo"});
  using runs = std::vector<one_run>;
  CHECK_NOTHROW(refuse_idle(runs{}));
  CHECK_NOTHROW(refuse_idle(runs{{grpo, {{"--kl", ""}, {"--seeds", ""}}}}));
  CHECK_NOTHROW(refuse_idle(runs{{grpo, {{"--anchor-beta", ""}}}, {apo, {{"--anchor-beta", ""}}}}));
  CHECK_THROWS_WITH(refuse_idle(runs{{grpo, {{"--anchor-beta", ""}}}, {grpo, {{"--anchor-beta", ""}}}}),
                    Contains("--anchor-beta changes nothing without an algorithm with an anchor"));
  CHECK_THROWS_WITH(refuse_idle(runs{{grpo, {{"--anchor-beta", "grpo:anchor-beta=1"}}},
                                     {apo, {{"--anchor-beta", "apo:anchor-beta=1"}}}}),
                    Contains("--sweep grpo:anchor-beta=1: --anchor-beta"));
  const settings bandit = with({.name = "grpo"}, "bandit");
  CHECK_THROWS_WITH(refuse_idle(runs{{bandit, {{"--kl", ""}}}}), Contains("--kl changes nothing without --algorithm"));
  CHECK_NOTHROW(refuse_idle(runs{{bandit, {{"--kl", ""}, {"--algorithm", ""}}}}));
}
