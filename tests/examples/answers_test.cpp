// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "reason/answers.hpp"

#include "support/catch.hpp"
#include "support/data.hpp"

using namespace reason;
using Catch::Contains;

TEST_CASE("answers: the last number of a text, in one spelling") {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""},
      {"no number", ""},
      {"18", "18"},
      {"It is 18.", "18"},
      {"3 and 4 make 7 apples", "7"},
      {"so 16-3-4=9", "9"},
      {"16-3", "3"},
      {"16 - 3", "3"},
      {"x = -3", "-3"},
      {"(-3)", "-3"},
      {"\xe2\x88\x92"
       "3 degrees",
       "-3"},
      {"+3", "3"},
      {"$-3", "-3"},
      {"-$3", "-3"},
      {"a)-3", "3"},
      {"costs \\$1,234.50 in all", "1234.5"},
      {"1,234,567", "1234567"},
      {"1,23", "23"},
      {"12,3456", "3456"},
      {"1234,567", "567"},
      {"3, 400", "400"},
      {"0018.500", "18.5"},
      {"18.00", "18"},
      {".50", "0.5"},
      {"-0.0", "0"},
      {"0", "0"},
      {"100", "100"},
      {"1.2.3", "0.3"},
      {"25%", "25"},
      {"the 1st of 2 tries", "2"},
      {"it takes 5km", "5"},
      {"US$5", "5"},
      {"a 9e", "9"},
      {"about 1e5", ""},
      {"about 1.5E-3", ""},
      {"1e5 7", "7"},
      {"1e+5x", ""},
      {"1{,}234", "1234"},
      {"1\\,234\\,567.5", "1234567.5"},
      {"1,234,5", "5"},
      {"7 at x2", "7"},
      {"7 of v_2", "7"},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"5 #### 6 or 7\n8", "7"},
      {"#### 6\n#### 7\nthat is 8", "7"},
      {"####\n18", "18"},
      {"####", ""},
      {"so \\boxed{42}, not 43", "42"},
      {"\\boxed{1} then \\boxed{\\text{about } 2} 3", "2"},
      {"\\boxed{x^{2} = 9} 3", "9"},
      {"\\boxed{12", "12"},
      {"\\boxed{1} #### 2", "2"},
  };
  for (const auto& [text, answer] : cases) {
    INFO(text);
    CHECK(final_answer(text, true) == answer);
  }
}

TEST_CASE("answers: a text that is to be no number is compared as it stands") {
  CHECK(final_answer("I think\n it is Paris ", false) == "it is Paris");
  CHECK(final_answer("#### Paris \n done", false) == "Paris");
  CHECK(final_answer("\\boxed{3/4}", false) == "3/4");
  CHECK(final_answer("", false).empty());
}

TEST_CASE("answers: prompts of both kinds, and what answers them") {
  const auto asked = parse_prompts(
      "\xef\xbb\xbf{\"prompt\": \"6 * 3?\", \"answer\": \"18\", \"more\": 1}\r\n\r\n"
      "{\"question\": \"How much?\", \"answer\": \"It is <<1000+234.5=1234.5>>1234.5\\n#### 1,234.50\"}\n"
      "{\"prompt\": \"Half?\", \"answer\": 0.5}\n{\"prompt\": \"Where?\", \"answer\": \" Paris\"}\n"
      "{\"prompt\": \"Odds?\", \"answer\": \"3/4\"}\n{\"prompt\": \"Cost?\", \"answer\": \"-$5\"}",
      "file");
  REQUIRE(asked.size() == 6);
  CHECK(asked[0].prompt == "6 * 3?");
  CHECK(asked[0].answer == "18");
  CHECK(asked[1].prompt == "How much?");
  CHECK(asked[1].answer == "1234.5");
  CHECK(asked[5].answer == "-5");
  const auto scores = [&](std::size_t i, const char* text) { return score(asked[i], text); };
  CHECK(scores(0, "that makes 18.0") == 1);
  CHECK(scores(0, "that makes 18.01") == 0);
  CHECK(scores(0, "-18") == 0);
  CHECK(scores(0, "18 or 19") == 0);
  CHECK(scores(0, "") == 0);
  CHECK(scores(1, "\\boxed{1234.5}") == 1);
  CHECK(scores(1, "12345") == 0);
  CHECK(scores(2, "1/2 is .50") == 1);
  CHECK(scores(3, "In\nParis") == 1);
  CHECK(scores(3, "In Paris") == 0);
  CHECK(scores(3, "#### Paris") == 1);
  CHECK(scores(4, "\\boxed{3/4}") == 1);
  CHECK(scores(4, "4") == 0);
  CHECK(parse_prompts("{\"prompt\": \"a\", \"answer\": \"1\"}\nnonsense", "file", 1).size() == 1);
}

TEST_CASE("answers: lines that are no prompts are refused, with their number") {
  const auto refused = [](const char* text, const char* reason) {
    CHECK_THROWS_WITH(parse_prompts(std::string("{\"prompt\": \"a\", \"answer\": 1}\n\n") + text, "f.jsonl"),
                      Contains("f.jsonl") && Contains(":3:") && Contains(reason));
    CHECK_THROWS_AS(parse_prompts(text, "f.jsonl"), hone::io::format_error);
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

TEST_CASE("answers: GSM8K parses, its own solutions are right, and no other number is") {
  const auto path = data_file("gsm8k/test.jsonl");
  if (!path) return;
  const auto asked = read_prompts(*path);
  CHECK(asked.size() == 1319);
  const auto bytes = hone::io::read_file(*path);
  std::istringstream lines{std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
  std::string line;
  for (const auto& a : asked) {
    REQUIRE(std::getline(lines, line));
    const auto solution = nlohmann::json::parse(line)["answer"].get<std::string>();
    INFO(solution);
    CHECK(a.number);
    CHECK(!a.prompt.empty());
    CHECK(score(a, solution) == 1);
    CHECK(score(a, "The answer is $" + a.answer + ".00.") == (a.answer.find('.') == std::string::npos ? 1 : 0));
    CHECK(score(a, solution + "1") == 0);
    CHECK(score(a, solution.substr(0, solution.rfind("####")) + "#### " + a.answer + "9") == 0);
    const bool negative = a.answer.front() == '-';
    CHECK(score(a, negative ? a.answer.substr(1) : "-" + a.answer) == (a.answer == "0" ? 1 : 0));
  }
}
