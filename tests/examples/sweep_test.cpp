// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support/sweep.hpp"

#include "support/catch.hpp"

namespace {

struct settings {
  double a = 1, b = 2;
  std::string name = "x";
};

struct program_of_two {
  program_of_two() {
    app.add_option("--a", s.a);
    app.add_option("--b", s.b);
    app.add_option("--name", s.name);
  }
  auto combinations(const std::vector<std::string>& sweep, std::vector<std::string> told = {}) {
    std::reverse(told.begin(), told.end());
    app.parse(told);
    return program::combinations_of(app, s, sweep, {"name"}, [this](const settings& each) { seen.push_back(each.a); });
  }

  settings s;
  CLI::App app;
  std::vector<double> seen;
};

}  // namespace

TEST_CASE("sweep: every combination, the last option fastest, and the settings as they were") {
  program_of_two p;
  const auto all = p.combinations({"a=3,4", "b=5,6"});
  REQUIRE(all.size() == 4);
  CHECK(all[1].name == "3 6");
  CHECK(all[1].options.a == 3);
  CHECK(all[1].options.b == 6);
  CHECK(all[2].values.at("a") == "4");
  CHECK(all[2].told.contains("--a"));
  CHECK(p.s.a == 1);
  CHECK(p.seen == std::vector<double>{3, 3, 4, 4});
  CHECK(program::sweep_title({"a=3,4", "b=5,6"}) == "a b");
  program_of_two alone;
  REQUIRE(alone.combinations({}, {"--a", "7"}).size() == 1);
  CHECK(alone.seen == std::vector<double>{7});
}

TEST_CASE("sweep: what a value brings along does not stay") {
  program_of_two p;
  const auto all = p.combinations({"a=3:b=9,4"});
  REQUIRE(all.size() == 2);
  CHECK(all[0].options.b == 9);
  CHECK(all[0].told.at("--b") == "3:b=9");
  CHECK(all[1].options.b == 2);
  CHECK_FALSE(all[1].told.contains("--b"));
}

TEST_CASE("sweep: two values at a time, one twice, none, and what may not differ are refused") {
  using Catch::Contains;
  CHECK_THROWS_WITH(program_of_two().combinations({"a"}), Contains("must be OPTION=VALUE"));
  CHECK_THROWS_WITH(program_of_two().combinations({"a=1,,2"}), Contains("must be OPTION=VALUE"));
  CHECK_THROWS_WITH(program_of_two().combinations({"a=1,2,"}), Contains("must be OPTION=VALUE"));
  CHECK_THROWS_WITH(program_of_two().combinations({"c=1"}), Contains("\"c\" is no option"));
  CHECK_THROWS_WITH(program_of_two().combinations({"name=x,y"}), Contains("\"name\" is no option"));
  CHECK_THROWS_WITH(program_of_two().combinations({"help=1"}), Contains("\"help\" is no option"));
  CHECK_THROWS_WITH(program_of_two().combinations({"a=1,1.0"}), Contains("the value 1.0 twice"));
  CHECK_THROWS_WITH(program_of_two().combinations({"a=1,2", "a=3"}), Contains("sets --a twice"));
  CHECK_THROWS_WITH(program_of_two().combinations({"a=1:b=2,3", "b=1,2"}), Contains("sets --b twice"));
  CHECK_THROWS_WITH(program_of_two().combinations({"a=1:a=2"}), Contains("sets --a twice"));
  CHECK_THROWS_WITH(program_of_two().combinations({"a=1,2"}, {"--a", "3"}), Contains("--a is told"));
  CHECK_THROWS_WITH(program_of_two().combinations({"a=one"}), Contains("--sweep: "));
}
