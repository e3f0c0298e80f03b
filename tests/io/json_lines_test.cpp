// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/json_lines.hpp"

#include "io/support.hpp"
#include "support/data.hpp"

#include <cstdint>

using namespace hone::io;

namespace {

const std::string pair_line = R"({"question": "Why?", "answer": "Because."})";

std::vector<question_answer> parse(std::string_view text) { return parse_question_answers(text, "pairs.json"); }

/// The error of @p line as the third of a file: after a good one and a blank one, before a good one.
std::string reason_of(const std::string& line) {
  const auto error = format_error_of([&] { parse(pair_line + "\n\n" + line + "\n" + pair_line + "\n"); });
  REQUIRE(error);
  CHECK(error->file() == "pairs.json");
  CHECK(error->where().in == position::unit::line);
  CHECK(error->where().at == 3);
  return error->reason();
}

}  // namespace

TEST_CASE("questions and answers are read in order, with what TOFU adds to them") {
  const auto pairs = parse(pair_line + "\n" +
                           R"({"answer": "b", "more": {"x": [1, null]}, "question": "a", "paraphrased_answer": "c",)"
                           R"( "perturbed_answer": ["d", "\u00e9\n"]})"
                           "\n"
                           R"({"question": "", "answer": "", "perturbed_answer": []})");
  REQUIRE(pairs.size() == 3);
  CHECK(pairs[0].question == "Why?");
  CHECK(pairs[0].answer == "Because.");
  CHECK(pairs[0].paraphrased_answer.empty());
  CHECK(pairs[0].perturbed_answers.empty());
  CHECK(pairs[1].question == "a");
  CHECK(pairs[1].answer == "b");
  CHECK(pairs[1].paraphrased_answer == "c");
  CHECK(pairs[1].perturbed_answers == std::vector<std::string>{"d", "\xc3\xa9\n"});
  CHECK(pairs[2].question.empty());
}

TEST_CASE("a byte-order mark, CRLF, blank lines and a missing last line break are accepted") {
  for (const std::string& text : {pair_line + "\n" + pair_line, pair_line + "\r\n" + pair_line + "\r\n",
                                  "\xef\xbb\xbf" + pair_line + "\n" + pair_line + "\n",
                                  "\n \t\n" + pair_line + "\r\n\r\n\n" + pair_line + "\n\n"}) {
    const auto pairs = parse(text);
    REQUIRE(pairs.size() == 2);
    CHECK(pairs[1].answer == "Because.");
  }
}

TEST_CASE("text without a pair is refused, and so is a file of blank lines") {
  for (const std::string text : {"", "\xef\xbb\xbf", "\n", "\r\n"}) {
    const auto error = format_error_of([&] { parse(text); });
    REQUIRE(error);
    CHECK(error->what() == std::string("pairs.json: no question-answer pair"));
  }
}

TEST_CASE("a line that is not JSON is refused with its number") {
  for (const std::string line :
       {"{", "}", "{}}", "question", R"({"question": "a", "answer": })", R"({"question": "a" "answer": "b"})",
        R"({"question": "a", "answer": "b",})", R"({'question': 'a', 'answer': 'b'})", "[1,", R"("open)",
        R"({"question": "a", "answer": "b"} {})", R"({"question": "\q", "answer": "b"})",
        R"({"question": "\ud800", "answer": "b"})", "{\"question\": \"\x01\", \"answer\": \"b\"}"})
    CHECK(reason_of(line) == "not valid JSON");
  CHECK(reason_of("NaN") == "not valid JSON: NaN and Infinity, as Python writes them, are no numbers");
  CHECK(reason_of(std::string("\0", 1)) == "not valid JSON");
  CHECK(reason_of(pair_line.substr(0, pair_line.size() - 1)) == "not valid JSON");
}

