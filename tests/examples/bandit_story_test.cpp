// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "reason/bandit_story.hpp"

#include "support/catch.hpp"

using namespace reason;

TEST_CASE("bandit story: means and intervals are those of the seeds, whatever the threads") {
  const bandit_settings run{.steps = 10, .seed = 7};
  const std::vector<bandit_case> cases = {{"one", {.name = "grpo"}, run},
                                          {"two", {.name = "apo", .anchor_beta = 0.3}, run}};
  nlohmann::json one, three;
  CHECK(bandit_story({cases, 4, 1}, &one) == 0);
  CHECK(bandit_story({cases, 4, 3}, &three) == 0);
  CHECK(one == three);
  REQUIRE(one["cases"].size() == 2);
  CHECK(one["start"]["pass_1"].get<double>() == Approx(0.1483).margin(1e-4));
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& c = one["cases"][i];
    CHECK(c["name"] == cases[i].name);
    CHECK(c["fires_at_start"] == (i == 0));
    REQUIRE(c["seeds"].size() == 4);
    double mean = 0, squares = 0;
    for (const auto& s : c["seeds"]) mean += s["pass_64"].get<double>() / 4;
    for (const auto& s : c["seeds"]) squares += std::pow(s["pass_64"].get<double>() - mean, 2);
    CHECK(c["mean"]["pass_64"].get<double>() == Approx(mean));
    CHECK(c["interval"]["pass_64"].get<double>() == Approx(3.1824463 * std::sqrt(squares / 3 / 4)));
  }
  bandit second({.seed = 8}, cases[0].algorithm);
  for (int i = 0; i < 10; ++i) second.step();
  CHECK(one["cases"][0]["seeds"][1]["pass_64"] == second.measure().pass_64);
}

TEST_CASE("bandit story: a case that is none is refused before any is run") {
  CHECK_THROWS_WITH(bandit_story({{{"right", {.name = "grpo"}}, {"wrong", {.name = "gropo"}}}, 5, 1}, nullptr),
                    Catch::Contains("gropo"));
}

TEST_CASE("bandit story: the published table has a case for every row, all of them valid") {
  const auto table = bandit_table();
  CHECK(table.size() == 40);
  for (const auto& c : table) CHECK_NOTHROW(bandit(bandit_settings{}, c.algorithm));
}
