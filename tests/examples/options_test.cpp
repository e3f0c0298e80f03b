// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support/options.hpp"

#include "support/catch.hpp"

namespace {

enum class colour { red, green };
const std::map<std::string, colour> colours = {{"red", colour::red}, {"green", colour::green}};

struct fields {
  std::string name = "none", file, other;
  long steps = 5;
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
  row("--steps", f.steps, "how many", CLI::PositiveNumber);
  row("--rate", f.rate, "how fast").shown("by itself");
  row("--loud", f.loud, "or not");
  row.group("Two", false);
  row("--file", f.file, "to read").needs({"--other-file"});
  row("--other-file", f.other, "to read beside it").reported(true);
  row("--sizes", f.sizes, "of all").reported(true);
  row("--limit", f.limit, "if any").reported(true);
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
  const fields f = told({"--alias", "x", "--steps", "7", "--loud", "--sizes", "1,2", "--limit", "3", "--paint", "Red"});
  CHECK(f.name == "x");
  CHECK(f.steps == 7);
  CHECK(f.loud);
  CHECK(f.sizes == std::vector<std::ptrdiff_t>{1, 2});
  CHECK(f.limit == 3);
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

TEST_CASE("options: a number that is not finite is refused by its name") {
  fields f;
  CHECK_NOTHROW(options_of(f).require_finite());
  f.rate = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(options_of(f).require_finite(), "--rate: is not a finite number");
  f.rate = 1;
  f.limit = 2;
  CHECK_NOTHROW(options_of(f).require_finite());
  f.limit = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(options_of(f).require_finite(), "--limit: is not a finite number");
}
