// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/routing_labels.hpp"

#include "io/support.hpp"

using namespace hone::io;

TEST_CASE("labels of routing are read, with scores or without") {
  const auto labels = parse_routing_labels(
      "{\"id\": \"a\", \"small\": true, \"large\": 1, \"x\": []}\n\n{\"id\": 7, \"small\": 0.5, \"large\": -2}\n", "l");
  REQUIRE(labels.size() == 2);
  CHECK(labels[0].id == "a");
  CHECK((labels[0].weak == 1 && labels[0].strong == 1 && std::isnan(labels[0].score)));
  CHECK(labels[1].id == "7");
  CHECK((labels[1].weak == 0.5 && labels[1].strong == -2));
  CHECK(parse_routing_labels(R"({"id": "a", "small": 0, "large": 1, "score": 0.25})", "l")[0].score == 0.25);
  const scratch_folder folder;
  write_bytes(folder.path / "l", to_bytes(R"({"id": 1, "small": 0, "large": false})"));
  CHECK(read_routing_labels(folder.path / "l")[0].strong == 0);
}

TEST_CASE("a line that is no label of routing is refused with its number") {
  const auto refused = [](const std::string& line, const std::string& reason) {
    const auto error =
        format_error_of([&] { parse_routing_labels("{\"id\": 1, \"small\": 0, \"large\": 1}\n" + line, "l"); });
    REQUIRE(error);
    CHECK(error->where().at == 2);
    CHECK(error->reason() == reason);
  };
  refused("[1]", "not a JSON object but an array, of which jq -c '.[]' makes lines");
  refused("{\"small\": 0, \"large\": 1}", "no field \"id\"");
  refused(R"({"id": 1.5, "small": 0, "large": 1})", "\"id\" is neither a string nor a whole number");
  refused(R"({"id": 2, "large": 1})", "no field \"small\"");
  refused(R"({"id": 2, "small": 1})", "no field \"large\"");
  refused(R"({"id": 2, "small": "1", "large": 1})", "\"small\" is not true, false or a number from -1e12 to 1e12");
  refused(R"({"id": 2, "small": 1, "large": 1e13})", "\"large\" is not true, false or a number from -1e12 to 1e12");
  refused(R"({"id": 2, "small": 1, "large": null})", "\"large\" is not true, false or a number from -1e12 to 1e12");
  refused(R"({"id": 1, "small": 0, "large": 1})", "the id \"1\" is that of line 1");
  refused(R"({"id": 2, "small": 0, "large": 1, "score": 1})", "has a \"score\", the lines before have none");
  const auto none = format_error_of([] { parse_routing_labels("\n\n", "l"); });
  REQUIRE(none);
  CHECK(none->reason() == "no lines");
}

TEST_CASE("the borders of a label's values, and lines of which some have a score") {
  const auto labels = parse_routing_labels(
      "{\"id\": -3, \"small\": 1e12, \"large\": -1e12, \"score\": -2}\n"
      "{\"id\": \"b\", \"small\": false, \"large\": true, \"score\": true}",
      "l");
  CHECK((labels[0].id == "-3" && labels[0].weak == 1e12 && labels[0].strong == -1e12 && labels[0].score == -2));
  CHECK((labels[1].weak == 0 && labels[1].strong == 1 && labels[1].score == 1));
  CHECK_THROWS_WITH(parse_routing_labels("{\"id\": 1, \"small\": -1e13, \"large\": 0}", "l"),
                    Catch::Contains("\"small\" is not true, false or a number"));
  CHECK_THROWS_WITH(parse_routing_labels("{\"id\": 1, \"small\": 0, \"large\": 0, \"score\": null}", "l"),
                    Catch::Contains("\"score\" is not true, false or a number"));
  CHECK_THROWS_WITH(parse_routing_labels("{\"id\": 1, \"small\": 0, \"large\": 0, \"score\": 1}\n"
                                         "{\"id\": 2, \"small\": 0, \"large\": 0}",
                                         "l"),
                    "l:2: has no \"score\", the lines before have one");
}
