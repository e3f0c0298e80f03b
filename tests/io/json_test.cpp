// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/json.hpp"

#include "io/support.hpp"

using namespace hone::io;

namespace {

/// The first byte of every token, and its depth, as text.
std::string outline(std::string_view text) {
  static constexpr const char* names[] = {"null", "bool", "negative", "whole", "real", "string",
                                          "key",  "{",    "}",        "[",     "]"};
  std::string result;
  parse_json_events(text, "file", [&](const json_event& e) {
    result += names[static_cast<int>(e.is)] + std::to_string(e.at) + "/" + std::to_string(e.depth) + " ";
  });
  return result;
}

void refused(std::string_view text, std::uint64_t at, const std::string& reason) {
  CAPTURE(std::string(text.substr(0, 80)));
  const auto error = format_error_of([&] { parse_json(text, "file.json"); });
  REQUIRE(error);
  CHECK(error->file() == "file.json");
  CHECK(error->where().in == position::unit::byte);
  CHECK(error->where().at == at);
  CHECK(error->reason() == reason);
}

}  // namespace

TEST_CASE("every token comes with its first byte and its depth") {
  CHECK(outline("{}") == "{0/0 }1/0 ");
  CHECK(outline(" [1,-2, 3.5 ,\"a\\u0041\",true,null]\n") ==
        "[1/0 whole2/1 negative4/1 real8/1 string13/1 bool23/1 null28/1 ]32/0 ");
  CHECK(outline("{\"a\" : {\"b\":[12]}, \"c\":7}") ==
        "{0/0 key1/1 {7/1 key8/2 [12/2 whole13/3 ]15/2 }16/1 key19/1 "
        "whole23/1 }24/0 ");
  CHECK(outline("12") == "whole0/0 ");
  for (const auto& [number, name] : {std::pair{"12", "whole"}, {"-1", "negative"}, {"1.5", "real"}, {"2e1", "real"}}) {
    const std::string text = number, after = std::to_string(text.size() + 1);  // a number that nothing follows
    CHECK(outline("[" + text + "]") == std::string("[0/0 ") + name + "1/1 ]" + after + "/0 ");
    CHECK(outline(text + " ") == std::string(name) + "0/0 ");
    CHECK(outline("{\"a\":" + text + "}")
              .ends_with(name + std::string("5/1 }") + std::to_string(text.size() + 5) + "/0 "));
  }
  std::uint64_t sum = 0;  // a text that begins at byte 1000 of its file
  parse_json_events("[true]", "file", [&](const json_event& e) { sum += e.at; }, 1000);
  CHECK(sum == 1000 + 1001 + 1005);
  CHECK(outline("[18446744073709551615,18446744073709551616,1e2,-0]") ==
        "[0/0 whole1/1 real22/1 real43/1 negative47/1 ]49/0 ");
}

TEST_CASE("a text becomes the tree that nlohmann's parser makes of it") {
  for (const std::string text : {"null", "true", "-3", "18446744073709551615", "1.25e-3", "\"a\\n\\u00e4\"", "[]", "{}",
                                 "[[],{},[1,[2,{\"a\":[3]}]]]", "{\"b\":{\"c\":1,\"d\":[false]},\"a\":\"x\"}"}) {
    CHECK(parse_json(text, "file").root == nlohmann::json::parse(text));
    CHECK(parse_json("\xef\xbb\xbf" + text, "file").root == nlohmann::json::parse(text));
  }
  const json_document document = parse_json("{\"a\": {\"b\": {\"c\": 1}}, \"d\": 2}", "file");
  CHECK(document.where("a").at == 1);
  CHECK(document.where("a/b").at == 7);
  CHECK(document.where("d").at == 23);
  CHECK(document.where("c").in == position::unit::none);
}