TEST_CASE("invalid UTF-8 is not JSON") {
  for (const char* bytes : {"\xff", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x80"})
    CHECK(reason_of(std::string(R"({"question": ")") + bytes + R"(", "answer": "b"})") == "not valid JSON");
}

TEST_CASE("a line that is JSON but no object is refused") {
  for (const std::string line : {"null", "1", "\"text\"", "[]", "[{\"question\": \"a\", \"answer\": \"b\"}]", "true"})
    CHECK(reason_of(line) == "not a JSON object");
}

TEST_CASE("a field that is missing or of another type is named") {
  CHECK(reason_of("{}") == "no field \"question\"");
  CHECK(reason_of(R"({"question": "a"})") == "no field \"answer\"");
  CHECK(reason_of(R"({"Question": "a", "answer": "b"})") == "no field \"question\"");
  for (const std::string value : {"null", "1", "[]", "{}", "[\"a\"]", "true"}) {
    CHECK(reason_of(R"({"question": )" + value + R"(, "answer": "b"})") == "\"question\" is not a string");
    CHECK(reason_of(R"({"question": "a", "answer": )" + value + "}") == "\"answer\" is not a string");
    CHECK(reason_of(R"({"question": "a", "answer": "b", "paraphrased_answer": )" + value + "}") ==
          "\"paraphrased_answer\" is not a string");
    if (value.front() != '[')
      CHECK(reason_of(R"({"question": "a", "answer": "b", "perturbed_answer": )" + value + "}") ==
            "\"perturbed_answer\" is not an array");
  }
  CHECK(reason_of(R"({"question": "a", "answer": "b", "perturbed_answer": ["c", 1]})") ==
        "\"perturbed_answer\" holds something other than strings");
}

TEST_CASE("a line is read as every JSON is: nesting has a limit, no key comes twice") {
  const auto line = [](std::size_t depth) {
    return R"({"question": "a", "answer": "b", "more": )" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(parse(line(63)).size() == 1);
  CHECK(reason_of(line(64)) == "nested more than 64 deep");
  CHECK(reason_of(line(1000000)) == "nested more than 64 deep");
  CHECK(reason_of(R"({"question": "a", "answer": "b", "question": "c"})") == "the key \"question\" appears twice");
  CHECK(reason_of(R"({"question": "a", "answer": "b", "more": {"x": 1, "x": 2}})") == "the key \"x\" appears twice");
  CHECK(reason_of(R"({"question": "a", "answer": 1e999})") == "a number overflows");
}

TEST_CASE("rows are any JSON values, with the numbers of their lines") {
  std::vector<std::pair<std::uint64_t, nlohmann::json>> rows;
  const auto keep = [&](json_row row) { rows.emplace_back(row.line, std::move(row.value)); };
  const std::string text = "\xef\xbb\xbf{\"a\": 1}\n\n[2]\r\n \n\"x\"";
  CHECK(parse_json_lines(text, "rows.jsonl", keep) == 3);
  CHECK(rows == decltype(rows){{1, {{"a", 1}}}, {3, {2}}, {5, "x"}});
  CHECK(parse_json_lines(text, "rows.jsonl", keep, 2) == 2);
  CHECK(parse_json_lines(text, "rows.jsonl", keep, 0) == 0);
  CHECK(parse_json_lines("", "rows.jsonl", keep) == 0);
  CHECK(parse_json_lines("\n \r\n", "rows.jsonl", keep) == 0);
  CHECK_THROWS_WITH(parse_json_lines("1\n{", "rows.jsonl", keep), "rows.jsonl:2: not valid JSON");
}

TEST_CASE("a row gives its fields, and errors of its own") {
  std::vector<json_row> rows;
  {
    const std::string name = "rows.jsonl";  // which the rows outlive
    parse_json_lines("{\"a\": \"x\", \"b\": 1}\n7", name, [&](json_row row) { rows.push_back(std::move(row)); });
  }
  CHECK(rows[0].text("a") == "x");
  CHECK(*rows[0].find("b") == 1);
  CHECK(rows[0].find("c") == nullptr);
  CHECK_THROWS_WITH(rows[0].text("b"), "rows.jsonl:1: \"b\" is not a string");
  CHECK_THROWS_WITH(rows[0].text("c"), "rows.jsonl:1: no field \"c\"");
  CHECK_THROWS_WITH(rows[1].find("a"), "rows.jsonl:2: not a JSON object");
  CHECK_THROWS_WITH(rows[1].fail("too small"), "rows.jsonl:2: too small");
}

TEST_CASE("no more than the limit is read, and what lies after it is not looked at") {
  const std::string text = pair_line + "\n" + pair_line + "\nnot JSON\n";
  CHECK(parse_question_answers(text, "pairs.json", 0).empty());
  CHECK(parse_question_answers(text, "pairs.json", 1).size() == 1);
  CHECK(parse_question_answers(text, "pairs.json", 2).size() == 2);
  CHECK_THROWS_AS(parse_question_answers(text, "pairs.json", 3), format_error);
  CHECK(parse_question_answers(pair_line, "pairs.json", 3).size() == 1);
}

TEST_CASE("a file of pairs is read, and named where it is wrong or absent") {
  const scratch_folder folder;
  const auto path = folder.path / "pairs.json";
  const auto write = [&](std::string_view text) {
    atomic_file file(path);
    file.write(text);
    file.commit();
  };
  write(pair_line + "\r\n" + pair_line);
  CHECK(read_question_answers(path).size() == 2);
  CHECK(read_question_answers(path, 1).size() == 1);
  write(pair_line + "\n{");
  CHECK_THROWS_WITH(read_question_answers(path), path.string() + ":2: not valid JSON");
  CHECK_THROWS_AS(read_question_answers(folder.path / "absent"), std::system_error);
}

TEST_CASE("TOFU's files have the pairs that they should have") {
  struct expected {
    const char* name;
    std::size_t pairs, perturbed;
    bool paraphrased;
  };
  for (const expected& e : std::vector<expected>{{"forget01", 40, 0, false},
                                                 {"forget10", 400, 0, false},
                                                 {"retain90", 3600, 0, false},
                                                 {"retain99", 3960, 0, false},
                                                 {"full", 4000, 0, false},
                                                 {"forget01_perturbed", 40, 5, true},
                                                 {"real_authors_perturbed", 100, 3, false},
                                                 {"world_facts_perturbed", 117, 3, false}}) {
    const auto path = data_file(std::string("tofu/") + e.name + ".json");
    if (!path) continue;
    INFO(e.name);
    const auto pairs = read_question_answers(*path);
    CHECK(pairs.size() == e.pairs);
    for (const question_answer& pair : pairs) {
      REQUIRE_FALSE(pair.question.empty());
      REQUIRE_FALSE(pair.answer.empty());
      REQUIRE(pair.paraphrased_answer.empty() != e.paraphrased);
      REQUIRE(pair.perturbed_answers.size() == e.perturbed);
    }
  }
}
