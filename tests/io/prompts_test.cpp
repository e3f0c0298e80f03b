// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/prompts.hpp"

#include "io/support.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

#include <sstream>

using namespace hone;
using namespace hone::io;
using Catch::Contains;

TEST_CASE("prompts of both kinds are read with their answers") {
  const auto prompts = parse_prompts(
      "\xef\xbb\xbf{\"prompt\": \"6 * 3?\", \"answer\": \"18\", \"more\": 1}\r\n\r\n"
      "{\"question\": \"How much?\", \"answer\": \"It is <<1000+234.5=1234.5>>1234.5\\n#### 1,234.50\"}\n"
      "{\"prompt\": \"Half?\", \"answer\": 0.5}\n{\"prompt\": \"Where?\", \"answer\": \" Paris\"}\n"
      "{\"prompt\": \"Odds?\", \"answer\": \"3/4\"}\n{\"prompt\": \"Cost?\", \"answer\": \"-$5\"}",
      "file");
  REQUIRE(prompts.size() == 6);
  CHECK(prompts[0].text == "6 * 3?");
  CHECK(prompts[0].answer.text == "18");
  CHECK(prompts[1].text == "How much?");
  CHECK(prompts[1].answer.text == "1234.5");
  CHECK(prompts[2].answer.text == "0.5");
  CHECK(prompts[3].answer.text == "Paris");
  CHECK_FALSE(prompts[4].answer.number);
  CHECK(prompts[5].answer.text == "-5");
  CHECK(prompts[5].answer.number);
  CHECK(parse_prompts("{\"prompt\": \"a\", \"answer\": \"1\"}\nnonsense", "file", 1).size() == 1);
}

TEST_CASE("lines that are no prompts are refused, with their number") {
  const auto refused = [](const char* text, const char* reason) {
    CHECK_THROWS_WITH(parse_prompts(std::string("{\"prompt\": \"a\", \"answer\": 1}\n\n") + text, "f.jsonl"),
                      Contains("f.jsonl") && Contains(":3:") && Contains(reason));
    CHECK_THROWS_AS(parse_prompts(text, "f.jsonl"), format_error);
  };
  refused("{\"prompt\": \"a\"", "not valid JSON");
  refused("[1]", "not a JSON object");
  refused("{\"answer\": 1}", "\"prompt\" or \"question\"");
  refused("{\"prompt\": 1, \"answer\": 1}", "\"prompt\" is not a string");
  refused("{\"question\": null, \"answer\": 1}", "\"question\" is not a string");
  refused("{\"prompt\": \"a\"}", "\"answer\"");
  refused("{\"prompt\": \"a\", \"answer\": [1]}", "neither a string nor a number");
  refused("{\"prompt\": \"a\", \"answer\": \" \"}", "empty");
  refused("{\"prompt\": \"a\", \"answer\": \"so\\n####\"}", "empty");
  refused("{\"prompt\": \"a\", \"answer\": 1e300}", "exponent");
  CHECK_THROWS_WITH(parse_prompts("", "f.jsonl"), Contains("f.jsonl: no prompt"));
  CHECK_THROWS_WITH(parse_prompts("\n \n", "f.jsonl"), Contains("no prompt"));
}

TEST_CASE("GSM8K parses, its own solutions are right, and no other number is") {
  const auto path = data_file("gsm8k/test.jsonl");
  if (!path) return;
  const auto prompts = read_prompts(*path);
  CHECK(prompts.size() == 1319);
  const auto bytes = read_file(*path);
  std::istringstream lines{std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
  std::string line;
  for (const auto& [text, a] : prompts) {
    REQUIRE(std::getline(lines, line));
    const auto solution = nlohmann::json::parse(line)["answer"].get<std::string>();
    INFO(solution);
    CHECK(a.number);
    CHECK(!text.empty());
    CHECK(eval::score_answer(a, solution) == 1);
    CHECK(eval::score_answer(a, "The answer is $" + a.text + ".00.") ==
          (a.text.find('.') == std::string::npos ? 1 : 0));
    CHECK(eval::score_answer(a, solution + "1") == 0);
    CHECK(eval::score_answer(a, solution.substr(0, solution.rfind("####")) + "#### " + a.text + "9") == 0);
    const bool negative = a.text.front() == '-';
    CHECK(eval::score_answer(a, negative ? a.text.substr(1) : "-" + a.text) == (a.text == "0" ? 1 : 0));
  }
}

TEST_CASE("a line of both fields is the prompt's, and no more lines are read than are asked for") {
  const std::string line = "{\"question\": \"b\", \"prompt\": \"a\", \"answer\": 1}\n";
  CHECK(parse_prompts(line, "file")[0].text == "a");
  CHECK(parse_prompts(line, "file", 0).empty());
  const scratch_folder folder;
  write_bytes(folder.path / "file", to_bytes(line + line + "nonsense"));
  CHECK(read_prompts(folder.path / "file", 2).size() == 2);
  CHECK_THROWS_AS(read_prompts(folder.path / "file"), format_error);
  CHECK_THROWS_AS(read_prompts(folder.path / "none"), std::system_error);
}