TEST_CASE("a text that is not JSON is refused at the byte where it stops to be") {
  refused("", 0, "not valid JSON");
  refused("{", 1, "not valid JSON");
  refused("{\"a\":1", 6, "not valid JSON");
  refused("[1,]", 3, "not valid JSON");
  refused("[1] 2", 4, "not valid JSON");
  refused("[\"a\nb\"]", 3, "not valid JSON");
  refused("[\"\xff\"]", 2, "not valid JSON");
  refused("[\"\\ud800\"]", 8, "not valid JSON");
  refused(std::string_view("{}\0", 3), 2, "not valid JSON");
  refused(std::string_view("{\0}", 3), 1, "not valid JSON");
  for (const std::string name : {"NaN", "Infinity", "-Infinity"})
    refused("[" + name + "]", name.front() == '-' ? 2 : 1,
            "not valid JSON: NaN and Infinity, as Python writes them, are no numbers");
  refused("[None]", 1, "not valid JSON");
  refused("[1e999]", 5, "a number overflows");
  refused("// comment\n{}", 0, "not valid JSON");
}

TEST_CASE("a byte-order mark is passed over, and counted") {
  CHECK(outline("\xef\xbb\xbf [7]") == "[4/0 whole5/1 ]6/0 ");
  refused("\xef\xbb\xbf{\"a\":1,\"a\":1}", 10, "the key \"a\" appears twice");
  refused("\xef\xbb\xbf[x]", 4, "not valid JSON");
  refused("\xef\xbb\xbf", 3, "not valid JSON");
}

TEST_CASE("a key that comes twice in one object is refused, in two it is not; a reader of tokens need not ask") {
  CHECK_THROWS_WITH(outline("[{\"x\":{},\"y\":0,\"x\":0}]"), "file: at byte 15: the key \"x\" appears twice");
  refused("{\"a\":1,\"b\":2,\"a\":1}", 13, "the key \"a\" appears twice");
  refused("{\"x\":[{\"a\":1,\"a\":{}}]}", 13, "the key \"a\" appears twice");
  refused("{\"a\":1,\"\\u0061\":1}", 7, "the key \"a\" appears twice");
  CHECK(parse_json("[{\"a\":1},{\"a\":{\"a\":2}}]", "file").root.size() == 2);
}

TEST_CASE("nesting of any depth is refused at its limit, and costs nothing") {
  CHECK(parse_json(std::string(64, '[') + std::string(64, ']'), "file").root.size() == 1);
  refused(std::string(65, '[') + std::string(65, ']'), 64, "nested more than 64 deep");
  refused(std::string(10'000'000, '['), 64, "nested more than 64 deep");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  refused(objects, 320, "nested more than 64 deep");
}

TEST_CASE("a JSON file is read up to a size, and its errors name it") {
  const scratch_folder folder;
  const auto path = folder.path / "file.json";
  write_bytes(path, to_bytes("{\"a\": [1, 2]}"));
  CHECK(read_json(path).root["a"][1] == 2);
  CHECK_THROWS_WITH(read_json(path, 5), path.string() + ": the file has 13 bytes, at most 5 are read");
  write_bytes(path, to_bytes("{"));
  CHECK(format_error_of([&] { read_json(path); })->file() == path.string());
  CHECK_THROWS_AS(read_json(folder.path / "absent"), std::system_error);
}

TEST_CASE("a text inside a file is refused at the file's byte, and nests as deep as its reader says") {
  const auto error_of = [](std::string_view text, std::uint64_t first, std::size_t most_depth) {
    return format_error_of([&] { parse_json_events(text, "file", [](const json_event&) {}, first, most_depth); });
  };
  CHECK(error_of("[x]", 1000, 64)->where().at == 1001);
  CHECK(error_of(std::string_view("{\0}", 3), 1000, 64)->where().at == 1001);
  CHECK(error_of("[1,{\"a\":1,\"a\":2}]", 1000, 64)->where().at == 1010);
  CHECK(error_of("[[1]]", 7, 1)->what() == std::string("file: at byte 8: nested more than 1 deep"));
  CHECK(!error_of("[[1]]", 7, 2));
}

TEST_CASE("a JSON file has at most 16 MiB, unless its reader says otherwise") {
  const scratch_folder folder;
  const auto path = folder.path / "file.json";
  const auto reason_of_size = [&](std::uint64_t size) {
    write_bytes(path, {});
    std::filesystem::resize_file(path, size);
    return format_error_of([&] { read_json(path); })->reason();
  };
  CHECK(reason_of_size(1 << 24) == "not valid JSON");
  CHECK(reason_of_size((1 << 24) + 1) == "the file has 16777217 bytes, at most 16777216 are read");
}
