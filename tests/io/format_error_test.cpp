// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/format_error.hpp"

#include "support/catch.hpp"

using namespace hone::io;

TEST_CASE("a format error in a binary file names file, byte and reason") {
  const format_error error("model.bin", {position::unit::byte, 28}, "too short");
  CHECK(error.what() == std::string("model.bin: at byte 28: too short"));
  CHECK(error.file() == "model.bin");
  CHECK(error.where().in == position::unit::byte);
  CHECK(error.where().at == 28);
  CHECK(error.reason() == "too short");
}

TEST_CASE("a format error in a text names file, line and reason, the way that editors jump to") {
  const format_error error("pairs.json", {position::unit::line, 3}, "not valid JSON");
  CHECK(error.what() == std::string("pairs.json:3: not valid JSON"));
  CHECK(error.where().in == position::unit::line);
}

TEST_CASE("a format error of a folder, or of what is not there, names no place") {
  const format_error error("model", {}, "there is no tensor \"wq\"");
  CHECK(error.what() == std::string("model: there is no tensor \"wq\""));
  CHECK(error.where().in == position::unit::none);
}

TEST_CASE("numbers in messages are short") {
  CHECK(short_text(1e300) == "1e+300");
  CHECK(short_text(-0.5) == "-0.5");
  CHECK(short_text(4) == "4");
}

TEST_CASE("a text in a message is cut at 40 bytes, between characters") {
  const std::string letters(39, 'a');
  CHECK(short_text("") == "");
  CHECK(short_text(letters + "b") == letters + "b");
  CHECK(short_text(letters + "bc") == letters + "b...");
  CHECK(short_text(letters + "\u00e9") == letters + "...");
  CHECK(short_text(letters + "\U0001f600") == letters + "...");
  CHECK(short_text(letters + "b\u00e9") == letters + "b...");
  CHECK(short_text("a\r\n\x1b[1m\x7f") == R"(a\x0d\n\x1b[1m\x7f)");
  CHECK(short_text(" \x1f~") == R"( \x1f~)");
  const std::string no_utf8(50, '\xbf');
  CHECK(short_text(no_utf8) == no_utf8.substr(0, 36) + "...");
}

TEST_CASE("a format error is a runtime error, not misuse") {
  CHECK_THROWS_AS(throw format_error("f", {}, "r"), std::runtime_error);
  CHECK_THROWS_WITH(throw format_error("f", {position::unit::byte, 0}, "r"), "f: at byte 0: r");
}
