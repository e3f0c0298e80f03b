// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/plan.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

using namespace hone;

TEST_CASE("a plan's way back from tokens has each slot once, by ascending expert, whatever memory held before") {
  moe::routing_plan<double> plan;
  for (const index_t tokens : {9, 0, 40, 1, 3}) {
    plan.tokens = tokens;
    plan.experts = 5;
    plan.token.clear();
    plan.offsets = {0};
    const philox random{3, static_cast<std::uint32_t>(tokens)};
    for (index_t e = 0; e < 5; ++e) {
      for (index_t t = 0; t < tokens; ++t)
        if (e != 2 && t % 7 != 3 && random.uniform(static_cast<std::uint64_t>(e * 100 + t)) < 0.5)
          plan.token.push_back(static_cast<std::int32_t>(t));
      plan.offsets.push_back(plan.size());
    }
    moe::transpose(plan);
    CHECK(plan.load(2) == 0);
    REQUIRE(plan.token_offsets.size() == static_cast<std::size_t>(tokens) + 1);
    REQUIRE(plan.slot.size() == plan.token.size());
    index_t loads = 0, seen = 0;
    for (index_t e = 0; e < 5; ++e) loads += plan.load(e);
    CHECK(loads == plan.size());
    for (index_t t = 0; t < tokens; ++t) {
      if (t % 7 == 3) CHECK(plan.experts_of(t) == 0);
      std::int32_t last = -1;
      for (index_t i = 0; i < plan.experts_of(t); ++i, ++seen) {
        const std::int32_t slot =
            plan.slot[static_cast<std::size_t>(plan.token_offsets[static_cast<std::size_t>(t)] + i)];
        CHECK(plan.token[static_cast<std::size_t>(slot)] == t);
        CHECK(slot > last);
        last = slot;
      }
    }
    CHECK(seen == plan.size());
  }
}
