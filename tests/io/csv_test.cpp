// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Golden file: what Python's csv module makes of texts, and of real files (golden/make_csv.py).
#include "hone/io/csv.hpp"

#include "hone/io/json_lines.hpp"
#include "io/support.hpp"
#include "support/data.hpp"

using namespace hone::io;

namespace {

using strings = std::vector<std::string>;

csv_table parse(std::string_view text) { return parse_csv(text, "table.csv"); }

void refused(std::string_view text, std::uint64_t line, const std::string& reason) {
  CAPTURE(std::string(text));
  const auto error = format_error_of([&] { parse(text); });
  REQUIRE(error);
  CHECK(error->file() == "table.csv");
  CHECK(error->where().in == (line == 0 ? position::unit::none : position::unit::line));
  CHECK(error->where().at == line);
  CHECK(error->reason() == reason);
}

/// FNV-1a of the lines and fields of rows, each followed by a byte 31.
struct row_hash {
  std::uint64_t value = 0xcbf29ce484222325;

  void add(std::string_view text) {
    for (const char c : std::string(text) + "\x1f") value = (value ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  }
  void add(std::uint64_t line, const strings& fields) {
    add(std::to_string(line));
    for (const std::string& field : fields) add(field);
  }
};

}  // namespace

TEST_CASE("a table has a header, whose names find columns, and rows with the lines where they begin") {
  const csv_table table =
      parse("prompt,small,large\n\"What is\n2 + 2?\",True,False\n\"He said \"\"no\"\", twice\",,x\n");
  CHECK(table.header == strings{"prompt", "small", "large"});
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0].line == 2);
  CHECK(table.rows[0].fields == strings{"What is\n2 + 2?", "True", "False"});
  CHECK(table.rows[1].line == 4);
  CHECK(table.rows[1].fields == strings{"He said \"no\", twice", "", "x"});
  CHECK(table.column("large") == 2);
  CHECK(table.rows[1].fields[table.column("prompt")] == "He said \"no\", twice");
  CHECK_THROWS_WITH(table.column("Large"), "table.csv: no column \"Large\", but \"prompt\", \"small\", \"large\"");
  CHECK_THROWS_WITH(parse("1,2,3,4,5,6,7,8\n").column(""),
                    "table.csv: no column \"\", but \"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\"");
  CHECK_THROWS_WITH(parse("1,2,3,4,5,6,7,8,9\n").column(""), Catch::EndsWith("\"7\", \"8\", ..."));
  const std::string letters(40, 'a');
  CHECK_THROWS_WITH(parse(letters + "a\n").column(""), "table.csv: no column \"\", but \"" + letters + "...\"");
}

TEST_CASE("rows, and the lines where they begin, are those of Python's csv module") {
  std::size_t texts = 0;
  read_json_lines(golden_file("csv.jsonl"), [&](const json_row& row) {
    if (row.find("text") == nullptr) return;
    ++texts;
    CAPTURE(row.text("text"));
    for (const std::string& text : {row.text("text"), "\xef\xbb\xbf" + row.text("text")}) {
      const csv_table table = parse(text);
      auto rows = row.find("rows")->get<std::vector<std::pair<std::uint64_t, strings>>>();
      CHECK(table.header == rows.at(0).second);
      rows.erase(rows.begin());
      REQUIRE(table.rows.size() == rows.size());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        CHECK(table.rows[i].line == rows[i].first);
        CHECK(table.rows[i].fields == rows[i].second);
      }
    }
  });
  CHECK(texts == 97);
}

TEST_CASE("CRLF and LF, a byte-order mark, empty lines and a missing last line end make no difference") {
  const strings fields = {"1", "2"};
  for (const std::string text : {"a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\n1,2", "\xef\xbb\xbf\"a\",b\n1,2",
                                 "a,b\r\n1,2\n\n", "\n\r\na,b\n\n\r\n1,2\r\n\r\n"}) {
    const csv_table table = parse(text);
    CHECK(table.header == strings{"a", "b"});
    REQUIRE(table.rows.size() == 1);
    CHECK(table.rows[0].fields == fields);
  }
  CHECK(parse("\na,b\n\n\r\n1,2\n").rows[0].line == 5);
  CHECK(parse("a\n\"\"\n").rows.size() == 1);  // an empty field, as a line of its own
  CHECK(parse("a\n\n").rows.empty());
  CHECK(parse("a,b").rows.empty());
  CHECK(parse("a\n\xff\n").rows[0].fields[0] == "\xff");
  CHECK(parse("a\n\"x\r\ny\rz\"\n").rows[0].fields[0] == "x\r\ny\rz");
  CHECK(parse(std::string_view("a\nx\0y\n", 6)).rows[0].fields[0].size() == 3);
}

