// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support/options.hpp"

#include "support/catch.hpp"

namespace {

enum class colour { red, green };
const std::map<std::string, colour> colours = {{"red", colour::red}, {"green", colour::green}};

struct fields {
  std::string name = "none", file, other;
  long steps = 5;
  std::uint64_t count = 1;
  double rate = 0.5;
  bool loud = false;
  std::vector<std::ptrdiff_t> sizes = {};
  std::optional<double> limit = {};
  std::optional<colour> paint = {};
  colour ground = colour::green;
};

program::options options_of(fields& f) {
  program::options row;
  row.group("One");
  row("--name,--alias", f.name, "what it is called");
  row("--steps", f.steps, "how many", program::at_least(1, program::most_count));
  row("--rate", f.rate, "how fast", program::above(0, program::most_weight)).shown("by itself");
  row("--loud", f.loud, "or not");
  row("--count", f.count, "of all");
  row.group("Two", false);
  row("--file", f.file, "to read").needs({"--other-file"});
  row("--other-file", f.other, "to read beside it").reported(true);
  row("--sizes", f.sizes, "of all").reported(true);
  row("--limit", f.limit, "if any", program::between(0, 1)).reported(true);
  row.choice("--paint", f.paint, colours, "on it").reported(true);
  row.choice("--ground", f.ground, colours, "under it").reported(true);
  return row;
}

fields told(std::vector<std::string> arguments) {
  fields f;
  CLI::App app;
  options_of(f).declare(app);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  return f;
}

}  // namespace

TEST_CASE("options: a row writes its field, and refuses what is not allowed") {
  const fields f = told({"--alias", "x", "--steps", "7", "--loud", "--sizes", "1,2", "--limit", "1", "--paint", "Red"});
  CHECK(f.name == "x");
  CHECK(f.steps == 7);
  CHECK(f.loud);
  CHECK(f.sizes == std::vector<std::ptrdiff_t>{1, 2});
  CHECK(f.limit == 1);
  CHECK(f.paint == colour::red);
  CHECK(f.ground == colour::green);
  CHECK_THROWS_AS(told({"--steps", "0"}), CLI::ValidationError);
  CHECK_THROWS_AS(told({"--paint", "blue"}), CLI::ValidationError);
  CHECK_THROWS_AS(told({"--file", "a"}), CLI::RequiresError);
  CHECK(told({"--file", "a", "--other-file", "b"}).file == "a");
}

TEST_CASE("options: the report has the rows that are reported, by name and value") {
  fields f = told({"--name", "x", "--file", "a", "--other-file", "b", "--paint", "green", "--sizes", "4"});
  CHECK(options_of(f).report() == nlohmann::json{{"name", "x"},
                                                 {"steps", 5},
                                                 {"rate", 0.5},
                                                 {"loud", false},
                                                 {"count", 1},
                                                 {"other_file", "b"},
                                                 {"sizes", {4}},
                                                 {"limit", nullptr},
                                                 {"paint", "green"},
                                                 {"ground", "green"}});
  fields none;
  CHECK(options_of(none).report()["paint"].is_null());
}

TEST_CASE("options: --help shows groups, defaults, and what is said in their place") {
  fields f;
  CLI::App app;
  options_of(f).declare(app);
  const std::string help = app.help();
  using Catch::Contains;
  CHECK_THAT(help, Contains("One:") && Contains("Two:") && Contains("=none") && Contains("=by itself"));
  CHECK_THAT(help, !Contains("=0.5"));
}

namespace {

/// What is said of @p arguments.
std::string refusal(std::vector<std::string> arguments) {
  try {
    told(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST_CASE("options: numbers are refused in plain words") {
  CHECK(refusal({"--steps", "0"}) == "--steps: must be at least 1, is 0");
  CHECK(refusal({"--steps", "-5"}) == "--steps: must be at least 1, is -5");
  CHECK(refusal({"--steps", "2000000000"}) == "--steps: must be at most 1000000000, is 2000000000");
  CHECK(refusal({"--steps", "99999999999999999999"}) == "--steps: 99999999999999999999 is too large");
  for (const char* text : {"1e9x", "1.5", "1e3", "", " 1", "0x10", "many"}) {
    INFO(text);
    CHECK(refusal({"--steps", text}) == "--steps: \"" + std::string(text) + "\" is no whole number");
  }
  CHECK(told({"--steps", "010"}).steps == 10);
  CHECK(told({"--steps", "+3"}).steps == 3);
  CHECK(refusal({"--count", "-1"}) == "--count: must be at least 0, is -1");
  CHECK(told({"--count", "18446744073709551615"}).count == 18446744073709551615u);
  CHECK(refusal({"--paint", "blue"}) == "--paint: blue is none of green, red");
  CHECK(refusal({"--name", ""}) == "--name: is empty");
  CHECK(refusal({"--sizes", "1,x"}) == "--sizes: \"x\" is no whole number");
  CHECK(refusal({"--rate", "0"}) == "--rate: must be above 0, is 0");
  CHECK(refusal({"--rate", "1e300"}) == "--rate: must be at most 1000000, is 1e300");
  CHECK(refusal({"--rate", "1e9x"}) == "--rate: \"1e9x\" is no number");
  CHECK(refusal({"--limit", "1.5"}) == "--limit: must be from 0 to 1, is 1.5");
  for (const char* text : {"nan", "inf", "-inf", "1e999"}) {
    INFO(text);
    CHECK(refusal({"--rate", text}) == "--rate: " + std::string(text) + " is not a finite number");
    CHECK(refusal({"--limit", text}) == "--limit: " + std::string(text) + " is not a finite number");
  }
}
