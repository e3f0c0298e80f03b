// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/json_lines.hpp"

#include "io/support.hpp"

#include <cstdint>

using namespace hone::io;

namespace {

/// The error of @p line as the third of a file: after a good one and a blank one, before a good one.
std::string reason_of(const std::string& line) {
  const auto error =
      format_error_of([&] { parse_json_lines("{}\n\n" + line + "\n{}\n", "rows.jsonl", [](const json_row&) {}); });
  REQUIRE(error);
  CHECK(error->file() == "rows.jsonl");
  CHECK(error->where().in == position::unit::line);
  CHECK(error->where().at == 3);
  return error->reason();
}

}  // namespace

TEST_CASE("a line that is not JSON is refused with its number") {
  for (const std::string line :
       {"{", "}", "{}}", "question", R"({"question": "a", "answer": })", R"({"question": "a" "answer": "b"})",
        R"({"question": "a", "answer": "b",})", R"({'question': 'a', 'answer': 'b'})", "[1,", R"("open)",
        R"({"question": "a", "answer": "b"} {})", R"({"question": "\q", "answer": "b"})",
        R"({"question": "\ud800", "answer": "b"})", "{\"question\": \"\x01\", \"answer\": \"b\"}"})
    CHECK(reason_of(line) == "not valid JSON");
  CHECK(reason_of("NaN") == "not valid JSON: NaN and Infinity, as Python writes them, are no numbers");
  CHECK(reason_of(std::string("\0", 1)) == "not valid JSON");
  CHECK(reason_of(R"({"a": 1)") == "not valid JSON");
}

TEST_CASE("a document over many lines is told from a fault in a line") {
  const auto of_first = [](const std::string& text) {
    const auto error = format_error_of([&] { parse_json_lines(text, "rows.jsonl", [](const json_row&) {}); });
    return error ? error->reason() : "";
  };
  const std::string hint = "not valid JSON: a line is to be a whole value; jq -c '.[]' makes lines of an array";
  for (const std::string text :
       {"[\n{\"a\": 1}\n]", "\n[\r\n {\"a\": 1}]", "{\n\"a\": 1}", "[ {\"a\": 1}, \n{\"a\": 2}]"})
    CHECK(of_first(text) == hint);
  CHECK(of_first("{\"a\": \n}") == "not valid JSON");
  CHECK(of_first("{}\n{\n}") == "not valid JSON");
}

TEST_CASE("invalid UTF-8 is not JSON") {
  for (const char* bytes : {"\xff", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x80"})
    CHECK(reason_of(std::string(R"({"question": ")") + bytes + R"(", "answer": "b"})") == "not valid JSON");
}

TEST_CASE("a line is read as every JSON is: nesting has a limit, no key comes twice") {
  const auto line = [](std::size_t depth) {
    return R"({"more": )" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(parse_json_lines(line(63), "rows.jsonl", [](const json_row&) {}) == 1);
  CHECK(reason_of(line(64)) == "nested more than 64 deep");
  CHECK(reason_of(line(1000000)) == "nested more than 64 deep");
  CHECK(reason_of(R"({"a": 1, "b": 2, "a": 3})") == "the key \"a\" appears twice");
  CHECK(reason_of(R"({"more": {"x": 1, "x": 2}})") == "the key \"x\" appears twice");
  CHECK(reason_of(R"({"a": 1e999})") == "a number overflows");
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
  rows[1].value = nlohmann::json::array();
  CHECK_THROWS_WITH(rows[1].find("a"),
                    "rows.jsonl:2: not a JSON object but an array, of which jq -c '.[]' makes lines");
  CHECK_THROWS_WITH(rows[1].fail("too small"), "rows.jsonl:2: too small");
}

TEST_CASE("the rows of a file are read, which is named where it is wrong or absent") {
  const scratch_folder folder;
  const auto path = folder.path / "rows.jsonl";
  write_bytes(path, to_bytes("1\r\n2\n"));
  std::vector<nlohmann::json> values;
  const auto keep = [&](json_row row) { values.push_back(std::move(row.value)); };
  CHECK(read_json_lines(path, keep) == 2);
  CHECK(read_json_lines(path, keep, 1) == 1);
  CHECK(values == std::vector<nlohmann::json>{1, 2, 1});
  write_bytes(path, to_bytes("1\n{"));
  CHECK_THROWS_WITH(read_json_lines(path, keep), path.string() + ":2: not valid JSON");
  CHECK_THROWS_AS(read_json_lines(folder.path / "absent", keep), std::system_error);
}
