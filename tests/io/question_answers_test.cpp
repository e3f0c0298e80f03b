// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/question_answers.hpp"

#include "io/support.hpp"
#include "support/data.hpp"

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

TEST_CASE("a line that is JSON but no object is refused") {
  for (const std::string line : {"null", "1", "\"text\"", "true"}) CHECK(reason_of(line) == "not a JSON object");
  for (const std::string line : {"[]", "[{\"question\": \"a\", \"answer\": \"b\"}]"})
    CHECK(reason_of(line) == "not a JSON object but an array, of which jq -c '.[]' makes lines");
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