TEST_CASE("a table without a header, or with one name twice, is refused") {
  for (const std::string text : {"", "\xef\xbb\xbf", "\n", "\r\n\n"}) refused(text, 0, "no header row");
  for (const std::string_view text : {std::string_view("\xff\xfe"
                                                       "a\0\n\0",
                                                       6),
                                      std::string_view("\xfe\xff\0a\0\n", 6)})
    refused(text, 0, "the text is UTF-16, not UTF-8");
  refused("\na,b,a\n", 2, "the column \"a\" appears twice");
  refused("\"a\",a\n", 1, "the column \"a\" appears twice");
  refused(",\n", 1, "the column \"\" appears twice");
  CHECK(parse(",b\n1,2\n").column("") == 0);
}

TEST_CASE("a row that is shorter or longer than the header is refused where it begins") {
  refused("a,b\n1,2\n3\n", 3, "a row of 1 field, the header has 2");
  refused("a,b\n\"1\n1\",2\n\"3\n\n3\",4,5\n", 4, "a row of 3 fields, the header has 2");
  refused("a,b\n1,2,\n", 2, "a row of 3 fields, the header has 2");
  refused("a\n,\n", 2, "a row of 2 fields, the header has 1, \"a\"");
  refused("a;b\n0,5;1\n", 2, "a row of 2 fields, the header has 1, \"a;b\"");
}

TEST_CASE("quotes and carriage returns that RFC 4180 does not know are refused with their line") {
  refused("a,b\n1,\"2\n3,4\n", 2, "a field's quote that opens here is not closed");
  refused("a,b\n\"1\n1\",\"2\"\"\n", 3, "a field's quote that opens here is not closed");
  refused("\"", 1, "a field's quote that opens here is not closed");
  refused("a,b\n1,2\"\n", 2, "a quote inside a field that does not begin with one");
  refused("a,b\n1, \"2\"\n", 2, "a quote inside a field that does not begin with one");
  refused("a,b\n\"1\"2,3\n", 2, "text follows the closing quote of a field");
  refused("a,b\n\"1\n\" ,3\n", 3, "text follows the closing quote of a field");
  refused("a,b\r1,2\r", 1, "a carriage return without a line feed");
  refused("a,b\n1,\"2\"\r", 2, "a carriage return without a line feed");
}

TEST_CASE("a table on disk is read, and named where it is wrong or absent") {
  const scratch_folder folder;
  const auto path = folder.path / "table.csv";
  write_bytes(path, to_bytes("a,b\n1,2\n"));
  CHECK(read_csv(path).rows.size() == 1);
  CHECK_THROWS_WITH(read_csv(path).column("c"), path.string() + ": no column \"c\", but \"a\", \"b\"");
  write_bytes(path, to_bytes("a,b\n1\n"));
  CHECK_THROWS_WITH(read_csv(path), path.string() + ":2: a row of 1 field, the header has 2");
  CHECK_THROWS_AS(read_csv(folder.path / "absent"), std::system_error);
}

TEST_CASE("RouteLLM's answers to MMLU are the prompts that Python reads") {
  std::size_t files = 0, prompts = 0;
  read_json_lines(golden_file("csv.jsonl"), [&](const json_row& row) {
    if (row.find("file") == nullptr) return;
    const auto path = data_file("routellm_mmlu/" + row.text("file"));
    if (!path) return;
    CAPTURE(row.text("file"));
    const csv_table table = read_csv(*path);
    CHECK(table.header == strings{"prompt", "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"});
    CHECK(table.rows.size() == row.find("rows")->get<std::size_t>());
    row_hash hash;
    hash.add(1, table.header);
    for (const csv_row& r : table.rows) hash.add(r.line, r.fields);
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash.value));
    CHECK(digits == row.text("hash"));
    ++files;
    prompts += table.rows.size();
  });
  if (files > 0) CHECK(files == 57);
  if (files == 57) CHECK(prompts == 14042);
}
